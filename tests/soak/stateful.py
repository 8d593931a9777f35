#!/usr/bin/python3
"""Random clients, administrators, clocks and crashes against a reference model of the broker.

One process for each core, each with seeds of its own; the first finding ends all of them, with its
seed and the fewest steps that still show it. With a file for findings all go on to the end, and
what was found is in the file. A round is the same every time, so

    build/tests/stateful/stateful --rounds 1 --seed SEED --steps STEPS

shows it again. For sanitizers name a program of another build.

    ./dev soak stateful [--seconds 7200] [--seed N] [--steps 200] [--findings FILE]
                        [--program PATH]"""
import argparse
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SEEDS_APART = 1_000_000_000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=7200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--program", default=ROOT / "build/tests/stateful/stateful")
    parser.add_argument("--findings")
    options = parser.parse_args()
    command = [options.program, "--seconds", str(options.seconds), "--steps", str(options.steps)]
    if options.findings:
        command += ["--findings", options.findings]
    running = [subprocess.Popen(command + ["--seed", str(options.seed + core * SEEDS_APART)])
               for core in range(os.cpu_count() or 1)]
    result = 0
    while running:
        pid, status = os.wait()
        running = [process for process in running if process.pid != pid]
        result |= status != 0
        for process in running if status and not options.findings else ():
            process.kill()
    return result


if __name__ == "__main__":
    sys.exit(main())
