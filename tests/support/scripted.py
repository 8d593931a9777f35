"""nj pub and nj sub against a broker that plays a script: what the client library sends, parsed as strictly
as what a broker sends. For the statements of the standards that bind clients."""
import socket

import mqttwire as mw
from mqttwire import V31, V311, V5
from toolbox import FakeBroker, Tools

NJ = Tools("native")
OPTION = {V31: "31", V311: "311", V5: "5"}


class Side:
    """The client's side of one version of MQTT."""

    def __init__(self, version):
        self.version = version

    def split(self, packets):
        """What a tool sent, one Packet each."""
        out = [mw.split(raw, self.version) for raw in packets]
        assert all(len(one) == 1 for one in out)
        return [one[0] for one in out]

    def broker(self, *scripts):
        return FakeBroker(*scripts, version=self.version)

    def args(self, fake):
        return [*fake.args(), "-V", OPTION[self.version]]

    def play(self, tool, *args, steps=(), connack=None, **options):
        """Runs a tool against a broker that answers CONNECT with `connack` and the packets after it with
        `steps`. What it sent, and how it ended."""
        steps = [mw.connack(self.version) if connack is None else connack, *steps]
        with self.broker(steps) as fake:
            done = NJ.run(tool, *self.args(fake), *args, **options)
            (received,) = fake.finish()
        assert b"Sanitizer" not in done.err and b"runtime error" not in done.err, done
        return self.split(received), done

    def answer(self, raw, *more):
        """SUBACK or UNSUBACK for a request, and what comes after it."""
        (got,) = self.split([raw])
        if got.name == "SUBSCRIBE":
            out = mw.suback(got.packet_id, [0] * len(got.filters), self.version)
        else:
            out = mw.unsuback(got.packet_id, [0] * len(got.filters), self.version)
        return out + b"".join(more)

    def granted(self, *more):
        """A step: the answer to a SUBSCRIBE, with what comes after it."""
        return lambda raw: self.answer(raw, *more)

    def listen(self, *packets, args=("-C", "1"), connack=None):
        """nj sub gets these packets after its SUBACK."""
        return self.play("sub", "-t", "t", *args, steps=[self.granted(*packets)], connack=connack)

    def refuses(self, tool, *args):
        """The tool does not even connect."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            done = NJ.run(tool, "-h", "127.0.0.1", "-p", str(listener.getsockname()[1]), "-V",
                          OPTION[self.version], *args)
            listener.setblocking(False)
            assert done.status != 0 and done.err, done
            try:
                listener.accept()
            except BlockingIOError:
                return
            raise AssertionError(f"it connected all the same: {done}")
