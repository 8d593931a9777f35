/* See flow.h. */
#include "broker/flow.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "broker/message.h"

#define FIRST_FLIGHTS 4
#define FIRST_QUEUE   8
#define IDS_MAX       65535u

struct nj_flow *nj_flow_new(void)
{
    return nj_try_zalloc(sizeof(struct nj_flow));
}

static struct nj_incoming *incoming_of(struct nj_index_node *node)
{
    return NJ_CONTAINER(node, struct nj_incoming, node);
}

static void free_incoming(struct nj_flow *flow)
{
    for (uint32_t i = 0; i < flow->incoming.slot_count; i++) {
        struct nj_index_node *node = flow->incoming.slots[i];
        while (node) {
            struct nj_incoming *incoming = incoming_of(node);
            node = node->next;
            nj_message_unref(incoming->message);
            nj_free(incoming);
        }
    }
    nj_index_fini(&flow->incoming);
}

void nj_flow_free(struct nj_flow *flow)
{
    if (!flow) {
        return;
    }
    for (uint32_t i = 0; flow->flights && i <= flow->flight_mask; i++) {
        if (flow->flights[i].state != NJ_FLIGHT_FREE) {
            nj_message_unref(flow->flights[i].delivery.message);
        }
    }
    while (flow->queue_count) {
        nj_message_unref(nj_flow_dequeue(flow).message);
    }
    free_incoming(flow);
    nj_free(flow->flights);
    nj_free(flow->unsent);
    nj_free(flow->queue);
    nj_free(flow);
}

/* At most half full, so that skipping taken places stays short. The ids in flight are unique modulo
 * the old size, hence modulo the new one. */
static enum nj_err grow_flights(struct nj_flow *flow)
{
    uint32_t size = flow->flights ? (flow->flight_mask + 1) * 2 : FIRST_FLIGHTS;
    struct nj_flight *grown = nj_try_zalloc(size * sizeof(*grown));
    if (!grown) {
        return NJ_ENOMEM;
    }
    for (uint32_t i = 0; flow->flights && i <= flow->flight_mask; i++) {
        const struct nj_flight *flight = &flow->flights[i];
        if (flight->state != NJ_FLIGHT_FREE) {
            grown[flight->packet_id & (size - 1)] = *flight;
        }
    }
    nj_free(flow->flights);
    flow->flights = grown;
    flow->flight_mask = size - 1;
    return NJ_OK;
}

struct nj_flight *nj_flow_take(struct nj_flow *flow)
{
    if (flow->flight_count >= IDS_MAX) {
        return NULL;
    }
    if (!flow->flights || flow->flight_count * 2 > flow->flight_mask) {
        bool may_grow = !flow->flights || flow->flight_mask < IDS_MAX;
        if (may_grow && grow_flights(flow) != NJ_OK && !flow->flights) {
            return NULL;
        }
    }
    if (flow->flight_count > flow->flight_mask) {
        return NULL;
    }
    for (;;) {
        uint16_t id = ++flow->last_packet_id;
        struct nj_flight *flight = &flow->flights[id & flow->flight_mask];
        if (id == 0 || flight->state != NJ_FLIGHT_FREE) {
            continue;
        }
        flight->packet_id = id;
        flight->is_unsent = false;
        flight->order = ++flow->next_order;
        flow->flight_count++;
        return flight;
    }
}

struct nj_flight *nj_flow_find(const struct nj_flow *flow, uint16_t packet_id)
{
    if (!flow->flights) {
        return NULL;
    }
    struct nj_flight *flight = &flow->flights[packet_id & flow->flight_mask];
    return flight->state != NJ_FLIGHT_FREE && flight->packet_id == packet_id ? flight : NULL;
}

struct nj_flight *nj_flow_put(struct nj_flow *flow, uint16_t packet_id)
{
    while (!flow->flights || flow->flights[packet_id & flow->flight_mask].state != NJ_FLIGHT_FREE) {
        bool is_taken = flow->flights && nj_flow_find(flow, packet_id);
        bool is_largest = flow->flights && flow->flight_mask >= IDS_MAX;
        if (is_taken || is_largest || grow_flights(flow) != NJ_OK) {
            return NULL;
        }
    }
    struct nj_flight *flight = &flow->flights[packet_id & flow->flight_mask];
    flight->packet_id = packet_id;
    flight->is_unsent = false;
    flight->order = ++flow->next_order;
    flow->flight_count++;
    flow->last_packet_id = packet_id;
    return flight;
}

/* ---- not sent yet */

static enum nj_err grow_unsent(struct nj_flow *flow)
{
    uint32_t cap = flow->unsent_cap ? flow->unsent_cap * 2 : FIRST_FLIGHTS;
    uint16_t *grown = nj_try_alloc(cap * sizeof(*grown));
    if (!grown) {
        return NJ_ENOMEM;
    }
    for (uint32_t i = 0; i < flow->unsent_len; i++) {
        grown[i] = flow->unsent[(flow->unsent_head + i) & (flow->unsent_cap - 1)];
    }
    nj_free(flow->unsent);
    flow->unsent = grown;
    flow->unsent_cap = cap;
    flow->unsent_head = 0;
    return NJ_OK;
}

enum nj_err nj_flow_wait(struct nj_flow *flow, struct nj_flight *flight)
{
    if (flow->unsent_len == flow->unsent_cap && grow_unsent(flow) != NJ_OK) {
        return NJ_ENOMEM;
    }
    flow->unsent[(flow->unsent_head + flow->unsent_len) & (flow->unsent_cap - 1)] =
        flight->packet_id;
    flow->unsent_len++;
    flow->unsent_count += !flight->is_unsent;
    flight->is_unsent = true;
    return NJ_OK;
}

struct nj_flight *nj_flow_unsent(struct nj_flow *flow)
{
    while (flow->unsent_len) {
        struct nj_flight *flight = nj_flow_find(flow, flow->unsent[flow->unsent_head]);
        if (flight && flight->is_unsent) {
            return flight;
        }
        flow->unsent_head = (flow->unsent_head + 1) & (flow->unsent_cap - 1);
        flow->unsent_len--;
    }
    return NULL;
}

void nj_flow_sent(struct nj_flow *flow, struct nj_flight *flight)
{
    if (flight->is_unsent) {
        flight->is_unsent = false;
        flow->unsent_count--;
    }
}

static uint64_t payload_bytes(const struct nj_message *message)
{
    return message ? message->payload_len : 0;
}

void nj_flow_done(struct nj_flow *flow, struct nj_flight *flight)
{
    flow->flight_bytes -= flight->bytes;
    flight->bytes = 0;
    nj_message_unref(flight->delivery.message);
    flight->delivery.message = NULL;
    flight->state = NJ_FLIGHT_FREE;
    flow->flight_count--;
    if (flight->is_unsent) {
        flow->unsent_count--;
    }
}

static enum nj_err grow_queue(struct nj_flow *flow)
{
    uint32_t cap = flow->queue_cap ? flow->queue_cap * 2 : FIRST_QUEUE;
    struct nj_delivery *grown = nj_try_alloc(cap * sizeof(*grown));
    if (!grown) {
        return NJ_ENOMEM;
    }
    for (uint32_t i = 0; i < flow->queue_count; i++) {
        grown[i] = flow->queue[(flow->queue_head + i) & (flow->queue_cap - 1)];
    }
    nj_free(flow->queue);
    flow->queue = grown;
    flow->queue_cap = cap;
    flow->queue_head = 0;
    return NJ_OK;
}

enum nj_err nj_flow_enqueue(struct nj_flow *flow, const struct nj_delivery *delivery)
{
    if (flow->queue_count == flow->queue_cap) {
        enum nj_err err = grow_queue(flow);
        if (err != NJ_OK) {
            return err;
        }
    }
    flow->queue[(flow->queue_head + flow->queue_count) & (flow->queue_cap - 1)] = *delivery;
    flow->queue_count++;
    flow->queued_qos0 += delivery->qos == 0;
    flow->queue_bytes += payload_bytes(delivery->message);
    return NJ_OK;
}

struct nj_delivery *nj_flow_head(const struct nj_flow *flow)
{
    return flow->queue_count ? &flow->queue[flow->queue_head] : NULL;
}

struct nj_delivery nj_flow_dequeue(struct nj_flow *flow)
{
    NJ_ASSERT(flow->queue_count);
    struct nj_delivery delivery = flow->queue[flow->queue_head];
    flow->queue_head = (flow->queue_head + 1) & (flow->queue_cap - 1);
    flow->queue_count--;
    flow->queued_qos0 -= delivery.qos == 0;
    flow->queue_bytes -= payload_bytes(delivery.message);
    return delivery;
}

bool nj_flow_forget(struct nj_flow *flow, uint64_t seq)
{
    for (uint32_t i = 0; i < flow->queue_count; i++) {
        struct nj_delivery *found = &flow->queue[(flow->queue_head + i) & (flow->queue_cap - 1)];
        if (found->seq != seq) {
            continue;
        }
        struct nj_delivery gone = *found;
        for (uint32_t j = i; j > 0; j--) {
            flow->queue[(flow->queue_head + j) & (flow->queue_cap - 1)] =
                flow->queue[(flow->queue_head + j - 1) & (flow->queue_cap - 1)];
        }
        flow->queue[flow->queue_head] = gone;
        nj_message_unref(nj_flow_dequeue(flow).message);
        return true;
    }
    return false;
}

/* The client chooses the ids. */
static uint64_t id_hash(uint16_t packet_id)
{
    return nj_hash_bytes(nj_bytes(&packet_id, sizeof(packet_id)));
}

struct nj_incoming *nj_flow_incoming_find(const struct nj_flow *flow, uint16_t packet_id)
{
    struct nj_index_node *node = nj_index_first(&flow->incoming, id_hash(packet_id));
    while (node && incoming_of(node)->packet_id != packet_id) {
        node = nj_index_next(node);
    }
    return node ? incoming_of(node) : NULL;
}

struct nj_incoming *nj_flow_incoming_add(struct nj_flow *flow, uint16_t packet_id)
{
    struct nj_incoming *incoming = nj_try_zalloc(sizeof(*incoming));
    if (!incoming || nj_index_add(&flow->incoming, &incoming->node, id_hash(packet_id)) != NJ_OK) {
        nj_free(incoming);
        return NULL;
    }
    incoming->packet_id = packet_id;
    return incoming;
}

bool nj_flow_incoming_drop(struct nj_flow *flow, uint16_t packet_id)
{
    struct nj_incoming *incoming = flow ? nj_flow_incoming_find(flow, packet_id) : NULL;
    if (!incoming) {
        return false;
    }
    nj_index_remove(&flow->incoming, &incoming->node);
    nj_message_unref(incoming->message);
    nj_free(incoming);
    return true;
}
