/* -D: MQTT 5 properties by name. MQTT5 2.2.2.2 says which packet may carry which. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "opts.h"

#define BIT(packet) (1u << NJ_OPTS_##packet)
/* Packets that a tool never sends by itself, but whose names are known. */
#define OTHER (1u << NJ_OPTS_PACKET_COUNT)

struct packet_name {
    const char *name;
    enum nj_opts_packet packet; /* NJ_OPTS_PACKET_COUNT = known, but nothing to set */
};

static const struct packet_name PACKETS[] = {
    {"connect", NJ_OPTS_CONNECT},       {"publish", NJ_OPTS_PUBLISH},
    {"subscribe", NJ_OPTS_SUBSCRIBE},   {"unsubscribe", NJ_OPTS_UNSUBSCRIBE},
    {"disconnect", NJ_OPTS_DISCONNECT}, {"will", NJ_OPTS_WILL},
    {"connack", NJ_OPTS_PACKET_COUNT},  {"puback", NJ_OPTS_PACKET_COUNT},
    {"pubrec", NJ_OPTS_PACKET_COUNT},   {"pubrel", NJ_OPTS_PACKET_COUNT},
    {"pubcomp", NJ_OPTS_PACKET_COUNT},  {"suback", NJ_OPTS_PACKET_COUNT},
    {"unsuback", NJ_OPTS_PACKET_COUNT}, {"auth", NJ_OPTS_PACKET_COUNT},
};

struct prop_row {
    const char *name;
    uint8_t id;
    enum nj_opts_prop_type type;
    unsigned packets; /* the standard allows it there */
};

static const struct prop_row PROPS[] = {
    {"payload-format-indicator", 0x01, NJ_OPTS_BYTE, BIT(PUBLISH) | BIT(WILL)},
    {"message-expiry-interval", 0x02, NJ_OPTS_INT32, BIT(PUBLISH) | BIT(WILL)},
    {"content-type", 0x03, NJ_OPTS_STRING, BIT(PUBLISH) | BIT(WILL)},
    {"response-topic", 0x08, NJ_OPTS_STRING, BIT(PUBLISH) | BIT(WILL)},
    {"correlation-data", 0x09, NJ_OPTS_BINARY, BIT(PUBLISH) | BIT(WILL)},
    {"subscription-identifier", 0x0B, NJ_OPTS_VARINT, BIT(PUBLISH) | BIT(SUBSCRIBE)},
    {"session-expiry-interval", 0x11, NJ_OPTS_INT32, BIT(CONNECT) | BIT(DISCONNECT) | OTHER},
    {"assigned-client-identifier", 0x12, NJ_OPTS_STRING, OTHER},
    {"server-keep-alive", 0x13, NJ_OPTS_INT16, OTHER},
    {"authentication-method", 0x15, NJ_OPTS_STRING, BIT(CONNECT) | OTHER},
    {"authentication-data", 0x16, NJ_OPTS_BINARY, BIT(CONNECT) | OTHER},
    {"request-problem-information", 0x17, NJ_OPTS_BYTE, BIT(CONNECT)},
    {"will-delay-interval", 0x18, NJ_OPTS_INT32, BIT(WILL)},
    {"request-response-information", 0x19, NJ_OPTS_BYTE, BIT(CONNECT)},
    {"response-information", 0x1A, NJ_OPTS_STRING, OTHER},
    {"server-reference", 0x1C, NJ_OPTS_STRING, BIT(DISCONNECT) | OTHER},
    {"reason-string", 0x1F, NJ_OPTS_STRING, BIT(DISCONNECT) | OTHER},
    {"receive-maximum", 0x21, NJ_OPTS_INT16, BIT(CONNECT) | OTHER},
    {"topic-alias-maximum", 0x22, NJ_OPTS_INT16, BIT(CONNECT) | OTHER},
    {"topic-alias", 0x23, NJ_OPTS_INT16, BIT(PUBLISH)},
    {"maximum-qos", 0x24, NJ_OPTS_BYTE, OTHER},
    {"retain-available", 0x25, NJ_OPTS_BYTE, OTHER},
    {"user-property", 0x26, NJ_OPTS_STRING_PAIR,
     BIT(CONNECT) | BIT(PUBLISH) | BIT(SUBSCRIBE) | BIT(UNSUBSCRIBE) | BIT(DISCONNECT) | BIT(WILL) |
         OTHER},
    {"maximum-packet-size", 0x27, NJ_OPTS_INT32, BIT(CONNECT) | OTHER},
    {"wildcard-subscription-available", 0x28, NJ_OPTS_BYTE, OTHER},
    {"subscription-identifier-available", 0x29, NJ_OPTS_BYTE, OTHER},
    {"shared-subscription-available", 0x2A, NJ_OPTS_BYTE, OTHER},
};

static const struct packet_name *find_packet(const char *name)
{
    for (size_t i = 0; i < sizeof(PACKETS) / sizeof(PACKETS[0]); i++) {
        if (strcasecmp(PACKETS[i].name, name) == 0) {
            return &PACKETS[i];
        }
    }
    return NULL;
}

static const struct prop_row *find_prop(const char *name)
{
    for (size_t i = 0; i < sizeof(PROPS) / sizeof(PROPS[0]); i++) {
        if (strcasecmp(PROPS[i].name, name) == 0) {
            return &PROPS[i];
        }
    }
    return NULL;
}

static uint32_t type_max(enum nj_opts_prop_type type)
{
    switch (type) {
    case NJ_OPTS_BYTE:
        return UINT8_MAX;
    case NJ_OPTS_INT16:
        return UINT16_MAX;
    case NJ_OPTS_VARINT:
        return 268435455;
    default:
        return UINT32_MAX;
    }
}

static enum nj_opts_result read_number(struct nj_opts *opts, const struct prop_row *row,
                                       const char *value, struct nj_opts_prop *out)
{
    char *end = NULL;
    long n = strtol(value, &end, 10);
    bool is_number = end != value && *end == '\0';
    if (!is_number && !opts->command->is_compat) {
        fprintf(opts->err, "Error: Property value (%s) of property %s is not a number.\n\n", value,
                row->name);
        return NJ_OPTS_BAD;
    }
    if (n < 0 || n > (long)type_max(row->type)) {
        fprintf(opts->err, "Error: Property value (%ld) out of range for property %s.\n\n", n,
                row->name);
        return NJ_OPTS_BAD;
    }
    out->number = (uint32_t)n;
    return NJ_OPTS_OK;
}

static enum nj_opts_result read_text(struct nj_opts *opts, const struct prop_row *row,
                                     const char *value)
{
    if (strlen(value) > UINT16_MAX) {
        fprintf(opts->err, "Error: Property value too long for property %s.\n\n", row->name);
        return NJ_OPTS_BAD;
    }
    if (row->type != NJ_OPTS_BINARY && !nj_opts_is_utf8(value)) {
        fprintf(opts->err, "Error: Malformed UTF-8 in %s argument.\n\n", "--property");
        return NJ_OPTS_BAD;
    }
    return NJ_OPTS_OK;
}

static enum nj_opts_result add_prop(struct nj_opts *opts, const struct prop_row *row,
                                    enum nj_opts_packet packet, char **values)
{
    struct nj_opts_prop prop = {.id = row->id, .type = row->type};
    enum nj_opts_result result;
    const char *text = NULL;
    if (row->type == NJ_OPTS_STRING_PAIR) {
        result = read_text(opts, row, values[0]);
        text = values[1];
    } else {
        result = NJ_OPTS_OK;
        text = values[0];
    }
    if (result == NJ_OPTS_OK) {
        result = row->type >= NJ_OPTS_BINARY ? read_text(opts, row, text)
                                             : read_number(opts, row, text, &prop);
    }
    if (result != NJ_OPTS_OK) {
        return result;
    }
    if (row->type >= NJ_OPTS_BINARY) {
        prop.text = nj_strdup(text);
    }
    if (row->type == NJ_OPTS_STRING_PAIR) {
        prop.name = nj_strdup(values[0]);
    }
    struct nj_opts_props *props = &opts->props[packet];
    props->items = nj_realloc(props->items, (props->count + 1) * sizeof(props->items[0]));
    props->items[props->count++] = prop;
    return NJ_OPTS_OK;
}

static bool is_supported(const struct packet_name *packet, const struct prop_row *row)
{
    if (packet->packet == NJ_OPTS_PACKET_COUNT) {
        return false;
    }
    /* Only a broker puts subscription identifiers into a PUBLISH. */
    return !(packet->packet == NJ_OPTS_PUBLISH && row->id == 0x0B);
}

enum nj_opts_result nj_opts_read_prop(struct nj_opts *opts, int argc, char **argv, int *used)
{
    if (argc < 3) {
        fprintf(opts->err,
                "Error: --property argument given but not enough arguments specified.\n\n");
        return NJ_OPTS_BAD;
    }
    const struct packet_name *packet = find_packet(argv[0]);
    if (packet == NULL) {
        fprintf(opts->err, "Error: Invalid command given in --property argument.\n\n");
        return NJ_OPTS_BAD;
    }
    const struct prop_row *row = find_prop(argv[1]);
    if (row == NULL) {
        fprintf(opts->err, "Error: Invalid property name given in --property argument.\n\n");
        return NJ_OPTS_BAD;
    }
    if ((row->packets & (1u << packet->packet)) == 0) {
        fprintf(opts->err, "Error: %s property not allowed for %s in --property argument.\n\n",
                argv[1], argv[0]);
        return NJ_OPTS_BAD;
    }
    if (!is_supported(packet, row)) {
        fprintf(opts->err, "Error: %s property not supported for %s in --property argument.\n\n",
                argv[1], argv[0]);
        return NJ_OPTS_BAD;
    }
    int needed = row->type == NJ_OPTS_STRING_PAIR ? 4 : 3;
    if (argc < needed) {
        fprintf(opts->err,
                "Error: --property argument given but not enough arguments specified.\n\n");
        return NJ_OPTS_BAD;
    }
    enum nj_opts_result result = add_prop(opts, row, packet->packet, argv + 2);
    if (result == NJ_OPTS_OK) {
        opts->version = NJ_MQTT_5;
        *used = needed;
    }
    return result;
}
