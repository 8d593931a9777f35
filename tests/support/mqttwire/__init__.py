"""MQTT 3.1, 3.1.1 and 5 on the wire, for tests: builds any packet, right or wrong, parses what a
broker sends and holds it against the standards, and speaks over every transport.

    conn = Conn(Endpoint("tcp", port=1883), version=V5)
    conn.connect("id")
    conn.subscribe("a/#", qos=1)
    conn.expect("PUBLISH", topic="a/b", payload=b"x")

Standard library only. It knows nothing about any broker."""
from . import packets, properties, websocket
from .conn import PATIENCE, Closed, Conn, Endpoint
from .packets import (V31, V311, V5, Packet, Will, auth, connack, connect, disconnect, options,
                      packet, parse, pingreq, pingresp, puback, pubcomp, publish, pubrec, pubrel,
                      split, suback, subscribe, unsuback, unsubscribe)
from .primitives import WireError, binary, padded_varint, u8, u16, u32, varint
from .show import diff, readable

__all__ = ["packets", "properties", "websocket", "PATIENCE", "Closed", "Conn", "Endpoint", "V31", "V311", "V5", "Packet",
           "Will", "auth", "connack", "connect", "disconnect", "options", "packet", "parse",
           "pingreq", "pingresp", "puback", "pubcomp", "publish", "pubrec", "pubrel", "split",
           "suback", "subscribe", "unsuback", "unsubscribe", "WireError", "binary",
           "padded_varint", "u8", "u16", "u32", "varint", "diff", "readable"]
