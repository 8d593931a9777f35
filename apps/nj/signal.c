/* `nj signal` / mosquitto_signal: signals by name, to one broker or to all on this computer. */
#include <sys/types.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "command.h"
#include "manual.h"
#include "opts.h"

#define NAME_MAX_BYTES 64

struct job {
    const struct nj_command *command;
    bool is_all;
    long pid; /* 0 = none given */
};

/* SIGRTMIN, which is no constant, and those behind it. */
#define REALTIME(n) (1000 + (n))

/* The signal for each name. The original has no signal of its own for log-rotate, one for xtreport,
 * which profiles its memory and means nothing here, and no restart. */
struct name_row {
    const char *name;
    int native; /* -1 = not offered */
    int compat;
};

static const struct name_row NAMES[] = {
    {"config-reload", SIGHUP, SIGHUP}, {"log-rotate", REALTIME(0), SIGHUP},
    {"restart", REALTIME(1), -1},      {"shutdown", SIGTERM, SIGINT},
    {"tree-print", SIGUSR2, SIGUSR2},  {"xtreport", -1, REALTIME(0)},
};
#define NAMES_COUNT (sizeof(NAMES) / sizeof(NAMES[0]))

static const struct nj_option_text OPTIONS[] = {
    {"-a", NULL, NULL, NULL, "Which broker",
     "every process with the name of a broker that may be signalled", 1},
    {"-p", NULL, "PID", "<pid>", "Which broker", "the process PID, whatever it is", 1},
    {NULL, "--help", NULL, NULL, "Other", "this text", 1},
};

static const struct nj_option_text *option_text(size_t index)
{
    return index < sizeof(OPTIONS) / sizeof(OPTIONS[0]) ? &OPTIONS[index] : NULL;
}

const struct nj_manual NJ_MANUAL_SIGNAL = {
    .word = "signal",
    .program = "mosquitto_signal",
    .summary = "tell a running broker to reload, to rotate its log, or to stop",
    .synopsis = {"{-a | -p PID} {config-reload | log-rotate | restart | shutdown | "
                 "tree-print}"},
    .description = "config-reload has the broker read its configuration, password and ACL files "
                   "and certificates again; when one of them is bad, everything stays as it was "
                   "and the log says why.\n\n"
                   "log-rotate has it close its log file and open it again. restart has it start "
                   "anew, as another version perhaps, without refusing a connection; it does so "
                   "only when the new start will succeed. shutdown ends it: "
                   "clients are told, and everything acknowledged is kept. tree-print has it write "
                   "what is subscribed to its log.",
    .tool = 1,
    .option = option_text,
    .words = "config-reload|log-rotate|restart|shutdown|tree-print",
    .statuses = {{"0", "the signal was sent"}, {"1", "it could not be sent, or no broker runs"}},
    .examples = {{"nj signal -a config-reload", "after a change of the configuration"},
                 {"nj signal -p 4711 log-rotate", "from logrotate, say"}},
    .see_also = "nj(1), nightjar(8), kill(1)",
};

static const struct name_row *find_name(const char *name)
{
    for (size_t i = 0; i < NAMES_COUNT; i++) {
        if (strcmp(NAMES[i].name, name) == 0) {
            return &NAMES[i];
        }
    }
    return NULL;
}

/* False: nothing was sent, and it was said. */
static bool send_to(long pid, int number)
{
    if (kill((pid_t)pid, number) == 0) {
        return true;
    }
    fprintf(stderr, "Error sending signal to process %ld: %s\n", pid, strerror(errno));
    return false;
}

/* ---- all brokers */

/* A process whose name changes between the look and the signal is one that just began to be
 * something else; nothing can be done about that short of its parent. */
static bool is_broker(const struct job *job, long pid)
{
    char path[NAME_MAX_BYTES];
    struct nj_buf name;
    nj_buf_init(&name);
    (void)snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
    bool is_one = false;
    if (nj_file_read(path, NAME_MAX_BYTES, false, &name) == NJ_OK) {
        struct nj_bytes text = nj_buf_bytes(&name);
        text.len -= text.len > 0 && text.ptr[text.len - 1] == '\n' ? 1 : 0;
        is_one = nj_bytes_equal(text, NJ_BYTES_LIT("mosquitto")) ||
                 (!job->command->is_compat && nj_bytes_equal(text, NJ_BYTES_LIT("nightjar")));
    }
    nj_buf_fini(&name);
    return is_one;
}

static int send_to_all(const struct job *job, int number)
{
    DIR *processes = opendir("/proc");
    if (processes == NULL) {
        fprintf(stderr, "Error: cannot list processes: %s.\n", strerror(errno));
        return 1;
    }
    unsigned sent = 0;
    unsigned failed = 0;
    const struct dirent *entry;
    while ((entry = readdir(processes)) != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
        char *end = NULL;
        long pid = strtol(entry->d_name, &end, 10);
        if (pid > 0 && *end == '\0' && is_broker(job, pid)) {
            bool is_sent = send_to(pid, number);
            sent += is_sent ? 1 : 0;
            failed += is_sent ? 0 : 1;
        }
    }
    (void)closedir(processes);
    if (job->command->is_compat) {
        return 0; /* whatever happened */
    }
    if (sent == 0 && failed == 0) {
        fprintf(stderr, "Error: no broker runs here (no process is called nightjar or mosquitto); "
                        "name its process with -p.\n");
    }
    return sent > 0 && failed == 0 ? 0 : 1;
}

/* ---- the command line */

static bool take_pid(struct job *job, const char *value)
{
    if (value == NULL) {
        fprintf(stderr, "Error: -p argument given but process ID missing.\n");
        return false;
    }
    char *end = NULL;
    errno = 0;
    long pid = strtol(value, &end, 10);
    bool is_whole = end != value && (*end == '\0' || job->command->is_compat);
    if (!is_whole || errno != 0 || pid < 1 || pid > INT32_MAX) {
        fprintf(stderr, "Error: Process ID must be >0.\n");
        return false;
    }
    job->pid = pid;
    job->is_all = false;
    return true;
}

/* *at: the first argument behind the options. 0 = go on, else the exit status + 1. */
static int read_options(struct job *job, int argc, char **argv, int *at)
{
    const struct nj_command *command = job->command;
    for (; *at < argc; ++*at) {
        char plain[16];
        const char *arg = nj_opts_plain_dashes(argv[*at], plain, sizeof(plain));
        bool is_help = strcmp(arg, "--help") == 0;
        if (is_help || (strcmp(arg, "-h") == 0 && !command->is_compat)) {
            nj_manual_print_usage(&NJ_MANUAL_SIGNAL, command, stdout);
            return command->is_compat ? 2 : 1;
        }
        if (strcmp(arg, "-a") == 0) {
            job->is_all = true;
            job->pid = 0;
        } else if (strcmp(arg, "-p") == 0) {
            ++*at;
            if (!take_pid(job, *at < argc ? argv[*at] : NULL)) {
                return 2;
            }
        } else if (arg[0] == '-' && !command->is_compat) {
            fprintf(stderr, "Error: Unknown option '%s'.\n", arg);
            (void)nj_manual_point_to_help(command);
            return 2;
        } else {
            break;
        }
    }
    return 0;
}

int nj_cmd_signal(const struct nj_command *command, int argc, char **argv)
{
    struct job job = {.command = command};
    int at = 1;
    if (argc == 1) {
        nj_manual_print_usage(&NJ_MANUAL_SIGNAL, command, command->is_compat ? stdout : stderr);
        return 1;
    }
    int ended = read_options(&job, argc, argv, &at);
    if (ended != 0) {
        return ended - 1;
    }
    if (!job.is_all && job.pid == 0) {
        fprintf(stderr, "Error: One of -a or -p must be used.\n");
        return command->is_compat ? 1 : nj_manual_point_to_help(command);
    }
    if (at == argc) {
        fprintf(stderr, "Error: No signal given.\n");
        return command->is_compat ? 1 : nj_manual_point_to_help(command);
    }
    if (at + 1 < argc && !command->is_compat) {
        fprintf(stderr, "Error: one signal at a time, and options before it.\n");
        return 1;
    }
    const struct name_row *row = find_name(argv[at]);
    int number = row == NULL ? -1 : command->is_compat ? row->compat : row->native;
    if (number < 0) {
        fprintf(stderr, "Error: Unknown signal '%s'.\n", argv[at]);
        return command->is_compat ? 1 : nj_manual_point_to_help(command);
    }
    number = number >= REALTIME(0) ? SIGRTMIN + number - REALTIME(0) : number;
    if (job.is_all) {
        return send_to_all(&job, number);
    }
    return send_to(job.pid, number) || command->is_compat ? 0 : 1;
}
