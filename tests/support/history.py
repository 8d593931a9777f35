"""A history checker for changes of rights.

While rights change, two programs note what they do and see, each with the monotonic clock of this
machine: Python when a change was begun and when it was confirmed ("done"), rights_load when each
message was sent and received. Afterwards `check` looks whether any delivery contradicts the rights
that were in force.

The promise: after "done", not one byte is written under the old rights. What
was already in the kernel's socket buffers at "done" is outside. Two things cannot have been there:
a message that was published after "done", and one that arrived at a receiver which had found its
socket empty after "done".

A right is absent for sure from the "done" of the change that took it until the beginning of the one
that gives it back. These spans are sorted once for each (user, topic), so a delivery costs two binary
searches, and a million deliveries some seconds."""
import array
import bisect
import collections
import struct

ARRIVAL = struct.Struct("ddIBBxx")  # struct arrival of rights_load.c
Arrival = collections.namedtuple("Arrival", "at empty_at number user topic")


class Absences:
    """When one right was surely absent: spans in order of time."""

    def __init__(self):
        self.starts, self.ends = [], []

    def begin(self, at):
        self.starts.append(at)
        self.ends.append(float("inf"))

    def end(self, at):
        self.ends[-1] = at

    @property
    def is_open(self):
        return bool(self.ends) and self.ends[-1] == float("inf")

    def holds(self, since, until):
        """Whether the right was absent during all of [since, until]."""
        at = bisect.bisect_right(self.starts, since) - 1
        return at >= 0 and until <= self.ends[at]


class History:
    """`users` and `topics` give names to the numbers in arrivals."""

    def __init__(self, users, topics):
        self.users, self.topics = users, topics
        self.changes = []                 # (started, done, {(user, topic): allowed})
        self.published = array.array("d")  # [number]: time just before the PUBLISH was sent
        self.received = []                # of Arrival, or anything that iterates as such
        self.received_count = 0

    def change(self, started, done, rights):
        """Call from one thread, in order of time."""
        self.changes.append((started, done, dict(rights)))

    def load(self, folder):
        """Takes over what rights_load wrote; arrivals stay in their file."""
        self.published = array.array("d", (folder / "published").read_bytes())
        data = memoryview((folder / "received").read_bytes())
        self.received_count = len(data) // ARRIVAL.size
        self.received = Arrivals(data)

    def absences(self, initial):
        """{(user, topic): Absences}"""
        out = {(u, t): Absences() for u in self.users for t in self.topics}
        for which, spans in out.items():
            if not initial.get(which):
                spans.begin(float("-inf"))
        for started, done, rights in self.changes:
            for which, allowed in rights.items():
                spans = out[which]
                if allowed and spans.is_open:
                    spans.end(started)
                elif not allowed and not spans.is_open:
                    spans.begin(done)
        return out

    def check(self, initial, grace=0.01):
        """Violations as text: a delivery of a message that was published after "done" of a change
        that forbids it (and before the next one that allows it began), or that arrived although
        the socket had been empty more than `grace` seconds after such a "done" (the kernel may take
        that long to hand bytes from one socket to the other)."""
        named = self.absences(initial)
        spans = [[named[u, t] for t in self.topics] for u in self.users]
        published, out = self.published, []
        for at, empty_at, number, user, topic in self.received:
            absent = spans[user][topic]
            if absent.holds(published[number], at):
                out.append(f"message {number} on {self.topics[topic]} reached {self.users[user]} "
                           f"although it was published after the right was gone")
            elif empty_at and absent.holds(empty_at - grace, at):
                out.append(f"message {number} on {self.topics[topic]} was written to "
                           f"{self.users[user]} after the right was gone")
        return out

    def summary(self):
        spans = sorted(done - started for started, done, _ in self.changes)
        middle = spans[len(spans) // 2] if spans else 0
        took = self.published[-1] - self.published[0] if len(self.published) > 1 else 0
        rate = len(self.published) / took if took else 0
        return (f"{len(self.changes)} changes (median {middle * 1000:.1f} ms, "
                f"longest {max(spans, default=0) * 1000:.1f} ms), {len(self.published)} published "
                f"({rate:.0f}/s), {self.received_count} received")


class Arrivals:
    """The records of a file, without a Python object for each."""

    def __init__(self, data):
        self.data = data

    def __iter__(self):
        return ARRIVAL.iter_unpack(self.data)
