/* First load: command line, mode, file, environment. See config.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "config/config_priv.h"
#include "mqtt/utf8.h"

#define EXIT_CONFIG 3

extern char **environ;

static bool is_compat_name(const char *program)
{
    const char *slash = program ? strrchr(program, '/') : NULL;
    return program && strncmp(slash ? slash + 1 : program, "mosquitto", 9) == 0;
}

static int compat_of(char *line)
{
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '#') {
        return -1;
    }
    const char *key = nj_next_token(&line);
    const char *word = nj_next_token(&line);
    return key && word && strcmp(key, "compat") == 0 ? nj_parse_word(word, "none|mosquitto") : -1;
}

/* The mode has to be known before the first other option is read: a quick look ahead. Whatever is
 * wrong with the file is told when it is read. */
int nj_config_compat_line(const char *path)
{
    struct nj_buf text;
    int mode = -1;
    nj_buf_init(&text);
    if (path && nj_file_read(path, NJ_CONF_FILE_MAX, false, &text) == NJ_OK &&
        nj_buf_append(&text, "", 1) == NJ_OK) {
        char *line = (char *)text.data;
        const char *end = line + text.len - 1;
        line += strncmp(line, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
        while (line && mode < 0) {
            char *newline = memchr(line, '\n', (size_t)(end - line));
            if (newline) {
                *newline = '\0'; /* so that no look-up goes beyond its line */
            }
            mode = compat_of(line);
            line = newline ? newline + 1 : NULL;
        }
    }
    nj_buf_fini(&text);
    return mode;
}

static bool is_known_variable(const char *entry, size_t len)
{
    static const char *const known[] = {
        "MOSQUITTO_PERSISTENCE_LOCATION",
        "MOSQUITTO_UNSAFE_ALLOW_SYMLINKS",
        "MOSQUITTO_DYNSEC_PASSWORD",
        "NIGHTJAR_STORE_CHAOS",
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strlen(known[i]) == len && strncmp(known[i], entry, len) == 0) {
            return true;
        }
    }
    return false;
}

/* A variable that looks like ours and is not is named (never its value), not obeyed. */
static void note_unknown_variables(void)
{
    for (char **entry = environ; entry && *entry; entry++) {
        size_t len = strcspn(*entry, "=");
        bool is_ours = strncmp(*entry, "MOSQUITTO_", 10) == 0 ||
                       strncmp(*entry, "NIGHTJAR_", 9) == 0 || strncmp(*entry, "NJ_", 3) == 0;
        if (is_ours && !is_known_variable(*entry, len)) {
            nj_log(NJ_LOG_WARNING, "Warning: The environment variable %.*s is not known; ignored.",
                   (int)(len < 100 ? len : 100), *entry);
        }
    }
}

static void apply_environment(struct nj_settings *settings)
{
    /* The environment is only read, and nobody changes it. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    const char *location = getenv("MOSQUITTO_PERSISTENCE_LOCATION");
    if (location && (!*location || !nj_mqtt_utf8_is_valid(nj_bytes_of(location)) ||
                     nj_mqtt_utf8_has_control(nj_bytes_of(location)))) {
        nj_log(NJ_LOG_WARNING,
               "Warning: The environment variable MOSQUITTO_PERSISTENCE_LOCATION is no path; "
               "ignored.");
    } else if (location) {
        nj_set_text(&settings->persistence_location, location);
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe) */
    if (getenv("MOSQUITTO_UNSAFE_ALLOW_SYMLINKS")) {
        settings->mode.nofollow_credentials = false;
    }
}

static void apply_log(struct nj_settings *settings)
{
    bool has_destination = settings->log_stderr || settings->log_stdout || settings->log_syslog ||
                           settings->log_topic || settings->log_file || settings->log_none;
    if (!has_destination) {
        settings->log_stderr = true;
    }
    if (!settings->has_log_types) {
        settings->log_types = NJ_LOG_DEFAULT;
    }
    if (settings->is_verbose) {
        settings->log_types = NJ_LOG_ALL;
    }
    if (settings->is_quiet) {
        settings->log_types = 0;
    }
}

void nj_config_apply(struct nj_settings *settings)
{
    /* What the file says wins over the mode's row. */
    struct nj_mode_settings *mode = &settings->mode;
    if (settings->acl_default != NJ_UNSET) {
        mode->acl_default_allow = settings->acl_default == NJ_YES;
    }
    if (settings->session_owner != NJ_UNSET) {
        mode->session_owner = settings->session_owner == NJ_YES;
    }
    if (settings->response_information) {
        mode->sends_response_info = strcmp(settings->response_information, "none") != 0;
    }
    mode->rights_change = (enum nj_rights_change)settings->rights_change;
    if (settings->enable_control_api != NJ_UNSET) {
        mode->control_api = settings->enable_control_api == NJ_YES;
    }
    if (settings->check_retain_source != NJ_UNSET) {
        mode->retain_rechecks_origin = settings->check_retain_source == NJ_YES;
    }
    apply_log(settings);
    nj_mode_note_differences(settings);
}

enum nj_err nj_config_parse(struct nj_settings *settings, char *error)
{
    struct nj_parser *parser = nj_zalloc(sizeof(*parser));
    parser->settings = settings;
    parser->context.listener = parser->context.bridge = -1;
    parser->default_listener = -1;
    enum nj_err err = settings->config_file ? nj_parser_file(parser, settings->config_file) : NJ_OK;
    if (err == NJ_OK) {
        err = nj_parser_finish(parser);
        apply_environment(settings);
        if (settings->rights_change < 0) {
            settings->rights_change = (int)settings->mode.rights_change;
        }
    }
    memcpy(error, parser->error, NJ_CONFIG_ERROR_MAX);
    for (size_t i = 0; i < parser->plugin_name_count; i++) {
        nj_free(parser->plugin_names[i]);
    }
    nj_free(parser->plugin_names);
    nj_free(parser->refusal.text);
    nj_free(parser->refusal.place);
    nj_free(parser->misplaced.text);
    nj_free(parser->misplaced.place);
    nj_free(parser);
    return err;
}

static void use_ports(struct nj_settings *settings, const struct nj_command_line *line)
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
        nj_listener_settings_copy(listener, &settings->listeners[0]);
        listener->port = line->ports[i];
    }
}

static bool has_same_port_twice(const struct nj_command_line *line)
{
    for (int i = 0; i < line->port_count; i++) {
        for (int k = 0; k < i; k++) {
            if (line->ports[i] == line->ports[k]) {
                return true;
            }
        }
    }
    return false;
}

static void answer_and_exit(const struct nj_command_line *line, bool is_compat)
{
    if (line->wants_help) {
        nj_args_print_usage(is_compat);
    } else if (is_compat) {
        printf("mosquitto version 2.1.2 (nightjar %s)\n", NJ_VERSION);
    } else {
        printf("nightjar version %s\n", NJ_VERSION);
    }
}

static struct nj_settings *settings_of(const struct nj_command_line *line, bool is_compat)
{
    struct nj_settings *settings = nj_settings_new(is_compat);
    settings->compat_is_forced = line->compat >= 0;
    settings->is_daemon = line->is_daemon;
    settings->recover = line->recover;
    settings->is_quiet = line->is_quiet;
    settings->is_verbose = line->is_verbose;
    nj_set_text(&settings->tls_keylog, line->keylog);
    nj_set_text(&settings->config_file, line->config_file);
    return settings;
}

void nj_config_load(int argc, char **argv, struct nj_config_result *out)
{
    struct nj_command_line line;
    *out = (struct nj_config_result){.action = NJ_CONFIG_EXIT, .exit_status = EXIT_CONFIG};
    enum nj_err err = nj_args_read(argc, argv, &line, out->error);
    bool is_compat = line.compat == 1 || (line.compat < 0 && is_compat_name(argv[0]));
    if (line.wants_help || (err == NJ_OK && line.wants_version)) {
        answer_and_exit(&line, is_compat);
        out->exit_status = err == NJ_OK ? 0 : EXIT_CONFIG;
        return;
    }
    if (err == NJ_OK && has_same_port_twice(&line)) {
        (void)snprintf(out->error, sizeof(out->error), "Error: A port is specified twice.");
        nj_log(NJ_LOG_ERROR, "%s", out->error);
        err = NJ_EINVAL;
    }
    if (err != NJ_OK) {
        return;
    }
    int from_file = nj_config_compat_line(line.config_file);
    if (line.compat < 0 && from_file >= 0) {
        is_compat = from_file == 1;
    }
    struct nj_settings *settings = settings_of(&line, is_compat);
    if (nj_config_parse(settings, out->error) != NJ_OK) {
        nj_settings_free(settings);
        return;
    }
    use_ports(settings, &line);
    note_unknown_variables();
    nj_config_apply(settings);
    out->settings = settings;
    out->action = line.is_test ? NJ_CONFIG_TEST : NJ_CONFIG_RUN;
    out->exit_status = 0;
    if (line.is_test && line.is_verbose) {
        nj_config_print_effective(settings, stdout);
    }
}
