/* The multi-call tool: `nj <command> …`, or the command under one of the original's names
 * (mosquitto_pub and so on), which then behaves as the original. Every command is one row of the
 * table in commands.c. Which command it is depends on the last part of argv[0] only. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "manual.h"

static void print_help(FILE *out)
{
    fprintf(out,
            "nj: the tool of the nightjar MQTT broker, version %s\n\n"
            "Usage: nj <command> [options]\n\n",
            NJ_VERSION);
    size_t count = 0;
    const struct nj_command_row *rows = nj_commands(&count);
    for (size_t i = 0; i < count; i++) {
        const struct nj_manual *manual = rows[i].manual;
        fprintf(out, "  %-8s %s", manual->word, manual->summary);
        if (manual->program != NULL) {
            fprintf(out, "\n           (also installed as %s)", manual->program);
        }
        (void)fputc('\n', out);
    }
    fprintf(out, "\n`nj <command> --help` explains a command. Try:\n"
                 "  nj sub -t 'demo/#'             in one terminal, and\n"
                 "  nj pub -t demo/hello -m hi     in another\n");
}

static const struct nj_command_row *find_word(const char *word)
{
    size_t count = 0;
    const struct nj_command_row *rows = nj_commands(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].manual->word, word) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static const struct nj_command_row *find_program(const char *name)
{
    size_t count = 0;
    const struct nj_command_row *rows = nj_commands(&count);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].manual->program != NULL && strcmp(rows[i].manual->program, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static int run(const struct nj_command_row *row, bool is_compat, int argc, char **argv)
{
    const struct nj_command command = {
        .name = is_compat ? row->manual->program : row->native,
        .program = row->manual->program,
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
    const struct nj_command_row *row = find_program(name);
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
