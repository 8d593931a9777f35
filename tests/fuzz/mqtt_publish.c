/* Fuzzes PUBLISH. See mqtt_packet.h for the form of the input. */
#include "fuzz/mqtt_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t types[] = {NJ_MQTT_PUBLISH};
    fuzz_packet(data, size, types, sizeof(types));
    return 0;
}
