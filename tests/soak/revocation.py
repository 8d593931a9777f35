#!/usr/bin/python3
"""Ten thousand changes of rights under 5,000 messages a second, and a check of everything that was
delivered. Takes a while; the system tests make 200.

    tests/soak/revocation.py [--broker build/bin/nightjar] [--changes 10000] [--rate 5000]"""
import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from brokerproc import Broker, Options  # noqa: E402
from revocation import Load  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--broker", default=str(ROOT / "build" / "bin" / "nightjar"))
    parser.add_argument("--changes", type=int, default=10000)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--pace", type=float, default=0.02, help="seconds between changes")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    Options.binary, Options.mode = args.broker, "native"
    made = []

    def make(config, files):
        made.append(Broker(config, files=files).start())
        return made[-1]

    def progress(number, history):
        if number % max(args.changes // 50, 1) == 0:
            print(f"\r{number} of {args.changes}: {history.summary()}", end="", flush=True)

    load = Load(make, rate=args.rate, seed=args.seed)
    try:
        violations = load.run(args.changes, args.pace, progress)
    finally:
        for one in made:
            one.stop()
            one.remove()
    print(f"\n{load.history.summary()}\n{len(violations)} violations")
    for line in violations[:20]:
        print(" ", line)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
