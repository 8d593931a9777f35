"""Failure messages: what was expected and what came, as packets and as bytes."""
from .packets import split
from .primitives import WireError


def readable(data, version):
    try:
        return ", ".join(repr(p) for p in split(data, version)) or "nothing"
    except (WireError, UnicodeDecodeError, IndexError) as problem:
        return f"(not a whole packet: {problem})"


def _rows(data):
    return [data[i:i + 16].hex(" ") for i in range(0, len(data), 16)] or [""]


def diff(wanted, got, version):
    """Both byte strings as packets and in hex, the first difference marked."""
    at = next((i for i, (a, b) in enumerate(zip(wanted, got)) if a != b),
              min(len(wanted), len(got)))
    lines = [f"expected {readable(wanted, version)}", f"got      {readable(got, version)}",
             f"first difference at byte {at}"]
    for label, data in (("expected", wanted), ("got", got)):
        lines.append(f"{label}:")
        lines += [f"  {16 * i:04x}  {row}" for i, row in enumerate(_rows(data[:512]))]
    return "\n".join(lines)
