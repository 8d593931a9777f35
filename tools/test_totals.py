#!/usr/bin/python3
"""Adds up test results and prints "N passed, N failed" as the last line.

Arguments: meson's testlog.json files and pytest's JUnit XML files. A cmocka program counts as its
tests, any other program as one. Status 0 when something passed and nothing failed.
"""
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as xml


def of_meson(path):
    passed = failed = skipped = 0
    for line in path.read_text().splitlines():
        row = json.loads(line)
        text = row.get("stdout", "") + row.get("stderr", "")
        good = sum(int(n) for n in re.findall(r"^\[  PASSED  \] (\d+) test", text, re.M))
        bad = sum(int(n) for n in re.findall(r"^\[  FAILED  \] (\d+) test", text, re.M))
        if row["result"] == "SKIP":
            skipped += 1
            print(f"skipped: {row['name']}: {text.strip()}")
            continue
        if row["result"] == "OK":
            good = good or 1
        else:
            bad = bad or 1
            print(f"failed: {row['name']} ({row['result']})")
        passed += good
        failed += bad
    return passed, failed, skipped


def of_pytest(path):
    passed = failed = skipped = 0
    for case in xml.parse(path).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            failed += 1
            print(f"failed: {case.get('classname')}.{case.get('name')}")
        elif "skipped" in kinds:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main(paths):
    totals = [0, 0, 0]
    for path in map(pathlib.Path, paths):
        result = of_meson(path) if path.suffix == ".json" else of_pytest(path)
        totals = [a + b for a, b in zip(totals, result)]
    passed, failed, skipped = totals
    if skipped:
        print(f"({skipped} skipped: see above for why)")
    sys.stdout.flush()
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
