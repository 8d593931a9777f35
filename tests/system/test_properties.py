"""What MQTT 5 carries along: message properties, expiry, session expiry, problem information."""
import time

import pytest

import mqttwire as mw
from mqttwire import V311, V5
from mqttwire.properties import ALLOWED, IDS, TABLE, example
from scenes import open_broker, settle

SENT = [("payload_format_indicator", 1), ("content_type", "text/plain;é"),
        ("response_topic", "answers/here"), ("correlation_data", b"\x00\xff\x10"),
        ("user_property", ("k", "v1")), ("user_property", ("k", "v2")),
        ("user_property", ("", ""))]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_B035_message_properties_arrive_unchanged(plain, uid, qos):
    conn, sender = plain.client(uid), plain.client(uid + "s")
    conn.subscribe(uid, qos=2)
    sender.publish(uid, "text", qos, properties=SENT)
    got = conn.receive(uid, b"text")
    assert sorted(map(repr, got.properties)) == sorted(map(repr, SENT))
    assert [v for k, v in got.properties if k == "user_property"] == [
        ("k", "v1"), ("k", "v2"), ("", "")], "user properties keep their order"


def test_properties_wait_with_the_message(plain, uid):
    conn, sender = plain.conn(), plain.client(uid + "s")
    conn.connect(uid, clean=False, properties={"session_expiry_interval": 100})
    conn.subscribe(uid, qos=1)
    conn.close()
    sender.publish(uid, b"m", 1, properties=SENT)
    conn = plain.conn()
    conn.connect(uid, clean=False)
    got = conn.receive(uid, b"m")
    assert sorted(map(repr, got.properties)) == sorted(map(repr, SENT))


UTF8 = {"payload_format_indicator": 1}
BAD_UTF8 = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"cut \xe2\x82"]


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("payload", BAD_UTF8, ids=range(len(BAD_UTF8)))
def test_B114_a_payload_that_is_not_the_utf8_it_says_is_refused(shared_broker, mode, uid, payload):
    one = open_broker(shared_broker, mode)
    conn, sender = one.client(uid), one.client(uid + "s")
    conn.subscribe(f"{uid}/#", qos=2)
    for qos, answer in ((1, "PUBACK"), (2, "PUBREC")):
        sender.send(mw.publish(f"{uid}/{qos}", payload, qos, packet_id=7, properties=UTF8))
        assert sender.expect(answer).reason == (0x99 if mode == "native" else 0)
    if mode == "compat":
        sender.send(mw.pubrel(7))
        sender.expect("PUBCOMP")
        assert conn.receive(f"{uid}/1").payload == payload
        assert conn.receive(f"{uid}/2").payload == payload
        sender.publish(f"{uid}/0", payload, properties=UTF8)
        assert conn.receive(f"{uid}/0").payload == payload
        return
    settle(sender, conn)
    sender.send(mw.publish(f"{uid}/0", payload, properties=UTF8))  # no acknowledgement to say it
    sender.expect_closed(reason=0x99)
    settle(one.client(uid + "t"), conn)


@pytest.mark.needs("nightjar")
def test_B114_good_utf8_and_what_says_nothing_passes(shared_broker, mode, uid):
    one = open_broker(shared_broker, mode)
    conn, sender = one.client(uid), one.client(uid + "s")
    conn.subscribe(uid)
    for payload, properties in [("é€😀", UTF8), (b"a\x00b", UTF8), (b"", UTF8), (b"\xff", None),
                                (b"\xff", {"payload_format_indicator": 0})]:
        sender.publish(uid, payload, 1, properties=properties)
        conn.receive(uid, payload)


def test_properties_stay_out_of_mqtt3(plain, uid):
    conn, sender = plain.client(uid, V311), plain.client(uid + "s")
    conn.subscribe(uid)
    sender.publish(uid, b"m", properties=SENT)
    conn.expect_bytes(mw.publish(uid, b"m", version=V311))


def test_message_expiry_counts_down(plain, uid):
    conn, sender = plain.conn(), plain.client(uid + "s")
    conn.connect(uid, clean=False, properties={"session_expiry_interval": 100})
    conn.subscribe(f"{uid}/#", qos=1)
    live = plain.client(uid + "l")
    live.subscribe(f"{uid}/#", qos=1)
    conn.disconnect()
    sender.publish(f"{uid}/short", b"m", 1, properties={"message_expiry_interval": 1})
    sender.publish(f"{uid}/long", b"m", 1, properties={"message_expiry_interval": 100})
    sender.publish(f"{uid}/never", b"m", 1)
    assert live.receive(f"{uid}/short").prop("message_expiry_interval") == 1
    assert live.receive(f"{uid}/long").prop("message_expiry_interval") in (99, 100)
    assert live.receive(f"{uid}/never").prop("message_expiry_interval") is None
    wait = plain.client(uid + "w", keep_alive=1)  # dies after 1.5 s: a clock without sleeping
    wait.expect_closed(timeout=8)
    conn = plain.conn()
    conn.connect(uid, clean=False)
    got = conn.receive()
    assert got.topic == f"{uid}/long"
    assert 90 <= got.prop("message_expiry_interval") <= 99
    conn.receive(f"{uid}/never")
    settle(sender, conn)


def test_B115_extreme_message_expiry(plain, uid):
    conn, sender = plain.client(uid), plain.client(uid + "s")
    conn.subscribe(uid, qos=1)
    sender.publish(uid, b"max", 1, properties={"message_expiry_interval": 0xFFFFFFFF})
    assert conn.receive(uid, b"max").prop("message_expiry_interval") >= 0xFFFFFFFE
    sender.publish(uid, b"zero", 1, properties={"message_expiry_interval": 0})
    sender.publish(uid, b"end", 1)
    got = conn.receive(uid)
    assert got.payload == b"end" or conn.receive(uid).payload == b"end"


def test_B116_correlation_data_of_65535_bytes(plain, uid):
    conn, sender = plain.client(uid), plain.client(uid + "s")
    conn.subscribe(uid)
    data = bytes(range(256)) * 255 + bytes(255)
    sender.publish(uid, b"m", properties={"correlation_data": data})
    assert conn.receive(uid).prop("correlation_data") == data


def test_session_expiry_ends_a_session(plain, uid):
    conn = plain.conn()
    conn.connect(uid + "1", clean=False, properties={"session_expiry_interval": 1})
    conn.close()
    conn = plain.conn()
    conn.connect(uid + "0", clean=False)  # no expiry: ends with the connection
    conn.disconnect()
    plain.conn().connect(uid + "0", clean=False, session_present=False)
    plain.client(uid + "w", keep_alive=2).expect_closed(timeout=8)  # three seconds later
    plain.conn().connect(uid + "1", clean=False, session_present=False)


def test_disconnect_can_change_the_session_expiry(plain, uid):
    conn = plain.conn()
    conn.connect(uid, properties={"session_expiry_interval": 1})
    conn.disconnect(0, {"session_expiry_interval": 100})
    plain.client(uid + "w", keep_alive=2).expect_closed(timeout=8)
    conn = plain.conn()
    conn.connect(uid, clean=False, session_present=True,
                 properties={"session_expiry_interval": 100})
    conn.disconnect(0, {"session_expiry_interval": 0})
    plain.conn().connect(uid, clean=False, session_present=False)


def test_disconnect_cannot_give_life_to_a_mortal_session(plain, uid):
    conn = plain.client(uid)
    conn.send(mw.disconnect(V5, 0, {"session_expiry_interval": 100}))
    conn.expect_closed(reason=0x82)


def test_clean_session_of_mqtt3_ends_with_the_connection(plain, uid):
    plain.client(uid, V311).disconnect()
    plain.conn(V311).connect(uid, clean=False, session_present=False)


def test_persistent_client_expiration_is_known(shared_broker, uid):
    one = open_broker(shared_broker, extra="persistent_client_expiration 1h\n")
    conn = one.conn(V311)
    conn.connect(uid, clean=False)
    conn.disconnect()
    one.conn(V311).connect(uid, clean=False, session_present=True)


@pytest.mark.parametrize("value", [2, 255])
def test_payload_format_indicator_is_zero_or_one(plain, uid, value):
    conn = plain.client(uid)
    conn.send(mw.publish(uid, b"x", properties={"payload_format_indicator": value}))
    conn.expect_closed(reason={0x81, 0x82})


@pytest.mark.parametrize("topic", ["#", "a/+", ""])
def test_L039_response_topic_with_wildcards(plain, uid, topic):
    conn, other = plain.client(uid), plain.client(uid + "o")
    other.subscribe(uid)
    conn.send(mw.publish(uid, b"x", properties={"response_topic": topic}))
    if topic:
        conn.expect_closed(reason={0x81, 0x82, 0x90})
    settle(plain.client(uid + "s"), other) if topic else other.quiet()


def test_B112_subscription_identifier_from_a_client(plain, uid):
    conn = plain.client(uid)
    conn.send(mw.publish(uid, b"x", properties={"subscription_identifier": 3}))
    conn.expect_closed(reason={0x81, 0x82})


def test_B087_no_reason_string_when_problem_information_is_not_wanted(plain, uid):
    conn = plain.client(uid, properties={"request_problem_information": 0})
    conn.send(mw.publish("$SYS/x", b"m", 1, 1))
    answer = conn.expect("PUBACK", reason=0x87)
    assert not answer.properties
    conn.send(mw.subscribe(2, "$SYS/x"))
    assert not conn.expect("SUBACK").properties


BUILDERS = {
    "CONNECT": lambda p: mw.connect("x", properties=p),
    "WILL": lambda p: mw.connect("x", will=mw.Will("t", b"", properties=p)),
    "PUBLISH": lambda p: mw.publish("illegal", b"", properties=p),
    "SUBSCRIBE": lambda p: mw.subscribe(1, "a", properties=p),
    "UNSUBSCRIBE": lambda p: mw.unsubscribe(1, "a", properties=p),
    "PUBACK": lambda p: mw.puback(1, reason=0, properties=p),
    "PUBREC": lambda p: mw.pubrec(1, reason=0, properties=p),
    "PUBREL": lambda p: mw.pubrel(1, reason=0, properties=p),
    "PUBCOMP": lambda p: mw.pubcomp(1, reason=0, properties=p),
    "DISCONNECT": lambda p: mw.disconnect(5, 0, properties=p),
}


def send_with(plain, where, properties):
    """A packet with these properties on a fresh connection; returns the connection."""
    if where in ("CONNECT", "WILL"):
        conn = plain.conn()
    else:
        conn = plain.client("props")
    conn.send(BUILDERS[where](properties))
    return conn


@pytest.mark.parametrize("where", list(BUILDERS))
def test_L160_properties_in_packets_where_they_may_not_stand(plain, uid, where):
    """Every property of the standard in every packet that it is not for: the sender goes, and a
    subscriber to everything stays."""
    witness = plain.client(uid)
    witness.subscribe("illegal")
    for number, (name, _) in TABLE.items():
        if number in ALLOWED[where]:
            continue
        conn = send_with(plain, where, [(name, example(name))])
        conn.expect_closed(reason={0x81, 0x82})
    settle(plain.client(uid + "s"), witness)


@pytest.mark.parametrize("where", list(BUILDERS))
def test_B034_single_properties_twice(plain, where):
    for number in sorted(ALLOWED[where]):
        name = TABLE[number][0]
        if name in ("user_property",) or (name, where) == ("subscription_identifier", "PUBLISH"):
            continue
        value = example(name)
        conn = send_with(plain, where, [(name, value), (name, value)])
        conn.expect_closed(reason=0x82)


@pytest.mark.parametrize("where", list(BUILDERS))
def test_B032_unknown_property_identifiers(plain, where):
    for number in [n for n in (0, 4, 5, 0x0A, 0x14, 0x1B, 0x2B, 0x7F) if n not in TABLE]:
        conn = send_with(plain, where, [(number, b"\0\0\0\0")])
        conn.expect_closed(reason={0x81, 0x82})
    for number in (0x80, 0x101, 0x3FFF):
        conn = send_with(plain, where, [(number, b"\0\0\0\0")])
        conn.expect_closed(reason={0x81, 0x82})


@pytest.mark.parametrize("where", list(BUILDERS))
def test_L136_B030_properties_longer_than_their_block(plain, where):
    """The inner length reaches beyond the block, the block beyond the packet."""
    inner = bytes([0x26]) + b"\x00\x02ab" + b"\x00\xffv"
    conn = send_with(plain, where, mw.varint(len(inner)) + inner)
    conn.expect_closed(reason=0x81)
    conn = send_with(plain, where, mw.varint(2000) + mw.binary(""))
    conn.expect_closed(reason=0x81)
    conn = send_with(plain, where, b"\xff\xff\xff\xff\x01")
    conn.expect_closed(reason=0x81)


@pytest.mark.parametrize("where", list(BUILDERS))
def test_B031_property_lengths_longer_than_needed(plain, where):
    for size in (2, 3, 4):
        conn = send_with(plain, where, mw.padded_varint(0, size))
        conn.expect_closed(reason=0x81)


@pytest.mark.parametrize("name", [n for n, (_, kind) in IDS.items() if kind == "text"
                                  and IDS[n][0] in ALLOWED["PUBLISH"]] + ["user_property"])
def test_B015_B017_B037_B117_L161_bad_text_in_message_properties(plain, uid, name):
    witness = plain.client(uid)
    witness.subscribe("illegal")
    for bad in (b"a\0b", b"\xed\xa0\x80", b"\xc0\x80", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\x80",
                b"\xe2\x82", b"\xf4\x90\x80\x80", b"\xff"):
        for value in ([(bad, "v"), ("k", bad)] if name == "user_property" else [bad]):
            conn = send_with(plain, "PUBLISH", [(name, value)])
            conn.expect_closed(reason=0x81)
    settle(plain.client(uid + "s"), witness)


@pytest.mark.slow
def test_L154_B036_thousands_of_user_properties_cost_little(plain, uid):
    """13,000 in one packet, a hundred times: refused or carried, but never slow."""
    other = plain.client(uid + "o")
    data = mw.publish(uid, b"", properties=[("user_property", ("", ""))] * 13000)
    began = time.monotonic()
    for _ in range(100):
        conn = plain.client(uid)
        conn.try_send(data)
        conn.try_send(mw.pingreq())
        try:
            conn.drain(lambda p: p.name in ("PINGRESP", "DISCONNECT"))
        except mw.Closed:
            pass
        conn.close()
    assert time.monotonic() - began < 10
    other.quiet()


def test_L128_will_properties_of_refused_connects_do_not_pile_up(plain, uid):
    """CONNECTs that fail late, with large will properties."""
    for _ in range(5):
        _refused_connect(plain)
    before = plain.rss()
    for _ in range(300):
        _refused_connect(plain)
    assert plain.rss() - before < 8 << 20


def _refused_connect(plain):
    conn = plain.conn()
    conn.send(mw.connect("x", will=mw.Will("t", b"p" * 2000, properties=[
        ("user_property", ("k", "v" * 1000)), ("correlation_data", b"c" * 1000),
        ("content_type", "t"), ("content_type", "t")])))
    conn.expect_closed(reason=0x82)
