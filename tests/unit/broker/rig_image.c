/* What would be on the disk: every group that was completed, so that a test can take the power away
 * and start the core anew. See rig.h.
 *
 * Plain arrays, searched from the beginning. Groups are kept from submit to completion, since the
 * store says of a joint group only then that all of it is there. */
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "rig_priv.h"
#include "store/group.h"
#include "support/test.h"

/* One of: a session, a subscription, a will, a row, an incoming message, a retained message. It is
 * the operation that made it. */
struct rig_record {
    struct nj_store_group *group; /* one operation, copied */
    bool is_sent;                 /* a row in flight ... */
    bool is_released;             /* ... whose PUBREC came */
    uint16_t packet_id;
};

static const struct nj_store_op *op_of(const struct rig_record *record)
{
    return &record->group->ops[0];
}

static void drop_at(struct rig_image *image, unsigned at)
{
    nj_store_group_free(image->records[at].group);
    image->records[at] = image->records[--image->count];
}

static bool is_row(enum nj_store_op_kind kind)
{
    return kind == NJ_STORE_QUEUE_APPEND;
}

/* Whether a record of `kind` is the one that `op` is about. */
static bool is_meant(const struct nj_store_op *record, enum nj_store_op_kind kind,
                     const struct nj_store_op *op)
{
    if (record->kind != kind) {
        return false;
    }
    switch (kind) {
    case NJ_STORE_SUBSCRIBE:
        return record->owner == op->owner && nj_bytes_equal(record->bytes, op->bytes);
    case NJ_STORE_QUEUE_APPEND:
        return record->owner == op->owner && record->seq == op->seq;
    case NJ_STORE_INCOMING_PUT:
        return record->owner == op->owner && record->packet_id == op->packet_id;
    case NJ_STORE_RETAIN_SET:
        return nj_bytes_equal(nj_message_topic(record->message),
                              op->message ? nj_message_topic(op->message) : op->bytes);
    default:
        return record->owner == op->owner;
    }
}

static struct rig_record *find(struct rig_image *image, enum nj_store_op_kind kind,
                               const struct nj_store_op *op)
{
    for (unsigned i = 0; i < image->count; i++) {
        if (is_meant(op_of(&image->records[i]), kind, op)) {
            return &image->records[i];
        }
    }
    return NULL;
}

static void forget(struct rig_image *image, enum nj_store_op_kind kind,
                   const struct nj_store_op *op)
{
    struct rig_record *record = find(image, kind, op);
    if (record) {
        drop_at(image, (unsigned)(record - image->records));
    }
}

static void forget_owner(struct rig_image *image, uint64_t owner)
{
    for (unsigned i = image->count; i > 0; i--) {
        const struct nj_store_op *op = op_of(&image->records[i - 1]);
        if (op->kind != NJ_STORE_RETAIN_SET && op->owner == owner) {
            drop_at(image, i - 1);
        }
    }
}

static void put(struct rig_image *image, const struct nj_store_op *op)
{
    const struct nj_store_op session = {.kind = NJ_STORE_SESSION_SAVE, .owner = op->owner};
    bool needs_session = op->kind != NJ_STORE_RETAIN_SET && op->kind != NJ_STORE_SESSION_SAVE;
    if (needs_session && !find(image, NJ_STORE_SESSION_SAVE, &session)) {
        return; /* of a session that is gone */
    }
    forget(image, op->kind, op);
    if (image->count == image->cap) {
        image->cap = image->cap ? image->cap * 2 : 64;
        image->records = realloc(image->records, image->cap * sizeof(*image->records));
    }
    struct nj_store_group *group = nj_store_group_new(0, op, 1, 0, NULL);
    assert_non_null(group);
    image->records[image->count++] = (struct rig_record){
        .group = group,
        .is_sent = is_row(op->kind) && op->packet_id != 0,
        .packet_id = op->packet_id,
    };
}

static void change_row(struct rig_image *image, const struct nj_store_op *op)
{
    struct rig_record *row = find(image, NJ_STORE_QUEUE_APPEND, op);
    if (!row) {
        return;
    }
    if (op->kind == NJ_STORE_QUEUE_SENT) {
        row->is_sent = true;
        row->packet_id = op->packet_id;
    } else {
        row->is_released = true;
    }
}

static void apply(struct rig_image *image, const struct nj_store_op *op)
{
    image->highest.owner = op->owner > image->highest.owner ? op->owner : image->highest.owner;
    image->highest.seq = op->seq > image->highest.seq ? op->seq : image->highest.seq;
    switch (op->kind) {
    case NJ_STORE_SESSION_DELETE:
        forget_owner(image, op->owner);
        break;
    case NJ_STORE_UNSUBSCRIBE:
        forget(image, NJ_STORE_SUBSCRIBE, op);
        break;
    case NJ_STORE_QUEUE_SENT:
    case NJ_STORE_QUEUE_RELEASED:
        change_row(image, op);
        break;
    case NJ_STORE_QUEUE_REMOVE:
        forget(image, NJ_STORE_QUEUE_APPEND, op);
        break;
    case NJ_STORE_INCOMING_RELEASE:
        forget(image, NJ_STORE_INCOMING_PUT, op);
        break;
    case NJ_STORE_RETAIN_CLEAR:
        forget(image, NJ_STORE_RETAIN_SET, op);
        break;
    case NJ_STORE_WILL_CLEAR:
        forget(image, NJ_STORE_WILL_SET, op);
        break;
    default:
        put(image, op);
    }
}

/* ---- groups on their way */

void rig_image_submitted(struct rig_image *image, struct nj_store_group *group)
{
    group->next = image->running;
    image->running = group;
}

void rig_image_done(struct rig_image *image, unsigned lane, uint64_t cookie, enum nj_err err)
{
    struct nj_store_group **at = &image->running;
    while (*at && ((*at)->lane != lane || (*at)->cookie != cookie)) {
        at = &(*at)->next;
    }
    struct nj_store_group *group = *at;
    if (!group) {
        return; /* it was refused before it got here */
    }
    *at = group->next;
    if (err == NJ_OK) {
        rig_image_apply(image, group);
    }
    nj_store_group_free(group);
}

void rig_image_apply(struct rig_image *image, const struct nj_store_group *group)
{
    for (unsigned i = 0; i < group->count; i++) {
        apply(image, &group->ops[i]);
    }
}

static void drop_running(struct rig_image *image)
{
    while (image->running) {
        struct nj_store_group *group = image->running;
        image->running = group->next;
        nj_store_group_free(group);
    }
}

void rig_image_fini(struct rig_image *image)
{
    drop_running(image);
    while (image->count) {
        drop_at(image, image->count - 1);
    }
    free(image->records);
    *image = (struct rig_image){0};
}

/* ---- reading it */

static struct nj_store_backlog backlog_of(const struct rig_image *image, uint64_t owner)
{
    struct nj_store_backlog backlog = {0};
    for (unsigned i = 0; i < image->count; i++) {
        const struct rig_record *record = &image->records[i];
        const struct nj_store_op *op = op_of(record);
        if (op->owner != owner) {
            continue;
        }
        backlog.incoming += op->kind == NJ_STORE_INCOMING_PUT;
        if (is_row(op->kind) && record->is_sent) {
            backlog.flights++;
        } else if (is_row(op->kind)) {
            backlog.queued++;
            backlog.bytes += op->message->payload_len;
        }
    }
    return backlog;
}

static enum nj_err load_record(const struct rig_image *image, const struct nj_store_op *op,
                               const struct nj_store_loader *loader)
{
    struct nj_store_backlog backlog;
    switch (op->kind) {
    case NJ_STORE_SESSION_SAVE:
        backlog = backlog_of(image, op->owner);
        return loader->session(loader->arg, op->session, &backlog);
    case NJ_STORE_SUBSCRIBE:
        return loader->subscription(loader->arg, op->owner, op->bytes, op->value, op->share);
    case NJ_STORE_WILL_SET:
        return loader->will(loader->arg, op->owner, op->message, op->value);
    case NJ_STORE_RETAIN_SET:
        return loader->retained(loader->arg, op->message, op->origin);
    default:
        return NJ_OK;
    }
}

enum nj_err rig_image_load(const struct rig_image *image, const struct nj_store_loader *loader,
                           struct nj_store_highest *highest)
{
    *highest = image->highest;
    /* Sessions come before what hangs on them. */
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < image->count; i++) {
            const struct nj_store_op *op = op_of(&image->records[i]);
            bool is_first = op->kind == NJ_STORE_SESSION_SAVE;
            if (is_first == (round == 0)) {
                assert_int_equal(load_record(image, op, loader), NJ_OK);
            }
        }
    }
    return NJ_OK;
}

static int by_seq(const void *a, const void *b)
{
    const struct nj_store_op *left = op_of(a);
    const struct nj_store_op *right = op_of(b);
    return (left->seq > right->seq) - (left->seq < right->seq);
}

static void submit_row(struct nj_store *store, const struct rig_record *record)
{
    struct nj_store_op ops[2] = {*op_of(record)};
    unsigned count = 1;
    if (record->is_sent) {
        ops[0].packet_id = record->packet_id;
    }
    if (record->is_released) {
        ops[count++] = (struct nj_store_op){
            .kind = NJ_STORE_QUEUE_RELEASED, .owner = ops[0].owner, .seq = ops[0].seq};
    }
    assert_int_equal(nj_store_submit(store, 0, ops, count, 0, NULL), NJ_OK);
}

void rig_image_fill(struct rig_image *image, struct nj_store *store)
{
    drop_running(image);
    if (!image->count) {
        return;
    }
    qsort(image->records, image->count, sizeof(*image->records), by_seq);
    for (unsigned i = 0; i < image->count; i++) {
        enum nj_store_op_kind kind = op_of(&image->records[i])->kind;
        if (is_row(kind) || kind == NJ_STORE_INCOMING_PUT) {
            submit_row(store, &image->records[i]);
        }
    }
    nj_store_flush(store, 0);
}
