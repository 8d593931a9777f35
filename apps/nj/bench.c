/* Entry of `nj bench`; see bench.h. */
#include "bench.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench_compare.h"
#include "bench_opts.h"
#include "bench_report.h"
#include "bench_run.h"
#include "bench_spawn.h"

static void show_progress(void *arg, const char *phase, double share, double rate)
{
    const char *scenario = arg;
    (void)fprintf(stderr, "\r\033[K%s: %s", scenario, phase);
    if (share >= 0) {
        (void)fprintf(stderr, " %3.0f %%", share * 100);
    }
    if (rate > 0) {
        (void)fprintf(stderr, ", %.0f messages/s", rate);
    }
    (void)fflush(stderr);
}

static int run_one(const struct nj_bench_options *given, nj_bench_progress_fn progress, void *arg)
{
    struct nj_bench_options options = *given;
    struct nj_bench_broker broker = {0};
    struct nj_bench_result result;
    const char *name = options.host;
    if (options.broker) {
        if (nj_bench_broker_start(options.broker, options.conf, &broker) != NJ_OK) {
            return NJ_BENCH_EXIT_FAILED;
        }
        const char *slash = strrchr(options.broker, '/');
        name = slash ? slash + 1 : options.broker;
        options.host = "127.0.0.1";
        options.port = broker.port;
        options.pid = (uint32_t)broker.pid;
    }
    nj_bench_run(&options, progress, arg, &result);
    if (progress) {
        (void)fprintf(stderr, "\r\033[K");
    }
    nj_bench_broker_stop(&broker);
    if (options.is_json) {
        nj_bench_report_json(stdout, name, &options, &result);
        (void)fputc('\n', stdout);
    } else if (result.is_run || result.is_wrong) {
        nj_bench_report_text(stdout, name, &options, &result);
    }
    if (!result.is_run && !result.is_wrong) {
        (void)fprintf(stderr, "Error: %s.\n", result.problem);
        return NJ_BENCH_EXIT_FAILED;
    }
    return nj_bench_result_is_good(&result) ? NJ_BENCH_EXIT_OK : NJ_BENCH_EXIT_WRONG;
}

int nj_cmd_bench(const struct nj_command *command, int argc, char **argv)
{
    (void)command;
    struct nj_bench_options options;
    if (nj_bench_options_parse(&options, argc, argv) != NJ_OK) {
        return NJ_BENCH_EXIT_USAGE;
    }
    if (options.wants_help) {
        nj_bench_help_print(stdout);
        return NJ_BENCH_EXIT_OK;
    }
    bool is_shown = !options.is_quiet && isatty(STDERR_FILENO);
    nj_bench_progress_fn progress = is_shown ? show_progress : NULL;
    char name[32];
    (void)snprintf(name, sizeof(name), "%s", nj_bench_scenario_name(options.scenario));
    return options.compare ? nj_bench_compare(&options, progress, name)
                           : run_one(&options, progress, name);
}
