"""The client side of WebSocket (RFC 6455), only as much as MQTT needs, with every part open to
being wrong."""
import base64
import hashlib
import os
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def new_key():
    return base64.b64encode(os.urandom(16)).decode()


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def upgrade(key, host="127.0.0.1", path="/mqtt", protocols="mqtt", version="13", method="GET",
            http="HTTP/1.1", extra=()):
    """The HTTP request. `protocols` or `version` None leaves the header out."""
    lines = [f"{method} {path} {http}", f"Host: {host}", "Upgrade: websocket",
             "Connection: Upgrade", f"Sec-WebSocket-Key: {key}"]
    if version is not None:
        lines.append(f"Sec-WebSocket-Version: {version}")
    if protocols is not None:
        lines.append(f"Sec-WebSocket-Protocol: {protocols}")
    return ("\r\n".join(lines + list(extra)) + "\r\n\r\n").encode("latin-1")


def frame(payload=b"", opcode=BINARY, fin=True, masked=True, rsv=0, length=None, mask=None):
    """One frame. `length` replaces the true length (sent in the form that its size asks for)."""
    size = len(payload) if length is None else length
    out = bytearray([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if masked else 0
    if size < 126:
        out.append(bit | size)
    elif size < 65536:
        out += bytes([bit | 126]) + struct.pack(">H", size)
    else:
        out += bytes([bit | 127]) + struct.pack(">Q", size)
    if masked:
        mask = os.urandom(4) if mask is None else mask
        out += mask
        payload = apply_mask(payload, mask)
    return bytes(out) + payload


def apply_mask(payload, mask):
    if not payload:
        return b""
    stream = (mask * (len(payload) // 4 + 1))[:len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(
        len(payload), "big")


class Frames:
    """Cuts the bytes of a server into frames; keeps what is not a whole frame yet."""

    def __init__(self):
        self.pending = bytearray()

    def feed(self, data):
        self.pending += data

    def next(self):
        """(opcode, fin, payload), or None when more bytes are needed."""
        data = self.pending
        if len(data) < 2:
            return None
        size, at = data[1] & 0x7F, 2
        if size == 126:
            if len(data) < 4:
                return None
            size, at = struct.unpack(">H", data[2:4])[0], 4
        elif size == 127:
            if len(data) < 10:
                return None
            size, at = struct.unpack(">Q", data[2:10])[0], 10
        if data[1] & 0x80:
            raise ValueError("a server masked a frame")
        if len(data) < at + size:
            return None
        out = (data[0] & 15, bool(data[0] & 0x80), bytes(data[at:at + size]))
        del data[:at + size]
        return out
