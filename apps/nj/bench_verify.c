/* See bench_verify.h. */
#include "bench_verify.h"

#include <string.h>

#include "base/mem.h"
#include "base/rand.h"
#include "mqtt/reader.h"
#include "mqtt/writer.h"

/* A broker that loses more pieces of one flow than this is beyond exact counting: further gaps are
 * still counted as lost, but what fills them counts as a duplicate. */
#define GAPS_MAX 4096u

struct nj_bench_gap {
    uint32_t from;
    uint32_t to; /* one behind */
};

static uint64_t mix64(uint64_t value)
{
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93ull;
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93ull;
    return value ^ value >> 32;
}

void nj_bench_pattern_init(struct nj_bench_pattern *pattern, uint32_t size)
{
    pattern->size = size;
    pattern->bytes = nj_alloc(size + NJ_BENCH_PATTERN_SKEW);
    nj_rand_bytes(pattern->bytes, size + NJ_BENCH_PATTERN_SKEW);
    pattern->key = (uint32_t)nj_rand_u64();
}

void nj_bench_pattern_fini(struct nj_bench_pattern *pattern)
{
    nj_free(pattern->bytes);
    pattern->bytes = NULL;
}

uint32_t nj_bench_topic_hash(struct nj_bytes topic)
{
    uint64_t hash = topic.len;
    for (size_t i = 0; i < topic.len; i++) {
        hash = (hash ^ topic.ptr[i]) * 0x100000001b3ull;
    }
    return (uint32_t)mix64(hash);
}

uint64_t nj_bench_stamp_mix(const struct nj_bench_stamp *stamp)
{
    return mix64((uint64_t)stamp->pub << 48 | (uint64_t)stamp->dest << 32 | stamp->seq);
}

static uint32_t check_of(const struct nj_bench_pattern *pattern, const struct nj_bench_stamp *stamp,
                         uint32_t topic_hash)
{
    uint64_t salt = (uint64_t)topic_hash << 32 | (stamp->time_us ^ pattern->key);
    return (uint32_t)mix64(nj_bench_stamp_mix(stamp) ^ salt);
}

static const uint8_t *slice_of(const struct nj_bench_pattern *pattern,
                               const struct nj_bench_stamp *stamp)
{
    return pattern->bytes + ((stamp->pub * 31u + stamp->seq) % NJ_BENCH_PATTERN_SKEW);
}

void nj_bench_payload_write(const struct nj_bench_pattern *pattern,
                            const struct nj_bench_stamp *stamp, uint32_t topic_hash, uint8_t *out)
{
    out = nj_mqtt_put_u32(out, check_of(pattern, stamp, topic_hash));
    out = nj_mqtt_put_u16(out, stamp->pub);
    out = nj_mqtt_put_u16(out, stamp->dest);
    out = nj_mqtt_put_u32(out, stamp->seq);
    out = nj_mqtt_put_u32(out, stamp->time_us);
    if (pattern->size > NJ_BENCH_STAMP_SIZE) {
        memcpy(out, slice_of(pattern, stamp), pattern->size - NJ_BENCH_STAMP_SIZE);
    }
}

bool nj_bench_payload_read(const struct nj_bench_pattern *pattern, struct nj_bytes payload,
                           uint32_t topic_hash, struct nj_bench_stamp *out)
{
    if (payload.len != pattern->size) {
        return false;
    }
    struct nj_mqtt_reader reader = nj_mqtt_reader(payload);
    uint32_t check = nj_mqtt_read_u32(&reader);
    out->pub = nj_mqtt_read_u16(&reader);
    out->dest = nj_mqtt_read_u16(&reader);
    out->seq = nj_mqtt_read_u32(&reader);
    out->time_us = nj_mqtt_read_u32(&reader);
    if (check != check_of(pattern, out, topic_hash)) {
        return false;
    }
    return memcmp(reader.at, slice_of(pattern, out), pattern->size - NJ_BENCH_STAMP_SIZE) == 0;
}

void nj_bench_tally_add(struct nj_bench_tally *into, const struct nj_bench_tally *from)
{
    into->received += from->received;
    into->corrupt += from->corrupt;
    into->strange += from->strange;
    into->duplicates += from->duplicates;
    into->reordered += from->reordered;
    into->lost += from->lost;
    into->shared += from->shared;
    into->mix += from->mix;
}

bool nj_bench_tally_is_clean(const struct nj_bench_tally *tally)
{
    return !(tally->corrupt || tally->strange || tally->duplicates || tally->reordered ||
             tally->lost);
}

static void add_gap(struct nj_bench_flow *flow, uint32_t from, uint32_t to,
                    struct nj_bench_tally *tally)
{
    if (flow->gaps_count == GAPS_MAX) {
        tally->lost += to - from;
        return;
    }
    /* Grown at every power of two, so no capacity has to be kept. */
    if ((flow->gaps_count & (flow->gaps_count - 1)) == 0) {
        size_t cap = flow->gaps_count ? (size_t)flow->gaps_count * 2 : 1;
        flow->gaps = nj_realloc(flow->gaps, cap * sizeof(*flow->gaps));
    }
    flow->gaps[flow->gaps_count++] = (struct nj_bench_gap){from, to};
}

/* Whether `seq` was missing; it is not any more. */
static bool fill_gap(struct nj_bench_flow *flow, uint32_t seq, struct nj_bench_tally *tally)
{
    for (uint32_t i = 0; i < flow->gaps_count; i++) {
        struct nj_bench_gap *gap = &flow->gaps[i];
        if (seq < gap->from || seq >= gap->to) {
            continue;
        }
        uint32_t to = gap->to;
        gap->to = seq;
        if (seq + 1 < to) {
            add_gap(flow, seq + 1, to, tally);
        }
        return true;
    }
    return false;
}

void nj_bench_flow_take(struct nj_bench_flow *flow, uint32_t seq, struct nj_bench_tally *tally)
{
    if (NJ_LIKELY(seq == flow->next)) {
        flow->next++;
        tally->received++;
        return;
    }
    if (seq > flow->next) {
        add_gap(flow, flow->next, seq, tally);
        flow->next = seq + 1;
        tally->received++;
    } else if (fill_gap(flow, seq, tally)) {
        tally->reordered++;
        tally->received++;
    } else {
        tally->duplicates++;
    }
}

void nj_bench_flow_take_shared(struct nj_bench_flow *flow, uint32_t seq,
                               struct nj_bench_tally *tally)
{
    tally->received++;
    tally->shared++;
    if (seq >= flow->next) {
        flow->next = seq + 1;
    } else {
        tally->reordered++;
    }
}

void nj_bench_flow_finish(const struct nj_bench_flow *flow, uint32_t sent,
                          struct nj_bench_tally *tally)
{
    for (uint32_t i = 0; i < flow->gaps_count; i++) {
        tally->lost += flow->gaps[i].to - flow->gaps[i].from;
    }
    if (flow->next < sent) {
        tally->lost += sent - flow->next;
    }
}

void nj_bench_flow_fini(struct nj_bench_flow *flow)
{
    nj_free(flow->gaps);
    flow->gaps = NULL;
    flow->gaps_count = 0;
}
