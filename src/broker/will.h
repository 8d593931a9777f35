/* Wills (MQTT5 3.1.2.5): kept with the session, fired once or dropped. The right to publish is
 * decided when it fires, whatever was decided at CONNECT. */
#ifndef NJ_BROKER_WILL_H
#define NJ_BROKER_WILL_H

#include <stdint.h>

#include "base/err.h"

struct nj_message;
struct nj_session;

/* Replaces the session's will. Takes the message's reference over on success. */
enum nj_err nj_will_set(struct nj_session *session, struct nj_message *message, uint32_t delay_s)
    NJ_NODISCARD;
void nj_will_drop(struct nj_session *session);
/* Frees it without telling the store: the broker stops. */
void nj_will_forget(struct nj_session *session);
/* Publishes the will, if there is one and its owner still may, and forgets it. */
void nj_will_fire(struct nj_session *session);

#endif
