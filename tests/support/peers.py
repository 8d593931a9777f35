"""MQTT clients that survive their broker: each keeps the session state that a client has to keep
(MQTT5 4.1), so that it goes on after a crash as the standard says, and notes in a
DeliveryHistory what the application would know. All of them run in one thread (`World.run`)."""
import selectors
import socket
import time

from mqttwire import V5, packets


class Peer:
    """The transport half: connects, splits packets, reconnects never by itself."""

    def __init__(self, world, client_id, version, window=20):
        self.world, self.client_id, self.version = world, client_id, version
        self.window = window
        self.sock, self.buffer = None, b""
        self.is_ready = False
        self.has_session = False  # the broker confirmed one that has to last
        self.faults = []

    def open(self):
        self.close()
        self.sock = socket.create_connection(("127.0.0.1", self.world.port), timeout=5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.buffer, self.is_ready = b"", False
        self.world.selector.register(self.sock, selectors.EVENT_READ, self)
        options = {"properties": [("session_expiry_interval", 100000),
                                  ("receive_maximum", self.window)]} if self.version == V5 else {}
        self.send(packets.connect(self.client_id, self.version, clean=False, **options))

    def close(self):
        if self.sock is not None:
            self.world.selector.unregister(self.sock)
            self.sock.close()
        self.sock, self.is_ready = None, False

    def send(self, *parts):
        try:
            self.sock.sendall(b"".join(parts))
        except OSError:
            pass  # the end of the connection is seen when reading

    def on_readable(self):
        try:
            data = self.sock.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self.buffer += data
        for packet in self.whole_packets():
            if self.sock is None:
                break
            self.on_packet(packet)

    def whole_packets(self):
        """Takes the complete packets off the buffer."""
        at, out = 0, []
        while len(self.buffer) - at >= 2:
            length, shift, body = 0, 0, at + 1
            while body < len(self.buffer) and shift < 28:
                byte = self.buffer[body]
                length |= (byte & 0x7F) << shift
                shift, body = shift + 7, body + 1
                if byte < 0x80:
                    break
            else:
                break
            if body + length > len(self.buffer):
                break
            out.append(packets.parse(self.buffer[at], self.buffer[body:body + length],
                                     self.version))
            at = body + length
        self.buffer = self.buffer[at:]
        return out

    def on_packet(self, packet):
        if packet.name == "CONNACK":
            if packet.reason != 0:
                self.world.refused.append((self.client_id, packet.reason))
                self.close()
                return
            if self.has_session and not packet.session_present:
                self.faults.append(f"{self.client_id}: the session is gone")
            self.is_ready = True
            self.on_ready(packet.session_present)
        elif packet.name == "DISCONNECT":
            self.world.refused.append((self.client_id, packet.reason))
        else:
            getattr(self, "on_" + packet.name.lower())(packet)

    def on_ready(self, session_present):
        pass

    def is_idle(self):
        return True


class Publisher(Peer):
    """Sends numbered messages, QoS 1 and 2 in turn, as many at a time as the window allows."""

    def __init__(self, world, client_id, version, window=20, topic=None, retained=False):
        super().__init__(world, client_id, version, window)
        self.topic = topic or f"t/{client_id}"
        self.retained = retained
        self.number = 0
        self.outgoing = {}  # packet id → [state, number, topic, qos, payload], in order of sending
        self.last_id = 0
        self.is_paused = False
        self.retained_acked = {}  # topic → newest number
        self.dropped = 0

    def on_ready(self, session_present):
        self.has_session = True
        if not session_present:
            self.forget_session()
        for packet_id, (state, *_) in list(self.outgoing.items()):
            if state == "released":
                self.send(packets.pubrel(packet_id, self.version))
            else:
                self.send_publish(packet_id, dup=True)
        self.pump()

    def forget_session(self):
        """A new session: what the broker had begun it has forgotten; QoS 2 that was released may
        have been delivered, so it is not sent again."""
        self.outgoing = {i: entry for i, entry in self.outgoing.items() if entry[0] == "sent"}

    def send_publish(self, packet_id, dup=False):
        _, number, topic, qos, payload = self.outgoing[packet_id]
        self.send(packets.publish(topic, payload, qos, packet_id, dup=dup, version=self.version,
                                  retain=self.retained))

    def pump(self):
        while self.is_ready and not self.is_paused and len(self.outgoing) < self.window:
            self.number += 1
            qos = 1 + self.number % 2
            topic = f"{self.topic}/{qos}"
            payload = f"{self.client_id}:{self.number}".encode()
            if self.number % 50 == 0:
                payload += b" " * self.world.large
            while True:
                self.last_id = self.last_id % 65535 + 1
                if self.last_id not in self.outgoing:
                    break
            self.outgoing[self.last_id] = ["sent", self.number, topic, qos, payload]
            self.world.history.sent(self.client_id, self.number, topic, qos)
            self.send_publish(self.last_id)

    def done(self, packet_id, reason):
        state = self.outgoing.pop(packet_id, None)
        if state is None:
            self.faults.append(f"{self.client_id}: an answer to id {packet_id}, which is free")
        elif reason < 0x80 or reason == 0x92:
            self.world.history.acked(self.client_id, state[1])
            if self.retained:
                self.retained_acked[state[2]] = max(self.retained_acked.get(state[2], 0), state[1])
        else:
            self.dropped += 1
        self.pump()

    def on_puback(self, packet):
        self.done(packet.packet_id, packet.reason or 0)

    def on_pubrec(self, packet):
        entry = self.outgoing.get(packet.packet_id)
        if (packet.reason or 0) >= 0x80:
            self.done(packet.packet_id, packet.reason)
            return
        if entry is not None:
            entry[0] = "released"
        self.send(packets.pubrel(packet.packet_id, self.version))

    def on_pubcomp(self, packet):
        self.done(packet.packet_id, packet.reason or 0)

    def is_idle(self):
        return not self.outgoing


class Subscriber(Peer):
    """Receives at most at `qos`; `party` is who it is in the history."""

    def __init__(self, world, client_id, version, filters, qos, party=None, window=20):
        super().__init__(world, client_id, version, window)
        self.filters, self.qos, self.party = filters, qos, party or client_id
        self.unreleased = set()  # QoS 2 ids that were received and not released
        self.is_subscribed = False

    def on_ready(self, session_present):
        if not session_present:
            self.unreleased.clear()
        if not self.is_subscribed:
            self.send(packets.subscribe(1, [(f, self.qos) for f in self.filters], self.version))

    def on_suback(self, packet):
        self.is_subscribed = True
        self.has_session = True

    def note(self, payload):
        publisher, number = payload.decode().split(":")
        self.world.history.received(self.party, publisher, int(number))

    def on_publish(self, packet):
        if packet.qos == 2:
            if packet.packet_id not in self.unreleased:
                self.unreleased.add(packet.packet_id)
                self.note(packet.payload)
            elif not packet.dup:
                self.faults.append(f"{self.client_id}: id {packet.packet_id} is used for another "
                                   f"message before it was released")
            self.send(packets.pubrec(packet.packet_id, self.version))
            return
        self.note(packet.payload)
        if packet.qos == 1:
            self.send(packets.puback(packet.packet_id, self.version))

    def on_pubrel(self, packet):
        self.unreleased.discard(packet.packet_id)
        self.send(packets.pubcomp(packet.packet_id, self.version))


class World:
    """The peers of one broker, and the loop that runs them."""

    def __init__(self, history, large=2000):
        self.history, self.large = history, large
        self.port = 0
        self.peers = []
        self.refused = []
        self.selector = selectors.DefaultSelector()

    def add(self, kind, *args, **options):
        self.peers.append(kind(self, *args, **options))
        return self.peers[-1]

    def run(self, seconds=None, until=None, limit=30):
        """For so long, or until `until()`; True when that came true."""
        end = time.monotonic() + (limit if seconds is None else seconds)
        while until is None or not until():
            left = end - time.monotonic()
            if left <= 0:
                return until is None
            for key, _ in self.selector.select(min(left, 0.05)):
                if key.data.sock is not None:
                    key.data.on_readable()
        return True

    def open(self, peers=None):
        for peer in peers if peers is not None else self.peers:
            peer.open()

    def close(self):
        for peer in self.peers:
            peer.close()

    def faults(self):
        return [fault for peer in self.peers for fault in peer.faults]
