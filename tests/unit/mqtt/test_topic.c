/* Topic names and filters: grammar, matching, covering, overlapping. */
#include <stdio.h>
#include <stdlib.h>

#include "mqtt/topic.h"
#include "support/test.h"
#include "unit/mqtt/naive.h"
#include "unit/mqtt/wire.h"

#define LIMIT 200

static struct nj_bytes text(const char *c_text)
{
    return nj_bytes_of(c_text);
}

static void b104_b106_knows_topic_names(void **state)
{
    (void)state;
    static const struct {
        const char *topic;
        bool is_valid;
    } cases[] = {
        {"a", true},
        {"/", true},
        {"//", true},
        {"a//b", true},
        {" ", true},
        {"$SYS/x", true},
        {"a b/c", true},
        {"a/b/c/d/e", true},
        {"", false},
        {"+", false},
        {"#", false},
        {"a/#", false},
        {"a+", false},
        {"a/+/b", false},
        {"a#b", false},
        {"12345678+", false},
        {"1234567+", false},
        {"1234567#", false},
        {"abcdefgh/ijklmnop/q", true},
        {"abcdefgh/ijklmnop/+", false},
    };
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        struct nj_bytes copy = wire_copy(text(cases[i].topic));
        if (nj_mqtt_topic_is_valid(copy, LIMIT) != cases[i].is_valid) {
            fail_msg("\"%s\"", cases[i].topic);
        }
        wire_free(copy);
    }
}

static void b015_refuses_nul_in_names_and_filters(void **state)
{
    (void)state;
    for (size_t at = 0; at < 20; at++) {
        uint8_t bytes[20];
        memset(bytes, 'a', sizeof(bytes));
        assert_true(nj_mqtt_topic_is_valid(nj_bytes(bytes, sizeof(bytes)), 0));
        bytes[at] = 0;
        assert_false(nj_mqtt_topic_is_valid(nj_bytes(bytes, sizeof(bytes)), 0));
        assert_false(nj_mqtt_filter_is_valid(nj_bytes(bytes, sizeof(bytes)), 0));
    }
}

static void b104_finds_a_wildcard_at_every_place(void **state)
{
    (void)state;
    for (size_t len = 1; len < 40; len++) {
        for (size_t at = 0; at < len; at++) {
            uint8_t bytes[40];
            memset(bytes, 'a', len);
            bytes[at] = at % 2 ? '+' : '#';
            struct nj_bytes copy = wire_copy(nj_bytes(bytes, len));
            assert_false(nj_mqtt_topic_is_valid(copy, 0));
            assert_true(nj_mqtt_filter_has_wildcard(copy));
            wire_free(copy);
        }
    }
    assert_false(nj_mqtt_filter_has_wildcard(text("a/b/$c")));
    assert_false(nj_mqtt_filter_has_wildcard(nj_bytes(NULL, 0)));
}

static void b105_b172_limits_length_and_levels(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(65536);
    memset(bytes, '/', 65536);
    assert_true(nj_mqtt_topic_is_valid(nj_bytes(bytes, LIMIT - 1), LIMIT));
    assert_false(nj_mqtt_topic_is_valid(nj_bytes(bytes, LIMIT), LIMIT));
    assert_true(nj_mqtt_filter_is_valid(nj_bytes(bytes, LIMIT - 1), LIMIT));
    assert_false(nj_mqtt_filter_is_valid(nj_bytes(bytes, LIMIT), LIMIT));
    assert_false(nj_mqtt_topic_is_valid(nj_bytes(bytes, 65535), LIMIT));
    assert_true(nj_mqtt_topic_is_valid(nj_bytes(bytes, 65535), 0));
    assert_false(nj_mqtt_topic_is_valid(nj_bytes(bytes, 65536), 0));
    assert_true(nj_mqtt_filter_is_valid(nj_bytes(bytes, 65535), 0));
    assert_false(nj_mqtt_filter_is_valid(nj_bytes(bytes, 65536), 0));
    /* As many levels as may be, in a text longer than that. */
    struct nj_bytes wide = wire_copy(text("ab/cd/ef"));
    assert_true(nj_mqtt_topic_is_valid(wide, 3) && nj_mqtt_filter_is_valid(wide, 3));
    assert_false(nj_mqtt_topic_is_valid(wide, 2) || nj_mqtt_filter_is_valid(wide, 2));
    wire_free(wide);
    assert_true(nj_mqtt_topic_is_valid(text("a"), 1));
    assert_false(nj_mqtt_topic_is_valid(text("a/b"), 1));
    assert_false(nj_mqtt_topic_is_valid(text("/"), 1));
    /* Linear, without recursion: 65,535 levels against as many. */
    assert_true(nj_mqtt_topic_matches(nj_bytes(bytes, 65535), nj_bytes(bytes, 65535)));
    assert_true(nj_mqtt_filter_covers(nj_bytes(bytes, 65535), nj_bytes(bytes, 65535)));
    assert_true(nj_mqtt_filter_overlaps(nj_bytes(bytes, 65535), nj_bytes(bytes, 65535)));
    free(bytes);
}

static void b169_knows_filters(void **state)
{
    (void)state;
    static const struct {
        const char *filter;
        bool is_valid;
    } cases[] = {
        {"a", true},    {"+", true},      {"#", true},     {"a/+", true},   {"a/#", true},
        {"+/+", true},  {"+/a/#", true},  {"/", true},     {"/#", true},    {"/+", true},
        {"a//#", true}, {"$SYS/#", true}, {"+//+", true},  {"", false},     {"a/#/b", false},
        {"a#", false},  {"#a", false},    {"+a", false},   {"a+/b", false}, {"##", false},
        {"/#/", false}, {"++", false},    {"a/b+", false}, {"a/+b", false}, {"#/", false},
        {"+#", false},  {"#+", false},    {"a/#b", false}, {"a/b#", false}, {"+/a+/b", false},
    };
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        struct nj_bytes copy = wire_copy(text(cases[i].filter));
        if (nj_mqtt_filter_is_valid(copy, LIMIT) != cases[i].is_valid) {
            fail_msg("\"%s\"", cases[i].filter);
        }
        assert_int_equal(naive_filter_is_valid(copy), cases[i].is_valid);
        wire_free(copy);
    }
}

static void b170_b171_knows_shared_subscriptions(void **state)
{
    (void)state;
    static const struct {
        const char *whole;
        const char *group; /* NULL: not valid */
        const char *filter;
    } cases[] = {
        {"$share/g/t", "g", "t"},
        {"$share/g/a/+/#", "g", "a/+/#"},
        {"$share/g/#", "g", "#"},
        {"$share/g//t", "g", "/t"},
        {"$share/g/$SYS/x", "g", "$SYS/x"},
        {"$share/g//", "g", "/"},
        {"$share/$share/t", "$share", "t"},
        {"$share", NULL, NULL},
        {"$share/", NULL, NULL},
        {"$share/g", NULL, NULL},
        {"$share/g/", NULL, NULL},
        {"$share//t", NULL, NULL},
        {"$share/+/t", NULL, NULL},
        {"$share/#/t", NULL, NULL},
        {"$share/g#/t", NULL, NULL},
        {"$share/a+b/t", NULL, NULL},
        {"$share/g/$share/h/t", NULL, NULL},
        {"$share/g/$share", NULL, NULL},
    };
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        struct nj_bytes whole = wire_copy(text(cases[i].whole));
        struct nj_bytes group;
        struct nj_bytes filter;
        bool is_valid = cases[i].group != NULL;
        assert_true(nj_mqtt_is_share(whole));
        if (nj_mqtt_share_parse(whole, &group, &filter) != is_valid ||
            nj_mqtt_subscription_is_valid(whole, LIMIT) != is_valid) {
            fail_msg("\"%s\"", cases[i].whole);
        }
        if (is_valid) {
            assert_true(nj_bytes_equal(group, text(cases[i].group)));
            assert_true(nj_bytes_equal(filter, text(cases[i].filter)));
        }
        wire_free(whole);
    }
    assert_false(nj_mqtt_subscription_is_valid(text("$share/g/a#"), LIMIT));
    assert_true(nj_mqtt_subscription_is_valid(text("a/+"), LIMIT));
    assert_false(nj_mqtt_subscription_is_valid(text("a+"), LIMIT));
    assert_false(nj_mqtt_is_share(text("$shared/g/t")));
    assert_true(nj_mqtt_subscription_is_valid(text("$shared/g/t"), LIMIT));
}

static void matches_as_the_standard_says(void **state)
{
    (void)state;
    static const struct {
        const char *filter;
        const char *topic;
        bool matches;
    } cases[] = {
        {"a", "a", true},
        {"a", "A", false},
        {"a/b", "a/b", true},
        {"a/b", "a", false},
        {"a", "a/b", false},
        {"sport/tennis/player1/#", "sport/tennis/player1", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
        {"sport/tennis/player1/#", "sport/tennis/player12", false},
        {"sport/#", "sport", true},
        {"#", "a/b/c", true},
        {"#", "/", true},
        {"sport/tennis/+", "sport/tennis/player1", true},
        {"sport/tennis/+", "sport/tennis/player1/ranking", false},
        {"sport/+", "sport", false},
        {"sport/+", "sport/", true},
        {"+/+", "/finance", true},
        {"/+", "/finance", true},
        {"+", "/finance", false},
        {"+/#", "a", true},
        {"+/#", "a/b/c", true},
        {"a/+/#", "a", false},
        {"a/+/#", "a/b", true},
        {"a//b", "a//b", true},
        {"a/+/b", "a//b", true},
        {"a/b", "a//b", false},
        {"#", "$SYS/x", false},
        {"+/x", "$SYS/x", false},
        {"$SYS/#", "$SYS/x", true},
        {"$SYS/#", "$SYS", true},
        {"$SYS/+", "$SYS/x", true},
        {"$SYS/x/+", "$SYS/x/$y", true},
        {"a/#", "a/$y", true},
        {"a/+", "a/$y", true},
        {"/#", "/", true},
        {"/#", "a", false},
        {"a/", "a", false},
        {"a", "a/", false},
        {"\303\251", "e\314\201", false}, /* b025 */
        {"\357\273\277a", "a", false},    /* b021 */
    };
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        struct nj_bytes filter = wire_copy(text(cases[i].filter));
        struct nj_bytes topic = wire_copy(text(cases[i].topic));
        if (nj_mqtt_topic_matches(filter, topic) != cases[i].matches) {
            fail_msg("%s, %s", cases[i].filter, cases[i].topic);
        }
        assert_int_equal(naive_matches(filter, topic), cases[i].matches);
        wire_free(filter);
        wire_free(topic);
    }
}

/* All filters of up to three levels out of a few words, and all topics of up to four: deep enough
 * to tell any two of the filters apart. */
#define FILTER_LEVELS 3
#define TOPIC_LEVELS  4
#define TEXTS_MAX     1000

struct texts {
    char text[TEXTS_MAX][16];
    size_t count;
};

static void fill(struct texts *texts, const char *const *words, size_t words_count,
                 unsigned levels_max, bool (*is_valid)(struct nj_bytes, unsigned))
{
    for (unsigned levels = 1; levels <= levels_max; levels++) {
        size_t combinations = 1;
        for (unsigned i = 0; i < levels; i++) {
            combinations *= words_count;
        }
        for (size_t n = 0; n < combinations; n++) {
            char *text_at = texts->text[texts->count];
            size_t rest = n;
            size_t len = 0;
            for (unsigned i = 0; i < levels; i++) {
                len += (size_t)snprintf(text_at + len, sizeof(texts->text[0]) - len, "%s%s",
                                        i ? "/" : "", words[rest % words_count]);
                rest /= words_count;
            }
            if (is_valid(text(text_at), 0)) {
                texts->count++;
                assert_true(texts->count < TEXTS_MAX);
            }
        }
    }
}

static struct texts filters;
static struct texts topics;

static int fill_all(void **state)
{
    (void)state;
    static const char *const filter_words[] = {"a", "$", "", "+", "#"};
    /* "z" stands for every word that no filter names. */
    static const char *const topic_words[] = {"a", "$", "", "z"};
    fill(&filters, filter_words, WIRE_COUNT(filter_words), FILTER_LEVELS, nj_mqtt_filter_is_valid);
    fill(&topics, topic_words, WIRE_COUNT(topic_words), TOPIC_LEVELS, nj_mqtt_topic_is_valid);
    topics.text[topics.count++][0] = 0; /* see topic.h: as if there was an empty topic */
    return 0;
}

/* What the topics say: bit 0 = `a` covers `b`, bit 1 = they overlap. */
static unsigned relation(const bool *a, const bool *b)
{
    unsigned covers = 1;
    unsigned overlaps = 0;
    for (size_t i = 0; i < topics.count; i++) {
        covers = covers && (a[i] || !b[i]);
        overlaps = overlaps || (a[i] && b[i]);
    }
    return covers | overlaps << 1;
}

static void covers_and_overlaps_exactly_when_the_topics_say_so(void **state)
{
    (void)state;
    bool *matches = calloc(filters.count * topics.count, sizeof(*matches));
    for (size_t f = 0; f < filters.count; f++) {
        for (size_t t = 0; t < topics.count; t++) {
            struct nj_bytes filter = text(filters.text[f]);
            struct nj_bytes topic = text(topics.text[t]);
            bool is_match = naive_matches(filter, topic);
            matches[f * topics.count + t] = is_match;
            assert_int_equal(nj_mqtt_topic_matches(filter, topic), is_match);
        }
    }
    for (size_t a = 0; a < filters.count; a++) {
        for (size_t b = 0; b < filters.count; b++) {
            unsigned want = relation(matches + a * topics.count, matches + b * topics.count);
            struct nj_bytes left = text(filters.text[a]);
            struct nj_bytes right = text(filters.text[b]);
            unsigned have = (nj_mqtt_filter_covers(left, right) ? 1u : 0u) |
                            (nj_mqtt_filter_overlaps(left, right) ? 2u : 0u);
            if (have != want) {
                fail_msg("%s, %s: %u instead of %u", filters.text[a], filters.text[b], have, want);
            }
        }
    }
    free(matches);
}

static void covers_as_rights_need_it(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *filter;
        bool covers;
        bool overlaps;
    } cases[] = {
        {"#", "#", true, true},           {"#", "+/a", true, true},
        {"#", "$SYS/#", false, false},    {"+/#", "#", true, true},
        {"+/+/#", "#", false, true},      {"+", "#", false, true},
        {"a/#", "a", true, true},         {"a/#", "a/#", true, true},
        {"a/#", "a/+/b", true, true},     {"a/#", "+/b", false, true},
        {"a/#", "#", false, true},        {"a/+", "a/#", false, true},
        {"a/+", "a/b", true, true},       {"a/+", "a", false, false},
        {"a/+", "a/b/c", false, false},   {"a/b", "a/+", false, true},
        {"a/b", "a/c", false, false},     {"a/+/c", "a/b/+", false, true},
        {"$SYS/#", "$SYS/+", true, true}, {"$SYS/#", "#", false, false},
        {"$SYS/+", "+/a", false, false},  {"+/a", "$SYS/a", false, false},
        {"a/+/#", "a/#", false, true},    {"a/+/#", "a/b", true, true},
        {"a/+/#", "a", false, false},
    };
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        struct nj_bytes pattern = wire_copy(text(cases[i].pattern));
        struct nj_bytes filter = wire_copy(text(cases[i].filter));
        if (nj_mqtt_filter_covers(pattern, filter) != cases[i].covers ||
            nj_mqtt_filter_overlaps(pattern, filter) != cases[i].overlaps ||
            nj_mqtt_filter_overlaps(filter, pattern) != cases[i].overlaps) {
            fail_msg("%s, %s", cases[i].pattern, cases[i].filter);
        }
        wire_free(pattern);
        wire_free(filter);
    }
}

static void takes_levels_one_by_one(void **state)
{
    (void)state;
    struct nj_bytes rest = text("a//b/");
    struct nj_bytes level = {0};
    static const char *const want[] = {"a", "", "b", ""};
    for (size_t i = 0; i < WIRE_COUNT(want); i++) {
        assert_true(nj_mqtt_next_level(&rest, &level));
        assert_true(nj_bytes_equal(level, text(want[i])));
    }
    assert_false(nj_mqtt_next_level(&rest, &level));
    assert_false(nj_mqtt_next_level(&rest, &level));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(b104_b106_knows_topic_names),
        cmocka_unit_test(b015_refuses_nul_in_names_and_filters),
        cmocka_unit_test(b104_finds_a_wildcard_at_every_place),
        cmocka_unit_test(b105_b172_limits_length_and_levels),
        cmocka_unit_test(b169_knows_filters),
        cmocka_unit_test(b170_b171_knows_shared_subscriptions),
        cmocka_unit_test(matches_as_the_standard_says),
        cmocka_unit_test_setup(covers_and_overlaps_exactly_when_the_topics_say_so, fill_all),
        cmocka_unit_test(covers_as_rights_need_it),
        cmocka_unit_test(takes_levels_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
