/* Valid packets of every type and version, and texts to put into them. The properties stand in the
 * order in which this room encodes them. */
#include "unit/mqtt/wire.h"

#define FRAME(text)                                                                                \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

/* The lengths of valid prefixes are a string with a count in front, because 0 is one of them. */
const struct wire_packet wire_packets[] = {
    {"CONNECT 5 with everything", NJ_MQTT_5, false,
     FRAME("\020\224\001\000\004MQTT\005\356\000<<\042\000\012\021\000\000\001\000\025\000"
           "\004~~~~\026\000\004!!!!'\000\001\000\000!\000\024\027\001\031\001&\000\004~~~"
           "~\000\004~~~~&\000\004~~~~\000\004~~~~\000\004~~~~.\030\000\000\000\005\001"
           "\000\002\000\000\000\011\003\000\004~~~~\010\000\004~~~~\011\000\004!!!!&\000"
           "\004~~~~\000\004~~~~\000\004~~~~\000\004!!!!\000\004~~~~\000\004!!!!"),
     NULL, 0},
    {"CONNECT 5 with nothing", NJ_MQTT_5, false,
     FRAME("\020\015\000\004MQTT\005\002\000\000\000\000\000"), NULL, 0},
    {"CONNECT 5 with a password alone", NJ_MQTT_5, false,
     FRAME("\020\027\000\004MQTT\005B\000\000\000\000\004~~~~\000\004!!!!"), NULL, 0},
    {"CONNECT 3.1.1 with everything", NJ_MQTT_311, false,
     FRAME("\020(\000\004MQTT\004\366\000<\000\004~~~~\000\004~~~~\000\004!!!!\000\004~~~~"
           "\000\004!!!!"),
     NULL, 0},
    {"CONNECT 3.1.1 of a bridge", NJ_MQTT_311, false,
     FRAME("\020\020\000\004MQTT\204\002\000<\000\004~~~~"), NULL, 0},
    {"CONNECT 3.1 with user name and password", NJ_MQTT_31, false,
     FRAME("\020\036\000\006MQIsdp\003\302\000<\000\004~~~~\000\004~~~~\000\004!!!!"),
     "\002\022\030", 0},
    {"CONNACK 5 with everything", NJ_MQTT_5, true,
     FRAME(" W\001\000T\023\000<\042\000\012\022\000\004~~~~\021\000\000\001\000\025\000"
           "\004~~~~\026\000\004!!!!\032\000\004~~~~\034\000\004~~~~\037\000\004~~~~%\001'"
           "\000\036\204\200!\000\024$\001(\001)\001*\001&\000\004~~~~\000\004~~~~"),
     NULL, 0},
    {"CONNACK 5 refusing", NJ_MQTT_5, true, FRAME(" \003\000\207\000"), NULL, 0},
    {"CONNACK 3.1.1", NJ_MQTT_311, true, FRAME(" \002\001\000"), NULL, 0},
    {"CONNACK 3.1 refusing", NJ_MQTT_31, true, FRAME(" \002\000\005"), NULL, 0},
    {"PUBLISH 5 QoS 2 with everything", NJ_MQTT_5, false,
     FRAME("=;\000\004~~~~\000\007,#\000\003\001\000\003\000\004~~~~\010\000\004~~~~\011"
           "\000\004!!!!&\000\004~~~~\000\004~~~~\002\000\000\000\011\000\004!!!!"),
     NULL, 53},
    {"PUBLISH 5 from a server", NJ_MQTT_5, true,
     FRAME(";M\000\004~~~~\000\007>#\000\003\013\001\013\200\001\001\000\003\000\004~~~~"
           "\010\000\004~~~~\011\000\004!!!!&\000\004~~~~\000\004~~~~&\000\004~~~~\000\004"
           "~~~~\002\000\000\000\011\000\004!!!!"),
     NULL, 71},
    {"PUBLISH 5 by alias", NJ_MQTT_5, false, FRAME("0\014\000\000\003#\000\003\000\004!!!!"), NULL,
     6},
    {"PUBLISH 3.1.1 QoS 1", NJ_MQTT_311, false, FRAME("3\016\000\004~~~~\000\007\000\004!!!!"),
     NULL, 8},
    {"PUBLISH 3.1.1 QoS 0 without payload", NJ_MQTT_311, false, FRAME("1\006\000\004~~~~"), NULL,
     0},
    {"PUBLISH 3.1 QoS 2", NJ_MQTT_31, true, FRAME("<\016\000\004~~~~\000\007\000\004!!!!"), NULL,
     8},
    {"PUBACK 5 with everything", NJ_MQTT_5, false,
     FRAME("@\030\000\007\020\024\037\000\004~~~~&\000\004~~~~\000\004~~~~"), "\002\002\003", 0},
    {"PUBACK 5 with a reason", NJ_MQTT_5, false, FRAME("@\003\000\007\020"), "\001\002", 0},
    {"PUBACK 5", NJ_MQTT_5, false, FRAME("@\002\000\007"), NULL, 0},
    {"PUBACK 3.1.1", NJ_MQTT_311, false, FRAME("@\002\000\007"), NULL, 0},
    {"PUBREC 5 with everything", NJ_MQTT_5, false,
     FRAME("P\030\000\007\227\024\037\000\004~~~~&\000\004~~~~\000\004~~~~"), "\002\002\003", 0},
    {"PUBREC 5 with a reason", NJ_MQTT_5, false, FRAME("P\003\000\007\227"), "\001\002", 0},
    {"PUBREC 5", NJ_MQTT_5, false, FRAME("P\002\000\007"), NULL, 0},
    {"PUBREC 3.1.1", NJ_MQTT_311, false, FRAME("P\002\000\007"), NULL, 0},
    {"PUBREL 5 with everything", NJ_MQTT_5, false,
     FRAME("b\030\000\007\222\024\037\000\004~~~~&\000\004~~~~\000\004~~~~"), "\002\002\003", 0},
    {"PUBREL 5 with a reason", NJ_MQTT_5, false, FRAME("b\003\000\007\222"), "\001\002", 0},
    {"PUBREL 5", NJ_MQTT_5, false, FRAME("b\002\000\007"), NULL, 0},
    {"PUBREL 3.1.1", NJ_MQTT_311, false, FRAME("b\002\000\007"), NULL, 0},
    {"PUBCOMP 5 with everything", NJ_MQTT_5, false,
     FRAME("p\030\000\007\222\024\037\000\004~~~~&\000\004~~~~\000\004~~~~"), "\002\002\003", 0},
    {"PUBCOMP 5 with a reason", NJ_MQTT_5, false, FRAME("p\003\000\007\222"), "\001\002", 0},
    {"PUBCOMP 5", NJ_MQTT_5, false, FRAME("p\002\000\007"), NULL, 0},
    {"PUBCOMP 3.1.1", NJ_MQTT_311, false, FRAME("p\002\000\007"), NULL, 0},
    {"SUBSCRIBE 5", NJ_MQTT_5, false,
     FRAME("\202 \000\007\017\013\005&\000\004~~~~\000\004~~~~\000\004~~~~-\000\004~~~~"
           "\002"),
     "\001\031", 0},
    {"SUBSCRIBE 3.1.1", NJ_MQTT_311, false,
     FRAME("\202\020\000\007\000\004~~~~\001\000\004~~~~\002"), "\001\011", 0},
    {"SUBACK 5", NJ_MQTT_5, true,
     FRAME("\220\033\000\007\024\037\000\004~~~~&\000\004~~~~\000\004~~~~\000\001\002\207"),
     "\003\030\031\032", 0},
    {"SUBACK 3.1.1", NJ_MQTT_311, true, FRAME("\220\006\000\007\000\001\002\200"),
     "\003\003\004\005", 0},
    {"UNSUBSCRIBE 5", NJ_MQTT_5, false,
     FRAME("\242\034\000\007\015&\000\004~~~~\000\004~~~~\000\004~~~~\000\004~~~~"), "\001\026", 0},
    {"UNSUBSCRIBE 3.1", NJ_MQTT_31, false, FRAME("\242\010\000\007\000\004~~~~"), NULL, 0},
    {"UNSUBACK 5", NJ_MQTT_5, true,
     FRAME("\260\031\000\007\024\037\000\004~~~~&\000\004~~~~\000\004~~~~\000\021"), "\001\030", 0},
    {"UNSUBACK 3.1.1", NJ_MQTT_311, true, FRAME("\260\002\000\007"), NULL, 0},
    {"PINGREQ", NJ_MQTT_311, false, FRAME("\300\000"), NULL, 0},
    {"PINGRESP", NJ_MQTT_311, true, FRAME("\320\000"), NULL, 0},
    {"DISCONNECT 5 of a client", NJ_MQTT_5, false,
     FRAME("\340\033\004\031\021\000\000\000\011\037\000\004~~~~&\000\004~~~~\000\004~~~~"),
     "\002\000\001", 0},
    {"DISCONNECT 5 of a server", NJ_MQTT_5, true,
     FRAME("\340\035\216\033\034\000\004~~~~\037\000\004~~~~&\000\004~~~~\000\004~~~~"),
     "\002\000\001", 0},
    {"DISCONNECT 5, short", NJ_MQTT_5, false, FRAME("\340\000"), NULL, 0},
    {"DISCONNECT 3.1.1", NJ_MQTT_311, false, FRAME("\340\000"), NULL, 0},
    {"AUTH 5", NJ_MQTT_5, false,
     FRAME("\360$\030\042\025\000\004~~~~\026\000\004!!!!\037\000\004~~~~&\000\004~~~~\000"
           "\004~~~~"),
     NULL, 0},
    {"AUTH 5 of a server", NJ_MQTT_5, true,
     FRAME("\360\020\030\016\025\000\004~~~~\026\000\004!!!!"), "\001\000", 0},
    {"AUTH 5 of a server, done", NJ_MQTT_5, true, FRAME("\360\000"), NULL, 0},
};
const size_t wire_packet_count = WIRE_COUNT(wire_packets);

const struct wire_text wire_bad_texts[] = {
    {"b015: NUL in front", "\000abc"},
    {"b015: NUL within", "a\000bc"},
    {"b015: NUL at the end", "abc\000"},
    {"b016: surrogate U+D800", "\355\240\200a"},
    {"b016: surrogate U+DFFF", "a\355\277\277"},
    {"b017: NUL in two bytes", "\300\200ab"},
    {"b017: slash in three bytes", "\340\200\257a"},
    {"b017: slash in four bytes", "\360\200\200\257"},
    {"b019: two-byte character cut", "abc\303"},
    {"b019: three-byte character cut", "ab\342\202"},
    {"b019: four-byte character cut", "a\360\237\230"},
    {"b020: continuation alone", "a\200bc"},
    {"b020: two continuations", "\303\244\244a"},
    {"b022: U+FFFE", "\357\277\276a"},
    {"b022: U+FFFF", "\357\277\277a"},
    {"b022: U+FDD0", "\357\267\220a"},
    {"b022: U+FDEF", "\357\267\257a"},
    {"b022: U+1FFFE", "\360\237\277\276"},
    {"b022: U+10FFFF", "\364\217\277\277"},
    {"above U+10FFFF", "\364\220\200\200"},
    {"a byte that UTF-8 does not have", "a\377bc"},
};
const size_t wire_bad_text_count = WIRE_COUNT(wire_bad_texts);

const struct wire_text wire_good_texts[] = {
    {"b021: byte order mark", "\357\273\277a"},
    {"b024: U+202E", "\342\200\256a"},
    {"b024: zero width space", "\342\200\213a"},
    {"b025: e with acute, composed", "a\303\251b"},
    {"b025: e with acute, decomposed", "ae\314\201"},
    {"a control character", "a\001bc"},
    {"U+FFFD", "\357\277\275a"},
    {"U+FDCF", "\357\267\217a"},
    {"U+FDF0", "\357\267\260a"},
    {"U+10FFFD", "\364\217\277\275"},
    {"U+D7FF", "\355\237\277a"},
    {"U+E000", "\356\200\200a"},
};
const size_t wire_good_text_count = WIRE_COUNT(wire_good_texts);
