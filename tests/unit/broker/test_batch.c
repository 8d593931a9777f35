/* Records, blocks and the inbox. */
#include <string.h>

#include "base/fault.h"
#include "base/thread.h"
#include "broker/batch.h"
#include "support/test.h"

static struct nj_batch *batch_of(uint32_t mark)
{
    struct nj_batch *batch = nj_batch_new_small(sizeof(mark));
    assert_non_null(batch);
    void *body = nj_batch_add(batch, 1, sizeof(mark));
    assert_non_null(body);
    memcpy(body, &mark, sizeof(mark));
    return batch;
}

static uint32_t mark_of(const struct nj_batch *batch)
{
    uint32_t at = 0;
    uint32_t mark;
    const struct nj_record *record = nj_batch_next(batch, &at);
    assert_non_null(record);
    memcpy(&mark, nj_record_body(record), sizeof(mark));
    return mark;
}

static void gives_records_back_in_order_and_aligned(void **state)
{
    (void)state;
    struct nj_batch *batch = nj_batch_new(10);
    assert_non_null(batch);
    uint32_t count = 0;
    void *body;
    while ((body = nj_batch_add(batch, (uint16_t)(count % 7), count % 300))) {
        assert_int_equal((uintptr_t)body % 16, 0);
        memset(body, (int)count, count % 300);
        count++;
    }
    assert_true(count > 100);
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct nj_record *record = nj_batch_next(batch, &at);
        assert_non_null(record);
        assert_int_equal(record->kind, i % 7);
        const uint8_t *bytes = nj_record_body(record);
        for (uint32_t b = 0; b < i % 300; b++) {
            assert_int_equal(bytes[b], (uint8_t)i);
        }
    }
    assert_null(nj_batch_next(batch, &at));
    nj_batch_free(batch);
}

static void makes_a_block_as_large_as_its_one_record(void **state)
{
    (void)state;
    struct nj_batch *batch = nj_batch_new(NJ_BATCH_BYTES * 3);
    assert_non_null(batch);
    assert_non_null(nj_batch_add(batch, 1, NJ_BATCH_BYTES * 3));
    assert_null(nj_batch_add(batch, 1, NJ_BATCH_BYTES));
    nj_batch_free(batch);
}

static void refuses_a_block_without_memory(void **state)
{
    (void)state;
    nj_fault_arm(NJ_FAULT_ALLOC, 1, false);
    assert_null(nj_batch_new(1));
    nj_fault_disarm();
}

static void drains_the_oldest_first_and_counts_to_zero(void **state)
{
    (void)state;
    struct nj_inbox inbox = {0};
    assert_null(nj_inbox_drain(&inbox));
    assert_true(nj_inbox_is_empty(&inbox));
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(nj_inbox_push(&inbox, batch_of(i)), i == 0);
    }
    assert_false(nj_inbox_is_empty(&inbox));
    assert_true(atomic_load(&inbox.bytes) >= 5 * sizeof(uint32_t));
    struct nj_batch *batch = nj_inbox_drain(&inbox);
    for (uint32_t i = 0; i < 5; i++) {
        struct nj_batch *next = batch->next;
        assert_int_equal(mark_of(batch), i);
        nj_batch_free(batch);
        batch = next;
    }
    assert_null(batch);
    assert_true(nj_inbox_is_empty(&inbox));
    assert_int_equal(atomic_load(&inbox.bytes), 0);
}

#define PUSHERS 3
#define PUSHES  20000u

struct pusher {
    struct nj_inbox *inbox;
    uint32_t id;
    struct nj_thread thread;
};

static void *push_many(void *arg)
{
    struct pusher *pusher = arg;
    for (uint32_t i = 0; i < PUSHES; i++) {
        (void)nj_inbox_push(pusher->inbox, batch_of(pusher->id << 24 | i));
    }
    return NULL;
}

static void keeps_the_order_of_each_pushing_thread(void **state)
{
    (void)state;
    struct nj_inbox inbox = {0};
    struct pusher pushers[PUSHERS];
    uint32_t next[PUSHERS] = {0};
    for (uint32_t i = 0; i < PUSHERS; i++) {
        pushers[i] = (struct pusher){.inbox = &inbox, .id = i};
        assert_int_equal(nj_thread_start(&pushers[i].thread, "pusher", push_many, &pushers[i]), 0);
    }
    uint32_t seen = 0;
    while (seen < PUSHERS * PUSHES) {
        struct nj_batch *batch = nj_inbox_drain(&inbox);
        while (batch) {
            struct nj_batch *following = batch->next;
            uint32_t mark = mark_of(batch);
            assert_int_equal(mark & 0xffffff, next[mark >> 24]++);
            nj_batch_free(batch);
            batch = following;
            seen++;
        }
    }
    for (uint32_t i = 0; i < PUSHERS; i++) {
        nj_thread_join(&pushers[i].thread);
    }
    assert_int_equal(atomic_load(&inbox.bytes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_records_back_in_order_and_aligned),
        cmocka_unit_test(makes_a_block_as_large_as_its_one_record),
        cmocka_unit_test(refuses_a_block_without_memory),
        cmocka_unit_test(drains_the_oldest_first_and_counts_to_zero),
        cmocka_unit_test(keeps_the_order_of_each_pushing_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
