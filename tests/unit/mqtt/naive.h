/* References, written from the standard without a thought of speed. For tests and fuzz targets. */
#ifndef NJ_TESTS_UNIT_MQTT_NAIVE_H
#define NJ_TESTS_UNIT_MQTT_NAIVE_H

#include <stdbool.h>

#include "base/bytes.h"

/* MQTT5 1.5.4 and the project's choice about non-characters. */
bool naive_utf8_is_valid(struct nj_bytes text);
/* MQTT5 4.7.1, 4.7.2, for a valid filter and a valid topic. */
bool naive_matches(struct nj_bytes filter, struct nj_bytes topic);
bool naive_filter_is_valid(struct nj_bytes filter);

#endif
