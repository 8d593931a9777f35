/* Fuzzes MQTT 5 properties: the first byte is the packet type (modulo 16; 0 = a will), the rest is
 * the block. Oracle: what was decoded encodes, decodes again and encodes to the same bytes; what is
 * forwarded is valid and has nothing of one hop. */
#include <stdlib.h>

#include "mqtt/props.h"
#include "unit/mqtt/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct nj_bytes encode(const struct nj_mqtt_props *props)
{
    size_t size = nj_mqtt_props_size(props);
    uint8_t *block = malloc(size);
    NJ_ASSERT(size > 0 && block);
    NJ_ASSERT(nj_mqtt_props_encode(props, block) == block + size);
    return nj_bytes(block, size);
}

static void round_trip(const struct nj_mqtt_props *decoded, unsigned type)
{
    struct nj_mqtt_props props = *decoded;
    struct nj_mqtt_props again;
    uint8_t *users = malloc(decoded->raw.len + 1);
    uint8_t *end = users;
    struct nj_bytes key;
    struct nj_bytes value;
    size_t at = 0;
    while (nj_mqtt_props_next_user(decoded, &at, &key, &value)) {
        end = nj_mqtt_prop_put_user(end, key, value);
    }
    props.users = nj_bytes(users, (size_t)(end - users));
    struct nj_bytes once = encode(&props);
    struct nj_mqtt_reader reader = nj_mqtt_reader(once);
    NJ_ASSERT(nj_mqtt_props_decode(&reader, type, &again) == NJ_OK && nj_mqtt_left(&reader) == 0);
    NJ_ASSERT(again.present == decoded->present && again.user_count == decoded->user_count);
    /* The users are the block's tail. */
    again.users = nj_bytes(again.raw.ptr + again.raw.len - props.users.len, props.users.len);
    struct nj_bytes twice = encode(&again);
    NJ_ASSERT(nj_bytes_equal(once, twice));
    wire_free(once);
    wire_free(twice);
    free(users);
}

static void forward(const struct nj_mqtt_props *props)
{
    struct nj_mqtt_props again;
    uint8_t *scratch = malloc(props->raw.len);
    struct nj_bytes forwarded = nj_mqtt_props_forwarded(props, scratch);
    uint64_t hop = 1ull << NJ_PROP_TOPIC_ALIAS | 1ull << NJ_PROP_MESSAGE_EXPIRY |
                   1ull << NJ_PROP_SUBSCRIPTION_ID;
    NJ_ASSERT(nj_mqtt_props_parse(forwarded, NJ_MQTT_PUBLISH, &again) == NJ_OK);
    NJ_ASSERT(again.present == (props->present & ~hop));
    NJ_ASSERT(again.user_count == props->user_count);
    free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nj_mqtt_props props;
    if (size == 0) {
        return 0;
    }
    unsigned type = data[0] % 16;
    if (nj_mqtt_props_parse(nj_bytes(data + 1, size - 1), type, &props) != NJ_OK) {
        return 0;
    }
    round_trip(&props, type);
    if (type == NJ_MQTT_PUBLISH) {
        forward(&props);
    }
    return 0;
}
