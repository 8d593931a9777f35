"""The load of a change of rights: writers at a fixed rate, readers that drain (tests/soak/rights_load.c),
and an ACL file that changes all the time. Used by the system test (short) and by tests/soak (long)."""
import pathlib
import random
import subprocess
import time

import passwords
from brokerproc import Options
from history import History

TOPICS = [f"t/{n}" for n in range(4)]


def load_program():
    """rights_load of the build that the broker comes from."""
    out = pathlib.Path(Options.binary).resolve().parent
    for folder in (out, *out.parents):
        path = folder / "tests" / "soak" / "rights_load"
        if path.is_file():
            return path
    raise AssertionError(f"no tests/soak/rights_load in the build of {Options.binary}")


class Load:
    """`readers` users subscribe to everything with each QoS; each change gives or takes read rights
    at random, and is held against what they saw."""

    def __init__(self, make_broker, readers=2, rate=5000, seed=1):
        self.users = [f"r{n}" for n in range(readers)]
        names = self.users + ["w"]
        self.rights = {(u, t): True for u in self.users for t in TOPICS}
        self.initial = dict(self.rights)
        self.random = random.Random(seed)
        self.rate = rate
        self.history = History(self.users, TOPICS)
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

    def change(self, is_lie=False):
        """Turns some rights around, and notes when the broker said that it is done. A lie is noted
        without telling the broker."""
        for which in self.random.sample(sorted(self.rights), 3):
            self.rights[which] = not self.rights[which]
        self.broker.write("acl.new", self.acl())
        started = time.monotonic()
        if not is_lie:
            (self.broker.dir / "acl.new").rename(self.broker.dir / "acl")
            self.broker.reload()
        self.history.change(started, time.monotonic(), self.rights)

    def run(self, changes, pace=0.02, progress=None, lie_at=None):
        """Makes that many changes under load, `pace` seconds apart; returns the violations."""
        load = subprocess.Popen(
            [load_program(), str(self.broker.ports["port"]), str(self.rate), self.broker.dir,
             ",".join(self.users)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert load.stdout.readline() == "ready\n", f"rights_load: status {load.wait(10)}"
            for number in range(changes):
                self.change(is_lie=number == lie_at)
                assert load.poll() is None, f"rights_load ended with {load.returncode}"
                time.sleep(pace)  # the pace of the changes, not a wait for anything
                if progress:
                    progress(number + 1, self.history)
            out, _ = load.communicate(timeout=90)
        finally:
            load.kill()
            load.wait()
        assert load.returncode == 0 and out.startswith("done"), (load.returncode, out)
        self.history.load(self.broker.dir)
        return self.history.check(self.initial)
