/* The multi-call tool: `nj <command> …`, or the command under one of the original's names
 * (mosquitto_pub and so on), which then behaves as the original. Every command is one row of the
 * table in commands.c. Which command it is depends on the last part of argv[0] only. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
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

/* How many letters have to change, come or go; words of commands are short. */
static size_t distance(const char *a, const char *b)
{
    enum {
        LETTERS_MAX = 16
    };
    size_t row[LETTERS_MAX + 1];
    size_t len = strlen(b);
    if (strlen(a) > LETTERS_MAX || len > LETTERS_MAX) {
        return LETTERS_MAX;
    }
    for (size_t i = 0; i <= len; i++) {
        row[i] = i;
    }
    for (size_t k = 1; a[k - 1] != '\0'; k++) {
        size_t diagonal = row[0];
        row[0] = k;
        for (size_t i = 1; i <= len; i++) {
            size_t change = diagonal + (a[k - 1] == b[i - 1] ? 0 : 1);
            size_t other = (row[i] < row[i - 1] ? row[i] : row[i - 1]) + 1;
            diagonal = row[i];
            row[i] = change < other ? change : other;
        }
    }
    return row[len];
}

static void say_unknown(const char *word)
{
    size_t count = 0;
    size_t best = 3; /* further away is another word */
    const char *near = NULL;
    const struct nj_command_row *rows = nj_commands(&count);
    for (size_t i = 0; i < count; i++) {
        size_t far = distance(word, rows[i].manual->word);
        if (far < best) {
            best = far;
            near = rows[i].manual->word;
        }
    }
    fprintf(stderr, "Error: nj knows no %s '%s'.", word[0] == '-' ? "option" : "command", word);
    if (near != NULL && word[0] != '-') {
        fprintf(stderr, " Did you mean '%s'?", near);
    }
    fprintf(stderr, "\n`nj --help` lists all commands.\n");
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

/* `nj help WORD`, which people try. */
static int help_about(char *word)
{
    const struct nj_command_row *row = find_word(word);
    bool is_compat = row == NULL;
    row = row != NULL ? row : find_program(word);
    if (row == NULL) {
        say_unknown(word);
        return 1;
    }
    char *argv[] = {word, (char *)"--help", NULL};
    return run(row, is_compat, 2, argv);
}

int main(int argc, char **argv)
{
    /* A broker or a reader of our output that goes away is an error to report, not a reason to
     * die without a word. */
    (void)signal(SIGPIPE, SIG_IGN);
    nj_crash_arm();

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
    bool is_help = strcmp(argv[1], "help") == 0;
    if (is_help && argc > 2) {
        return help_about(argv[2]);
    }
    if (is_help || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
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
    say_unknown(argv[1]);
    return 1;
}
