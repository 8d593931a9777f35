/* Options of the publishing and subscribing tools: what each sets, and what is refused how. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "opts.h"
#include "support/test.h"

static const struct nj_command COMPAT_PUB = {"mosquitto_pub", "mosquitto_pub", true};
static const struct nj_command COMPAT_SUB = {"mosquitto_sub", "mosquitto_sub", true};
static const struct nj_command NATIVE_PUB = {"nj pub", "mosquitto_pub", false};
static const struct nj_command NATIVE_SUB = {"nj sub", "mosquitto_sub", false};

/* A command line given as one string with '|' between arguments, its outcome and its error text. */
struct trial {
    struct nj_opts opts;
    enum nj_opts_result result;
    char *text;
    size_t text_len;
    FILE *err;
    char line[512];
    char *argv[80];
    int argc;
};

static void try_line(struct trial *t, const struct nj_command *command, const char *line)
{
    memset(t, 0, sizeof(*t));
    snprintf(t->line, sizeof(t->line), "%s", line);
    t->argv[t->argc++] = (char[]){"tool"};
    char *rest = t->line;
    char *word;
    while (rest[0] != '\0' && (word = strsep(&rest, "|")) != NULL) {
        t->argv[t->argc++] = word;
        if (rest == NULL) {
            break;
        }
    }
    t->argv[t->argc] = NULL;
    t->err = open_memstream(&t->text, &t->text_len);
    bool is_pub = command == &COMPAT_PUB || command == &NATIVE_PUB;
    nj_opts_init(&t->opts, command, is_pub ? NJ_TOOL_PUB : NJ_TOOL_SUB, t->err);
    t->result = nj_opts_load(&t->opts, t->argc, t->argv);
    fflush(t->err);
}

static void done(struct trial *t)
{
    nj_opts_fini(&t->opts);
    fclose(t->err);
    free(t->text);
}

static void expect_error(const struct nj_command *command, const char *line, const char *text)
{
    struct trial t;
    try_line(&t, command, line);
    if (t.result != NJ_OPTS_BAD || strcmp(t.text, text) != 0) {
        fail_msg("'%s': result %d, text '%s'", line, t.result, t.text);
    }
    done(&t);
}

static void takes_every_short_and_long_name(void **state)
{
    (void)state;
    struct trial t;
    try_line(&t, &COMPAT_PUB,
             "--host|h|--port|17|--topic|t/u|--message|m|--qos|2|--retain|--id|i|--keepalive|77|"
             "--username|u|--pw|p|--debug|--protocol-version|31|--disable-clean-session");
    assert_int_equal(t.result, NJ_OPTS_OK);
    assert_string_equal(t.opts.host, "h");
    assert_int_equal(t.opts.port, 17);
    assert_string_equal(t.opts.topics.items[0], "t/u");
    assert_string_equal(t.opts.message, "m");
    assert_int_equal(t.opts.qos, 2);
    assert_true(t.opts.retain);
    assert_string_equal(t.opts.id, "i");
    assert_int_equal(t.opts.keepalive, 77);
    assert_string_equal(t.opts.username, "u");
    assert_string_equal(t.opts.password, "p");
    assert_true(t.opts.is_debug);
    assert_int_equal(t.opts.version, NJ_MQTT_31);
    assert_false(t.opts.clean_session);
    done(&t);

    try_line(&t, &COMPAT_SUB,
             "-t|a|-t|b/#|-T|b/x|-U|c|-C|3|-W|9|-E|-R|-N|-v|-w|-F|%t|--pretty|--message-rate|"
             "--random-filter|50|--remove-retained|--retain-as-published|--retain-handling|never|"
             "-x|10|-M|5|-A|127.0.0.1|--nodelay|--quiet|--ws|--unix|/s|-V|5");
    assert_int_equal(t.result, NJ_OPTS_OK);
    assert_int_equal(t.opts.topics.count, 2);
    assert_string_equal(t.opts.filters_out.items[0], "b/x");
    assert_string_equal(t.opts.unsubscribes.items[0], "c");
    assert_int_equal(t.opts.message_count, 3);
    assert_int_equal(t.opts.timeout_s, 9);
    assert_int_equal(t.opts.random_filter, 5000);
    assert_int_equal(t.opts.retain_handling, 2);
    assert_int_equal(t.opts.session_expiry, 10);
    assert_int_equal(t.opts.max_inflight, 5);
    assert_string_equal(t.opts.format, "%t");
    assert_string_equal(t.opts.unix_path, "/s");
    assert_true(t.opts.exit_after_sub && t.opts.no_retain && t.opts.no_eol && t.opts.is_verbose);
    assert_true(t.opts.is_watch && t.opts.is_pretty && t.opts.is_message_rate);
    assert_true(t.opts.remove_retained && t.opts.retain_as_published && t.opts.is_ws);
    assert_true(t.opts.nodelay && t.opts.is_quiet);
    done(&t);
}

static void reports_missing_and_bad_values_as_the_original(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *text;
    } CASES[] = {
        {"-A", "Error: -A argument given but no address specified.\n\n"},
        {"-M", "Error: -M argument given but max_inflight not specified.\n\n"},
        {"--port", "Error: -p argument given but no port specified.\n\n"},
        {"-p|99999", "Error: Invalid port given: 99999\n"},
        {"-q|3", "Error: Invalid QoS given: 3\n"},
        {"-k|4", "Error: Invalid keepalive given, it must be between 5 and 65535 inclusive.\n\n"},
        {"--bogus", "Error: Unknown option '--bogus'.\n"},
        {"-C|1", "Error: Unknown option '-C'.\n"},
        {"-m|a|-n", "Error: Only one type of message can be sent at once.\n\n"},
        {"-t|a/#", "Error: Invalid publish topic 'a/#', does it contain '+' or '#'?\n"},
        {"-t|\xff", "Error: Malformed UTF-8 in -t argument.\n\n"},
        {"--repeat|0", "Error: --repeat argument must be >0.\n\n"},
        {"--repeat-delay|-1", "Error: --repeat-delay argument must be >=0.0.\n\n"},
        {"--repeat-delay|nan", "Error: --repeat-delay argument must be >=0.0.\n\n"},
        {"-x|foo", "Error: session-expiry-interval not a number.\n\n"},
        {"-x|4294967296", "Error: session-expiry-interval out of range.\n\n"},
        {"-i|a|-I|b", "Error: -i and -I argument cannot be used together.\n\n"},
        {"--will-qos|9", "Error: Invalid will QoS 9.\n\n"},
        {"--will-retain", "Error: Will retain given, but no will topic given.\n"},
        {"--cert|a", "Error: Both certfile and keyfile must be provided if one of them is set.\n"},
        {"-c", "Error: You must provide a client id if you are using the -c option.\n"},
        {"-V|5|-x|-1", "Error: You must provide a client id if you are using an infinite session "
                       "expiry interval.\n"},
        {"--psk|1|--cafile|x",
         "Error: Only one of --psk or --cafile/--capath may be used at once.\n"},
        {"-L|foo://x/y", "Error: unsupported URL scheme.\n\n"},
        {"-L|mqtt://x", "Error: Invalid URL for -L argument specified - topic missing.\n"},
        {"--proxy|http://x", "Error: Unsupported proxy protocol: http://x\n"},
        {"--proxy|socks5h://", "Error: Invalid proxy.\n"},
        {"-D|publish", "Error: --property argument given but not enough arguments specified.\n\n"},
        {"-D|foo|bar|baz", "Error: Invalid command given in --property argument.\n\n"},
        {"-D|publish|bar|baz", "Error: Invalid property name given in --property argument.\n\n"},
        {"-D|connect|topic-alias|3",
         "Error: topic-alias property not allowed for connect in --property argument.\n\n"},
        {"-D|auth|user-property|a|b",
         "Error: user-property property not supported for auth in --property argument.\n\n"},
        {"-D|publish|topic-alias|65536",
         "Error: Property value (65536) out of range for property topic-alias.\n\n"},
        {"-D|connect|receive-maximum|0|-t|a|-m|b",
         "Error in CONNECT properties: A network protocol error occurred when communicating with "
         "the broker.\n"},
        {"-D|will|content-type|a|-D|will|content-type|b",
         "Error in Will properties: Duplicate property in property list\n"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        expect_error(&COMPAT_PUB, CASES[i].line, CASES[i].text);
    }
    expect_error(&COMPAT_SUB, "", "Error: You must specify a topic to subscribe to.\n");
    expect_error(
        &COMPAT_SUB, "-t|a#",
        "Error: Invalid subscription topic 'a#', are all '+' and '#' wildcards correct?\n");
    expect_error(&COMPAT_SUB, "-C|0", "Error: Invalid message count \"0\".\n\n");
    expect_error(&COMPAT_SUB, "-W|0", "Error: Invalid timeout \"0\".\n\n");
    expect_error(&COMPAT_SUB, "-F|%", "Error: Incomplete format specifier.\n");
    expect_error(&COMPAT_SUB, "-F|%Q", "Error: Invalid format specifier 'Q'.\n");
}

static void says_clearly_what_does_not_go_together(void **state)
{
    (void)state;
    struct trial t;
    try_line(&t, &COMPAT_SUB, "-S|-t|a");
    assert_int_equal(t.result, NJ_OPTS_OK);
    assert_true(t.opts.use_srv);
    done(&t);
    try_line(&t, &COMPAT_SUB, "-S|--unix|/x|-t|a");
    assert_int_equal(t.result, NJ_OPTS_BAD);
    assert_non_null(strstr(t.text, "-S"));
    done(&t);
    try_line(&t, &COMPAT_SUB, "--keyform|engine|--key|k|--cert|c|-t|a");
    assert_int_equal(t.result, NJ_OPTS_BAD);
    assert_non_null(strstr(t.text, "needs --tls-engine"));
    done(&t);
}

static void takes_keys_of_all_kinds(void **state)
{
    (void)state;
    struct trial t;
    try_line(&t, &NATIVE_PUB, "--psk|00|--psk-identity|i|-t|a|-m|b");
    assert_int_equal(t.result, NJ_OPTS_OK);
    assert_true(nj_opts_use_tls(&t.opts));
    done(&t);
    try_line(&t, &COMPAT_SUB, "--tls-engine|x|--keyform|engine|--key|k|--cert|c|-t|a");
    assert_int_equal(t.result, NJ_OPTS_OK);
    done(&t);
    try_line(&t, &COMPAT_SUB, "--tls-engine|x|--keyform|der|--key|k|--cert|c|-t|a");
    assert_int_equal(t.result, NJ_OPTS_BAD);
    done(&t);
}

static void takes_urls_apart(void **state)
{
    (void)state;
    struct trial t;
    try_line(&t, &COMPAT_SUB, "-L|mqtts://me:pa:ss@[::1]:99/a/b/#");
    assert_int_equal(t.result, NJ_OPTS_OK);
    assert_string_equal(t.opts.username, "me");
    assert_string_equal(t.opts.password, "pa:ss");
    assert_string_equal(t.opts.host, "::1");
    assert_int_equal(nj_opts_port(&t.opts), 99);
    assert_string_equal(t.opts.topics.items[0], "a/b/#");
    assert_true(nj_opts_use_tls(&t.opts));
    done(&t);

    try_line(&t, &COMPAT_PUB, "-L|mqtt://host/t|-m|x");
    assert_int_equal(t.opts.port, 1883);
    assert_false(nj_opts_use_tls(&t.opts));
    done(&t);

    try_line(&t, &NATIVE_PUB, "-L|wss://u%3A:p%40@host/some/path|-t|t|-m|x");
    assert_int_equal(t.opts.port, 443);
    assert_string_equal(t.opts.ws_path, "/some/path");
    assert_string_equal(t.opts.username, "u:");
    assert_string_equal(t.opts.password, "p@");
    assert_true(t.opts.is_ws && nj_opts_use_tls(&t.opts));
    done(&t);

    try_line(&t, &COMPAT_PUB, "--proxy|socks5h://a%25:b@px:99|-t|t|-m|x");
    assert_string_equal(t.opts.proxy.host, "px");
    assert_int_equal(t.opts.proxy.port, 99);
    assert_string_equal(t.opts.proxy.username, "a%");
    assert_string_equal(t.opts.proxy.password, "b");
    done(&t);
}

static void turns_tls_on_for_port_8883(void **state)
{
    (void)state;
    struct trial t;
    try_line(&t, &COMPAT_PUB, "-p|8883|-t|a|-m|b");
    assert_true(nj_opts_use_tls(&t.opts));
    done(&t);
    try_line(&t, &COMPAT_PUB, "-p|8883|--no-tls|-t|a|-m|b");
    assert_false(nj_opts_use_tls(&t.opts));
    done(&t);
    try_line(&t, &COMPAT_PUB, "--cafile|x|-t|a|-m|b");
    assert_int_equal(nj_opts_port(&t.opts), 8883);
    done(&t);
    try_line(&t, &COMPAT_PUB, "-t|a|-m|b");
    assert_int_equal(nj_opts_port(&t.opts), 1883);
    done(&t);
}

static void reads_dashes_pasted_from_a_web_page(void **state)
{
    (void)state;
    char out[64];
    assert_string_equal(nj_opts_plain_dashes("–cert", out, sizeof(out)), "--cert");
    assert_string_equal(nj_opts_plain_dashes("—cert", out, sizeof(out)), "--cert");
    assert_string_equal(nj_opts_plain_dashes("––cert", out, sizeof(out)), "--cert");
    assert_string_equal(nj_opts_plain_dashes("-–cert", out, sizeof(out)), "--cert");
    assert_string_equal(nj_opts_plain_dashes("–h", out, sizeof(out)), "-h");
    assert_string_equal(nj_opts_plain_dashes("−p", out, sizeof(out)), "-p");
    assert_string_equal(nj_opts_plain_dashes("-h", out, sizeof(out)), "-h");
    assert_string_equal(nj_opts_plain_dashes("--x", out, sizeof(out)), "--x");
    assert_string_equal(nj_opts_plain_dashes("–", out, sizeof(out)), "–");
    assert_string_equal(nj_opts_plain_dashes("", out, sizeof(out)), "");
    struct trial t;
    /* The article's own line; a value may begin with a dash of any kind. */
    try_line(&t, &COMPAT_PUB,
             "–h|127.0.0.1|-p|8883|–t|DemoTopic|–m|– Hello|–i|demo-id|–cert|c|–key|k");
    assert_int_equal(t.result, NJ_OPTS_OK);
    assert_string_equal(t.opts.message, "– Hello");
    assert_string_equal(t.opts.tls.certfile, "c");
    done(&t);
}

static void keeps_properties_in_order(void **state)
{
    (void)state;
    struct trial t;
    try_line(&t, &COMPAT_PUB,
             "-t|a|-m|b|-D|publish|user-property|k|v|-D|publish|message-expiry-interval|60|"
             "--property|PUBLISH|correlation-data|c|-D|will|will-delay-interval|5|--will-topic|w");
    assert_int_equal(t.result, NJ_OPTS_OK);
    assert_int_equal(t.opts.version, NJ_MQTT_5);
    const struct nj_opts_props *props = &t.opts.props[NJ_OPTS_PUBLISH];
    assert_int_equal(props->count, 3);
    assert_int_equal(props->items[0].id, 0x26);
    assert_string_equal(props->items[0].name, "k");
    assert_string_equal(props->items[0].text, "v");
    assert_int_equal(props->items[1].number, 60);
    assert_int_equal(props->items[2].type, NJ_OPTS_BINARY);
    assert_int_equal(t.opts.props[NJ_OPTS_WILL].items[0].number, 5);
    done(&t);
}

static void is_stricter_about_numbers_natively(void **state)
{
    (void)state;
    struct trial t;
    try_line(&t, &NATIVE_SUB, "-t|a|-q|one");
    assert_int_equal(t.result, NJ_OPTS_BAD);
    done(&t);
    try_line(&t, &COMPAT_SUB, "-t|a|-q|one");
    assert_int_equal(t.result, NJ_OPTS_OK);
    done(&t);
}

static void reads_an_options_file_before_the_line(void **state)
{
    (void)state;
    char path[] = "/tmp/nj-opts-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char TEXT[] = "# comment\n\n-h filehost\n-u  user name \n-P pass word\r\n-q 1\n"
                               "-D publish user-property key a b c\n-d\n–t file/topic\n";
    assert_int_equal(write(fd, TEXT, sizeof(TEXT) - 1), (int)sizeof(TEXT) - 1);
    close(fd);
    char line[200];
    struct trial t;
    snprintf(line, sizeof(line), "-o|%s|-q|2|-m|x", path);
    try_line(&t, &COMPAT_PUB, line);
    assert_int_equal(t.result, NJ_OPTS_OK);
    assert_string_equal(t.opts.host, "filehost");
    assert_string_equal(t.opts.username, "user name ");
    assert_string_equal(t.opts.password, "pass word");
    assert_int_equal(t.opts.qos, 2);
    assert_true(t.opts.is_debug);
    assert_string_equal(t.opts.topics.items[0], "file/topic");
    assert_string_equal(t.opts.props[NJ_OPTS_PUBLISH].items[0].text, "a b c");
    done(&t);
    unlink(path);
    try_line(&t, &COMPAT_PUB, line);
    assert_int_equal(t.result, NJ_OPTS_BAD);
    done(&t);
}

static void reads_defaults_only_where_it_should(void **state)
{
    (void)state;
    char dir[] = "/tmp/nj-conf-XXXXXX";
    char path[64];
    struct trial t;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/mosquitto_sub", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("-t from/defaults\n", file);
    fclose(file);
    setenv("XDG_CONFIG_HOME", dir, 1);
    try_line(&t, &COMPAT_SUB, "-v");
    assert_int_equal(t.result, NJ_OPTS_OK);
    assert_string_equal(t.opts.topics.items[0], "from/defaults");
    done(&t);
    try_line(&t, &NATIVE_SUB, "-v");
    assert_int_equal(t.result, NJ_OPTS_BAD);
    done(&t);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("HOME");
    try_line(&t, &COMPAT_SUB, "-v");
    assert_int_equal(t.result, NJ_OPTS_BAD);
    done(&t);
    unlink(path);
    rmdir(dir);
}

static int without_defaults(void **state)
{
    (void)state;
    return setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_every_short_and_long_name),
        cmocka_unit_test(reports_missing_and_bad_values_as_the_original),
        cmocka_unit_test(says_clearly_what_does_not_go_together),
        cmocka_unit_test(takes_keys_of_all_kinds),
        cmocka_unit_test(takes_urls_apart),
        cmocka_unit_test(turns_tls_on_for_port_8883),
        cmocka_unit_test(reads_dashes_pasted_from_a_web_page),
        cmocka_unit_test(keeps_properties_in_order),
        cmocka_unit_test(is_stricter_about_numbers_natively),
        cmocka_unit_test(reads_an_options_file_before_the_line),
        cmocka_unit_test(reads_defaults_only_where_it_should),
    };
    return cmocka_run_group_tests(tests, without_defaults, NULL);
}
