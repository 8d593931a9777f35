/* Fuzzes PUBACK, PUBREC, PUBREL and PUBCOMP. See mqtt_packet.h for the form of the input. */
#include "fuzz/mqtt_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t types[] = {NJ_MQTT_PUBACK, NJ_MQTT_PUBREC, NJ_MQTT_PUBREL,
                                    NJ_MQTT_PUBCOMP};
    fuzz_packet(data, size, types, sizeof(types));
    return 0;
}
