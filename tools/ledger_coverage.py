#!/usr/bin/python3
"""Holds tests/ledger.txt against the tests: every row has a test that carries its id in its name, or
a reason why not.

A system test carries an id as test_L050_…, or several as test_L029_L036_…; a unit test
as l050_…. Status 1 when a row has neither test nor reason, and when a test names a row that does not
exist. A reason that stands beside a test is old: it is named, so that somebody takes it out. --list
shows the tests of every row."""
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROW = re.compile(r"([LBSF]-\d{2,3}) ([^|]+?)(?: \| (.+))?$")
ID = re.compile(r"(?<![A-Za-z0-9])([LBSF])_{0,2}(\d{2,3})(?=_)", re.I)


def rows():
    out = {}
    for number, line in enumerate((ROOT / "tests" / "ledger.txt").read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        found = ROW.match(line)
        if not found or found[1] in out:
            sys.exit(f"tests/ledger.txt:{number}: {'twice' if found else 'not a row'}: {line}")
        out[found[1]] = (found[2], found[3])
    return out


def tests():
    """{id: names of tests}"""
    out = collections.defaultdict(list)

    def add(path, name):
        for kind, number in ID.findall(name.replace("_", "__")):
            out[f"{kind.upper()}-{number}"].append(f"{path.relative_to(ROOT)}: {name}")

    for folder in ("system", "soak", "conformance"):
        for path in sorted((ROOT / "tests" / folder).glob("*.py")):
            for name in re.findall(r"^ *def ((?:test|soak)_\w+)", path.read_text(), re.M):
                add(path, name)
    for path in sorted((ROOT / "tests").rglob("*.c")):
        for name in re.findall(r"^static void (\w+)\(void \*\*state\)", path.read_text(), re.M):
            add(path, name)
    return out


def main():
    known, found = rows(), tests()
    problems, notes = [], []
    for row, (what, reason) in known.items():
        if "--list" in sys.argv:
            print(f"{row} {what}: {'; '.join(found[row]) or reason or 'NOTHING'}")
        if not found[row] and not reason:
            problems.append(f"{row} ({what}) has no test")
        if found[row] and reason:
            notes.append(f"note: {row} has a test, the reason is old: {reason}")
    problems += [f"{row} is not in tests/ledger.txt: {names[0]}"
                 for row, names in sorted(found.items()) if names and row not in known]
    for line in notes + problems:
        print(line)
    tested = sum(1 for row in known if found[row])
    print(f"{tested} of {len(known)} rows have a test, {len(known) - tested} have none")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
