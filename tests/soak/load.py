#!/usr/bin/python3
"""What many clients or expensive packets do to the others, at the ledger's full size (20 minutes).

The tests are tests/system/test_load.py; each `./dev test` runs them small. This prints their figures.

    ./dev soak load [-k NAME] [--broker build/bin/nightjar] [PYTEST OPTIONS]"""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

if __name__ == "__main__":
    os.environ.update(NJ_SCALE="full", NJ_TEST_TIMEOUT="600")
    os.environ.setdefault("NJ_BIN", str(ROOT / "build" / "bin" / "nightjar"))
    os.execv("/usr/bin/python3", ["python3", "-m", "pytest", str(ROOT / "tests" / "system" / "test_load.py"),
                                  "-q", "-s", "--durations=0", "--durations-min=1", *sys.argv[1:]])
