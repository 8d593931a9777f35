/* Packet ids, the queue, and incoming QoS 2: the tables alone. */
#include <stdlib.h>

#include "base/fault.h"
#include "broker/flow.h"
#include "broker/message.h"
#include "support/test.h"

static struct nj_message *message_of(size_t payload_len)
{
    static const char payload[256];
    const struct nj_message_view view = {.topic = NJ_BYTES_LIT("t"),
                                         .payload = nj_bytes(payload, payload_len)};
    return nj_message_new(&view);
}

static void gives_every_id_once_and_no_more(void **state)
{
    (void)state;
    struct nj_flow *flow = nj_flow_new();
    static bool is_taken[65536];
    for (uint32_t i = 0; i < 65535; i++) {
        struct nj_flight *flight = nj_flow_take(flow);
        assert_non_null(flight);
        assert_int_not_equal(flight->packet_id, 0);
        assert_false(is_taken[flight->packet_id]);
        is_taken[flight->packet_id] = true;
        flight->state = NJ_FLIGHT_WAIT_PUBACK;
    }
    assert_null(nj_flow_take(flow));
    nj_flow_done(flow, nj_flow_find(flow, 1234));
    assert_null(nj_flow_find(flow, 1234));
    assert_int_equal(nj_flow_take(flow)->packet_id, 1234);
    flow->flights[1234].state = NJ_FLIGHT_WAIT_PUBACK;
    nj_flow_free(flow);
}

static void begins_at_one_and_goes_up(void **state)
{
    (void)state;
    struct nj_flow *flow = nj_flow_new();
    for (uint32_t i = 1; i < 100; i++) {
        struct nj_flight *flight = nj_flow_take(flow);
        assert_int_equal(flight->packet_id, i);
        flight->state = NJ_FLIGHT_WAIT_PUBACK;
        nj_flow_done(flow, flight);
    }
    nj_flow_free(flow);
}

/* Random takes and acknowledgements against an array of ids. */
static void finds_exactly_what_is_in_flight(void **state)
{
    (void)state;
    srand(1);
    static uint64_t order_of[65536];
    struct nj_flow *flow = nj_flow_new();
    uint32_t count = 0;
    for (int i = 0; i < 200000; i++) {
        if (rand() % 100 < 52 && count < 2000) {
            struct nj_flight *flight = nj_flow_take(flow);
            assert_non_null(flight);
            assert_int_equal(order_of[flight->packet_id], 0);
            order_of[flight->packet_id] = flight->order;
            flight->state = NJ_FLIGHT_WAIT_PUBREC;
            flight->delivery.message = message_of(7);
            flight->bytes = 7;
            flow->flight_bytes += 7;
            count++;
        } else {
            uint16_t id = (uint16_t)(flow->last_packet_id - (unsigned)rand() % 3000);
            struct nj_flight *flight = nj_flow_find(flow, id);
            assert_int_equal(flight != NULL, order_of[id] != 0);
            if (flight) {
                assert_int_equal(flight->order, order_of[id]);
                order_of[id] = 0;
                nj_flow_done(flow, flight);
                count--;
            }
        }
        assert_int_equal(flow->flight_count, count);
        assert_int_equal(flow->flight_bytes, count * 7);
    }
    nj_flow_free(flow);
    assert_int_equal(nj_message_count(), 0);
}

static void keeps_the_queue_in_order_while_it_grows(void **state)
{
    (void)state;
    srand(2);
    struct nj_flow *flow = nj_flow_new();
    uint64_t in = 0;
    uint64_t out = 0;
    uint64_t bytes = 0;
    for (int i = 0; i < 20000; i++) {
        if (rand() % 100 < 55) {
            size_t len = (size_t)(rand() % 256);
            struct nj_delivery delivery = {
                .message = message_of(len), .seq = ++in, .qos = (uint8_t)(len % 3)};
            assert_int_equal(nj_flow_enqueue(flow, &delivery), NJ_OK);
            bytes += len;
        } else if (flow->queue_count) {
            assert_int_equal(nj_flow_head(flow)->seq, out + 1);
            struct nj_delivery delivery = nj_flow_dequeue(flow);
            assert_int_equal(delivery.seq, ++out);
            bytes -= delivery.message->payload_len;
            nj_message_unref(delivery.message);
        }
        assert_int_equal(flow->queue_count, in - out);
        assert_int_equal(flow->queue_bytes, bytes);
    }
    while (flow->queue_count) {
        nj_message_unref(nj_flow_dequeue(flow).message);
    }
    assert_int_equal(flow->queued_qos0, 0);
    assert_null(nj_flow_head(flow));
    nj_flow_free(flow);
    assert_int_equal(nj_message_count(), 0);
}

static void remembers_incoming_ids_until_they_are_released(void **state)
{
    (void)state;
    struct nj_flow *flow = nj_flow_new();
    for (uint16_t id = 1; id <= 100; id++) {
        assert_null(nj_flow_incoming_find(flow, id));
        struct nj_incoming *incoming = nj_flow_incoming_add(flow, id);
        assert_non_null(incoming);
        incoming->message = message_of(1);
    }
    for (uint16_t id = 1; id <= 100; id += 2) {
        struct nj_incoming *incoming = nj_flow_incoming_find(flow, id);
        assert_int_equal(incoming->packet_id, id);
        assert_true(nj_flow_incoming_drop(flow, id));
        assert_false(nj_flow_incoming_drop(flow, id));
        assert_null(nj_flow_incoming_find(flow, id));
    }
    assert_int_equal(flow->incoming.count, 50);
    nj_flow_free(flow);
    assert_int_equal(nj_message_count(), 0);
}

/* Each id is found by hash: a walk made 60,000 open ones cost the others seconds. */
static void finds_incoming_ids_without_walking(void **state)
{
    (void)state;
    struct nj_flow *flow = nj_flow_new();
    for (uint32_t id = 1; id <= 65535; id++) {
        assert_non_null(nj_flow_incoming_add(flow, (uint16_t)id));
    }
    for (uint32_t i = 0; i < flow->incoming.slot_count; i++) {
        unsigned length = 0;
        for (const struct nj_index_node *at = flow->incoming.slots[i]; at; at = at->next) {
            length++;
        }
        assert_in_range(length, 0, 16);
    }
    for (uint32_t id = 65535; id; id--) {
        assert_true(nj_flow_incoming_drop(flow, (uint16_t)id));
    }
    assert_int_equal(flow->incoming.count, 0);
    nj_flow_free(flow);
}

static void stays_whole_without_memory(void **state)
{
    (void)state;
    nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
    assert_null(nj_flow_new());
    nj_fault_disarm();
    struct nj_flow *flow = nj_flow_new();
    nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
    assert_null(nj_flow_take(flow));
    assert_null(nj_flow_incoming_add(flow, 1));
    assert_int_equal(nj_flow_enqueue(flow, &(struct nj_delivery){0}), NJ_ENOMEM);
    nj_fault_disarm();
    /* A full table that cannot grow still uses its last places. */
    for (int i = 0; i < 3; i++) {
        nj_flow_take(flow)->state = NJ_FLIGHT_WAIT_PUBACK;
    }
    nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
    uint32_t room = flow->flight_mask + 1 - flow->flight_count;
    for (uint32_t i = 0; i < room; i++) {
        struct nj_flight *flight = nj_flow_take(flow);
        assert_non_null(flight);
        flight->state = NJ_FLIGHT_WAIT_PUBACK;
    }
    assert_null(nj_flow_take(flow));
    nj_fault_disarm();
    assert_non_null(nj_flow_take(flow));
    nj_flow_free(flow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_every_id_once_and_no_more),
        cmocka_unit_test(begins_at_one_and_goes_up),
        cmocka_unit_test(finds_exactly_what_is_in_flight),
        cmocka_unit_test(keeps_the_queue_in_order_while_it_grows),
        cmocka_unit_test(remembers_incoming_ids_until_they_are_released),
        cmocka_unit_test(finds_incoming_ids_without_walking),
        cmocka_unit_test(stays_whole_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
