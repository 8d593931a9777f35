#!/usr/bin/python3
"""What one client can make a worker do, by kind of state: processor time for each operation as the
number of operations grows tenfold, and the longest time for which others on that worker waited.

    ./dev soak hostile [--broker build/bin/nightjar] [--only NAME] [--size N] [--mode compat]

One worker serves the hostile client and a probe, which asks PINGREQ all the time; between question
and answer the worker's processor time is read, so that other work on the machine does not count.
`growth` is time for each operation at 10 N over that at N: about 1 is linear, 10 is quadratic.
Exit status 1 when a growth is above 3 or others waited longer than 50 ms of the worker's time."""
import argparse
import multiprocessing
import pathlib
import resource
import select
import socket
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import mqttwire as mw  # noqa: E402
from brokerproc import Broker, Options  # noqa: E402

CONFIG = """acl_default allow
workers 1
max_inflight_messages 0
max_queued_messages 0
max_topic_alias 65535
persistence false
"""
GROWTH_MAX, STALL_MAX_MS = 3.0, 50.0
SCENES = {}


def scene(size):
    def enter(fn):
        SCENES[fn.__name__] = (fn, size)
        return fn
    return enter


def worker_times(pid):
    """Nanoseconds of processor time of each thread."""
    out = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            out[task.name] = int((task / "schedstat").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            pass
    return out


def probe_main(port, pid, pipe):
    """Asks all the time. Tells the longest wait since it was asked last, in the busiest thread's time."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(mw.connect("probe", keep_alive=0))
    sock.recv(100)
    worst = 0
    pipe.send("ready")
    while True:
        before = worker_times(pid)
        sock.sendall(mw.pingreq())
        sock.recv(2)
        after = worker_times(pid)
        worst = max(worst, max(after[t] - before.get(t, 0) for t in after))
        if pipe.poll():
            pipe.recv()
            pipe.send(worst / 1e6)
            worst = 0
        time.sleep(0.0005)


class Client:
    """Sends as fast as the broker takes it, and reads what comes unless told not to."""

    def __init__(self, port, client_id, version=mw.V5, **options):
        self.version = version
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(mw.connect(client_id, version=version, keep_alive=0, **options))
        self.rest = b""
        self.sock.setblocking(False)
        self.until(2)

    def frames(self, data):
        """Types of the whole packets in what has come."""
        data, at, out = self.rest + data, 0, []
        while len(data) - at >= 2:
            length, shift, head = 0, 0, at + 1
            while head < len(data):
                length |= (data[head] & 127) << shift
                shift += 7
                head += 1
                if data[head - 1] < 128:
                    break
            else:
                break
            if data[head - 1] >= 128 or head + length > len(data):
                break
            out.append(data[at] >> 4)
            at = head + length
        self.rest = data[at:]
        return out

    def wait(self, reads=False, writes=False):
        """What it is ready for: (reading, writing)."""
        poll = select.poll()
        poll.register(self.sock, (select.POLLIN if reads else 0) | (select.POLLOUT if writes else 0))
        got = dict(poll.poll(5000)).get(self.sock.fileno(), 0)
        return bool(got & ~select.POLLOUT), bool(got & select.POLLOUT)

    def until(self, kind, count=1):
        while count > 0:
            if not self.wait(reads=True)[0]:
                continue
            data = self.sock.recv(1 << 20)
            if not data:
                raise ConnectionError("the broker closed the connection")
            count -= self.frames(data).count(kind)

    def say(self, data, reads=True):
        """Returns when all was written and, if it reads, a PINGREQ behind it was answered."""
        view = memoryview(data + mw.pingreq() if reads else data)
        pongs = 0
        while view or (reads and not pongs):
            readable, writable = self.wait(reads, bool(view))
            if readable:
                got = self.sock.recv(1 << 20)
                if not got:
                    raise ConnectionError("the broker closed the connection")
                pongs += self.frames(got).count(13)
            if writable:
                view = view[self.sock.send(view[:1 << 18]):]
            if not readable and not writable:
                return  # it does not take more: others have to be served all the same

    def close(self):
        self.sock.close()


PERSISTENT = {"session_expiry_interval": 3600}


def subscribe_all(filters, version=mw.V5, each=500):
    filters = list(filters)
    return b"".join(mw.subscribe(i % 65535 + 1, filters[i:i + each], version)
                    for i in range(0, len(filters), each))


def unsubscribe_all(filters, each=500):
    filters = list(filters)
    return b"".join(mw.unsubscribe(i % 65535 + 1, filters[i:i + each])
                    for i in range(0, len(filters), each))


def retain_all(topics):
    return b"".join(mw.publish(t, b"x", retain=True) for t in topics)


def stay_calm(port):
    """Everything said before has been handled."""
    one = Client(port, "calm")
    one.say(b"")
    one.close()


# Each yields (what is measured, how many operations, what to do). What it does before the first
# yield and between them is not measured.

@scene(20000)
def subscriptions(port, n):
    one = Client(port, "h")
    names = [f"a/{i}" for i in range(n)]
    yield "subscribe", n, lambda: one.say(subscribe_all(names))
    yield "again", n, lambda: one.say(subscribe_all(names))
    yield "unsubscribe", n, lambda: one.say(unsubscribe_all(names))
    yield "unknown", n, lambda: one.say(unsubscribe_all(names))
    one.say(subscribe_all(names))
    yield "session ends", n, lambda: (one.close(), stay_calm(port))


@scene(20000)
def shared_filters(port, n):
    one = Client(port, "h")
    names = [f"$share/g/a/{i}" for i in range(n)]
    yield "subscribe", n, lambda: one.say(subscribe_all(names))
    yield "again", n, lambda: one.say(subscribe_all(names))
    yield "unsubscribe", n, lambda: one.say(unsubscribe_all(names))
    one.say(subscribe_all(names))
    yield "session ends", n, lambda: (one.close(), stay_calm(port))


@scene(20000)
def shared_groups(port, n):
    one = Client(port, "h")
    names = [f"$share/g{i}/a" for i in range(n)]
    yield "subscribe", n, lambda: one.say(subscribe_all(names))
    yield "publish", n, lambda: one.say(mw.publish("a", b"x"))
    yield "unsubscribe", n, lambda: one.say(unsubscribe_all(names))


@scene(20000)
def shared_comes_back(port, n):
    one = Client(port, "h", properties=PERSISTENT)
    one.say(subscribe_all(f"$share/g/a/{i}" for i in range(n)))
    yield "leaves", n, lambda: (one.close(), stay_calm(port))
    two = [None]

    def come():
        two[0] = Client(port, "h", clean=False, properties=PERSISTENT)
        two[0].say(b"")
    yield "comes", n, come
    two[0].close()
    three = Client(port, "h", clean=False)
    yield "ends", n, lambda: (three.close(), stay_calm(port))


@scene(2000)
def shared_ends_with_messages(port, n):
    one = Client(port, "h", properties={**PERSISTENT, "receive_maximum": 10})
    one.say(subscribe_all((f"$share/g/a/{i}", 1) for i in range(n)))
    pub = Client(port, "p")
    pub.say(b"".join(mw.publish(f"a/{i}", b"x", 1, i % 60000 + 1) for i in range(n)))
    one.close()
    stay_calm(port)
    two = Client(port, "h", clean=False, properties={"receive_maximum": 10})
    yield "ends", n, lambda: (two.close(), stay_calm(port))


@scene(1000)
def group_members(port, n):
    many = [Client(port, f"m{i}") for i in range(n)]

    def join():
        for one in many:
            one.sock.setblocking(True)
            one.sock.sendall(mw.subscribe(1, "$share/g/a"))
        for one in many:
            one.sock.recv(100)
    yield "join", n, join
    for one in many:
        one.sock.setblocking(False)
    pub = Client(port, "pub")
    yield "publish", 5000, lambda: pub.say(b"".join(mw.publish("a", b"") for _ in range(5000)))
    yield "leave", n, lambda: ([one.close() for one in many], stay_calm(port))


@scene(2000)
def group_members_away(port, n):
    for i in range(n):
        one = Client(port, f"m{i}", properties=PERSISTENT)
        one.say(mw.subscribe(1, "$share/g/a"))
        one.close()
    pub = Client(port, "pub")
    yield "publish", 5000, lambda: pub.say(b"".join(mw.publish("a", b"") for _ in range(5000)))
    one = Client(port, "there")
    one.say(mw.subscribe(1, "$share/g/a"))
    yield "one there", 5000, lambda: pub.say(b"".join(mw.publish("a", b"") for _ in range(5000)))


@scene(20000)
def retained(port, n):
    one = Client(port, "h")
    topics = [f"r/{i}" for i in range(n)]
    yield "retain", n, lambda: one.say(retain_all(topics))
    yield "again", n, lambda: one.say(retain_all(topics))
    yield "get all", n, lambda: one.say(mw.subscribe(1, "#"))
    yield "find none", n, lambda: one.say(mw.subscribe(1, "+/+/x"))
    yield "clear", n, lambda: one.say(b"".join(mw.publish(t, b"", retain=True) for t in topics))


@scene(2000)
def retained_deep(port, n):
    one = Client(port, "h")
    topics = ["/".join([f"{i}"] + ["d"] * 150) for i in range(n)]
    yield "retain", n, lambda: one.say(retain_all(topics))
    yield "find none", n, lambda: one.say(mw.subscribe(1, "/".join(["+"] * 150 + ["x"])))
    yield "get all", n, lambda: one.say(mw.subscribe(1, "#"))


@scene(2000)
def retained_many_times(port, n):
    """One packet that asks for everything very often."""
    one = Client(port, "h")
    one.say(retain_all(f"r/{i}" for i in range(n)))
    asked = mw.subscribe(1, ["#"] * 1000)
    yield "1000 #", n, lambda: (one.say(asked, reads=False), stay_calm(port))
    yield "goes", n, lambda: (one.close(), stay_calm(port))


@scene(2000)
def retained_unread(port, n):
    """Very many questions, no answer read."""
    pub = Client(port, "p")
    pub.say(retain_all(f"r/{i}" for i in range(1000)))
    one = Client(port, "h")
    asked = b"".join(mw.subscribe(i % 65535 + 1, "r/1") for i in range(n))
    one.say(mw.subscribe(1, ["#"] * 30), reads=False)
    yield "subscribe", n, lambda: (one.say(asked, reads=False), stay_calm(port))
    yield "goes", n, lambda: (one.close(), stay_calm(port))


@scene(20000)
def retained_goes_into_queue(port, n):
    pub = Client(port, "p")
    pub.say(b"".join(mw.publish(f"r/{i}", b"x", 1, i % 60000 + 1, retain=True) for i in range(n)))
    one = Client(port, "h", properties={**PERSISTENT, "receive_maximum": 10})
    one.say(mw.subscribe(1, [("#", 1)]))
    yield "goes", n, lambda: (one.close(), stay_calm(port))


@scene(6000)
def incoming_qos2(port, n):
    one = Client(port, "h")
    yield "publish", n, lambda: one.say(b"".join(mw.publish("a", b"x", 2, i + 1)
                                                 for i in range(n)))
    yield "release", n, lambda: one.say(b"".join(mw.pubrel(i + 1) for i in range(n)))
    one.say(b"".join(mw.publish("a", b"x", 2, i + 1) for i in range(n)))
    yield "back", n, lambda: one.say(b"".join(mw.pubrel(n - i) for i in range(n)))


@scene(6000)
def outgoing_qos2(port, n):
    one = Client(port, "h", properties={**PERSISTENT, "receive_maximum": 65535})
    one.say(mw.subscribe(1, [("a", 2)]))
    pub = Client(port, "p")
    yield "publish", n, lambda: (pub.say(b"".join(mw.publish("a", b"x", 1, i + 1)
                                                  for i in range(n))), one.say(b""))
    yield "pubrec", n, lambda: one.say(b"".join(mw.pubrec(i + 1) for i in range(n)))
    one.close()
    two = [None]

    def come():
        two[0] = Client(port, "h", clean=False, properties={**PERSISTENT, "receive_maximum": 65535})
        two[0].say(b"")
    yield "comes", n, come
    yield "pubcomp", n, lambda: two[0].say(b"".join(mw.pubcomp(n - i) for i in range(n)))


@scene(20000)
def offline_queue(port, n):
    one = Client(port, "h", properties=PERSISTENT)
    one.say(mw.subscribe(1, [("a", 1)]))
    one.close()
    pub = Client(port, "p")
    yield "queue", n, lambda: pub.say(b"".join(mw.publish("a", b"x", 1, i % 60000 + 1)
                                               for i in range(n)))
    two = [None]

    def come():
        two[0] = Client(port, "h", clean=False, properties={"receive_maximum": 10})
        two[0].say(b"")
    yield "comes", n, come
    yield "ends", n, lambda: (two[0].close(), stay_calm(port))


@scene(1000)
def take_over(port, n):
    def storm():
        last = None
        for _ in range(n):
            now = Client(port, "h", clean=False, properties=PERSISTENT)
            if last:
                last.close()
            last = now
    yield "connect", n, storm


@scene(2000)
def sessions(port, n):
    def visit(properties):
        for i in range(n):
            Client(port, f"s{i}", properties=properties,
                   will=mw.Will("w", b"x")).close()
    yield "come and go", n, lambda: visit(PERSISTENT)
    yield "end", n, lambda: visit(None)


@scene(1000)
def overlapping(port, n):
    """Filters of which all match: 2^k of a and +."""
    one = Client(port, "h", version=mw.V311)
    depth = max(1, (n - 1).bit_length())
    names = ["/".join("a+"[i >> b & 1] for b in range(depth)) for i in range(n)]
    yield "subscribe", n, lambda: one.say(subscribe_all(names, mw.V311))
    topic = "/".join(["a"] * depth)
    yield "publish", n, lambda: one.say(mw.publish(topic, b"x", version=mw.V311))
    yield "no match", n, lambda: one.say(mw.publish(topic + "/x", b"x", version=mw.V311))


@scene(2000)
def properties(port, n):
    one = Client(port, "h")
    one.say(mw.subscribe(1, "a"))
    users = [("user_property", ("k", "v"))] * n
    yield "user", n, lambda: one.say(mw.publish("a", b"x", properties=users))
    yield "aliases", n, lambda: one.say(b"".join(
        mw.publish(f"t/{i}", b"", properties={"topic_alias": i + 1}) for i in range(n)))
    few = users[:5000]  # a CONNECT may not be larger than 64 KiB
    yield "in a will", len(few), lambda: Client(port, "w", will=mw.Will("w", b"", properties=few)).close()
    yield "in UNSUBSCRIBE", n, lambda: one.say(mw.unsubscribe(1, ["b"], properties=users))


def measure(binary, mode, name, n):
    fn, _ = SCENES[name]
    Options.binary = binary
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows = []
    broker = Broker(CONFIG, mode=mode)
    try:
        broker.start()
        pid, port = broker.process.pid, broker.ports["port"]
        here, there = multiprocessing.Pipe()
        probe = multiprocessing.Process(target=probe_main, args=(port, pid, there), daemon=True)
        probe.start()
        here.recv()
        for what, count, act in fn(port, n):
            here.send(0)
            here.recv()
            before = worker_times(pid)
            act()
            stay_calm(port)
            after = worker_times(pid)
            here.send(0)
            stall = here.recv()
            spent = max(after[t] - before.get(t, 0) for t in after)
            rows.append((what, count, spent / count, stall))
        probe.kill()
    finally:
        broker.process.kill()
        broker.process.wait()
    return rows


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--broker", default=str(ROOT / "build" / "bin" / "nightjar"))
    args.add_argument("--mode", default="native")
    args.add_argument("--only", action="append")
    args.add_argument("--size", type=int)
    args = args.parse_args()
    bad = 0
    print(f"{'scene':28}{'step':16}{'n':>9}{'ns each':>10}{'growth':>8}{'stall ms':>10}")
    for name, (_, size) in SCENES.items():
        if args.only and name not in args.only:
            continue
        small = args.size or size
        low = measure(args.broker, args.mode, name, small)
        high = measure(args.broker, args.mode, name, small * 10)
        for (what, _, few, _), (_, count, many, stall) in zip(low, high):
            growth = many / few if few else 0
            is_bad = growth > GROWTH_MAX and many * count > 2e7 or stall > STALL_MAX_MS
            bad += is_bad
            print(f"{name:28}{what:16}{count:9}{many:10.0f}{growth:8.2f}{stall:10.1f}"
                  f"{'  <<<' if is_bad else ''}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
