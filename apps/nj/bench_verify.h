/* What the generator puts into a payload, and how a receiver tells that it got exactly that:
 *
 *   0        4      6       8     12       16
 *   | check  | pub  | dest  | seq | time   | pattern …            (big-endian)
 *
 * `pub` is the publisher, `dest` the group of receivers that its topic belongs to, `seq` counts the
 * messages of this (pub, dest), time is in microseconds since the start of the run and `check`
 * mixes all of it with the topic and the run's own key. The rest is a slice of a random pattern
 * that depends on (pub, seq), so a payload cut, mixed up or sent to another topic cannot pass.
 *
 * Pure: no I/O, no clock. Not thread safe; a flow belongs to one receiver. */
#ifndef NJ_APPS_NJ_BENCH_VERIFY_H
#define NJ_APPS_NJ_BENCH_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define NJ_BENCH_STAMP_SIZE   16u
#define NJ_BENCH_PAYLOAD_MAX  (4u << 20)
#define NJ_BENCH_PATTERN_SKEW 256u

struct nj_bench_stamp {
    uint16_t pub;
    uint16_t dest;
    uint32_t seq;
    uint32_t time_us;
};

/* The random pattern and key of one run. init/fini; read-only between, so all threads share it. */
struct nj_bench_pattern {
    uint8_t *bytes; /* payload size + skew */
    uint32_t size;  /* of a payload */
    uint32_t key;
};

/* `size` is that of every payload: NJ_BENCH_STAMP_SIZE … NJ_BENCH_PAYLOAD_MAX. */
void nj_bench_pattern_init(struct nj_bench_pattern *pattern, uint32_t size);
void nj_bench_pattern_fini(struct nj_bench_pattern *pattern);

uint32_t nj_bench_topic_hash(struct nj_bytes topic);
/* Writes pattern->size bytes. */
void nj_bench_payload_write(const struct nj_bench_pattern *pattern,
                            const struct nj_bench_stamp *stamp, uint32_t topic_hash, uint8_t *out);
/* False when it is not, byte for byte, what nj_bench_payload_write made for this topic. */
bool nj_bench_payload_read(const struct nj_bench_pattern *pattern, struct nj_bytes payload,
                           uint32_t topic_hash, struct nj_bench_stamp *out);
/* Adding these up over the receivers of a shared subscription must give what the publishers' give:
 * then, with the counts, each message went to exactly one of them. */
uint64_t nj_bench_stamp_mix(const struct nj_bench_stamp *stamp);

/* What went wrong, counted. */
struct nj_bench_tally {
    uint64_t received;   /* good ones */
    uint64_t corrupt;    /* payload or topic is not what was sent */
    uint64_t strange;    /* wrong QoS, flags or receiver */
    uint64_t duplicates; /* came a second time */
    uint64_t reordered;  /* came after a later one of the same publisher */
    uint64_t lost;       /* sent, never came */
    uint64_t shared;     /* those of `received` that came to a member of a group */
    uint64_t mix;        /* sum of nj_bench_stamp_mix of these */
};

void nj_bench_tally_add(struct nj_bench_tally *into, const struct nj_bench_tally *from);
bool nj_bench_tally_is_clean(const struct nj_bench_tally *tally);

/* The messages of one (pub, dest) as one receiver sees them. Zeroed = fresh. */
struct nj_bench_flow {
    uint32_t next;
    uint32_t gaps_count;
    struct nj_bench_gap *gaps; /* ranges that are missing so far */
};

/* Counts one arrival: good, or out of order, or a duplicate. */
void nj_bench_flow_take(struct nj_bench_flow *flow, uint32_t seq, struct nj_bench_tally *tally);
/* For a member of a group, which gets only some: must rise, gaps are fine. */
void nj_bench_flow_take_shared(struct nj_bench_flow *flow, uint32_t seq,
                               struct nj_bench_tally *tally);
/* After the last arrival: adds what is missing of `sent` messages to tally->lost. */
void nj_bench_flow_finish(const struct nj_bench_flow *flow, uint32_t sent,
                          struct nj_bench_tally *tally);
void nj_bench_flow_fini(struct nj_bench_flow *flow);

#endif
