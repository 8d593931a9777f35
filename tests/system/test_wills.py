"""Wills: when they fire, when not, and with which rights (MQTT5 3.1.2.5, 3.1.3.2)."""
import time

import pytest

import mqttwire as mw
from brokerproc import Options
import passwords
from mqttwire import V31, V311, V5, Will
from scenes import open_broker, settle

KEEP = {"session_expiry_interval": 100}


@pytest.fixture
def watcher(plain, uid):
    conn = plain.client(uid + "-watch")
    conn.subscribe(f"{uid}/#", qos=2)
    return conn


@pytest.mark.parametrize("end", ["close", "reset", "garbage", "keepalive"])
def test_a_lost_connection_fires_the_will(plain, version, watcher, uid, end):
    conn = plain.client(uid, version, will=Will(f"{uid}/w", b"gone", 1),
                        keep_alive=1 if end == "keepalive" else 60)
    if end == "garbage":
        conn.send(b"\x00\x00")
    elif end != "keepalive":
        getattr(conn, end)()
    watcher.receive(f"{uid}/w", b"gone", 1, retain=False)


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("retain", [False, True])
def test_qos_and_retain_of_a_will(plain, version, watcher, uid, qos, retain):
    plain.client(uid, version, will=Will(f"{uid}/w", b"gone", qos, retain)).close()
    watcher.receive(f"{uid}/w", b"gone", qos, retain=False)
    late = plain.client(uid + "late")
    late.send(mw.subscribe(1, f"{uid}/w"), mw.pingreq())
    got = [p for p in late.drain(lambda p: p.name == "PINGRESP") if p.name == "PUBLISH"]
    assert [(p.payload, p.retain) for p in got] == ([(b"gone", True)] if retain else [])
    if retain:
        late.publish(f"{uid}/w", b"", retain=True)


def test_a_disconnect_takes_the_will_away(plain, version, watcher, uid):
    conn = plain.client(uid, version, will=Will(f"{uid}/w", b"gone", 1))
    conn.disconnect()
    settle(plain.client(uid, version), watcher)


def test_B184_disconnect_4_keeps_the_will(plain, watcher, uid):
    conn = plain.client(uid, will=Will(f"{uid}/w", b"gone", 1))
    conn.disconnect(0x04)
    watcher.receive(f"{uid}/w", b"gone")


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("reason", [0x80, 0x81, 0x93, 0x97, 0x99])
def test_a_disconnect_with_an_error_keeps_the_will(plain, watcher, uid, reason):
    """MQTT5 3.1.2-8, 3.14.4-3: only 0x00 takes it back."""
    conn = plain.client(uid, will=Will(f"{uid}/w", b"gone", 1))
    conn.disconnect(reason)
    watcher.receive(f"{uid}/w", b"gone")


def test_a_disconnect_that_says_0_takes_the_will_away(plain, watcher, uid):
    conn = plain.client(uid, will=Will(f"{uid}/w", b"gone", 1))
    conn.disconnect(0, {"reason_string": "done"})
    settle(plain.client(uid), watcher)


def test_a_retained_will_that_expires_at_once_does_not_stay(plain, watcher, uid):
    """An interval of 0 is none that is missing (MQTT5 3.1.3.2.4)."""
    at_once = {"message_expiry_interval": 0}
    plain.client(uid, will=Will(f"{uid}/w", b"gone", 1, properties=at_once)).close()
    if Options.store != "lmdb":  # where it is too old when it has been written
        assert watcher.receive(f"{uid}/w", b"gone").prop("message_expiry_interval") in (0, 1)
    plain.client(uid, will=Will(f"{uid}/w", b"kept", 1, True, properties=at_once)).disconnect(4)
    late = plain.client(uid)  # comes after the will
    deadline = time.monotonic() + mw.PATIENCE
    names = ["PUBLISH"]
    while "PUBLISH" in names and time.monotonic() < deadline:
        late.send(mw.subscribe(1, f"{uid}/w"), mw.pingreq())
        names = [p.name for p in late.drain(lambda p: p.name == "PINGRESP")]
    assert names == ["SUBACK", "PINGRESP"]


def test_will_properties_arrive(plain, watcher, uid):
    sent = [("payload_format_indicator", 1), ("message_expiry_interval", 50),
            ("content_type", "text/plain"), ("response_topic", "answers"),
            ("correlation_data", b"\0\1"), ("user_property", ("k", "v")),
            ("user_property", ("k", "w"))]
    plain.client(uid, will=Will(f"{uid}/w", "gone", properties=sent)).close()
    got = watcher.receive(f"{uid}/w", b"gone")
    assert sorted(map(repr, got.properties)) == sorted(map(repr, sent))


@pytest.mark.threads
def test_a_will_with_delay_waits_and_a_reconnect_cancels_it(plain, watcher, uid):
    def away(delay, name):
        conn = plain.conn()
        conn.connect(name, clean=False, properties=KEEP, will=Will(
            f"{uid}/{name}", b"gone", properties={"will_delay_interval": delay}))
        conn.close()
    began = time.monotonic()
    away(1, uid + "a")
    away(60, uid + "b")
    back = plain.conn()
    back.connect(uid + "b", clean=False, session_present=True)
    watcher.receive(f"{uid}/{uid}a", b"gone", timeout=10)
    assert time.monotonic() - began > 0.9
    settle(plain.client(uid + "s"), watcher)


def test_B064_the_session_end_ends_the_delay(plain, watcher, uid):
    """Delay 0xFFFFFFFF but expiry 0: at once. Delay 60 but expiry 1: after a second."""
    conn = plain.client(uid + "a", will=Will(f"{uid}/a", b"gone", properties={
        "will_delay_interval": 0xFFFFFFFF}))
    conn.close()
    watcher.receive(f"{uid}/a", b"gone")
    conn = plain.conn()
    conn.connect(uid + "b", properties={"session_expiry_interval": 1}, will=Will(
        f"{uid}/b", b"gone", properties={"will_delay_interval": 60}))
    conn.close()
    watcher.receive(f"{uid}/b", b"gone", timeout=8)


def test_a_delayed_will_fires_when_a_clean_start_ends_the_session(plain, watcher, uid):
    conn = plain.conn()
    conn.connect(uid, properties=KEEP, will=Will(f"{uid}/w", b"gone", properties={
        "will_delay_interval": 60}))
    conn.close()
    plain.client(uid, clean=True)
    watcher.receive(f"{uid}/w", b"gone")


@pytest.mark.threads
def test_L041_takeover_fires_the_will_once(plain, watcher, version, uid):
    plain.client(uid, version, will=Will(f"{uid}/w", b"gone"))
    new = plain.client(uid, version)
    watcher.receive(f"{uid}/w", b"gone")
    settle(new, watcher)


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("old_version", [V31, V311, V5], ids=["v31", "v311", "v5"])
def test_a_take_over_that_resumes_the_session_fires_a_will_without_delay(
        shared_broker, mode, uid, old_version):
    """Its connection is closed, and not by DISCONNECT (MQTT3 3.1.2-8, MQTT5 3.1.4); the original
    sends none. In both modes."""
    one = open_broker(shared_broker, mode)
    watch = one.client(uid + "-watch")
    watch.subscribe(f"{uid}/#")

    def stored(session_present, will=None):
        conn = one.conn(old_version)
        conn.connect(uid, clean=False, will=will, session_present=session_present,
                     properties=KEEP if old_version == V5 else None)
        return conn

    stored(False, Will(f"{uid}/w", b"gone"))
    new = stored(True if old_version != V31 else None)
    watch.receive(f"{uid}/w", b"gone")
    settle(new, watch)


def test_L041_takeover_with_a_delay_fires_no_will(plain, watcher, uid):
    old = plain.conn()
    old.connect(uid, clean=False, properties=KEEP, will=Will(
        f"{uid}/w", b"gone", properties={"will_delay_interval": 60}))
    new = plain.conn()
    new.connect(uid, clean=False, properties=KEEP, session_present=True)
    old.expect_closed(reason=0x8E)
    settle(new, watcher)


def test_the_new_connect_brings_a_new_will(plain, watcher, uid):
    first = plain.client(uid, will=Will(f"{uid}/w", b"first"))
    first.disconnect()
    plain.client(uid, will=Will(f"{uid}/w", b"second")).close()
    watcher.receive(f"{uid}/w", b"second")
    settle(plain.client(uid + "x"), watcher)


@pytest.mark.threads
def test_S09_will_delay_session_end_and_reconnect_in_every_order(plain, watcher, uid):
    def session(name, delay, expiry):
        conn = plain.conn()
        conn.connect(name, clean=False, properties={"session_expiry_interval": expiry},
                     will=Will(f"{uid}/{name}", b"gone",
                               properties={"will_delay_interval": delay}))
        conn.close()
    session("a" + uid, 0, 50)
    watcher.receive(f"{uid}/a{uid}")
    session("b" + uid, 1, 1)
    watcher.receive(f"{uid}/b{uid}", timeout=8)
    session("c" + uid, 1, 0)
    watcher.receive(f"{uid}/c{uid}")
    session("d" + uid, 2, 50)
    conn = plain.conn()
    conn.connect("d" + uid, clean=False, session_present=True)
    conn.disconnect()
    session("e" + uid, 1, 50)
    watcher.receive(f"{uid}/e{uid}", timeout=8)
    settle(plain.client(uid + "x"), watcher)


def test_L004_a_refused_login_leaves_no_will(broker):
    one = broker("allow_anonymous false\npassword_file {dir}/pw\nacl_file {dir}/acl\n",
                 files={"pw": passwords.file_text({"a": "right"}), "acl": "user a\ntopic #\n"})
    watch = one.client("w", username="a", password="right")
    watch.subscribe("#")
    for version in (3, 4, 5):
        for retain in (False, True):
            conn = one.conn(version)
            conn.send(mw.connect("x", version, username="a", password="wrong",
                                 will=Will("t", b"evil", 1, retain)))
            assert conn.expect("CONNACK").reason != 0
            conn.close()
    watch.publish("end", b"1")
    watch.receive("end", b"1")
    watch.unsubscribe("#")
    watch.send(mw.subscribe(3, "t"), mw.pingreq())
    assert [p.name for p in watch.drain(lambda p: p.name == "PINGRESP")] == ["SUBACK", "PINGRESP"]


ACL = "user a\ntopic readwrite ok/#\nuser w\ntopic readwrite #\n"


HASHES = {name: passwords.sha512(name) for name in "aw"}


def lines(names):
    """Password file lines; the hash of a user stays the same from call to call."""
    return "".join(f"{n}:{HASHES[n]}\n" for n in names)


def guarded(broker, mode, acl=ACL):
    return broker("allow_anonymous false\npassword_file {dir}/pw\nacl_file {dir}/acl\n", mode=mode,
                  files={"pw": lines("aw"), "acl": acl})


@pytest.mark.needs("nightjar")
def test_L002_wills_without_the_right(broker, mode, version):
    """Native: refused at CONNECT. Compat: accepted as the original does, but nothing comes out."""
    one = guarded(broker, mode)
    watch = one.client("w", username="w", password="w")
    watch.subscribe("#")
    for number in range(20):
        conn = one.conn(version)
        conn.send(mw.connect(f"x{number}", version, username="a", password="a",
                             will=Will("forbidden/x", b"e" * 4096)))
        answer = conn.expect("CONNACK")
        if mode == "native":
            assert answer.reason == (0x87 if version == V5 else 5)
        else:
            assert answer.reason == 0
        conn.close()
    one.client("good", version, username="a", password="a", will=Will("ok/w", b"fine")).close()
    watch.receive("ok/w", b"fine")
    settle(watch, watch)


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("how", ["acl", "user"])
@pytest.mark.threads
def test_L003_L005_a_right_that_was_taken_after_connect(broker, mode, version, how):
    """The will is checked again when it fires: a delayed one, and one of a live connection."""
    one = guarded(broker, mode)
    watch = one.client("w", username="w", password="w")
    watch.subscribe("ok/#")
    live = one.client("live", version, username="a", password="a", will=Will("ok/live", b"evil"))
    late = one.conn(V5)
    late.connect("late", username="a", password="a", properties=KEEP,
                 will=Will("ok/late", b"evil", properties={"will_delay_interval": 1}))
    late.close()
    if how == "acl":
        one.write("acl", "user w\ntopic readwrite #\n")
    else:
        one.write("pw", lines("w"))
    one.reload()
    began = time.monotonic()
    if how == "acl":
        live.close()
    else:
        try:
            live.expect_closed(reason={0x87, 0x98})
        except AssertionError:
            live.close()
    if mode == "compat":  # the change of rights ended the watcher's session, too
        try:
            watch.quiet()
        except (mw.WireError, AssertionError):
            watch = one.client("w", username="w", password="w")
            watch.subscribe("ok/#")
    sender = one.client("probe", username="w", password="w")
    while time.monotonic() - began < 2.2:  # past the delay; every round trip proves silence
        settle(sender, watch)


@pytest.mark.needs("nightjar")
def test_wills_on_special_topics_never_come_out(broker, mode, version, uid):
    one = open_broker(broker, mode)
    watch = one.client(uid)
    watch.subscribe("#", retain_handling=2)
    for topic in ("$SYS/broker/x", "$share/g/t", "$CONTROL/x"):
        conn = one.conn(version)
        conn.send(mw.connect(uid + "x", version, will=Will(topic, b"evil")))
        try:
            conn.expect("CONNACK")
        except mw.Closed:
            pass
        conn.close()
    settle(one.client(uid + "s"), watch)
    watch.close()


@pytest.mark.needs("nightjar")
def test_wills_that_are_not_the_UTF8_they_say_pass_in_compat_mode(broker, mode):
    one = open_broker(broker, mode)
    conn = one.conn()
    conn.send(mw.connect("x", will=Will("t", b"\xff", properties={"payload_format_indicator": 1})))
    conn.expect("CONNACK", reason=0x99 if mode == "native" else 0)


@pytest.mark.needs("nightjar", "native")
def test_wills_fire_at_the_stop_of_nobody(broker):
    """A broker that stops tells MQTT 5 clients that it goes (0x8B)."""
    one = broker("acl_default allow\n")
    conn = one.client("a", will=Will("t", b"w"))
    old = one.client("b", 4)
    one.stop()
    conn.expect_closed(reason=0x8B)
    old.expect_closed()
