/* See reply.h. */
#include "broker/reply.h"

#include "broker/deliver.h"
#include "broker/filters.h"
#include "broker/link.h"
#include "broker/output.h"
#include "broker/publish.h"
#include "broker/session.h"
#include "broker/shard.h"

static void send_straight(struct nj_session *session, struct nj_publication *publication)
{
    const struct nj_delivery delivery = {.qos = 0};
    if (nj_output_publish(session->link, publication, &delivery, 0) == NJ_OUTPUT_NO_MEMORY) {
        nj_link_fail_memory(session->link);
    }
}

/* Through the session's own subscriptions only: one copy, as it would get from a publication. */
static void send_subscribed(struct nj_session *session, struct nj_publication *publication)
{
    struct nj_shard *shard = session->shard;
    const struct nj_match *match = nj_filters_match_own(shard->filters, publication->view.topic);
    for (uint32_t f = 0; f < match->count; f++) {
        const struct nj_filter *filter = match->filters[f];
        for (uint32_t i = 0; i < filter->count; i++) {
            if (filter->entries[i].session == session) {
                (void)nj_deliver(session, publication, &filter->entries[i].options);
                return;
            }
        }
    }
}

/* Fixed header, lengths, a subscription identifier. */
#define FRAME_OVERHEAD 24u

static bool takes(const struct nj_link *link, const struct nj_message_view *view)
{
    size_t len = view->topic.len + view->props.len + view->payload.len + FRAME_OVERHEAD;
    return nj_link_takes(link, len);
}

enum nj_err nj_shard_reply(struct nj_shard *shard, uint64_t session_id, uint32_t connection,
                           const struct nj_message_view *view, enum nj_reply_way way)
{
    struct nj_session *session = nj_session_by_id(shard, session_id);
    bool is_there = session && session->connection == connection && session->link &&
                    session->link->is_ready && !session->link->is_closing;
    if (way == NJ_REPLY_ROUTED) {
        nj_publish_by_broker(shard, view);
        return NJ_OK;
    }
    if (!is_there) {
        return NJ_OK;
    }
    if (!takes(session->link, view)) {
        return NJ_ETOOBIG;
    }
    struct nj_publication publication = {.view = *view, .is_single = true};
    if (way == NJ_REPLY_STRAIGHT) {
        send_straight(session, &publication);
    } else {
        send_subscribed(session, &publication);
    }
    nj_publication_fini(&publication);
    return NJ_OK;
}
