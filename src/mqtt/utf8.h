/* UTF-8 strings as MQTT wants them (MQTT5 1.5.4). */
#ifndef NJ_MQTT_UTF8_H
#define NJ_MQTT_UTF8_H

#include <stdbool.h>

#include "base/bytes.h"

/* Well-formed, without NUL, surrogates, overlong forms, values above U+10FFFF and non-characters
 * (U+FDD0–FDEF, U+xxFFFE, U+xxFFFF). Control characters are allowed. */
bool nj_mqtt_utf8_is_valid(struct nj_bytes text);
/* UTF-8 as Unicode defines it, which a payload may be (MQTT5 3.3.2.3.2): NUL and non-characters are
 * allowed. */
bool nj_mqtt_utf8_is_well_formed(struct nj_bytes data);
/* U+0001–U+001F or U+007F–U+009F in a valid string. */
bool nj_mqtt_utf8_has_control(struct nj_bytes text);

#endif
