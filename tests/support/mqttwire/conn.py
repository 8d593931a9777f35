"""One client connection over TCP, TLS, WebSocket, WSS or a unix socket. Every wait has a deadline;
nothing here sleeps."""
import collections
import itertools
import os
import select
import socket
import ssl
import time

from . import packets, show, websocket
from .packets import V5
from .primitives import WireError

PATIENCE = float(os.environ.get("NJ_TEST_PATIENCE", "10"))


class Closed(WireError):
    """The broker closed the connection where a packet was expected."""


class Endpoint:
    """Where a broker listens, and how to speak there."""

    def __init__(self, kind, host="127.0.0.1", port=0, path=None, context=None, name=None):
        self.kind, self.host, self.port, self.path = kind, host, port, path
        self.context, self.name = context, name

    def __repr__(self):
        return f"{self.kind}:{self.path or self.port}"

    def open(self, timeout=PATIENCE, rcvbuf=None):
        """A connected socket, TLS done."""
        if self.kind == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(timeout)
            sock.connect(self.path)
            return sock
        sock = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(timeout)
        sock.connect((self.host, self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.kind in ("tls", "wss"):
            sock = self.context.wrap_socket(sock, server_hostname=self.name or "localhost")
        return sock


class Conn:
    """Sends raw bytes and expects packets. `trace` holds what went both ways, for failures."""

    made = collections.deque(maxlen=64)  # the connections of the running test, for its report
    _ids = itertools.count(1)

    def __init__(self, endpoint, version=V5, protocols="mqtt", rcvbuf=None, raw=False):
        self.endpoint, self.version = endpoint, version
        self.trace = collections.deque(maxlen=40)
        self.pending = bytearray()
        self.held = collections.deque()  # parsed packets that came before what was waited for
        self.is_closed = False
        self.close_code = None
        self.empty_at = None  # when the socket was last found with nothing to read
        self.client_id = None
        self.sock = endpoint.open(rcvbuf=rcvbuf)
        self.frames = None
        self.tls_version = self.sock.version() if hasattr(self.sock, "version") else None
        Conn.made.append(self)
        if endpoint.kind in ("ws", "wss") and not raw:
            self._upgrade(protocols)

    # -- bytes ------------------------------------------------------------------------------

    def _upgrade(self, protocols):
        key = websocket.new_key()
        self.sock.sendall(websocket.upgrade(key, protocols=protocols))
        head = self.read_head()
        if not head.startswith("HTTP/1.1 101 "):
            raise WireError(f"the upgrade was refused: {head!r}")
        if f"Sec-WebSocket-Accept: {websocket.accept_of(key)}" not in head:
            raise WireError(f"wrong Sec-WebSocket-Accept in {head!r}")
        self.frames = websocket.Frames()
        self.frames.feed(bytes(self.pending))
        self.pending.clear()

    def read_head(self, timeout=PATIENCE):
        """An HTTP head up to its blank line, as text."""
        deadline = time.monotonic() + timeout
        while b"\r\n\r\n" not in self.pending:
            self._fill(deadline, "an HTTP answer")
        head, _, rest = bytes(self.pending).partition(b"\r\n\r\n")
        self.pending = bytearray(rest)
        return head.decode("latin-1")

    def send(self, *parts):
        """Sends packets (bytes) in one write."""
        data = b"".join(parts)
        self.trace.append((">", data))
        self.sock.settimeout(PATIENCE)
        self.sock.sendall(websocket.frame(data) if self.frames else data)
        return self

    def send_wire(self, data):
        """Sends bytes below WebSocket framing."""
        self.trace.append((">>", data))
        self.sock.settimeout(PATIENCE)
        self.sock.sendall(data)
        return self

    def try_send(self, data):
        """Sends to a peer that may be gone; says whether the kernel took it."""
        try:
            self.send(data)
            return True
        except (OSError, ssl.SSLError):
            return False

    def _is_readable(self, timeout):
        """poll(), because select() knows no descriptor above 1023."""
        poll = select.poll()
        poll.register(self.sock.fileno(), select.POLLIN | select.POLLRDHUP)
        return bool(poll.poll(timeout * 1000))

    def _recv(self, deadline):
        """One read with a deadline; b"" means the end, None that the time is over."""
        if not (hasattr(self.sock, "pending") and self.sock.pending()):
            left = deadline - time.monotonic()
            if not self._is_readable(0):
                self.empty_at = time.monotonic()
                if not self._is_readable(max(left, 0)):
                    return None
        self.sock.settimeout(max(deadline - time.monotonic(), 0.01))
        try:
            return self.sock.recv(262144)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""
        except (TimeoutError, ssl.SSLWantReadError):
            return None
        except ssl.SSLError as problem:
            self.trace.append(("!", str(problem).encode()))
            return b""

    def _fill(self, deadline, wanted):
        data = self._recv(deadline)
        if data is None:
            if time.monotonic() < deadline:
                return
            raise AssertionError(f"waited too long for {wanted}\n{self.story()}")
        if not data:
            self.is_closed = True
            raise Closed(f"the broker closed the connection; {wanted} was expected\n{self.story()}")
        if self.frames is None:
            self.pending += data
            return
        self.frames.feed(data)
        self._take_frames(wanted)

    def _take_frames(self, wanted):
        while True:
            one = self.frames.next()
            if one is None:
                return
            opcode, _, payload = one
            if opcode in (websocket.BINARY, websocket.CONTINUATION):
                self.pending += payload
            elif opcode == websocket.PING:
                self.sock.sendall(websocket.frame(payload, websocket.PONG))
            elif opcode == websocket.CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big") if payload else None
                if not self._whole():
                    self.is_closed = True
                    raise Closed(f"close frame {self.close_code}; {wanted} was expected\n"
                                 f"{self.story()}")

    # -- packets ----------------------------------------------------------------------------

    def _whole(self):
        """The size of the first packet in hand, or 0."""
        data, length, shift, at = self.pending, 0, 0, 1
        while at < len(data) and at <= 4:
            byte = data[at]
            length |= (byte & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if not byte & 0x80:
                return at + length if len(data) >= at + length else 0
        if at > 4:
            raise WireError(f"a remaining length of five bytes: {bytes(data[:8]).hex(' ')}")
        return 0

    def packet(self, timeout=PATIENCE, wanted="a packet"):
        """The next packet, parsed."""
        if self.held:
            return self.held.popleft()
        deadline = time.monotonic() + timeout
        while not (size := self._whole()):
            self._fill(deadline, wanted)
        data = bytes(self.pending[:size])
        del self.pending[:size]
        self.trace.append(("<", data))
        at = 1
        while data[at] & 0x80:
            at += 1
        return packets.parse(data[0], data[at + 1:], self.version, data)

    def expect(self, name, timeout=PATIENCE, **fields):
        """The next packet must be `name` with these fields; returns it. `properties` compares the
        whole list in order; a field with a callable is asked."""
        got = self.packet(timeout, f"{name} {fields}")
        problems = [] if got.name == name else [f"expected {name}"]
        for key, value in fields.items():
            if isinstance(value, str) and key == "payload":
                value = value.encode()
            have = got.fields.get(key)
            if not (value(have) if callable(value) else have == value):
                problems.append(f"{key} should be {value!r}, is {have!r}")
        assert not problems, f"{'; '.join(problems)}\ngot {got!r}\n{self.story()}"
        return got

    def expect_bytes(self, wanted, timeout=PATIENCE):
        """The next bytes must be exactly these packets."""
        got, deadline = b"", time.monotonic() + timeout
        try:
            while len(got) < len(wanted):
                got += self.packet(max(deadline - time.monotonic(), 0), "exact bytes").raw
        except (WireError, AssertionError) as problem:
            raise AssertionError(f"{show.diff(wanted, got, self.version)}\n{problem}") from None
        assert got == wanted, f"{show.diff(wanted, got, self.version)}\n{self.story()}"

    def expect_closed(self, timeout=PATIENCE, reason=None, silent=False):
        """The broker must end the connection. With MQTT 5, `reason` is the DISCONNECT that has to
        come before (a number or a set); `silent`: nothing may come before."""
        deadline = time.monotonic() + timeout
        seen = []
        try:
            while True:
                seen.append(self.packet(max(deadline - time.monotonic(), 0), "the end"))
        except Closed:
            pass
        if silent:
            assert not seen, f"nothing should come before the end, got {seen}\n{self.story()}"
        if reason is not None and self.version == V5:
            allowed = {reason} if isinstance(reason, int) else set(reason)
            got = [p.reason for p in seen if p.name in ("DISCONNECT", "CONNACK")]
            assert got and got[-1] in allowed, (
                f"expected an end with reason {[hex(r) for r in allowed]}, got {seen}\n"
                f"{self.story()}")
        elif self.version != V5:
            assert not [p for p in seen if p.name == "DISCONNECT"], (
                f"DISCONNECT from a server does not exist before MQTT 5: {seen}")
        self.close()
        return seen

    def drain(self, stop, timeout=PATIENCE):
        """All packets up to the one for which stop(packet) is true, that one included."""
        deadline, out = time.monotonic() + timeout, []
        while not out or not stop(out[-1]):
            out.append(self.packet(max(deadline - time.monotonic(), 0), "the last of a series"))
        return out

    def quiet(self):
        """Nothing may be on its way: the answer to PINGREQ has to be the next packet."""
        self.send(packets.pingreq())
        self.expect("PINGRESP")
        return self

    def story(self):
        """What went both ways, last lines last."""
        lines = [f"{self.endpoint!r} MQTT {self.version} id {self.client_id!r}:"]
        for way, data in self.trace:
            if way in ("<", ">"):
                lines.append(f"  {way} {show.readable(data[:4096], self.version)}")
            else:
                lines.append(f"  {way} {data[:200]!r}")
        if self.pending:
            lines.append(f"  unread: {bytes(self.pending[:64]).hex(' ')}")
        return "\n".join(lines)

    # -- whole exchanges --------------------------------------------------------------------

    def connect(self, client_id="", reason=0, session_present=None, **options):
        """CONNECT and its CONNACK."""
        self.client_id = client_id
        self.send(packets.connect(client_id, version=self.version, **options))
        answer = self.expect("CONNACK", reason=reason)
        if session_present is not None:
            assert bool(answer.session_present) == session_present, (
                f"session present should be {session_present}\n{self.story()}")
        return answer

    def subscribe(self, filters, packet_id=1, reasons=None, properties=None, qos=None, **opts):
        """SUBSCRIBE and its SUBACK; retained messages that come first are an error here."""
        if isinstance(filters, str):
            filters = [(filters, packets.options(qos or 0, **opts))]
        self.send(packets.subscribe(packet_id, filters, self.version, properties))
        answer = self.expect("SUBACK", packet_id=packet_id)
        if reasons is None:
            reasons = [(f[1] if isinstance(f, tuple) else 0) & 3 for f in filters]
        assert answer.reasons == list(reasons), (
            f"SUBACK should say {[hex(r) for r in reasons]}: {answer!r}\n{self.story()}")
        return answer

    def unsubscribe(self, filters, packet_id=2, reasons=None, properties=None):
        self.send(packets.unsubscribe(packet_id, filters, self.version, properties))
        answer = self.expect("UNSUBACK", packet_id=packet_id)
        if reasons is not None and self.version == V5:
            assert answer.reasons == list(reasons), f"{answer!r}\n{self.story()}"
        return answer

    def publish(self, topic, payload=b"", qos=0, packet_id=1, reason=(0, 0x10), **opts):
        """PUBLISH and everything up to its end. `reason` is what PUBACK or PUBREC may say."""
        allowed = {reason} if isinstance(reason, int) else set(reason)
        self.send(packets.publish(topic, payload, qos, packet_id if qos else None,
                                  version=self.version, **opts))
        if qos == 0:
            return None
        kind = "PUBACK" if qos == 1 else "PUBREC"
        answer = self.expect(kind, packet_id=packet_id)
        if self.version == V5:
            assert answer.reason in allowed, f"{answer!r} instead of {allowed}\n{self.story()}"
        if qos == 2 and answer.reason < 0x80:
            self.send(packets.pubrel(packet_id, self.version))
            self.expect("PUBCOMP", packet_id=packet_id, reason=0)
        return answer

    def _hold_until(self, name, packet_id):
        """Waits for an acknowledgement; publications that come first are kept for later."""
        before = collections.deque()
        while True:
            got = self.packet(wanted=f"{name} {packet_id}")
            if got.name == name and got.packet_id == packet_id:
                self.held = before + self.held
                return got
            assert got.name == "PUBLISH", f"{name} expected, got {got!r}\n{self.story()}"
            before.append(got)

    def receive(self, topic=None, payload=None, qos=None, **fields):
        """The next PUBLISH, acknowledged to its end."""
        for key, value in (("topic", topic), ("payload", payload), ("qos", qos)):
            if value is not None:
                fields[key] = value
        got = self.expect("PUBLISH", **fields)
        if got.qos == 1:
            self.send(packets.puback(got.packet_id, self.version))
        elif got.qos == 2:
            self.send(packets.pubrec(got.packet_id, self.version))
            self._hold_until("PUBREL", got.packet_id)
            self.send(packets.pubcomp(got.packet_id, self.version))
        return got

    def disconnect(self, reason=None, properties=None):
        """A proper goodbye; waits until the broker has closed."""
        self.send(packets.disconnect(self.version, reason, properties))
        self.expect_closed(silent=True)

    def close(self):
        """Closes without a word, as a lost connection does."""
        try:
            self.sock.close()
        except OSError:
            pass
        self.is_closed = True

    def reset(self):
        """Ends with RST."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        except OSError:
            pass
        self.close()

    def shutdown(self):
        """Sends FIN, goes on reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
