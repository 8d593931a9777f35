"""What the broker does while its disk fails: it acknowledges nothing that is not there, serves what
needs no disk, says what is wrong, and recovers by itself (ledger 4.2). The disk is real; a library
between the broker and it (tests/soak/disk_fault.c) refuses, fails or waits when told."""
import pathlib
import re
import threading
import time

import pytest

import mqttwire as mw
from brokerproc import Options, is_sanitized
from mqttwire import V5, V311

pytestmark = pytest.mark.needs("nightjar")

STORE = "acl_default allow\npersistence true\npersistence_location {dir}\nworkers 2\n"
KEEP = {"session_expiry_interval": 1000}


def library():
    for folder in pathlib.Path(Options.binary).resolve().parents:
        path = folder / "tests" / "soak" / "disk_fault.so"
        if path.exists():
            return path
    raise AssertionError(f"no tests/soak/disk_fault.so in the build of {Options.binary}")


class Disk:
    """The disk of one broker, and a stored subscriber that makes publications need it."""

    def __init__(self, make, config=""):
        if is_sanitized(Options.binary):
            pytest.skip("a sanitizer has to be the first library")
        self.broker = make(STORE + config, start=False)
        self.control = self.broker.dir / "disk"
        self.set("good")
        self.broker.env.update(LD_PRELOAD=str(library()), DISK_FAULT=str(self.control))
        self.broker.start()
        self.sub = self.broker.client("sub", clean=False, properties=KEEP)
        self.sub.subscribe("t/#", qos=2)

    def set(self, fault):
        new = self.control.with_suffix(".new")
        new.write_text(fault)
        new.rename(self.control)


def rss(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) << 10


@pytest.fixture
def disk(broker):
    return Disk(broker)


def is_refused(pub, packet_id, qos=1):
    pub.send(mw.publish("t/1", b"x", qos, packet_id))
    return pub.expect("PUBACK" if qos == 1 else "PUBREC", packet_id=packet_id).reason == 0x97


def retry_until_taken(pub, topic, payload, packet_id, seconds=30):
    deadline = time.monotonic() + seconds
    while True:  # each answer is the event that is waited for
        pub.send(mw.publish(topic, payload, 1, packet_id))
        if pub.expect("PUBACK", packet_id=packet_id).reason < 0x80:
            return
        assert time.monotonic() < deadline, "the store did not recover"


@pytest.mark.parametrize("fault", ["ENOSPC", "EDQUOT"])
def test_F020_a_full_disk_refuses_and_recovers_by_itself(disk, fault):
    disk.broker.expect_error(r"(?i)store|space|disk|quota")
    disk.sub.disconnect()
    pub = disk.broker.client("pub")
    watcher = disk.broker.client("watcher")
    watcher.subscribe("t/#", qos=0)
    disk.set(f"fail {fault}")
    assert is_refused(pub, 1)
    # What needs no disk is served all the while.
    pub.publish("t/zero", b"zero", 0)
    watcher.drain(lambda packet: packet.name == "PUBLISH" and packet.payload == b"zero")
    pub.publish("elsewhere", b"x", 1, packet_id=2)
    pub.send(mw.pingreq())
    pub.expect("PINGRESP")
    disk.set("good")
    retry_until_taken(pub, "t/2", b"after", 3)
    disk.broker.kill()
    disk.broker.start()
    sub = disk.broker.client("sub", clean=False, properties=KEEP, session_present=True)
    sub.receive("t/2", b"after", 1)  # and not what was refused
    sub.quiet()


def test_F020_an_mqtt_3_publisher_is_not_read_while_the_disk_is_full(disk):
    disk.broker.expect_error(r"(?i)store|space|disk|quota")
    disk.sub.disconnect()
    canary = disk.broker.client("canary")
    disk.set("fail ENOSPC")
    assert is_refused(canary, 1)  # from now on the broker knows
    disk.broker.wait_log(r"(?i)full|space")
    time.sleep(0.3)  # every worker looks at the store five times a second
    pub = disk.broker.client("pub", V311)
    pub.send(mw.publish("t/3", b"kept", 1, 9, version=V311))
    disk.set("good")
    pub.expect("PUBACK", packet_id=9, timeout=30)
    sub = disk.broker.client("sub", clean=False, properties=KEEP, session_present=True)
    sub.receive("t/3", b"kept", 1)  # and not the canary's, which was refused
    sub.quiet()


def test_F021_a_failed_fsync_ends_acknowledging_until_the_restart(disk):
    disk.broker.expect_error(r"(?i)store|sync|disk")
    pub = disk.broker.client("pub")
    watcher = disk.broker.client("watcher")
    watcher.subscribe("t/#", qos=0)
    pub.publish("t/0", b"before", 1, packet_id=1)
    disk.sub.receive("t/0", b"before", 1)
    disk.set("sync")
    assert is_refused(pub, 2)
    disk.set("good")
    for packet_id in (3, 4):
        assert is_refused(pub, packet_id)
    disk.broker.wait_log(r"(?i)fail")
    watcher.drain(lambda packet: packet.name == "PUBLISH")
    pub.publish("t/zero", b"zero", 0)
    watcher.drain(lambda packet: packet.name == "PUBLISH" and packet.payload == b"zero")
    disk.broker.kill()
    disk.broker.start()
    pub = disk.broker.client("pub")
    pub.publish("t/5", b"again", 1, packet_id=5)


def test_F024_a_slow_disk_delays_acknowledgements_and_nothing_else(disk):
    pub = disk.broker.client("pub")
    watcher = disk.broker.client("watcher")
    watcher.subscribe("t/#", qos=0)
    disk.set("slow 700")
    began = time.monotonic()
    pub.send(mw.publish("t/1", b"x", 1, 1))
    pub.send(mw.publish("t/0", b"zero", 0))
    watcher.drain(lambda packet: packet.name == "PUBLISH" and packet.payload == b"zero")
    watcher.send(mw.pingreq())
    watcher.expect("PINGRESP")
    assert time.monotonic() - began < 0.6
    pub.expect("PUBACK", packet_id=1)
    assert time.monotonic() - began >= 0.69
    disk.set("good")


def test_F024_a_pingresp_follows_what_was_asked_before(disk):
    """Whoever takes PINGREQ for a barrier finds every answer before the PINGRESP."""
    one = disk.broker.client("one", clean=False, properties=KEEP)
    disk.set("slow 100")
    for packet, answer in [(mw.publish("t/1", b"x", 1, 1), "PUBACK"), (mw.subscribe(2, "u"), "SUBACK"),
                           (mw.publish("t/2", b"x", 2, 3), "PUBREC"), (mw.pubrel(3), "PUBCOMP"),
                           (mw.unsubscribe(4, ["u"]), "UNSUBACK")]:
        one.send(packet, mw.pingreq())
        assert [one.packet().name, one.packet().name] == [answer, "PINGRESP"]
    disk.set("good")


def test_F024_a_disk_that_hangs_costs_no_keep_alive(disk):
    pub = disk.broker.client("pub", keep_alive=2)
    disk.set("slow 2000")
    pub.send(mw.publish("t/1", b"x", 1, 1), mw.pingreq(), mw.pingreq())
    assert [pub.packet().name for _ in range(3)] == ["PINGRESP", "PINGRESP", "PUBACK"]
    disk.set("good")


@pytest.mark.parametrize("version", [V311, V5])
def test_F024_who_leaves_or_errs_gets_the_answers_to_what_came_before(disk, version):
    disk.set("slow 100")
    for end, code in [(mw.disconnect(version), None), (mw.packet("SUBSCRIBE", b""), 0x81),
                      (mw.packet("PINGREQ", b"", length=b"\xff\xff\xff\xff\xff"), 0x81)]:
        pub = disk.broker.client("pub", version)
        pub.send(mw.publish("t/1", b"x", 1, 1, version=version), end)
        says = [("DISCONNECT", code)] if code and version == V5 else []
        seen = [(p.name, getattr(p, "reason", None) if p.name == "DISCONNECT" else None)
                for p in pub.expect_closed()]
        assert seen == [("PUBACK", None), *says]
    disk.set("good")


def test_F024_what_waits_for_a_slow_disk_is_bounded(disk):
    """60 MB for stored sessions and a disk that takes seconds for each sync: they are not all taken
    in, whoever needs no disk is served, and in the end nothing is missing."""
    count, payload, bound = 1000, b"x" * 60000, (32 + 4) << 20
    disk.sub.disconnect()
    watcher = disk.broker.client("watcher")
    watcher.subscribe("u", qos=0)
    pub = disk.broker.client("pub", V311)
    disk.set("slow 1500")
    before = rss(disk.broker.pid)
    flood = threading.Thread(target=lambda: pub.send(*[
        mw.publish("t/1", payload, 1, i + 1, version=V311) for i in range(count)]))
    flood.start()
    other = disk.broker.client("other")
    for number in range(40):
        other.send(mw.publish("u", b"%d" % number, 1, number + 1))
        other.expect("PUBACK", packet_id=number + 1)
        watcher.drain(lambda packet, n=number: packet.name == "PUBLISH"
                      and packet.payload == b"%d" % n)
        time.sleep(0.02)  # what is measured is how far it comes meanwhile
    assert flood.is_alive()
    assert rss(disk.broker.pid) - before < 2 * bound
    disk.set("good")
    for packet_id in range(1, count + 1):
        pub.expect("PUBACK", packet_id=packet_id, timeout=30)
    flood.join()


def test_qos_2_is_not_doubled_when_the_release_is_refused(disk):
    """PUBREL meets a disk that just filled up: nobody has the message then; later all have it once."""
    disk.broker.expect_error(r"(?i)store|space|disk|quota")
    watcher = disk.broker.client("watcher")
    watcher.subscribe("t/#", qos=2)
    pub = disk.broker.client("pub", clean=False, properties=KEEP)
    pub.send(mw.publish("t/1", b"once", 2, 5))
    pub.expect("PUBREC", packet_id=5)
    disk.set("fail ENOSPC")
    pub.send(mw.pubrel(5))
    pub.expect_closed(reason=0x97)
    watcher.quiet()
    disk.set("good")
    deadline = time.monotonic() + 30
    while True:
        conn = disk.broker.conn()
        conn.send(mw.connect("pub", V5, clean=False, properties=KEEP))
        connack = conn.expect("CONNACK")
        if connack.reason == 0:
            break
        assert connack.reason == 0x88
        assert time.monotonic() < deadline
    conn.send(mw.pubrel(5))
    conn.expect("PUBCOMP", packet_id=5)
    watcher.receive("t/1", b"once", 2)
    disk.sub.receive("t/1", b"once", 2)
    watcher.quiet()
    disk.sub.quiet()
