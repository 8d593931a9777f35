/* A small broker that is honest, or lies once in a chosen way: what the verifier must notice. Knows
 * MQTT 3.1.1, QoS 0 and 1, and delivers a shared subscription to its first member. */
#ifndef NJ_TESTS_BENCH_FAKE_BROKER_H
#define NJ_TESTS_BENCH_FAKE_BROKER_H

#include <stdint.h>

enum fake_lie {
    FAKE_HONEST,
    FAKE_LOSE,
    FAKE_DOUBLE,
    FAKE_SWAP,           /* a message and the next one of the same publisher */
    FAKE_CORRUPT,        /* a bit of the payload */
    FAKE_CUT,            /* the payload's last byte */
    FAKE_OTHER_TOPIC,    /* same length */
    FAKE_OTHER_RECEIVER, /* to somebody who did not ask, besides */
    FAKE_OTHER_QOS,
    FAKE_RETAIN, /* the flag */
    FAKE_STRAY_ACK,
    FAKE_NO_ACK,
    FAKE_HANG_UP,
    FAKE_REFUSE,       /* CONNACK with 5 */
    FAKE_GRANT_LESS,   /* SUBACK with failure */
    FAKE_GROUP_LOSE,   /* nobody of the group gets it */
    FAKE_GROUP_DOUBLE, /* two of the group get it */
    FAKE_LIE_COUNT
};

struct fake_broker;

/* Starts it in a thread of its own on a free port of 127.0.0.1. Never fails (asserts). */
struct fake_broker *fake_broker_start(enum fake_lie lie);
uint16_t fake_broker_port(const struct fake_broker *fake);
void fake_broker_stop(struct fake_broker *fake);

#endif
