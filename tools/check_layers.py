#!/usr/bin/python3
"""Do the rooms keep to layers.toml? Checks every include of every C file, the size of the files,
and that functions the house style bans are not called. Prints one line per offence."""
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)


def room_of(path, rooms):
    fits = [room for room in rooms if path.startswith(room + "/")]
    return max(fits, key=len, default=None)


def resolve(name, path):
    for base in (ROOT / path).parent, ROOT / "src", ROOT / "tests", ROOT / "apps/nj":
        if (base / name).is_file():
            return (base / name).resolve().relative_to(ROOT).as_posix()
    return None


def check_includes(path, text, rooms, edges):
    room = room_of(path, rooms)
    for name in INCLUDE.findall(text):
        if ".." in name.split("/"):
            yield f'includes "{name}": paths start at src/'
            continue
        target = resolve(name, path)
        if target is None:
            yield f'includes "{name}", which does not exist'
            continue
        edges.setdefault(path, set()).add(target)
        other = room_of(target, rooms)
        if other == room or room is None:
            continue
        if not any(pathlib.PurePath(other or target).match(allowed) for allowed in rooms[room]):
            yield f"may not know {other or target} ({name})"
        if target.endswith("_priv.h"):
            yield f"includes a private header of {other} ({name})"


def find_cycle(edges):
    done, trail = set(), []

    def visit(path):
        if path in trail:
            return trail[trail.index(path):] + [path]
        if path in done:
            return None
        trail.append(path)
        for target in sorted(edges.get(path, ())):
            if found := visit(target):
                return found
        done.add(trail.pop())
        return None

    return next((found for path in sorted(edges) if (found := visit(path))), None)


def main():
    rules = tomllib.loads((ROOT / "tools/layers.toml").read_text())
    rooms, limits = rules["rooms"], rules["limits"]
    banned = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(rules["banned"]["functions"]))
    offences, edges = [], {}
    files = sorted(f for top in ("src", "apps", "tests") for f in (ROOT / top).rglob("*.[ch]"))
    for file in files:
        path = file.relative_to(ROOT).as_posix()
        text = file.read_text()
        is_test = path.startswith("tests/")
        if not is_test and room_of(path, rooms) is None:
            offences.append(f"{path}: belongs to no room in tools/layers.toml")
        offences += [f"{path}: {what}" for what in check_includes(path, text, rooms, edges)]
        lines = text.count("\n")
        limit = limits["header_lines" if path.endswith(".h") else "file_lines"]
        if lines > limit:
            offences.append(f"{path}: {lines} lines; {limit} are allowed")
        if not is_test:
            code = COMMENT.sub(lambda m: "\n" * m.group().count("\n"), text)
            for hit in banned.finditer(code):
                line = code.count("\n", 0, hit.start()) + 1
                offences.append(f"{path}:{line}: {hit.group(1)} is banned")
    if cycle := find_cycle(edges):
        offences.append("include cycle: " + " -> ".join(cycle))
    print("\n".join(offences) or f"{len(files)} files keep to the layers")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
