"""Listener options, limits, and what happens before a login (ledger 2.5)."""
import itertools
import os
import re
import socket
import stat
import time

import pytest

from brokerproc import is_sanitized
import mqttwire as mw
from mqttwire import V311, V5
from scenes import endpoint_of, open_broker

pytestmark = pytest.mark.needs("nightjar")
OPEN = "acl_default allow\n"


def opened(one):
    """The sockets that the log says were opened: (kind, name of the port)."""
    one.wait_log("version .* running")  # it comes after them
    names = {str(number): name for name, number in one.ports.items()}
    return [(kind, names[port]) for kind, port in re.findall(
        r"Opening (\w+) listen socket on port (\d+)\.", one.log_text())]


def test_ipv4_and_ipv6(broker):
    one = broker("listener {port} 127.0.0.1\nlistener {port2} ::1\nlistener {port3} localhost\n"
                 + OPEN, listener=False, mode="native")
    one.client("four").quiet()
    conn = mw.Conn(mw.Endpoint("tcp", "::1", one.ports["port2"]))
    conn.connect("six")
    conn.quiet()
    one.wait_log(r"New client connected from (::1|\[::1\]):\d+ as six")
    one.client("both", port="port3").quiet()
    assert opened(one)[:2] == [("ipv4", "port"), ("ipv6", "port2")]
    assert set(opened(one)[2:]) <= {("ipv4", "port3"), ("ipv6", "port3")}


def test_a_listener_on_every_address(broker):
    one = broker("listener {port}\n" + OPEN, listener=False, mode="native")
    one.client("four").quiet()
    mw.Conn(mw.Endpoint("tcp", "::1", one.ports["port"])).connect("six")
    assert sorted(opened(one)) == [("ipv4", "port"), ("ipv6", "port")]


def test_socket_domain(broker):
    one = broker("listener {port}\nsocket_domain ipv4\n" + OPEN, listener=False, mode="native")
    one.client("four").quiet()
    with pytest.raises(OSError):
        mw.Conn(mw.Endpoint("tcp", "::1", one.ports["port"]))
    assert opened(one) == [("ipv4", "port")]


def test_unix_sockets(broker):
    one = broker("listener 0 {dir}/a.sock\n" + OPEN, mode="native")
    conn = one.conn(endpoint=one.endpoint("unix", path="a.sock"))
    conn.connect("unix")
    conn.quiet()
    assert stat.S_ISSOCK(os.stat(one.dir / "a.sock").st_mode)
    one.stop()
    assert not (one.dir / "a.sock").exists(), "the socket file goes with the broker"


def test_a_stale_unix_socket_is_replaced(broker):
    one = broker("listener 0 {dir}/a.sock\n" + OPEN, mode="native", start=False)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(one.dir / "a.sock"))
    stale.close()
    one.start()
    one.conn(endpoint=one.endpoint("unix", path="a.sock")).connect("unix")


@pytest.mark.parametrize("kind", ["tcp", "tls", "ws", "wss", "unix"])
@pytest.mark.threads
def test_L159_max_connections_on_every_transport(broker, kind, pki):
    tls = "certfile {dir}/server.crt\nkeyfile {dir}/server.key\n"
    address = "listener 0 {dir}/mqtt.sock\n" if kind == "unix" else "listener {port_x} 127.0.0.1\n"
    one = broker("listener {port} 127.0.0.1\n" + address + "max_connections 3\n"
                 + (tls if kind in ("tls", "wss") else "")
                 + ("protocol websockets\n" if kind in ("ws", "wss") else "") + OPEN,
                 listener=False, mode="native",
                 files={"server.crt": pki.server.crt_path.read_bytes(),
                        "server.key": pki.server.key_path.read_bytes()})
    if kind == "unix":
        endpoint = one.endpoint("unix")
    else:
        context = pki.client.context(pki.ca) if kind in ("tls", "wss") else None
        endpoint = one.endpoint(kind, "port_x", context=context)
    names = itertools.count()

    def more():
        try:
            conn = mw.Conn(endpoint)
            conn.connect(f"c{next(names)}")
            return conn
        except (OSError, mw.WireError):
            return None
    conns = []
    deadline = time.monotonic() + 5
    while len(conns) < 3:  # the connection that looked whether it listens may still count
        assert time.monotonic() < deadline
        conns += [c for c in [more()] if c]
    assert more() is None
    for conn in conns:
        conn.quiet()
    conns[0].disconnect()
    deadline = time.monotonic() + 5
    while (late := more()) is None and time.monotonic() < deadline:
        pass
    assert late is not None
    one.client("other listener").quiet()


def test_global_max_connections(broker):
    one = broker("global_max_connections 4\n" + OPEN, mode="native")
    conns = [one.client(f"c{n}") for n in range(4)]
    with pytest.raises((OSError, mw.WireError)):
        one.client("too many")
    for conn in conns:
        conn.quiet()


@pytest.mark.threads
def test_global_max_clients(broker):
    """Sessions, not connections."""
    one = broker("global_max_clients 3\n" + OPEN, mode="native")
    for number in range(2):
        conn = one.conn(V311)
        conn.connect(f"s{number}", clean=False)
        conn.disconnect()
    live = one.client("live", V311)
    conn = one.conn(V311)
    conn.send(mw.connect("too many", V311))
    try:
        assert conn.expect("CONNACK").reason != 0
    except mw.Closed:
        pass
    live.quiet()
    one.conn(V311).connect("s1", clean=False, session_present=True)


# -- before the login -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tcp", "tls", "ws"])
def test_B002_B207_F042_silent_connections_end_at_ten_seconds(plain, kind, uid):
    """Nothing, one byte, half a CONNECT, half a request: all end, whatever trickles in."""
    endpoint = endpoint_of(plain, "tcp")
    endpoint.port = endpoint_of(plain, kind).port
    conns = []
    for first in (b"", b"\x10", mw.connect(uid)[:12], b"GET /mqtt HTTP/1.1\r\nHost: x\r\n",
                  b"\x16\x03\x01\x02"):
        conn = mw.Conn(endpoint)
        if first:
            conn.try_send(first)
        conns.append(conn)
    began = time.monotonic()
    for conn in conns:
        try:
            conn.expect_closed(timeout=14)
        except (mw.WireError, UnicodeDecodeError):
            pass
    assert time.monotonic() - began < 14
    plain.client(uid).quiet()


@pytest.mark.slow
@pytest.mark.threads
def test_F042_trickling_bytes_do_not_extend_the_deadline(plain, uid):
    conn, other = plain.conn(), plain.client(uid + "o")
    data = mw.connect("x" * 4000)
    began = time.monotonic()
    ended = False
    for at in range(len(data)):
        if not conn.try_send(data[at:at + 1]):
            ended = True
            break
        try:
            conn.packet(timeout=0.25)
        except mw.Closed:
            ended = True
            break
        except AssertionError:
            pass
        if time.monotonic() - began > 16:
            break
    assert ended and time.monotonic() - began < 14
    other.quiet()


@pytest.mark.slow
def test_L153_silent_sockets_cost_no_cpu(plain, uid):
    """A thousand connections that say nothing: the broker sleeps."""
    conns = [plain.conn() for _ in range(500)]
    wait = plain.client(uid, keep_alive=1)
    before, began = plain.cpu(), time.monotonic()
    wait.expect_closed(timeout=8)  # 1.5 s of silence
    used, took = plain.cpu() - before, time.monotonic() - began
    assert used / took < 0.05, f"{used / took:.0%} of a processor"
    for conn in conns:
        conn.close()


@pytest.mark.slow
@pytest.mark.threads
def test_F040_L162_a_client_that_does_not_read_harms_nobody(shared_broker, uid):
    """A subscriber that never reads, QoS 0 and 1; the others' round trips stay short and
    the broker's memory is bounded."""
    one = open_broker(shared_broker, extra="max_queued_messages 100\n# slow reader\n")
    slow = mw.Conn(one.endpoint(), rcvbuf=4096)
    slow.connect(uid + "slow")
    slow.subscribe([(f"{uid}/#", 0), (f"{uid}/q1", 1)], reasons=[0, 1])
    good, sender = one.client(uid + "good"), one.client(uid + "s")
    good.subscribe(f"{uid}/#")
    before, worst = one.rss(), 0
    for number in range(3000):
        sender.send(mw.publish(f"{uid}/q0", b"x" * 10000))
        if number % 10 == 0:
            sender.publish(f"{uid}/q1", b"x", 1)
        began = time.monotonic()
        while good.receive().topic != f"{uid}/q0":
            pass
        worst = max(worst, time.monotonic() - began)
    assert worst < 1.0, f"a round trip took {worst:.2f} s"
    grown = one.rss() - before
    assert grown < 30 << 20 or is_sanitized(one.binary), f"{grown >> 20} MiB"
    sender.quiet()


@pytest.mark.threads
def test_F056_every_kind_of_end_in_every_state(plain, uid):
    """RST and FIN before CONNECT, after it, with a SUBSCRIBE, in each step of QoS 1 and 2."""
    watch = plain.client(uid + "w")
    steps = [[], [mw.connect(uid)], [mw.connect(uid), mw.subscribe(1, [(uid, 2)])],
             [mw.connect(uid), mw.publish(uid, b"x", 1, 1)],
             [mw.connect(uid), mw.publish(uid, b"x", 2, 1)],
             [mw.connect(uid), mw.publish(uid, b"x", 2, 1), mw.pubrel(1)],
             [mw.connect(uid), mw.subscribe(1, [(uid, 2)]), mw.publish(uid, b"x", 2, 1),
              mw.pubrel(1), mw.pubrec(1)],
             [mw.connect(uid), mw.disconnect()]]
    for parts in steps:
        for end in ("close", "reset", "shutdown"):
            conn = plain.conn()
            conn.send(*parts) if parts else None
            getattr(conn, end)()
            if end == "shutdown":
                conn.expect_closed()
    watch.quiet()
    plain.client(uid).quiet()


@pytest.mark.slow
@pytest.mark.threads
def test_F045_clients_that_come_and_go(plain, uid):
    watch = plain.client(uid + "w")
    for number in range(200):  # warm up
        plain.client(f"{uid}-{number}").close()
    watch.quiet()
    fds, rss = plain.fds(), plain.rss()
    for number in range(2000):
        conn = plain.client(f"{uid}-{number % 50}")
        conn.send(mw.subscribe(1, f"{uid}/{number}"))
        conn.close()
    watch.quiet()
    deadline = time.monotonic() + 5
    while plain.fds() > fds + 4 and time.monotonic() < deadline:
        watch.quiet()
    assert plain.fds() <= fds + 4
    # A sanitizer keeps what was freed and has memory of its own.
    assert plain.rss() - rss < 4 << 20 or is_sanitized(plain.binary)


def test_memory_of_idle_connections(plain, uid):
    """Not the benchmark's figure, only its order: far below 10 KiB each."""
    [plain.client(f"{uid}w{n}") for n in range(50)]
    before = plain.rss()
    conns = [plain.client(f"{uid}-{n}") for n in range(500)]
    grown = (plain.rss() - before) / len(conns)
    assert grown < 6000 or is_sanitized(plain.binary), f"{grown:.0f} bytes each"
    for conn in conns:
        conn.close()


def test_virtual_memory_stays_flat_under_junk(plain, uid):
    """Fourteen junk connections may not grow the address space by 20 MB (malloc arenas)."""
    def size():
        with open(f"/proc/{plain.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    before = size()
    for number in range(14):
        conn = plain.conn()
        conn.try_send(os.urandom(4096))
        conn.close()
    plain.client(uid).quiet()
    assert size() - before < 20_000_000
