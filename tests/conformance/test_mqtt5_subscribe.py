"""MQTT 5.0, chapters 3.8 to 3.12, 4.7 and 4.8: subscriptions, filters, groups. A test's name carries the
numbers of the statements it proves (mqtt5.txt)."""
import pytest

import mqttwire as mw
from mqttwire import V5
from scenes import settle

KEEP = {"session_expiry_interval": 1000}
SUBACK_REASONS = {0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2}
UNSUBACK_REASONS = {0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91}


# -- 3.8 SUBSCRIBE, 3.9 SUBACK ----------------------------------------------------------------------


@pytest.mark.parametrize("flags", [0, 1, 3, 6, 10, 15])
def test_3_8_1_1_and_3_10_1_1_flags(plain, uid, flags):
    for data in (mw.subscribe(1, "t", flags=flags), mw.unsubscribe(1, "t", flags=flags)):
        conn = plain.client(uid)
        conn.send(data)
        conn.expect_closed(reason={0x81, 0x82})


@pytest.mark.parametrize("bad", [b"\xc0\x80", b"a\0", b"\xed\xa0\x80", b"\xff/#"])
def test_3_8_3_1_and_3_10_3_1_filters_are_text(plain, uid, bad):
    for data in (mw.subscribe(1, bad), mw.unsubscribe(1, bad)):
        conn = plain.client(uid)
        conn.send(data)
        conn.expect_closed(reason={0x81, 0x82, 0x8F})


def test_3_8_3_2_and_3_10_3_2_at_least_one_filter(plain, uid):
    for data in (mw.subscribe(1, []), mw.unsubscribe(1, []), mw.packet("SUBSCRIBE", b"\0\1\0\0\1t")):
        conn = plain.client(uid)
        conn.send(data)
        conn.expect_closed(reason={0x81, 0x82})


@pytest.mark.parametrize("no_local", [False, True])
def test_3_8_3_3_no_local(plain, uid, no_local):
    own, other = plain.client(uid), plain.client(uid + "o")
    own.subscribe(uid, qos=1, no_local=no_local)
    other.publish(uid, b"theirs", 1)
    own.receive(uid, payload=b"theirs")
    other.subscribe(uid)
    own.send(mw.publish(uid, b"mine"))
    other.receive(uid, payload=b"mine")
    if not no_local:
        own.receive(uid, payload=b"mine")
    settle(other, own)


def test_3_8_3_3_no_local_is_about_client_ids(plain, uid):
    """The same client id on its next connection is the same client."""
    own = plain.client(uid, clean=False, properties=KEEP)
    own.subscribe(uid, qos=1, no_local=True)
    own.close()
    own = plain.conn()
    own.connect(uid, clean=False, session_present=True, properties=KEEP)
    own.publish(uid, b"mine", 1)
    own.quiet()


def test_3_8_3_4_no_local_on_a_shared_subscription(plain, uid):
    conn = plain.client(uid)
    conn.send(mw.subscribe(1, [("$share/g/t", mw.packets.options(no_local=True))]))
    conn.expect_closed(reason=0x82)


@pytest.mark.parametrize("bits", [0x40, 0x80, 0xC0, 0x30, 0x03])
def test_3_8_3_5_reserved_options(plain, uid, bits):
    conn = plain.client(uid)
    conn.send(mw.subscribe(1, [("t", bits)]))
    conn.expect_closed(reason={0x81, 0x82})


def test_3_8_4_1_and_3_8_4_2_and_3_8_4_5_and_3_8_4_6_and_3_8_4_7_and_3_9_3_1_and_3_9_3_2_answers(
        plain, uid):
    conn = plain.client(uid)
    wanted = [(f"{uid}/{n}", n % 3) for n in range(9)]
    conn.send(mw.subscribe(4242, wanted))
    answer = conn.expect("SUBACK", packet_id=4242)
    assert answer.reasons == [q for _, q in wanted]
    for filter_, qos in wanted:
        conn.publish(filter_, b"m", 0)
        conn.receive(filter_, qos=0)


def test_3_9_3_2_and_3_8_4_7_one_of_several_is_refused(shared_broker, uid):
    one = shared_broker("acl_file {dir}/acl\n", mode="native", files={"acl": "topic read ok/#\n"})
    conn = one.client(uid)
    conn.send(mw.subscribe(1, [("ok/1", 1), ("no/1", 1), ("ok/2", 2), ("no/#", 0)]))
    reasons = conn.expect("SUBACK").reasons
    assert reasons == [1, 0x87, 2, 0x87] and set(reasons) <= SUBACK_REASONS


def test_3_8_4_3_and_3_8_4_4_the_same_filter_replaces(plain, uid):
    """QoS, identifier and options of the newer one count; nothing is lost and nothing doubled."""
    reader, sender = plain.client(uid), plain.client(uid + "s")
    reader.subscribe(uid)  # so that there is one to replace, however soon the first message comes
    for turn, qos in enumerate((0, 2, 1, 0, 2)):
        reader.send(mw.subscribe(1, [(uid, qos)], properties={"subscription_identifier": turn + 1}))
        sender.publish(uid, str(turn), 2)
        seen = [reader.packet(), reader.packet()]
        for got in seen:
            if got.name == "PUBLISH":
                assert got.payload == b"%d" % turn
                if got.prop("subscription_identifier") == turn + 1:
                    assert got.qos == qos
                if got.qos == 2:
                    reader.send(mw.pubrec(got.packet_id))
                    reader.expect("PUBREL")
                    reader.send(mw.pubcomp(got.packet_id))
                elif got.qos == 1:
                    reader.send(mw.puback(got.packet_id))
        assert {p.name for p in seen} == {"SUBACK", "PUBLISH"}
    settle(sender, reader)


def test_3_8_4_5_twice_in_one_packet(plain, uid):
    conn = plain.client(uid)
    conn.subscribe([(uid, 2), (uid, 0)], reasons=[2, 0])
    plain.client(uid + "s").publish(uid, b"m", 2)
    conn.receive(uid, qos=0)
    conn.quiet()


@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("published", [0, 1, 2])
def test_3_8_4_8_the_lower_qos(plain, uid, granted, published):
    reader = plain.client(uid)
    reader.subscribe(uid, qos=granted)
    plain.client(uid + "s").publish(uid, b"m", published)
    reader.receive(uid, qos=min(granted, published))


# -- 3.10 UNSUBSCRIBE, 3.11 UNSUBACK, 3.12 PINGREQ --------------------------------------------------


def test_3_10_4_1_and_3_10_4_2_filters_are_compared_exactly(plain, uid):
    reader, sender = plain.client(uid), plain.client(uid + "s")
    reader.subscribe([(f"{uid}/+", 0), (f"{uid}/A", 0)], reasons=[0, 0])
    reader.unsubscribe([f"{uid}/#", f"{uid}/a", f"{uid}/+/", f"{uid}/A "], reasons=[0x11] * 4)
    sender.publish(f"{uid}/b", b"1")
    reader.receive(f"{uid}/b")
    reader.unsubscribe([f"{uid}/+"], reasons=[0])
    sender.publish(f"{uid}/b", b"2")
    sender.publish(f"{uid}/A", b"3")
    reader.receive(f"{uid}/A", payload=b"3")
    reader.unsubscribe([f"{uid}/A"], reasons=[0])
    sender.publish(f"{uid}/A", b"4")
    settle(sender, reader)


@pytest.mark.parametrize("qos", [1, 2])
def test_3_10_4_3_what_was_begun_is_completed(plain, uid, qos):
    reader, sender = plain.conn(), plain.client(uid + "s")
    reader.connect(uid, clean=False, properties=KEEP)
    reader.subscribe(uid, qos=qos)
    sender.publish(uid, b"m", qos)
    got = reader.expect("PUBLISH")
    reader.unsubscribe([uid])
    reader.close()
    reader = plain.conn()
    reader.connect(uid, clean=False, session_present=True, properties=KEEP)
    reader.expect("PUBLISH", packet_id=got.packet_id, dup=True)
    if qos == 1:
        reader.send(mw.puback(got.packet_id))
    else:
        reader.send(mw.pubrec(got.packet_id))
        reader.expect("PUBREL", packet_id=got.packet_id)
        reader.send(mw.pubcomp(got.packet_id))
    reader.quiet()


def test_3_10_4_4_and_3_10_4_5_and_3_10_4_6_and_3_11_3_1_and_3_11_3_2_answers(plain, uid):
    conn = plain.client(uid)
    conn.subscribe([(f"{uid}/{n}", 0) for n in range(0, 6, 2)])
    conn.send(mw.unsubscribe(4242, [f"{uid}/{n}" for n in range(6)]))
    answer = conn.expect("UNSUBACK", packet_id=4242)
    assert answer.reasons == [0, 0x11, 0, 0x11, 0, 0x11] and set(answer.reasons) <= UNSUBACK_REASONS
    conn.send(mw.unsubscribe(1, "nothing"))
    conn.expect("UNSUBACK", packet_id=1)


def test_3_12_4_1_pingreq(plain, uid):
    conn = plain.client(uid)
    conn.send(mw.pingreq() * 5)
    for _ in range(5):
        conn.expect("PINGRESP")


# -- 4.7 topics -------------------------------------------------------------------------------------


@pytest.mark.parametrize("filter_", ["a#", "#/a", "a/#/b", "##", "a/##", "+a", "a+", "a/+b", "++", "a/b+/c",
                                     ""])
def test_4_7_1_1_and_4_7_1_2_and_4_7_3_1_filters_that_are_none(plain, uid, filter_):
    conn = plain.client(uid)
    conn.send(mw.subscribe(1, filter_))
    got = conn.packet()
    assert (got.name == "SUBACK" and got.reasons == [0x8F]) or (
        got.name == "DISCONNECT" and got.reason in (0x81, 0x82, 0x8F))


MATCHES = [("#", "a", True), ("#", "a/b", True), ("#", "/", True), ("+", "a", True), ("+", "a/b", False),
           ("+/+", "/a", True), ("/+", "/a", True), ("+", "/a", False), ("a/#", "a", True),
           ("a/#", "a/", True), ("a/#", "ab", False), ("a/+", "a", False), ("a/+", "a/", True),
           ("a/+/c", "a/b/c", True), ("a/+/c", "a//c", True), ("a/+/c", "a/b/d", False),
           ("+/b/#", "a/b", True), ("a/+/#", "a", False), ("a/+/#", "a/b", True), ("a", "A", False),
           ("a ", "a", False), ("/a", "a", False), ("a/", "a", False), ("a//b", "a/b", False),
           ("+/+/+", "//", True), ("é", "e\u0301", False)]


@pytest.mark.parametrize("filter_, topic, does", MATCHES)
def test_4_7_1_1_and_4_7_1_2_and_4_7_3_4_what_matches(plain, uid, filter_, topic, does):
    """Below a level of its own, so that others do not interfere; live and retained."""
    reader, sender = plain.client(uid), plain.client(uid + "s")
    reader.subscribe(f"{uid}/{filter_}", retain_handling=2)
    sender.publish(f"{uid}/{topic}", b"m", 1, retain=True)
    if does:
        reader.receive(f"{uid}/{topic}", payload=b"m")
    settle(sender, reader)
    late = plain.client(uid + "l")
    late.subscribe(f"{uid}/{filter_}")
    if does:
        late.receive(f"{uid}/{topic}", retain=True)
    late.quiet()
    sender.publish(f"{uid}/{topic}", b"", 1, retain=True)


@pytest.mark.parametrize("filter_", ["#", "+/#", "+/broker/uptime", "+/x"])
def test_4_7_2_1_wildcards_do_not_match_dollar(plain, uid, filter_):
    """Neither $SYS, which is there and retained, nor another one."""
    reader, sender = plain.client(uid), plain.client(uid + "s")
    reader.subscribe(filter_)
    sender.publish(f"$other/{uid}", b"m", 1, reason=(0, 0x10, 0x87, 0x90))
    sender.publish("$other/x", b"m", 1, reason=(0, 0x10, 0x87, 0x90))
    topic = f"{uid}-settle"
    reader.send(mw.subscribe(7, topic))
    seen = reader.drain(lambda p: p.name == "SUBACK")
    sender.publish(topic, b"end", 1)
    for got in seen + reader.drain(lambda p: p.name == "PUBLISH" and p.topic == topic):
        assert got.name == "SUBACK" or not got.topic.startswith("$"), got


def test_4_7_3_3_the_longest_topic(plain, uid):
    """As far as the server takes it, it comes back whole."""
    name = uid + "x" * (65535 - len(uid))
    conn = plain.client(uid)
    conn.send(mw.subscribe(1, name))
    got = conn.packet()
    if got.name == "SUBACK" and got.reasons == [0]:
        conn.publish(name, b"m")
        assert conn.expect("PUBLISH").topic == name
    else:
        assert got.name == "DISCONNECT" or got.reasons[0] >= 0x80


# -- 4.8 shared subscriptions -----------------------------------------------------------------------


@pytest.mark.parametrize("filter_", ["$share", "$share/", "$share/g", "$share/g/", "$share//t", "$share/+/t",
                                     "$share/#/t", "$share/a+b/t", "$share/a#/t", "$share/g/a#",
                                     "$share/g/a/#/b"])
def test_4_8_2_1_and_4_8_2_2_forms(plain, uid, filter_):
    conn = plain.client(uid)
    conn.send(mw.subscribe(1, filter_))
    got = conn.packet()
    assert (got.name == "SUBACK" and got.reasons[0] >= 0x80) or (
        got.name == "DISCONNECT" and got.reason in (0x81, 0x82, 0x8F)), got


def collect(sender, member, uid):
    """The publications that a member got so far, none of them acknowledged."""
    member.send(mw.subscribe(9, f"end/{uid}"))
    seen = member.drain(lambda p: p.name == "SUBACK")
    sender.send(mw.publish(f"end/{uid}", b"end"))
    seen += member.drain(lambda p: p.name == "PUBLISH" and p.payload == b"end")
    member.unsubscribe([f"end/{uid}"])
    return [p for p in seen if p.name == "PUBLISH" and p.payload != b"end"]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_4_8_2_1_and_4_8_2_3_one_member_gets_each(plain, uid, qos):
    members = [plain.client(f"{uid}m{n}") for n in range(3)]
    for granted, member in enumerate(members):
        member.subscribe([(f"$share/{uid}/{uid}/+", granted)], reasons=[granted])
    alone, sender = plain.client(uid + "a"), plain.client(uid + "s")
    alone.subscribe(f"{uid}/#")
    for number in range(30):
        sender.publish(f"{uid}/t", str(number), qos, number + 1)
        alone.receive(f"{uid}/t", payload=str(number))
    seen = []
    for granted, member in enumerate(members):
        mine = collect(sender, member, uid)
        assert all(p.qos == min(qos, granted) for p in mine)
        seen += [int(p.payload) for p in mine]
    assert sorted(seen) == list(range(30))


def test_4_8_2_1_no_retained_messages_for_a_group(plain, uid):
    sender, member = plain.client(uid + "s"), plain.client(uid)
    sender.publish(f"{uid}/t", b"kept", 1, retain=True)
    member.subscribe([(f"$share/g/{uid}/t", 1)], reasons=[1])
    member.quiet()
    sender.publish(f"{uid}/t", b"", 1, retain=True)
    member.receive(f"{uid}/t", payload=b"")


def begun(plain, uid):
    """A group of two; one member has a QoS 2 message that is half done."""
    members = []
    for number in range(2):
        conn = plain.conn()
        conn.connect(f"{uid}m{number}", clean=False, properties=KEEP)
        conn.subscribe([(f"$share/{uid}/{uid}", 2)], reasons=[2])
        members.append(conn)
    sender = plain.client(uid + "s")
    sender.publish(uid, b"m", 2)
    found = [collect(sender, conn, uid) for conn in members]
    owner = 0 if found[0] else 1
    (got,) = found[owner]
    assert not found[1 - owner]
    return members[owner], members[1 - owner], f"{uid}m{owner}", got, sender


def test_4_8_2_4_a_message_that_was_begun_stays_with_its_member(plain, uid):
    owner, other, name, got, sender = begun(plain, uid)
    owner.send(mw.pubrec(got.packet_id))
    owner.expect("PUBREL")
    owner.close()
    settle(sender, other)
    owner = plain.conn()
    owner.connect(name, clean=False, session_present=True, properties=KEEP)
    owner.expect("PUBREL", packet_id=got.packet_id)
    owner.send(mw.pubcomp(got.packet_id))
    owner.quiet()
    settle(sender, other)


def test_4_8_2_5_and_goes_to_nobody_else_when_its_session_ends(plain, uid):
    owner, other, _, got, sender = begun(plain, uid)
    owner.send(mw.pubrec(got.packet_id))
    owner.expect("PUBREL")
    owner.disconnect(properties={"session_expiry_interval": 0})
    settle(sender, other)


@pytest.mark.parametrize("qos", [1, 2])
def test_4_8_2_6_what_a_member_refuses_goes_to_nobody_else(plain, uid, qos):
    members = [plain.client(f"{uid}m{n}") for n in range(2)]
    for member in members:
        member.subscribe([(f"$share/{uid}/{uid}", qos)], reasons=[qos])
    sender = plain.client(uid + "s")
    for number in range(4):
        sender.publish(uid, str(number), qos, number + 1)
    refused = 0
    for member in members:
        for got in collect(sender, member, uid):
            member.send((mw.puback if qos == 1 else mw.pubrec)(got.packet_id, reason=0x80))
            refused += 1
    assert refused == 4
    settle(sender, *members)


def test_what_connack_offers(plain, uid):
    """Groups are offered as CONNACK says: nothing there means yes."""
    answer = plain.conn(V5).connect(uid)
    for name in ("shared_subscription_available", "wildcard_subscription_available",
                 "subscription_identifier_available"):
        assert answer.prop(name) in (None, 1)
