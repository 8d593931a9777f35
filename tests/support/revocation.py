"""The load of a change of rights: publishers at a fixed rate, readers that drain, and an ACL file
that changes all the time. Used by the system test (short) and by tests/soak (long)."""
import random
import threading
import time

import mqttwire as mw
import passwords
from history import History

TOPICS = [f"t/{n}" for n in range(4)]


class Load:
    """`readers` clients subscribe to everything; each change gives or takes read rights at random,
    and is checked against what they saw."""

    def __init__(self, make_broker, readers=2, rate=5000, seed=1):
        self.users = [f"r{n}" for n in range(readers)]
        names = self.users + ["w"]
        self.rights = {(u, t): True for u in self.users for t in TOPICS}
        self.initial = dict(self.rights)
        self.random = random.Random(seed)
        self.rate = rate
        self.history = History()
        self.problems = []
        self.stopping = threading.Event()
        hashes = passwords.file_text({n: n for n in names})
        self.broker = make_broker(
            "allow_anonymous false\npassword_file {dir}/pw\nacl_file {dir}/acl\n"
            "max_queued_messages 100\n", {"pw": hashes, "acl": self.acl()})

    def acl(self):
        lines = ["user w\ntopic write t/#\ntopic readwrite end\n"]
        for user in self.users:
            lines.append(f"user {user}\ntopic read end\n")
            lines += [f"topic read {t}\n" for t in TOPICS if self.rights[user, t]]
        return "".join(lines)

    def change(self):
        """Turns some rights around, and notes when the broker said that it is done."""
        for which in self.random.sample(sorted(self.rights), 3):
            self.rights[which] = not self.rights[which]
        self.broker.write("acl.new", self.acl())
        started = time.monotonic()
        (self.broker.dir / "acl.new").rename(self.broker.dir / "acl")
        self.broker.reload()
        self.history.change(started, time.monotonic(), self.rights)

    def _guard(self, body, *args):
        try:
            body(*args)
        except Exception as problem:  # shown by the main thread
            self.problems.append(problem)
            self.stopping.set()

    def _read(self, user, qos):
        conn = self.broker.client(f"{user}-{qos}", username=user, password=user)
        conn.subscribe([("t/+", qos), ("end", 1)])
        self.ready.release()
        while True:
            got = conn.receive(timeout=60)
            if got.topic == "end":
                return
            self.history.receive(user, got.topic, got.payload, empty_at=conn.empty_at)

    def _write(self, number):
        conn = self.broker.client(f"w{number}", username="w", password="w")
        burst, began, sent = 25, time.monotonic(), 0
        while not self.stopping.is_set():
            parts = []
            for _ in range(burst):
                key = b"%d-%d" % (number, sent)
                self.history.publish(key)
                parts.append(mw.publish(TOPICS[sent % len(TOPICS)], key))
                sent += 1
            conn.send(*parts)
            ahead = sent / (self.rate / 2) - (time.monotonic() - began)
            if ahead > 0:
                self.stopping.wait(ahead)
        conn.quiet()

    def run(self, changes, pace=0.02, progress=None):
        """Makes that many changes under load, `pace` seconds apart; returns the violations."""
        self.ready = threading.Semaphore(0)
        readers = [threading.Thread(target=self._guard, args=(self._read, u, q), daemon=True)
                   for u in self.users for q in (0, 1)]
        writers = [threading.Thread(target=self._guard, args=(self._write, n), daemon=True)
                   for n in range(2)]
        for thread in readers:
            thread.start()
        for _ in readers:
            self.ready.acquire(timeout=20)
        for thread in writers:
            thread.start()
        for number in range(changes):
            if self.problems:
                break
            self.change()
            self.stopping.wait(pace)
            if progress:
                progress(number + 1, self.history)
        self.stopping.set()
        for thread in writers:
            thread.join(60)
        self._end(readers)
        if self.problems:
            raise self.problems[0]
        return self.history.check(self.initial)

    def _end(self, readers):
        ender = self.broker.client("ender", username="w", password="w")
        deadline = time.monotonic() + 60
        while any(t.is_alive() for t in readers) and time.monotonic() < deadline:
            ender.publish("end", b"", 1)
            for thread in readers:
                thread.join(0.2)
