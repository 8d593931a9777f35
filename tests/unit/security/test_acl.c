/* ACL files: what is read, what is refused, and what each kind of line means (ledger 2.1 and B-272
 * to B-275). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "security/acl.h"
#include "support/test.h"

static const struct nj_acl_options native = {.leading_for_all = true, .any_case_keywords = true};
static const struct nj_acl_options compat = {.doubtful_as_text = true};

struct ask {
    const char *user; /* NULL = anonymous */
    const char *client;
    const char *topic;
    bool reads;
    bool writes;
};

#define PRINT(text, ...) assert_int_equal(nj_buf_printf(text, __VA_ARGS__), NJ_OK)
/* Makes a C string of what was printed. */
static const char *text_of(struct nj_buf *text)
{
    assert_int_equal(nj_buf_append(text, "", 1), NJ_OK);
    return (const char *)text->data;
}

static struct nj_acl *parse_with(const char *text, const struct nj_acl_options *options)
{
    struct nj_acl *acl = NULL;
    char error[256] = "";
    if (nj_acl_parse(nj_bytes_of(text), "f", options, &acl, error, sizeof(error)) != NJ_OK) {
        fail_msg("%s", error);
    }
    return acl;
}

static struct nj_acl_query query_of(const struct nj_acl *acl, const struct ask *ask, bool is_write)
{
    return (struct nj_acl_query){
        .user = nj_bytes_of(ask->user),
        .client_id = nj_bytes_of(ask->client ? ask->client : "c"),
        .user_list = nj_acl_user_list(acl, nj_bytes_of(ask->user)),
        .is_write = is_write,
    };
}

static bool may(const struct nj_acl *acl, const struct ask *ask, bool is_write)
{
    struct nj_acl_query query = query_of(acl, ask, is_write);
    return nj_acl_check(acl, &query, nj_bytes_of(ask->topic)).allowed;
}

static void expect(const char *text, const struct nj_acl_options *options, const struct ask *asks,
                   size_t count)
{
    struct nj_acl *acl = parse_with(text, options);
    for (size_t i = 0; i < count; i++) {
        if (may(acl, &asks[i], false) != asks[i].reads ||
            may(acl, &asks[i], true) != asks[i].writes) {
            fail_msg("%s %s: read %d write %d\n%s", asks[i].user ? asks[i].user : "(anonymous)",
                     asks[i].topic, may(acl, &asks[i], false), may(acl, &asks[i], true), text);
        }
    }
    nj_acl_free(acl);
}

#define EXPECT(text, options, ...)                                                                 \
    do {                                                                                           \
        const struct ask asks[] = {__VA_ARGS__};                                                   \
        expect(text, options, asks, sizeof(asks) / sizeof(asks[0]));                               \
    } while (0)

static void refuses(const char *text, const struct nj_acl_options *options, const char *wanted)
{
    struct nj_acl *acl = NULL;
    char error[256] = "";
    enum nj_err err = nj_acl_parse(nj_bytes_of(text), "f", options, &acl, error, sizeof(error));
    if (err == NJ_OK) {
        fail_msg("accepted: %s", text);
    }
    if (!strstr(error, wanted)) {
        fail_msg("'%s' instead of '%s' for %s", error, wanted, text);
    }
}

static void a4_1_leading_topics_are_for_everybody_natively(void **state)
{
    (void)state;
    EXPECT("topic readwrite public/all\nuser bob\ntopic read x\n", &native,
           {NULL, NULL, "public/all", true, true}, {"bob", NULL, "public/all", true, true},
           {"eve", NULL, "public/all", true, true}, {"bob", NULL, "x", true, false},
           {"eve", NULL, "x", false, false});
}

static void a4_1_leading_topics_are_for_anonymous_clients_in_compat_mode(void **state)
{
    (void)state;
    EXPECT("topic readwrite public/all\nuser bob\ntopic read x\n", &compat,
           {NULL, NULL, "public/all", true, true}, {"bob", NULL, "public/all", false, false},
           {"eve", NULL, "public/all", false, false}, {"bob", NULL, "x", true, false});
    struct nj_acl *acl = parse_with("# hello\n\ntopic a\n", &compat);
    assert_int_equal(nj_acl_warning_count(acl), 1);
    assert_string_equal(nj_acl_warning(acl, 0), "f:3: 'topic' lines before the first 'user' apply "
                                                "to anonymous clients only");
    nj_acl_free(acl);
}

static void a4_2_blocks_of_one_user_are_one_list_and_names_hold_spaces(void **state)
{
    (void)state;
    EXPECT("user bob\ntopic a\nuser  eve of x \ntopic b\nuser bob\ntopic c\n", &native,
           {"bob", NULL, "a", true, true}, {"bob", NULL, "c", true, true},
           {"bob", NULL, "b", false, false}, {"eve of x", NULL, "b", true, true});
}

static void a4_3_keywords_of_any_case_are_native_only(void **state)
{
    (void)state;
    const char *text = "USER bob\nTopic ReadWrite private/mytopic\nPattern READ p/%u\n";
    EXPECT(text, &native, {"bob", NULL, "private/mytopic", true, true},
           {"bob", NULL, "p/bob", true, false});
    struct nj_acl *acl = parse_with(text, &native);
    assert_int_equal(nj_acl_warning_count(acl), 5);
    nj_acl_free(acl);
    refuses(text, &compat, "Invalid line in ACL file f, line 1");
    refuses("topic Read a\n", &compat, "Invalid access");
}

static void a4_4_patterns_are_global_and_fill_whole_levels(void **state)
{
    (void)state;
    EXPECT("user bob\npattern readwrite users/%u/mytopic\npattern read c/%c/%u\n", &native,
           {"bob", "id", "users/bob/mytopic", true, true},
           {"eve", "id", "users/eve/mytopic", true, true},
           {"eve", "id", "users/bob/mytopic", false, false},
           {NULL, "id", "users//mytopic", false, false}, {"bob", "id", "c/id/bob", true, false},
           {"bob", "id", "users/%u/mytopic", false, false});
}

static void a4_5_a_user_grant_beats_a_pattern_denial(void **state)
{
    (void)state;
    EXPECT("pattern deny s/%u\nuser bob\ntopic read s/bob\n", &native,
           {"bob", NULL, "s/bob", true, false}, {"eve", NULL, "s/eve", false, false});
    EXPECT("user bob\ntopic s/#\ntopic deny s/secret\npattern s/secret\n", &native,
           {"bob", NULL, "s/a", true, true}, {"bob", NULL, "s", true, true},
           {"bob", NULL, "s/secret", false, false}, {"eve", NULL, "s/secret", true, true});
}

/* A list in which nothing fits the action leaves it to the next one. */
static void a4_5_a_read_rule_says_nothing_of_writing(void **state)
{
    (void)state;
    EXPECT("user bob\ntopic read t\npattern write t\n", &native, {"bob", NULL, "t", true, true},
           {"eve", NULL, "t", false, true});
}

static void a4_7_nobody_may_anything_without_a_rule(void **state)
{
    (void)state;
    EXPECT("user bob\ntopic a\n", &native, {"eve", NULL, "a", false, false},
           {NULL, NULL, "a", false, false}, {"Bob", NULL, "a", false, false},
           {"bob", NULL, "A", false, false});
}

static void b272_an_empty_file_denies_everything(void **state)
{
    (void)state;
    EXPECT("", &native, {"bob", NULL, "a", false, false}, {NULL, NULL, "$SYS/a", false, false});
    EXPECT("# only\n\r\n  \t\n", &compat, {"bob", NULL, "a", false, false});
}

static void l017_names_with_wildcards_match_no_pattern(void **state)
{
    (void)state;
    static const char *const bad[] = {"#", "+", "a/#", "a/+", "+/b", "a+", "b#"};
    struct nj_acl *acl = parse_with("pattern p/%u/#\npattern %c\npattern open/#\n", &native);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct ask asks[] = {
            {bad[i], "c", "p/x/y", false, false},  {bad[i], "c", "p/#/y", false, false},
            {bad[i], "c", "open/a", false, false}, {"u", bad[i], "open/a", false, false},
            {"u", bad[i], "x", false, false},      {NULL, bad[i], "open/a", false, false},
        };
        for (size_t j = 0; j < sizeof(asks) / sizeof(asks[0]); j++) {
            assert_false(may(acl, &asks[j], false));
            assert_false(may(acl, &asks[j], true));
        }
    }
    nj_acl_free(acl);
}

static void l017_names_with_separators_or_empty_fill_nothing(void **state)
{
    (void)state;
    EXPECT("pattern p/%u/#\npattern c/%c\n", &native, {"a/b", "c", "p/a/b", false, false},
           {"a/b", "x/y", "c/x/y", false, false}, {"", "c", "p//x", false, false},
           {"b", "", "c/", false, false}, {"a", "c", "p/a/b", true, true});
}

static void l018_names_are_text_and_no_expression(void **state)
{
    (void)state;
    EXPECT("pattern p/%u\n", &native, {".*", "c", "p/x", false, false},
           {".*", "c", "p/.*", true, true}, {"a-z", "c", "p/b", false, false},
           {"%u", "c", "p/%u", true, true}, {"%c", "c", "p/c", false, false});
}

static void l021_a_wildcard_in_front_never_matches_a_hidden_topic(void **state)
{
    (void)state;
    EXPECT("topic #\ntopic +/x\npattern %u/x\n", &native, {"$SYS", NULL, "$SYS/x", false, false},
           {"u", NULL, "$", false, false}, {"u", NULL, "$/a", false, false},
           {"u", NULL, "$CONTROL/", false, false}, {"u", NULL, "$foo/x", false, false},
           {"u", NULL, "a/$SYS", true, true});
    EXPECT("topic read $SYS/#\ntopic $x/+\n", &native, {"u", NULL, "$SYS", true, false},
           {"u", NULL, "$SYS/a/b", true, false}, {"u", NULL, "$x/b", true, true},
           {"u", NULL, "$y/b", false, false});
}

static void l042_names_and_topics_are_compared_byte_by_byte(void **state)
{
    (void)state;
    EXPECT("user \xc3\xa9\ntopic t\n", &native, {"\xc3\xa9", NULL, "t", true, true},
           {"e\xcc\x81", NULL, "t", false, false});
}

static void b272_malformed_lines_are_refused_with_their_number(void **state)
{
    (void)state;
    refuses("user a\ntopic\n", &native, "Empty topic in ACL file f, line 2");
    refuses("topic read\n", &native, "Empty topic");
    refuses("topic deny \n", &native, "Empty topic");
    refuses("user\n", &native, "Missing user name");
    refuses("user \xff\n", &native, "Invalid user name");
    refuses("topics a\n", &native, "Invalid line");
    refuses("allow a\n", &native, "Invalid line");
    refuses("topic a#\n", &native, "Invalid topic");
    refuses("topic a/#/b\n", &native, "Invalid topic");
    refuses("topic a+/b\n", &native, "Invalid topic");
    refuses("topic read \xff\n", &native, "Invalid topic");
    refuses("topic dney secret/#\n", &native, "Invalid access");
    refuses("topic a b\n", &native, "Invalid access");
    refuses("topic a b\n", &compat, "Invalid access");
    refuses("pattern read x%u\n", &native, "whole level");
    refuses("pattern %c%u\n", &native, "whole level");
    refuses("pattern deny a/%u-x/b\n", &native, "whole level");
}

static void b272_a_nul_byte_is_refused(void **state)
{
    (void)state;
    struct nj_acl *acl;
    char error[256] = "";
    assert_int_equal(nj_acl_parse(NJ_BYTES_LIT("topic a\ntopic b\0c\n"), "f", &native, &acl, error,
                                  sizeof(error)),
                     NJ_EMALFORMED);
    assert_string_equal(error, "NUL byte in ACL file f, line 2");
}

/* What Mosquitto takes for text stays text, and never means more. */
static void b272_doubtful_lines_are_text_in_compat_mode(void **state)
{
    (void)state;
    EXPECT("user u\ntopic read\npattern x%u\npattern %U\npattern %c%u\n", &compat,
           {"u", "c", "read", true, true}, {"u", "c", "xu", false, false},
           {"u", "c", "x%u", true, true}, {"u", "c", "u", false, false},
           {"u", "c", "%U", true, true}, {"u", "c", "cu", false, false});
    struct nj_acl *acl = parse_with("user u\ntopic read\npattern x%u\n", &compat);
    assert_int_equal(nj_acl_warning_count(acl), 2);
    nj_acl_free(acl);
}

static void b272_blanks_separate_and_do_not_belong(void **state)
{
    (void)state;
    EXPECT("\xef\xbb\xbf  user \t bob \r\n\ttopic\tread\t a b \r\ntopic write  c\t\r\n", &native,
           {"bob", NULL, "a b", true, false}, {"bob", NULL, "c", false, true});
    EXPECT("topic readwrite read", &native, {"u", NULL, "read", true, true});
}

static void b272_deny_counts_wherever_it_stands(void **state)
{
    (void)state;
    EXPECT("topic deny a\ntopic a\n", &native, {"u", NULL, "a", false, false});
    EXPECT("topic a\ntopic deny a\n", &native, {"u", NULL, "a", false, false});
    EXPECT("topic a/b\ntopic deny a/#\n", &native, {"u", NULL, "a/b", false, false},
           {"u", NULL, "a", false, false});
}

static void b272_placeholders_in_a_topic_line_are_text_with_a_warning(void **state)
{
    (void)state;
    EXPECT("topic users/%u/x\n", &native, {"bob", NULL, "users/bob/x", false, false},
           {"bob", NULL, "users/%u/x", true, true});
    struct nj_acl *acl = parse_with("topic users/%u/x\n", &native);
    assert_int_equal(nj_acl_warning_count(acl), 1);
    nj_acl_free(acl);
}

static void b274_patterns_with_sys_and_share_are_defined(void **state)
{
    (void)state;
    EXPECT("pattern read $SYS/%u/#\n", &native, {"bob", NULL, "$SYS/bob/x", true, false},
           {"eve", NULL, "$SYS/bob/x", false, false});
    struct nj_acl *acl = parse_with("pattern read $share/g/%u\n", &native);
    assert_int_equal(nj_acl_warning_count(acl), 1);
    nj_acl_free(acl);
}

static void rules_are_named_by_file_line_and_text(void **state)
{
    (void)state;
    char text[128];
    struct nj_acl *acl = parse_with("\nuser bob\n  topic deny a/#\r\ntopic read a/b\n", &native);
    const struct ask ask = {"bob", NULL, "a/b", false, false};
    struct nj_acl_query query = query_of(acl, &ask, false);
    struct nj_acl_answer answer = nj_acl_check(acl, &query, nj_bytes_of("a/b"));
    assert_true(answer.has_rule);
    assert_string_equal(nj_acl_rule_text(acl, answer.rule_id, text, sizeof(text)),
                        "f:3: topic deny a/#");
    assert_string_equal(nj_acl_rule_text(acl, 0, text, sizeof(text)), "no rule");
    assert_string_equal(nj_acl_rule_text(acl, 3, text, sizeof(text)), "no rule");
    assert_int_equal(nj_acl_rule_count(acl), 2);
    nj_acl_free(acl);
}

static void levels_are_counted_as_mosquitto_does(void **state)
{
    (void)state;
    char line[512];
    char too_deep[512];
    int len = snprintf(line, sizeof(line), "topic a");
    for (int i = 0; i < 200; i++) {
        len += snprintf(line + len, sizeof(line) - (size_t)len, "/+");
    }
    struct nj_acl *acl = parse_with(line, &native);
    memset(too_deep, '/', 201);
    too_deep[201] = '\0';
    struct ask ask = {"u", "c", too_deep, false, false};
    assert_false(may(acl, &ask, true));
    too_deep[0] = 'a';
    assert_true(may(acl, &ask, true));
    nj_acl_free(acl);
    (void)snprintf(line + len, sizeof(line) - (size_t)len, "/+");
    refuses(line, &native, "Invalid topic");
}

/* Every level can be reached in two ways, 2^16 ends in all. */
static void a_bushy_acl_is_still_answered_exactly(void **state)
{
    (void)state;
    struct nj_buf text;
    nj_buf_init(&text);
    for (unsigned i = 0; i < 4096; i++) {
        PRINT(&text, "topic %s ", i == 4095 ? "read" : "write");
        for (unsigned bit = 0; bit < 12; bit++) {
            PRINT(&text, "%s%s", bit ? "/" : "", i >> bit & 1 ? "+" : "a");
        }
        PRINT(&text, "\n");
    }
    struct nj_acl *acl = parse_with(text_of(&text), &native);
    const struct ask asks[] = {{"u", "c", "a/a/a/a/a/a/a/a/a/a/a/a", true, true},
                               {"u", "c", "b/b/b/b/b/b/b/b/b/b/b/b", true, false},
                               {"u", "c", "b/b/b/b/b/b/b/b/b/b/b/a", true, true}};
    for (int i = 0; i < 3; i++) {
        assert_true(may(acl, &asks[i], false));
        assert_int_equal(may(acl, &asks[i], true), asks[i].writes);
    }
    nj_acl_free(acl);
    nj_buf_fini(&text);
}

/* ---- filters */

struct subscription {
    const char *user;
    const char *filter;
    bool is_granted;
};

static void subscribe(const char *text, const struct subscription *subs, size_t count)
{
    struct nj_acl *acl = parse_with(text, &native);
    for (size_t i = 0; i < count; i++) {
        const struct ask ask = {.user = subs[i].user};
        struct nj_acl_query query = query_of(acl, &ask, true); /* which side does not matter */
        if (nj_acl_check_filter(acl, &query, nj_bytes_of(subs[i].filter)).allowed !=
            subs[i].is_granted) {
            fail_msg("%s %s: not %d\n%s", subs[i].user, subs[i].filter, subs[i].is_granted, text);
        }
    }
    nj_acl_free(acl);
}

#define SUBSCRIBE(text, ...)                                                                       \
    do {                                                                                           \
        const struct subscription subs[] = {__VA_ARGS__};                                          \
        subscribe(text, subs, sizeof(subs) / sizeof(subs[0]));                                     \
    } while (0)

static void l023_a_filter_needs_a_read_rule_that_it_meets(void **state)
{
    (void)state;
    SUBSCRIBE("user bob\ntopic read a/b\ntopic write w/#\n", {"bob", "a/b", true},
              {"bob", "a/#", true}, {"bob", "#", true}, {"bob", "+/b", true}, {"bob", "+/+", true},
              {"bob", "a/b/#", true}, {"bob", "a", false}, {"bob", "+", false},
              {"bob", "a/c", false}, {"bob", "w/#", false}, {"bob", "w/a", false},
              {"bob", "a/b/+", false}, {"eve", "#", false}, {NULL, "a/b", false});
}

static void l022_hidden_topics_are_met_only_by_their_own_rules(void **state)
{
    (void)state;
    SUBSCRIBE("topic read #\n", {"u", "$SYS/#", false}, {"u", "$SYS/a", false}, {"u", "#", true},
              {"u", "+/x", true});
    SUBSCRIBE("topic read $SYS/#\n", {"u", "$SYS/#", true}, {"u", "#", false}, {"u", "+/a", false},
              {"u", "+/#", false}, {"u", "$SYS", true}, {"u", "$SYS/+/a", true});
}

static void filters_meet_patterns_with_the_names_filled_in(void **state)
{
    (void)state;
    SUBSCRIBE("pattern read p/%u/x\n", {"bob", "p/bob/x", true}, {"bob", "p/+/x", true},
              {"bob", "p/#", true}, {"bob", "p/eve/x", false}, {"bob", "p/eve/#", false},
              {NULL, "p/#", false}, {"a/b", "p/#", false}, {"+", "p/#", false}, {"", "#", false});
}

static void a_filter_that_is_denied_as_a_whole_is_refused(void **state)
{
    (void)state;
    SUBSCRIBE("user bob\ntopic deny s/#\ntopic read #\n", {"bob", "s/a", false},
              {"bob", "s", false}, {"bob", "s/#", false}, {"bob", "s/+/x", false},
              {"bob", "+/a", true}, {"bob", "#", true});
    SUBSCRIBE("topic deny +/#\ntopic read #\n", {"u", "#", false}, {"u", "a/#", false},
              {"u", "+", false});
    SUBSCRIBE("user bob\ntopic deny a/+\npattern read a/b\n", {"bob", "a/b", false},
              {"bob", "a/+", false}, {"eve", "a/b", true});
}

/* A hostile filter over many rules has a bounded price; the answer is then the kind one. */
static void a_filter_with_too_many_ways_is_granted(void **state)
{
    (void)state;
    struct nj_buf text;
    nj_buf_init(&text);
    for (unsigned i = 0; i < 20000; i++) {
        PRINT(&text, "topic read a%u/b\n", i);
    }
    SUBSCRIBE(text_of(&text), {"u", "+/zzz", true}, {"u", "a1/zzz", false}, {"u", "zzz/+", false});
    nj_buf_fini(&text);
}

/* ---- files */

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    struct nj_acl *acl;
    char error[256];
    assert_int_equal(nj_acl_load("/nonexistent/acl", &native, &acl, error, sizeof(error)),
                     NJ_ENOENT);
    assert_non_null(strstr(error, "Unable to open acl_file \"/nonexistent/acl\": "));
    assert_int_equal(nj_acl_load("/tmp", &native, &acl, error, sizeof(error)), NJ_EINVAL);
    assert_non_null(strstr(error, "not a regular file"));
}

static void without_memory_a_file_is_refused_and_nothing_leaks(void **state)
{
    (void)state;
    const char *text = "user u\nTopic a\ntopic b/%u\n"; /* with warnings */
    for (uint64_t nth = 1; nth < 6; nth++) {
        struct nj_acl *acl = NULL;
        char error[256] = "";
        nj_fault_arm(NJ_FAULT_ALLOC, nth, true);
        enum nj_err err = nj_acl_parse(nj_bytes_of(text), "f", &native, &acl, error, sizeof(error));
        nj_fault_disarm();
        assert_int_equal(err, nth == 1 ? NJ_ENOMEM : NJ_OK); /* later ones: only the warnings */
        assert_int_equal(strlen(error) > 0, nth == 1);
        nj_acl_free(acl);
    }
}

static void symbolic_links_are_read_unless_forbidden(void **state)
{
    (void)state;
    char dir[] = "/tmp/nj-acl-XXXXXX";
    char file[64];
    char link_path[64];
    char error[256];
    struct nj_acl *acl;
    struct nj_acl_options nofollow = {.nofollow = true};
    assert_non_null(mkdtemp(dir));
    (void)snprintf(file, sizeof(file), "%s/acl", dir);
    (void)snprintf(link_path, sizeof(link_path), "%s/link", dir);
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    (void)fputs("topic a\n", out);
    (void)fclose(out);
    assert_int_equal(symlink(file, link_path), 0);
    assert_int_equal(nj_acl_load(link_path, &native, &acl, error, sizeof(error)), NJ_OK);
    nj_acl_free(nj_acl_ref(acl));
    assert_int_equal(nj_acl_rule_count(acl), 1);
    nj_acl_free(acl);
    assert_int_not_equal(nj_acl_load(link_path, &nofollow, &acl, error, sizeof(error)), NJ_OK);
    (void)unlink(link_path);
    (void)unlink(file);
    (void)rmdir(dir);
}

static void b275_a_million_rules_are_read(void **state)
{
    (void)state;
    struct nj_buf text;
    nj_buf_init(&text);
    for (unsigned i = 0; i < 1000000; i++) {
        PRINT(&text, "user u%u\ntopic read d/%u/x\n", i / 10, i);
    }
    struct nj_acl *acl = parse_with(text_of(&text), &native);
    assert_int_equal(nj_acl_rule_count(acl), 1000000);
    const struct ask ask = {"u99999", "c", "d/999999/x", true, false};
    assert_true(may(acl, &ask, false));
    nj_acl_free(acl);
    nj_buf_fini(&text);
}

/* Whether `user` with this client id has the same rights under both texts. */
static bool same_rights(const struct nj_acl_options *options, const char *a, const char *b,
                        const char *user, const char *client_id)
{
    struct nj_acl *left = parse_with(a, options);
    struct nj_acl *right = parse_with(b, options);
    bool is_same = nj_acl_same_rights(left, right, nj_bytes_of(user), nj_bytes_of(client_id));
    assert_int_equal(nj_acl_same_rights(right, left, nj_bytes_of(user), nj_bytes_of(client_id)),
                     is_same);
    nj_acl_free(left);
    nj_acl_free(right);
    return is_same;
}

static void a_change_concerns_whose_own_rules_it_changes(void **state)
{
    static const char *const before = "topic read all\nuser a\ntopic read x\ntopic write y\n"
                                      "user b\ntopic read x\npattern read %c/#\n";
    static const char *const other = "topic read all\nuser a\ntopic read x\n"
                                     "user b\ntopic read x\npattern read %c/#\n";
    /* The same rules in another order and form, some of them twice. */
    static const char *const moved =
        "# a comment\ntopic read all\npattern read %c/#\nuser b\ntopic read x\ntopic read x\n\n"
        "user a\ntopic write y\nuser c\ntopic z\nuser a\ntopic read x\n";
    static const char *const leading = "topic read more\nuser a\ntopic read x\ntopic write y\n"
                                       "user b\ntopic read x\npattern read %c/#\n";
    static const char *const pattern = "topic read all\nuser a\ntopic read x\ntopic write y\n"
                                       "user b\ntopic read x\npattern read %u/#\n";
    static const char *const denied = "topic read all\nuser a\ntopic read x\ntopic write y\n"
                                      "user b\ntopic deny x\npattern read %c/#\n";
    (void)state;
    assert_false(same_rights(&native, before, other, "a", "id"));
    assert_true(same_rights(&native, before, other, "b", "id"));
    assert_true(same_rights(&native, before, other, "nobody", "id"));
    assert_true(same_rights(&native, before, other, NULL, "id"));
    assert_true(same_rights(&native, before, moved, "a", "id"));
    assert_true(same_rights(&native, before, moved, "b", "id"));
    assert_false(same_rights(&native, before, moved, "c", "id"));
    assert_false(same_rights(&native, before, denied, "b", "id"));
    assert_true(same_rights(&native, before, denied, "a", "id"));
    /* Leading lines are everybody's natively, those of anonymous clients in compat mode. */
    assert_false(same_rights(&native, before, leading, "b", "id"));
    assert_true(same_rights(&compat, before, leading, "b", "id"));
    assert_false(same_rights(&compat, before, leading, NULL, "id"));
    /* Patterns are everybody's whose names can match one. */
    assert_false(same_rights(&native, before, pattern, "b", "id"));
    assert_true(same_rights(&native, before, pattern, "b", "id#"));
    assert_true(same_rights(&native, "", "", "a", "id"));
    assert_false(same_rights(&native, "user a\ntopic read x\n", "", "a", "id"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a4_1_leading_topics_are_for_everybody_natively),
        cmocka_unit_test(a4_1_leading_topics_are_for_anonymous_clients_in_compat_mode),
        cmocka_unit_test(a4_2_blocks_of_one_user_are_one_list_and_names_hold_spaces),
        cmocka_unit_test(a4_3_keywords_of_any_case_are_native_only),
        cmocka_unit_test(a4_4_patterns_are_global_and_fill_whole_levels),
        cmocka_unit_test(a4_5_a_user_grant_beats_a_pattern_denial),
        cmocka_unit_test(a4_5_a_read_rule_says_nothing_of_writing),
        cmocka_unit_test(a4_7_nobody_may_anything_without_a_rule),
        cmocka_unit_test(b272_an_empty_file_denies_everything),
        cmocka_unit_test(l017_names_with_wildcards_match_no_pattern),
        cmocka_unit_test(l017_names_with_separators_or_empty_fill_nothing),
        cmocka_unit_test(l018_names_are_text_and_no_expression),
        cmocka_unit_test(l021_a_wildcard_in_front_never_matches_a_hidden_topic),
        cmocka_unit_test(l042_names_and_topics_are_compared_byte_by_byte),
        cmocka_unit_test(b272_malformed_lines_are_refused_with_their_number),
        cmocka_unit_test(b272_a_nul_byte_is_refused),
        cmocka_unit_test(b272_doubtful_lines_are_text_in_compat_mode),
        cmocka_unit_test(b272_blanks_separate_and_do_not_belong),
        cmocka_unit_test(b272_deny_counts_wherever_it_stands),
        cmocka_unit_test(b272_placeholders_in_a_topic_line_are_text_with_a_warning),
        cmocka_unit_test(b274_patterns_with_sys_and_share_are_defined),
        cmocka_unit_test(rules_are_named_by_file_line_and_text),
        cmocka_unit_test(levels_are_counted_as_mosquitto_does),
        cmocka_unit_test(a_bushy_acl_is_still_answered_exactly),
        cmocka_unit_test(l023_a_filter_needs_a_read_rule_that_it_meets),
        cmocka_unit_test(l022_hidden_topics_are_met_only_by_their_own_rules),
        cmocka_unit_test(filters_meet_patterns_with_the_names_filled_in),
        cmocka_unit_test(a_filter_that_is_denied_as_a_whole_is_refused),
        cmocka_unit_test(a_filter_with_too_many_ways_is_granted),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(without_memory_a_file_is_refused_and_nothing_leaks),
        cmocka_unit_test(symbolic_links_are_read_unless_forbidden),
        cmocka_unit_test(a_change_concerns_whose_own_rules_it_changes),
        cmocka_unit_test(b275_a_million_rules_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
