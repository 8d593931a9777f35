#!/usr/bin/python3
"""100 reloads a second for a minute under 5,000 messages/s (L-089): each decision is the old or the new one.

The same check as ./dev soak revocation: a delivery that neither the rights before nor those after a
change allow is found. Wants a build with the thread sanitizer, if there is one.

    ./dev soak reloads [--broker build-tsan/bin/nightjar] [--changes 6000] [--rate 5000]"""
import pathlib
import runpy
import sys


def soak_L089_reloads_at_full_rate():
    sys.argv[1:1] = ["--changes", "6000", "--pace", "0.009"]
    runpy.run_path(str(pathlib.Path(__file__).with_name("revocation.py")), run_name="__main__")


if __name__ == "__main__":
    soak_L089_reloads_at_full_rate()
