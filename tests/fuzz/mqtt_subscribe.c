/* Fuzzes SUBSCRIBE, UNSUBSCRIBE and their answers. See mqtt_packet.h for the form of the input. */
#include "fuzz/mqtt_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t types[] = {NJ_MQTT_SUBSCRIBE, NJ_MQTT_SUBACK, NJ_MQTT_UNSUBSCRIBE,
                                    NJ_MQTT_UNSUBACK};
    fuzz_packet(data, size, types, sizeof(types));
    return 0;
}
