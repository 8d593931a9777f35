/* See texts.h. */
#include "texts.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

struct text {
    int code;
    const char *text;
};

static const struct text REASONS[] = {
    {NJ_RC_SUCCESS, "Success"},
    {NJ_RC_GRANTED_QOS_1, "Granted QoS 1"},
    {NJ_RC_GRANTED_QOS_2, "Granted QoS 2"},
    {NJ_RC_DISCONNECT_WITH_WILL, "Disconnect with Will Message"},
    {NJ_RC_NO_MATCHING_SUBSCRIBERS, "No matching subscribers"},
    {NJ_RC_NO_SUBSCRIPTION_EXISTED, "No subscription existed"},
    {NJ_RC_CONTINUE_AUTHENTICATION, "Continue authentication"},
    {NJ_RC_REAUTHENTICATE, "Re-authenticate"},
    {NJ_RC_UNSPECIFIED, "Unspecified error"},
    {NJ_RC_MALFORMED_PACKET, "Malformed Packet"},
    {NJ_RC_PROTOCOL_ERROR, "Protocol Error"},
    {NJ_RC_IMPLEMENTATION_SPECIFIC, "Implementation specific error"},
    {NJ_RC_UNSUPPORTED_PROTOCOL_VERSION, "Unsupported Protocol Version"},
    {NJ_RC_CLIENTID_NOT_VALID, "Client Identifier not valid"},
    {NJ_RC_BAD_USERNAME_OR_PASSWORD, "Bad User Name or Password"},
    {NJ_RC_NOT_AUTHORIZED, "Not authorized"},
    {NJ_RC_SERVER_UNAVAILABLE, "Server unavailable"},
    {NJ_RC_SERVER_BUSY, "Server busy"},
    {NJ_RC_BANNED, "Banned"},
    {NJ_RC_SERVER_SHUTTING_DOWN, "Server shutting down"},
    {NJ_RC_BAD_AUTHENTICATION_METHOD, "Bad authentication method"},
    {NJ_RC_KEEP_ALIVE_TIMEOUT, "Keep Alive timeout"},
    {NJ_RC_SESSION_TAKEN_OVER, "Session taken over"},
    {NJ_RC_TOPIC_FILTER_INVALID, "Topic Filter invalid"},
    {NJ_RC_TOPIC_NAME_INVALID, "Topic Name invalid"},
    {NJ_RC_PACKET_ID_IN_USE, "Packet Identifier in use"},
    {NJ_RC_PACKET_ID_NOT_FOUND, "Packet Identifier not found"},
    {NJ_RC_RECEIVE_MAXIMUM_EXCEEDED, "Receive Maximum exceeded"},
    {NJ_RC_TOPIC_ALIAS_INVALID, "Topic Alias invalid"},
    {NJ_RC_PACKET_TOO_LARGE, "Packet too large"},
    {NJ_RC_MESSAGE_RATE_TOO_HIGH, "Message rate too high"},
    {NJ_RC_QUOTA_EXCEEDED, "Quota exceeded"},
    {NJ_RC_ADMINISTRATIVE_ACTION, "Administrative action"},
    {NJ_RC_PAYLOAD_FORMAT_INVALID, "Payload format invalid"},
    {NJ_RC_RETAIN_NOT_SUPPORTED, "Retain not supported"},
    {NJ_RC_QOS_NOT_SUPPORTED, "QoS not supported"},
    {NJ_RC_USE_ANOTHER_SERVER, "Use another server"},
    {NJ_RC_SERVER_MOVED, "Server moved"},
    {NJ_RC_SHARED_SUBS_NOT_SUPPORTED, "Shared Subscriptions not supported"},
    {NJ_RC_CONNECTION_RATE_EXCEEDED, "Connection rate exceeded"},
    {NJ_RC_MAXIMUM_CONNECT_TIME, "Maximum connect time"},
    {NJ_RC_SUBSCRIPTION_IDS_NOT_SUPPORTED, "Subscription identifiers not supported"},
    {NJ_RC_WILDCARD_SUBS_NOT_SUPPORTED, "Wildcard Subscriptions not supported"},
};

/* MQTT 3.1.1, table 3.1. */
static const struct text CONNACKS[] = {
    {0, "Connection Accepted."},
    {1, "Connection Refused: unacceptable protocol version."},
    {2, "Connection Refused: identifier rejected."},
    {3, "Connection Refused: broker unavailable."},
    {4, "Connection Refused: bad user name or password."},
    {5, "Connection Refused: not authorised."},
};

static const struct text ORIGINALS[] = {
    {NJ_ORIGINAL_NOMEM, "Out of memory."},
    {NJ_ORIGINAL_PROTOCOL, "A network protocol error occurred when communicating with the broker."},
    {NJ_ORIGINAL_INVALID, "Invalid function arguments provided."},
    {NJ_ORIGINAL_NO_CONNECTION, "The client is not currently connected."},
    {NJ_ORIGINAL_REFUSED, "The connection was refused."},
    {NJ_ORIGINAL_LOST, "The connection was lost."},
    {NJ_ORIGINAL_TLS, "A TLS error occurred."},
    {NJ_ORIGINAL_PAYLOAD_SIZE, "Payload too large."},
    {NJ_ORIGINAL_NOT_SUPPORTED, "This feature is not supported."},
    {NJ_ORIGINAL_PROXY, "Proxy error."},
    {NJ_ORIGINAL_QOS, "Requested QoS not supported on server."},
    {NJ_ORIGINAL_OVERSIZE, "Packet larger than supported by the server."},
    {NJ_ORIGINAL_TIMEOUT, "Timeout"},
};

static const char *find(const struct text *texts, size_t count, int code, const char *otherwise)
{
    for (size_t i = 0; i < count; i++) {
        if (texts[i].code == code) {
            return texts[i].text;
        }
    }
    return otherwise;
}

const char *nj_text_reason(uint8_t code)
{
    return find(REASONS, sizeof(REASONS) / sizeof(REASONS[0]), code, "Unknown reason");
}

struct nj_bytes nj_text_beyond(uint8_t code, struct nj_bytes reason)
{
    const char *text = nj_text_reason(code);
    bool is_same =
        reason.len == strlen(text) && strncasecmp((const char *)reason.ptr, text, reason.len) == 0;
    return is_same ? nj_bytes(NULL, 0) : reason;
}

const char *nj_text_connack(enum nj_mqtt_version version, uint8_t code)
{
    if (version == NJ_MQTT_5) {
        return nj_text_reason(code);
    }
    return find(CONNACKS, sizeof(CONNACKS) / sizeof(CONNACKS[0]), code,
                "Connection Refused: unknown reason.");
}

const char *nj_text_original(enum nj_original_error error)
{
    return find(ORIGINALS, sizeof(ORIGINALS) / sizeof(ORIGINALS[0]), (int)error, "Unknown error.");
}

enum nj_original_error nj_original_error(enum nj_err err)
{
    switch (err) {
    case NJ_ENOMEM:
        return NJ_ORIGINAL_NOMEM;
    case NJ_EPROTOCOL:
    case NJ_EMALFORMED:
    case NJ_ELIMIT:
        return NJ_ORIGINAL_PROTOCOL;
    case NJ_EINVAL:
        return NJ_ORIGINAL_INVALID;
    case NJ_ECLOSED:
    case NJ_ETIMEDOUT:
        return NJ_ORIGINAL_LOST;
    case NJ_ETLS:
        return NJ_ORIGINAL_TLS;
    case NJ_ETOOBIG:
        return NJ_ORIGINAL_OVERSIZE;
    case NJ_ENOTSUP:
        return NJ_ORIGINAL_NOT_SUPPORTED;
    case NJ_ESYS:
        return NJ_ORIGINAL_ERRNO;
    default:
        return NJ_ORIGINAL_UNKNOWN;
    }
}
