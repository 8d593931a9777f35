"""MQTT 5 properties (MQTT5 2.2.2). In Python they are a list of (name, value) in the order of the
wire, because order and repetition are part of what tests look at."""
from .primitives import Cursor, WireError, binary, u16, u32, u8, varint

# identifier: (name, type)
TABLE = {
    0x01: ("payload_format_indicator", "u8"),
    0x02: ("message_expiry_interval", "u32"),
    0x03: ("content_type", "text"),
    0x08: ("response_topic", "text"),
    0x09: ("correlation_data", "binary"),
    0x0B: ("subscription_identifier", "varint"),
    0x11: ("session_expiry_interval", "u32"),
    0x12: ("assigned_client_identifier", "text"),
    0x13: ("server_keep_alive", "u16"),
    0x15: ("authentication_method", "text"),
    0x16: ("authentication_data", "binary"),
    0x17: ("request_problem_information", "u8"),
    0x18: ("will_delay_interval", "u32"),
    0x19: ("request_response_information", "u8"),
    0x1A: ("response_information", "text"),
    0x1C: ("server_reference", "text"),
    0x1F: ("reason_string", "text"),
    0x21: ("receive_maximum", "u16"),
    0x22: ("topic_alias_maximum", "u16"),
    0x23: ("topic_alias", "u16"),
    0x24: ("maximum_qos", "u8"),
    0x25: ("retain_available", "u8"),
    0x26: ("user_property", "pair"),
    0x27: ("maximum_packet_size", "u32"),
    0x28: ("wildcard_subscription_available", "u8"),
    0x29: ("subscription_identifier_available", "u8"),
    0x2A: ("shared_subscription_available", "u8"),
}
IDS = {name: (number, kind) for number, (name, kind) in TABLE.items()}

# Where each property may stand (MQTT5 table 2-4); WILL stands for the will properties of CONNECT.
ALLOWED = {
    "CONNECT": {0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27},
    "WILL": {0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26},
    "CONNACK": {0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26,
                0x27, 0x28, 0x29, 0x2A},
    "PUBLISH": {0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26},
    "PUBACK": {0x1F, 0x26},
    "PUBREC": {0x1F, 0x26},
    "PUBREL": {0x1F, 0x26},
    "PUBCOMP": {0x1F, 0x26},
    "SUBSCRIBE": {0x0B, 0x26},
    "SUBACK": {0x1F, 0x26},
    "UNSUBSCRIBE": {0x26},
    "UNSUBACK": {0x1F, 0x26},
    "DISCONNECT": {0x11, 0x1C, 0x1F, 0x26},
    "AUTH": {0x15, 0x16, 0x1F, 0x26},
}


def items(properties):
    """Accepts None, bytes, a dict (values may be lists) or a list of pairs; returns pairs."""
    if not properties:
        return []
    if isinstance(properties, dict):
        out = []
        for name, value in properties.items():
            for one in value if isinstance(value, list) else [value]:
                out.append((name, one))
        return out
    return list(properties)


def encode_one(name, value):
    """One property with its identifier. A name that is a number gives the identifier itself; its
    value is then taken as raw bytes."""
    if isinstance(name, int):
        return varint(name) + bytes(value)
    number, kind = IDS[name]
    head = varint(number)
    if kind == "u8":
        return head + u8(value)
    if kind == "u16":
        return head + u16(value)
    if kind == "u32":
        return head + u32(value)
    if kind == "varint":
        return head + varint(value)
    if kind == "pair":
        return head + binary(value[0]) + binary(value[1])
    return head + binary(value)


def encode(properties):
    """The property block with its length. Bytes stand for the whole block as they are."""
    if isinstance(properties, (bytes, bytearray)):
        return bytes(properties)
    body = b"".join(encode_one(name, value) for name, value in items(properties))
    return varint(len(body)) + body


def decode(cursor, where):
    """Reads a property block of a packet named `where` and holds it against the standard's table."""
    inner = Cursor(cursor.take(cursor.varint()))
    out, seen = [], set()
    while inner.left:
        number = inner.varint()
        if number not in TABLE:
            raise WireError(f"{where} carries the unknown property {number:#x}")
        if number not in ALLOWED[where]:
            raise WireError(f"{where} may not carry the property {TABLE[number][0]}")
        name, kind = TABLE[number]
        if name in seen and name not in ("user_property", "subscription_identifier"):
            raise WireError(f"{where} carries {name} twice")
        seen.add(name)
        if kind == "u8":
            value = inner.u8()
        elif kind == "u16":
            value = inner.u16()
        elif kind == "u32":
            value = inner.u32()
        elif kind == "varint":
            value = inner.varint()
        elif kind == "binary":
            value = inner.binary()
        elif kind == "pair":
            value = (inner.text(), inner.text())
        else:
            value = inner.text()
        out.append((name, value))
    return out


def example(name):
    """A valid value of a property, for tests that walk all of them."""
    _, kind = IDS[name]
    return {"u8": 1, "u16": 7, "u32": 9, "varint": 5, "binary": b"\x00\xff", "text": "text",
            "pair": ("key", "value")}[kind]
