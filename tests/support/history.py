"""A history checker for changes of rights.

While rights change, many threads note what they do and see, each with the monotonic clock of this
machine: when a change was confirmed ("done"), and when each message was received. Afterwards
`check` looks whether any delivery contradicts the rights that were in force.

The promise (product.md, promise 3): after "done", not one byte is written under the old rights. What
was already in the kernel's socket buffers at "done" is outside. Two things cannot have been there:
a message that was published after "done", and one that arrived at a receiver which had found its
socket empty after "done"."""
import bisect
import threading
import time


class History:
    """Any thread may note; `check` is for afterwards."""

    def __init__(self):
        self.lock = threading.Lock()
        self.changes = []     # (started, done, {(user, topic): allowed})
        self.published = {}   # payload key: time just before the PUBLISH was sent
        self.received = []    # (time, user, topic, payload key, when the socket was last empty)

    def change(self, started, done, rights):
        with self.lock:
            self.changes.append((started, done, dict(rights)))

    def publish(self, key):
        """Call just before sending."""
        self.published[key] = time.monotonic()

    def receive(self, user, topic, key, at=None, empty_at=None):
        """`empty_at`: when the receiver last found nothing to read, before this message."""
        self.received.append((time.monotonic() if at is None else at, user, topic, key, empty_at))

    def check(self, initial, grace=0.01):
        """Violations as text: a delivery of a message that was published after "done" of a change
        that forbids it (and before the next one that allows it began), or that arrived although
        the socket had been empty more than `grace` seconds after such a "done"."""
        changes = sorted(self.changes)
        out = []
        for at, user, topic, key, empty_at in self.received:
            sent = self.published.get(key)
            if sent is not None and self._forbidden(changes, initial, user, topic, sent, at):
                out.append(f"{key} on {topic} reached {user} although it was published "
                           "after the right was gone")
            elif empty_at is not None and self._forbidden(changes, initial, user, topic,
                                                          empty_at - grace, at):
                out.append(f"{key} on {topic} was written to {user} after the right was gone")
        return out

    @staticmethod
    def _forbidden(changes, initial, user, topic, since, until):
        """Whether the right was surely absent during all of [since, until]."""
        which = (user, topic)
        absent_from = None if initial.get(which) else float("-inf")
        for started, done, rights in changes:
            if which not in rights:
                continue
            if rights[which]:
                if absent_from is not None and absent_from <= since and until <= started:
                    return True
                absent_from = None
            elif absent_from is None:
                absent_from = done
        return absent_from is not None and absent_from <= since

    def summary(self):
        spans = sorted(done - started for started, done, _ in self.changes)
        middle = spans[bisect.bisect(spans, spans[len(spans) // 2]) - 1] if spans else 0
        return (f"{len(self.changes)} changes (median {middle * 1000:.1f} ms, "
                f"longest {max(spans, default=0) * 1000:.1f} ms), {len(self.published)} published, "
                f"{len(self.received)} received")
