#!/usr/bin/python3
"""kill -9 at random points under QoS 1 and 2 load, over and over on the same store (ledger F-001).

Each round: start, resume all sessions, publish and receive for a random while, kill; every second
round in the middle of resuming. Then start again, let everything finish, and ask the history
(tests/support/history_delivery.py): nothing that was acknowledged is lost, nothing of QoS 2 comes
twice, the order holds, sessions, subscriptions and retained messages are there.

    ./dev soak kill [--rounds 1000] [--seed 1] [--broker build/bin/nightjar] [--config TEXT]"""
import argparse
import pathlib
import random
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import mqttwire  # noqa: E402
from brokerproc import Broker, Options  # noqa: E402
from history_delivery import DeliveryHistory  # noqa: E402
from mqttwire import V5, V311  # noqa: E402
from peers import Publisher, Subscriber, World  # noqa: E402

CONFIG = """acl_default allow
persistence true
persistence_location {dir}
max_queued_messages 0
workers 3
"""
PARTIES = {"all2": 2, "all1": 1, "away": 2, "shared": 2, "retained": 1}


class Rounds:
    def __init__(self, seed, config="", keep=False):
        self.random = random.Random(seed)
        self.broker = Broker(CONFIG + config, name="kill")
        self.history = DeliveryHistory(PARTIES, ordered={"all2", "all1", "away"})
        self.world = world = World(self.history)
        self.publishers = [
            world.add(Publisher, "p1", V311), world.add(Publisher, "p2", V5),
            world.add(Publisher, "p3", V5, window=5)]
        self.keeper = world.add(Publisher, "keeper", V5, window=1, topic="r", retained=True)
        self.subscribers = [
            world.add(Subscriber, "all2", V5, ["t/#", "r/#"], 2),
            world.add(Subscriber, "all1", V311, ["t/#", "r/#"], 1),
            world.add(Subscriber, "share1", V5, ["$share/g/t/#", "$share/g/r/#"], 2, "shared"),
            world.add(Subscriber, "share2", V311, ["$share/g/t/#", "$share/g/r/#"], 2, "shared"),
            world.add(Subscriber, "retained", V5, ["t/#", "r/#"], 1)]
        self.away = world.add(Subscriber, "away", V311, ["t/#", "r/#"], 2)
        self.totals = [0, 0, 0]
        self.longest_start = 0.0

    def start(self):
        began = time.monotonic()
        self.broker.start()
        self.longest_start = max(self.longest_start, time.monotonic() - began)
        self.world.port = self.broker.ports["port"]

    def kill(self):
        self.world.close()
        self.broker.kill()
        self.broker.check_log()
        self.broker.lines.clear()
        self.broker.checked = 0

    def settle(self):
        """Everything that was begun comes to its end; nothing new."""
        for publisher in [*self.publishers, self.keeper]:
            publisher.is_paused = True
        self.start()
        self.world.open()
        done = self.world.run(until=self.is_settled, limit=60)
        self.world.run(seconds=0.05)  # what would come too often
        problems = self.history.check() + self.world.faults()
        problems += [f"refused: {who} with {reason}" for who, reason in self.world.refused]
        problems += self.check_retained()
        if not done and not problems:
            problems = ["stuck: " + ", ".join(f"{p.client_id} has {p.outgoing}"
                                              for p in self.publishers if p.outgoing)]
        return problems

    def check_retained(self):
        """What is retained is the newest that was acknowledged; everything has settled."""
        wanted = self.keeper.retained_acked
        found = {}
        with self.broker.client("probe") as probe:
            probe.send(mqttwire.subscribe(1, [("r/#", 0)]), mqttwire.pingreq())
            for packet in probe.drain(lambda packet: packet.name == "PINGRESP"):
                if packet.name == "PUBLISH" and packet.retain:
                    found[packet.topic] = int(packet.payload.split(b":")[1])
        return [f"retained: {topic} has {found.get(topic)}, not {number}"
                for topic, number in wanted.items() if found.get(topic) != number]

    def is_settled(self):
        return all(p.is_idle() and p.is_ready for p in [*self.publishers, self.keeper]) and all(
            s.is_ready and s.is_subscribed and not s.unreleased
            for s in [*self.subscribers, self.away]) and self.history.is_complete()

    def prepare(self):
        """All sessions and subscriptions exist before anything counts."""
        problems = self.settle()
        assert not problems, problems
        self.kill()

    def round(self, number):
        """Problems as text."""
        self.start()
        for publisher in [*self.publishers, self.keeper]:
            publisher.is_paused = False
        self.world.open([*self.publishers, self.keeper, *self.subscribers])
        if number % 2 == 0:
            self.world.run(seconds=self.random.uniform(0.0, 0.03))
            self.kill()
            self.start()
            self.world.open([*self.publishers, self.keeper, *self.subscribers])
        if number % 5 == 0:
            self.world.open([self.away])
        self.world.run(seconds=self.random.uniform(0.02, 0.6))
        self.kill()
        problems = self.settle()
        self.kill()
        self.totals = [sum(both) for both in zip(self.totals, self.history.counts())]
        self.history.forget_finished()
        return problems

    def close(self):
        self.world.close()
        self.broker.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--broker", default=str(ROOT / "build" / "bin" / "nightjar"))
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--config", default="", help="more lines of configuration")
    args = parser.parse_args()
    Options.binary, Options.mode = args.broker, "native"
    rounds = Rounds(args.seed, args.config.replace("\\n", "\n"))
    began, bad = time.monotonic(), 0
    try:
        rounds.prepare()
        for number in range(1, args.rounds + 1):
            problems = rounds.round(number)
            for problem in problems[:20]:
                print(f"round {number}: {problem}", flush=True)
            bad += bool(problems)
            if bad:
                print(f"the store is in {rounds.broker.dir}")
                rounds.world.close()
                rounds.broker.kill()
                return 1
            if number % 25 == 0 or number == args.rounds:
                sent, acked, got = rounds.totals
                print(f"{number} rounds in {time.monotonic() - began:.0f} s: {sent} sent, {acked} "
                      f"acknowledged, {got} received; longest start "
                      f"{rounds.longest_start:.2f} s", flush=True)
    finally:
        if not bad:
            rounds.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
