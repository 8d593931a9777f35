/* A worker's subscription index against a naive list, under random operations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/qsbr.h"
#include "broker/filters.h"
#include "broker/session.h"
#include "broker/tree.h"
#include "mqtt/topic.h"
#include "support/test.h"
#include "texts.h"

#define SESSIONS 20
#define FILTERS  60
#define TOPICS   40

struct model {
    bool is_subscribed[SESSIONS][FILTERS];
    struct nj_sub_options options[SESSIONS][FILTERS];
};

static char filter_text[FILTERS][40];
static char topic_text[TOPICS][40];
static struct nj_session sessions[SESSIONS];

static void make_texts(void)
{
    for (int f = 0; f < FILTERS; f++) {
        int other;
        do {
            random_text(filter_text[f], true);
            for (other = 0; strcmp(filter_text[other], filter_text[f]) != 0; other++) {
            }
        } while (other != f);
    }
    for (int t = 0; t < TOPICS; t++) {
        random_text(topic_text[t], false);
    }
}

static void subscribe(struct nj_filters *filters, struct model *model, int s, int f)
{
    struct nj_sub_options options = {.sub_id = (uint32_t)rand() % 9, .qos = (uint8_t)rand() % 3};
    bool is_new = false;
    assert_int_equal(
        nj_filters_add(filters, &sessions[s], nj_bytes_of(filter_text[f]), &options, &is_new),
        NJ_OK);
    assert_int_equal(is_new, !model->is_subscribed[s][f]);
    model->is_subscribed[s][f] = true;
    model->options[s][f] = options;
}

static void unsubscribe(struct nj_filters *filters, struct model *model, int s, int f)
{
    bool was_there = nj_filters_remove(filters, &sessions[s], nj_bytes_of(filter_text[f]));
    assert_int_equal(was_there, model->is_subscribed[s][f]);
    model->is_subscribed[s][f] = false;
}

static void check_entry(const struct model *model, const struct nj_filter *filter, uint32_t place,
                        const char *text)
{
    const struct nj_sub_entry *entry = &filter->entries[place];
    int f = 0;
    while (strcmp(filter_text[f], text) != 0) {
        f++;
    }
    long s = entry->session - sessions;
    assert_true(model->is_subscribed[s][f]);
    assert_int_equal(entry->options.sub_id, model->options[s][f].sub_id);
    assert_int_equal(entry->options.qos, model->options[s][f].qos);
    assert_ptr_equal(entry->session->subs[entry->back].filter, filter);
    assert_int_equal(entry->session->subs[entry->back].place, place);
}

static void check_topic(struct nj_filters *filters, struct nj_interest *interest,
                        const struct model *model, int t)
{
    struct nj_bytes topic = nj_bytes_of(topic_text[t]);
    const struct nj_match *match = nj_filters_match(filters, topic);
    uint32_t found = 0;
    uint32_t expected = 0;
    bool wants_stored = false;
    for (uint32_t i = 0; i < match->count; i++) {
        char text[64];
        size_t len = nj_filter_text(match->filters[i], text, sizeof(text) - 1);
        text[len] = 0;
        for (uint32_t e = 0; e < match->filters[i]->count; e++) {
            check_entry(model, match->filters[i], e, text);
            found++;
        }
    }
    for (int s = 0; s < SESSIONS; s++) {
        for (int f = 0; f < FILTERS; f++) {
            if (model->is_subscribed[s][f] &&
                nj_mqtt_topic_matches(nj_bytes_of(filter_text[f]), topic)) {
                expected++;
                wants_stored |= sessions[s].is_stored;
            }
        }
    }
    assert_int_equal(found, expected);
    assert_int_equal(match->interest.any, expected ? 1u << 3 : 0);
    assert_int_equal(match->interest.stored, wants_stored ? 1u << 3 : 0);
    (void)interest;
}

static void agrees_with_a_naive_list(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 6; seed++) {
        srand(seed);
        make_texts();
        static struct model model;
        memset(&model, 0, sizeof(model));
        memset(sessions, 0, sizeof(sessions));
        struct nj_qsbr *qsbr = nj_qsbr_new(1);
        struct nj_interest *interest = nj_interest_new(qsbr);
        struct nj_filters *filters = nj_filters_new(3, interest);
        for (int i = 0; i < 8000; i++) {
            int s = rand() % SESSIONS;
            int what = rand() % 100;
            if (what < 40) {
                subscribe(filters, &model, s, rand() % FILTERS);
            } else if (what < 80) {
                unsubscribe(filters, &model, s, rand() % FILTERS);
            } else if (what < 82) {
                nj_filters_remove_all(filters, &sessions[s]);
                memset(model.is_subscribed[s], 0, sizeof(model.is_subscribed[s]));
            } else if (what < 85) {
                nj_filters_set_stored(filters, &sessions[s], rand() % 2);
            }
            check_topic(filters, interest, &model, rand() % TOPICS);
        }
        for (int s = 0; s < SESSIONS; s++) {
            nj_filters_remove_all(filters, &sessions[s]);
        }
        assert_int_equal(nj_filters_count(filters), 0);
        memset(&model, 0, sizeof(model));
        for (int t = 0; t < TOPICS; t++) {
            check_topic(filters, interest, &model, t);
        }
        nj_filters_free(filters);
        nj_interest_free(interest);
        nj_qsbr_free(qsbr);
    }
}

static void stays_whole_without_memory(void **state)
{
    (void)state;
    struct nj_qsbr *qsbr = nj_qsbr_new(1);
    struct nj_interest *interest = nj_interest_new(qsbr);
    struct nj_filters *filters = nj_filters_new(0, interest);
    memset(sessions, 0, sizeof(sessions));
    struct nj_sub_options options = {0};
    bool is_new;
    assert_int_equal(nj_filters_add(filters, &sessions[0], nj_bytes_of("x"), &options, &is_new),
                     NJ_OK);
    for (uint64_t n = 1; n < 20; n++) {
        nj_fault_arm(NJ_FAULT_ALLOC, n, true);
        enum nj_err err =
            nj_filters_add(filters, &sessions[0], nj_bytes_of("a/+/c"), &options, &is_new);
        nj_fault_disarm();
        const struct nj_match *match = nj_filters_match(filters, nj_bytes_of("a/b/c"));
        assert_int_equal(match->count, err == NJ_OK);
        assert_int_equal(match->interest.any, err == NJ_OK);
        assert_int_equal(nj_filters_remove(filters, &sessions[0], nj_bytes_of("a/+/c")),
                         err == NJ_OK);
        assert_int_equal(nj_filters_count(filters), 1);
    }
    nj_filters_remove_all(filters, &sessions[0]);
    nj_filters_free(filters);
    nj_interest_free(interest);
    nj_qsbr_free(qsbr);
}

/* A result that lack of memory cut short must not be remembered. */
static void looks_again_after_a_match_without_memory(void **state)
{
    (void)state;
    struct nj_qsbr *qsbr = nj_qsbr_new(1);
    struct nj_interest *interest = nj_interest_new(qsbr);
    memset(sessions, 0, sizeof(sessions));
    for (uint64_t n = 1; n < 10; n++) {
        struct nj_filters *filters = nj_filters_new(0, interest);
        struct nj_sub_options options = {0};
        bool is_new;
        for (int i = 0; i < 3; i++) {
            static const char *const texts[] = {"a/b", "a/+", "#"};
            assert_int_equal(
                nj_filters_add(filters, &sessions[0], nj_bytes_of(texts[i]), &options, &is_new),
                NJ_OK);
        }
        nj_fault_arm(NJ_FAULT_ALLOC, n, true);
        assert_true(nj_filters_match(filters, nj_bytes_of("a/b"))->count <= 3);
        nj_fault_disarm();
        assert_int_equal(nj_filters_match(filters, nj_bytes_of("a/b"))->count, 3);
        nj_filters_remove_all(filters, &sessions[0]);
        nj_filters_free(filters);
    }
    nj_interest_free(interest);
    nj_qsbr_free(qsbr);
}

/* ---- moments */

#define MOMENTS 5

struct kept {
    struct nj_moment moment;
    struct model then; /* without what was unsubscribed since */
};

static struct kept kept[MOMENTS];

static void unsubscribe_then_too(struct nj_filters *filters, struct model *model, int s, int f)
{
    unsubscribe(filters, model, s, f);
    for (int m = 0; m < MOMENTS; m++) {
        kept[m].then.is_subscribed[s][f] = false;
    }
}

static void keep_or_drop(struct nj_filters *filters, const struct model *model, int m)
{
    if (kept[m].moment.number) {
        nj_filters_drop_moment(filters, &kept[m].moment);
    } else {
        nj_filters_keep_moment(filters, &kept[m].moment);
        kept[m].then = *model;
    }
}

static void check_moment(struct nj_filters *filters, const struct model *model, int m, int f)
{
    const struct nj_filter *filter = nj_filters_find(filters, nj_bytes_of(filter_text[f]));
    for (uint32_t i = 0; filter && i < filter->count; i++) {
        const struct nj_sub_entry *entry = &filter->entries[i];
        long s = entry->session - sessions;
        const struct nj_sub_options *options = nj_sub_entry_at(entry, kept[m].moment.number);
        assert_true(model->is_subscribed[s][f]);
        assert_int_equal(options != NULL, kept[m].then.is_subscribed[s][f]);
        if (options) {
            assert_int_equal(options->sub_id, kept[m].then.options[s][f].sub_id);
            assert_int_equal(options->qos, kept[m].then.options[s][f].qos);
        }
    }
}

static void knows_what_was_at_moments_that_are_kept(void **state)
{
    (void)state;
    static struct model model;
    srand(7);
    make_texts();
    memset(&model, 0, sizeof(model));
    memset(kept, 0, sizeof(kept));
    memset(sessions, 0, sizeof(sessions));
    struct nj_qsbr *qsbr = nj_qsbr_new(1);
    struct nj_interest *interest = nj_interest_new(qsbr);
    struct nj_filters *filters = nj_filters_new(0, interest);
    for (int i = 0; i < 40000; i++) {
        int f = rand() % 8;
        int what = rand() % 100;
        if (what < 60) {
            subscribe(filters, &model, rand() % SESSIONS, f);
        } else if (what < 90) {
            unsubscribe_then_too(filters, &model, rand() % SESSIONS, f);
        } else {
            keep_or_drop(filters, &model, rand() % MOMENTS);
        }
        for (int m = 0; m < MOMENTS; m++) {
            if (kept[m].moment.number) {
                check_moment(filters, &model, m, f);
            }
        }
    }
    for (int m = 0; m < MOMENTS; m++) {
        nj_filters_drop_moment(filters, &kept[m].moment);
    }
    for (int f = 0; f < 8; f++) {
        const struct nj_filter *filter = nj_filters_find(filters, nj_bytes_of(filter_text[f]));
        for (uint32_t i = 0; filter && i < filter->count; i++) {
            assert_null(filter->entries[i].past);
        }
    }
    for (int s = 0; s < SESSIONS; s++) {
        nj_filters_remove_all(filters, &sessions[s]);
    }
    nj_filters_free(filters);
    nj_interest_free(interest);
    nj_qsbr_free(qsbr);
}

/* A subscription that cannot be remembered stays what it was. */
static void is_not_replaced_when_the_moment_could_not_see_it_any_more(void **state)
{
    (void)state;
    struct nj_qsbr *qsbr = nj_qsbr_new(1);
    struct nj_interest *interest = nj_interest_new(qsbr);
    struct nj_filters *filters = nj_filters_new(0, interest);
    struct nj_moment moment;
    struct nj_sub_options options = {.qos = 1};
    bool is_new;
    memset(sessions, 0, sizeof(sessions));
    assert_int_equal(nj_filters_add(filters, &sessions[0], nj_bytes_of("x"), &options, &is_new),
                     NJ_OK);
    nj_filters_keep_moment(filters, &moment);
    options.qos = 2;
    nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
    assert_int_equal(nj_filters_add(filters, &sessions[0], nj_bytes_of("x"), &options, &is_new),
                     NJ_ENOMEM);
    nj_fault_disarm();
    const struct nj_sub_entry *entry = nj_filters_find(filters, nj_bytes_of("x"))->entries;
    assert_int_equal(entry->options.qos, 1);
    assert_int_equal(nj_filters_add(filters, &sessions[0], nj_bytes_of("x"), &options, &is_new),
                     NJ_OK);
    assert_int_equal(entry->options.qos, 2);
    assert_int_equal(nj_sub_entry_at(entry, moment.number)->qos, 1);
    /* What is left when the broker stops goes with the index. */
    nj_filters_free(filters);
    nj_free(sessions[0].subs);
    nj_interest_free(interest);
    nj_qsbr_free(qsbr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_naive_list),
        cmocka_unit_test(stays_whole_without_memory),
        cmocka_unit_test(looks_again_after_a_match_without_memory),
        cmocka_unit_test(knows_what_was_at_moments_that_are_kept),
        cmocka_unit_test(is_not_replaced_when_the_moment_could_not_see_it_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
