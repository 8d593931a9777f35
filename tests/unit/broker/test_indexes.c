/* The shared indexes (interest, retained) under readers and writers at the same time. Made for
 * ThreadSanitizer and AddressSanitizer; what readers see has to be whole. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/qsbr.h"
#include "base/thread.h"
#include "broker/interest.h"
#include "broker/message.h"
#include "broker/origin.h"
#include "broker/retain.h"
#include "support/test.h"

#define READERS 2
#define WRITERS 2
#define ROUNDS  8000

struct world {
    struct nj_qsbr *qsbr;
    struct nj_interest *interest;
    struct nj_retain *retain;
    _Atomic bool is_over;
    _Atomic uint64_t seen;
};

struct actor {
    struct world *world;
    unsigned slot;
    struct nj_thread thread;
};

static unsigned next_random(unsigned *state)
{
    *state = *state * 1103515245u + 12345u;
    return *state >> 8;
}

static void *read_interest(void *arg)
{
    struct actor *actor = arg;
    struct world *world = actor->world;
    struct nj_tree_nodes scratch[2] = {{0}, {0}};
    unsigned seed = actor->slot;
    while (!atomic_load(&world->is_over)) {
        nj_qsbr_online(world->qsbr, actor->slot);
        for (int i = 0; i < 20; i++) {
            char topic[32];
            (void)snprintf(topic, sizeof(topic), "a/%u/%u", next_random(&seed) % 8,
                           next_random(&seed) % 8);
            struct nj_interest_set set =
                nj_interest_match(world->interest, nj_bytes_of(topic), scratch);
            /* Worker 9 is always interested in everything. */
            assert_true(set.any >> 9 & 1);
            assert_int_equal(set.stored & ~set.any & ~7ull, 0);
            atomic_fetch_add(&world->seen, 1);
            nj_qsbr_quiescent(world->qsbr, actor->slot);
        }
        nj_qsbr_offline(world->qsbr, actor->slot);
    }
    nj_tree_nodes_fini(&scratch[0]);
    nj_tree_nodes_fini(&scratch[1]);
    return NULL;
}

static void *write_interest(void *arg)
{
    struct actor *actor = arg;
    struct world *world = actor->world;
    unsigned seed = actor->slot * 77;
    for (int i = 0; i < ROUNDS; i++) {
        char filter[32];
        unsigned a = next_random(&seed) % 8;
        unsigned b = next_random(&seed) % 9;
        (void)snprintf(filter, sizeof(filter), b == 8 ? "a/%u/+" : "a/%u/%u", a, b);
        bool wants = next_random(&seed) % 2;
        assert_int_equal(nj_interest_set(world->interest, actor->slot, nj_bytes_of(filter), wants,
                                         wants && next_random(&seed) % 2),
                         NJ_OK);
    }
    return NULL;
}

static void run(struct world *world, void *(*reader)(void *), void *(*writer)(void *))
{
    struct actor actors[READERS + WRITERS];
    for (unsigned i = 0; i < READERS + WRITERS; i++) {
        actors[i] = (struct actor){.world = world, .slot = i};
        assert_int_equal(
            nj_thread_start(&actors[i].thread, "actor", i < READERS ? reader : writer, &actors[i]),
            NJ_OK);
    }
    for (unsigned i = READERS; i < READERS + WRITERS; i++) {
        nj_thread_join(&actors[i].thread);
    }
    atomic_store(&world->is_over, true);
    for (unsigned i = 0; i < READERS; i++) {
        nj_thread_join(&actors[i].thread);
    }
    assert_true(atomic_load(&world->seen) > 0);
}

static void interest_is_whole_under_readers_and_writers(void **state)
{
    (void)state;
    struct world world = {.qsbr = nj_qsbr_new(READERS + WRITERS)};
    world.interest = nj_interest_new(world.qsbr);
    assert_int_equal(nj_interest_set(world.interest, 9, nj_bytes_of("#"), true, false), NJ_OK);
    run(&world, read_interest, write_interest);
    nj_interest_free(world.interest);
    nj_qsbr_free(world.qsbr);
}

/* ---- retained */

static struct nj_message *message_of(const char *topic, uint64_t expires_ms)
{
    /* The payload repeats the topic, so that a reader can tell a torn message. */
    const struct nj_message_view view = {
        .topic = nj_bytes_of(topic), .payload = nj_bytes_of(topic), .expires_ms = expires_ms};
    struct nj_message *message = nj_message_new(&view);
    assert_non_null(message);
    return message;
}

static void *read_retained(void *arg)
{
    struct actor *actor = arg;
    struct world *world = actor->world;
    struct nj_tree_nodes scratch[2] = {{0}, {0}};
    unsigned seed = actor->slot;
    while (!atomic_load(&world->is_over)) {
        char filter[32];
        (void)snprintf(filter, sizeof(filter), next_random(&seed) % 2 ? "#" : "a/%u/+",
                       next_random(&seed) % 6);
        const struct nj_retain_query query = {
            .filter = nj_bytes_of(filter), .now_ms = 1000, .clock = UINT64_MAX};
        struct nj_retained *found;
        uint32_t count;
        nj_qsbr_online(world->qsbr, actor->slot);
        assert_int_equal(nj_retain_match(world->retain, &query, scratch, &found, &count), NJ_OK);
        for (uint32_t i = 0; i < count; i++) {
            struct nj_message_view view = nj_message_view(found[i].message);
            assert_true(nj_bytes_equal(view.topic, view.payload));
            assert_true(view.expires_ms == 0 || view.expires_ms > 1000);
            assert_string_equal(found[i].origin->data, "u");
            (void)nj_retain_is_current(world->retain, found[i].message);
        }
        nj_qsbr_offline(world->qsbr, actor->slot);
        for (uint32_t i = 0; i < count; i++) {
            nj_retained_unref(&found[i]);
        }
        nj_free(found);
        atomic_fetch_add(&world->seen, 1);
    }
    nj_tree_nodes_fini(&scratch[0]);
    nj_tree_nodes_fini(&scratch[1]);
    return NULL;
}

static void *write_retained(void *arg)
{
    struct actor *actor = arg;
    struct world *world = actor->world;
    unsigned seed = actor->slot * 77;
    struct nj_origin *origin = nj_origin_new(0, 0, NJ_BYTES_LIT("u\0"), NJ_BYTES_LIT(""));
    for (int i = 0; i < ROUNDS; i++) {
        char topic[32];
        (void)snprintf(topic, sizeof(topic), "a/%u/%u", next_random(&seed) % 6,
                       next_random(&seed) % 6);
        if (next_random(&seed) % 3 == 0) {
            (void)nj_retain_clear(world->retain, nj_bytes_of(topic));
            continue;
        }
        struct nj_message *message =
            message_of(topic, next_random(&seed) % 4 ? 0 : 500 + next_random(&seed) % 1000);
        assert_int_equal(nj_retain_put(world->retain, message, origin, NULL), NJ_OK);
        nj_message_unref(message);
    }
    nj_origin_unref(origin);
    return NULL;
}

static void retained_is_whole_under_readers_and_writers(void **state)
{
    (void)state;
    struct world world = {.qsbr = nj_qsbr_new(READERS + WRITERS)};
    world.retain = nj_retain_new(world.qsbr);
    run(&world, read_retained, write_retained);
    assert_in_range(nj_retain_count(world.retain), 0, 36);
    nj_retain_free(world.retain);
    nj_qsbr_free(world.qsbr);
    assert_int_equal(nj_message_count(), 0);
}

/* ---- alone */

static void interest_counts_workers_and_forgets_them(void **state)
{
    (void)state;
    struct nj_qsbr *qsbr = nj_qsbr_new(1);
    struct nj_interest *interest = nj_interest_new(qsbr);
    struct nj_tree_nodes scratch[2] = {{0}, {0}};
    struct nj_bytes topic = nj_bytes_of("a/b");
    uint64_t generation = nj_interest_generation(interest);
    assert_int_equal(nj_interest_set(interest, 1, nj_bytes_of("a/+"), true, true), NJ_OK);
    assert_int_equal(nj_interest_set(interest, 63, nj_bytes_of("a/b"), true, false), NJ_OK);
    assert_int_not_equal(nj_interest_generation(interest), generation);
    struct nj_interest_set set = nj_interest_match(interest, topic, scratch);
    assert_true(set.any == (1ull << 63 | 2));
    assert_true(set.stored == 2);
    assert_int_equal(nj_interest_set(interest, 1, nj_bytes_of("a/+"), true, false), NJ_OK);
    assert_int_equal(nj_interest_match(interest, topic, scratch).stored, 0);
    assert_int_equal(nj_interest_set(interest, 1, nj_bytes_of("a/+"), false, false), NJ_OK);
    assert_int_equal(nj_interest_set(interest, 1, nj_bytes_of("never/set"), false, false), NJ_OK);
    assert_true(nj_interest_match(interest, topic, scratch).any == 1ull << 63);
    nj_tree_nodes_fini(&scratch[0]);
    nj_tree_nodes_fini(&scratch[1]);
    nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
    assert_true(nj_interest_match(interest, topic, scratch).any == UINT64_MAX);
    assert_int_equal(nj_interest_set(interest, 2, nj_bytes_of("new"), true, true), NJ_ENOMEM);
    nj_fault_disarm();
    nj_interest_free(interest);
    nj_qsbr_free(qsbr);
}

static void note_removed(void *arg, struct nj_bytes topic)
{
    char *all = arg;
    (void)strncat(all, (const char *)topic.ptr, topic.len);
}

static void retained_is_swept_when_it_expires_and_not_before(void **state)
{
    (void)state;
    struct nj_qsbr *qsbr = nj_qsbr_new(1);
    struct nj_retain *retain = nj_retain_new(qsbr);
    char removed[32] = "";
    static const struct {
        const char *topic;
        uint64_t expires_ms;
    } rows[] = {{"d", 40}, {"a", 10}, {"c", 30}, {"b", 20}, {"never", 0}, {"c", 50}, {"x", 5}};
    assert_true(nj_retain_next_due_ms(retain) == UINT64_MAX);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct nj_message *message = message_of(rows[i].topic, rows[i].expires_ms);
        assert_int_equal(nj_retain_put(retain, message, NULL, NULL), NJ_OK);
        nj_message_unref(message);
    }
    assert_true(nj_retain_clear(retain, nj_bytes_of("x")));
    assert_int_equal(nj_retain_next_due_ms(retain), 10);
    nj_retain_sweep(retain, 9, 10, note_removed, removed);
    assert_string_equal(removed, "");
    nj_retain_sweep(retain, 45, 2, note_removed, removed); /* no more than asked for */
    assert_string_equal(removed, "ab");
    assert_int_equal(nj_retain_next_due_ms(retain), 40); /* c was replaced by one that lives on */
    nj_retain_sweep(retain, 45, 10, note_removed, removed);
    assert_string_equal(removed, "abd");
    assert_int_equal(nj_retain_count(retain), 2);
    nj_retain_sweep(retain, 50, 10, note_removed, removed);
    assert_string_equal(removed, "abdc");
    assert_true(nj_retain_next_due_ms(retain) == UINT64_MAX);
    assert_int_equal(nj_retain_count(retain), 1);
    nj_retain_free(retain);
    nj_qsbr_free(qsbr);
    assert_int_equal(nj_message_count(), 0);
}

static void retained_is_replaced_cleared_and_expired(void **state)
{
    (void)state;
    struct nj_qsbr *qsbr = nj_qsbr_new(1);
    struct nj_retain *retain = nj_retain_new(qsbr);
    struct nj_tree_nodes scratch[2] = {{0}, {0}};
    struct nj_retained *found;
    uint32_t count;
    struct nj_message *first = message_of("a", 0);
    struct nj_message *second = message_of("a", 50);
    assert_int_equal(nj_retain_put(retain, first, NULL, NULL), NJ_OK);
    assert_true(nj_retain_is_current(retain, first));
    assert_int_equal(nj_retain_put(retain, second, NULL, NULL), NJ_OK);
    assert_false(nj_retain_is_current(retain, first));
    assert_int_equal(nj_retain_count(retain), 1);
    struct nj_retain_query query = {
        .filter = nj_bytes_of("#"), .now_ms = 49, .clock = nj_retain_clock(retain)};
    assert_int_equal(nj_retain_match(retain, &query, scratch, &found, &count), NJ_OK);
    assert_int_equal(count, 1);
    assert_ptr_equal(found[0].message, second);
    nj_retained_unref(&found[0]);
    nj_free(found);
    query.clock = nj_retain_clock(retain) - 2; /* of the message that was replaced */
    assert_int_equal(nj_retain_match(retain, &query, scratch, &found, &count), NJ_OK);
    assert_int_equal(count, 0);
    nj_free(found);
    query.clock = UINT64_MAX;
    query.now_ms = 50;
    assert_int_equal(nj_retain_match(retain, &query, scratch, &found, &count), NJ_OK);
    assert_int_equal(count, 0);
    nj_free(found);
    assert_true(nj_retain_clear(retain, nj_bytes_of("a")));
    assert_int_equal(nj_retain_count(retain), 0);
    assert_false(nj_retain_clear(retain, nj_bytes_of("a")));
    for (uint64_t n = 1; n <= 2; n++) {
        nj_fault_arm(NJ_FAULT_ALLOC, n, true);
        assert_int_equal(nj_retain_put(retain, first, NULL, NULL), NJ_ENOMEM);
        nj_fault_disarm();
    }
    assert_int_equal(nj_retain_put(retain, first, NULL, NULL), NJ_OK);
    assert_true(nj_retain_clear(retain, nj_bytes_of("a")));
    nj_message_unref(first);
    nj_message_unref(second);
    nj_tree_nodes_fini(&scratch[0]);
    nj_tree_nodes_fini(&scratch[1]);
    nj_retain_free(retain);
    nj_qsbr_free(qsbr);
    assert_int_equal(nj_message_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interest_counts_workers_and_forgets_them),
        cmocka_unit_test(retained_is_replaced_cleared_and_expired),
        cmocka_unit_test(retained_is_swept_when_it_expires_and_not_before),
        cmocka_unit_test(interest_is_whole_under_readers_and_writers),
        cmocka_unit_test(retained_is_whole_under_readers_and_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
