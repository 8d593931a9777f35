/* The broker's command line. See config.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config_priv.h"

static const struct nj_broker_option OPTIONS[] = {
    {"-c", "--config-file", "FILE", "read this configuration file."},
    {"-d", "--daemon", NULL, "put the broker into the background after starting."},
    {"-h", "--help", NULL, "display this help."},
    {"-p", "--port", "PORT",
     "listen on this port, for this machine only. May be given up to 10\n"
     "times. Not used when the configuration has listeners."},
    {"-q", "--quiet", NULL, "log nothing, whatever the configuration says."},
    {"-v", "--verbose", NULL, "log everything, whatever the configuration says."},
    {NULL, "--test-config", NULL,
     "check the configuration and stop; with -v show what it amounts to."},
    {NULL, "--tls-keylog", "FILE",
     "write the secrets of TLS connections to a file, to read them with\n"
     "other programs. Not for production."},
    {NULL, "--compat", "MODE", "`mosquitto`: behave as Mosquitto 2.1.2 does; `none`: do not."},
    {NULL, "--recover", NULL,
     "start although the file of dynamic security is bad: with the last\n"
     "good copy; `json`: with the file, without the journal; `journal`:\n"
     "with the journal, without the file."},
    {NULL, "--version", NULL, "print the version."},
};

const struct nj_broker_option *nj_config_broker_option(size_t index)
{
    return index < sizeof(OPTIONS) / sizeof(OPTIONS[0]) ? &OPTIONS[index] : NULL;
}

static void print_option(const struct nj_broker_option *option)
{
    char names[40];
    (void)snprintf(names, sizeof(names), "%s%s%s", option->shorts ? option->shorts : "",
                   option->shorts ? ", " : "", option->longs);
    const char *line = option->help;
    for (const char *left = names;; left = "") {
        size_t len = strcspn(line, "\n");
        printf(" %-17s %c %.*s\n", left, *left ? ':' : ' ', (int)len, line);
        if (!line[len]) {
            return;
        }
        line += len + 1;
    }
}

void nj_args_print_usage(bool is_compat)
{
    const char *name = is_compat ? "mosquitto" : "nightjar";
    printf("Usage: %s [-c config_file] [-d] [-h] [-p port] [-v]\n"
           "       %*s [-q] [--test-config] [--tls-keylog file] [--compat mode] [--version]\n\n"
           "%s is an MQTT v5.0/v3.1.1/v3.1 broker.\n\n",
           name, (int)strlen(name), "", name);
    for (size_t i = 0; nj_config_broker_option(i); i++) {
        print_option(nj_config_broker_option(i));
    }
}

static enum nj_err fail(char *error, const char *fmt, ...) NJ_PRINTF(2, 3);
static enum nj_err fail(char *error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(error, NJ_CONFIG_ERROR_MAX, fmt, args);
    va_end(args);
    nj_log(NJ_LOG_ERROR, "%s", error);
    return NJ_EINVAL;
}

static size_t dash_len(const char *at)
{
    if (*at == '-') {
        return 1;
    }
    /* U+2010 to U+2015: hyphens, en and em dashes; U+2212: minus */
    bool is_dash = strncmp(at, "\xe2\x80", 2) == 0 && (unsigned char)at[2] >= 0x90 &&
                   (unsigned char)at[2] <= 0x95;
    return is_dash || strncmp(at, "\xe2\x88\x92", 3) == 0 ? 3 : 0;
}

/* A web page makes `–cert` of `--cert`: any leading dashes of which one is typographic stand for
 * two hyphens before a word and for one before a letter. */
static char *normal_dashes(const char *arg)
{
    const char *rest = arg;
    bool is_typographic = false;
    for (size_t len = dash_len(rest); len; len = dash_len(rest)) {
        is_typographic |= len > 1;
        rest += len;
    }
    if (!is_typographic) {
        return nj_strdup(arg);
    }
    size_t size = strlen(rest) + 3;
    char *fixed = nj_alloc(size);
    (void)snprintf(fixed, size, "%s%s", strlen(rest) > 1 ? "--" : "-", rest);
    return fixed;
}

static bool is_arg(const char *arg, const char *short_name, const char *long_name)
{
    return (short_name && strcmp(arg, short_name) == 0) || strcmp(arg, long_name) == 0;
}

static enum nj_err take_port(struct nj_command_line *line, const char *value, char *error)
{
    int64_t port = 0;
    if (nj_parse_number(value, &port) != NJ_NUMBER_OK || port < 1 || port > 65535) {
        return fail(error, "Error: Invalid port specified (%.40s).", value);
    }
    if (line->port_count == NJ_PORTS_MAX) {
        return fail(error, "Error: Only %d ports can be specified on the command line.",
                    NJ_PORTS_MAX);
    }
    line->ports[line->port_count++] = (int)port;
    return NJ_OK;
}

static enum nj_err take_config(struct nj_command_line *line, const char *value, char *error)
{
    if (line->config_file) {
        return fail(error, "Error: Only one config file can be specified.");
    }
    line->config_file = value;
    return NJ_OK;
}

/* One signature for all of the table below. NOLINTNEXTLINE(readability-non-const-parameter) */
static enum nj_err take_keylog(struct nj_command_line *line, const char *value, char *error)
{
    (void)error;
    line->keylog = value;
    return NJ_OK;
}

static enum nj_err take_compat(struct nj_command_line *line, const char *value, char *error)
{
    line->compat = nj_parse_word(value, "none|mosquitto");
    return line->compat < 0 ? fail(error, "Error: Invalid '--compat' value (%.40s).", value)
                            : NJ_OK;
}

/* Whether the value was one of its words, or the next option. */
static bool take_recover(struct nj_command_line *line, const char *value)
{
    int word = value ? nj_parse_word(value, "last|json|journal") : -1;
    line->recover = word < 0 ? 1 : 1 + word;
    return word >= 0;
}

static const struct valued {
    const char *short_name;
    const char *long_name;
    const char *shown; /* in errors */
    const char *what;
    enum nj_err (*take)(struct nj_command_line *line, const char *value, char *error);
} valued[] = {
    {"-c", "--config-file", "-c", "config file", take_config},
    {"-p", "--port", "-p", "port", take_port},
    {NULL, "--tls-keylog", "--tls-keylog", "file", take_keylog},
    {NULL, "--compat", "--compat", "mode", take_compat},
};

/* An option with a value. NJ_EDECLINED: it is none of these. */
static enum nj_err take_valued(struct nj_command_line *line, const char *arg, const char *value,
                               char *error)
{
    for (size_t i = 0; i < sizeof(valued) / sizeof(valued[0]); i++) {
        if (!is_arg(arg, valued[i].short_name, valued[i].long_name)) {
            continue;
        }
        return value ? valued[i].take(line, value, error)
                     : fail(error, "Error: %s argument given, but no %s specified.",
                            valued[i].shown, valued[i].what);
    }
    return NJ_EDECLINED;
}

static bool take_switch(struct nj_command_line *line, const char *arg)
{
    const struct {
        const char *short_name;
        const char *long_name;
        bool *on;
    } switches[] = {
        {"-d", "--daemon", &line->is_daemon},    {"-h", "--help", &line->wants_help},
        {"-q", "--quiet", &line->is_quiet},      {"-v", "--verbose", &line->is_verbose},
        {NULL, "--test-config", &line->is_test}, {NULL, "--version", &line->wants_version},
    };
    for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
        if (is_arg(arg, switches[i].short_name, switches[i].long_name)) {
            *switches[i].on = true;
            return true;
        }
    }
    return false;
}

enum nj_err nj_args_read(int argc, char **argv, struct nj_command_line *line, char *error)
{
    *line = (struct nj_command_line){.compat = -1};
    for (int i = 1; i < argc; i++) {
        char *arg = normal_dashes(argv[i]);
        bool is_recover = strcmp(arg, "--recover") == 0;
        bool is_switch = is_recover ? !take_recover(line, i + 1 < argc ? argv[i + 1] : NULL)
                                    : take_switch(line, arg);
        enum nj_err err = is_switch || is_recover
                              ? NJ_OK
                              : take_valued(line, arg, i + 1 < argc ? argv[i + 1] : NULL, error);
        if (err == NJ_EDECLINED) {
            err = fail(error, "Error: Unknown option '%.200s'.", argv[i]);
            line->wants_help = true;
        }
        nj_free(arg);
        if (err != NJ_OK || line->wants_help || line->wants_version) {
            return err;
        }
        i += is_switch ? 0 : 1;
    }
    return NJ_OK;
}
