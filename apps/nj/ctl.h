/* The insides of `nj ctl` / mosquitto_ctrl.
 *
 * ctl.c reads the command line, ctl_dynsec.c turns a command of dynamic security into JSON by one
 * table, ctl_raw.c does the same for every other API, ctl_session.c asks the broker, ctl_print.c
 * writes answers in the original's shapes, ctl_offline.c edits a file without a broker, ctl_shell.c
 * is the interactive shell. */
#ifndef NJ_APPS_NJ_CTL_H
#define NJ_APPS_NJ_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "command.h"
#include "link.h"
#include "opts.h"

#define NJ_CTL_CONTROL_PREFIX "$CONTROL/"
/* As long as the original waits. */
#define NJ_CTL_TIMEOUT_MS 10000

enum nj_ctl_status {
    NJ_CTL_OK = 0,
    NJ_CTL_FAILED = 1,   /* an error reply, and what has no number of its own */
    NJ_CTL_BAD_ARGS = 3, /* as the original's */
    NJ_CTL_NO_MODULE = 10,
    NJ_CTL_NO_COMMAND = 13,
    NJ_CTL_TIMEOUT = 27
};

struct nj_ctl {
    const struct nj_command *command;
    struct nj_opts opts;
    struct nj_link link;
    struct nj_client *client; /* NULL = not connected */
    bool is_link_made;
    bool is_json;     /* --json: answers as they came */
    bool compat_exit; /* statuses of the original: 0 for errors of the broker */
    bool is_quiet;
    bool is_said;    /* the prompt for a password has said why there is no request */
    char *data_file; /* -f */
    /* the question that waits */
    char correlation[33];
    char topic[256]; /* where answers come */
    json_t *answer;
    const char *trouble; /* why there will be none */
    int status;
    bool is_connected;
    bool is_subscribed;
    char subscribed[256]; /* the response topic that is subscribed */
};

/* -- ctl.c -- */
/* The defaults file of `nj ctl`; that there is none is no error. */
enum nj_opts_result nj_ctl_read_defaults(struct nj_ctl *ctl);

/* -- ctl_session.c -- */
/* Asks `command` (an object, taken over) of `$CONTROL/<api>`; connects first when it is needed,
 * asking for the password. *answer: the command's own object of the reply, a new reference. Else
 * something was said, and the exit status is returned. */
int nj_ctl_ask(struct nj_ctl *ctl, const char *api, json_t *command, json_t **answer);
void nj_ctl_disconnect(struct nj_ctl *ctl);
/* The answer to the question marked with `correlation` in what came on the response topic, a new
 * reference; NULL = there is none. */
json_t *nj_ctl_find_answer(const char *correlation, const struct nj_client_message *message);
/* The status for what went wrong at the broker's: the original's is 0. */
int nj_ctl_status(const struct nj_ctl *ctl, int status);
/* Asks, and prints the error of the reply or what `print` makes of its data. */
typedef void (*nj_ctl_print_fn)(json_t *data);
int nj_ctl_run(struct nj_ctl *ctl, const char *api, json_t *command, nj_ctl_print_fn print);

/* -- modules: argv[0] is the command -- */
int nj_ctl_dynsec(struct nj_ctl *ctl, int argc, char **argv);
int nj_ctl_broker(struct nj_ctl *ctl, int argc, char **argv);
/* `words` beyond the command are KEY=VALUE. */
int nj_ctl_raw(struct nj_ctl *ctl, const char *api, int argc, char **argv);
int nj_ctl_shell(struct nj_ctl *ctl);
#define NJ_CTL_WORDS_MAX 32
/* Splits a line of the shell at blanks, in place; quotes around a word keep them. Returns how many
 * words there are, or -1: an open quote, or too many. */
int nj_ctl_split(char *line, char *words[NJ_CTL_WORDS_MAX]);
/* Runs one module by name. */
int nj_ctl_module(struct nj_ctl *ctl, const char *name, int argc, char **argv);

/* -- ctl_offline.c -- */
int nj_ctl_init_file(struct nj_ctl *ctl, int argc, char **argv);
int nj_ctl_edit_file(struct nj_ctl *ctl, int argc, char **argv);

/* -- ctl_prompt.c -- */
/* A new password, typed twice. `may_be_empty`: Return means none, and so does an input that is at
 * its end, under the original's name. False: something was said. The buffer is wiped by the caller.
 */
bool nj_ctl_new_password(const struct nj_ctl *ctl, const char *user, bool may_be_empty,
                         struct nj_buf *password);

/* -- ctl_print.c: nothing that the broker says steers the terminal -- */
/* To stderr: the error of a reply, which may be NULL. */
void nj_ctl_print_error(const char *command, const char *error);
void nj_ctl_print_json(json_t *value);
void nj_ctl_print_clients(json_t *data);
void nj_ctl_print_groups(json_t *data);
void nj_ctl_print_roles(json_t *data);
void nj_ctl_print_client(json_t *data);
void nj_ctl_print_group(json_t *data);
void nj_ctl_print_role(json_t *data);
void nj_ctl_print_default_acl(json_t *data);
void nj_ctl_print_anonymous_group(json_t *data);
void nj_ctl_print_details(json_t *data);
/* The file to stdout, what is not in it to stderr. */
void nj_ctl_print_export(json_t *data);
void nj_ctl_print_plugins(json_t *data);
void nj_ctl_print_listeners(json_t *data);
/* Secrets that the broker made: shown once. */
void nj_ctl_print_created(json_t *data);

/* -- ctl_help.c -- */
void nj_ctl_usage(const struct nj_command *command, FILE *out);
void nj_ctl_help_dynsec(const struct nj_command *command);
/* To stderr: what stands behind the command `name`. */
void nj_ctl_help_dynsec_words(const struct nj_command *command, const char *name);
void nj_ctl_help_broker(const struct nj_command *command);

#endif
