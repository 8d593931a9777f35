"""In which order a client finds what it asked for, and what it still gets when its connection ends."""
import pytest

import mqttwire as mw
from mqttwire import V311, V5
from scenes import open_broker


@pytest.mark.parametrize("qos", [0, 1])
def test_pingreq_is_a_barrier_across_connections(plain, uid, qos):
    """Whoever has a PINGRESP on one connection finds on another what was sent before it, in front of
    that one's PINGRESP: whichever threads of the broker the two live on."""
    senders = [plain.client(f"{uid}s{n}") for n in range(3)]
    receivers = [plain.client(f"{uid}r{n}") for n in range(3)]
    for one in receivers:
        one.subscribe(uid)
    for n in range(60):
        sender = senders[n % 3]
        sender.send(mw.publish(uid, b"%d" % n, qos, 7 if qos else None), mw.pingreq())
        sender.drain(lambda p: p.name == "PINGRESP")
        for one in receivers:
            one.send(mw.pingreq())
            seen = one.drain(lambda p: p.name == "PINGRESP")
            assert [p.payload for p in seen[:-1]] == [b"%d" % n], n


def test_an_answer_is_a_barrier_even_to_who_receives_much(plain, uid):
    """The PUBACK that goes out together with a message is none the earlier for it."""
    both = [plain.client(f"{uid}b{n}") for n in range(4)]
    for one in both:
        one.subscribe(uid)
    for n in range(40):
        sender = both[n % 4]
        sender.send(mw.publish(uid, b"%d" % n, 1, 7))
        sender.drain(lambda p: p.name == "PUBACK")
        for one in both:
            one.send(mw.pingreq())
            got = one.drain(lambda p: p.name == "PINGRESP")
            assert one is sender or [p.name for p in got] == ["PUBLISH", "PINGRESP"]


@pytest.mark.needs("nightjar")
def test_retained_messages_come_in_the_order_of_their_topics(plain, uid):
    """Siblings as they came, parents before children, "a" itself last for "a/#"."""
    sender = plain.client(uid + "s")
    names = ["z/1", "a", "m", "a/2", "z/0"]
    for name in names:
        sender.publish(f"{uid}/{name}", b"x", 1, retain=True)
    sender.publish(uid, b"x", 1, retain=True)
    sender.publish(f"{uid}/m", b"again", 1, retain=True)  # keeps its place
    for filter_, expected in [("#", ["/z/1", "/z/0", "/a", "/a/2", "/m", ""]),
                              ("+", ["/a", "/m"]), ("+/+", ["/z/1", "/z/0", "/a/2"])]:
        conn = plain.client(uid + "r")
        conn.send(mw.subscribe(1, f"{uid}/{filter_}"), mw.pingreq())
        seen = conn.drain(lambda p: p.name == "PINGRESP")
        assert [p.topic for p in seen if p.name == "PUBLISH"] == [uid + e for e in expected]
    for name in names:
        sender.publish(f"{uid}/{name}", b"", 1, retain=True)
    sender.publish(uid, b"", 1, retain=True)


@pytest.mark.parametrize("end", [mw.disconnect(V311), mw.connect("x", V311), mw.packet(0),
                                 mw.packet("SUBSCRIBE", b"\0")],
                         ids=["disconnect", "connect", "type-0", "malformed"])
def test_what_is_sent_with_connect_does_not_take_its_connack_back(plain, uid, end):
    conn = plain.conn(V311)
    conn.send(mw.connect(uid, V311), mw.subscribe(1, [(uid, 1)], V311),
              mw.publish(uid, b"m", 1, 2, version=V311), end)
    seen = [p.name for p in conn.expect_closed()]
    assert seen[:2] == ["CONNACK", "SUBACK"] and sorted(seen[2:]) == ["PUBACK", "PUBLISH"]


def test_a_half_closed_connection_gets_its_answers(plain, uid):
    conn = plain.conn(V311)
    conn.send(mw.connect(uid, V311), mw.publish(uid, b"m", 1, 2, version=V311), mw.pingreq())
    conn.sock.shutdown(1)
    assert [p.name for p in conn.expect_closed()] == ["CONNACK", "PUBACK", "PINGRESP"]


MALFORMED, PROTOCOL = 0x81, 0x82


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("packet, native, compat", [
    (mw.packet("SUBSCRIBE", b"\0\1\0"), PROTOCOL, MALFORMED),
    (mw.subscribe(0, "t"), PROTOCOL, MALFORMED),
    (mw.subscribe(1, [("t", 0x30)]), PROTOCOL, MALFORMED),
    (mw.subscribe(1, [("$share/g/t", 4)]), PROTOCOL, PROTOCOL),
    (mw.packet("UNSUBSCRIBE", b"\0\1\0"), PROTOCOL, MALFORMED),
    (mw.unsubscribe(0, ["t"]), PROTOCOL, MALFORMED),
    (mw.packet(0), PROTOCOL, PROTOCOL),
    (mw.publish("a/+", b""), 0x90, MALFORMED),
    (mw.publish("/" * 201, b"", 1, 2), 0x90, MALFORMED),
    (mw.publish("", b""), PROTOCOL, MALFORMED),
    (mw.publish("", b"", properties={"topic_alias": 3}), PROTOCOL, PROTOCOL),
    (mw.publish("t", b"", properties={"topic_alias": 0}), 0x94, 0x94),
    (mw.subscribe(1, "t", properties={"subscription_identifier": 0}), PROTOCOL, PROTOCOL),
    (mw.publish("t", b"", properties={"topic_alias": 11}), 0x94, 0x94),
    (mw.publish("t", b"", 1, 0), PROTOCOL, PROTOCOL),
])
def test_the_code_of_an_error_is_that_of_the_mode(shared_broker, mode, uid, packet, native, compat):
    conn = open_broker(shared_broker, mode).client(uid)
    conn.send(packet)
    conn.expect_closed(reason=native if mode == "native" else compat)


@pytest.mark.needs("nightjar")
def test_an_acknowledgement_of_the_wrong_kind(shared_broker, mode, uid):
    one = open_broker(shared_broker, mode)
    sender = one.client(uid + "s")
    for qos, wrong in [(1, mw.pubrec), (1, mw.pubcomp), (2, mw.puback), (2, mw.pubcomp)]:
        conn = one.client(uid)
        conn.subscribe(uid, qos=2)
        sender.publish(uid, b"m", qos)
        got = conn.expect("PUBLISH")
        conn.send(wrong(got.packet_id))
        if mode == "compat":
            conn.expect_closed(reason=PROTOCOL)
        else:
            conn.send(mw.pingreq())
            conn.drain(lambda p: p.name == "PINGRESP")
        conn.close()


def test_a_message_that_expires_at_once_says_so(plain, uid):
    """MQTT5 3.3.2.3.3: the received interval less the time that it waited; and nobody waits for it."""
    live, sender = plain.client(uid + "l", V5), plain.client(uid + "s")
    late = plain.conn()
    late.connect(uid, clean=False, properties={"session_expiry_interval": 100})
    for one in (live, late):
        one.subscribe(uid, qos=1)
    late.disconnect()
    sender.publish(uid, b"m", 1, retain=True, properties={"message_expiry_interval": 0})
    assert live.receive(uid).prop("message_expiry_interval") == 0
    late = plain.conn()
    late.connect(uid, clean=False, session_present=True)
    late.send(mw.subscribe(1, uid), mw.pingreq())
    assert [p.name for p in late.drain(lambda p: p.name == "PINGRESP")] == ["SUBACK", "PINGRESP"]
