/* What can be said about a command: one table for its usage text, its man page and the completion
 * of shells. A command's file fills one struct nj_manual; manual.c prints the usage text,
 * tools/manual.c (at build time) the rest. */
#ifndef NJ_APPS_NJ_MANUAL_H
#define NJ_APPS_NJ_MANUAL_H

#include <stddef.h>
#include <stdio.h>

#include "command.h"

/* An option. `value` names its value in texts, NULL = it takes none; `complete` is how a shell
 * completes that: "<file>", "<dir>", words "a|b|c", or NULL = not at all. */
struct nj_option_text {
    const char *shorts; /* "-h", or NULL */
    const char *longs;  /* "--host", or NULL */
    const char *value;
    const char *complete;
    const char *group; /* heading */
    const char *help;  /* half a sentence */
    unsigned tools;    /* bits, where several commands share a table; else 1 */
};

struct nj_text_pair {
    const char *what;
    const char *text;
};

/* Lists end with NULL. In texts `%s` stands for nothing: they are printed as they are. */
struct nj_manual {
    const char *word;                                     /* nj <word> */
    const char *program;                                  /* the original's name, or NULL */
    const char *summary;                                  /* "publish messages" */
    const char *synopsis[6];                              /* each behind the name */
    const char *description;                              /* paragraphs, an empty line between */
    unsigned tool;                                        /* which options of the table count */
    const struct nj_option_text *(*option)(size_t index); /* NULL behind the last one */
    const char *words; /* completion of arguments that are no options, as in nj_option_text */
    struct nj_text_pair statuses[8];
    struct nj_text_pair files[4];
    struct nj_text_pair examples[6]; /* what: the command line */
    const char *see_also;            /* "nj-sub(1), nightjar(8)" */
};

/* The heading, how it is called, the options by group and the exit statuses. */
void nj_manual_print_usage(const struct nj_manual *manual, const struct nj_command *command,
                           FILE *out);
/* "<name> version …": one line. */
void nj_manual_print_version(const struct nj_command *command, FILE *out);
/* What follows when a command line made no sense. Returns the exit status, which is 1. */
int nj_manual_point_to_help(const struct nj_command *command);

/* Every command, in the order of `nj --help`. */
struct nj_command_row {
    const struct nj_manual *manual;
    const char *native; /* "nj pub" */
    nj_command_fn fn;
};
const struct nj_command_row *nj_commands(size_t *count);

extern const struct nj_manual NJ_MANUAL_PUB;
extern const struct nj_manual NJ_MANUAL_SUB;
extern const struct nj_manual NJ_MANUAL_RR;
extern const struct nj_manual NJ_MANUAL_CTL;
extern const struct nj_manual NJ_MANUAL_PASSWD;
extern const struct nj_manual NJ_MANUAL_SIGNAL;
extern const struct nj_manual NJ_MANUAL_CHECK;
extern const struct nj_manual NJ_MANUAL_EXPLAIN;
extern const struct nj_manual NJ_MANUAL_STORE;
extern const struct nj_manual NJ_MANUAL_DB_DUMP;
extern const struct nj_manual NJ_MANUAL_BENCH;

#endif
