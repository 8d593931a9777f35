"""Headers of the PROXY protocol, right and wrong, and endpoints that begin with one."""
import socket
import struct

from mqttwire import Endpoint
from mqttwire.conn import PATIENCE

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TCP4, TCP6, UNIX = 0x11, 0x21, 0x31
ALPN, AUTHORITY, CRC32C, NOOP, UNIQUE_ID, SSL = 0x01, 0x02, 0x03, 0x04, 0x05, 0x20
VERSION, CN, CIPHER = 0x21, 0x22, 0x23


def v1(source="203.0.113.7", port=51234, dest="192.0.2.1", dest_port=1883, family=None):
    family = family or ("TCP6" if ":" in source else "TCP4")
    return f"PROXY {family} {source} {dest} {port} {dest_port}\r\n".encode()


def tlv(kind, value, length=None):
    return struct.pack(">BH", kind, len(value) if length is None else length) + value


def ssl_tlv(common_name=None, client=0x07, verify=0, version=b"TLSv1.3",
            cipher=b"TLS_AES_128_GCM_SHA256"):
    """What a proxy says of the client's TLS."""
    inner = tlv(VERSION, version) + tlv(CIPHER, cipher)
    if common_name is not None:
        inner += tlv(CN, common_name.encode() if isinstance(common_name, str) else common_name)
    return tlv(SSL, struct.pack(">BI", client, verify) + inner)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def addresses(source="203.0.113.7", port=51234, dest="192.0.2.1", dest_port=1883):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    return (socket.inet_pton(family, source) + socket.inet_pton(family, dest)
            + struct.pack(">HH", port, dest_port))


def v2(*tlvs, family=TCP4, command=1, version=2, body=None, length=None, checksum=None, **where):
    """checksum: None = no such TLV, True = the right one, bytes = this one."""
    if body is None:
        body = addresses(**where)
    body += b"".join(tlvs)
    if checksum is not None:
        body += tlv(CRC32C, bytes(4))

    def head(size):
        return SIGNATURE + struct.pack(">BBH", version << 4 | command, family, size)
    whole = head(len(body) if length is None else length) + body
    if checksum is None:
        return whole
    value = struct.pack(">I", crc32c(whole)) if checksum is True else checksum
    return whole[:-4] + value


class ProxiedEndpoint(Endpoint):
    """Another endpoint, reached through a proxy that sends `header` first."""

    def __init__(self, inner, header):
        super().__init__(inner.kind, inner.host, inner.port, inner.path, inner.context, inner.name)
        self.header = header

    def open(self, timeout=PATIENCE, rcvbuf=None):
        kind, self.kind = self.kind, "unix" if self.kind == "unix" else "tcp"
        try:
            sock = super().open(timeout, rcvbuf)
        finally:
            self.kind = kind
        sock.sendall(self.header)
        if kind in ("tls", "wss"):
            sock = self.context.wrap_socket(sock, server_hostname=self.name or "localhost")
        return sock
