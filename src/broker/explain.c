/* See explain.h. */
#include "broker/explain.h"

#include <stdio.h>

#include "broker/limits.h"
#include "broker/link.h"
#include "broker/shard.h"

#define FIRST_ERROR NJ_RC_UNSPECIFIED

/* By reason code from 0x80 on. The unit is what the limit counts. */
static const struct {
    const char *text;
    const char *unit;
} texts[] = {
#define AT(code) [NJ_RC_##code - FIRST_ERROR]
    AT(UNSPECIFIED) = {"refused", NULL},
    AT(MALFORMED_PACKET) = {"malformed packet", NULL},
    AT(PROTOCOL_ERROR) = {"protocol error", NULL},
    AT(IMPLEMENTATION_SPECIFIC) = {"not supported by this server", NULL},
    AT(UNSUPPORTED_PROTOCOL_VERSION) = {"protocol version not accepted", NULL},
    AT(CLIENTID_NOT_VALID) = {"client identifier not accepted", NULL},
    AT(BAD_USERNAME_OR_PASSWORD) = {"not authorized", NULL},
    AT(NOT_AUTHORIZED) = {"not authorized", NULL},
    AT(SERVER_UNAVAILABLE) = {"server unavailable", NULL},
    AT(SERVER_BUSY) = {"server busy, try again later", NULL},
    AT(BANNED) = {"not authorized", NULL},
    AT(SERVER_SHUTTING_DOWN) = {"server is shutting down", NULL},
    AT(BAD_AUTHENTICATION_METHOD) = {"unknown authentication method", NULL},
    AT(KEEP_ALIVE_TIMEOUT) = {"nothing was received in one and a half keep alive intervals", "s"},
    AT(SESSION_TAKEN_OVER) = {"another connection took the session over", NULL},
    AT(TOPIC_FILTER_INVALID) = {"invalid topic filter", NULL},
    AT(TOPIC_NAME_INVALID) = {"invalid topic name", NULL},
    AT(PACKET_ID_IN_USE) = {"packet identifier in use", NULL},
    AT(PACKET_ID_NOT_FOUND) = {"packet identifier not found", NULL},
    AT(RECEIVE_MAXIMUM_EXCEEDED) = {"too many messages in flight", "messages"},
    AT(TOPIC_ALIAS_INVALID) = {"topic alias too high", NULL},
    AT(PACKET_TOO_LARGE) = {"packet too large", "bytes"},
    AT(MESSAGE_RATE_TOO_HIGH) = {"message rate too high", NULL},
    AT(QUOTA_EXCEEDED) = {"a limit of the server was reached", NULL},
    AT(ADMINISTRATIVE_ACTION) = {"ended by the administrator", NULL},
    AT(PAYLOAD_FORMAT_INVALID) = {"the payload is not the UTF-8 that it says it is", NULL},
    AT(RETAIN_NOT_SUPPORTED) = {"retained messages are not available", NULL},
    AT(QOS_NOT_SUPPORTED) = {"QoS not supported", NULL},
    AT(SHARED_SUBS_NOT_SUPPORTED) = {"shared subscriptions are not available", NULL},
    AT(CONNECTION_RATE_EXCEEDED) = {"too many connections", NULL},
    AT(MAXIMUM_CONNECT_TIME) = {"maximum time of a connection reached", NULL},
    AT(SUBSCRIPTION_IDS_NOT_SUPPORTED) = {"subscription identifiers are not available", NULL},
    AT(WILDCARD_SUBS_NOT_SUPPORTED) = {"wildcards are not available", NULL},
#undef AT
};

const char *nj_explain_reason(enum nj_mqtt_reason reason)
{
    unsigned place = reason - FIRST_ERROR;
    return reason >= FIRST_ERROR && place < sizeof(texts) / sizeof(texts[0]) ? texts[place].text
                                                                             : NULL;
}

static bool says_nothing(const struct nj_link *link)
{
    return link->version != NJ_MQTT_5 || !link->wants_problem_info ||
           !link->shard->limits->sends_reason_strings;
}

struct nj_bytes nj_explain(const struct nj_link *link, enum nj_mqtt_reason reason, uint32_t limit,
                           char buf[NJ_EXPLAIN_MAX])
{
    const char *text = nj_explain_reason(reason);
    if (!text || says_nothing(link)) {
        return nj_bytes(NULL, 0);
    }
    if (!limit) {
        return nj_bytes_of(text);
    }
    const char *unit = texts[reason - FIRST_ERROR].unit;
    int len = snprintf(buf, NJ_EXPLAIN_MAX, "%s: limit %u%s%s", text, limit, unit ? " " : "",
                       unit ? unit : "");
    NJ_ASSERT(len > 0 && len < NJ_EXPLAIN_MAX);
    return nj_bytes(buf, (size_t)len);
}

struct nj_bytes nj_explain_codes(const struct nj_link *link, struct nj_bytes codes,
                                 char buf[NJ_EXPLAIN_MAX])
{
    size_t at = 0;
    while (at < codes.len && !nj_explain_reason(codes.ptr[at])) {
        at++;
    }
    if (at == codes.len || says_nothing(link)) {
        return nj_bytes(NULL, 0);
    }
    if (codes.len == 1) {
        return nj_bytes_of(nj_explain_reason(codes.ptr[at]));
    }
    int len =
        snprintf(buf, NJ_EXPLAIN_MAX, "filter %zu: %s", at + 1, nj_explain_reason(codes.ptr[at]));
    NJ_ASSERT(len > 0 && len < NJ_EXPLAIN_MAX);
    return nj_bytes(buf, (size_t)len);
}
