"""The smallest parts of MQTT packets: integers, strings, lengths. Builders never check what they are
given, so that tests can build what a good client never would."""


class WireError(Exception):
    """Bytes from the broker that are not MQTT, or not the MQTT that was expected."""


def u8(value):
    return bytes([value & 0xFF])


def u16(value):
    return (value & 0xFFFF).to_bytes(2, "big")


def u32(value):
    return (value & 0xFFFFFFFF).to_bytes(4, "big")


def raw(value):
    """Text as UTF-8, bytes as they are."""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)


def binary(value):
    """A field with a two-byte length in front: strings and binary data."""
    data = raw(value)
    return u16(len(data)) + data


def varint(value):
    """A variable byte integer in its shortest form (MQTT5 1.5.5)."""
    out = bytearray()
    while True:
        value, digit = divmod(value, 128)
        out.append(digit | 0x80 if value else digit)
        if not value:
            return bytes(out)


def padded_varint(value, size):
    """A variable byte integer in a longer form than needed, which nobody may send."""
    digits = [(value >> (7 * i)) & 0x7F for i in range(size)]
    return bytes([d | 0x80 for d in digits[:-1]] + [digits[-1]])


class Cursor:
    """Reads fields from the body of one packet."""

    def __init__(self, data):
        self.data = bytes(data)
        self.at = 0

    @property
    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        if count > self.left:
            raise WireError(f"{count} bytes wanted, {self.left} left in {self.data.hex(' ')}")
        out = self.data[self.at:self.at + count]
        self.at += count
        return out

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return int.from_bytes(self.take(2), "big")

    def u32(self):
        return int.from_bytes(self.take(4), "big")

    def binary(self):
        return self.take(self.u16())

    def text(self):
        return self.binary().decode("utf-8")

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                if shift and not byte:
                    raise WireError("a variable byte integer is longer than needed")
                return value
            shift += 7
            if shift > 21:
                raise WireError("a variable byte integer has five bytes")

    def rest(self):
        return self.take(self.left)
