/* See rig.h. */
#include "rig.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "support/test.h"

static void on_done(void *arg, unsigned lane, uint64_t cookie, enum nj_err err)
{
    struct rig *rig = arg;
    (void)pthread_mutex_lock(&rig->lock);
    rig->is_wrong |= lane >= RIG_LANES || cookie <= rig->done[lane];
    rig->done[lane] = cookie;
    if (err != NJ_OK) {
        rig->failed++;
        rig->failed_cookie = cookie;
        rig->last_err = err;
    }
    (void)pthread_cond_broadcast(&rig->changed);
    (void)pthread_mutex_unlock(&rig->lock);
}

static void on_rows(void *arg, unsigned lane, struct nj_store_rows *rows)
{
    struct rig *rig = arg;
    (void)lane;
    (void)pthread_mutex_lock(&rig->lock);
    rig->is_wrong |= rig->rows != NULL;
    rig->rows = rows;
    (void)pthread_cond_broadcast(&rig->changed);
    (void)pthread_mutex_unlock(&rig->lock);
}

static void on_expired(void *arg, const struct nj_store_expired *expired, uint32_t count)
{
    struct rig *rig = arg;
    (void)pthread_mutex_lock(&rig->lock);
    rig->expired += count;
    for (uint32_t i = 0; i < count; i++) {
        rig->expired_bytes += expired[i].bytes;
    }
    (void)pthread_cond_broadcast(&rig->changed);
    (void)pthread_mutex_unlock(&rig->lock);
}

void rig_init(struct rig *rig)
{
    *rig = (struct rig){.options = {.durability = NJ_STORE_FSYNC}};
    /* In memory where there is such a place: these tests are about order, not about disks. */
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(rig->path, sizeof(rig->path), "%s/nj-store-XXXXXX", base);
    NJ_ASSERT(mkdtemp(rig->path));
    rig->options.path = rig->path;
    (void)pthread_mutex_init(&rig->lock, NULL);
    (void)pthread_cond_init(&rig->changed, NULL);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info;
    (void)type;
    (void)ftw;
    return remove(path);
}

void rig_fini(struct rig *rig)
{
    rig_close(rig);
    (void)nftw(rig->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    (void)pthread_mutex_destroy(&rig->lock);
    (void)pthread_cond_destroy(&rig->changed);
    assert_false(rig->is_wrong);
}

enum nj_err rig_open(struct rig *rig)
{
    const struct nj_store_events events = {
        .arg = rig, .done = on_done, .rows = on_rows, .expired = on_expired};
    memset(rig->done, 0, sizeof(rig->done));
    rig->next_cookie = 0;
    return nj_store_lmdb_open(RIG_LANES, &rig->options, &events, &rig->store);
}

void rig_close(struct rig *rig)
{
    nj_store_close(rig->store);
    rig->store = NULL;
    nj_store_rows_free(rig->rows);
    rig->rows = NULL;
}

uint64_t rig_submit(struct rig *rig, unsigned lane, const struct nj_store_op *ops, unsigned count,
                    const struct nj_store_joint *joint)
{
    uint64_t cookie = ++rig->next_cookie;
    assert_int_equal(nj_store_submit(rig->store, lane, ops, count, cookie, joint), NJ_OK);
    nj_store_flush(rig->store, lane);
    return cookie;
}

enum nj_err rig_wait(struct rig *rig, unsigned lane, uint64_t cookie)
{
    (void)pthread_mutex_lock(&rig->lock);
    while (rig->done[lane] < cookie) {
        (void)pthread_cond_wait(&rig->changed, &rig->lock);
    }
    enum nj_err err = rig->failed && rig->failed_cookie == cookie ? rig->last_err : NJ_OK;
    (void)pthread_mutex_unlock(&rig->lock);
    return err;
}

enum nj_err rig_do(struct rig *rig, const struct nj_store_op *ops, unsigned count)
{
    return rig_wait(rig, 0, rig_submit(rig, 0, ops, count, NULL));
}

struct nj_store_rows *rig_read(struct rig *rig, const struct nj_store_read *read)
{
    assert_int_equal(nj_store_read(rig->store, 0, read), NJ_OK);
    nj_store_flush(rig->store, 0);
    (void)pthread_mutex_lock(&rig->lock);
    while (!rig->rows) {
        (void)pthread_cond_wait(&rig->changed, &rig->lock);
    }
    struct nj_store_rows *rows = rig->rows;
    rig->rows = NULL;
    (void)pthread_mutex_unlock(&rig->lock);
    return rows;
}

enum nj_err rig_save(struct rig *rig)
{
    const struct nj_store_session session = {.owner = RIG_OWNER,
                                             .origin = {.client_id = NJ_BYTES_LIT("c")},
                                             .away_ms = 1,
                                             .expiry_s = 9};
    const struct nj_store_op op = {
        .kind = NJ_STORE_SESSION_SAVE, .owner = RIG_OWNER, .session = &session};
    return rig_do(rig, &op, 1);
}

uint64_t rig_submit_append(struct rig *rig, uint64_t seq, size_t bytes, uint64_t expires_ms)
{
    struct nj_message *message = rig_message("t", bytes, expires_ms);
    const struct nj_store_op op = {
        .kind = NJ_STORE_QUEUE_APPEND, .owner = RIG_OWNER, .seq = seq, .message = message};
    uint64_t cookie = rig_submit(rig, 0, &op, 1, NULL);
    nj_message_unref(message);
    return cookie;
}

enum nj_err rig_append(struct rig *rig, uint64_t seq, size_t bytes, uint64_t expires_ms)
{
    return rig_wait(rig, 0, rig_submit_append(rig, seq, bytes, expires_ms));
}

enum nj_err rig_take_off(struct rig *rig, uint64_t seq)
{
    const struct nj_store_op op = {.kind = NJ_STORE_QUEUE_REMOVE, .owner = RIG_OWNER, .seq = seq};
    return rig_do(rig, &op, 1);
}

uint32_t rig_rows_in_store(struct rig *rig)
{
    const struct nj_store_read read = {
        .owner = RIG_OWNER, .max_rows = UINT32_MAX, .max_bytes = UINT64_MAX, .with_flights = true};
    struct nj_store_rows *rows = rig_read(rig, &read);
    assert_int_equal(rows->err, NJ_OK);
    uint32_t count = rows->count;
    nj_store_rows_free(rows);
    return count;
}

enum nj_store_state rig_state(struct rig *rig, char text[160])
{
    struct nj_store_status status;
    nj_store_status(rig->store, &status);
    if (text) {
        memcpy(text, status.text, sizeof(status.text));
    }
    return status.state;
}

void rig_wait_until_good(struct rig *rig)
{
    while (rig_state(rig, NULL) != NJ_STORE_GOOD) {
        (void)usleep(5000);
    }
}

void rig_append_until_taken(struct rig *rig, uint64_t seq)
{
    enum nj_err err;
    while ((err = rig_append(rig, seq, 100, 0)) != NJ_OK) {
        assert_int_equal(err, NJ_ENOSPC);
        rig_wait_until_good(rig);
    }
}

struct nj_message *rig_message(const char *topic, size_t payload_len, uint64_t expires_ms)
{
    char *payload = nj_alloc(payload_len + 1);
    for (size_t i = 0; i < payload_len; i++) {
        payload[i] = (char)(i * 7 + payload_len);
    }
    const struct nj_message_view view = {
        .topic = nj_bytes_of(topic),
        .payload = nj_bytes(payload, payload_len),
        .qos = 1,
        .expires_ms = expires_ms,
    };
    struct nj_message *message = nj_message_new(&view);
    NJ_ASSERT(message);
    nj_free(payload);
    return message;
}
