/* See link.h. */
#include "broker/link.h"

#include "base/mem.h"
#include "broker/shard.h"

void nj_link_init(struct nj_link *link, struct nj_shard *shard)
{
    *link = (struct nj_link){.shard = shard, .max_qos = 2, .version = NJ_MQTT_311};
    nj_list_init(&link->blocked_node);
    nj_list_init(&link->held_back_node);
}

void nj_link_fini(struct nj_link *link)
{
    NJ_ASSERT(!link->session);
    nj_out_clear(&link->shard->chunks, &link->out);
    nj_list_remove(&link->blocked_node);
    nj_list_remove(&link->held_back_node);
    for (uint16_t i = 0; link->alias_out && i < link->alias_out->count; i++) {
        nj_free(link->alias_out->entry[i].topic);
    }
    for (uint16_t i = 0; link->alias_in && i < link->alias_in->max; i++) {
        nj_free(link->alias_in->entry[i].topic);
    }
    nj_free(link->alias_out);
    nj_free(link->alias_in);
    link->alias_out = NULL;
    link->alias_in = NULL;
}

void nj_link_hold_back(struct nj_link *link)
{
    link->is_held_back = true;
    nj_list_remove(&link->held_back_node);
    nj_list_push_back(&link->shard->held_back, &link->held_back_node);
}

void nj_link_read_on(struct nj_link *link)
{
    if (link->is_held_back) {
        link->is_held_back = false;
        nj_list_remove(&link->held_back_node);
        link->shard->core->link_ops->read_on(link);
    }
}

void nj_link_go_on(struct nj_link *link)
{
    if (!link->is_dirty && !link->is_blocked && !link->is_closing) {
        nj_shard_mark_dirty(link->shard, link);
    }
}

uint8_t *nj_link_frame(struct nj_link *link, size_t len)
{
    if (link->is_closing) {
        return NULL;
    }
    uint8_t *room = nj_out_frame(&link->shard->chunks, &link->out, len);
    if (room && !link->is_dirty) {
        nj_shard_mark_dirty(link->shard, link);
    }
    return room;
}

uint8_t *nj_link_frame_late(struct nj_link *link, size_t len)
{
    if (link->is_closing) {
        return NULL;
    }
    uint8_t *room = nj_out_frame(&link->shard->chunks, &link->out, len);
    if (room && !link->is_dirty) {
        nj_shard_mark_late(link->shard, link);
    } else if (room && !link->is_late) {
        link->shard->is_answer_early = true; /* it goes out with what was put before it */
    }
    return room;
}

void nj_link_fail_memory(struct nj_link *link)
{
    if (link && !link->is_closing) {
        NJ_STAT_ADD(link->shard, dropped_memory, 1);
        link->shard->core->link_ops->close(link, NJ_RC_QUOTA_EXCEEDED, "out of memory");
    }
}
