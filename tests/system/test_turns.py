"""Long work comes in parts: whoever has little to say is served between them (docs/ARCHITECTURE.md,
"Turns and budgets").

What is awaited are events, in the order that only a broker that goes on in parts can give them: the
answer to somebody else's PINGREQ while not all was written yet. How much that is depends on the
machine, so there are some attempts; a broker that does it in one go fails every one of them."""
import fcntl
import struct
import termios

import pytest

import mqttwire as mw
from crowd import Crowd

OPEN = "acl_default allow\nworkers 1\nmax_queued_messages 0\n"
ATTEMPTS = 8

pytestmark = pytest.mark.needs("nightjar", "native")


def unread(sock):
    """Bytes that have come and were not read."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))[0]


def test_F049_others_are_served_during_a_replay(broker):
    """8,000 retained messages, which the reader's socket takes without its reading any."""
    one = broker(OPEN)
    count = 8000
    with one.client("writer") as writer, one.client("other") as other:
        for at in range(0, count, 500):
            writer.send(*(mw.publish(f"r/{n:04}", b"r" * 4, retain=True)
                          for n in range(at, at + 500)))
        writer.quiet()
        total = count * len(mw.publish("r/0000", b"r" * 4, retain=True))
        for _ in range(ATTEMPTS):
            with Crowd(one, 1, rcvbuf=1 << 20) as crowd:
                crowd.connect()
                crowd.send(lambda n: mw.subscribe(1, "r/+"))
                assert crowd.poll.poll(30), "nothing comes"
                other.send(mw.pingreq())
                other.expect("PINGRESP")
                is_served = unread(crowd.members[0].sock) < total
                seen = 0
                while seen < count:
                    found = list(crowd.turn(30))
                    assert found, f"{count - seen} are missing"
                    seen += sum(first >> 4 == 3 for _, first, _ in found)
            if is_served:
                return
    pytest.fail("nobody is served before the replay has ended")


def test_F050_others_are_served_during_a_fan_out(broker):
    """One large message for 300 receivers."""
    one = broker(OPEN)
    count, payload = 300, bytes(256 << 10)
    with one.client("writer") as writer, one.client("other") as other, Crowd(one, count) as crowd:
        crowd.connect()
        crowd.send(lambda n: mw.subscribe(1, [("big", 0)]))
        crowd.expect("SUBACK")
        for _ in range(ATTEMPTS):
            writer.send(mw.publish("big", payload))
            ready = crowd.poll.poll(30)
            assert ready, "nothing comes"
            other.send(mw.pingreq())
            other.expect("PINGRESP")
            waiting = sum(unread(one.sock) == 0 for one in crowd.members)
            crowd.expect("PUBLISH")
            if waiting:
                return
    pytest.fail("nobody is served before all have the message")


def test_F050_rights_are_asked_for_what_still_waits(broker):
    """A right that goes while much is still unwritten: nobody gets the rest of the film, and what
    comes afterwards has come under the new rights."""
    one = broker("acl_file {dir}/acl\nworkers 1\nmax_queued_messages 0\n",
                 files={"acl": "topic readwrite big\ntopic readwrite small\n"})
    count = 200
    with one.client("writer") as writer, Crowd(one, count) as crowd:
        crowd.connect()
        crowd.send(lambda n: mw.subscribe(1, [("big", 0), ("small", 0)]))
        crowd.expect("SUBACK")
        for _ in range(4):
            writer.send(mw.publish("big", bytes(256 << 10)))
        one.write("acl", "topic readwrite small\n")
        one.reload()
        writer.send(mw.publish("big", b"forbidden"), mw.publish("small", b"end"))
        seen = set()
        while len(seen) < count:
            for member, first, body in crowd.turn(30):
                assert first is not None, "somebody was closed"
                assert not body.endswith(b"forbidden")
                if body.endswith(b"end"):
                    seen.add(member.number)


@pytest.mark.threads
def test_F048_a_name_is_free_at_once(broker):
    """A client with very many filters ends and comes back; what it had is taken apart meanwhile and
    brings it nothing."""
    one = broker(OPEN)
    count, step = 100000, 500
    with one.client("writer") as writer:
        for turn in range(3):
            big = one.client("big")
            for at in range(0, count, step):
                big.send(mw.subscribe(1, [(f"f/{n}/{turn % 2}", 1) for n in range(at, at + step)]))
                big.expect("SUBACK", timeout=60)
            writer.publish(f"f/7/{turn % 2}", b"mine", 1)
            assert big.receive(f"f/7/{turn % 2}").payload == b"mine"
            big.close()
            with one.client("big") as back:
                back.subscribe(f"f/{count - 1}/{turn % 2}", qos=1)
                writer.publish("f/0/0", b"not mine", 1)
                writer.publish(f"f/{count - 1}/{turn % 2}", b"mine", 1)
                assert back.receive().payload == b"mine"
                back.quiet()
