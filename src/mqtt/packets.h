/* All packets. Prefer the header of the packet you need; this one stays until nobody includes it.
 */
#ifndef NJ_MQTT_PACKETS_H
#define NJ_MQTT_PACKETS_H

#include "mqtt/ack.h"
#include "mqtt/auth.h"
#include "mqtt/connack.h"
#include "mqtt/connect.h"
#include "mqtt/disconnect.h"
#include "mqtt/ping.h"
#include "mqtt/publish.h"
#include "mqtt/suback.h"
#include "mqtt/subscribe.h"
#include "mqtt/unsuback.h"
#include "mqtt/unsubscribe.h"

#endif
