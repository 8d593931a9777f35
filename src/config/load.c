/* Command line, mode, first load and reload. See config.h. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "config/config_priv.h"

#define EXIT_CONFIG 3
#define PORTS_MAX   10

struct command_line {
    const char *config_file;
    const char *keylog;
    int ports[PORTS_MAX];
    int port_count;
    int compat; /* -1 = by the program's name or the file */
    bool is_daemon;
    bool is_quiet;
    bool is_verbose;
    bool is_test;
    bool wants_help;
    bool wants_version;
};

static void print_usage(bool is_compat)
{
    const char *name = is_compat ? "mosquitto" : "nightjar";
    if (is_compat) {
        printf("mosquitto version 2.1.2\n\n");
    } else {
        printf("nightjar version %s\n\n", NJ_VERSION);
    }
    printf("%s is an MQTT v5.0/v3.1.1/v3.1 broker.\n\n", name);
    printf("Usage: %s [-c config_file] [-d] [-h] [-p port] [-v]\n\n", name);
    printf(
        " -c, --config-file : read this configuration file.\n"
        " -d, --daemon      : put the broker into the background after starting.\n"
        " -h, --help        : this text.\n"
        " -p, --port        : listen on this port of the loopback interface. May be given up to\n"
        "                     10 times. Not used when the configuration has listeners.\n"
        " -q, --quiet       : log errors only.\n"
        " -v, --verbose     : log everything.\n"
        "     --test-config : check the configuration and stop.\n"
        "     --tls-keylog  : write TLS session keys to this file, for debugging.\n"
        "     --compat      : mosquitto or none; who is to be followed in doubt.\n"
        "     --version     : print the version.\n");
}

/* A dash that a web page made long (–cert) is understood as two hyphens, or one before a letter. */
static char *normal_dashes(const char *arg)
{
    if (strncmp(arg, "\xe2\x80\x93", 3) != 0 && strncmp(arg, "\xe2\x80\x94", 3) != 0) {
        return nj_strdup(arg);
    }
    const char *rest = arg + 3;
    struct nj_buf text;
    nj_buf_init(&text);
    char *fixed = NULL;
    if (nj_buf_printf(&text, "%s%s", strlen(rest) > 1 ? "--" : "-", rest) == NJ_OK) {
        fixed = nj_bytes_dup(nj_buf_bytes(&text));
    }
    nj_buf_fini(&text);
    return fixed ? fixed : nj_strdup(arg);
}

static bool is_arg(const char *arg, const char *short_name, const char *long_name)
{
    return (short_name && strcmp(arg, short_name) == 0) || strcmp(arg, long_name) == 0;
}

static enum nj_err take_port(struct command_line *line, const char *value)
{
    int64_t port;
    if (!nj_parse_number(value, 1, 65535, &port)) {
        nj_log(NJ_LOG_ERROR, "Error: Invalid port specified (%s).", value);
        return NJ_EINVAL;
    }
    if (line->port_count == PORTS_MAX) {
        nj_log(NJ_LOG_ERROR, "Error: Only %d ports can be specified.", PORTS_MAX);
        return NJ_EINVAL;
    }
    line->ports[line->port_count++] = (int)port;
    return NJ_OK;
}

static enum nj_err take_compat(struct command_line *line, const char *value)
{
    if (strcmp(value, "mosquitto") == 0) {
        line->compat = 1;
    } else if (strcmp(value, "none") == 0) {
        line->compat = 0;
    } else {
        nj_log(NJ_LOG_ERROR, "Error: Invalid '--compat' value (%s).", value);
        return NJ_EINVAL;
    }
    return NJ_OK;
}

/* An option with a value. NJ_EDECLINED: it is none of these. */
static enum nj_err take_valued(struct command_line *line, const char *arg, const char *value)
{
    if (is_arg(arg, "-c", "--config-file")) {
        if (!value) {
            nj_log(NJ_LOG_ERROR, "Error: -c argument given, but no config file specified.");
            return NJ_EINVAL;
        }
        line->config_file = value;
        return NJ_OK;
    }
    if (is_arg(arg, "-p", "--port")) {
        if (!value) {
            nj_log(NJ_LOG_ERROR, "Error: -p argument given, but no port specified.");
            return NJ_EINVAL;
        }
        return take_port(line, value);
    }
    if (is_arg(arg, NULL, "--tls-keylog")) {
        if (!value) {
            nj_log(NJ_LOG_ERROR, "Error: --tls-keylog argument given, but no file specified.");
            return NJ_EINVAL;
        }
        line->keylog = value;
        return NJ_OK;
    }
    if (is_arg(arg, NULL, "--compat")) {
        if (!value) {
            nj_log(NJ_LOG_ERROR, "Error: --compat argument given, but no mode specified.");
            return NJ_EINVAL;
        }
        return take_compat(line, value);
    }
    return NJ_EDECLINED;
}

static bool take_switch(struct command_line *line, const char *arg)
{
    if (is_arg(arg, "-d", "--daemon")) {
        line->is_daemon = true;
    } else if (is_arg(arg, "-h", "--help")) {
        line->wants_help = true;
    } else if (is_arg(arg, "-q", "--quiet")) {
        line->is_quiet = true;
    } else if (is_arg(arg, "-v", "--verbose")) {
        line->is_verbose = true;
    } else if (is_arg(arg, NULL, "--test-config")) {
        line->is_test = true;
    } else if (is_arg(arg, NULL, "--version")) {
        line->wants_version = true;
    } else {
        return false;
    }
    return true;
}

static enum nj_err read_args(int argc, char **argv, struct command_line *line)
{
    line->compat = -1;
    for (int i = 1; i < argc; i++) {
        char *arg = normal_dashes(argv[i]);
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool is_switch = take_switch(line, arg);
        enum nj_err err = is_switch ? NJ_OK : take_valued(line, arg, value);
        if (err == NJ_EDECLINED) {
            nj_log(NJ_LOG_ERROR, "Error: Unknown option '%s'.", arg);
        }
        nj_free(arg);
        if (err != NJ_OK) {
            return NJ_EINVAL;
        }
        i += is_switch ? 0 : 1;
    }
    return NJ_OK;
}

static bool is_compat_name(const char *program)
{
    const char *slash = strrchr(program, '/');
    return strncmp(slash ? slash + 1 : program, "mosquitto", 9) == 0;
}

/* The `compat` line has to be known before the first other option is read: a quick look. */
static int compat_line(const char *path)
{
    struct nj_buf text;
    int mode = -1;
    nj_buf_init(&text);
    if (path && nj_file_read(path, 16u << 20, false, &text) == NJ_OK &&
        nj_buf_append(&text, "", 1) == NJ_OK) {
        for (char *line = (char *)text.data; line; line = strchr(line, '\n')) {
            line += *line == '\n';
            if (strncmp(line, "compat ", 7) == 0) {
                line += 7 + strspn(line + 7, " \t");
                mode = strncmp(line, "mosquitto", 9) == 0 ? 1
                       : strncmp(line, "none", 4) == 0    ? 0
                                                          : mode;
            }
        }
    }
    nj_buf_fini(&text);
    return mode;
}

static struct nj_settings *new_settings(bool is_compat)
{
    struct nj_settings *settings = nj_zalloc(sizeof(*settings));
    nj_mode_init(&settings->mode, is_compat);
    settings->allow_duplicate_messages = true;
    settings->allow_zero_length_clientid = true;
    settings->auto_id_prefix = NULL;
    settings->connection_messages = true;
    settings->global_max_clients = -1;
    settings->global_max_connections = -1;
    settings->log_facility = -1;
    settings->log_timestamp = true;
    settings->max_inflight_messages = 20;
    settings->max_packet_size = 2000000;
    settings->max_queued_messages = 1000;
    settings->retained_persistence = true;
    settings->autosave_interval = 1800;
    settings->retain_available = true;
    settings->sys_interval = 10;
    settings->websockets_headers_size = 4096;
    settings->rights_change = -1;
    settings->persistence = settings->mode.persistence_default;
    return settings;
}

/* What the file set explicitly wins over the mode's row. */
static void apply_own_options(struct nj_settings *settings)
{
    struct nj_mode_settings *mode = &settings->mode;
    if (settings->acl_default != NJ_UNSET) {
        mode->acl_default_allow = settings->acl_default == NJ_YES;
    }
    if (settings->session_owner != NJ_UNSET) {
        mode->session_owner = settings->session_owner == NJ_YES;
    }
    if (settings->rights_change >= 0) {
        mode->rights_change = (enum nj_rights_change)settings->rights_change;
    }
    bool has_dest = settings->log_stderr || settings->log_stdout || settings->log_syslog ||
                    settings->log_topic || settings->log_file || settings->log_none;
    if (!has_dest) {
        settings->log_stderr = true;
    }
    if (!settings->has_log_types) {
        settings->log_types = NJ_LOG_DEFAULT;
    }
    if (settings->is_verbose) {
        settings->log_types = NJ_LOG_ALL;
    }
    if (settings->is_quiet) {
        settings->log_types = NJ_LOG_ERROR;
    }
}

static enum nj_err parse_all(struct nj_settings *settings, const char *path)
{
    struct nj_parser parser = {.settings = settings};
    enum nj_err err = path ? nj_parser_file(&parser, path) : NJ_OK;
    if (err == NJ_OK) {
        err = nj_parser_finish(&parser);
    }
    nj_free(parser.bridge);
    nj_free(parser.default_host);
    return err;
}

static void use_ports(struct nj_settings *settings, const struct command_line *line)
{
    if (line->port_count == 0) {
        return;
    }
    if (!settings->is_local_only) {
        nj_log(NJ_LOG_WARNING, "Warning: -p is not used, because the configuration has listeners.");
        return;
    }
    settings->listeners[0].port = line->ports[0];
    for (int i = 1; i < line->port_count; i++) {
        struct nj_listener_settings *listener = nj_settings_add_listener(settings);
        listener->port = line->ports[i];
        listener->host = nj_strdup("localhost");
    }
}

void nj_config_load(int argc, char **argv, struct nj_config_result *out)
{
    struct command_line line = {0};
    *out = (struct nj_config_result){.action = NJ_CONFIG_EXIT, .exit_status = EXIT_CONFIG};
    enum nj_err err = read_args(argc, argv, &line);
    bool is_compat = line.compat == 1 || (line.compat < 0 && is_compat_name(argv[0]));
    if (err != NJ_OK) {
        return;
    }
    if (line.wants_help || line.wants_version) {
        if (line.wants_help) {
            print_usage(is_compat);
        } else {
            printf("nightjar version %s\n", NJ_VERSION);
        }
        out->exit_status = 0;
        return;
    }
    int from_file = compat_line(line.config_file);
    if (line.compat < 0 && from_file >= 0) {
        is_compat = from_file == 1;
    }
    struct nj_settings *settings = new_settings(is_compat);
    settings->is_daemon = line.is_daemon;
    settings->is_quiet = line.is_quiet;
    settings->is_verbose = line.is_verbose;
    settings->tls_keylog = line.keylog ? nj_strdup(line.keylog) : NULL;
    settings->config_file = line.config_file ? nj_strdup(line.config_file) : NULL;
    if (parse_all(settings, line.config_file) != NJ_OK) {
        nj_settings_free(settings);
        return;
    }
    use_ports(settings, &line);
    apply_own_options(settings);
    out->settings = settings;
    out->action = line.is_test ? NJ_CONFIG_TEST : NJ_CONFIG_RUN;
    out->exit_status = 0;
}

/* ---- reload */

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_listener(const struct nj_listener_settings *a,
                          const struct nj_listener_settings *b)
{
    return a->port == b->port && same_text(a->host, b->host) &&
           same_text(a->unix_path, b->unix_path) && a->protocol == b->protocol;
}

static bool same_listeners(const struct nj_settings *old, const struct nj_settings *fresh)
{
    if (old->listener_count != fresh->listener_count) {
        return false;
    }
    for (size_t i = 0; i < old->listener_count; i++) {
        if (!same_listener(&old->listeners[i], &fresh->listeners[i])) {
            return false;
        }
    }
    return true;
}

enum nj_err nj_config_reload(const struct nj_settings *old, struct nj_settings **out)
{
    struct nj_settings *settings = new_settings(old->mode.is_compat);
    settings->is_quiet = old->is_quiet;
    settings->is_verbose = old->is_verbose;
    settings->config_file = old->config_file ? nj_strdup(old->config_file) : NULL;
    settings->tls_keylog = old->tls_keylog ? nj_strdup(old->tls_keylog) : NULL;
    if (parse_all(settings, old->config_file) != NJ_OK) {
        nj_settings_free(settings);
        return NJ_EINVAL;
    }
    apply_own_options(settings);
    if (settings->is_local_only) {
        for (size_t i = 0; i < old->listener_count && i < settings->listener_count; i++) {
            settings->listeners[i].port = old->listeners[i].port;
        }
        while (settings->listener_count < old->listener_count) {
            struct nj_listener_settings *extra = nj_settings_add_listener(settings);
            extra->port = old->listeners[settings->listener_count - 1].port;
            extra->host = nj_strdup("localhost");
        }
    }
    if (!same_listeners(old, settings) || old->per_listener != settings->per_listener) {
        nj_log(NJ_LOG_ERROR,
               "Error: listeners and per_listener_settings cannot be changed while the "
               "broker runs; restart it. Nothing was reloaded.");
        nj_settings_free(settings);
        return NJ_EINVAL;
    }
    *out = settings;
    return NJ_OK;
}

const char *const *nj_config_differences(const struct nj_settings *settings)
{
    static const char *const native[] = {
        "native mode: without an ACL authenticated clients may do nothing (acl_default allow "
        "changes that)",
        "native mode: a session belongs to the user who made it (session_owner none changes that)",
        "native mode: leading topic lines of an ACL file apply to every client that got in",
        "native mode: SUBSCRIBE is refused when nothing could ever be delivered",
        "native mode: a change of rights takes effect on live sessions without disconnecting them "
        "(rights_change kick changes that)",
        NULL};
    static const char *const compat[] = {"compat mode: behaving as Mosquitto 2.1.2", NULL};
    return settings->mode.is_compat ? compat : native;
}

void nj_config_print_reference(FILE *out)
{
    static const char *const places[] = {"global", "listener", "global or listener", "bridge",
                                         "plugin"};
    static const char *const reloads[] = {"at once", "restart", "-"};
    (void)fprintf(out, "| option | belongs to | reloaded | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < nj_option_count; i++) {
        const struct nj_option *option = &nj_options[i];
        if (option->place == NJ_PLACE_BRIDGE) {
            continue;
        }
        (void)fprintf(out, "| `%s` | %s | %s | %s |\n", option->name, places[option->place],
                      reloads[option->reload], option->help);
    }
}
