"""Retained messages (MQTT5 3.3.1.3, 3.8.3.1)."""
import time

import pytest

import mqttwire as mw
import passwords
from mqttwire import V5
from scenes import open_broker, settle


@pytest.fixture
def topic(plain, uid):
    """A topic whose retained message is cleared afterwards."""
    yield uid
    with plain.client(uid + "-clear") as conn:
        for name in (uid, f"{uid}/a", f"{uid}/b", f"{uid}/c"):
            conn.publish(name, b"", retain=True)
        conn.quiet()


def subscribed(conn, name, packet_id=1, **opts):
    """SUBSCRIBE; returns the retained messages that came for it, up to a PINGRESP."""
    conn.send(mw.subscribe(packet_id, [(name, mw.options(**opts))], conn.version))
    got = conn.drain(lambda p: p.name == "SUBACK")
    conn.send(mw.pingreq())
    got += conn.drain(lambda p: p.name == "PINGRESP")
    assert [p.name for p in got if p.name != "PUBLISH"] == ["SUBACK", "PINGRESP"], got
    for packet in got:
        if packet.name == "PUBLISH" and packet.qos == 1:
            conn.send(mw.puback(packet.packet_id, conn.version))
    return [p for p in got if p.name == "PUBLISH"]


@pytest.mark.parametrize("pub", [0, 1, 2])
@pytest.mark.parametrize("sub", [0, 1])
def test_a_new_subscriber_gets_the_retained_message(plain, version, topic, uid, pub, sub):
    sender, conn = plain.client(uid + "s", version), plain.client(uid + "r", version)
    sender.publish(topic, b"old", pub, retain=True)
    sender.publish(topic, b"new", pub, retain=True)
    sender.quiet()
    got = subscribed(conn, topic, qos=sub)
    assert [(p.payload, p.retain, p.qos, p.dup) for p in got] == [
        (b"new", True, min(pub, sub), False)]


def test_wildcards_find_retained_messages(plain, version, topic, uid):
    sender = plain.client(uid + "s", version)
    for letter in "abc":
        sender.publish(f"{uid}/{letter}", letter, 1, retain=True)
    for name, wanted in ((f"{uid}/+", "abc"), (f"{uid}/#", "abc"), (f"{uid}/b", "b"),
                         (f"+/a", "a")):
        conn = plain.client(uid + "r", version)
        got = [p for p in subscribed(conn, name) if p.topic.startswith(uid + "/")]
        assert sorted(p.payload.decode() for p in got) == list(wanted)


def test_an_empty_payload_clears(plain, version, topic, uid):
    sender, live = plain.client(uid + "s", version), plain.client(uid + "l", version)
    live.subscribe(topic)
    sender.publish(topic, b"m", 1, retain=True)
    live.receive(topic, b"m", retain=False)
    sender.publish(topic, b"", 1, retain=True)
    live.receive(topic, b"", retain=False)
    assert subscribed(plain.client(uid + "r", version), topic) == []


def test_a_message_without_the_flag_replaces_nothing(plain, version, topic, uid):
    sender = plain.client(uid + "s", version)
    sender.publish(topic, b"kept", 1, retain=True)
    sender.publish(topic, b"live", 1)
    sender.publish(topic, b"", 1)
    assert [p.payload for p in subscribed(plain.client(uid + "r", version), topic)] == [b"kept"]


def test_subscribing_again_brings_it_again(plain, version, topic, uid):
    sender, conn = plain.client(uid + "s", version), plain.client(uid + "r", version)
    sender.publish(topic, b"m", 1, retain=True)
    assert len(subscribed(conn, topic)) == 1
    assert len(subscribed(conn, topic, 2)) == 1


def test_retain_handling(plain, topic, uid):
    sender = plain.client(uid + "s")
    sender.publish(topic, b"m", 1, retain=True)
    always, first, never = (plain.client(uid + n) for n in "abc")
    assert [len(subscribed(always, topic, n, retain_handling=0)) for n in (1, 2)] == [1, 1]
    assert [len(subscribed(first, topic, n, retain_handling=1)) for n in (1, 2)] == [1, 0]
    assert [len(subscribed(never, topic, n, retain_handling=2)) for n in (1, 2)] == [0, 0]
    first.unsubscribe(topic)
    assert len(subscribed(first, topic, 3, retain_handling=1)) == 1


def test_retain_handling_1_knows_the_stored_session(plain, topic, uid):
    sender = plain.client(uid + "s")
    sender.publish(topic, b"m", 1, retain=True)
    keep = {"session_expiry_interval": 100}
    conn = plain.conn()
    conn.connect(uid, clean=False, properties=keep)
    assert len(subscribed(conn, topic, retain_handling=1)) == 1
    conn.disconnect()
    conn = plain.conn()
    conn.connect(uid, clean=False, properties=keep, session_present=True)
    assert subscribed(conn, topic, retain_handling=1) == []


def test_retained_messages_keep_the_flag_whatever_retain_as_published_says(plain, topic, uid):
    sender = plain.client(uid + "s")
    sender.publish(topic, b"m", 1, retain=True)
    for rap in (False, True):
        got = subscribed(plain.client(uid + "r"), topic, retain_as_published=rap)
        assert [p.retain for p in got] == [True]


def test_retained_messages_carry_properties_and_identifiers(plain, topic, uid):
    sender, conn = plain.client(uid + "s"), plain.client(uid + "r")
    sent = [("payload_format_indicator", 1), ("content_type", "text/plain"),
            ("response_topic", "r"), ("correlation_data", b"c"), ("user_property", ("k", "v")),
            ("user_property", ("k", "w"))]
    sender.publish(topic, b"m", 1, retain=True, properties=sent)
    conn.send(mw.subscribe(1, topic, properties={"subscription_identifier": 9}))
    conn.expect("SUBACK")
    got = conn.expect("PUBLISH", payload=b"m", retain=True)
    assert sorted(map(repr, got.properties)) == sorted(
        map(repr, sent + [("subscription_identifier", 9)]))


@pytest.mark.threads
def test_retained_messages_expire(plain, topic, uid):
    sender = plain.client(uid + "s")
    # The long one first: when the short one is gone, the long one has certainly grown older.
    sender.publish(f"{uid}/b", b"long", 1, retain=True, properties={"message_expiry_interval": 99})
    sender.publish(f"{uid}/a", b"short", 1, retain=True, properties={"message_expiry_interval": 1})
    deadline = time.monotonic() + 8
    packet_id = 0
    conn = plain.client(uid + "r")
    while True:
        packet_id += 1
        got = subscribed(conn, f"{uid}/+", packet_id)
        left = {p.payload: p.prop("message_expiry_interval") for p in got}
        assert 80 <= left[b"long"] <= 99
        if b"short" not in left:
            break
        assert time.monotonic() < deadline and left[b"short"] <= 1
    assert left[b"long"] < 99


def test_shared_subscriptions_get_no_retained_messages(plain, topic, uid):
    sender, conn = plain.client(uid + "s"), plain.client(uid + "r")
    sender.publish(topic, b"m", 1, retain=True)
    assert subscribed(conn, f"$share/g/{topic}") == []


def test_B122_retain_can_be_switched_off(shared_broker, uid):
    one = open_broker(shared_broker, extra="retain_available false\n")
    conn = one.conn()
    assert conn.connect(uid).prop("retain_available") == 0
    conn.send(mw.publish(uid, b"m", 1, 1, retain=True))
    conn.expect_closed(reason=0x9A)
    conn = one.conn()
    conn.send(mw.connect(uid, will=mw.Will(uid, b"w", retain=True)))
    conn.expect("CONNACK", reason=0x9A)


@pytest.mark.threads
def test_S10_setting_and_clearing_while_others_subscribe(plain, topic, uid):
    """Whoever subscribes sees the value before or after, and the live one last."""
    sender = plain.client(uid + "s")
    for turn in range(60):
        conn = plain.client(f"{uid}-{turn}")
        sender.send(mw.publish(topic, f"{turn}", retain=True))
        conn.send(mw.subscribe(1, topic))
        sender.send(mw.publish(topic, f"{turn}!", retain=True))
        last = f"{turn}!".encode()
        conn.drain(lambda p: p.name == "PUBLISH" and p.payload == last)
        # It may come twice: as what is retained, and live. Nothing older comes after it.
        sender.send(mw.publish(topic, "end"))
        rest = conn.drain(lambda p: p.name == "PUBLISH" and p.payload == b"end")
        assert {p.payload for p in rest if p.name == "PUBLISH"} <= {last, b"end"}
        conn.close()


@pytest.mark.slow
@pytest.mark.threads
def test_L165_B177_ten_thousand_retained_messages(plain, uid):
    """All come, in flight limits hold, and leaving in the middle harms nobody."""
    sender, count = plain.client(uid + "s"), 10000
    for number in range(count):
        sender.send(mw.publish(f"{uid}/{number}", str(number), retain=True))
    sender.quiet()
    conn = plain.client(uid + "r")
    conn.send(mw.subscribe(1, f"{uid}/#"))
    conn.expect("SUBACK")
    seen = {conn.expect("PUBLISH").topic for _ in range(count)}
    assert len(seen) == count
    for cut in (1, 1000, 5000):
        early = plain.client(uid + "e")
        early.send(mw.subscribe(1, f"{uid}/#"))
        for _ in range(cut):
            early.packet()
        early.reset()
    for number in range(count):
        sender.send(mw.publish(f"{uid}/{number}", b"", retain=True))
    sender.quiet()
    assert subscribed(plain.client(uid + "x"), f"{uid}/#") == []


@pytest.mark.needs("nightjar")
@pytest.mark.threads
def test_expired_messages_go_although_nobody_asks(broker, uid):
    one = broker("acl_file {dir}/acl\nsys_interval 1\n", mode="native",
                 files={"acl": "topic readwrite #\ntopic read $SYS/#\n"})
    conn, sender = one.client(uid), one.client(uid + "s")
    conn.subscribe("$SYS/broker/retained messages/count")

    def retain_all(**options):
        for number in range(200):
            sender.publish(f"{uid}/{number}", b"m", retain=True, **options)
        sender.publish(f"{uid}/kept", b"m", 1, retain=True)

    retain_all()
    while int(conn.expect("PUBLISH").payload) < 200:
        pass
    retain_all(properties={"message_expiry_interval": 1})
    while int(conn.expect("PUBLISH").payload) > 150:
        pass
    conn.subscribe(f"{uid}/#", packet_id=2)
    assert conn.receive(f"{uid}/kept").retain


def test_retain_expiry_interval_is_known(shared_broker, uid):
    one = open_broker(shared_broker, extra="retain_expiry_interval 1\n")
    sender = one.client(uid + "s")
    sender.publish(uid, b"m", 1, retain=True)
    assert len(subscribed(one.client(uid + "r"), uid)) == 1


def test_L038_only_who_may_write_may_clear(broker):
    one = broker("acl_file {dir}/acl\nallow_anonymous true\npassword_file {dir}/pw\n",
                 files={"acl": "user a\ntopic readwrite t\nuser b\ntopic read t\n",
                        "pw": passwords.file_text({"a": "a", "b": "b"})})
    for version in (4, V5):
        a = one.client("a", version, username="a", password="a")
        b = one.client("b", version, username="b", password="b")
        a.publish("t", b"keep", 1, retain=True)
        b.publish("t", b"", 1, retain=True, reason=0x87)
        got = subscribed(b, "t")
        assert [p.payload for p in got] == [b"keep"]
