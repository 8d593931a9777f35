"""The broker as a process: command line, exit statuses, signals, log, files."""
import contextlib
import ctypes
import os
import pathlib
import re
import resource
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest

import mqttwire as mw
import passwords
from brokerproc import is_sanitized

pytestmark = pytest.mark.needs("nightjar")


def test_usage(broker, mode):
    one = broker(has_config=False, args=["-h"], mode=mode, start=False)
    status, _ = one.run()
    assert status == 0
    first = "\n".join(one.stdout)
    if mode == "compat":
        assert first.startswith("Usage: mosquitto [-c config_file] [-d] [-h] [-p port] [-v]") or (
            "Usage: mosquitto [-c config_file] [-d] [-h] [-p port] [-v]" in first), first
    else:
        assert "Usage:" in first


@pytest.mark.parametrize("args,status,text", [
    (["--nonsense"], 3, "Error: Unknown option '--nonsense'."),
    (["-p", "0"], 3, "Error: Invalid port specified (0)."),
    (["-p", "65536"], 3, "Error: Invalid port specified (65536)."),
    (["-p", "x"], 3, "Error: Invalid port specified"),
    (["-p"], 3, "Error: -p argument given, but no port specified."),
    (["-c"], 3, "Error: -c argument given, but no config file specified."),
    (["-c", "/nowhere/at/all"], 3, "Error: Unable to open config file '/nowhere/at/all'."),
], ids=lambda v: str(v)[:30])
def test_B264_B350_bad_command_lines(broker, mode, args, status, text):
    one = broker(has_config=False, args=args, mode=mode, start=False)
    one.expect_error("Error")
    began = time.monotonic()
    got, log = one.run()
    assert got == status and text in log + "\n".join(one.stdout), log
    assert time.monotonic() - began < 3


def test_test_config(broker):
    one = broker("", args=["--test-config"], start=False)
    status, log = one.run()
    assert status == 0, log
    one = broker("nonsense true\n", args=["--test-config"], start=False)
    one.expect_error("Error")
    status, log = one.run()
    assert status == 3, log
    one = broker("password_file {dir}/none\n", args=["--test-config"], start=False)
    one.expect_error("Error")
    status, log = one.run()
    assert status != 0, log


def test_several_ports_on_the_command_line(broker):
    one = broker(has_config=False, args=["-p", "{port}", "-p", "{port2}"], mode="compat")
    one.client("a").quiet()
    one.client("b", port="port2").quiet()


def test_verbose_tells_more(broker):
    one = broker("acl_default allow\n", args=["-v"], mode="native")
    mark = one.mark()
    conn = one.client("talker")
    conn.subscribe("a/b")
    conn.send(mw.publish("a/b", b"m", 1, 1))
    one.wait_log(r"(?i)talker.*a/b|a/b.*talker|PUBLISH", mark)


@pytest.mark.threads
def test_sigterm_and_sigint_end_it_well(broker):
    for number in (signal.SIGTERM, signal.SIGINT):
        one = broker("acl_default allow\n", mode="native")
        conns = [one.client(f"c{n}", version=3 + n % 3) for n in range(20)]
        began = time.monotonic()
        one.signal(number)
        one.finish()
        assert time.monotonic() - began < 10
        for conn in conns:
            conn.expect_closed(reason=0x8B)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN, signal.SIGHUP,
                                    signal.SIGPIPE, signal.SIGWINCH])
def test_other_signals_do_no_harm(broker, number):
    one = broker("acl_default allow\n", mode="native")
    conn = one.client("c")
    conn.subscribe("t")
    for _ in range(5):
        one.signal(number)
        conn.publish("t", b"m")
        conn.receive("t", b"m")


def test_sighup_says_what_it_does(broker, mode):
    one = broker("", mode=mode)
    mark = one.reload()
    one.wait_log("Reloading config.", mark)


@pytest.mark.threads
def test_L144_a_storm_of_signals(broker):
    one = broker("acl_default allow\n", mode="native")
    conn = one.client("c")
    for _ in range(300):
        one.signal(signal.SIGUSR1)
        one.signal(signal.SIGRTMIN)
        one.signal(signal.SIGHUP)
    conn.quiet()


def test_listening_within_two_seconds(broker):
    one = broker("", start=False)
    began = time.monotonic()
    one.start()
    assert time.monotonic() - began < 2 * (5 if "asan" in str(one.binary) else 1)


def test_B264_B266_F058_a_used_port_ends_the_start(broker):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        one = broker(f"listener {taken.getsockname()[1]} 127.0.0.1\n", start=False)
        one.expect_error("Error")
        status, log = one.run()
        assert status in (1, 3) and re.search("(?i)in use", log), log


def test_pid_file(broker):
    one = broker("pid_file {dir}/broker.pid\n")
    one.wait_log("running")
    assert int((one.dir / "broker.pid").read_text()) == one.pid
    one.stop()
    assert not (one.dir / "broker.pid").exists()


def test_L096_a_pid_file_does_not_follow_links(broker):
    one = broker("pid_file {dir}/broker.pid\n", start=False)
    target = one.write("precious", "do not touch")
    (one.dir / "broker.pid").symlink_to(target)
    one.expect_error("Error")
    status, log = one.run()
    assert status != 0 and "broker.pid" in log, log
    assert target.read_text() == "do not touch"


def test_daemon(broker):
    """In the background everything works: logins with a password (their threads have to be made
    after the fork), and the end."""
    one = broker("pid_file {dir}/broker.pid\nlog_dest file {dir}/log\npassword_file {dir}/pw\n",
                 args=["-d"], start=False, files={"pw": passwords.file_text({"u": "p"})})
    one.launch()
    assert one.process.wait(10) == 0
    one.forget()
    deadline = time.monotonic() + 5
    while not (one.dir / "broker.pid").exists() and time.monotonic() < deadline:
        os.sched_yield()
    pid = int((one.dir / "broker.pid").read_text())
    try:
        one.client("x", username="u", password="p").quiet()
    finally:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while is_alive(pid) and time.monotonic() < deadline:
            os.sched_yield()
        ended = not is_alive(pid)
        if not ended:
            os.kill(pid, signal.SIGKILL)
    assert ended, "SIGTERM did not end it in 10 s"


def is_alive(pid):
    """Whether a process runs; a zombie that nobody has waited for does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_sd_notify(broker):
    """Type=notify: READY=1 when it listens, and again around a reload."""
    one = broker("", start=False)
    path = str(one.dir / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(10)
        one.env = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1000000"}
        one.start()
        said = b""
        while b"READY=1" not in said:
            said = sock.recv(4096)
        while b"WATCHDOG=1" not in said:
            said = sock.recv(4096)
        one.reload()
        seen = []
        while not any(b"READY=1" in s for s in seen):
            seen.append(sock.recv(4096))


class Stall:
    """One thread of a process that does not run any more until it is let go (ptrace)."""

    SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, pid, name):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long] * 2 + [ctypes.c_void_p] * 2
        self.libc.ptrace.restype = ctypes.c_long
        self.thread = next(int(task.name) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
                           if (task / "comm").read_text().strip() == name)
        if self.libc.ptrace(self.SEIZE, self.thread, None, None) != 0:
            pytest.skip(f"ptrace is not allowed here: {os.strerror(ctypes.get_errno())}")
        self.libc.ptrace(self.INTERRUPT, self.thread, None, None)
        os.waitpid(self.thread, self.WALL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.libc.ptrace(self.DETACH, self.thread, None, None)


def test_the_watchdog_waits_for_a_worker_that_hangs(broker):
    """WATCHDOG=1 only while every worker turns its loop, also of an idle broker."""
    one = broker("workers 2\n", start=False)
    path = str(one.dir / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(10)
        one.env = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1000000"}
        one.start()
        for _ in range(2):
            while b"WATCHDOG=1" not in sock.recv(4096):
                pass
        mark = one.mark()
        with Stall(one.pid, "nj-worker-1"):
            one.wait_log("Warning: worker 1 has not turned its loop", mark)
            sock.setblocking(False)
            seen = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    seen.append(sock.recv(4096))
            assert len(seen) <= 1, "what it had answered before"
        sock.settimeout(10)
        assert b"WATCHDOG=1" in sock.recv(4096)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can change the account")
def test_user_drop(broker):
    one = broker("user nobody\npersistence false\n")
    one.wait_log("running")  # listening comes first, because it may need root
    with open(f"/proc/{one.pid}/status", encoding="ascii") as file:
        uids = re.search(r"^Uid:\s+(\d+)", file.read(), re.M)[1]
    assert int(uids) == 65534


# -- the log --------------------------------------------------------------------------------------


def test_log_lines_of_clients(broker, version):
    one = broker("acl_default allow\n", mode="native")
    mark = one.mark()
    conn = one.conn(version)
    conn.connect("the-id", keep_alive=42, clean=False)
    line = one.wait_log("New client connected", mark)
    assert re.search(rf": New client connected from 127\.0\.0\.1:\d+ as the-id "
                     rf"\(p{version}, c0, k42\)\.$", line), line
    mark = one.mark()
    conn.disconnect()
    line = one.wait_log("Client the-id.*disconnected", mark)
    assert re.search(r"Client the-id \[127\.0\.0\.1:\d+\] disconnected\.?", line), line


def test_log_line_of_a_refused_login(broker, version):
    one = broker("allow_anonymous false\n")
    mark = one.mark()
    conn = one.conn(version)
    conn.send(mw.connect("stranger", version))
    conn.packet()
    line = one.wait_log("not authorised", mark)
    assert re.search(r"Client stranger \[127\.0\.0\.1:\d+\] disconnected: not authorised\.$", line)


def test_connection_messages_can_be_switched_off(broker):
    one = broker("connection_messages false\nacl_default allow\n", mode="native")
    one.client("quiet").disconnect()
    one.client("quiet2").quiet()
    assert not one.has_log("New client connected") and not one.has_log("quiet.*disconnected")


@pytest.mark.threads
def test_log_to_a_file_and_rotation(broker):
    one = broker("log_dest file {dir}/broker.log\nacl_default allow\n", mode="native")
    path = one.dir / "broker.log"
    one.client("first").quiet()
    wait_for(lambda: "as first" in path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 in (0, 0o40)
    path.rename(one.dir / "broker.log.1")
    one.signal(signal.SIGRTMIN)
    wait_for(path.exists)
    one.client("second").quiet()
    wait_for(lambda: "as second" in path.read_text())
    assert "as second" not in (one.dir / "broker.log.1").read_text()


def wait_for(condition, timeout=10):
    """Waits for something outside: a file of another process."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        os.sched_yield()


def test_log_types(broker):
    one = broker("log_type error\nacl_default allow\n", mode="native")
    one.client("nobody-sees").quiet()
    assert not one.has_log("nobody-sees")
    one = broker("log_type all\nacl_default allow\n", mode="native")
    mark = one.mark()
    one.client("all-see").subscribe("all/see")
    one.wait_log("all/see", mark)


def test_log_timestamps(broker):
    one = broker("log_timestamp false\n")
    one.wait_log(r"^nightjar version")
    one = broker("log_timestamp_format %Y-%m-%dT%H:%M:%S\n")
    one.wait_log(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d: nightjar version")
    one = broker("")
    one.wait_log(r"^\d{10}: nightjar version")


@pytest.mark.threads
def test_log_to_a_topic(broker):
    one = broker("log_dest topic\nlog_dest stderr\nacl_file {dir}/acl\n", mode="native",
                 files={"acl": "topic read $SYS/broker/log/#\ntopic readwrite t\n"})
    watch = one.client("watch")
    watch.subscribe("$SYS/broker/log/#")
    one.client("newcomer")
    watch.drain(lambda p: p.name == "PUBLISH" and b"as newcomer" in p.payload)


def test_a_log_pipe_that_nobody_reads_blocks_nothing(broker):
    """The reader of stderr stops; the broker goes on."""
    one = broker("log_type all\nacl_default allow\n", mode="native", start=False)
    read, write = os.pipe()
    process = subprocess.Popen(one.command(), stderr=write, stdout=subprocess.DEVNULL, cwd=one.dir,
                               env=one.environment())
    os.close(write)
    try:
        wait_for(lambda: can_connect(one))
        conn = one.client("chatty")
        conn.subscribe("t")
        for _ in range(5000):
            conn.send(mw.publish("t", b"m"))
        for _ in range(5000):
            conn.expect("PUBLISH")
    finally:
        process.terminate()
        os.close(read)
        assert process.wait(10) == 0


def can_connect(one):
    try:
        one.conn().close()
        return True
    except OSError:
        return False


def test_start_says_what_differs(broker, mode):
    one = broker("", mode=mode)
    one.wait_log("running")
    text = one.log_text()
    assert ("compat mode" in text) == (mode == "compat")
    if mode == "native":
        for words in ("acl_default", "session"):
            assert words in text, text


def test_L095_files_are_private(broker):
    """Whatever the umask, nothing that is created is readable by others."""
    old = os.umask(0)
    try:
        one = broker("pid_file {dir}/p.pid\nlog_dest file {dir}/l.log\n"
                     "listener 0 {dir}/s.sock\n", anonymous=True)
        wait_for((one.dir / "p.pid").exists)
        assert stat.S_IMODE((one.dir / "l.log").stat().st_mode) & 0o007 == 0
    finally:
        os.umask(old)


# -- $SYS -----------------------------------------------------------------------------------------

SYS_VALUES = """version uptime clients/total clients/maximum clients/connected clients/disconnected
clients/expired clients/active clients/inactive messages/received messages/sent messages/stored
store/messages/count store/messages/bytes subscriptions/count shared_subscriptions/count
retained messages/count heap/current heap/maximum bytes/received bytes/sent
publish/messages/dropped publish/messages/received publish/messages/sent publish/bytes/received
publish/bytes/sent packet/out/count packet/out/bytes connections/socket/count
load/messages/received/1min load/messages/sent/5min load/publish/received/15min
load/publish/sent/1min load/bytes/received/1min load/bytes/sent/1min load/sockets/1min
load/connections/1min""".replace("retained messages/count", "retained~messages/count").split()


@pytest.fixture
def sys_broker(broker):
    return broker("sys_interval 1\nacl_file {dir}/acl\n", mode="native",
                  files={"acl": "topic read $SYS/#\ntopic readwrite #\n"})


def test_every_value_of_the_sys_tree(sys_broker):
    conn = sys_broker.client("watch")
    conn.subscribe("$SYS/#")
    wanted = {"$SYS/broker/" + name.replace("~", " ") for name in SYS_VALUES}
    seen = {}
    deadline = time.monotonic() + 8
    while wanted - set(seen):
        assert time.monotonic() < deadline, f"missing: {sorted(wanted - set(seen))}"
        try:
            got = conn.packet(timeout=1)
        except AssertionError:
            continue
        seen[got.topic] = got.payload.decode()
    assert re.fullmatch(r"\d+ seconds", seen["$SYS/broker/uptime"])
    assert "version" in seen["$SYS/broker/version"]
    for name, value in seen.items():
        if name.split("/")[2] not in ("version", "uptime", "nightjar"):
            assert re.fullmatch(r"-?\d+(\.\d+)?", value), (name, value)


def sys_value(conn, name, wanted, timeout=8):
    """Waits until $SYS says what is wanted (a number or a test of it)."""
    conn.send(mw.subscribe(1, f"$SYS/broker/{name}"))
    deadline, last = time.monotonic() + timeout, None
    while True:
        assert time.monotonic() < deadline, f"{name} is {last}"
        try:
            got = conn.packet(timeout=2)
        except AssertionError:
            continue
        if got.name == "PUBLISH":
            last = float(got.payload)
            if wanted(last) if callable(wanted) else last == wanted:
                break
    conn.send(mw.unsubscribe(2, f"$SYS/broker/{name}"))
    conn.drain(lambda p: p.name == "UNSUBACK")
    return last


@pytest.mark.threads
def test_sys_counts_what_happens(sys_broker):
    one = sys_broker
    watch = one.client("watch")
    conns = [one.client(f"c{n}") for n in range(5)]
    away = one.conn()
    away.connect("away", clean=False, properties={"session_expiry_interval": 100})
    away.subscribe("x", qos=1)
    away.disconnect()
    conns[0].subscribe([("a", 0), ("b", 0), ("$share/g/c", 0)])
    conns[0].publish("kept", b"m", retain=True)
    sys_value(watch, "clients/connected", 6)
    sys_value(watch, "clients/disconnected", 1)
    sys_value(watch, "clients/total", 7)
    sys_value(watch, "clients/maximum", lambda v: v >= 6)
    sys_value(watch, "shared_subscriptions/count", 1)
    sys_value(watch, "subscriptions/count", lambda v: v >= 4)
    sys_value(watch, "retained messages/count", lambda v: v >= 1)
    sys_value(watch, "publish/messages/received", lambda v: v >= 1)
    for conn in conns:
        conn.disconnect()
    sys_value(watch, "clients/connected", 1)


def test_sys_counts_denials_and_bad_packets(sys_broker):
    one = sys_broker
    watch = one.client("watch")
    bad = one.client("bad")
    bad.publish("$SYS/x", b"m", 1, reason=0x87)
    sys_value(watch, "nightjar/denied/publish", lambda v: v >= 1)
    conn = one.client("worse")
    conn.send(mw.publish("a/#", b""))
    conn.expect_closed()
    sys_value(watch, "nightjar/bad_packets", lambda v: v >= 1)


def test_sys_can_be_switched_off(broker):
    one = broker("sys_interval 0\nacl_file {dir}/acl\n", mode="native",
                 files={"acl": "topic read $SYS/#\ntopic readwrite settle/#\n"})
    conn = one.client("watch")
    conn.subscribe("$SYS/#")
    lasting = one.client("clock", keep_alive=1)
    lasting.expect_closed(timeout=8)
    conn.quiet()


# -- threads and faults ---------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.threads
def test_any_number_of_workers(broker, workers):
    one = broker(f"workers {workers}\nacl_default allow\n", mode="native")
    conns = [one.client(f"c{n}") for n in range(12)]
    for conn in conns:
        conn.subscribe("all", qos=1)
    for number, conn in enumerate(conns):
        conn.send(mw.publish("all", str(number), 1, 7))
    for conn in conns:
        seen = []
        while len(seen) < 12:
            got = conn.packet()
            if got.name == "PUBLISH":
                seen.append(int(got.payload))
                conn.send(mw.puback(got.packet_id))
        assert sorted(seen) == list(range(12))


@pytest.mark.threads
def test_many_clients_at_once(broker, uid):
    """Eight threads of clients that publish to each other at QoS 1; everything arrives, in order."""
    one = broker("acl_default allow\nmax_queued_messages 0\nmax_inflight_messages 0\n",
                 mode="native")
    count, each = 8, 150
    receivers = [one.client(f"r{n}", 4) for n in range(count)]
    for conn in receivers:
        conn.subscribe("t/#", qos=1)
    problems = []

    def send(number):
        try:
            conn = one.client(f"s{number}", 4)
            for i in range(each):
                conn.send(mw.publish(f"t/{number}", str(i), 1, i + 1, version=4))
            for _ in range(each):
                conn.expect("PUBACK")
        except Exception as problem:  # shown by the main thread
            problems.append(problem)

    def receive(conn):
        try:
            last = {}
            for _ in range(count * each):
                got = conn.receive()
                assert int(got.payload) == last.get(got.topic, -1) + 1
                last[got.topic] = int(got.payload)
        except Exception as problem:
            problems.append(problem)
    threads = [threading.Thread(target=send, args=(n,)) for n in range(count)] + [
        threading.Thread(target=receive, args=(c,)) for c in receivers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not problems, problems[0]


def test_L080_no_free_descriptors(broker):
    """With no descriptor left a reload succeeds or fails as a whole, and never opens anything."""
    one = broker("allow_anonymous false\npassword_file {dir}/pw\nacl_default allow\n",
                 mode="native", files={"pw": passwords.file_text({"u": "p"})})
    live = one.client("live", username="u", password="p")
    used = max(int(n) for n in os.listdir(f"/proc/{one.pid}/fd")) + 1
    soft, hard = resource.prlimit(one.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(one.pid, resource.RLIMIT_NOFILE, (used, hard))
    filler = []
    while True:  # the holes below the limit
        filler.append(mw.Conn(one.endpoint()))
        filler[-1].send(mw.connect(f"f{len(filler)}", username="u", password="p"))
        try:
            filler[-1].packet(timeout=1)
        except (AssertionError, mw.WireError):
            break
    one.expect_error("Error|Too many")
    mark = one.mark()
    one.signal(signal.SIGHUP)
    one.wait_log(r"reload failed|Reload done", mark)
    live.quiet()
    waiting = filler[-1] if not filler[-1].is_closed else mw.Conn(one.endpoint())
    resource.prlimit(one.pid, resource.RLIMIT_NOFILE, (soft, hard))
    live.quiet()
    waiting.close()
    stranger = mw.Conn(one.endpoint())
    stranger.send(mw.connect("late"))
    assert stranger.expect("CONNACK").reason in (0x86, 0x87)
    one.client("again", username="u", password="p").quiet()


def test_memory_limit(broker, uid):
    one = broker("memory_limit 30000000\nacl_default allow\n", mode="native")
    away = one.conn()
    away.connect("away", clean=False, properties={"session_expiry_interval": 100})
    away.subscribe("t", qos=1)
    away.close()
    sender = one.client("s")
    refused = 0
    for number in range(600):
        sender.send(mw.publish("t", b"x" * 100000, 1, 1))
        try:
            answer = sender.expect("PUBACK")
            refused += answer.reason >= 0x80
        except mw.Closed:
            refused += 1
            sender = one.client("s")
    # A sanitizer keeps what was freed.
    assert is_sanitized(one.binary) or one.rss() < 120_000_000
    one.client("other").quiet()


def flood(sender, qos, refusals):
    """Numbered messages of 1 kB to `t` until so many were refused; the numbers of the others."""
    kept, first = [], 0
    while refusals > 0:
        sender.send(*[mw.publish("t", b"%08d" % (first + n) + b"x" * 1000, qos, n)
                      for n in range(1, 21)])
        answers = [sender.expect("PUBACK" if qos == 1 else "PUBREC") for _ in range(20)]
        taken = [answer.packet_id for answer in answers if answer.reason < 0x80]
        if qos == 2:
            sender.send(*[mw.pubrel(n) for n in taken])
            for n in taken:
                sender.expect("PUBCOMP", packet_id=n, reason=0)
        kept += [first + n for n in taken]
        refusals -= sum(answer.reason == 0x97 for answer in answers)
        first += 20
    return kept


@pytest.mark.parametrize("qos", [1, 2])
def test_short_memory_refuses_what_would_stay_and_lets_in_who_makes_room(broker, qos):
    one = broker("memory_limit 20000000\nmax_queued_messages 0\nacl_default allow\n"
                 "persistence false\n", mode="native")
    lasting = {"clean": False, "properties": {"session_expiry_interval": 100}}
    with one.conn() as away:
        away.connect("away", **lasting)
        away.subscribe("t", qos=qos)
    sender = one.client("s")
    kept = flood(sender, qos, 200)
    assert len(kept) > 1000
    one.wait_log("memory_limit .* are in use")
    sender.quiet()
    one.client("other").quiet()
    old = one.client("old", version=mw.V311)
    old.send(mw.publish("t", b"x" * 1000, qos, 1, version=mw.V311))
    old.expect_closed()
    one.conn().connect("new", reason=0x97, **lasting)
    back = one.conn()
    back.connect("away", clean=False, session_present=True)
    got = []
    while len(got) < len(kept):
        packet = back.packet()
        if packet.name == "PUBREL":
            back.send(mw.pubcomp(packet.packet_id))
            continue
        got.append(int(packet.payload[:8]))
        back.send(mw.puback(packet.packet_id) if qos == 1 else mw.pubrec(packet.packet_id))
    assert got == kept
    one.wait_log("memory again")
    sender.publish("t", b"again", qos)


def test_L134_numeric_options_at_their_ends(broker):
    """0, 1 and the largest value of each: it starts, serves and stops."""
    options = ["max_inflight_messages", "max_queued_messages", "max_keepalive", "sys_interval",
               "max_inflight_bytes", "max_queued_bytes", "message_size_limit"]
    for value in (0, 1, 65535):
        text = "".join(f"{o} {value}\n" for o in options if (o, value) != ("max_keepalive", 1))
        one = broker(text + "acl_default allow\nmax_topic_alias 0\nmax_topic_alias_broker 65535\n",
                     mode="native")
        conn = one.client("c", keep_alive=1 if value == 1 else 60)
        conn.subscribe("t", qos=1)
        conn.publish("t", b"", 0)
        conn.receive("t", b"")
        one.stop()
