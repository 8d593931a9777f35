#!/usr/bin/python3
"""A store that an older broker left: what was put into it, and what has to be found in it.

    old_store.py BROKER OUT.tar.xz      fills a store with BROKER, kills it, and packs what is there

stores/format-1.tar.xz was made so with the last broker that wrote format 1 (the parent of "store:
name an owner's scope instead of counting listeners"). `fill` runs with today's broker, too, so that
`check` is held against a store whose content is not in doubt."""
import pathlib
import sys
import tarfile

import mqttwire as mw
import passwords
from mqttwire import V5, V311, Will

HERE = pathlib.Path(__file__).resolve().parent

KEEP = {"session_expiry_interval": 0xFFFFFFFF}
LONG_TIME = 0xFFFFFF00  # seconds; whoever opens the store does so later
LARGE = bytes(range(256)) * 274  # beside the database
LONG_FILTER = "long/" + "x" * 300  # its key is a hash
QUEUED = 70  # more than a page of rows

SITE_A = ("listener {port} 127.0.0.1\nallow_anonymous true\npassword_file {dir}/a\n"
          "acl_file {dir}/acl\n")
SITE_B = "listener {port2} 127.0.0.1\nallow_anonymous false\npassword_file {dir}/b\n"
HEAD = "acl_default allow\npersistence true\npersistence_location {dir}\n"
FILES = {"a": passwords.file_text({"alice": "a"}), "b": passwords.file_text({"alice": "b"}),
         "acl": "topic readwrite #\nuser alice\ntopic readwrite #\n"}


def settings(*sites, head=""):
    return "per_listener_settings true\n" + HEAD + head + "".join(sites)


def stored(one, client_id, version=V5, **options):
    if version == V5:
        options.setdefault("properties", KEEP)
    return one.client(client_id, version, clean=False, **options)


def _fill_queues(one):
    sub = stored(one, "away")
    sub.subscribe([("q/+", mw.options(2, no_local=True, retain_as_published=True))],
                  properties={"subscription_identifier": 77})
    sub.subscribe([(LONG_FILTER, 1)])
    sub.disconnect()
    both = stored(one, "away-311", V311)
    both.subscribe([("q/both", 1)])
    both.close()
    pub = one.client("pub")
    pub.publish("q/both", b"for two", 1)
    pub.publish("q/large", LARGE, 1)
    pub.publish("q/props", b"props", 1, properties={"content_type": "text/plain",
                                                    "message_expiry_interval": LONG_TIME})
    pub.publish("q/gone", b"gone", 1, properties={"message_expiry_interval": 1})
    for number in range(QUEUED):
        pub.publish("q/many", b"%d" % number, 1, packet_id=number + 1)
    pub.publish(LONG_FILTER, b"long", 1)
    pub.publish("q/last", b"once", 2)


def _fill_flights(one):
    """Both directions, every state; the client is there when the broker dies."""
    flight = stored(one, "flight", properties={**KEEP, "receive_maximum": 3})
    flight.subscribe([("f", 2)])
    pub = one.client("pub-f")
    for number, qos in enumerate([2, 2, 1, 1]):
        pub.publish("f", b"%d" % number, qos, packet_id=number + 1)
    ids = [flight.expect("PUBLISH").packet_id for _ in range(3)]
    assert ids == [1, 2, 3]
    flight.send(mw.pubrec(1))
    flight.expect("PUBREL", packet_id=1)
    incoming = stored(one, "incoming", V311)
    incoming.send(mw.publish("q/incoming", b"not released", 2, 7, version=V311))
    incoming.expect("PUBREC", packet_id=7)


def _fill_retained(one):
    alice = one.client("alice-b", port="port2", username="alice", password=b"b")
    alice.publish("r/small", b"small", 2, retain=True, properties={"content_type": "text/plain"})
    alice.publish("r/large", LARGE, 1, retain=True)
    alice.publish("r/cleared", b"x", 1, retain=True)
    alice.publish("r/cleared", b"", 1, retain=True)


def _fill_wills(one):
    stored(one, "watcher").subscribe([("w/#", 2)])
    soon = {"will_delay_interval": 1}
    late = {"will_delay_interval": LONG_TIME}
    stored(one, "will-soon", will=Will("w/soon", b"soon", 2, properties=soon))
    stored(one, "will-late", will=Will("w/late", b"late", 1, properties=late))
    one.client("will-volatile", clean=False, will=Will("w/volatile", b"volatile", 1),
               properties={"session_expiry_interval": 0})


def fill(one):
    """With `settings(SITE_A, SITE_B)`. Everything that is stored was answered."""
    stored(one, "dev-a", username="alice", password=b"a").close()
    stored(one, "dev-b", port="port2", username="alice", password=b"b").close()
    _fill_queues(one)
    _fill_flights(one)
    _fill_retained(one)
    _fill_wills(one)
    stored(one, "member").subscribe([("$share/g/s", 1)])
    # An answer to who was first and one to who was last: what was asked for between is durable.
    for client_id in ("flight", "last"):
        one.client(client_id + "-end").publish("r/end", b"end", 1, retain=True)


# One of the sessions ends with its connection and is kept for its will.
SESSIONS, SUBSCRIPTIONS = 11, 6


# ---- what has to be found


def _check_queues(one):
    sub = stored(one, "away", session_present=True)
    assert sub.receive("q/both", b"for two", 1).prop("subscription_identifier") == 77
    sub.receive("q/large", LARGE, 1)
    got = sub.receive("q/props", b"props", 1)
    assert got.prop("content_type") == "text/plain"
    assert LONG_TIME - 10 * 365 * 86400 < got.prop("message_expiry_interval") <= LONG_TIME
    for number in range(QUEUED):
        sub.receive("q/many", b"%d" % number, 1)
    sub.receive(LONG_FILTER, b"long", 1)
    sub.receive("q/last", b"once", 2)
    sub.quiet()
    stored(one, "away-311", V311, session_present=True).receive("q/both", b"for two", 1)
    one.client("now").publish("q/now", b"now", 1, retain=True)
    got = sub.receive("q/now", b"now", 1, retain=True)  # as published
    assert got.prop("subscription_identifier") == 77
    sub.publish("q/own", b"own", 1)
    sub.quiet()  # no-local


def _check_flights(one):
    flight = stored(one, "flight", session_present=True,
                    properties={**KEEP, "receive_maximum": 3})
    flight.expect("PUBREL", packet_id=1)
    flight.expect("PUBLISH", packet_id=2, dup=True, qos=2, payload=b"1")
    flight.expect("PUBLISH", packet_id=3, dup=True, qos=1, payload=b"2")
    flight.send(mw.pubcomp(1), mw.pubrec(2), mw.puback(3))
    rest = flight.drain(lambda p: p.name == "PUBLISH")
    assert [p.packet_id for p in rest if p.name == "PUBREL"] in ([], [2])
    assert rest[-1].payload == b"3" and not rest[-1].dup
    away = stored(one, "away", session_present=True)
    incoming = stored(one, "incoming", V311, session_present=True)
    incoming.send(mw.publish("q/incoming", b"not released", 2, 7, dup=True, version=V311))
    incoming.expect("PUBREC", packet_id=7)
    incoming.send(mw.pubrel(7, V311))
    incoming.expect("PUBCOMP", packet_id=7)
    away.receive("q/incoming", b"not released", 2)
    away.quiet()  # once


def _check_retained(one):
    sub = one.client("reader")
    sub.send(mw.subscribe(1, [("r/#", 2)]), mw.pingreq())
    seen = [p for p in sub.drain(lambda p: p.name == "PINGRESP") if p.name == "PUBLISH"]
    found = {p.topic: p for p in seen}
    assert set(found) == {"r/small", "r/large", "r/end"} and len(seen) == 3
    assert found["r/small"].payload == b"small" and found["r/small"].qos == 2
    assert found["r/small"].prop("content_type") == "text/plain"
    assert found["r/large"].payload == LARGE and found["r/large"].qos == 1


def _check_wills(one):
    watcher = stored(one, "watcher", session_present=True)
    assert {watcher.receive(timeout=20).topic for _ in range(2)} == {"w/soon", "w/volatile"}
    stored(one, "will-late", session_present=True).disconnect()  # in time
    watcher.quiet()


def check_owners(one):
    """Each listener's alice has her own session, and the other one does not get it."""
    for client_id, port, password in (("dev-a", "port2", b"b"), ("dev-b", "port", b"a")):
        conn = one.conn(port=port)
        conn.send(mw.connect(client_id, clean=False, username="alice", password=password,
                             properties=KEEP))
        assert conn.expect("CONNACK").reason == 0x87
    stored(one, "dev-a", session_present=True, username="alice", password=b"a").close()
    stored(one, "dev-b", session_present=True, port="port2", username="alice",
           password=b"b").close()


def check(one):
    """A broker that was started on it."""
    _check_wills(one)
    _check_queues(one)
    _check_flights(one)
    _check_retained(one)
    member = stored(one, "member", session_present=True)
    one.client("now").publish("s", b"shared", 1)
    member.receive("s", b"shared", 1)
    check_owners(one)


# ---- files


def pack(folder, out):
    with tarfile.open(out, "w:xz") as tar:
        for path in sorted(folder.rglob("*")):
            if path.name not in ("nightjar.lock", "lock.mdb"):
                info = tar.gettarinfo(path, str(path.relative_to(folder)))
                info.uid = info.gid = info.mtime = 0
                info.uname = info.gname = ""
                with open(path, "rb") if path.is_file() else open("/dev/null", "rb") as file:
                    tar.addfile(info, file)


def unpack(name, folder):
    """The store `name`, into a new folder."""
    folder.mkdir(mode=0o700)
    with tarfile.open(HERE / "stores" / f"{name}.tar.xz") as tar:
        tar.extractall(folder)


def main():
    from brokerproc import Broker, Options
    Options.binary = str(pathlib.Path(sys.argv[1]).resolve())
    one = Broker(settings(SITE_A, SITE_B), listener=False, anonymous=False, files=FILES).start()
    try:
        fill(one)
        one.kill()
        pack(next(one.dir.glob("*.store")), sys.argv[2])
    finally:
        one.remove()


if __name__ == "__main__":
    main()
