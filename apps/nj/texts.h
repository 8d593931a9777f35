/* What codes mean, in the original's words. */
#ifndef NJ_APPS_NJ_TEXTS_H
#define NJ_APPS_NJ_TEXTS_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "mqtt/types.h"

/* The original's error numbers; as exit statuses they are part of its interface. */
enum nj_original_error {
    NJ_ORIGINAL_NOMEM = 1,
    NJ_ORIGINAL_PROTOCOL = 2,
    NJ_ORIGINAL_INVALID = 3,
    NJ_ORIGINAL_NO_CONNECTION = 4,
    NJ_ORIGINAL_REFUSED = 5,
    NJ_ORIGINAL_LOST = 7,
    NJ_ORIGINAL_TLS = 8,
    NJ_ORIGINAL_PAYLOAD_SIZE = 9,
    NJ_ORIGINAL_NOT_SUPPORTED = 10,
    NJ_ORIGINAL_UNKNOWN = 13,
    NJ_ORIGINAL_ERRNO = 14,
    NJ_ORIGINAL_PROXY = 16,
    NJ_ORIGINAL_QOS = 24,
    NJ_ORIGINAL_OVERSIZE = 25,
    NJ_ORIGINAL_TIMEOUT = 27
};

const char *nj_text_reason(uint8_t code);
/* What a broker's reason string says beyond the text of the code; empty when that is nothing. */
struct nj_bytes nj_text_beyond(uint8_t code, struct nj_bytes reason);
/* The answer to CONNECT, in the language of the version. */
const char *nj_text_connack(enum nj_mqtt_version version, uint8_t code);
enum nj_original_error nj_original_error(enum nj_err err);
const char *nj_text_original(enum nj_original_error error);

#endif
