#!/usr/bin/python3
"""10,000 changes of rights under 5,000 messages a second: no delivery under old ones (5 minutes).

The system tests make 200 changes.

    ./dev soak revocation [--broker build/bin/nightjar] [--changes 10000] [--rate 5000] [--dynsec]"""
import argparse
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

from brokerproc import Broker, Options  # noqa: E402
from dynsec_load import DynsecLoad  # noqa: E402
from revocation import Load  # noqa: E402


def run(args, changes, lie_at=None, progress=None):
    made = []

    def make(config, files):
        made.append(Broker(config, files=files).start())
        return made[-1]

    try:
        kind = DynsecLoad if args.dynsec else Load
        load = kind(make, rate=args.rate, seed=args.seed)
        # A lie lasts until the next change, which must not come too soon.
        pace = args.pace if lie_at is None else 0.2
        return load.history, load.run(changes, pace, progress, lie_at)
    finally:
        for one in made:
            one.stop()
            one.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--broker", default=str(ROOT / "build" / "bin" / "nightjar"))
    parser.add_argument("--changes", type=int, default=10000)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--pace", type=float, default=0.02, help="seconds between changes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dynsec", action="store_true",
                        help="dynamic security instead of an ACL file")
    args = parser.parse_args()
    Options.binary, Options.mode = args.broker, "native"

    def progress(number, history):
        if sys.stdout.isatty() and number % max(args.changes // 200, 1) == 0:
            print(f"\r{number} of {args.changes} changes", end="", flush=True)

    _, planted = run(args, 8, lie_at=4)
    print(f"a change that the broker was not told of: {len(planted)} violations found")
    if not planted:
        print("the checker is blind")
        return 1
    began = time.monotonic()
    history, violations = run(args, args.changes, progress=progress)
    print(f"\n{history.summary()}, {time.monotonic() - began:.0f} s\n{len(violations)} violations")
    for line in violations[:20]:
        print(" ", line)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
