/* The compiled ACL against the naive reference, a million questions; and whether SUBSCRIBE is
 * refused only when nothing could be delivered. */
#include <stdio.h>

#include "security/acl.h"
#include "support/test.h"
#include "unit/security/naive_acl.h"

#define FILES         5000
#define QUERIES       200
#define FILTER_FILES  400
#define FILTERS       8
#define UNIVERSE_MAX  512
#define FILE_TEXT_MAX 4096
#define TOPIC_MAX     64
#define NAME_MAX_LEN  24

static uint32_t dice = 1;

static unsigned roll(unsigned sides)
{
    dice = dice * 1664525u + 1013904223u;
    return (dice >> 8) % sides;
}

static const char *const names[] = {"a", "b", "u1", "c", "", "$s", "z"};
static const char *const users[] = {NULL, "u1", "a", "b", "", "a/b", "+", "#", "$s", "x+"};
static const char *const clients[] = {"c", "b", "a/b", "#", "$s", "u1"};

static void append(char *out, size_t size, const char *text)
{
    size_t len = strlen(out);
    (void)snprintf(out + len, size - len, "%s", text);
}

/* A name, or a rule's or filter's text with wildcards, of 1 to `depth` levels. */
static void random_topic(char out[TOPIC_MAX], unsigned depth, bool is_rule, bool has_placeholders)
{
    unsigned levels = 1 + roll(depth);
    *out = '\0';
    for (unsigned i = 0; i < levels; i++) {
        const char *level = names[roll(7)];
        unsigned kind = is_rule ? roll(10) : 10;
        if (kind < 2) {
            level = "+";
        } else if (kind == 2 && has_placeholders) {
            level = roll(2) ? "%u" : "%c";
        } else if (kind == 3) {
            level = "#";
            levels = i + 1;
        }
        append(out, TOPIC_MAX, i ? "/" : "");
        append(out, TOPIC_MAX, level);
    }
    if (*out == '\0') {
        append(out, TOPIC_MAX, "a");
    }
}

static void random_file(char *text, unsigned lines, bool has_deny, unsigned depth)
{
    static const char *const access[] = {"read ", "write ", "readwrite ", "", "deny "};
    *text = '\0';
    for (unsigned i = 0; i < lines; i++) {
        char topic[TOPIC_MAX];
        char line[128];
        unsigned kind = roll(6);
        if (kind == 0) {
            (void)snprintf(line, sizeof(line), "user %s\n", roll(2) ? "u1" : "a/b");
        } else {
            bool is_pattern = kind < 3;
            random_topic(topic, depth, true, is_pattern);
            (void)snprintf(line, sizeof(line), "%s %s%s\n", is_pattern ? "pattern" : "topic",
                           access[roll(has_deny ? 5 : 4)], topic);
        }
        append(text, FILE_TEXT_MAX, line);
    }
}

static struct nj_acl *parse(const char *text, bool leading_for_all)
{
    struct nj_acl_options options = {.leading_for_all = leading_for_all};
    struct nj_acl *acl = NULL;
    char error[256] = "";
    if (nj_acl_parse(nj_bytes_of(text), "f", &options, &acl, error, sizeof(error)) != NJ_OK) {
        fail_msg("%s\n%s", error, text);
    }
    return acl;
}

static struct nj_acl_query query_of(const struct nj_acl *acl, const struct naive_query *naive)
{
    return (struct nj_acl_query){
        .user = nj_bytes_of(naive->user),
        .client_id = nj_bytes_of(naive->client),
        .user_list = nj_acl_user_list(acl, nj_bytes_of(naive->user)),
        .is_write = naive->is_write,
    };
}

static struct naive_query random_query(bool leading_for_all)
{
    return (struct naive_query){
        .user = users[roll(10)],
        .client = clients[roll(6)],
        .is_write = roll(2),
        .leading_for_all = leading_for_all,
    };
}

static unsigned line_of(const struct nj_acl *acl, const struct nj_acl_answer *answer)
{
    char text[256];
    if (!answer->has_rule) {
        return 0;
    }
    return (unsigned)strtoul(nj_acl_rule_text(acl, answer->rule_id, text, sizeof(text)) + 2, NULL,
                             10);
}

static void compare(const struct nj_acl *acl, const struct naive_acl *naive, bool leading_for_all,
                    const char *text)
{
    char topic[TOPIC_MAX];
    random_topic(topic, 5, false, false);
    struct naive_query naive_query = random_query(leading_for_all);
    struct nj_acl_query query = query_of(acl, &naive_query);
    struct naive_answer want = naive_check(naive, &naive_query, topic);
    struct nj_acl_answer have = nj_acl_check(acl, &query, nj_bytes_of(topic));
    if (want.allowed != have.allowed || want.line != line_of(acl, &have)) {
        fail_msg("topic %s user %s client %s write %d: want %d line %u, have %d line %u\n%s", topic,
                 naive_query.user ? naive_query.user : "(none)", naive_query.client,
                 naive_query.is_write, want.allowed, want.line, have.allowed, line_of(acl, &have),
                 text);
    }
}

static void b275_a_million_answers_equal_the_naive_ones(void **state)
{
    (void)state;
    for (int file = 0; file < FILES; file++) {
        char text[FILE_TEXT_MAX];
        struct naive_acl naive;
        bool leading_for_all = roll(2);
        random_file(text, roll(30), true, 4);
        struct nj_acl *acl = parse(text, leading_for_all);
        naive_parse(&naive, text);
        assert_int_equal(naive.count, nj_acl_rule_count(acl));
        for (int i = 0; i < QUERIES; i++) {
            compare(acl, &naive, leading_for_all, text);
        }
        naive_free(&naive);
        nj_acl_free(acl);
    }
}

/* ---- filters */

static char universe[UNIVERSE_MAX][NAME_MAX_LEN];
static unsigned universe_count;

/* Every topic of up to three levels of the names. */
static void make_universe(void)
{
    universe_count = 0;
    for (unsigned i = 0; i < 7 + 49 + 343; i++) {
        char *out = universe[universe_count];
        unsigned rest = i < 7 ? i : i < 56 ? i - 7 : i - 56;
        unsigned levels = i < 7 ? 1 : i < 56 ? 2 : 3;
        *out = '\0';
        for (unsigned level = 0; level < levels; level++, rest /= 7) {
            append(out, NAME_MAX_LEN, level ? "/" : "");
            append(out, NAME_MAX_LEN, names[rest % 7]);
        }
        universe_count += *out != '\0';
    }
}

static const char *witness(const struct naive_acl *naive, const struct naive_query *query,
                           const char *filter)
{
    for (unsigned i = 0; i < universe_count; i++) {
        if (naive_match(filter, universe[i], NULL) &&
            naive_check(naive, query, universe[i]).allowed) {
            return universe[i];
        }
    }
    return NULL;
}

static unsigned compare_filter(const struct nj_acl *acl, const struct naive_acl *naive,
                               bool leading_for_all, bool has_deny, const char *text)
{
    char filter[TOPIC_MAX];
    random_topic(filter, 3, true, false);
    struct naive_query naive_query = random_query(leading_for_all);
    naive_query.is_write = false;
    struct nj_acl_query query = query_of(acl, &naive_query);
    const char *topic = witness(naive, &naive_query, filter);
    bool is_granted = nj_acl_check_filter(acl, &query, nj_bytes_of(filter)).allowed;
    bool is_wrong = topic ? !is_granted : is_granted && !has_deny;
    if (is_wrong) {
        fail_msg("filter %s user %s client %s: granted %d, witness %s\n%s", filter,
                 naive_query.user ? naive_query.user : "(none)", naive_query.client, is_granted,
                 topic ? topic : "(none)", text);
    }
    return !topic && is_granted;
}

/* Without denials the answer is exact; with them it may grant too much, never too little. */
static void l023_subscribe_is_refused_only_when_nothing_could_come(void **state)
{
    (void)state;
    unsigned too_kind = 0;
    make_universe();
    for (int file = 0; file < FILTER_FILES; file++) {
        char text[FILE_TEXT_MAX];
        struct naive_acl naive;
        bool leading_for_all = roll(2);
        bool has_deny = roll(2);
        random_file(text, roll(12), has_deny, 3);
        struct nj_acl *acl = parse(text, leading_for_all);
        naive_parse(&naive, text);
        for (int i = 0; i < FILTERS; i++) {
            too_kind += compare_filter(acl, &naive, leading_for_all, has_deny, text);
        }
        naive_free(&naive);
        nj_acl_free(acl);
    }
    assert_true(too_kind < FILTER_FILES * FILTERS / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(b275_a_million_answers_equal_the_naive_ones),
        cmocka_unit_test(l023_subscribe_is_refused_only_when_nothing_could_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
