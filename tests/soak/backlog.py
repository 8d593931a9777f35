#!/usr/bin/python3
"""Queues of ten million messages for sessions that are away: memory, rates, expiry, limits (20 min).

Each step is done with a small backlog and then with the large one, each on a directory of its own,
and compared: nothing may cost more per message, or take longer, because more is queued.

    drain    QoS 1 messages are published for sessions that are away, as fast as the broker
             acknowledges them (durable: after the sync); it is stopped and started again; what is
             over max_queued_messages is refused and what expires behind the backlog is removed,
             while time and processor time are taken; then the clients come back and get everything,
             each message once, in order and whole (tests/soak/backlog_load.c)
    expire   the same backlog with an expiry, which passes while the broker is down: how fast the
             store clears it, and that a heartbeat is answered meanwhile

Once for one session and once for a hundred. Beside the rates stands the broker's processor time per
message, which hardly depends on what else the machine does. Memory is the broker's own (RssAnon),
sampled ten times a second; pages of the database that it maps (RssFile) are the kernel's to take
back and stand beside it. memory_limit is set; the bound on RssAnon is that plus what the limit does
not count.

    ./dev soak backlog [MESSAGES] [--small 100000] [--sessions 1,100] [--only drain|expire]
                       [--broker build/bin/nightjar] [--dir DIRECTORY]"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import mqttwire as mw  # noqa: E402
from brokerproc import Broker, Options  # noqa: E402

MIB = 1 << 20
SIZE = 100  # bytes of payload
MEMORY_LIMIT = 64 * MIB
ANON_MAX = 128 * MIB
EXTRA = 1000  # messages that are over a limit, or expire behind the backlog
EXPIRY_S, EXPIRY_RATE = 20, 80_000  # all is filled before the first is due: seconds, plus messages/s
STOP_S = 2
NOISE_MS = 50
RATIO = 1.5  # large to small: what counts as the same
ACL = "topic readwrite b/#\ntopic read $SYS/broker/metrics\n"
CONFIG = f"""acl_file {{dir}}/acl
persistence true
persistence_location {{dir}}
memory_limit {MEMORY_LIMIT}
max_inflight_messages 1000
listener {{port2}} 127.0.0.1
protocol http_api
max_queued_messages """


class Memory:
    """The largest RssAnon and RssFile of a process while it is watched."""

    def __init__(self, pid):
        self.path = pathlib.Path(f"/proc/{pid}/status")
        self.anon = self.file = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        while not self.ended.wait(0.1):
            try:
                text = self.path.read_text()
            except OSError:
                return
            self.anon = max(self.anon, field(text, "RssAnon"))
            self.file = max(self.file, field(text, "RssFile"))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def field(text, name):
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.M)
    return int(found[1]) * 1024 if found else 0


class Case:
    """One broker with one backlog; `figures` holds what was measured."""

    def __init__(self, binary, folder, count, sessions):
        self.count, self.sessions = count, sessions
        self.load_program = pathlib.Path(binary).parent.parent / "tests" / "soak" / "backlog_load"
        self.figures = {}
        self.broker = Broker(CONFIG + "0", name="backlog", mode="native")
        shutil.rmtree(self.broker.dir)
        self.broker.dir = pathlib.Path(tempfile.mkdtemp(prefix="nj-backlog-", dir=folder))
        self.broker.write("acl", ACL)
        self.broker.write_config()
        self.name = f"{count:,} for {sessions}"

    def tell(self, text):
        print(f"{self.name}: {text}", flush=True)

    # -- the broker

    def start(self):
        began = time.monotonic()
        self.broker.start(120)
        self.broker.client("first").close()
        return time.monotonic() - began

    def stop(self):
        began = time.monotonic()
        self.broker.stop(30)
        return time.monotonic() - began

    def metric(self, name):
        url = f"http://127.0.0.1:{self.broker.ports['port2']}/metrics"
        text = urllib.request.urlopen(url).read().decode()
        return int(re.search(rf"^nightjar_{re.escape(name)} (\d+)$", text, re.M)[1])

    def wait_metric(self, name, wanted, timeout):
        deadline = time.monotonic() + timeout
        while (value := self.metric(name)) != wanted:
            assert time.monotonic() < deadline, f"{name} is {value}, not {wanted}"
            time.sleep(0.005)  # a figure of the broker's; nothing announces it

    def reload(self, limit):
        self.broker.write_config(re.sub(r"(?<=max_queued_messages )\d+", str(limit),
                                        self.broker.config))
        self.broker.reload()

    def load(self, what, count, *more):
        """What backlog_load says, with the broker's processor time and memory beside it."""
        cpu = self.broker.cpu()
        with Memory(self.broker.pid) as memory:
            out = subprocess.run(
                [self.load_program, str(self.broker.ports["port"]), what, str(self.sessions), str(count),
                 str(SIZE), *map(str, more)], stdout=subprocess.PIPE, check=True).stdout
        answer = json.loads(out)
        assert answer["count"] == count, answer
        answer.update(cpu=self.broker.cpu() - cpu, anon=memory.anon, file=memory.file)
        return answer

    def tell_load(self, what, answer):
        rate = answer["count"] / answer["seconds"]
        tenths = [answer["count"] / 10 / max(t, 1e-6) for t in answer["tenths"]]
        self.tell(f"{what} in {answer['seconds']:.1f} s = {rate:,.0f}/s (tenths of it "
                  f"{min(tenths):,.0f} to {max(tenths):,.0f}, the last {tenths[-1]:,.0f}), "
                  f"{answer['cpu'] / answer['count'] * 1e6:.2f} us CPU each; memory "
                  f"{answer['anon'] / MIB:.1f} MiB, mapped file {answer['file'] / MIB:.0f} MiB")
        self.figures[f"{what}, us CPU each"] = answer["cpu"] / answer["count"] * 1e6
        self.figures[f"{what}, us each"] = answer["seconds"] / answer["count"] * 1e6
        self.figures["memory, MiB"] = max(answer["anon"] / MIB, self.figures.get("memory, MiB", 0))

    # -- steps

    def fill(self, expiry_s=0):
        self.start()
        for i in range(self.sessions):
            with self.broker.conn() as conn:
                conn.connect(f"away{i}", clean=False,
                             properties={"session_expiry_interval": 0xffffffff})
                conn.subscribe(f"b/{i}", qos=1)
        answer = self.load("fill", self.count, expiry_s)
        assert answer["refused"] == 0, answer
        self.tell_load("filled", answer)
        assert self.metric("queued_messages") == self.count
        seconds = self.stop()
        bytes_used = sum(f.stat().st_size for f in self.broker.dir.rglob("*") if f.is_file())
        self.tell(f"stopped in {seconds:.2f} s; the database has {bytes_used / MIB:,.0f} MiB")
        self.figures["stop, s"] = seconds

    def start_again(self):
        seconds = self.start()
        text = pathlib.Path(f"/proc/{self.broker.pid}/status").read_text()
        self.tell(f"started in {seconds:.2f} s, memory {field(text, 'RssAnon') / MIB:.1f} MiB")
        self.figures["start, s"] = seconds

    def limit(self):
        """A queue that is over its limit takes no more; each is counted."""
        self.reload(1)
        dropped = self.metric('dropped_total{reason="queue_full"}')
        answer = self.load("fill", EXTRA, 0)
        assert self.metric('dropped_total{reason="queue_full"}') == dropped + EXTRA
        assert self.metric("queued_messages") == self.count
        self.tell(f"{EXTRA} over the limit: {answer['seconds'] * 1000:.1f} ms, "
                  f"{answer['cpu'] * 1000:.0f} ms CPU")
        self.figures["over the limit, ms"] = answer["seconds"] * 1000
        self.reload(0)

    def expire_behind(self):
        """A few that expire behind the backlog."""
        cpu = self.broker.cpu()
        dropped = self.metric('dropped_total{reason="expired"}')
        self.load("fill", EXTRA, 1)
        due = time.monotonic() + 1
        self.wait_metric('dropped_total{reason="expired"}', dropped + EXTRA, 60)
        late = max(0, time.monotonic() - due)
        assert self.metric("queued_messages") == self.metric("store_rows") == self.count
        cpu = self.broker.cpu() - cpu
        self.tell(f"{EXTRA} expired behind it: gone {late * 1000:.0f} ms after the last was due, "
                  f"{cpu * 1000:.0f} ms CPU")
        self.figures["expired behind, ms CPU"] = cpu * 1000

    def drain(self):
        answer = self.load("drain", self.count)
        self.tell(f"first message after {answer['first'] * 1000:.0f} ms")
        self.tell_load("drained", answer)
        self.wait_metric("store_rows", 0, 60)
        assert self.metric("queued_messages") == 0

    def expire(self):
        """All of it is due when the broker starts."""
        cpu, began, slowest = self.broker.cpu(), time.monotonic(), 0.0
        with Memory(self.broker.pid) as memory, self.broker.client("heart") as heart:
            while self.metric("store_rows"):
                at = time.monotonic()
                heart.send(mw.pingreq())
                heart.expect("PINGRESP")
                slowest = max(slowest, time.monotonic() - at)
                time.sleep(0.02)  # the pace of the heartbeats
        seconds, cpu = time.monotonic() - began, self.broker.cpu() - cpu
        assert self.metric("queued_messages") == 0
        # What was cleared while the broker was still loading is counted as well.
        self.tell(f"expired in {seconds:.1f} s = {self.count / seconds:,.0f}/s, "
                  f"{cpu / self.count * 1e6:.2f} us CPU each; slowest heartbeat "
                  f"{slowest * 1000:.1f} ms; memory {memory.anon / MIB:.1f} MiB")
        self.figures["expired, us CPU each"] = cpu / self.count * 1e6
        self.figures["memory, MiB"] = max(memory.anon / MIB, self.figures["memory, MiB"])
        for i in range(self.sessions):
            with self.broker.conn() as conn:
                conn.connect(f"away{i}", clean=False)
                conn.quiet()

    def run_drain(self):
        self.fill()
        self.start_again()
        self.limit()
        self.expire_behind()
        self.drain()
        self.stop()

    def run_expire(self):
        expiry_s = EXPIRY_S + self.count // EXPIRY_RATE
        self.fill(expiry_s)
        time.sleep(expiry_s + 1)  # until the last of them is due
        self.start_again()
        self.expire()
        self.stop()


def bound_of(name, before):
    """What a figure of the large backlog may be at most, given that of the small one."""
    if name.startswith("memory"):
        return ANON_MAX / MIB
    if name == "stop, s":
        return STOP_S
    if " ms" in name:
        return max(before * RATIO, before + NOISE_MS)
    return before * RATIO if "us CPU each" in name else None


def compare(small, large):
    """Prints the figures beside each other; returns how many are beyond their bounds."""
    misses = 0
    for name, value in large.figures.items():
        before = small.figures[name]
        bound = bound_of(name, before)
        is_missed = bound is not None and value > bound
        misses += is_missed
        tail = "" if bound is None else f" (at most {bound:.2f}{': MISSED' if is_missed else ''})"
        print(f"  {name}: {before:.2f} -> {value:.2f}{tail}", flush=True)
    return misses


def run(args, what, sessions):
    """The small backlog, then the large one."""
    done = []
    for count in (args.small, args.messages):
        case = Case(args.broker, args.dir, count, sessions)
        try:
            getattr(case, "run_" + what)()
        finally:
            case.broker.remove()
        done.append(case)
    print(f"{what}, {sessions} sessions, {args.small:,} -> {args.messages:,} messages", flush=True)
    return compare(*done)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("messages", nargs="?", type=int, default=10_000_000)
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--sessions", default="1,100")
    parser.add_argument("--only", choices=["drain", "expire"])
    parser.add_argument("--broker", default=str(ROOT / "build" / "bin" / "nightjar"))
    parser.add_argument("--dir", help="where the databases are; a temporary folder")
    args = parser.parse_args()
    args.broker = os.path.abspath(args.broker)
    Options.binary, Options.mode = args.broker, "native"
    misses = 0
    for sessions in map(int, args.sessions.split(",")):
        for what in [args.only] if args.only else ["drain", "expire"]:
            misses += run(args, what, sessions)
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
