"""Builders and the parser for every packet of MQTT 3.1, 3.1.1 and 5 (levels 3, 4, 5)."""
from . import properties as props
from .primitives import Cursor, WireError, binary, raw, u16, u8, varint

V31, V311, V5 = 3, 4, 5

NAMES = {1: "CONNECT", 2: "CONNACK", 3: "PUBLISH", 4: "PUBACK", 5: "PUBREC", 6: "PUBREL",
         7: "PUBCOMP", 8: "SUBSCRIBE", 9: "SUBACK", 10: "UNSUBSCRIBE", 11: "UNSUBACK",
         12: "PINGREQ", 13: "PINGRESP", 14: "DISCONNECT", 15: "AUTH"}
TYPES = {name: number for number, name in NAMES.items()}

# The flags in the low half of the first byte; PUBLISH has its own (MQTT5 2.1.3).
FLAGS = {number: 2 if name in ("PUBREL", "SUBSCRIBE", "UNSUBSCRIBE") else 0
         for number, name in NAMES.items()}


# The reasons that each packet of MQTT 5 may carry (the tables of its chapters), and the codes before.
ACK_REASONS = frozenset({0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99})
REASONS = {
    "CONNACK": frozenset({0, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D,
                          0x9F}),
    "PUBACK": ACK_REASONS, "PUBREC": ACK_REASONS, "PUBREL": frozenset({0, 0x92}),
    "PUBCOMP": frozenset({0, 0x92}),
    "SUBACK": frozenset({0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2}),
    "UNSUBACK": frozenset({0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91}),
    "DISCONNECT": frozenset({0, 4, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90,
                             *range(0x93, 0xA3)}),
    "AUTH": frozenset({0, 0x18, 0x19})}
OLD_CODES = {"CONNACK": frozenset(range(6)), "SUBACK": frozenset({0, 1, 2, 0x80})}


def packet(kind, body=b"", flags=None, length=None):
    """Any packet from its parts. `length` replaces the true remaining length: a number, or bytes."""
    number = TYPES[kind] if isinstance(kind, str) else kind
    if flags is None:
        flags = FLAGS.get(number, 0)
    if length is None:
        length = len(body)
    if not isinstance(length, bytes):
        length = varint(length)
    return u8(number << 4 | flags) + length + body


class Will:
    """The will of a CONNECT."""

    def __init__(self, topic, payload=b"", qos=0, retain=False, properties=None):
        self.topic, self.payload, self.qos, self.retain = topic, payload, qos, retain
        self.properties = properties


def connect(client_id="", version=V5, clean=True, keep_alive=60, username=None, password=None,
            will=None, properties=None, flags=None, protocol=None, level=None, body=None):
    """CONNECT. `flags`, `protocol`, `level` and `body` replace what would be right."""
    bits = 0x02 if clean else 0
    if will:
        bits |= 0x04 | will.qos << 3 | (0x20 if will.retain else 0)
    if password is not None:
        bits |= 0x40
    if username is not None:
        bits |= 0x80
    if protocol is None:
        protocol = "MQIsdp" if version == V31 else "MQTT"
    out = binary(protocol) + u8(version if level is None else level)
    out += u8(bits if flags is None else flags) + u16(keep_alive)
    if version == V5:
        out += props.encode(properties)
    out += binary(client_id)
    if will:
        if version == V5:
            out += props.encode(will.properties)
        out += binary(will.topic) + binary(will.payload)
    if username is not None:
        out += binary(username)
    if password is not None:
        out += binary(password)
    return packet("CONNECT", out if body is None else body)


def connack(version=V5, session_present=False, reason=0, properties=None):
    out = u8(1 if session_present else 0) + u8(reason)
    return packet("CONNACK", out + (props.encode(properties) if version == V5 else b""))


def publish(topic, payload=b"", qos=0, packet_id=None, retain=False, dup=False, version=V5,
            properties=None, flags=None):
    out = binary(topic)
    if qos or packet_id is not None:
        out += u16(1 if packet_id is None else packet_id)
    if version == V5:
        out += props.encode(properties)
    bits = (8 if dup else 0) | qos << 1 | (1 if retain else 0)
    return packet("PUBLISH", out + raw(payload), flags=bits if flags is None else flags)


def _ack(kind, packet_id, version, reason, properties, flags):
    out = u16(packet_id)
    if version == V5 and (reason is not None or properties is not None):
        out += u8(reason or 0)
        if properties is not None:
            out += props.encode(properties)
    return packet(kind, out, flags=flags)


def puback(packet_id, version=V5, reason=None, properties=None, flags=None):
    return _ack("PUBACK", packet_id, version, reason, properties, flags)


def pubrec(packet_id, version=V5, reason=None, properties=None, flags=None):
    return _ack("PUBREC", packet_id, version, reason, properties, flags)


def pubrel(packet_id, version=V5, reason=None, properties=None, flags=None):
    return _ack("PUBREL", packet_id, version, reason, properties, flags)


def pubcomp(packet_id, version=V5, reason=None, properties=None, flags=None):
    return _ack("PUBCOMP", packet_id, version, reason, properties, flags)


def options(qos=0, no_local=False, retain_as_published=False, retain_handling=0):
    """The options byte of one subscription (MQTT5 3.8.3.1)."""
    return qos | (4 if no_local else 0) | (8 if retain_as_published else 0) | retain_handling << 4


def subscribe(packet_id, filters, version=V5, properties=None, flags=None):
    """`filters`: a filter, or a list of filters or (filter, options byte)."""
    if isinstance(filters, (str, bytes)):
        filters = [(filters, 0)]
    out = u16(packet_id)
    if version == V5:
        out += props.encode(properties)
    for one in filters:
        name, bits = one if isinstance(one, tuple) else (one, 0)
        out += binary(name) + u8(bits)
    return packet("SUBSCRIBE", out, flags=flags)


def suback(packet_id, reasons, version=V5, properties=None):
    out = u16(packet_id) + (props.encode(properties) if version == V5 else b"")
    return packet("SUBACK", out + bytes(reasons))


def unsubscribe(packet_id, filters, version=V5, properties=None, flags=None):
    if isinstance(filters, (str, bytes)):
        filters = [filters]
    out = u16(packet_id)
    if version == V5:
        out += props.encode(properties)
    return packet("UNSUBSCRIBE", out + b"".join(binary(f) for f in filters), flags=flags)


def unsuback(packet_id, reasons=(), version=V5, properties=None):
    out = u16(packet_id)
    if version == V5:
        out += props.encode(properties) + bytes(reasons)
    return packet("UNSUBACK", out)


def pingreq():
    return packet("PINGREQ")


def pingresp():
    return packet("PINGRESP")


def disconnect(version=V5, reason=None, properties=None):
    out = b""
    if version == V5 and (reason is not None or properties is not None):
        out = u8(reason or 0)
        if properties is not None:
            out += props.encode(properties)
    return packet("DISCONNECT", out)


def auth(reason=0x18, properties=None):
    return packet("AUTH", u8(reason) + props.encode(properties))


class Packet:
    """A parsed packet: `name`, `flags`, `raw`, and the fields of its kind as attributes."""

    def __init__(self, name, flags, raw_bytes, fields):
        self.name, self.flags, self.raw = name, flags, raw_bytes
        self.fields = fields

    def __getattr__(self, key):
        try:
            return self.__dict__["fields"][key]
        except KeyError:
            raise AttributeError(f"{self.__dict__.get('name')} has no field {key}") from None

    def prop(self, name, default=None):
        """The value of a property that may stand once."""
        for key, value in self.fields.get("properties", []):
            if key == name:
                return value
        return default

    def props(self, name):
        return [value for key, value in self.fields.get("properties", []) if key == name]

    def __repr__(self):
        shown = []
        for key, value in self.fields.items():
            if isinstance(value, bytes) and len(value) > 80:
                value = value[:60] + f"… {len(value)} bytes".encode()
            if key in ("reason", "reasons") and value:
                value = (f"{value:#04x}" if isinstance(value, int)
                         else "[" + ", ".join(f"{v:#04x}" for v in value) + "]")
                shown.append(f"{key}={value}")
            elif not (key == "properties" and not value):
                shown.append(f"{key}={value!r}")
        return f"{self.name}({', '.join(shown)})"


def _parse_ack(name, cursor, version, fields):
    fields["packet_id"] = cursor.u16()
    fields["reason"] = 0
    if version == V5:
        fields["properties"] = []
        if cursor.left:
            fields["reason"] = cursor.u8()
            if cursor.left:
                fields["properties"] = props.decode(cursor, name)


def _parse_connect(cursor, fields):
    fields["protocol"], fields["level"] = cursor.text(), cursor.u8()
    bits = fields["connect_flags"] = cursor.u8()
    fields["keep_alive"] = cursor.u16()
    version = fields["level"] & 0x7F
    if version == V5:
        fields["properties"] = props.decode(cursor, "CONNECT")
    fields["client_id"] = cursor.text()
    if bits & 4:
        if version == V5:
            fields["will_properties"] = props.decode(cursor, "WILL")
        fields["will_topic"], fields["will_payload"] = cursor.text(), cursor.binary()
    if bits & 0x80:
        fields["username"] = cursor.text()
    if bits & 0x40:
        fields["password"] = cursor.binary()


def _parse_publish(cursor, version, flags, fields):
    fields["topic"] = cursor.text()
    fields["qos"], fields["dup"] = flags >> 1 & 3, bool(flags & 8)
    fields["retain"] = bool(flags & 1)
    if fields["qos"] == 3:
        raise WireError("PUBLISH with QoS 3")
    if fields["qos"]:
        fields["packet_id"] = cursor.u16()
    if version == V5:
        fields["properties"] = props.decode(cursor, "PUBLISH")
    fields["payload"] = cursor.rest()


def _parse_filters(name, cursor, version, fields):
    fields["packet_id"] = cursor.u16()
    if version == V5:
        fields["properties"] = props.decode(cursor, name)
    fields["filters"] = []
    while cursor.left:
        topic = cursor.text()
        fields["filters"].append((topic, cursor.u8()) if name == "SUBSCRIBE" else topic)


def _parse_codes(name, cursor, version, fields):
    fields["packet_id"] = cursor.u16()
    if version == V5:
        fields["properties"] = props.decode(cursor, name)
    fields["reasons"] = list(cursor.rest())


def _parse_reason(name, cursor, version, fields):
    fields["reason"] = 0
    if version == V5:
        fields["properties"] = []
        if cursor.left:
            fields["reason"] = cursor.u8()
            if cursor.left:
                fields["properties"] = props.decode(cursor, name)


def _check_reasons(name, version, fields):
    """MQTT5 3.2.2-8, 3.4.2-1 and so on: for every packet that any test sees."""
    codes = fields.get("reasons", [fields["reason"]] if "reason" in fields else [])
    allowed = (REASONS if version == V5 else OLD_CODES).get(name)
    if name == "CONNACK" and "properties" not in fields:
        allowed = OLD_CODES["CONNACK"]  # to who asked for a version that is not there
    for code in codes if allowed is not None else []:
        if code not in allowed:
            raise WireError(f"{name} may not carry the reason {code:#04x}")


def parse(first, body, version, raw_bytes=None):
    """One whole packet. Anything the standard forbids is a WireError."""
    number, flags = first >> 4, first & 15
    name = NAMES.get(number)
    raw_bytes = packet(number, body, flags=flags) if raw_bytes is None else raw_bytes
    if name is None or (name == "AUTH" and version != V5):
        raise WireError(f"a packet of type {number}: {raw_bytes[:40].hex(' ')}")
    if name != "PUBLISH" and flags != FLAGS[number]:
        raise WireError(f"{name} with flags {flags:#x}")
    cursor, fields = Cursor(body), {}
    if name == "CONNECT":
        _parse_connect(cursor, fields)
    elif name == "CONNACK":
        fields["session_present"], fields["reason"] = cursor.u8(), cursor.u8()
        if fields["session_present"] > 1:
            raise WireError("CONNACK with reserved flags set")
        if version == V5 and (cursor.left or fields["reason"] < 1 or fields["reason"] > 5):
            fields["properties"] = props.decode(cursor, name)
    elif name == "PUBLISH":
        _parse_publish(cursor, version, flags, fields)
    elif name in ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP"):
        _parse_ack(name, cursor, version, fields)
    elif name in ("SUBSCRIBE", "UNSUBSCRIBE"):
        _parse_filters(name, cursor, version, fields)
    elif name in ("SUBACK", "UNSUBACK"):
        _parse_codes(name, cursor, version, fields)
    elif name in ("DISCONNECT", "AUTH"):
        _parse_reason(name, cursor, version, fields)
    _check_reasons(name, version, fields)
    if cursor.left:
        raise WireError(f"{name} with {cursor.left} bytes too many: {raw_bytes.hex(' ')}")
    return Packet(name, flags, raw_bytes, fields)


def split(data, version):
    """All packets of a byte string, for comparing and for printing."""
    out, at = [], 0
    while at < len(data):
        cursor = Cursor(data[at + 1:])
        length = cursor.varint()
        body = cursor.take(length)
        end = at + 1 + cursor.at
        out.append(parse(data[at], body, version, data[at:end]))
        at = end
    return out
