"""Very many clients at once, with as little Python for each as possible: sockets, the bytes they
sent, and the packets they expect."""
import contextlib
import pathlib
import select
import socket
import subprocess
import sys
import time

import mqttwire as mw

HERE = pathlib.Path(__file__).resolve().parent


def packets_in(data):
    """The whole packets in a bytearray, as (first byte, body); takes them out."""
    at = 0
    while len(data) - at >= 2:
        length, shift, head = 0, 0, at + 1
        while head < len(data):
            length |= (data[head] & 0x7F) << shift
            head, shift = head + 1, shift + 7
            if not data[head - 1] & 0x80:
                break
        else:
            break
        if len(data) - head < length:
            break
        yield data[at], bytes(data[head:head + length])
        at = head + length
    del data[:at]


class Member:
    """One socket and what it has not yet parsed."""

    def __init__(self, number, sock):
        self.number, self.sock = number, sock
        self.data = bytearray()
        self.bytes_read = 0
        self.is_closed = False


class Crowd:
    """Plain TCP clients of one broker, MQTT 5 unless the bytes say otherwise."""

    def __init__(self, broker, count, rcvbuf=None):
        self.port = broker.ports["port"]
        self.rcvbuf = rcvbuf
        self.members = [Member(n, self._open()) for n in range(count)]
        self.poll = select.epoll()
        self.by_fd = {}
        for one in self.members:
            self._watch(one)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __len__(self):
        return len(self.members)

    def _open(self):
        sock = socket.socket()
        if self.rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.rcvbuf)
        sock.settimeout(30)
        sock.connect(("127.0.0.1", self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _watch(self, one):
        self.by_fd[one.sock.fileno()] = one
        self.poll.register(one.sock.fileno(), select.EPOLLIN | select.EPOLLRDHUP)

    def reopen(self, one):
        """A new connection in the place of one that ended."""
        with contextlib.suppress(OSError):
            self.poll.unregister(one.sock.fileno())
        self.by_fd.pop(one.sock.fileno(), None)
        one.sock.close()
        one.sock, one.data, one.is_closed = self._open(), bytearray(), False
        self._watch(one)

    def send(self, make):
        """Sends make(number) from every member; tells how many could."""
        done = 0
        for one in self.members:
            with contextlib.suppress(OSError):
                one.sock.sendall(make(one.number))
                done += 1
        return done

    def turn(self, timeout):
        """Reads what is there once; yields (member, first byte, body), and (member, None, b"") for
        an end."""
        for fd, _ in self.poll.poll(max(timeout, 0)):
            one = self.by_fd[fd]
            try:
                data = one.sock.recv(1 << 20)
            except OSError:
                data = b""
            if not data:
                self.poll.unregister(fd)
                one.is_closed = True
                yield one, None, b""
                continue
            one.bytes_read += len(data)
            one.data += data
            for first, body in packets_in(one.data):
                yield one, first, body

    def expect(self, kind, timeout=60, count=None):
        """Waits until every member (or `count` of them) got a packet of this kind, acknowledging
        nothing; returns the bodies. Ends and other packets are ignored."""
        wanted = mw.packets.TYPES[kind]
        found, deadline = {}, time.monotonic() + timeout
        need = len(self.members) if count is None else count
        while len(found) < need:
            left = deadline - time.monotonic()
            assert left > 0, f"{len(found)} of {need} got {kind}"
            for one, first, body in self.turn(left):
                if first is not None and first >> 4 == wanted:
                    found[one.number] = body
        return found

    def connect(self, make=None, **options):
        """CONNECT and CONNACK for everybody."""
        self.send(make or (lambda n: mw.connect(f"crowd{n}", keep_alive=0, **options)))
        answers = self.expect("CONNACK")
        assert all(body[1] == 0 for body in answers.values()), "somebody was refused"

    def close(self):
        self.poll.close()
        for one in self.members:
            one.sock.close()


class Pulse:
    """A client in a process of its own that publishes to itself, QoS 1, without a pause."""

    def __init__(self, broker, topic="pulse", username="", password=""):
        self.process = subprocess.Popen(
            [sys.executable, HERE / "pulse.py", str(broker.ports["port"]), topic, username,
             password], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def mark(self):
        """The round trips since the last mark, in seconds, sorted."""
        self.process.stdin.write("mark\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the pulse has stopped"
        return sorted(float(word) for word in line.split())

    def beat(self, count):
        """So many round trips and a few more."""
        out = []
        while len(out) < count:
            out += self.mark()
        return sorted(out)


def quantile(values, share):
    return values[min(int(len(values) * share), len(values) - 1)] if values else 0.0


def show(name, values):
    """One line for the report of a long proof."""
    print(f"{name}: {len(values)} round trips, p50 {quantile(values, .5) * 1000:.2f} ms, "
          f"p99 {quantile(values, .99) * 1000:.2f} ms, longest {max(values, default=0) * 1000:.1f} ms")
