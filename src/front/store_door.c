/* See store_door.h. */
#include "front/store_door.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "broker/batch.h"
#include "broker/boot.h"
#include "broker/record.h"
#include "front/front.h"
#include "store/open.h"

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

/* The store is a directory beside what Mosquitto would have written, never that file itself:
 * `nj store import` reads it. */
static char *store_path(const struct nj_settings *settings)
{
    const char *location = settings->persistence_location;
    const char *file = settings->persistence_file;
    bool needs_slash = location && location[0] && location[strlen(location) - 1] != '/';
    char *path = NULL;
    if (asprintf(&path, "%s%s%s.store", location ? location : "", needs_slash ? "/" : "",
                 file ? file : "nightjar") < 0) {
        return NULL;
    }
    return path;
}

/* What is wrong, the store has said. */
static const char *advice(enum nj_err err)
{
    switch (err) {
    case NJ_EBUSY:
        return "Stop the other broker, or set persistence_location to another directory";
    case NJ_ENOTSUP:
        return "Nothing in it was changed";
    default:
        return "Set persistence_location to a directory that this account can write to, or "
               "persistence false to keep nothing over a restart";
    }
}

static enum nj_err open_durable(struct nj_front *front, const struct nj_settings *settings,
                                const struct nj_store_events *events)
{
    static const enum nj_store_durability durability[] = {
        [NJ_DURABILITY_FSYNC] = NJ_STORE_FSYNC,
        [NJ_DURABILITY_INTERVAL] = NJ_STORE_INTERVAL,
        [NJ_DURABILITY_MEMORY] = NJ_STORE_MEMORY,
    };
    char *path = store_path(settings);
    if (!path) {
        return NJ_ENOMEM;
    }
    const struct nj_store_lmdb_options options = {
        .path = path,
        .durability = durability[settings->durability],
        .interval_ms = settings->durability_interval_ms,
        .skips_retained = !settings->retained_persistence,
    };
    enum nj_err err = nj_store_lmdb_open(front->worker_count, &options, events, &front->core.store);
    if (err != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "Error: Unable to open the store %s. %s.", path, advice(err));
    } else {
        nj_log(NJ_LOG_INFO, "Keeping state in %s.", path);
    }
    free(path);
    return err;
}

static enum nj_err boot(struct nj_front *front)
{
    struct nj_booted booted;
    uint64_t start_ms = nj_clock_mono_ms();
    enum nj_err err = nj_core_boot(&front->core, start_ms, &booted);
    if (err != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "Error: Unable to load what the store keeps: %s.", nj_err_text(err));
        return err;
    }
    if (front->core.store->vtable->is_durable) {
        nj_log(NJ_LOG_INFO,
               "Loaded %" PRIu64 " sessions, %" PRIu64 " subscriptions, %" PRIu64
               " retained messages and %" PRIu64 " wills in %" PRIu64 " ms; %" PRIu64
               " messages are queued.",
               booted.sessions, booted.subscriptions, booted.retained, booted.wills,
               nj_clock_mono_ms() - start_ms, booted.queued);
    }
    return NJ_OK;
}

/* Persistence is on by default, in the current directory. Who did not ask for it, and starts the
 * broker where it may not write, is told and not refused. */
static bool wants_durable(const struct nj_settings *settings)
{
    bool is_asked_for = settings->persistence_is_set || settings->persistence_by_plugin ||
                        settings->persistence_location;
    if (!settings->persistence || is_asked_for || access(".", W_OK) == 0) {
        return settings->persistence;
    }
    nj_log(NJ_LOG_WARNING,
           "Warning: the current directory cannot be written to: nothing is kept over "
           "a restart. Set persistence_location, or persistence false.");
    return false;
}

static enum nj_err open_any(struct nj_front *front, const struct nj_settings *settings)
{
    const struct nj_store_events events = {
        .arg = front, .done = on_done, .rows = on_rows, .expired = on_expired};
    /* For tests: every one of them also runs over a store that is late and sometimes fails. */
    const char *chaos = getenv("NIGHTJAR_STORE_CHAOS");
    if (!chaos && wants_durable(settings)) {
        return open_durable(front, settings, &events);
    }
    struct nj_store *store = nj_store_ram_open(front->worker_count, &events);
    if (chaos) {
        struct nj_store_chaos_plan plan = {.seed = 1, .delay_max_ms = 20};
        plan.fail_per_mille = (unsigned)strtoul(chaos, NULL, 10);
        store = nj_store_chaos_open(&plan, store, &events);
    }
    front->core.store = store;
    return store ? NJ_OK : NJ_ESYS;
}

enum nj_err nj_front_open_store(struct nj_front *front, const struct nj_settings *settings)
{
    enum nj_err err = open_any(front, settings);
    return err == NJ_OK ? boot(front) : err;
}
