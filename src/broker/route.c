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
    record->joint = publication->phase == NJ_PHASE_ROWS ? publication->joint : 0;
    record->from = shard->id;
    record->qos = view->qos;
    record->is_retain = view->is_retain;
    record->retain_clock = publication->retain_clock;
    record->is_accepted = publication->is_accepted;
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

static void post_failed(struct nj_shard *shard, const struct nj_publication *publication)
{
    NJ_STAT_ADD(shard, dropped_memory, 1);
    NJ_STAT_ADD(shard, publish_dropped, 1);
    shard->is_group_broken |= publication->phase == NJ_PHASE_ROWS;
}

/* To the workers in `targets`; those that are also in `asked` answer `ticket`. Returns how many
 * will.
 */
static uint32_t post_all(struct nj_shard *shard, uint64_t targets, uint64_t asked,
                         struct nj_publication *publication, uint64_t ticket)
{
    uint32_t tickets = 0;
    while (NJ_UNLIKELY(targets)) {
        unsigned target = (unsigned)__builtin_ctzll(targets);
        targets &= targets - 1;
        if (target >= shard->core->shard_count) {
            break;
        }
        bool asks = ticket && (asked >> target & 1);
        if (!post(shard, target, publication, asks ? ticket : 0)) {
            post_failed(shard, publication);
        } else if (asks) {
            tickets++;
        }
    }
    return tickets;
}

/* Every worker with subscribers takes part, so that all of them decide now who is to get it; shared
 * subscriptions are served now, too. */
static void route_rows(struct nj_shard *shard, struct nj_publication *publication,
                       const struct nj_match *match, struct nj_routed *routed)
{
    uint64_t others = match->interest.any & ~(1ull << shard->id);
    routed->ticket = publication->ticket;
    routed->tickets = post_all(shard, others, others, publication, publication->ticket);
    if (match->count) {
        routed->tickets += nj_route_local(shard, publication, match, publication->ticket);
    }
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
    if (publication->phase == NJ_PHASE_ROWS) {
        route_rows(shard, publication, match, &routed);
        return routed;
    }
    uint64_t own = 1ull << shard->id;
    routed.ticket = wants_ticket && interest.stored ? ++shard->next_ticket : 0;
    routed.tickets =
        post_all(shard, interest.any & ~own, interest.stored, publication, routed.ticket);
    if (match->count) {
        bool asks = routed.ticket && (interest.stored & own);
        routed.tickets += nj_route_local(shard, publication, match, asks ? routed.ticket : 0);
    }
    return routed;
}

bool nj_route_reaches_stored(struct nj_shard *shard, struct nj_bytes topic)
{
    return nj_filters_match(shard->filters, topic)->interest.stored != 0;
}

/* MQTT 3.1 and 3.1.1 get one copy, at the highest QoS of the overlapping subscriptions, unless more
 * are asked for; MQTT 5 gets one for each (MQTT5 3.3.4, MQTT3 3.3.5). */
static bool is_single_copy(const struct nj_session *session)
{
    return session->version != NJ_MQTT_5 && !session->shard->limits->allows_duplicates;
}

/* Who subscribed when the message was retained already got it as such, or a newer one: what is
 * still on its way from another worker would come behind that and be taken for the last word. */
static bool is_outdated(const struct nj_sub_options *options,
                        const struct nj_publication *publication)
{
    return publication->retain_clock && options->retain_clock &&
           (int32_t)(options->retain_clock - publication->retain_clock) >= 0;
}

/* A bridge does not get its own messages back, as if each of its subscriptions said so: it would
 * publish them again, and so would the other side. */
static bool is_its_own(const struct nj_session *session, const struct nj_sub_options *options,
                       const struct nj_publication *publication)
{
    return (options->is_no_local || session->is_bridge) && session->id == publication->sender;
}

/* By what it gets the message: both phases have to answer the same. NULL: it is its own, or the
 * subscription was made when the message had been released. */
static const struct nj_sub_options *options_for(const struct nj_sub_entry *entry,
                                                const struct nj_publication *publication)
{
    const struct nj_sub_options *options = &entry->options;
    if (NJ_UNLIKELY(publication->phase == NJ_PHASE_REST)) {
        options = nj_sub_entry_at(entry, publication->moment);
    }
    bool is_passed_over = !options || is_its_own(entry->session, options, publication) ||
                          is_outdated(options, publication);
    return is_passed_over ? NULL : options;
}

static void mark_overlaps(uint64_t number, const struct nj_publication *publication,
                          const struct nj_match *match)
{
    for (uint32_t f = 0; f < match->count; f++) {
        const struct nj_filter *filter = match->filters[f];
        for (uint32_t i = 0; i < filter->count; i++) {
            struct nj_session *session = filter->entries[i].session;
            const struct nj_sub_options *options = options_for(&filter->entries[i], publication);
            if (!options) {
                continue; /* another subscription may bring it all the same */
            }
            if (session->mark != number) {
                session->mark = number;
                session->mark_qos = options->qos;
            } else if (session->mark_qos < options->qos) {
                session->mark_qos = options->qos;
            }
        }
    }
}

static void deliver_overlap(const struct nj_sub_entry *entry, struct nj_publication *publication,
                            uint64_t number)
{
    struct nj_session *session = entry->session;
    const struct nj_sub_options *own = options_for(entry, publication);
    if (!own) {
        return;
    }
    struct nj_sub_options options = *own;
    if (is_single_copy(session)) {
        if (session->mark != number) {
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
            const struct nj_sub_entry *entry = &filter->entries[i];
            const struct nj_sub_options *options = options_for(entry, publication);
            if (NJ_LIKELY(options)) {
                (void)nj_deliver(entry->session, publication, options);
            }
        }
    }
    for (uint32_t f = 0; f < match->count; f++) {
        struct nj_filter *filter = match->filters[f];
        bool has_groups = filter->groups && publication->phase != NJ_PHASE_REST;
        if (NJ_UNLIKELY(has_groups)) {
            bool asks = filter->stored_count || publication->phase == NJ_PHASE_ROWS;
            tickets += nj_share_route(shard, filter, publication, asks ? ticket : 0);
        }
    }
    return ticket ? tickets : 0;
}
