/* Every row of the option table: defaults, good and bad values, duplicates, places. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config_priv.h"
#include "config/custom.h"
#include "rig.h"

/* A value that the option accepts, for those where the kind does not tell. */
static const struct {
    const char *name;
    const char *good;
    const char *bad; /* NULL = any text is good */
} values[] = {
    {"compat", "none", "Mosquitto"},
    {"log_dest", "file x.log", "printer"},
    {"log_type", "all", "everything"},
    {"durability", "interval 20", "interval"},
    {"durability", "memory", "memory 5"},
    {"durability", "fsync", "interval 0"},
    {"persistent_client_expiration", "2w", "2"},
    {"persistent_client_expiration", "1s", "0d"},
    {"persistent_client_expiration", "90d", "-1h"},
    {"persistent_client_expiration", "10y", "y"},
    {"protocol", "websockets", "mqttsn"},
    {"socket_domain", "ipv6", "4"},
    {"accept_protocol_versions", "3,4, 5", "6"},
    {"accept_protocol_versions", "5", "45"},
    {"accept_protocol_versions", "3 4", ","},
    {"mount_point", "a/b/", "a/+/"},
    {"mount_point", "x", "#"},
    {"tls_version", "tlsv1.3", "tlsv1.1"},
    {"websockets_origin", "https://example.org", NULL},
    {"port", "1884", "0"},
    {"bind_address", "127.0.0.1", "a b"},
    {"include_dir", "empty.d", "nowhere"},
    {"auto_id_prefix", "x", "012345678901234567890123456789012345678901234567890"},
    {"listener_auto_id_prefix", "x", "012345678901234567890123456789012345678901234567890"},
    {"topic", "a/# both 2 \"\" x/", "a/# sideways"},
    {"topic", "\"a b\" OUT", "\"a b"},
    {"topic", "\"\" in 0 a b", "\"\" in 0 a"},
    {"topic", "a in 1 # comment", "a in 3"},
    {"topic", "a", "a/#/b"},
    {"topic", "a in 0 x y", "a in 0 x y z"},
    {"topic", "a in 0 x y", "a in 0 x/+ y"},
    {"topic", "a in 0 x y", "a in 0 x y/#"},
    {"bridge_tcp_keepalive", "1 2 3", "1 2"},
    {"bridge_tcp_keepalive", "1 2 3", "0 2 3"},
    {"bridge_tcp_keepalive", "1 2 3", "1 2 3 4"},
    {"restart_timeout", "10 30", "10 5"},
    {"restart_timeout", "10 30 60", "10 30 -1"},
    {"restart_timeout", "9999", "x"},
    {"start_type", "once", "manual"},
    {"bridge_protocol_version", "mqttv50", "mqttv5"},
    {"auth_plugin_deny_special_chars", "true", "maybe"},
    {"plugin_load", "name /x.so", "name"},
    {"connection", "other", "two words"},
};

static const char *prelude(const struct nj_option *option)
{
    switch (option->place) {
    case NJ_PLACE_LISTENER:
        return "listener 1884\n";
    case NJ_PLACE_BRIDGE:
        return "connection b\n";
    case NJ_PLACE_PLUGIN:
        return strncmp(option->name, "auth_plugin_deny", 16) == 0 ? "plugin /x/foreign.so\n" : "";
    default:
        return "";
    }
}

static struct nj_config_result load_line(const struct nj_option *option, const char *value,
                                         const char *more)
{
    char text[1024];
    (void)snprintf(text, sizeof(text), "%s%s %s\n%s", prelude(option), option->name, value, more);
    return rig_load(text);
}

/* What ends the start because it is not built, or not complete, is not a bad value. */
static bool is_accepted(const struct nj_config_result *result)
{
    return result->action == NJ_CONFIG_RUN || strstr(result->error, "is not available in this") ||
           strstr(result->error, "no remote addresses defined.") ||
           strstr(result->error, "no topics defined.") ||
           strstr(result->error, "Both certfile and keyfile") ||
           strstr(result->error, "specified without certfile") ||
           strstr(result->error, "require_certificate needs") ||
           strstr(result->error, "enable_proxy_protocol needs") ||
           strstr(result->error, "psk_hint needs a psk_file") ||
           strstr(result->error, "certificate_management needs a capath") ||
           strstr(result->error, "needs tls_engine") ||
           strstr(result->error, "http_dir is available with") ||
           strstr(result->error, "proxy_protocol_v2_require_tls needs") ||
           strstr(result->error, "bridge_psk.") || strstr(result->error, "bridge_identity.");
}

static void expect(const struct nj_option *option, const char *value, bool is_good)
{
    struct nj_config_result result = load_line(option, value, "");
    if (is_accepted(&result) != is_good) {
        print_error("%s %s: %s\n", option->name, value, rig_log());
    }
    assert_int_equal(is_accepted(&result), is_good);
    assert_int_equal(result.exit_status, result.action == NJ_CONFIG_RUN ? 0 : 3);
    nj_settings_free(result.settings);
}

static bool has_plain_value(const struct nj_option *option)
{
    return option->kind != NJ_OPT_CUSTOM && option->kind != NJ_OPT_IGNORED;
}

static void the_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < nj_option_count; i++) {
        const struct nj_option *option = &nj_options[i];
        assert_true(nj_option_find(option->name) == option);
        assert_non_null(option->help);
        assert_true(option->kind != NJ_OPT_CUSTOM || option->parse);
        assert_true(option->kind != NJ_OPT_WORD || option->words);
        assert_true(option->kind != NJ_OPT_INT || option->min < option->max);
        assert_true(!option->alias || nj_option_find(option->alias));
        assert_true(has_plain_value(option) || !option->def || option->parse);
    }
}

static void every_default_is_what_the_table_says(void **state)
{
    struct nj_settings *settings = rig_good("listener 1884\n");
    char value[512];
    (void)state;
    for (size_t i = 0; i < nj_option_count; i++) {
        const struct nj_option *option = &nj_options[i];
        const void *base = option->place == NJ_PLACE_GLOBAL     ? (const void *)settings
                           : option->place == NJ_PLACE_LISTENER ? settings->listeners
                                                                : NULL;
        if (base && option->def && has_plain_value(option)) {
            nj_option_print(option, base, value, sizeof(value));
            assert_string_equal(value, option->def);
        }
    }
    assert_true(settings->log_stderr);
    assert_int_equal(settings->log_types, 15);
    assert_int_equal(settings->log_facility, -1);
    assert_int_equal(settings->listeners[0].accept_versions, 56);
    assert_true(settings->allow_zero_length_clientid);
    assert_string_equal(nj_settings_auto_id_prefix(settings, 0), "auto-");
    nj_settings_free(settings);
}

static void every_option_takes_good_values_and_refuses_bad_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < nj_option_count; i++) {
        const struct nj_option *option = &nj_options[i];
        char value[64];
        if (option->kind == NJ_OPT_BOOL || option->kind == NJ_OPT_TRI) {
            expect(option, "true", true);
            expect(option, "0", true);
            expect(option, "True", false);
            expect(option, "yes", false);
        } else if (option->kind == NJ_OPT_INT && (!option->parse || !option->size)) {
            (void)snprintf(value, sizeof(value), "%lld", (long long)option->min);
            expect(option, value, true);
            (void)snprintf(value, sizeof(value), "%lld", (long long)option->max);
            expect(option, value, true);
            expect(option, "five", false);
        } else if (option->kind == NJ_OPT_WORD && !option->parse) {
            (void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(option->words, "|"),
                           option->words);
            expect(option, value, true);
            expect(option, option->words, false);
            expect(option, "neither", false);
        } else if (option->kind == NJ_OPT_STRING && !option->parse) {
            expect(option, "some/path", true);
            expect(option, "a\xff", false);
            expect(option, "a\x01", false);
        }
    }
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        const struct nj_option *option = nj_option_find(values[i].name);
        expect(option, values[i].good, true);
        if (values[i].bad) {
            expect(option, values[i].bad, false);
        }
    }
}

static void B_262_numbers_are_decimal_and_in_range(void **state)
{
    static const char *const never[] = {
        "1e3",
        "0x10",
        "010",
        "5x",
        "+5",
        "5.0",
        "--5",
        "-",
        "9223372036854775808",
        "99999999999999999999",
        "5 6",
        "5 # comment",
    };
    (void)state;
    for (size_t i = 0; i < nj_option_count; i++) {
        const struct nj_option *option = &nj_options[i];
        if (option->kind != NJ_OPT_INT || (option->parse && option->size)) {
            continue;
        }
        for (size_t k = 0; k < sizeof(never) / sizeof(never[0]); k++) {
            expect(option, never[k], false);
        }
        bool clamps = option->flags & NJ_OPTION_CLAMPS;
        expect(option, "-1", option->min < 0 || clamps);
        expect(option, "-2147483649", false);
        expect(option, "0", option->min <= 0 || clamps);
        expect(option, "2147483648", option->max > INT32_MAX);
        expect(option, "   7", option->max >= 7 && option->min <= 7);
    }
}

static void B_261_a_missing_value_is_an_error(void **state)
{
    char error[256];
    (void)state;
    for (size_t i = 0; i < nj_option_count; i++) {
        const struct nj_option *option = &nj_options[i];
        struct nj_config_result result = load_line(option, "", "");
        if (option->kind == NJ_OPT_IGNORED) {
            assert_int_equal(result.exit_status, 0);
            nj_settings_free(result.settings);
            continue;
        }
        (void)snprintf(error, sizeof(error), "Error: Empty '%s' value in configuration.",
                       option->label ? option->label : option->name);
        if (strncmp(option->name, "plugin_opt_", 11) == 0) {
            continue;
        }
        assert_int_equal(result.exit_status, 3);
        assert_string_equal(result.error, option->empty ? option->empty : error);
    }
}

static void B_261_an_option_given_twice_is_an_error(void **state)
{
    char line[256];
    (void)state;
    for (size_t i = 0; i < nj_option_count; i++) {
        const struct nj_option *option = &nj_options[i];
        const char *value = NULL;
        switch (option->kind) {
        case NJ_OPT_BOOL:
        case NJ_OPT_TRI:
            value = "false";
            break;
        case NJ_OPT_STRING:
            /* The first is good for every other text. */
            value = strcmp(option->name, "response_information") ? "tlsv1.2" : "none";
            break;
        case NJ_OPT_INT:
            value = option->max >= 20 ? "20" : "1";
            break;
        default:
            break;
        }
        if (!value || (option->parse && option->kind == NJ_OPT_INT && option->size)) {
            continue;
        }
        (void)snprintf(line, sizeof(line), "%s %s\n", option->name, value);
        struct nj_config_result result = load_line(option, value, line);
        assert_int_equal(result.exit_status, 3);
        assert_non_null(strstr(result.error, "Error: Duplicate '"));
        assert_non_null(strstr(result.error, "' value in configuration."));
    }
    rig_bad("listener 1884\nmax_qos 1\nmaximum_qos 1\n",
            "Error: Duplicate 'maximum_qos' value in configuration.", 3);
    rig_bad("protocol mqtt\nprotocol mqtt\n", "Error: Duplicate 'protocol' value in configuration.",
            2);
    rig_bad("acl_default deny\nacl_default deny\n",
            "Error: Duplicate 'acl_default' value in configuration.", 2);
}

static void options_of_a_section_want_it_before_them(void **state)
{
    char text[256];
    char error[256];
    (void)state;
    for (size_t i = 0; i < nj_option_count; i++) {
        const struct nj_option *option = &nj_options[i];
        const char *what = option->place == NJ_PLACE_BRIDGE ? "bridge" : "listener";
        if (option->place != NJ_PLACE_BRIDGE &&
            (option->place != NJ_PLACE_LISTENER || option->needs == NJ_NEEDS_DEFAULT)) {
            continue;
        }
        (void)snprintf(text, sizeof(text), "# first\n%s 1\n", option->name);
        (void)snprintf(error, sizeof(error),
                       "Error: The '%s' option requires a %s to be defined first.", option->name,
                       what);
        rig_bad(text, error, 2);
    }
}

static void options_that_are_not_built_are_named_and_end_the_start(void **state)
{
    (void)state;
    for (size_t i = 0; i < nj_option_count; i++) {
        const struct nj_option *option = &nj_options[i];
        char part[128];
        if (!(option->flags & NJ_OPTION_UNBUILT) || option->place == NJ_PLACE_PLUGIN ||
            option->parse) {
            continue;
        }
        const char *value = option->kind == NJ_OPT_BOOL   ? "true"
                            : option->kind == NJ_OPT_INT  ? "1"
                            : option->kind == NJ_OPT_WORD ? "engine"
                                                          : "x";
        struct nj_config_result result = load_line(option, value, "");
        (void)snprintf(
            part, sizeof(part),
            "Error: The '%s' option is not available in this version of nightjar: ", option->name);
        assert_int_equal(result.exit_status, 3);
        assert_int_equal(strncmp(result.error, part, strlen(part)), 0);
        assert_true(rig_logged("Error found at c.conf:"));
        if (option->kind == NJ_OPT_BOOL) {
            expect(option, "false", true);
        }
    }
}

static void a_mistake_is_told_before_what_is_not_built(void **state)
{
    (void)state;
    rig_bad("plugin_load x /x/y.so\nmax_keepalive 70000\n",
            "Error: Invalid 'max_keepalive' value (70000).", 2);
    rig_bad("connection b\ntopic a\nnonsense\n",
            "Error: Unknown configuration variable 'nonsense'.", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(every_default_is_what_the_table_says),
        cmocka_unit_test(every_option_takes_good_values_and_refuses_bad_ones),
        cmocka_unit_test(B_262_numbers_are_decimal_and_in_range),
        cmocka_unit_test(B_261_a_missing_value_is_an_error),
        cmocka_unit_test(B_261_an_option_given_twice_is_an_error),
        cmocka_unit_test(options_of_a_section_want_it_before_them),
        cmocka_unit_test(options_that_are_not_built_are_named_and_end_the_start),
        cmocka_unit_test(a_mistake_is_told_before_what_is_not_built),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
