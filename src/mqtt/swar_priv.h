/* Looking at eight bytes at a time, whatever their order in memory. */
#ifndef NJ_MQTT_SWAR_PRIV_H
#define NJ_MQTT_SWAR_PRIV_H

#include <stdint.h>

/* The byte, eight times. */
#define NJ_MQTT_EACH_BYTE(byte) ((uint64_t)(byte)*0x0101010101010101ull)

/* Not 0 when one of the bytes is 0. */
static inline uint64_t nj_mqtt_zero_byte_in(uint64_t word)
{
    return (word - NJ_MQTT_EACH_BYTE(0x01)) & ~word & NJ_MQTT_EACH_BYTE(0x80);
}

#endif
