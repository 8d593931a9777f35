/* See group.h, and nj_store_rows_free of store.h. */
#include "store/group.h"

#include <string.h>

#include "base/mem.h"
#include "store/message.h"

static size_t origin_bytes(const struct nj_store_origin *origin)
{
    return origin->user.len + origin->client_id.len;
}

static size_t op_bytes(const struct nj_store_op *op)
{
    size_t bytes = op->bytes.len;
    if (op->session) {
        bytes += origin_bytes(&op->session->origin);
    }
    if (op->origin) {
        bytes += origin_bytes(op->origin);
    }
    return bytes;
}

static struct nj_bytes take(struct nj_bytes bytes, uint8_t **at)
{
    struct nj_bytes copy = {.ptr = bytes.ptr ? *at : NULL, .len = bytes.len};
    if (bytes.ptr && bytes.len) {
        memcpy(*at, bytes.ptr, bytes.len);
        *at += bytes.len;
    }
    return copy;
}

static struct nj_store_origin take_origin(const struct nj_store_origin *origin, uint8_t **at)
{
    struct nj_store_origin copy = *origin;
    copy.user = take(origin->user, at);
    copy.client_id = take(origin->client_id, at);
    return copy;
}

struct records {
    struct nj_store_session *sessions;
    struct nj_store_origin *origins;
};

static void copy_op(struct nj_store_op *to, const struct nj_store_op *from, struct records *records,
                    uint8_t **at)
{
    *to = *from;
    to->bytes = take(from->bytes, at);
    if (from->message) {
        to->message = nj_message_ref(from->message);
    }
    if (from->session) {
        *records->sessions = *from->session;
        records->sessions->origin = take_origin(&from->session->origin, at);
        to->session = records->sessions++;
    }
    if (from->origin) {
        *records->origins = take_origin(from->origin, at);
        to->origin = records->origins++;
    }
}

struct nj_store_group *nj_store_group_new(unsigned lane, const struct nj_store_op *ops,
                                          unsigned count, uint64_t cookie,
                                          const struct nj_store_joint *joint)
{
    size_t bytes = 0;
    unsigned sessions = 0;
    unsigned origins = 0;
    for (unsigned i = 0; i < count; i++) {
        bytes += op_bytes(&ops[i]);
        sessions += ops[i].session != NULL;
        origins += ops[i].origin != NULL;
    }
    struct nj_store_group *group;
    size_t ops_end = sizeof(*group) + count * sizeof(struct nj_store_op);
    size_t records_end = ops_end + sessions * sizeof(struct nj_store_session) +
                         origins * sizeof(struct nj_store_origin);
    group = nj_try_zalloc(records_end + bytes);
    if (!group) {
        return NULL;
    }
    group->lane = lane;
    group->cookie = cookie;
    group->count = count;
    if (joint) {
        group->joint = *joint;
    }
    struct records records = {.sessions = (void *)((char *)group + ops_end)};
    records.origins = (void *)(records.sessions + sessions);
    uint8_t *at = (uint8_t *)group + records_end;
    for (unsigned i = 0; i < count; i++) {
        copy_op(&group->ops[i], &ops[i], &records, &at);
    }
    return group;
}

struct nj_store_group *nj_store_group_new_read(unsigned lane, const struct nj_store_read *read)
{
    struct nj_store_group *group = nj_try_zalloc(sizeof(*group));
    if (group) {
        group->lane = lane;
        group->is_read = true;
        group->read = *read;
    }
    return group;
}

void nj_store_group_free(struct nj_store_group *group)
{
    if (!group) {
        return;
    }
    for (unsigned i = 0; i < group->count; i++) {
        nj_message_unref(group->ops[i].message);
    }
    nj_free(group);
}

struct nj_store_rows *nj_store_rows_new(uint64_t cookie, uint32_t count)
{
    struct nj_store_rows *rows = nj_try_zalloc(sizeof(*rows) + count * sizeof(rows->row[0]));
    if (rows) {
        rows->cookie = cookie;
    }
    return rows;
}

void nj_store_rows_free(struct nj_store_rows *rows)
{
    if (!rows) {
        return;
    }
    for (uint32_t i = 0; i < rows->count; i++) {
        nj_message_unref(rows->row[i].message);
    }
    nj_free(rows);
}
