/* Wills (MQTT5 3.1.2.5): kept with the session, fired once or dropped. The right to publish is
 * decided when it fires, whatever was decided at CONNECT. */
#ifndef NJ_BROKER_WILL_H
#define NJ_BROKER_WILL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct nj_message;
struct nj_session;

struct nj_will;

/* NULL when memory is short. Free with nj_free as long as it is not given away. */
struct nj_will *nj_will_new(uint32_t delay_s) NJ_NODISCARD;
/* Replaces the session's will, and takes `will` and the message's reference over. Its expires_ms is
 * relative: the interval begins when the will is published. */
void nj_will_give(struct nj_session *session, struct nj_will *will, struct nj_message *message);
void nj_will_drop(struct nj_session *session);
/* Frees it without telling the store: the broker stops. */
void nj_will_forget(struct nj_session *session);
/* Publishes the will, if there is one and its owner still may, and forgets it. `ends`: the session
 * does, too; true when its record in the store goes together with the will. */
bool nj_will_fire(struct nj_session *session, bool ends);

#endif
