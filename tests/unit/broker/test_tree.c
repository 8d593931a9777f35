/* The tree of levels against the naive matcher of the grammar, on random topics and filters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "broker/tree.h"
#include "mqtt/topic.h"
#include "support/test.h"
#include "texts.h"

#define TEXTS_MAX 300
/* One thread: a sanitizer makes it slow and finds what it can in a tenth. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#    define ROUNDS 400
#else
#    define ROUNDS 4000
#endif
#define TEXT_MAX 40

struct text {
    char bytes[TEXT_MAX];
    bool is_there;
};

static bool is_among(const struct text *texts, int count, const char *bytes)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(texts[i].bytes, bytes) == 0) {
            return true;
        }
    }
    return false;
}

static int fill(struct text *texts, bool is_filter)
{
    int count = 0;
    while (count < TEXTS_MAX) {
        char bytes[TEXT_MAX];
        random_text(bytes, is_filter);
        if (!is_among(texts, count, bytes) || rand() % 500 == 0) {
            if (is_among(texts, count, bytes)) {
                break;
            }
            strcpy(texts[count].bytes, bytes);
            texts[count++].is_there = false;
        }
    }
    return count;
}

static void set(struct nj_tree *tree, struct text *text, bool is_there)
{
    if (text->is_there == is_there) {
        return;
    }
    struct nj_bytes path = nj_bytes_of(text->bytes);
    struct nj_tree_node *node = is_there ? nj_tree_insert(tree, path) : nj_tree_find(tree, path);
    assert_non_null(node);
    assert_int_equal(atomic_load(&node->value) != NULL, !is_there);
    atomic_store(&node->value, is_there ? text : NULL);
    nj_tree_touch(tree);
    if (!is_there) {
        nj_tree_prune(tree, node);
    }
    text->is_there = is_there;
}

static void check_result(const struct nj_tree_nodes *out, struct text *texts, int count,
                         const char *asked, bool is_filter_tree)
{
    uint32_t expected = 0;
    for (int i = 0; i < count; i++) {
        struct nj_bytes mine = nj_bytes_of(texts[i].bytes);
        bool matches = is_filter_tree ? nj_mqtt_topic_matches(mine, nj_bytes_of(asked))
                                      : nj_mqtt_topic_matches(nj_bytes_of(asked), mine);
        expected += texts[i].is_there && matches;
    }
    if (out->count != expected) {
        fail_msg("'%s': %u found, %u expected", asked, out->count, expected);
    }
    for (uint32_t n = 0; n < out->count; n++) {
        struct text *text = atomic_load(&out->node[n]->value);
        char path[TEXT_MAX];
        assert_int_equal(nj_tree_path(out->node[n], path, sizeof(path)), strlen(text->bytes));
        assert_memory_equal(path, text->bytes, strlen(text->bytes));
        assert_true(text->is_there);
        for (uint32_t m = 0; m < n; m++) {
            assert_ptr_not_equal(out->node[m], out->node[n]);
        }
    }
}

/* Of two filters that match the same topic: whether `left` has its turn first. */
static bool is_narrower(const char *left, const char *right)
{
    while (*left && *left == *right) {
        left++;
        right++;
    }
    if (!*left || !*right) { /* a last level that is empty, or the one before '#' */
        return *left ? strcmp(left, "/#") == 0 : strcmp(right, "/#") != 0;
    }
    bool is_left_wild = *left == '+' || *left == '#';
    bool is_right_wild = *right == '+' || *right == '#';
    return is_left_wild && is_right_wild ? *left == '+' : is_right_wild;
}

static void check_order(const struct nj_tree_nodes *out)
{
    for (uint32_t n = 1; n < out->count; n++) {
        const struct text *before = atomic_load(&out->node[n - 1]->value);
        const struct text *text = atomic_load(&out->node[n]->value);
        assert_true(is_narrower(before->bytes, text->bytes));
    }
}

static void compare(bool is_filter_tree)
{
    static struct text texts[TEXTS_MAX];
    struct nj_tree *tree = nj_tree_new(NULL, 2);
    struct nj_tree_nodes scratch = {0};
    struct nj_tree_nodes out = {0};
    int count = fill(texts, is_filter_tree);
    for (int round = 0; round < ROUNDS; round++) {
        set(tree, &texts[rand() % count], rand() % 3 != 0);
        char asked[TEXT_MAX];
        random_text(asked, !is_filter_tree);
        enum nj_err err = is_filter_tree
                              ? nj_tree_match_topic(tree, nj_bytes_of(asked), &scratch, &out)
                              : nj_tree_match_filter(tree, nj_bytes_of(asked), &scratch, &out);
        assert_int_equal(err, NJ_OK);
        check_result(&out, texts, count, asked, is_filter_tree);
        if (is_filter_tree) {
            nj_tree_order_matches(&out);
            check_order(&out);
        }
    }
    for (int i = 0; i < count; i++) {
        set(tree, &texts[i], false);
    }
    assert_int_equal(nj_tree_node_count(tree), 0);
    nj_tree_nodes_fini(&scratch);
    nj_tree_nodes_fini(&out);
    nj_tree_free(tree, NULL);
}

static void matches_topics_like_the_grammar(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 10; seed++) {
        srand(seed);
        compare(true);
    }
}

static void matches_filters_like_the_grammar(void **state)
{
    (void)state;
    for (unsigned seed = 11; seed <= 20; seed++) {
        srand(seed);
        compare(false);
    }
}

static void finds_exactly_what_was_inserted(void **state)
{
    (void)state;
    struct nj_tree *tree = nj_tree_new(NULL, 2);
    static const char *const paths[] = {"a", "a/", "/a", "/", "//", "a//b", "a/b", "+", "#", "a/#"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct nj_tree_node *node = nj_tree_insert(tree, nj_bytes_of(paths[i]));
        assert_null(atomic_load(&node->value));
        atomic_store(&node->value, (void *)(uintptr_t)paths[i]);
        assert_ptr_equal(nj_tree_insert(tree, nj_bytes_of(paths[i])), node);
    }
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        char path[8];
        struct nj_tree_node *node = nj_tree_find(tree, nj_bytes_of(paths[i]));
        assert_ptr_equal(atomic_load(&node->value), paths[i]);
        assert_int_equal(nj_tree_path(node, path, sizeof(path)), strlen(paths[i]));
    }
    assert_null(nj_tree_find(tree, nj_bytes_of("b")));
    assert_int_equal(nj_tree_path(nj_tree_find(tree, nj_bytes_of("a//b")), NULL, 0), 4);
    nj_tree_free(tree, NULL);
}

static void assert_order(const struct nj_tree *tree, const char *filter, const char *expected)
{
    struct nj_tree_nodes scratch = {0};
    struct nj_tree_nodes out = {0};
    char found[200] = "";
    size_t len = 0;
    assert_int_equal(nj_tree_match_filter(tree, nj_bytes_of(filter), &scratch, &out), NJ_OK);
    for (uint32_t i = 0; i < out.count; i++) {
        len += nj_tree_path(out.node[i], found + len, sizeof(found) - len - 1);
        found[len++] = ' ';
    }
    assert_string_equal(found, expected);
    nj_tree_nodes_fini(&scratch);
    nj_tree_nodes_fini(&out);
}

static void gives_siblings_in_the_order_in_which_they_came(void **state)
{
    (void)state;
    struct nj_tree *tree = nj_tree_new(NULL, 2);
    static const char *const topics[] = {"r/z/1", "r/a", "$s/x", "r/a/2", "r/m", "r/z/0", "r", "q"};
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        atomic_store(&nj_tree_insert(tree, nj_bytes_of(topics[i]))->value, tree);
    }
    assert_order(tree, "r/#", "r/z/1 r/z/0 r/a r/a/2 r/m r ");
    assert_order(tree, "#", "r r/z/1 r/z/0 r/a r/a/2 r/m q ");
    assert_order(tree, "r/+", "r/a r/m ");
    assert_order(tree, "r/+/+", "r/z/1 r/z/0 r/a/2 ");
    assert_order(tree, "+/z/#", "r/z/1 r/z/0 ");
    assert_order(tree, "$s/#", "$s/x ");
    /* The first, one between, the last go; the last place is taken again. */
    static const char *const gone[] = {"r/z/1", "r/z/0", "r/a/2", "r/m"};
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
        struct nj_tree_node *node = nj_tree_find(tree, nj_bytes_of(gone[i]));
        atomic_store(&node->value, NULL);
        nj_tree_prune(tree, node);
    }
    atomic_store(&nj_tree_insert(tree, nj_bytes_of("r/y"))->value, tree);
    atomic_store(&nj_tree_insert(tree, nj_bytes_of("r/b"))->value, tree);
    assert_order(tree, "r/#", "r/a r/y r/b r ");
    nj_tree_free(tree, NULL);
}

static void leaves_nothing_behind_without_memory(void **state)
{
    (void)state;
    struct nj_tree *tree = nj_tree_new(NULL, 2);
    atomic_store(&nj_tree_insert(tree, nj_bytes_of("a/b"))->value, tree);
    uint64_t before = nj_tree_node_count(tree);
    for (uint64_t n = 1; n <= 3; n++) {
        nj_fault_arm(NJ_FAULT_ALLOC, n, true);
        assert_null(nj_tree_insert(tree, nj_bytes_of("a/c/d/e")));
        nj_fault_disarm();
        assert_int_equal(nj_tree_node_count(tree), before);
    }
    struct nj_tree_nodes scratch = {0};
    struct nj_tree_nodes out = {0};
    nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
    assert_int_equal(nj_tree_match_topic(tree, nj_bytes_of("a/b"), &scratch, &out), NJ_ENOMEM);
    assert_int_equal(nj_tree_match_filter(tree, nj_bytes_of("#"), &scratch, &out), NJ_ENOMEM);
    nj_fault_disarm();
    nj_tree_free(tree, NULL);
}

static void copes_with_the_deepest_and_longest_levels(void **state)
{
    (void)state;
    static char deep[65535];
    memset(deep, '/', sizeof(deep));
    static char wide[65535];
    memset(wide, 'w', sizeof(wide));
    struct nj_tree *tree = nj_tree_new(NULL, 12); /* one path does not make it grow */
    struct nj_tree_nodes scratch = {0};
    struct nj_tree_nodes out = {0};
    const struct nj_bytes paths[] = {nj_bytes(deep, sizeof(deep)), nj_bytes(wide, sizeof(wide))};
    for (int i = 0; i < 2; i++) {
        struct nj_tree_node *node = nj_tree_insert(tree, paths[i]);
        atomic_store(&node->value, tree);
        assert_int_equal(nj_tree_match_topic(tree, paths[i], &scratch, &out), NJ_OK);
        assert_int_equal(out.count, 1);
        assert_int_equal(nj_tree_path(node, NULL, 0), 65535);
        atomic_store(&node->value, NULL);
        nj_tree_prune(tree, node);
        assert_int_equal(nj_tree_node_count(tree), 0);
    }
    nj_tree_nodes_fini(&scratch);
    nj_tree_nodes_fini(&out);
    nj_tree_free(tree, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_topics_like_the_grammar),
        cmocka_unit_test(matches_filters_like_the_grammar),
        cmocka_unit_test(finds_exactly_what_was_inserted),
        cmocka_unit_test(gives_siblings_in_the_order_in_which_they_came),
        cmocka_unit_test(leaves_nothing_behind_without_memory),
        cmocka_unit_test(copes_with_the_deepest_and_longest_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
