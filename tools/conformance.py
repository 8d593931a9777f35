#!/usr/bin/python3
"""Says which normative statements of MQTT 5.0 and 3.1.1 have a test, and which not, with the reason.

tests/conformance/mqtt5.txt and mqtt311.txt list the statements. A test carries their numbers in its
name: test_3_1_2_4_and_3_1_4_4_… proves MQTT-3.1.2-4 and MQTT-3.1.4-4. Status 1 when a statement has
neither a test nor a reason, and when a test names a statement that does not exist. --list prints the
whole table."""
import collections
import pathlib
import re
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent / "tests"
ROW = re.compile(r"(\d+(?:\.\d+)*-\d+) ([SCB]) ([^|]+?)(?: \| (?:- (.+)|(\S+)))?$")
NUMBERS = re.compile(r"(?:_and)?_(\d+(?:_\d+){2,3})(?=_)")


def statements(path):
    """{number: (whom it binds, what it says, reason, file with tests)}"""
    out = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        found = ROW.match(line)
        if not found or found[1] in out:
            sys.exit(f"{path}:{number}: {'twice' if found else 'not a statement'}: {line}")
        out[found[1]] = found.groups()[1:]
    return out


def numbers_in(name):
    """The statements in a test's name."""
    out, rest = [], name[len("test"):]
    while found := NUMBERS.match(rest):
        *chapter, last = found[1].split("_")
        out.append(f"{'.'.join(chapter)}-{last}")
        rest = rest[found.end():]
    return out


def report(title, table, pattern, show):
    rows = statements(TESTS / "conformance" / table)
    tests = collections.defaultdict(list)
    for path in sorted((TESTS / "conformance").glob(pattern)):
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M):
            for number in numbers_in(name):
                tests[number].append(f"{path.stem}::{name}")
    problems = [f"{title}: {number} does not exist: {names[0]}"
                for number, names in tests.items() if number not in rows]
    for number, (whom, what, reason, file) in rows.items():
        if file and not next(TESTS.rglob(file), None):
            problems.append(f"{title}: {number}: there is no {file}")
        names = tests[number] or ([file] if file else [])
        if not names and not reason:
            problems.append(f"{title}: {number} ({what}) has no test")
        if show:
            print(f"{title} {number} {whom} {what}: {'; '.join(names) or 'no test: ' + str(reason)}")
    for kind, whom in (("servers", "SB"), ("clients", "C")):
        mine = [n for n, row in rows.items() if row[0] in whom]
        tested = [n for n in mine if tests[n] or rows[n][3]]
        print(f"{title}: {len(tested)} of {len(mine)} statements for {kind} have a test")
    return problems


def main():
    show = "--list" in sys.argv
    problems = report("MQTT 5.0", "mqtt5.txt", "test_mqtt5_*.py", show)
    problems += report("MQTT 3.1.1", "mqtt311.txt", "test_mqtt311.py", show)
    for line in problems:
        print(line)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
