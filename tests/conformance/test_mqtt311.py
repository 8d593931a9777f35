"""MQTT 3.1.1, and 3.1 where it says the same. A test's name carries the numbers of the statements it
proves (mqtt311.txt)."""
import string

import pytest

import mqttwire as mw
from mqttwire import V31, V311
from scenes import endpoint_of, settle


@pytest.fixture(params=[V311, V31], ids=["v311", "v31"])
def ver(request):
    return request.param


def stored(one, client_id, version=V311, present=None):
    """A client whose session stays. 3.1 has no session present."""
    conn = one.conn(version)
    conn.connect(client_id, clean=False, session_present=None if version == V31 else present)
    return conn


def client(one, client_id, version=V311, **options):
    return one.client(client_id, version, **options)


@pytest.fixture
def pair(plain, uid, ver):
    sender, reader = client(plain, uid + "s", ver), client(plain, uid + "r", ver)
    reader.subscribe(f"{uid}/#", qos=2)
    return sender, reader


def leave(conn):
    """The end of a connection of which the server has read everything."""
    conn.shutdown()
    conn.expect_closed()


def ends(one, data, version=V311, client_id="x"):
    """The server ends a live connection without a word."""
    conn = client(one, client_id, version)
    conn.send(data)
    conn.expect_closed(silent=True)


def not_let_in(one, data, codes=()):
    """CONNECT is answered with one of the codes or not at all, and the connection ends."""
    conn = one.conn(V311)
    conn.send(data)
    seen = conn.expect_closed()
    assert all(p.name == "CONNACK" and p.reason in codes and not p.session_present for p in seen), seen


# -- text, flags, packet ids ------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"a\0", b"\xff"])
def test_1_5_3_1_and_1_5_3_2_and_3_8_3_1_and_3_10_3_1_and_4_7_3_2_text(plain, uid, ver, bad):
    for data in (mw.publish(bad, b"", version=ver), mw.subscribe(1, bad, ver),
                 mw.unsubscribe(1, bad, ver)):
        ends(plain, data, ver, uid)


@pytest.mark.parametrize("bad", [b"\xed\xa0\x80", b"\xc0\x80", b"a\0"])
def test_3_1_3_4_and_3_1_3_10_and_3_1_3_11_text_in_connect(plain, bad):
    for data in (mw.connect(bad, V311), mw.connect("x", V311, username=bad),
                 mw.connect("x", V311, will=mw.Will(bad, b""))):
        not_let_in(plain, data, (2,))


def test_1_5_3_3_a_byte_order_mark_is_text(uid, pair):
    sender, reader = pair
    sender.publish(f"{uid}/\ufeffa", b"m")
    reader.receive(f"{uid}/\ufeffa")


@pytest.mark.parametrize("kind", [k for k in range(16) if k != 3])
def test_2_2_2_1_and_2_2_2_2_and_3_6_1_1_and_3_8_1_1_and_3_10_1_1_and_3_14_1_1_flags(plain, uid, ver,
                                                                                    kind):
    body = {8: b"\0\1\0\1t\0", 10: b"\0\1\0\1t", 4: b"\0\1", 5: b"\0\1", 6: b"\0\1", 7: b"\0\1"}
    for flags in range(16):
        if flags == mw.packets.FLAGS.get(kind) and kind not in (0, 15):
            continue
        if kind in (6, 8, 10) and ver == V31:
            continue  # 3.1 has DUP and QoS there
        ends(plain, mw.packet(kind, body.get(kind, b""), flags=flags), ver, uid)


@pytest.mark.parametrize("make", [
    lambda v: mw.publish("t", b"", 1, 0, version=v), lambda v: mw.publish("t", b"", 2, 0, version=v),
    lambda v: mw.subscribe(0, "t", v), lambda v: mw.unsubscribe(0, "t", v)])
def test_2_3_1_1_packet_id_0(plain, uid, ver, make):
    ends(plain, make(ver), ver, uid)


@pytest.mark.parametrize("qos", [1, 2])
def test_2_3_1_4_and_4_3_2_1_and_4_3_3_1_and_4_4_0_1_and_3_3_1_1_and_4_6_0_1_a_sender(plain, uid, ver,
                                                                                     qos):
    """New ids, DUP 0; after a return the same ones with DUP in the same order; PUBREL again, and no
    PUBLISH after it."""
    reader, sender = stored(plain, uid, ver), client(plain, uid + "s", ver)
    reader.subscribe(uid, qos=qos)
    for number in range(4):
        sender.publish(uid, str(number), qos, number + 1)
    first = [reader.expect("PUBLISH", dup=False, qos=qos) for _ in range(4)]
    assert len({p.packet_id for p in first}) == 4 and all(p.packet_id for p in first)
    reader.quiet()
    reader.close()
    reader = stored(plain, uid, ver, True)
    for one in first:
        reader.expect("PUBLISH", dup=True, packet_id=one.packet_id, payload=one.payload)
    for one in first:
        reader.send((mw.puback if qos == 1 else mw.pubrec)(one.packet_id, ver))
        if qos == 2:
            reader.expect("PUBREL", packet_id=one.packet_id)
    leave(reader)
    reader = stored(plain, uid, ver, True)
    if qos == 2:
        for one in first:
            reader.expect("PUBREL", packet_id=one.packet_id)
            reader.send(mw.pubcomp(one.packet_id, ver))
    reader.quiet()
    leave(reader)
    stored(plain, uid, ver, True).quiet()


@pytest.mark.parametrize("packet_id", [1, 256, 65535])
def test_2_3_1_6_and_2_3_1_7_and_3_3_4_1_and_3_8_4_2_and_3_10_4_4_answers(plain, uid, ver, packet_id):
    conn = client(plain, uid, ver)
    conn.subscribe(uid, packet_id=packet_id)
    conn.unsubscribe([uid], packet_id=packet_id)
    conn.publish(uid, b"", 1, packet_id)
    conn.publish(uid, b"", 2, packet_id)


# -- CONNECT and CONNACK ----------------------------------------------------------------------------


@pytest.mark.parametrize("data", [
    mw.pingreq(), mw.publish("t", b"", version=V311), mw.subscribe(1, "t", V311), mw.puback(1, V311),
    mw.disconnect(V311)])
def test_3_1_0_1_and_3_2_0_1_connect_comes_first(plain, data):
    conn = plain.conn(V311)
    conn.send(data)
    conn.expect_closed(silent=True)


def test_3_1_0_2_and_4_8_0_1_a_second_connect(plain, uid, ver):
    ends(plain, mw.connect(uid, ver), ver, uid)


@pytest.mark.parametrize("name", ["MQTX", "", "mqtt", "MQIsdp"])
def test_3_1_2_1_another_name(plain, name):
    not_let_in(plain, mw.connect("x", V311, protocol=name), (1, 0x84))


@pytest.mark.parametrize("level", [0, 1, 2, 6, 127])
def test_3_1_2_2_another_level(plain, level):
    conn = plain.conn(V311)
    conn.send(mw.connect("x", V311, level=level))
    seen = conn.expect_closed()
    assert len(seen) == 1 and seen[0].raw[3] in (1, 0x84)


def test_3_1_2_3_the_reserved_flag(plain):
    not_let_in(plain, mw.connect("x", V311, flags=3))


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_3_1_2_4_and_3_1_2_5_and_3_2_2_2_and_4_1_0_1_and_4_5_0_1_a_session_that_stays(plain, uid, ver,
                                                                                     qos):
    stored(plain, uid, ver, False).subscribe(uid, qos=2)
    stored(plain, uid, ver, True).close()
    sender = client(plain, uid + "s", ver)
    sender.publish(uid, b"meanwhile", qos)
    sender.quiet()
    again = stored(plain, uid, ver, True)
    if qos:
        again.receive(uid, payload=b"meanwhile", qos=qos)
    sender.publish(uid, b"now", qos)
    if not qos and (got := again.receive(uid)).payload == b"meanwhile":
        again.receive(uid, payload=b"now")  # keeping QoS 0 is allowed
    elif qos:
        again.receive(uid, payload=b"now", qos=qos)


def test_3_1_2_6_and_3_1_4_3_and_3_2_2_1_and_3_2_2_3_a_clean_session(plain, uid, ver):
    stored(plain, uid, ver).subscribe(uid, qos=1)
    conn = plain.conn(ver)
    conn.connect(uid, clean=True, session_present=False)
    conn.subscribe(uid + "2", qos=1)
    sender = client(plain, uid + "s", ver)
    sender.publish(uid, b"m", 1)
    conn.quiet()
    conn.close()
    again = stored(plain, uid, ver, False)
    sender.publish(uid + "2", b"m", 1)
    again.quiet()


def test_3_1_2_7_retained_messages_stay_without_a_session(plain, uid, ver):
    conn = client(plain, uid, ver)
    conn.publish(uid, b"kept", 1, retain=True)
    conn.disconnect()
    late = client(plain, uid + "l", ver)
    late.subscribe(uid)
    late.receive(uid, payload=b"kept", retain=True)
    late.unsubscribe([uid])
    late.publish(uid, b"", 1, retain=True)


@pytest.mark.parametrize("end", ["close", "reset", "violation", "silence"])
@pytest.mark.parametrize("qos, retain", [(0, False), (1, True), (2, False)])
def test_3_1_2_8_and_3_1_2_10_and_3_1_2_16_and_3_1_2_17_and_3_1_2_24_wills(plain, uid, ver, end, qos,
                                                                          retain):
    watcher, topic = client(plain, uid + "w", ver), f"{uid}/will"
    watcher.subscribe(topic, qos=2)
    conn = client(plain, uid, ver, keep_alive=1 if end == "silence" else 60,
                  will=mw.Will(topic, b"will", qos, retain))
    if end == "violation":
        conn.send(mw.packet(0, b""))
    elif end != "silence":
        getattr(conn, end)()
    watcher.receive(topic, payload=b"will", qos=qos, retain=False)
    late = client(plain, uid + "l", ver)
    late.subscribe(topic)
    if retain:
        late.receive(topic, payload=b"will", retain=True)
        late.unsubscribe([topic])
        late.publish(topic, b"", 1, retain=True)
    else:
        late.quiet()
        client(plain, uid, ver).close()  # once published, it is gone
        settle(late, watcher)


def test_3_14_4_3_and_3_1_2_10_and_3_1_2_12_and_3_14_4_2_no_will(plain, uid, ver):
    watcher, other = client(plain, uid + "w", ver), client(plain, uid + "o", ver)
    watcher.subscribe(f"{uid}/#")
    conn = client(plain, uid, ver, will=mw.Will(f"{uid}/will", b"will"))
    conn.send(mw.disconnect(ver), mw.publish(f"{uid}/late", b"", version=ver))
    conn.expect_closed(silent=True)
    client(plain, uid, ver).close()
    settle(other, watcher)


@pytest.mark.parametrize("flags", [0x0A, 0x12, 0x22, 0x1E | 0x04, 0x42])
def test_3_1_2_11_and_3_1_2_13_and_3_1_2_14_and_3_1_2_15_and_3_1_2_22_flags(plain, flags):
    will = mw.Will("t", b"") if flags & 4 else None
    not_let_in(plain, mw.connect("x", V311, flags=flags, will=will,
                                 password=b"p" if flags & 0x40 else None))


@pytest.mark.parametrize("flags, more", [
    (0x06, b""), (0x06, b"\0\1t"), (0x82, b""), (0xC2, b"\0\1u"), (0x02, b"\0\1u"),
    (0x82, b"\0\1u\0\1p")])
def test_3_1_2_9_and_3_1_2_18_and_3_1_2_19_and_3_1_2_20_and_3_1_2_21_and_3_1_3_1_fields(plain, flags,
                                                                                     more):
    body = b"\0\4MQTT\4" + bytes([flags]) + b"\0\x3c\0\1x" + more
    not_let_in(plain, mw.packet("CONNECT", body))


def test_3_1_3_2_the_client_id_names_the_session(plain, uid, ver):
    for name in (uid, uid + "x"):
        stored(plain, name, ver).close()
    stored(plain, uid, ver, True)
    stored(plain, uid + "y", ver, False)


def test_3_1_3_3_and_3_1_4_1_a_connect_of_the_wrong_form(plain):
    for data in (mw.packet("CONNECT", b"\0\4MQTT\4\2\0\0"), mw.packet("CONNECT", b"\0\4MQTT\4\2\0"),
                 mw.packet("CONNECT", mw.connect("x", V311)[2:] + b"more"),
                 mw.packet("CONNECT", mw.connect("x", V311)[2:], flags=1)):
        conn = plain.conn(V311)
        conn.send(data)
        conn.expect_closed(silent=True)


@pytest.mark.parametrize("name", ["0", "z", string.digits + string.ascii_lowercase[:13],
                                  string.ascii_lowercase[3:], string.ascii_uppercase[3:]])
def test_3_1_3_5_client_ids_that_must_be_allowed(plain, ver, name):
    client(plain, name, ver).quiet()


def test_3_1_3_6_an_empty_client_id(plain):
    """Two of them are two clients."""
    first, second = plain.client("", V311), plain.client("", V311)
    first.quiet()
    second.quiet()


def test_3_1_3_7_and_3_1_3_8_and_3_1_3_9_and_3_2_2_4_and_3_2_2_5_a_refused_client_id(plain):
    conn = plain.conn(V311)
    conn.send(mw.connect("", V311, clean=False))
    (answer,) = conn.expect_closed()
    assert (answer.name, answer.reason, answer.session_present) == ("CONNACK", 2, 0)


def test_3_1_4_2_a_take_over(plain, uid, ver):
    old = client(plain, uid, ver)
    new = client(plain, uid, ver)
    old.expect_closed(silent=True)
    new.quiet()


def test_3_1_4_4_and_3_2_0_1_success(plain, uid, ver):
    conn = plain.conn(ver)
    conn.send(mw.connect(uid, ver), mw.pingreq())
    assert conn.packet().raw == b"\x20\x02\0\0"
    conn.expect("PINGRESP")


def test_3_1_4_5_and_3_2_2_4_and_3_2_2_5_and_3_2_2_6_nothing_after_a_refusal(shared_broker, ver):
    one = shared_broker("allow_anonymous false\n")
    conn = one.conn(ver)
    conn.send(mw.connect("x", ver), mw.pingreq(), mw.subscribe(1, "t", ver))
    (answer,) = conn.expect_closed()
    assert (answer.name, answer.reason, answer.session_present) == ("CONNACK", 5, 0)


# -- PUBLISH ----------------------------------------------------------------------------------------


def test_3_3_1_2_and_2_3_1_5_and_4_3_1_1_qos_0(plain, uid, ver, pair):
    if ver == V311:
        ends(plain, mw.publish("t", b"", version=ver, flags=8), ver, uid)
    sender, reader = pair
    sender.publish(f"{uid}/t", b"m")
    assert reader.expect("PUBLISH").raw == mw.publish(f"{uid}/t", b"m", version=ver)


@pytest.mark.parametrize("qos", [1, 2])
def test_3_3_1_3_dup_is_not_forwarded(uid, pair, qos):
    sender, reader = pair
    sender.publish(f"{uid}/t", b"m", qos, dup=True)
    reader.receive(f"{uid}/t", dup=False, qos=qos)


@pytest.mark.parametrize("flags", [6, 7, 14])
def test_3_3_1_4_qos_3(plain, uid, ver, flags):
    ends(plain, mw.publish("t", b"", 1, 1, version=ver, flags=flags), ver, uid)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_3_3_1_5_and_3_3_1_6_and_3_3_1_7_and_3_3_1_8_and_3_3_1_9_and_3_3_1_10_and_3_3_1_11_and_3_3_1_12_retained(
        plain, uid, ver, qos):
    sender, live, topic = client(plain, uid, ver), client(plain, uid + "l", ver), f"{uid}/kept"
    live.subscribe(topic)

    def late():
        conn = client(plain, uid + "x", ver)
        conn.subscribe(topic, qos=2)
        return conn

    for payload, retain in ((b"1", True), (b"2", True), (b"3", False), (b"", False)):
        sender.publish(topic, payload, qos, retain=retain)
        live.receive(topic, payload=payload, retain=False)
    late().receive(topic, payload=b"2", retain=True, qos=qos)
    sender.publish(topic, b"", qos, retain=True)
    live.receive(topic, payload=b"", retain=False)
    late().quiet()


@pytest.mark.parametrize("topic", [b"#", b"a/+", b"+", b"a#", b"", b"a\0"])
def test_3_3_2_1_and_3_3_2_2_and_4_7_1_1_and_4_7_3_1_topics(plain, uid, ver, topic):
    ends(plain, mw.publish(topic, b"", 1, 1, version=ver), ver, uid)


def test_3_3_5_1_and_3_3_2_3_overlapping_subscriptions(plain, uid, ver):
    reader, sender = client(plain, uid, ver), client(plain, uid + "s", ver)
    for filter_, qos in ((f"{uid}/#", 0), (f"{uid}/+", 2), (f"{uid}/t", 1), ("other", 2)):
        reader.subscribe(filter_, qos=qos)
    sender.publish(f"{uid}/t", b"m", 2)
    seen = [reader.receive(f"{uid}/t", payload=b"m").qos]
    reader.send(mw.subscribe(9, f"end/{uid}", ver))
    reader.expect("SUBACK")
    sender.publish(f"end/{uid}", b"end")
    while (got := reader.receive()).payload != b"end":
        seen.append(got.qos)
    assert max(seen) == 2


def test_3_3_5_2_what_is_not_allowed_is_acknowledged(shared_broker, uid, ver):
    one = shared_broker("acl_file {dir}/acl\n", mode="native",
                        files={"acl": "topic read #\npattern readwrite settle/#\n"})
    conn, reader = one.client(uid, ver), one.client(uid + "r", ver)
    reader.subscribe("#")
    for qos in (1, 2):
        conn.publish("no", b"", qos)
    settle(conn, reader)


@pytest.mark.parametrize("number", range(2))
def test_4_3_2_2_and_4_3_3_2_a_receiver(uid, pair, ver, number):
    """QoS 1: an id that was acknowledged is new; QoS 2: until PUBREL it is the same message."""
    sender, reader = pair
    for payload in (b"1", b"2"):
        sender.publish(f"{uid}/t", payload, 1, 7, dup=bool(number))
        reader.receive(f"{uid}/t", payload=payload)
    for payload in (b"3", b"4"):
        for again in range(3):
            sender.send(mw.publish(f"{uid}/t", payload, 2, 7, dup=again > 0, version=ver))
            sender.expect("PUBREC", packet_id=7)
        sender.send(mw.pubrel(7, ver))
        sender.expect("PUBCOMP", packet_id=7)
        reader.receive(f"{uid}/t", payload=payload)
    settle(sender, reader)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_4_6_0_5_and_4_6_0_6_order(plain, uid, ver, qos):
    reader, sender = client(plain, uid, ver), client(plain, uid + "s", ver)
    reader.subscribe(uid, qos=qos)
    for number in range(60):
        sender.publish(uid, str(number), qos, number + 1)
    assert [int(reader.receive(uid).payload) for _ in range(60)] == list(range(60))


# -- SUBSCRIBE, UNSUBSCRIBE, PINGREQ ----------------------------------------------------------------


def test_3_8_3_3_and_3_10_3_2_no_filter(plain, uid, ver):
    ends(plain, mw.subscribe(1, [], ver), ver, uid)
    ends(plain, mw.unsubscribe(1, [], ver), ver, uid)


@pytest.mark.parametrize("bits", [3, 4, 8, 0x10, 0x80, 0xFC])
def test_3_8_3_4_reserved_bits(plain, uid, bits):
    ends(plain, mw.subscribe(1, [("t", bits)], V311), V311, uid)


def test_3_8_4_1_and_3_8_4_4_and_3_8_4_5_and_3_9_3_1_and_3_9_3_2_answers(plain, uid, ver):
    conn = client(plain, uid, ver)
    conn.subscribe([(f"{uid}/{n}", n % 3) for n in range(9)])
    for number in range(9):
        conn.publish(f"{uid}/{number}", b"m")
        conn.receive(f"{uid}/{number}")


def test_3_8_4_5_and_3_9_3_2_a_failure(shared_broker, uid):
    one = shared_broker("acl_file {dir}/acl\n", mode="native", files={"acl": "topic read ok/#\n"})
    one.client(uid, V311).subscribe([("no", 1), ("ok/1", 1), ("no/#", 0)], reasons=[0x80, 1, 0x80])


def test_3_8_4_3_the_same_filter_again(plain, uid, ver):
    """QoS of the newer one, retained messages again, nothing doubled."""
    reader, sender = client(plain, uid, ver), client(plain, uid + "s", ver)
    sender.publish(uid, b"kept", 1, retain=True)
    for qos in (0, 2, 1):
        reader.subscribe(uid, qos=qos)
        reader.receive(uid, payload=b"kept", retain=True)
        sender.publish(uid, b"live", 2)
        reader.receive(uid, payload=b"live", qos=qos)
    sender.publish(uid, b"", 1, retain=True)
    reader.receive(uid, payload=b"")
    settle(sender, reader)


@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("published", [0, 1, 2])
def test_3_8_4_6_the_lower_qos(plain, uid, ver, granted, published):
    reader = client(plain, uid, ver)
    reader.subscribe(uid, qos=granted)
    client(plain, uid + "s", ver).publish(uid, b"m", published)
    reader.receive(uid, qos=min(granted, published))


def test_3_10_4_1_and_3_10_4_2_and_3_10_4_5_and_3_10_4_6_unsubscribe(plain, uid, ver):
    reader, sender = client(plain, uid, ver), client(plain, uid + "s", ver)
    reader.subscribe([(f"{uid}/+", 0), (f"{uid}/A/b", 0)])
    reader.unsubscribe([f"{uid}/#", f"{uid}/a/b", "nothing"])
    sender.publish(f"{uid}/A/b", b"1")
    reader.receive(f"{uid}/A/b")
    reader.unsubscribe([f"{uid}/+", f"{uid}/A/b"])
    sender.publish(f"{uid}/A/b", b"2")
    sender.publish(f"{uid}/a", b"2")
    settle(sender, reader)


@pytest.mark.parametrize("qos", [1, 2])
def test_3_10_4_3_what_was_begun_is_completed(plain, uid, ver, qos):
    reader, sender = stored(plain, uid, ver), client(plain, uid + "s", ver)
    reader.subscribe(uid, qos=qos)
    sender.publish(uid, b"m", qos)
    got = reader.expect("PUBLISH")
    reader.unsubscribe([uid])
    reader.close()
    reader = stored(plain, uid, ver, True)
    reader.expect("PUBLISH", packet_id=got.packet_id, dup=True)


def test_3_12_4_1_and_4_1_0_2_pingreq(plain, uid, ver):
    conn = client(plain, uid, ver, keep_alive=0)
    conn.subscribe(uid)
    for _ in range(5):
        conn.quiet()
    conn.publish(uid, b"m")
    conn.receive(uid)


# -- chapter 4 --------------------------------------------------------------------------------------


def test_4_2_0_1_every_transport_keeps_order(plain, uid, ver, transport):
    conn = mw.Conn(endpoint_of(plain, transport), ver)
    conn.connect(uid)
    conn.subscribe(uid)
    conn.send(*(mw.publish(uid, str(n), version=ver) for n in range(200)))
    assert [int(conn.receive(uid).payload) for _ in range(200)] == list(range(200))


@pytest.mark.parametrize("filter_", ["a#", "#/a", "a/#/b", "+a", "a+", "a/+b", ""])
def test_4_7_1_2_and_4_7_1_3_and_4_7_3_1_filters_that_are_none(plain, uid, ver, filter_):
    conn = client(plain, uid, ver)
    conn.send(mw.subscribe(1, filter_, ver))
    try:
        assert conn.packet().reasons == [0x80]
    except mw.Closed:
        pass


@pytest.mark.parametrize("filter_, topic, does", [
    ("#", "a/b", True), ("a/#", "a", True), ("+", "a/b", False), ("+/+", "/a", True), ("a/+", "a", False),
    ("a/+", "a/", True), ("A", "a", False), ("a//b", "a/b", False), ("é", "e\u0301", False),
    ("/", "/", True), ("+/#", "a", True)])
def test_4_7_1_2_and_4_7_1_3_and_4_7_3_4_what_matches(plain, uid, ver, filter_, topic, does):
    reader, sender = client(plain, uid, ver), client(plain, uid + "s", ver)
    reader.subscribe(f"{uid}/{filter_}")
    sender.publish(f"{uid}/{topic}", b"m")
    if does:
        reader.receive(f"{uid}/{topic}")
    settle(sender, reader)


@pytest.mark.parametrize("filter_", ["#", "+/broker/uptime", "+/#"])
def test_4_7_2_1_wildcards_do_not_match_dollar(plain, uid, ver, filter_):
    reader, sender = client(plain, uid, ver), client(plain, uid + "s", ver)
    reader.subscribe(filter_)
    reader.send(mw.subscribe(7, f"{uid}-end", ver))
    seen = reader.drain(lambda p: p.name == "SUBACK")
    sender.publish(f"{uid}-end", b"end", 1)
    for got in seen + reader.drain(lambda p: p.name == "PUBLISH" and p.payload == b"end"):
        assert got.name == "SUBACK" or not got.topic.startswith("$")


def test_4_7_3_3_the_longest_topic(plain, uid, ver):
    name = uid + "x" * (65535 - len(uid))
    conn = client(plain, uid, ver)
    conn.send(mw.subscribe(1, name, ver))
    try:
        got = conn.packet()
    except mw.Closed:
        return
    if got.reasons == [0]:
        conn.publish(name, b"m")
        assert conn.expect("PUBLISH").topic == name
