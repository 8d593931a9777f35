/* The multi-call tool: `nj <command> …`, or the command under one of the original's names
 * (mosquitto_pub and so on), which then behaves as the original. Every command is one row of the
 * table below. Which command it is depends on the last part of argv[0] only. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "command.h"

struct command_row {
    const char *word;   /* nj <word> */
    const char *native; /* how native texts call it */
    const char *program;
    const char *what;
    nj_command_fn fn;
};

static const struct command_row COMMANDS[] = {
    {"pub", "nj pub", "mosquitto_pub", "publish messages", nj_cmd_pub},
    {"sub", "nj sub", "mosquitto_sub", "subscribe, and print what arrives", nj_cmd_sub},
    {"passwd", "nj passwd", "mosquitto_passwd", "manage a password file", nj_cmd_passwd},
#ifdef NJ_HAVE_BENCH
    {"bench", "nj bench", NULL, "generate load, verify and measure", nj_cmd_bench},
#endif
};
#define COMMANDS_COUNT (sizeof(COMMANDS) / sizeof(COMMANDS[0]))

static void print_help(FILE *out)
{
    fprintf(out,
            "nj: the tool of the nightjar MQTT broker, version %s\n\n"
            "Usage: nj <command> [options]\n\n",
            NJ_VERSION);
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        fprintf(out, "  %-8s %s", COMMANDS[i].word, COMMANDS[i].what);
        if (COMMANDS[i].program != NULL) {
            fprintf(out, " (also installed as %s)", COMMANDS[i].program);
        }
        (void)fputc('\n', out);
    }
    fprintf(out, "\n`nj <command> --help` explains a command. Try:\n"
                 "  nj sub -t 'demo/#'             in one terminal, and\n"
                 "  nj pub -t demo/hello -m hi     in another\n");
}

static const struct command_row *find_word(const char *word)
{
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        if (strcmp(COMMANDS[i].word, word) == 0) {
            return &COMMANDS[i];
        }
    }
    return NULL;
}

static const struct command_row *find_program(const char *name)
{
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        if (COMMANDS[i].program != NULL && strcmp(COMMANDS[i].program, name) == 0) {
            return &COMMANDS[i];
        }
    }
    return NULL;
}

static int run(const struct command_row *row, bool is_compat, int argc, char **argv)
{
    const struct nj_command command = {
        .name = is_compat ? row->program : row->native,
        .program = row->program,
        .is_compat = is_compat,
    };
    return row->fn(&command, argc, argv);
}

int main(int argc, char **argv)
{
    /* A broker or a reader of our output that goes away is an error to report, not a reason to
     * die without a word. */
    (void)signal(SIGPIPE, SIG_IGN);

    const char *name = argc > 0 && argv[0] != NULL ? argv[0] : "nj";
    const char *slash = strrchr(name, '/');
    if (slash != NULL) {
        name = slash + 1;
    }
    const struct command_row *row = find_program(name);
    if (row != NULL) {
        return run(row, true, argc, argv);
    }
    if (argc < 2) {
        print_help(stderr);
        return 1;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("nj (nightjar) %s\n", NJ_VERSION);
        return 0;
    }
    row = find_word(argv[1]);
    if (row != NULL) {
        return run(row, false, argc - 1, argv + 1);
    }
    row = find_program(argv[1]);
    if (row != NULL) {
        return run(row, true, argc - 1, argv + 1);
    }
    fprintf(stderr, "Error: nj knows no command '%s'.\n\n", argv[1]);
    print_help(stderr);
    return 1;
}
