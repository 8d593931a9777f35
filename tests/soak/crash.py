#!/usr/bin/python3
"""The end of the process at every enumerated point around what is made durable (ledger F-001).

The points are the nj_crash_point("…") in the source. At each of them, and at several passes, the
broker kills itself under QoS 1 and 2 load, is started again, everything comes to its end, and the
history says whether anything that was acknowledged is lost or QoS 2 came twice. Members of a shared
subscription end meanwhile with messages for others; some payloads are files beside the database.
Points of `nj store` run on the store between two rounds.

    ./dev soak crash [--passes 5] [--seed 1] [--point NAME] [--broker build/bin/nightjar]"""
import argparse
import pathlib
import random
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import kill  # noqa: E402
from brokerproc import Options  # noqa: E402
from mqttwire import V5, packets  # noqa: E402
from peers import Subscriber  # noqa: E402

POINT = re.compile(r'nj_crash_point\("([a-z-]+)"\)')
LARGE = 70000  # above what a store keeps inside its database
HEIRS = ["$share/h/t/#", "$share/h/r/#"]
TOOLS = {"backup": "backup", "compact": "compact"}


def points():
    """{name: file}, in the order of the source."""
    found = {}
    for path in sorted((ROOT / "src").rglob("*.c")):
        for name in POINT.findall(path.read_text()):
            assert name not in found, f"{name} is in {found[name]} and {path}"
            found[name] = path
    return found


class Leaver(Subscriber):
    """A member of a shared subscription that is never there to receive; `leave` ends its session,
    so that what it was given goes to the other member."""

    def __init__(self, world, client_id):
        super().__init__(world, client_id, V5, HEIRS, 2, "heirs")
        self.is_leaving = False

    def open(self):
        self.is_leaving = False
        super().open()

    def leave(self):
        self.is_subscribed = self.has_session = False
        self.is_leaving = True
        super().open()

    def send(self, *parts):
        if self.is_leaving and parts and parts[0][0] >> 4 == 1:  # CONNECT: nothing is to last
            parts = [packets.connect(self.client_id, V5, clean=True)]
        super().send(*parts)

    def on_ready(self, session_present):
        if not self.is_leaving:
            super().on_ready(session_present)


class Crashes(kill.Rounds):
    """Rounds of tests/soak/kill.py that end where they are told to."""

    def __init__(self, seed):
        super().__init__(seed)
        self.history.parties["heirs"] = 2
        self.history.arrived["heirs"] = type(self.history.arrived["shared"])(list)
        self.world.large = LARGE
        self.leaver = self.world.add(Leaver, "leaver")
        self.heir = self.world.add(Subscriber, "heir", V5, HEIRS, 2, "heirs")
        self.others = [*self.publishers, self.keeper, *self.subscribers]

    def is_settled(self):
        return (self.leaver.is_ready and self.heir.is_ready and self.heir.is_subscribed
                and super().is_settled())

    def settle(self):
        """The leaver's session ends for good, so the heir has everything."""
        opened = self.world.open

        def open_all(peers=None):
            opened([peer for peer in self.world.peers if peer is not self.leaver]
                   if peers is None else peers)
            if peers is None:
                self.leaver.leave()
        self.world.open = open_all
        try:
            return super().settle()
        finally:
            self.world.open = opened

    def join(self):
        """Both members are there, and away."""
        self.start()
        self.world.open([self.leaver, self.heir])
        assert self.world.run(until=lambda: self.leaver.is_subscribed and self.heir.is_subscribed)
        self.leaver.close()
        self.heir.close()

    def kill(self):
        if self.broker.process is not None and self.is_dead():
            self.broker.reader.join(5)
        super().kill()

    def is_dead(self):
        return not self.broker.is_running()

    def arm(self, point, number):
        self.broker.env["NIGHTJAR_CRASH"] = f"{point}:{number}"

    def disarm(self):
        self.broker.env.pop("NIGHTJAR_CRASH", None)

    def load(self, seconds):
        """Some load until the broker has died or the time is over."""
        for publisher in [*self.publishers, self.keeper]:
            publisher.is_paused = False
        try:
            self.world.open(self.others)
            self.world.run(until=self.is_dead, limit=seconds)
            if not self.is_dead():
                self.world.open([self.away])
                self.leaver.leave()
                self.world.run(until=self.is_dead, limit=seconds)
        except OSError:
            pass  # it died before everybody was there

    def crash(self, point, number, seconds=0.4):
        """(reached, problems)"""
        self.join()
        self.kill()
        self.arm(point, number)
        try:
            self.start()
            self.load(seconds)
        except AssertionError:
            if self.broker.process.wait(10) != -9:
                raise
        reached = self.is_dead()
        self.disarm()
        self.kill()
        problems = self.settle()
        self.kill()
        self.history.forget_finished()
        return reached, problems

    def crash_tool(self, point, number):
        """`nj store` dies on a store that no broker uses; the next broker finds all of it."""
        self.join()
        self.load(0.3)
        self.kill()
        store = next(self.broker.dir.glob("*.store"))
        copy = self.broker.dir / f"copy-{point}-{number}"
        command = [Options.binary.rsplit("/", 1)[0] + "/nj", "store", TOOLS[point.split("-")[0]],
                   str(store)]
        if point.startswith("backup"):
            command.append(str(copy))
        done = subprocess.run(command, env={"NIGHTJAR_CRASH": f"{point}:{number}"}, timeout=60,
                              capture_output=True, text=True)
        problems = self.settle()
        self.kill()
        self.history.forget_finished()
        if done.returncode not in (0, -9):
            problems = [*problems, f"nj store ended with {done.returncode}: {done.stderr}"]
        return done.returncode == -9, problems


def run_point(crashes, point, number):
    if point.split("-")[0] in TOOLS:
        return crashes.crash_tool(point, number)
    return crashes.crash(point, number)


def passes(point, count, chance):
    """The first ones, then others somewhere in the load."""
    if point.split("-")[0] in (*TOOLS, "upgrade", "upgraded", "loaded"):
        return [1]
    first = [1, 2, 3][:count]
    return first + sorted(chance.randint(4, 60) for _ in range(count - len(first)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--broker", default=str(ROOT / "build" / "bin" / "nightjar"))
    parser.add_argument("--passes", type=int, default=5, help="at how many passes of each point")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--point", help="only this one")
    args = parser.parse_args()
    Options.binary, Options.mode = args.broker, "native"
    chance = random.Random(args.seed)
    began, crashed, missed = time.monotonic(), 0, []
    crashes = Crashes(args.seed)
    try:
        crashes.prepare()
        for point in [args.point] if args.point else points():
            reached = 0
            for number in passes(point, args.passes, chance):
                was_there, problems = run_point(crashes, point, number)
                reached += was_there
                for problem in problems[:20]:
                    print(f"{point}:{number}: {problem}", flush=True)
                if problems:
                    print(f"the store is in {crashes.broker.dir}")
                    crashes.world.close()
                    crashes.broker.kill()
                    return 1
            crashed += reached
            missed += [] if reached else [point]
            print(f"{point}: died {reached} times", flush=True)
    except BaseException:
        crashes.world.close()
        crashes.broker.kill()
        raise
    print(f"{crashed} crashes in {time.monotonic() - began:.0f} s; nothing lost, nothing doubled")
    crashes.close()
    if missed:
        print("never reached: " + ", ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
