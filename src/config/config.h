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

struct nj_config_result {
    enum nj_config_action action;
    int exit_status; /* 0, or 3 for configuration and option errors */
    struct nj_settings *settings;
};

/* Reads everything. The settings are the caller's. */
void nj_config_load(int argc, char **argv, struct nj_config_result *out);

/* Reads the file again with the mode and command line of `old`. Options that need a restart keep
 * their old value, with a warning that names them. NJ_EINVAL: nothing of it may be used. */
enum nj_err nj_config_reload(const struct nj_settings *old, struct nj_settings **out) NJ_NODISCARD;

/* What differs from Mosquitto in this mode, one sentence a line, for the start-up log. */
const char *const *nj_config_differences(const struct nj_settings *settings);

/* The reference of all options in Markdown, made from their table. */
void nj_config_print_reference(FILE *out);

#endif
