#!/usr/bin/python3
"""kill -9 at random points while dynamic security changes, over and over on the same files.

Each round: start, look, change without a pause for a random while, kill. What was answered has to be
there at the next start; what was not is there as a whole or not at all; the files always load. Most
rounds are killed within the journal, some (by a pause) while the file is written.

    ./dev soak dynsec_kill [--rounds 1000] [--seed 1] [--broker build/bin/nightjar]"""
import argparse
import pathlib
import random
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import dynsec  # noqa: E402
from brokerproc import Broker, Options  # noqa: E402
from dynsec import Dynsec  # noqa: E402
from mqttwire import WireError  # noqa: E402

KEEP = 300  # roles; then they are deleted again


class Rounds:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.broker = Broker(dynsec.CONFIG, files={"ds.json": dynsec.text()}, anonymous=False)
        self.present = {"admin", "root", "settle"}
        self.pending = None  # the names after a request that was not answered
        self.number = self.answered = self.kept = self.undone = 0

    def commands(self):
        """An atomic request, and the names that there are after it."""
        if len(self.present) > KEEP:
            names = [n for n in self.present if n.startswith("r")][:-1]
            gone = [n for n in names if n != "root"][:50]
            return ([{"command": "deleteRole", "rolename": n} for n in gone],
                    self.present - set(gone))
        new = [f"r-{self.number + i}" for i in range(self.random.randint(1, 4))]
        self.number += len(new)
        acls = [dynsec.acl("publishClientSend", f"t/{n}") for n in range(self.random.randint(0, 9))]
        return ([{"command": "createRole", "rolename": n, "acls": acls} for n in new],
                self.present | set(new))

    def check(self, adm):
        names = set(adm.do("listRoles")["roles"])
        if self.pending is not None and names == self.pending:
            self.kept += 1
        else:
            self.undone += self.pending is not None
            lost, more = self.present - names, names - self.present
            assert not lost and not more, f"lost {sorted(lost)[:9]}, too many {sorted(more)[:9]}"
        self.present, self.pending = names, None

    def change_until_killed(self, adm):
        while True:
            commands, after = self.commands()
            self.pending = after
            try:
                answers = adm.batch(*commands, atomic=True)
            except (AssertionError, OSError, WireError):
                return  # killed
            assert not [a for a in answers if "error" in a], answers
            self.present, self.pending = after, None
            self.answered += 1

    def round(self):
        self.broker.start()
        adm = Dynsec(self.broker)
        self.check(adm)
        wait = self.random.choice([0.002, 0.02, 0.1, 0.5]) * self.random.random()
        killer = threading.Timer(wait, self.broker.kill)
        killer.start()
        try:
            self.change_until_killed(adm)
        finally:
            killer.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--broker", default=str(ROOT / "build" / "bin" / "nightjar"))
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    Options.binary, Options.mode = args.broker, "native"
    rounds = Rounds(args.seed)
    began = time.monotonic()
    try:
        for number in range(1, args.rounds + 1):
            rounds.round()
            if sys.stdout.isatty() or number % 100 == 0:
                print(f"{number} rounds, {rounds.answered} changes answered; of those that were "
                      f"not, {rounds.kept} kept and {rounds.undone} undone", flush=True)
        rounds.broker.start()
        rounds.check(Dynsec(rounds.broker))
        print(f"passed: {args.rounds} kills, {rounds.answered} answered changes, none lost "
              f"({time.monotonic() - began:.0f} s)")
    finally:
        rounds.broker.kill()
        rounds.broker.remove()


if __name__ == "__main__":
    main()
