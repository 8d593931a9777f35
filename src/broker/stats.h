/* Counters of one worker. Only its owner adds; others read them for $SYS, so each is atomic but
 * never contended. */
#ifndef NJ_BROKER_STATS_H
#define NJ_BROKER_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#define NJ_STATS_LIST(X)                                                                           \
    X(messages_received) /* packets of any type */                                                 \
    X(messages_sent)                                                                               \
    X(bytes_received)                                                                              \
    X(bytes_sent)                                                                                  \
    X(publish_received)                                                                            \
    X(publish_sent)                                                                                \
    X(publish_bytes_received)                                                                      \
    X(publish_bytes_sent)                                                                          \
    X(publish_dropped) /* every lost message, whatever the reason */                               \
    X(dropped_queue_full)                                                                          \
    X(dropped_expired)                                                                             \
    X(dropped_too_large)                                                                           \
    X(dropped_store) /* the store refused them; the publisher was told */                          \
    X(dropped_memory)                                                                              \
    X(dropped_slow) /* QoS 0 to a socket that takes no more */                                     \
    X(denied_publish)                                                                              \
    X(denied_deliver)                                                                              \
    X(denied_subscribe)                                                                            \
    X(denied_will)                                                                                 \
    X(denied_login)                                                                                \
    X(bad_packets)                                                                                 \
    X(connections) /* accepted sockets, ever */                                                    \
    X(connects)    /* CONNECT packets */                                                           \
    X(connections_open)                                                                            \
    X(clients_connected)                                                                           \
    X(clients_expired)                                                                             \
    X(sessions)                                                                                    \
    X(subscriptions)                                                                               \
    X(shared_subscriptions)                                                                        \
    X(queued)

struct nj_stats {
#define NJ_STATS_FIELD(name) _Atomic uint64_t name;
    NJ_STATS_LIST(NJ_STATS_FIELD)
#undef NJ_STATS_FIELD
};

#define NJ_STAT_ADD(shard, name, n)                                                                \
    atomic_store_explicit(&(shard)->stats.name,                                                    \
                          atomic_load_explicit(&(shard)->stats.name, memory_order_relaxed) +       \
                              (uint64_t)(n),                                                       \
                          memory_order_relaxed)
#define NJ_STAT_SUB(shard, name, n)                                                                \
    atomic_store_explicit(&(shard)->stats.name,                                                    \
                          atomic_load_explicit(&(shard)->stats.name, memory_order_relaxed) -       \
                              (uint64_t)(n),                                                       \
                          memory_order_relaxed)

#endif
