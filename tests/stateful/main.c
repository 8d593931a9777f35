/* The stateful fuzzer: rounds from seeds, each in a child process so that a crash is a finding like
 * any other. A failing round is made shorter until no step can be left out.
 *
 *   stateful [--seconds N] [--rounds N] [--seed N] [--steps N] [--findings FILE] [--verbose]
 *
 * The first finding ends the run, unless there is a file for findings: then each is written there,
 * and the run goes on with the next seed.
 *
 * Exit status: 0 = no finding, 1 = findings (told with seed and steps), 2 = wrong usage. */
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "plan.h"
#include "sim.h"

#define ROUNDS_PER_CHILD 200u
#define ROUND_CPU_S      60 /* a round that takes more does not end */
#define TELL_EVERY_S     60

struct options {
    const char *findings; /* NULL = the first one ends the run */
    uint64_t seed;
    uint64_t rounds; /* 0 = as many as the time allows */
    unsigned seconds;
    unsigned steps;
    bool is_verbose;
};

/* In place of the C library's: the keys of hash tables are the same in every process, so a seed
 * says all. */
ssize_t getrandom(void *out, size_t len, unsigned flags)
{
    (void)flags;
    memset(out, 0x5a, len);
    return (ssize_t)len;
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* In a process of its own. It is the processor's time that counts: the machine may be busy, or the
 * process stopped. */
static void run_round(const struct plan *plan, bool is_verbose)
{
    const struct itimerval limit = {.it_value.tv_sec = ROUND_CPU_S};
    (void)setitimer(ITIMER_PROF, &limit, NULL); /* SIGPROF ends the process */
    sim_run(plan, is_verbose);
}

/* 0 = it went well. */
static int run_in_child(const struct plan *plan, bool is_quiet, bool is_verbose)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (is_quiet) {
            int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
            (void)dup2(null, STDERR_FILENO);
            (void)dup2(null, STDOUT_FILENO);
        }
        run_round(plan, is_verbose);
        exit(0);
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    return status;
}

/* Leaves out ever smaller runs of steps as long as the round still fails. */
static void shrink(struct plan *plan)
{
    for (unsigned size = plan->count / 2; size > 0; size /= 2) {
        for (unsigned at = 0; at + size <= plan->count;) {
            struct plan shorter = *plan;
            memmove(shorter.steps + at, shorter.steps + at + size,
                    (shorter.count - at - size) * sizeof(shorter.steps[0]));
            shorter.count -= size;
            if (run_in_child(&shorter, true, false) != 0) {
                *plan = shorter;
            } else {
                at += size;
            }
        }
    }
}

/* Before anything is made of it, so that nothing takes it away. */
static void write_down(const struct options *options, uint64_t seed)
{
    FILE *file = options->findings ? fopen(options->findings, "ae") : NULL;
    if (file) {
        (void)fprintf(file, "--seed %llu --rounds 1 --steps %u\n", (unsigned long long)seed,
                      options->steps);
        (void)fclose(file);
    } else if (options->findings) {
        perror(options->findings);
    }
}

static void report(const struct options *options, uint64_t seed)
{
    static struct plan plan;
    plan_make(&plan, seed, options->steps);
    write_down(options, seed);
    (void)printf("seed %llu fails; making it shorter ...\n", (unsigned long long)seed);
    shrink(&plan);
    (void)printf("%u steps are left (%u shards, %u clients, %u in flight%s):\n", plan.count,
                 plan.shards, plan.clients, plan.max_inflight,
                 plan.queue_qos0 ? ", QoS 0 queued" : "");
    (void)run_in_child(&plan, false, true);
    (void)printf("again with: --seed %llu --rounds 1 --steps %u\n", (unsigned long long)seed,
                 options->steps);
}

/* A child runs many rounds; where it was is seen from here when it ends. */
static bool run_many(const struct options *options, uint64_t first, uint64_t count,
                     uint64_t *failed)
{
    volatile uint64_t *at =
        mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        static struct plan plan;
        for (uint64_t i = 0; i < count; i++) {
            *at = first + i;
            plan_make(&plan, first + i, options->steps);
            run_round(&plan, options->is_verbose);
        }
        exit(0);
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    *failed = *at;
    (void)munmap((void *)at, sizeof(*at));
    return status == 0;
}

static bool parse(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--verbose") == 0) {
            options->is_verbose = true;
            continue;
        }
        if (i + 1 == argc) {
            return false;
        }
        unsigned long long value = strtoull(argv[++i], NULL, 10);
        if (strcmp(name, "--seed") == 0) {
            options->seed = value;
        } else if (strcmp(name, "--rounds") == 0) {
            options->rounds = value;
        } else if (strcmp(name, "--seconds") == 0) {
            options->seconds = (unsigned)value;
        } else if (strcmp(name, "--findings") == 0) {
            options->findings = argv[i];
        } else if (strcmp(name, "--steps") == 0 && value > 0 && value <= PLAN_STEPS_MAX) {
            options->steps = (unsigned)value;
        } else {
            return false;
        }
    }
    return true;
}

static void tell(const struct options *options, uint64_t done, unsigned findings)
{
    (void)printf("%llu rounds of %u steps, seeds %llu to %llu: ", (unsigned long long)done,
                 options->steps, (unsigned long long)options->seed,
                 (unsigned long long)(options->seed + done - 1));
    if (findings) {
        (void)printf("%u findings\n", findings);
    } else {
        (void)printf("no finding\n");
    }
    (void)fflush(stdout);
}

/* The number of findings. */
static unsigned run(const struct options *options)
{
    double start = now_s();
    double told = start;
    uint64_t done = 0;
    unsigned findings = 0;
    while (options->rounds ? done < options->rounds : now_s() < start + options->seconds) {
        uint64_t count = ROUNDS_PER_CHILD;
        uint64_t failed;
        if (options->rounds && options->rounds - done < count) {
            count = options->rounds - done;
        }
        if (run_many(options, options->seed + done, count, &failed)) {
            done += count;
        } else {
            done = failed + 1 - options->seed;
            findings++;
            report(options, failed);
            if (!options->findings) {
                return findings;
            }
        }
        if (options->findings && now_s() > told + TELL_EVERY_S) {
            told = now_s();
            tell(options, done, findings);
        }
    }
    tell(options, done, findings);
    return findings;
}

int main(int argc, char **argv)
{
    struct options options = {.seed = 1, .seconds = 10, .steps = 200};
    if (!parse(argc, argv, &options)) {
        (void)fprintf(stderr,
                      "usage: stateful [--seconds N] [--rounds N] [--seed N] "
                      "[--steps N (up to %d)] [--findings FILE] [--verbose]\n",
                      PLAN_STEPS_MAX);
        return 2;
    }
    return run(&options) ? 1 : 0;
}
