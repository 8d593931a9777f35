/* What the fuzz targets of the packet families share. */
#ifndef NJ_TESTS_FUZZ_MQTT_PACKET_H
#define NJ_TESTS_FUZZ_MQTT_PACKET_H

#include "unit/mqtt/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says version (its value modulo 3) and origin (high bit: a server), the second is
 * the first of the packet; the rest is its body. The type is brought into the family. */
#define FUZZ_HEAD 2

/* Oracle: what was decoded and encoded decodes again, and encodes to the same bytes. */
static inline void fuzz_round_trip(const struct wire_any *first)
{
    struct nj_bytes once = wire_encode(first);
    struct nj_mqtt_frame frame;
    enum nj_mqtt_reason reason;
    enum nj_err err = nj_mqtt_frame_peek(once.ptr, once.len, &frame);
    NJ_ASSERT(err == NJ_OK && frame.header_len + frame.body_len == once.len);
    NJ_ASSERT(frame.type == first->type);
    struct wire_any second = {
        .type = frame.type,
        .version = first->version,
        .flags = frame.flags,
        .is_from_server = first->is_from_server,
    };
    err = wire_decode(&second, nj_bytes(once.ptr + frame.header_len, frame.body_len), &reason);
    NJ_ASSERT(err == NJ_OK);
    struct nj_bytes twice = wire_encode(&second);
    NJ_ASSERT(nj_bytes_equal(once, twice));
    wire_free(once);
    wire_free(twice);
}

static inline void fuzz_packet(const uint8_t *data, size_t size, const uint8_t *types, size_t count)
{
    static const enum nj_mqtt_version versions[] = {NJ_MQTT_31, NJ_MQTT_311, NJ_MQTT_5};
    if (size < FUZZ_HEAD) {
        return;
    }
    struct wire_any any = {
        .type = (enum nj_mqtt_type)types[(data[1] >> 4) % count],
        .version = versions[(data[0] & 0x7f) % 3],
        .flags = data[1] & 0x0f,
        .is_from_server = (data[0] & 0x80) != 0,
    };
    enum nj_mqtt_reason reason;
    if (wire_decode(&any, nj_bytes(data + FUZZ_HEAD, size - FUZZ_HEAD), &reason) != NJ_OK) {
        return;
    }
    /* A CONNECT says its version itself. */
    any.version = any.type == NJ_MQTT_CONNECT ? any.connect.version : any.version;
    /* The refusal of an older server is read, but not written. */
    bool is_old_refusal = any.type == NJ_MQTT_CONNACK && any.version == NJ_MQTT_5 &&
                          any.connack.code > 0 && any.connack.code < NJ_RC_UNSPECIFIED;
    if (!is_old_refusal) {
        fuzz_round_trip(&any);
    }
}

#endif
