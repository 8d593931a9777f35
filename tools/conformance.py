#!/usr/bin/python3
"""Says which normative statements of MQTT 5.0 and 3.1.1 have a test, and which not, with the reason.

tests/conformance/mqtt5.txt and mqtt311.txt list the statements and whom they bind. What binds both has to be
proved for both: the broker, and the client library of the tools. A test carries the numbers that it proves in
its name: test_3_1_2_4_and_3_1_4_4_… proves MQTT-3.1.2-4 and MQTT-3.1.4-4, of a client in test_…_client.py,
of a server elsewhere; what binds clients alone may be in both, then a server is shown to notice who breaks it.
Status 1 when a side has neither a test nor a reason, when a test names a statement that does not exist or does
not bind clients, and when a reason stands beside a test. --list prints the table."""
import collections
import pathlib
import re
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent / "tests"
ROW = re.compile(r"(\d+(?:\.\d+)*-\d+) ([SCB]) ([^|]+?)((?: \| [^|]+)*)$")
NOTE = re.compile(r" \| (?:([SC]): )?(?:- (.+)|(\S+))")
NUMBERS = re.compile(r"(?:_and)?_(\d+(?:_\d+){2,3})(?=_)")
SIDES = {"S": ("S",), "C": ("C",), "B": ("S", "C")}
KIND = {"S": "servers", "C": "clients"}


def notes_of(whom, text):
    """{side: (reason, file)} of what stands after the bars. Without a letter it is for every side."""
    out, rest = {}, text
    while rest:
        end = rest.find(" | ", 1)
        one, rest = (rest, "") if end < 0 else (rest[:end], rest[end:])
        found = NOTE.fullmatch(one)
        if not found:
            return None
        for side in found[1] or SIDES[whom]:
            if side in out or side not in SIDES[whom]:
                return None
            out[side] = (found[2], found[3])
    return out


def statements(path):
    """{number: (whom it binds, what it says, {side: (reason, file with tests)})}"""
    out = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        found = ROW.match(line)
        notes = notes_of(found[2], found[4]) if found else None
        if notes is None or found[1] in out:
            sys.exit(f"{path}:{number}: {'twice' if found and found[1] in out else 'not a statement'}: {line}")
        out[found[1]] = (found[2], found[3], notes)
    return out


def numbers_in(name):
    """The statements in a test's name."""
    out, rest = [], name[len("test"):]
    while found := NUMBERS.match(rest):
        *chapter, last = found[1].split("_")
        out.append(f"{'.'.join(chapter)}-{last}")
        rest = rest[found.end():]
    return out


def tests_of(pattern):
    """{(side, number): [test]}"""
    out = collections.defaultdict(list)
    for path in sorted((TESTS / "conformance").glob(pattern)):
        side = "C" if path.stem.endswith("_client") else "S"
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M):
            for number in numbers_in(name):
                out[side, number].append(f"{path.stem}::{name}")
    return out


def check(number, row, tests):
    """What proves it for each side: {side: text or None}, and what is wrong."""
    whom, what, notes = row
    proofs, problems = {}, []
    for side in SIDES[whom]:
        reason, file = notes.get(side, (None, None))
        names = tests.get((side, number), [])
        if file and not next(TESTS.rglob(file), None):
            problems.append(f"{number}: there is no {file}")
        if reason and names:
            problems.append(f"{number} ({what}) has both a reason and {names[0]}")
        if not (names or file or reason):
            problems.append(f"{number} ({what}) has no test for {KIND[side]}")
        proofs[side] = "; ".join(names + ([file] if file else [])) or None
    return proofs, problems


def report(title, table, pattern, show):
    rows, tests = statements(TESTS / "conformance" / table), tests_of(pattern)
    problems = [f"{title}: {number} {'does not bind clients' if number in rows else 'does not exist'}: {names[0]}"
                for (side, number), names in tests.items()
                if number not in rows or side == "C" and rows[number][0] == "S"]
    proved, bound = collections.Counter(), collections.Counter()
    for number, row in rows.items():
        proofs, wrong = check(number, row, tests)
        problems += [f"{title}: {line}" for line in wrong]
        for side, proof in proofs.items():
            bound[side] += 1
            proved[side] += proof is not None
            if show:
                print(f"{title} {number} {KIND[side]}: {row[1]}: {proof or 'no test: ' + str(row[2].get(side))}")
    print(f"{title}: {len(rows)} statements")
    for side, kind in KIND.items():
        print(f"{title}: {proved[side]} of {bound[side]} statements for {kind} have a test")
    return problems


def main():
    show = "--list" in sys.argv
    problems = report("MQTT 5.0", "mqtt5.txt", "test_mqtt5_*.py", show)
    problems += report("MQTT 3.1.1", "mqtt311.txt", "test_mqtt311*.py", show)
    for line in problems:
        print(line)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
