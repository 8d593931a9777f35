/* The contract of store.h, which every store keeps: order per lane, never inline, each group once.
 */
#include <pthread.h>

#include "base/fault.h"
#include "store/open.h"
#include "support/test.h"

#define LANES  3
#define GROUPS 3000

struct ledger {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    uint64_t last[LANES];
    unsigned done[LANES];
    unsigned failed;
    bool is_submitting;
    bool is_wrong; /* asserted on the test's own thread */
};

static void on_done(void *arg, unsigned lane, uint64_t cookie, enum nj_err err)
{
    struct ledger *ledger = arg;
    (void)pthread_mutex_lock(&ledger->lock);
    ledger->is_wrong |= lane >= LANES || cookie <= ledger->last[lane] || ledger->is_submitting;
    ledger->last[lane] = cookie;
    ledger->done[lane]++;
    ledger->failed += err != NJ_OK;
    (void)pthread_cond_signal(&ledger->changed);
    (void)pthread_mutex_unlock(&ledger->lock);
}

static void open_ledger(struct ledger *ledger)
{
    *ledger = (struct ledger){0};
    (void)pthread_mutex_init(&ledger->lock, NULL);
    (void)pthread_cond_init(&ledger->changed, NULL);
}

static void close_ledger(struct ledger *ledger)
{
    assert_false(ledger->is_wrong);
    (void)pthread_mutex_destroy(&ledger->lock);
    (void)pthread_cond_destroy(&ledger->changed);
}

static const struct nj_store_op op = {
    .kind = NJ_STORE_UNSUBSCRIBE, .owner = 1, .bytes = {(void *)"c", 1}};

static struct nj_store_events events_of(struct ledger *ledger)
{
    return (struct nj_store_events){.arg = ledger, .done = on_done};
}

static struct nj_store *open_ram(struct ledger *ledger)
{
    const struct nj_store_events events = events_of(ledger);
    return nj_store_ram_open(LANES, &events);
}

static struct nj_store *open_chaos(struct ledger *ledger, const struct nj_store_chaos_plan *plan)
{
    const struct nj_store_events events = events_of(ledger);
    return nj_store_chaos_open(plan, nj_store_ram_open(LANES, &events), &events);
}

static void ram_completes_at_flush_and_never_inline(void **state)
{
    (void)state;
    struct ledger ledger;
    open_ledger(&ledger);
    struct nj_store *store = open_ram(&ledger);
    ledger.is_submitting = true;
    for (uint64_t cookie = 1; cookie <= 200; cookie++) {
        assert_int_equal(nj_store_submit(store, cookie % LANES, &op, 1, cookie, NULL), NJ_OK);
    }
    ledger.is_submitting = false;
    assert_int_equal(ledger.done[0], 0);
    nj_store_flush(store, 0);
    assert_int_equal(ledger.done[0], 66);
    assert_int_equal(ledger.done[1], 0);
    nj_store_flush(store, 1);
    nj_store_flush(store, 2);
    nj_store_flush(store, 2);
    assert_int_equal(ledger.done[1] + ledger.done[2], 134);
    assert_int_equal(ledger.failed, 0);
    nj_store_close(store);
    close_ledger(&ledger);
}

static void refuses_without_memory_and_completes_nothing_then(void **state)
{
    (void)state;
    struct ledger ledger;
    open_ledger(&ledger);
    const struct nj_store_chaos_plan plan = {.seed = 1};
    struct nj_store *stores[] = {open_ram(&ledger), open_chaos(&ledger, &plan)};
    for (int i = 0; i < 2; i++) {
        nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
        assert_int_equal(nj_store_submit(stores[i], 0, &op, 1, 1, NULL), NJ_ENOMEM);
        nj_fault_disarm();
        nj_store_flush(stores[i], 0);
        nj_store_close(stores[i]);
    }
    assert_int_equal(ledger.done[0], 0);
    close_ledger(&ledger);
}

static void chaos_keeps_the_order_and_completes_everything(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct ledger ledger;
        open_ledger(&ledger);
        const struct nj_store_chaos_plan plan = {
            .seed = seed, .delay_max_ms = seed % 2 ? 0 : 3, .fail_per_mille = 100};
        struct nj_store *store = open_chaos(&ledger, &plan);
        assert_non_null(store);
        for (uint64_t cookie = 1; cookie <= GROUPS; cookie++) {
            assert_int_equal(nj_store_submit(store, cookie % LANES, &op, 1, cookie, NULL), NJ_OK);
        }
        nj_store_close(store); /* hurries what is left */
        assert_int_equal(ledger.done[0] + ledger.done[1] + ledger.done[2], GROUPS);
        assert_in_range(ledger.failed, GROUPS / 20, GROUPS / 5);
        close_ledger(&ledger);
    }
}

static void chaos_completes_without_being_closed(void **state)
{
    (void)state;
    struct ledger ledger;
    open_ledger(&ledger);
    const struct nj_store_chaos_plan plan = {.seed = 7, .delay_max_ms = 2};
    struct nj_store *store = open_chaos(&ledger, &plan);
    assert_int_equal(nj_store_submit(store, 2, &op, 1, 1, NULL), NJ_OK);
    (void)pthread_mutex_lock(&ledger.lock);
    while (ledger.done[2] == 0) {
        (void)pthread_cond_wait(&ledger.changed, &ledger.lock);
    }
    (void)pthread_mutex_unlock(&ledger.lock);
    assert_int_equal(ledger.failed, 0);
    nj_store_close(store);
    nj_store_close(NULL);
    close_ledger(&ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ram_completes_at_flush_and_never_inline),
        cmocka_unit_test(refuses_without_memory_and_completes_nothing_then),
        cmocka_unit_test(chaos_keeps_the_order_and_completes_everything),
        cmocka_unit_test(chaos_completes_without_being_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
