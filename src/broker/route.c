/* From a publication to the workers and sessions that subscribed: see deliver.h.
 *
 * One question to the match cache gives both the workers that have to see it and this worker's own
 * filters. Other workers get one record each and match again among their own sessions, so nothing
 * that belongs to one worker is ever seen by another. */
#include "base/mem.h"
#include "broker/deliver.h"
#include "broker/message.h"
#include "broker/record.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/share.h"

/* Up to here a copy into the batch is cheaper than a kept message with a shared reference. */
#define INLINE_MAX 4096u

static bool post(struct nj_shard *shard, unsigned target, struct nj_publication *publication,
                 uint64_t ticket)
{
    const struct nj_message_view *view = &publication->view;
    size_t bytes = view->topic.len + view->props.len + view->payload.len;
    struct nj_message *message = NULL;
    if (publication->kept || bytes > INLINE_MAX) {
        message = nj_publication_keep(publication);
        if (!message) {
            return false;
        }
        bytes = 0;
    }
    struct nj_record_publish *record =
        nj_shard_post(shard, target, NJ_RECORD_PUBLISH, (uint32_t)(sizeof(*record) + bytes), 1);
    if (!record) {
        return false;
    }
    record->message = message ? nj_message_ref(message) : NULL;
    record->expires_ms = view->expires_ms;
    record->sender = publication->sender;
    record->ticket = ticket;
    record->from = shard->id;
    record->qos = view->qos;
    record->is_retain = view->is_retain;
    if (!message) {
        uint8_t *at = (uint8_t *)(record + 1);
        record->topic_len = (uint32_t)view->topic.len;
        record->props_len = (uint32_t)view->props.len;
        record->payload_len = (uint32_t)view->payload.len;
        memcpy(at, view->topic.ptr, view->topic.len);
        at += view->topic.len;
        if (view->props.len) {
            memcpy(at, view->props.ptr, view->props.len);
            at += view->props.len;
        }
        if (view->payload.len) {
            memcpy(at, view->payload.ptr, view->payload.len);
        }
    }
    return true;
}

struct nj_routed nj_route(struct nj_shard *shard, struct nj_publication *publication,
                          bool wants_ticket)
{
    struct nj_routed routed = {0};
    const struct nj_match *match = nj_filters_match(shard->filters, publication->view.topic);
    struct nj_interest_set interest = match->interest;
    if (!interest.any && !match->count) {
        return routed;
    }
    routed.has_subscribers = true;
    routed.ticket = wants_ticket && interest.stored ? ++shard->next_ticket : 0;
    uint64_t others = interest.any & ~(1ull << shard->id);
    while (NJ_UNLIKELY(others)) {
        unsigned target = (unsigned)__builtin_ctzll(others);
        others &= others - 1;
        if (target >= shard->core->shard_count) {
            break;
        }
        bool asks = routed.ticket && (interest.stored >> target & 1);
        if (!post(shard, target, publication, asks ? routed.ticket : 0)) {
            NJ_STAT_ADD(shard, dropped_memory, 1);
            NJ_STAT_ADD(shard, publish_dropped, 1);
        } else if (asks) {
            routed.tickets++;
        }
    }
    if (match->count) {
        bool asks = routed.ticket && (interest.stored >> shard->id & 1);
        routed.tickets += nj_route_local(shard, publication, match, asks ? routed.ticket : 0);
    }
    return routed;
}

/* MQTT 3.1 and 3.1.1 get one copy, at the highest QoS of the overlapping subscriptions; MQTT 5 gets
 * one for each (MQTT5 3.3.4, MQTT3 3.3.5). */
static bool is_single_copy(const struct nj_session *session)
{
    return session->version != NJ_MQTT_5;
}

static bool is_own(const struct nj_sub_entry *entry, const struct nj_publication *publication)
{
    return entry->options.is_no_local && entry->session->id == publication->sender;
}

static void mark_overlaps(uint64_t number, const struct nj_publication *publication,
                          const struct nj_match *match)
{
    for (uint32_t f = 0; f < match->count; f++) {
        const struct nj_filter *filter = match->filters[f];
        for (uint32_t i = 0; i < filter->count; i++) {
            struct nj_session *session = filter->entries[i].session;
            uint8_t qos = filter->entries[i].options.qos;
            if (is_own(&filter->entries[i], publication)) {
                continue; /* another subscription may bring it all the same */
            }
            if (session->mark != number) {
                session->mark = number;
                session->mark_qos = qos;
            } else if (session->mark_qos < qos) {
                session->mark_qos = qos;
            }
        }
    }
}

static void deliver_overlap(const struct nj_sub_entry *entry, struct nj_publication *publication,
                            uint64_t number)
{
    struct nj_session *session = entry->session;
    struct nj_sub_options options = entry->options;
    if (is_single_copy(session)) {
        if (session->mark != number || is_own(entry, publication)) {
            return; /* it had its copy */
        }
        session->mark = 0;
        options.qos = session->mark_qos;
    }
    (void)nj_deliver(session, publication, &options);
}

static void deliver_overlapping(struct nj_shard *shard, struct nj_publication *publication,
                                const struct nj_match *match)
{
    uint64_t number = ++shard->publication;
    mark_overlaps(number, publication, match);
    for (uint32_t f = 0; f < match->count; f++) {
        const struct nj_filter *filter = match->filters[f];
        for (uint32_t i = 0; i < filter->count; i++) {
            deliver_overlap(&filter->entries[i], publication, number);
        }
    }
}

uint32_t nj_route_local(struct nj_shard *shard, struct nj_publication *publication,
                        const struct nj_match *match, uint64_t ticket)
{
    uint32_t tickets = 0;
    if (match->count > 1) {
        deliver_overlapping(shard, publication, match);
    } else if (match->count == 1) {
        const struct nj_filter *filter = match->filters[0];
        publication->is_single = filter->count == 1;
        for (uint32_t i = 0; i < filter->count; i++) {
            (void)nj_deliver(filter->entries[i].session, publication, &filter->entries[i].options);
        }
    }
    for (uint32_t f = 0; f < match->count; f++) {
        struct nj_filter *filter = match->filters[f];
        if (NJ_UNLIKELY(filter->groups != NULL)) {
            tickets +=
                nj_share_route(shard, filter, publication, filter->stored_count ? ticket : 0);
        }
    }
    return ticket ? tickets : 0;
}
