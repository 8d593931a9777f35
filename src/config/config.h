/* Loading the configuration: command line, file, mode. Errors go to the log in Mosquitto's words.
 */
#ifndef NJ_CONFIG_CONFIG_H
#define NJ_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "config/settings.h"

enum nj_config_action {
    NJ_CONFIG_RUN,
    NJ_CONFIG_TEST, /* --test-config: everything was checked, stop here */
    NJ_CONFIG_EXIT, /* help or version was printed, or an error: exit with the status */
};

#define NJ_CONFIG_ERROR_MAX 1024

struct nj_config_result {
    enum nj_config_action action;
    int exit_status;                 /* 0, or 3 for configuration and option errors */
    struct nj_settings *settings;    /* NULL with NJ_CONFIG_EXIT */
    char error[NJ_CONFIG_ERROR_MAX]; /* the first error line, or "" */
};

/* Reads everything: command line, file, environment. The settings are the caller's. With
 * --test-config -v the effective settings are printed to stdout. One call at a time; blocks on
 * files. Errors, with their place, and warnings go to the log as well. */
void nj_config_load(int argc, char **argv, struct nj_config_result *out);

/* Reads the file again with the mode and command line of `old`, into new settings; `old` stays as
 * it is. Options that need a restart keep their old value, with a warning that names them.
 * listeners[i] of the new settings is listeners[i] of the old ones: listeners are neither added nor
 * removed (a warning names them), and they keep their address, protocol and whether they use TLS.
 * NJ_EINVAL: nothing of it may be used. */
enum nj_err nj_config_reload(const struct nj_settings *old, struct nj_settings **out) NJ_NODISCARD;
/* The same; on an error its first line is in `error` (NJ_CONFIG_ERROR_MAX bytes). */
enum nj_err nj_config_reload_explained(const struct nj_settings *old, struct nj_settings **out,
                                       char *error) NJ_NODISCARD;

/* Every default that this mode has and the other one has not, one sentence a line, NULL at the
 * end, for the start-up log; what the file decides otherwise is left out. Owned by `settings`. */
const char *const *nj_config_differences(const struct nj_settings *settings);

/* The effective settings: every option, and for each listener what holds there. No secrets. */
void nj_config_print_effective(const struct nj_settings *settings, FILE *out);
/* For each listener one line: who gets in and what decides about rights. */
void nj_config_print_policy(const struct nj_settings *settings, FILE *out);

/* docs/configuration.md, made from the option table. */
void nj_config_print_reference(FILE *out);
/* In the head of man pages: the day of the last release, so that builds can be repeated. */
#define NJ_MANUAL_DATE "2026-11-25"
/* nightjar.conf(5), made from the same table, for man(7). */
void nj_config_print_manual(FILE *out);
/* `text` for man(7): nothing in it is taken for a command of roff. */
void nj_config_print_roff(FILE *out, const char *text);

/* What the broker's command line takes, in the order of its help; NULL behind the last one. */
struct nj_broker_option {
    const char *shorts; /* "-c", or NULL */
    const char *longs;
    const char *value; /* NULL = takes none */
    const char *help;
};
const struct nj_broker_option *nj_config_broker_option(size_t index);

#endif
