/* `nj store import`: what Mosquitto keeps in mosquitto.db, into a store of ours that is new or
 * empty.
 *
 * The file is read several times: messages and clients, subscriptions, what is in flight, what is
 * queued (rows in flight come before queued ones), retained messages. A file that is damaged is
 * refused before anything is written. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "mqtt/props.h"
#include "mqtt/topic.h"
#include "mqtt/types.h"
#include "mqtt/utf8.h"
#include "store.h"
#include "store/mosquitto_db.h"
#include "store/open.h"

#define FILE_MAX    ((size_t)1 << 36)
#define WAITING_MAX 4096u
#define FLUSH_EVERY 64u
#define FIRST_SLOTS 1024u
#define MQTT_311    4
#define MS_PER_S    1000
#define NS_PER_MS   1000000

/* A client of the file, by the hash of its id; or a message, by its number, which is never 0. */
struct entry {
    uint64_t hash; /* 0 = free place */
    struct nj_bytes id;
    uint64_t owner;
    uint32_t shares;
    struct nj_message *message; /* NULL = it has expired */
    struct nj_bytes source_id;
    struct nj_bytes source_user;
};

struct entries {
    struct entry *slots;
    uint64_t mask;
    uint64_t used;
};

struct import {
    struct nj_store *store;
    struct entries clients;
    struct entries messages;
    uint64_t next_owner;
    uint64_t next_seq;
    int64_t wall_ms;
    bool wants_queued; /* else what is in flight */
    uint64_t submitted;
    pthread_mutex_t lock; /* guards the next three */
    pthread_cond_t changed;
    uint64_t done;
    enum nj_err failed;
    uint64_t existing; /* records that the store had */
    uint64_t sessions;
    uint64_t subscriptions;
    uint64_t queued;
    uint64_t flights;
    uint64_t incoming;
    uint64_t retained;
    uint64_t skipped; /* expired, or without a message */
};

/* ---- tables */

static struct entry *place(const struct entries *entries, uint64_t hash, struct nj_bytes id)
{
    uint64_t at = hash & entries->mask;
    while (entries->slots[at].hash &&
           (entries->slots[at].hash != hash || !nj_bytes_equal(entries->slots[at].id, id))) {
        at = (at + 1) & entries->mask;
    }
    return &entries->slots[at];
}

static struct entry *find(const struct entries *entries, uint64_t hash, struct nj_bytes id)
{
    struct entry *found = entries->slots ? place(entries, hash, id) : NULL;
    return found && found->hash ? found : NULL;
}

static struct entry *add(struct entries *entries, uint64_t hash, struct nj_bytes id)
{
    if (!entries->slots || 2 * entries->used > entries->mask) {
        struct entries old = *entries;
        entries->mask = old.slots ? 2 * old.mask + 1 : FIRST_SLOTS - 1;
        entries->slots = nj_zalloc((entries->mask + 1) * sizeof(*entries->slots));
        for (uint64_t i = 0; old.slots && i <= old.mask; i++) {
            if (old.slots[i].hash) {
                *place(entries, old.slots[i].hash, old.slots[i].id) = old.slots[i];
            }
        }
        nj_free(old.slots);
    }
    struct entry *entry = place(entries, hash, id);
    if (!entry->hash) {
        entries->used++;
        *entry = (struct entry){.hash = hash, .id = id};
    }
    return entry;
}

static uint64_t hash_of(struct nj_bytes id)
{
    uint64_t hash = nj_hash_bytes(id);
    return hash ? hash : 1;
}

static void entries_fini(struct entries *entries)
{
    for (uint64_t i = 0; entries->slots && i <= entries->mask; i++) {
        nj_message_unref(entries->slots[i].message);
    }
    nj_free(entries->slots);
}

/* ---- the store's side */

static void on_done(void *arg, unsigned lane, uint64_t cookie, enum nj_err err)
{
    struct import *import = arg;
    (void)lane;
    (void)pthread_mutex_lock(&import->lock);
    import->done = cookie;
    import->failed = err == NJ_OK ? import->failed : err;
    (void)pthread_cond_signal(&import->changed);
    (void)pthread_mutex_unlock(&import->lock);
}

static void on_rows(void *arg, unsigned lane, struct nj_store_rows *rows)
{
    (void)arg;
    (void)lane;
    nj_store_rows_free(rows);
}

static void on_expired(void *arg, const struct nj_store_expired *expired, uint32_t count)
{
    (void)arg;
    (void)expired;
    (void)count;
}

/* Until no more than `left` groups wait. */
static enum nj_err wait_for(struct import *import, uint64_t left)
{
    nj_store_flush(import->store, 0);
    (void)pthread_mutex_lock(&import->lock);
    while (import->done + left < import->submitted && import->failed == NJ_OK) {
        (void)pthread_cond_wait(&import->changed, &import->lock);
    }
    enum nj_err err = import->failed;
    (void)pthread_mutex_unlock(&import->lock);
    return err;
}

static enum nj_err submit(struct import *import, const struct nj_store_op *op)
{
    enum nj_err err = nj_store_submit(import->store, 0, op, 1, ++import->submitted, NULL);
    if (err != NJ_OK || import->submitted % FLUSH_EVERY) {
        return err;
    }
    return wait_for(import, WAITING_MAX);
}

static enum nj_err see_session(void *arg, const struct nj_store_session *session,
                               const struct nj_store_backlog *backlog)
{
    struct import *import = arg;
    (void)session;
    (void)backlog;
    import->existing++;
    return NJ_OK;
}

static enum nj_err see_subscription(void *arg, uint64_t owner, struct nj_bytes filter,
                                    uint64_t value, uint32_t share)
{
    (void)arg;
    (void)owner;
    (void)filter;
    (void)value;
    (void)share;
    return NJ_OK;
}

static enum nj_err see_will(void *arg, uint64_t owner, struct nj_message *message, uint64_t delay_s)
{
    (void)arg;
    (void)owner;
    (void)message;
    (void)delay_s;
    return NJ_OK;
}

static enum nj_err see_retained(void *arg, struct nj_message *message,
                                const struct nj_store_origin *origin)
{
    struct import *import = arg;
    (void)message;
    (void)origin;
    import->existing++;
    return NJ_OK;
}

/* ---- messages */

static struct entry *find_message(struct import *import, uint64_t id)
{
    return id ? find(&import->messages, id, nj_bytes(NULL, 0)) : NULL;
}

/* Properties that make no sense are left out: clients would close the connection over them. */
static struct nj_bytes sound_props(struct nj_bytes props, uint8_t *scratch)
{
    struct nj_mqtt_props parsed;
    if (!props.len || nj_mqtt_props_parse(props, NJ_MQTT_PUBLISH, &parsed) != NJ_OK) {
        return nj_bytes(NULL, 0);
    }
    return nj_mqtt_props_forwarded(&parsed, scratch);
}

static enum nj_err take_message(void *arg, const struct nj_mosquitto_message *source)
{
    struct import *import = arg;
    int64_t left_ms = source->expires_s * MS_PER_S - import->wall_ms;
    if (!source->id || !nj_mqtt_topic_is_valid(source->topic, 0)) {
        return NJ_OK;
    }
    struct entry *entry = add(&import->messages, source->id, nj_bytes(NULL, 0));
    if (entry->message || (source->expires_s && left_ms <= 0)) {
        return NJ_OK;
    }
    uint8_t *scratch = nj_alloc(source->props.len + 1);
    const struct nj_message_view view = {
        .topic = source->topic,
        .props = sound_props(source->props, scratch),
        .payload = source->payload,
        .qos = source->qos,
        .is_retain = source->is_retain,
        .expires_ms = source->expires_s ? nj_clock_mono_ms() + (uint64_t)left_ms : 0,
    };
    entry->message = nj_message_new(&view);
    entry->source_id = source->source_id;
    entry->source_user = source->source_user;
    nj_free(scratch);
    return entry->message ? NJ_OK : NJ_ENOMEM;
}

/* ---- sessions */

static struct entry *find_client(struct import *import, struct nj_bytes id)
{
    struct entry *entry = find(&import->clients, hash_of(id), id);
    return entry && entry->owner ? entry : NULL;
}

/* Mosquitto 2.0.11 writes whatever is in memory for a client that has no user name. */
static struct nj_bytes sound_user(struct nj_bytes user)
{
    return user.len && nj_mqtt_utf8_is_valid(user) ? user : nj_bytes(NULL, 0);
}

static enum nj_err take_client(void *arg, const struct nj_mosquitto_client *client)
{
    struct import *import = arg;
    if (!client->expiry_s || !client->client_id.len || find_client(import, client->client_id)) {
        return NJ_OK;
    }
    struct entry *entry = add(&import->clients, hash_of(client->client_id), client->client_id);
    entry->owner = ++import->next_owner;
    int64_t away_ms = import->wall_ms;
    if (client->expires_s && client->expiry_s != UINT32_MAX) {
        away_ms = (client->expires_s - (int64_t)client->expiry_s) * MS_PER_S;
    }
    const struct nj_store_session session = {
        .owner = entry->owner,
        .origin = {.user = sound_user(client->user), .client_id = client->client_id},
        .away_ms = away_ms > 0 && away_ms <= import->wall_ms ? (uint64_t)away_ms
                                                             : (uint64_t)import->wall_ms,
        .expiry_s = client->expiry_s,
        .version = MQTT_311,
    };
    const struct nj_store_op op = {
        .kind = NJ_STORE_SESSION_SAVE, .owner = entry->owner, .session = &session};
    import->sessions++;
    return submit(import, &op);
}

static enum nj_err take_sub(void *arg, const struct nj_mosquitto_sub *sub)
{
    struct import *import = arg;
    struct entry *entry = find_client(import, sub->client_id);
    struct nj_bytes group;
    struct nj_bytes filter = sub->filter;
    if (!entry) {
        return NJ_OK;
    }
    bool is_shared = nj_mqtt_share_parse(sub->filter, &group, &filter);
    if (!nj_mqtt_filter_is_valid(is_shared ? filter : sub->filter, 0)) {
        import->skipped++;
        return NJ_OK;
    }
    const struct nj_store_op op = {
        .kind = NJ_STORE_SUBSCRIBE,
        .owner = entry->owner,
        .bytes = sub->filter,
        .value = (uint64_t)sub->sub_id << 8 | sub->qos | (sub->options & 0x0cu),
        .share = is_shared ? ++entry->shares : 0,
    };
    import->subscriptions++;
    return submit(import, &op);
}

static enum nj_err put_incoming(struct import *import, uint64_t owner, uint16_t mid,
                                struct nj_message *message)
{
    const struct nj_store_op op = {
        .kind = NJ_STORE_INCOMING_PUT, .owner = owner, .packet_id = mid, .message = message};
    import->incoming++;
    return submit(import, &op);
}

static enum nj_err put_row(struct import *import, uint64_t owner,
                           const struct nj_mosquitto_client_message *source,
                           struct nj_message *message)
{
    bool is_queued = source->state == NJ_MOSQUITTO_QUEUED;
    struct nj_store_op op = {
        .kind = NJ_STORE_QUEUE_APPEND,
        .owner = owner,
        .seq = ++import->next_seq,
        .qos = source->qos,
        .is_retain = source->is_retain,
        .packet_id = is_queued ? 0 : source->mid,
        .sub_id = source->sub_id,
        .message = message,
    };
    enum nj_err err = submit(import, &op);
    if (err == NJ_OK && source->state == NJ_MOSQUITTO_RELEASED) {
        op.kind = NJ_STORE_QUEUE_RELEASED;
        op.message = NULL;
        err = submit(import, &op);
    }
    import->queued += is_queued;
    import->flights += !is_queued;
    return err;
}

static enum nj_err take_client_message(void *arg, const struct nj_mosquitto_client_message *source)
{
    struct import *import = arg;
    bool is_queued = source->state == NJ_MOSQUITTO_QUEUED;
    if (source->state == NJ_MOSQUITTO_DONE || is_queued != import->wants_queued) {
        return NJ_OK;
    }
    const struct entry *client = find_client(import, source->client_id);
    const struct entry *found = find_message(import, source->message);
    if (!client || !found || !found->message || (!is_queued && !source->mid)) {
        import->skipped++;
        return NJ_OK;
    }
    return source->state == NJ_MOSQUITTO_INCOMING
               ? put_incoming(import, client->owner, source->mid, found->message)
               : put_row(import, client->owner, source, found->message);
}

static enum nj_err take_retained(void *arg, uint64_t message)
{
    struct import *import = arg;
    const struct entry *found = find_message(import, message);
    if (!found || !found->message || !found->message->payload_len) {
        import->skipped++;
        return NJ_OK;
    }
    const struct nj_store_origin origin = {.user = sound_user(found->source_user),
                                           .client_id = found->source_id};
    const struct nj_store_op op = {
        .kind = NJ_STORE_RETAIN_SET, .message = found->message, .origin = &origin};
    import->retained++;
    return submit(import, &op);
}

/* ---- all of it */

static enum nj_err import_file(struct import *import, struct nj_bytes file)
{
    const struct nj_mosquitto_reader first = {
        .arg = import, .message = take_message, .client = take_client};
    const struct nj_mosquitto_reader second = {
        .arg = import, .sub = take_sub, .client_message = take_client_message};
    const struct nj_mosquitto_reader third = {
        .arg = import, .client_message = take_client_message, .retained = take_retained};
    enum nj_err err = nj_mosquitto_db_read(file, &first);
    if (err == NJ_OK) {
        err = nj_mosquitto_db_read(file, &second);
    }
    import->wants_queued = true;
    if (err == NJ_OK) {
        err = nj_mosquitto_db_read(file, &third);
    }
    return err == NJ_OK ? wait_for(import, 0) : err;
}

static enum nj_err open_store(struct import *import, const char *path)
{
    const struct nj_store_events events = {
        .arg = import, .done = on_done, .rows = on_rows, .expired = on_expired};
    const struct nj_store_lmdb_options options = {.path = path};
    const struct nj_store_loader loader = {
        .arg = import,
        .session = see_session,
        .subscription = see_subscription,
        .will = see_will,
        .retained = see_retained,
    };
    struct nj_store_highest highest;
    enum nj_err err = nj_store_lmdb_open(1, &options, &events, &import->store);
    if (err == NJ_OK) {
        err = nj_store_load(import->store, &loader, &highest);
    }
    if (err == NJ_OK) {
        import->next_owner = highest.owner;
        import->next_seq = highest.seq;
    }
    return err;
}

static int run(struct import *import, const char *path, const char *name, struct nj_bytes file)
{
    const struct nj_mosquitto_reader nobody = {.arg = NULL};
    enum nj_err err = nj_mosquitto_db_read(file, &nobody);
    if (err != NJ_OK) {
        fprintf(stderr, "Error: %s is %s; nothing was imported.\n", name,
                err == NJ_ENOTSUP ? "of a format that is not known (5 and 6 are)"
                                  : "no mosquitto.db, or damaged");
        return 1;
    }
    if (open_store(import, path) != NJ_OK) {
        return 1;
    }
    if (import->existing) {
        fprintf(stderr, "Error: %s is not empty; nothing was imported.\n", path);
        return 1;
    }
    err = import_file(import, file);
    if (err != NJ_OK) {
        fprintf(stderr, "Error: the import is not complete: %s. Remove %s before you try again.\n",
                nj_err_text(err), path);
        return 1;
    }
    printf("%" PRIu64 " sessions, %" PRIu64 " subscriptions, %" PRIu64 " messages queued, %" PRIu64
           " in flight, %" PRIu64 " incoming, %" PRIu64 " retained; %" PRIu64
           " left out (expired, or without what they refer to)\n",
           import->sessions, import->subscriptions, import->queued, import->flights,
           import->incoming, import->retained, import->skipped);
    return 0;
}

int nj_store_import_run(const char *path, const char *name)
{
    struct import import = {.wall_ms = nj_clock_wall_ns() / NS_PER_MS};
    struct nj_buf file;
    nj_buf_init(&file);
    enum nj_err err = nj_file_read(name, FILE_MAX, false, &file);
    if (err != NJ_OK) {
        fprintf(stderr, "Error: %s cannot be read: %s.\n", name, nj_file_why(err));
        return 1;
    }
    (void)pthread_mutex_init(&import.lock, NULL);
    (void)pthread_cond_init(&import.changed, NULL);
    int status = run(&import, path, name, nj_buf_bytes(&file));
    nj_store_close(import.store);
    entries_fini(&import.clients);
    entries_fini(&import.messages);
    nj_buf_fini(&file);
    (void)pthread_cond_destroy(&import.changed);
    (void)pthread_mutex_destroy(&import.lock);
    return status;
}
