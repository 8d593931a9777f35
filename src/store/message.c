/* See message.h. */
#include "store/message.h"

#include "base/mem.h"

/* Owner: this file. Kept messages are off the fan-out path, so one shared counter is affordable. */
static _Atomic int64_t alive_count;
static _Atomic int64_t alive_bytes;

static uint8_t *append(uint8_t *at, struct nj_bytes bytes)
{
    if (bytes.len) {
        memcpy(at, bytes.ptr, bytes.len);
    }
    return at + bytes.len;
}

struct nj_message *nj_message_new(const struct nj_message_view *view)
{
    size_t len = view->topic.len + view->props.len + view->payload.len;
    struct nj_message *message = nj_try_alloc(sizeof(*message) + len);
    if (!message) {
        return NULL;
    }
    atomic_init(&message->refs, 1);
    message->qos = view->qos;
    message->is_retain = view->is_retain;
    message->topic_len = (uint32_t)view->topic.len;
    message->props_len = (uint32_t)view->props.len;
    message->payload_len = (uint32_t)view->payload.len;
    message->expires_ms = view->expires_ms;
    append(append(append(message->data, view->topic), view->props), view->payload);
    atomic_fetch_add_explicit(&alive_count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&alive_bytes, (int64_t)len, memory_order_relaxed);
    return message;
}

struct nj_message *nj_message_ref(struct nj_message *message)
{
    atomic_fetch_add_explicit(&message->refs, 1, memory_order_relaxed);
    return message;
}

void nj_message_unref(struct nj_message *message)
{
    if (!message || atomic_fetch_sub_explicit(&message->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    int64_t len = (int64_t)message->topic_len + message->props_len + message->payload_len;
    atomic_fetch_sub_explicit(&alive_count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&alive_bytes, len, memory_order_relaxed);
    nj_free(message);
}

int64_t nj_message_count(void)
{
    return atomic_load_explicit(&alive_count, memory_order_relaxed);
}

int64_t nj_message_bytes(void)
{
    return atomic_load_explicit(&alive_bytes, memory_order_relaxed);
}
