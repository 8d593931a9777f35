/* See store_door.h. */
#include "front/store_door.h"

#include <stdlib.h>
#include <string.h>

#include "broker/batch.h"
#include "broker/record.h"
#include "front/front.h"
#include "store/store.h"

static void *small_record(struct nj_batch **batch, uint16_t kind, uint32_t len)
{
    *batch = nj_batch_new_small(len);
    void *record = nj_batch_add(*batch, kind, len);
    NJ_ASSERT(record);
    return record;
}

static void on_done(void *arg, unsigned lane, uint64_t cookie, enum nj_err err)
{
    struct nj_front *front = arg;
    struct nj_batch *batch;
    struct nj_record_store *record =
        small_record(&batch, NJ_RECORD_STORE_DONE, sizeof(struct nj_record_store));
    record->group = cookie;
    record->err = err;
    nj_worker_push(&front->workers[lane], batch);
}

static void on_rows(void *arg, unsigned lane, struct nj_store_rows *rows)
{
    struct nj_front *front = arg;
    struct nj_batch *batch;
    struct nj_record_rows *record =
        small_record(&batch, NJ_RECORD_STORE_ROWS, sizeof(struct nj_record_rows));
    record->rows = rows;
    nj_worker_push(&front->workers[lane], batch);
}

/* The store does not know where a session lives: every worker is told, and takes what is its own.
 */
static void on_expired(void *arg, const struct nj_store_expired *expired, uint32_t count)
{
    struct nj_front *front = arg;
    for (unsigned i = 0; i < front->worker_count; i++) {
        for (uint32_t at = 0; at < count; at++) {
            struct nj_batch *batch;
            struct nj_store_expired *record =
                small_record(&batch, NJ_RECORD_STORE_EXPIRED, sizeof(*record));
            *record = expired[at];
            nj_worker_push(&front->workers[i], batch);
        }
    }
}

enum nj_err nj_front_open_store(struct nj_front *front, const struct nj_settings *settings)
{
    const struct nj_store_events events = {
        .arg = front, .done = on_done, .rows = on_rows, .expired = on_expired};
    struct nj_store *store = nj_store_ram_open(front->worker_count, &events);
    (void)settings;
    /* For tests: every one of them also runs over a store that is late and sometimes fails. */
    const char *chaos = getenv("NIGHTJAR_STORE_CHAOS");
    if (chaos) {
        struct nj_store_chaos_plan plan = {.seed = 1, .delay_max_ms = 20};
        plan.fail_per_mille = (unsigned)strtoul(chaos, NULL, 10);
        store = nj_store_chaos_open(&plan, store, &events);
    }
    front->core.store = store;
    return store ? NJ_OK : NJ_ESYS;
}
