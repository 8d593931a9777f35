"""SUBSCRIBE, UNSUBSCRIBE and what is delivered for them (MQTT5 3.8 – 3.11, 4.7)."""
import time

import pytest

import mqttwire as mw
from mqttwire import V5, options
from scenes import open_broker, settle

MATCHES = [
    # filter, topics that match, topics that do not
    ("a/b", ["a/b"], ["a", "a/b/", "/a/b", "A/b", "a/b/c"]),
    ("a/+", ["a/b", "a/"], ["a", "a/b/c", "b/a"]),
    ("+", ["a"], ["a/b", "/a", "a/"]),
    ("+/+", ["a/b", "/a", "a/", "/"], ["a", "a/b/c"]),
    ("a/#", ["a", "a/b", "a/b/c", "a/"], ["b", "ab", "/a"]),
    ("#", ["a", "/a", "a/b/c", "/", "a//b", " "], ["$x", "$SYS/a"]),
    ("+/b", ["a/b", "/b"], ["b", "$x/b", "a/b/c"]),
    ("/+", ["/a", "/"], ["a", "/a/b"]),
    ("a/+/c/#", ["a/b/c", "a/b/c/d", "a//c"], ["a/c", "a/b/d"]),
    ("a//b", ["a//b"], ["a/b", "a/x/b"]),
    ("//", ["//"], ["/", "///"]),
    ("$x/#", ["$x", "$x/a"], ["x/a"]),
    ("$x/+", ["$x/a"], ["$x", "$x/a/b"]),
    (" ", [" "], ["", "  "]),
]


@pytest.mark.parametrize("name,good,bad", MATCHES, ids=[m[0] for m in MATCHES])
def test_B106_filters_match_as_the_standard_says(plain, uid, name, good, bad):
    """Each filter against topics that match and that do not; a last message proves the rest."""
    with plain.client(uid) as conn:
        sender = plain.client(uid + "s")
        conn.subscribe([(name, 0), (uid, 0)])
        for topic in [t for t in good + bad if t]:
            if topic.startswith("$SYS"):
                continue
            sender.send(mw.publish(topic, uid))
        sender.send(mw.publish(uid, b"end"))
        got = [p.topic for p in conn.drain(lambda p: p.topic == uid and p.payload == b"end")
               if p.payload == uid.encode()]
        assert got == [t for t in good if t]


def test_special_topics_need_a_filter_that_names_them(plain, version, uid):
    conn = plain.client(uid, version)
    conn.subscribe([("#", 0), ("+/b", 0)])
    conn.send(mw.publish("$foo/b", b"1", version=version), mw.publish(uid, b"2", version=version))
    assert conn.expect("PUBLISH").topic == uid


@pytest.mark.parametrize("bad", ["a/#/b", "a#", "#a", "+a", "a+/b", "##", "/#/", "a/+b", "+#"])
def test_B169_invalid_filters_close_the_connection(plain, version, uid, bad):
    conn = plain.client(uid, version)
    conn.send(mw.subscribe(1, bad, version))
    conn.expect_closed(reason={0x81, 0x82, 0x8F})
    conn = plain.client(uid, version)
    conn.send(mw.unsubscribe(1, bad, version))
    conn.expect_closed(reason={0x81, 0x82, 0x8F})


@pytest.mark.parametrize("bad", ["$share", "$share/", "$share/g", "$share/g/", "$share//t",
                                 "$share/+/t", "$share/g#/t", "$share/a+b/t", "$share/#/t"])
def test_B170_invalid_shared_filters_close_the_connection(plain, uid, bad):
    conn = plain.client(uid)
    conn.send(mw.subscribe(1, bad))
    conn.expect_closed(reason={0x81, 0x82, 0x8F})


def test_B171_a_share_in_a_share(plain, uid):
    conn = plain.client(uid)
    conn.send(mw.subscribe(1, "$share/g/$share/h/t"))
    first = conn.packet()
    assert first.name in ("SUBACK", "DISCONNECT"), first


def test_empty_filter(plain, version, uid):
    conn = plain.client(uid, version)
    conn.send(mw.subscribe(1, "", version))
    conn.expect_closed(reason={0x81, 0x82, 0x8F})


@pytest.mark.parametrize("what", ["subscribe", "unsubscribe"])
def test_B161_B179_without_a_filter(plain, version, uid, what):
    conn = plain.client(uid, version)
    conn.send(getattr(mw, what)(1, [], version))
    conn.expect_closed(reason={0x81, 0x82})


@pytest.mark.parametrize("what", ["subscribe", "unsubscribe"])
def test_B162_B179_packet_id_zero(plain, version, uid, what):
    conn = plain.client(uid, version)
    conn.send(getattr(mw, what)(0, "a", version))
    conn.expect_closed(reason={0x81, 0x82})


@pytest.mark.parametrize("bits,reason", [(3, {0x81, 0x82}), (0x40, 0x81), (0x80, 0x81),
                                         (0xC0, 0x81), (0x30, {0x81, 0x82})])
def test_B164_B165_reserved_option_bits(plain, uid, bits, reason):
    conn = plain.client(uid)
    conn.send(mw.subscribe(1, [("a", bits)]))
    conn.expect_closed(reason=reason)


@pytest.mark.parametrize("bits", [3, 4, 8, 0x10, 0x80])
def test_B164_reserved_bits_of_mqtt311(plain, uid, bits):
    conn = plain.client(uid, 4)
    conn.send(mw.subscribe(1, [("a", bits)], 4))
    conn.expect_closed()


def test_B166_no_local_on_a_share(plain, uid):
    conn = plain.client(uid)
    conn.send(mw.subscribe(1, [("$share/g/t", options(no_local=True))]))
    conn.expect_closed(reason=0x82)


def test_B167_subscription_identifier_zero_or_twice(plain, uid):
    conn = plain.client(uid)
    conn.send(mw.subscribe(1, "a", properties={"subscription_identifier": 0}))
    conn.expect_closed(reason=0x82)
    conn = plain.client(uid)
    conn.send(mw.subscribe(1, "a", properties={"subscription_identifier": [1, 2]}))
    conn.expect_closed(reason=0x82)


def test_B172_L120_a_filter_of_slashes_only(plain, version, uid):
    other = plain.client(uid + "o")
    for count in (201, 5000, 65535):
        conn = plain.client(uid, version)
        conn.send(mw.subscribe(1, "/" * count, version))
        seen = conn.expect_closed(reason={0x81, 0x82, 0x8F, 0x97})
        assert not [p for p in seen if p.name == "SUBACK" and p.reasons[0] < 0x80]
        conn = plain.client(uid, version)
        conn.send(mw.publish("/" * count, b"x", version=version))
        conn.expect_closed(reason={0x81, 0x82, 0x90})
    other.quiet()


def test_levels_up_to_the_limit_work(plain, version, uid):
    conn = plain.client(uid, version)
    deep = uid + "/x" * 190
    conn.subscribe(deep)
    conn.publish(deep, b"m")
    conn.receive(deep, b"m")


def test_B174_the_same_filter_twice_in_one_packet(plain, version, uid):
    conn = plain.client(uid, version)
    conn.subscribe([(uid, 0), (uid, 1)], reasons=[0, 1])
    conn.send(mw.publish(uid, b"m", 1, 3, version=version))
    got = [conn.packet(), conn.packet()]
    assert sorted(p.name for p in got) == ["PUBACK", "PUBLISH"]
    assert [p.qos for p in got if p.name == "PUBLISH"] == [1]
    conn.quiet()


def test_a_new_subscription_replaces_the_old_one(plain, version, uid):
    conn, sender = plain.client(uid, version), plain.client(uid + "s", version)
    conn.subscribe(uid, qos=2)
    conn.subscribe(uid, qos=0, packet_id=2)
    sender.publish(uid, b"m", 2)
    conn.receive(uid, b"m", 0)
    settle(sender, conn)


@pytest.mark.threads
def test_overlapping_subscriptions(plain, version, uid):
    """MQTT 3: one copy with the highest QoS. MQTT 5: a copy for each, as the original does."""
    conn, sender = plain.client(uid, version), plain.client(uid + "s", version)
    filters = [(f"{uid}/#", 2), (f"{uid}/+", 1), (f"{uid}/a", 0)]
    if version == V5:
        for number, (name, qos) in enumerate(filters, 1):
            conn.subscribe([(name, qos)], packet_id=number,
                           properties={"subscription_identifier": number})
    else:
        conn.subscribe(filters)
    sender.publish(f"{uid}/a", b"m", 2)
    if version != V5:
        conn.receive(f"{uid}/a", b"m", 2)
    else:
        got = [conn.receive(f"{uid}/a", b"m") for _ in range(3)]
        assert sorted((p.props("subscription_identifier"), p.qos) for p in got) == [
            ([1], 2), ([2], 1), ([3], 0)]
    settle(sender, conn)


@pytest.mark.needs("nightjar")
def test_mqtt3_gets_a_copy_for_each_overlapping_subscription_where_that_is_wanted(
        shared_broker, version, uid):
    one = open_broker(shared_broker, extra="allow_duplicate_messages true\n")
    conn, sender = one.client(uid, version), one.client(uid + "s", version)
    conn.subscribe([(f"{uid}/#", 2), (f"{uid}/+", 1), (f"{uid}/a", 0)])
    sender.publish(f"{uid}/a", b"m", 2)
    assert [conn.receive(f"{uid}/a", b"m").qos for _ in range(3)] == [0, 1, 2]
    settle(sender, conn)


def test_copies_for_overlapping_subscriptions_come_in_the_order_of_mosquitto(shared_broker, mode,
                                                                             uid):
    """Down the level's own name first, then '+', then '#'; below the last level '#' comes first."""
    filters = [f"{uid}/a/b/#", f"{uid}/a/b", f"{uid}/a/+", f"{uid}/a/#", f"{uid}/+/b/#",
               f"{uid}/+/b", f"{uid}/+/+", f"{uid}/+/#", f"{uid}/#"]
    one = open_broker(shared_broker, mode)
    conn, sender = one.client(uid), one.client(uid + "s")
    order = [3, 0, 8, 5, 1, 7, 2, 6, 4]
    for number in order:
        conn.subscribe(filters[number], packet_id=number + 1,
                       properties={"subscription_identifier": number + 1})
    sender.publish(f"{uid}/a/b", b"m")
    got = [conn.receive(payload=b"m").prop("subscription_identifier") for _ in filters]
    assert got == list(range(1, len(filters) + 1))


def test_subscription_identifiers_come_with_messages(plain, uid):
    conn, sender = plain.client(uid), plain.client(uid + "s")
    for number, value in enumerate((1, 127, 128, 16383, 16384, 268435455), 1):
        conn.subscribe(f"{uid}/{value}", packet_id=number,
                       properties={"subscription_identifier": value})
        sender.publish(f"{uid}/{value}", b"m")
        conn.receive(properties=[("subscription_identifier", value)])
    conn.subscribe(f"{uid}/1", packet_id=9)  # without: replaces the one with
    sender.publish(f"{uid}/1", b"m")
    conn.receive(properties=[])


def test_no_local(plain, uid):
    conn, sender = plain.client(uid), plain.client(uid + "s")
    conn.subscribe(uid, no_local=True, qos=1)
    conn.publish(uid, b"own", 1)
    conn.publish(uid, b"own", 0)
    sender.publish(uid, b"other", 1)
    conn.receive(uid, b"other", 1)
    settle(sender, conn)


def test_no_local_counts_for_each_subscription(plain, uid):
    conn = plain.client(uid)
    conn.subscribe([(f"{uid}/a", options(no_local=True)), (f"{uid}/+", 0)], reasons=[0, 0])
    conn.publish(f"{uid}/a", b"own")
    conn.receive(f"{uid}/a", b"own")
    conn.quiet()


@pytest.mark.threads
def test_no_local_with_a_stored_session(plain, uid):
    conn = plain.conn()
    conn.connect(uid, clean=False, properties={"session_expiry_interval": 100})
    conn.subscribe(uid, no_local=True, qos=1)
    conn.publish(uid, b"own", 1)
    conn.disconnect()
    conn = plain.conn()
    conn.connect(uid, clean=False, session_present=True)
    conn.quiet()
    conn.publish(uid, b"own", 1)
    conn.quiet()


def test_retain_as_published(plain, uid):
    kept, cleared, sender = (plain.client(uid + n) for n in "abs")
    kept.subscribe(uid, retain_as_published=True)
    cleared.subscribe(uid)
    sender.publish(uid, b"m", retain=True)
    sender.publish(uid, b"n", retain=False)
    kept.receive(uid, b"m", retain=True)
    kept.receive(uid, b"n", retain=False)
    cleared.receive(uid, b"m", retain=False)
    cleared.receive(uid, b"n", retain=False)
    sender.publish(uid, b"", retain=True)


def test_unsubscribe(plain, version, uid):
    conn, sender = plain.client(uid, version), plain.client(uid + "s", version)
    conn.subscribe([(f"{uid}/a", 1), (f"{uid}/b", 1)])
    conn.unsubscribe([f"{uid}/a", f"{uid}/none"], reasons=[0, 0x11])
    sender.publish(f"{uid}/a", b"gone", 1)
    sender.publish(f"{uid}/b", b"there", 1, packet_id=2)
    conn.receive(f"{uid}/b", b"there")
    settle(sender, conn)


def test_an_unsuback_of_mqtt3_has_four_bytes(plain, uid):
    conn = plain.client(uid, 4)
    conn.send(mw.unsubscribe(0x1234, ["a", "b"], 4))
    conn.expect_bytes(bytes.fromhex("b0 02 12 34"))


def test_unsubscribe_keeps_what_is_in_flight(plain, version, uid):
    conn, sender = plain.client(uid, version), plain.client(uid + "s", version)
    conn.subscribe(uid, qos=2)
    sender.publish(uid, b"m", 2)
    got = conn.expect("PUBLISH")
    conn.unsubscribe(uid)
    conn.send(mw.pubrec(got.packet_id, version))
    conn.expect("PUBREL", packet_id=got.packet_id)
    conn.send(mw.pubcomp(got.packet_id, version))
    settle(sender, conn)


@pytest.mark.threads
def test_subscriptions_live_in_the_session(plain, version, uid):
    keep = {"session_expiry_interval": 100} if version == V5 else None
    conn, sender = plain.conn(version), plain.client(uid + "s", version)
    conn.connect(uid, clean=False, properties=keep)
    conn.subscribe([(f"{uid}/{n}", n % 3) for n in range(20)])
    conn.close()
    conn = plain.conn(version)
    conn.connect(uid, clean=False, properties=keep)
    for number in range(20):
        sender.publish(f"{uid}/{number}", b"m", 2, packet_id=number + 1)
        conn.receive(f"{uid}/{number}", b"m", number % 3)
    conn.disconnect()
    plain.client(uid, version).disconnect()  # a clean start ends them
    conn = plain.conn(version)
    conn.connect(uid, clean=False, properties=keep)
    sender.publish(f"{uid}/1", b"m", 1)
    settle(sender, conn)


def test_B175_a_megabyte_of_filters_in_one_subscribe(plain, version, uid):
    conn, other = plain.client(uid, version), plain.client(uid + "o", version)
    filters = [(f"{uid}/{n:06d}/" + "x" * 30, 0) for n in range(2000)]
    conn.send(mw.subscribe(1, filters, version))
    try:
        got = conn.packet()
        assert got.name in ("SUBACK", "DISCONNECT"), got
        if got.name == "SUBACK":
            assert len(got.reasons) == 2000
    except mw.Closed:
        pass
    other.quiet()


@pytest.mark.slow
@pytest.mark.threads
def test_B180_subscribing_and_unsubscribing_leaves_nothing(plain, uid):
    conn = plain.client(uid)
    for turn in range(200):
        batch = [mw.subscribe(1, f"{uid}/{turn}/+"), mw.unsubscribe(2, f"{uid}/{turn}/+")] * 25
        conn.send(*batch)
        for _ in range(25):
            conn.expect("SUBACK", packet_id=1)
            conn.expect("UNSUBACK", packet_id=2, reasons=[0])
    conn.quiet()


@pytest.mark.slow
def test_L155_wildcards_in_a_row_cost_no_more_than_levels(plain, uid):
    """2,000 filters of many + and a deep topic: the publisher's round trip stays short."""
    conn, sender = plain.client(uid), plain.client(uid + "s")
    for start in range(0, 2000, 200):
        filters = []
        for number in range(start, start + 200):
            levels = [uid] + ["+" if (number >> bit) & 1 else "x" for bit in range(11)] + ["+"] * 40
            filters.append(("/".join(levels) + "/#", 0))
        conn.send(mw.subscribe(1, filters))
        conn.expect("SUBACK")
    topic = "/".join([uid] + ["x"] * 100)
    began = time.monotonic()
    for _ in range(20):
        sender.send(mw.publish(topic + "/y", b""))
    sender.quiet()
    assert time.monotonic() - began < 10
    conn.close()
    sender.quiet()


def test_B105_topics_of_any_length_are_answered(plain, version, uid):
    for size in (1000, 10000, 65535):
        conn = plain.client(uid, version)
        topic = uid + "y" * (size - len(uid))
        conn.send(mw.subscribe(1, topic, version))
        try:
            got = conn.packet()
            if got.name == "SUBACK" and got.reasons[0] < 0x80:
                conn.publish(topic, b"m", properties=None)
                conn.receive(topic, b"m")
        except mw.Closed:
            assert size > 10000
        conn.close()


@pytest.mark.parametrize("topic", ["+", "a/#", "a+", "#", "a/+/b"])
def test_B104_publish_with_wildcards(plain, version, uid, topic):
    conn = plain.client(uid, version)
    conn.send(mw.publish(topic, b"x", version=version))
    conn.expect_closed(reason={0x81, 0x82, 0x90})


@pytest.mark.parametrize("topic", ["/", "//", "a//b", " ", "ü/€", "a b/c", "🚀", "%u", "%c", "..",
                                   "__proto__", "constructor/toString"])
def test_B106_odd_but_valid_topics(plain, version, uid, topic):
    conn = plain.client(uid, version)
    conn.subscribe(topic)
    conn.publish(topic, b"m")
    conn.receive(topic, b"m")
    conn.unsubscribe(topic)


def test_B021_B025_topics_are_bytes(plain, uid):
    """A byte order mark is part of the topic, and two ways to write ü are two topics."""
    conn, sender = plain.client(uid), plain.client(uid + "s")
    names = [uid + "\ufeffa", "\ufeff" + uid, uid + "\u00fc", uid + "u\u0308"]
    conn.subscribe([(n, 0) for n in names])
    for name in names:
        sender.publish(name, b"m")
        conn.receive(name, b"m")
    sender.publish(uid + "a", b"m")
    sender.publish(uid, b"m")
    settle(sender, conn)


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("topic", ["$", "$/a", "$sys/x", "$foo/bar", "$CONTROL", "$CONTROL/",
                                   "$SYSx", "$queue/t", "$exclusive/t", "$int/x", "$nats"])
def test_L020_L021_special_topics_are_answered_and_harm_nobody(plain, version, uid, topic):
    conn, other = plain.client(uid, version), plain.client(uid + "o", version)
    conn.send(mw.publish(topic, b"x", 1, 1, version=version))
    try:
        conn.expect("PUBACK", packet_id=1)
        conn.send(mw.subscribe(2, topic, version))
        conn.drain(lambda p: p.name == "SUBACK")
    except mw.Closed:
        pass
    other.quiet()


def test_publish_to_sys_is_refused(plain, version, uid):
    conn = plain.client(uid, version)
    conn.send(mw.publish("$SYS/test/x", b"m", 1, 5, version=version))
    answer = conn.expect("PUBACK", packet_id=5)
    assert version != V5 or answer.reason == 0x87
    conn.send(mw.publish("$SYS/test/x", b"m", 2, 6, version=version))
    answer = conn.expect("PUBREC", packet_id=6)
    assert version != V5 or answer.reason == 0x87
    conn.send(mw.publish("$SYS/test/x", b"m", 0, version=version))
    conn.send(mw.pingreq())
    assert conn.packet().name in ("PINGRESP",)


@pytest.mark.parametrize("topic", ["$share/g/t", "$share", "$share/"])
def test_B127_publish_to_a_share(plain, version, uid, topic):
    conn, other = plain.client(uid, version), plain.client(uid + "o", version)
    other.subscribe("#")
    conn.send(mw.publish(topic, b"m", 1, 1, version=version))
    try:
        answer = conn.packet()
        assert answer.name in ("PUBACK", "DISCONNECT"), answer
        assert version != V5 or answer.reason in (0x87, 0x90, 0x81, 0x10), answer
    except mw.Closed:
        pass
    other.send(mw.pingreq())
    assert not [p for p in other.drain(lambda p: p.name == "PINGRESP")
                if p.name == "PUBLISH" and p.topic.startswith("$share")]
    other.close()
