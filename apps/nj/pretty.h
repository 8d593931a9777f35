/* How `nj sub` shows a message to a person in a terminal. */
#ifndef NJ_APPS_NJ_PRETTY_H
#define NJ_APPS_NJ_PRETTY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "client/message.h"

/* Appends time, topic, QoS, retain flag and payload; JSON is laid out, binary data becomes a hex
 * dump, and nothing in the message can steer the terminal. Ends with a newline. NJ_ENOMEM. */
enum nj_err nj_pretty_message(struct nj_buf *out, const struct nj_client_message *message,
                              int64_t now_ns, bool has_colour) NJ_NODISCARD;

/* Appends text with control characters as \xNN, so that it cannot steer a terminal. NJ_ENOMEM. */
enum nj_err nj_pretty_put_safe(struct nj_buf *out, struct nj_bytes text) NJ_NODISCARD;

/* True when colours are welcome on this terminal: NO_COLOR unset, TERM not "dumb". */
bool nj_pretty_wants_colour(void);

#endif
