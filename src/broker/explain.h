/* What a refusal says to the client that it refuses, as text: the Reason String of MQTT 5.
 *
 * The text says what the reason code says and which limit was exceeded, and nothing that the client
 * could not know by itself: no rule, no name, no file (docs/threat-model.md). Why something was
 * denied is in the log, for the administrator. */
#ifndef NJ_BROKER_EXPLAIN_H
#define NJ_BROKER_EXPLAIN_H

#include <stdint.h>

#include "base/bytes.h"
#include "mqtt/types.h"

struct nj_link;

#define NJ_EXPLAIN_MAX 96

/* The text for `reason`, made in `buf`; empty when nothing is to be said: the reason is no error,
 * the mode says nothing, or the client wants no problem information or speaks an older version
 * (MQTT5 3.1.2.11.7). `limit` is the bound that was exceeded, for the reasons that have one; 0 says
 * none. Whether the packet is still one that the client takes is the caller's to ask
 * (nj_link_takes). */
struct nj_bytes nj_explain(const struct nj_link *link, enum nj_mqtt_reason reason, uint32_t limit,
                           char buf[NJ_EXPLAIN_MAX]);

/* The text alone, for a log. NULL: the reason is no error. */
const char *nj_explain_reason(enum nj_mqtt_reason reason);

/* The text for a SUBACK or UNSUBACK: about the first of its codes that refuses. */
struct nj_bytes nj_explain_codes(const struct nj_link *link, struct nj_bytes codes,
                                 char buf[NJ_EXPLAIN_MAX]);

#endif
