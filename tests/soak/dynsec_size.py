#!/usr/bin/python3
"""Dynamic security with 100,000 clients: start, memory, changes, checks (2 minutes, quiet machine).

    100,000 clients, 1,000 groups, 10,000 roles with 10 entries each; 10,000 clients connected,
    each with a subscription that it receives by: 5,000 messages a second go to them and, once more,
    to a shared subscription

and beside each figure the bound that it is held to. Of the traffic (`nj bench subs`, which counts
each message) the latency is measured in pairs, without changes and with them, and the medians are
compared; how far the windows without changes differ among themselves says what the machine adds.
The start is measured from exec to the first
CONNACK, less that of a broker with ten roles. What a check costs is seen in whole publications to
a thousand topics in turn, which hide a part of it: it is one of several things that they do.

    ./dev soak dynsec_size [--broker build/bin/nightjar] [--live 10000] [--rate 5000]"""
import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import dynsec  # noqa: E402
import mqttwire as mw  # noqa: E402
import passwords  # noqa: E402
from brokerproc import Broker, Options  # noqa: E402
from crowd import quantile  # noqa: E402
from dynsec import Dynsec, acl, role  # noqa: E402

CLIENTS, GROUPS, ROLES, ENTRIES = 100_000, 1_000, 10_000, 10
FEW = 100
P99_RATIO = 1.5  # what counts as unchanged
OTHERS = 100  # connections of the load beside the subscribers: publishers, members of a group
READER = [acl("subscribePattern", "#"), acl("publishClientReceive", "#")]
WRITER = role("w", acl("publishClientSend", "#"), *READER)


class Report:
    """Figures beside their bounds."""

    def __init__(self):
        self.misses = 0

    def line(self, what, value, bound, unit):
        good = bound is None or value <= bound
        self.misses += not good
        tail = "" if bound is None else f" (at most {bound:g} {unit}{'' if good else ': MISSED'})"
        print(f"{what}: {value:.2f} {unit}{tail}", flush=True)


def named(name, *roles, **more):
    """A client whose password is its name."""
    return {**dynsec.client(name, *roles, **more), "encoded_password": passwords.sha512(name)}


def entries(number):
    return [acl(dynsec.TYPES[n % 2], f"area/{number}/{n}/#", True, n % 3) for n in range(ENTRIES)]


def content(is_large, live):
    clients = [dynsec.client("sender", "role5")]
    roles = [WRITER, role("few", *READER), role("many", *READER)]
    roles += [role(f"role{n}", *entries(n)) for n in range(ROLES if is_large else 10)]
    if not is_large:
        return {"clients": clients, "roles": roles}
    for n in range(CLIENTS):
        held = [f"role{n % ROLES}"] + ["many"] * (n < live) + ["few"] * (n < FEW)
        held += ["w"] * (live <= n < live + OTHERS)
        clients.append(dynsec.client(f"c{n}", *held))
    groups = [{"groupname": f"g{n}", "roles": [{"rolename": f"role{n}"}],
               "clients": [{"username": f"c{m}"} for m in range(n, CLIENTS, GROUPS)]}
              for n in range(GROUPS)]
    return {"clients": clients, "roles": roles, "groups": groups}


def started(made, **parts):
    """A broker, and how long it took until somebody was let in."""
    one = Broker(dynsec.CONFIG, files={"ds.json": dynsec.text(**parts)}, anonymous=False)
    made.append(one)
    began = time.monotonic()
    one.start(60)
    dynsec.login(one, "admin").disconnect()
    return one, time.monotonic() - began


def memory(one, key):
    for line in pathlib.Path(f"/proc/{one.pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise AssertionError(key)


def publication_us(one, count=200_000):
    """Microseconds for each publication of one client: the best of five runs."""
    conn = dynsec.login(one, "sender", "sender")
    burst = b"".join(mw.publish(f"area/5/{n % 5 * 2}/{n}", b"x") for n in range(1000))
    best = float("inf")
    for _ in range(5):
        began = time.monotonic()
        for _ in range(count // 1000):
            conn.send(burst)
        conn.send(mw.pingreq())
        conn.expect("PINGRESP")
        best = min(best, time.monotonic() - began)
    seen = Dynsec(one).admin.data("cedalo/inspect/v1", "getClient", clientid="sender")
    assert seen["client"]["counters"]["published"] == 5 * count, seen
    conn.disconnect()
    return best / count * 1e6


def connected(adm):
    return adm.admin.data("cedalo/inspect/v1", "listClients", count=0)["totalCount"]


def under_load(one, args, work=None):
    """Runs work() over and over while messages flow; what nj bench says of their latency."""
    adm = Dynsec(one)
    load = subprocess.Popen(
        [str(pathlib.Path(args.broker).with_name("nj")), "bench", "subs", "-p",
         str(one.ports["port"]), "--subscribers", str(args.live), "--subscriptions", str(args.live),
         "-r", str(args.rate), "-t", str(args.seconds), "-u", "c%n", "-P", "pw", "--quiet",
         "--json"], stdout=subprocess.PIPE, text=True)
    try:
        while connected(adm) < args.live and load.poll() is None:
            time.sleep(0.1)
        until = time.monotonic() + args.seconds  # before the load takes its connections down
        while work and time.monotonic() < until:
            work(adm)
        out, _ = load.communicate(timeout=300)
    finally:
        load.kill()
        load.wait()
    answer = json.loads(out)
    assert answer["good"], answer
    return answer["latency"]


def changer(name, pace, times):
    """A change of the role; notes the milliseconds from its sending to its answer."""
    def change(adm):
        more = [acl("publishClientReceive", f"more/{len(times)}", bool(len(times) % 2))]
        began = time.monotonic()
        adm.do("modifyRole", rolename=name, acls=READER + more)
        times.append((time.monotonic() - began) * 1000)
        time.sleep(pace)  # the pace of the changes, not a wait for anything
    return change


def median_p99(windows):
    return statistics.median(window["p99_us"] for window in windows)


def measure(args, made, report):
    small, base = started(made, **content(False, 0))
    cheap = publication_us(small)
    small.stop()
    one, whole = started(made, **content(True, args.live))
    assert Dynsec(one).do("getDetails")["clientCount"] > CLIENTS
    report.line("load", whole - base, 2, "s")
    report.line("resident", memory(one, "VmRSS"), 150, "MiB")
    report.line("peak", memory(one, "VmHWM"), 400, "MiB")
    dear = publication_us(one)
    print(f"a publication: {dear:.3f} us, with ten roles {cheap:.3f} us")
    report.line("ratio", dear / cheap, 1.1, "x")
    few, many, quiet, busy = [], [], [], []
    for _ in range(args.pairs):
        quiet.append(under_load(one, args))
        busy.append(under_load(one, args, changer("few", 0.04, few)))
    crowded = [under_load(one, args, changer("many", 0.4, many))]
    quiet.append(under_load(one, args))
    for what, times, bound in ((f"change, {FEW} sessions", few, 10),
                               (f"change, {args.live} sessions", many, 250)):
        times.sort()
        report.line(what + f", p50 of {len(times)}", quantile(times, .5), None, "ms")
        report.line(what + ", p99", quantile(times, .99), bound, "ms")
        report.line(what + ", longest", times[-1], None, "ms")
    usual = median_p99(quiet)
    for what, windows in (("no change", quiet), (f"{FEW} sessions change", busy),
                          (f"{args.live} sessions change", crowded)):
        print(f"latency at {args.rate}/s, {what}: p50 "
              + ", ".join(f"{window['p50_us'] / 1000:.2f}" for window in windows) + " ms, p99 "
              + ", ".join(f"{window['p99_us'] / 1000:.2f}" for window in windows) + " ms")
    report.line("p99, no change, highest window to lowest",
                max(w["p99_us"] for w in quiet) / min(w["p99_us"] for w in quiet), None, "x")
    report.line(f"p99, {FEW} sessions change", median_p99(busy) / usual, P99_RATIO, "x")
    report.line(f"p99, {args.live} sessions change", median_p99(crowded) / usual, P99_RATIO, "x")
    one.stop(30)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--broker", default=str(ROOT / "build" / "bin" / "nightjar"))
    parser.add_argument("--live", type=int, default=10_000, help="connected clients")
    parser.add_argument("--rate", type=int, default=5000, help="messages a second")
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement under load")
    parser.add_argument("--pairs", type=int, default=3, help="of measurements, quiet and busy")
    args = parser.parse_args()
    Options.binary, Options.mode = args.broker, "native"
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    made, report = [], Report()
    try:
        measure(args, made, report)
    finally:
        for one in made:
            one.remove()
    return 1 if report.misses else 0


if __name__ == "__main__":
    sys.exit(main())
