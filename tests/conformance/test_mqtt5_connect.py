"""MQTT 5.0, chapters 3.1, 3.2, 3.14, 3.15, 4.1, 4.12 and 4.13: connections and sessions. A test's name
carries the numbers of the statements it proves (mqtt5.txt)."""
import string

import pytest

import mqttwire as mw
from mqttwire import V5
from scenes import endpoint_of, settle

KEEP = {"session_expiry_interval": 1000}
CONNACK_REASONS = {0, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90,
                   0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F}


def stored(one, client_id, **options):
    """A client whose session stays."""
    return one.client(client_id, clean=False, properties=KEEP, **options)


def refused(one, data, reasons=frozenset(CONNACK_REASONS - {0})):
    """Sends a CONNECT that must not succeed: an end, and before it at most one refusal."""
    conn = one.conn()
    conn.send(data)
    seen = conn.expect_closed()
    assert all(p.name == "CONNACK" and p.reason in reasons and not p.session_present
               for p in seen) and len(seen) <= 1, seen
    return seen[0].reason if seen else None


# -- 3.1 CONNECT ----------------------------------------------------------------------------------


@pytest.mark.parametrize("packet", [
    mw.pingreq(), mw.publish("t", b""), mw.publish("t", b"", 1, 1), mw.subscribe(1, "t"),
    mw.unsubscribe(1, "t"), mw.puback(1), mw.pubrel(1), mw.disconnect(), mw.auth(0x18, {
        "authentication_method": "x"})])
def test_3_1_0_1_and_3_14_0_1_and_3_2_0_1_connect_comes_first(plain, packet):
    conn = plain.conn()
    conn.send(packet)
    assert not [p for p in conn.expect_closed() if p.name != "CONNACK"]


def test_3_1_0_2_and_3_2_0_2_a_second_connect_ends_the_connection(plain, uid):
    conn = plain.client(uid)
    conn.send(mw.connect(uid))
    seen = conn.expect_closed(reason=0x82)
    assert [p.name for p in seen] == ["DISCONNECT"]


@pytest.mark.parametrize("name", ["MQTTX", "mqtt", "MQ", "", "MQTs"])
def test_3_1_2_1_another_protocol_name(plain, name):
    refused(plain, mw.connect("x", protocol=name), {0x84, 0x81, 0x82})


@pytest.mark.parametrize("level", [0, 1, 2, 6, 7, 127, 255])
def test_3_1_2_2_another_protocol_version(plain, level):
    conn = plain.conn()
    conn.send(mw.connect("x", level=level))
    seen = conn.expect_closed()
    assert not [p for p in seen if p.name != "CONNACK" or p.raw[3] not in (0x84, 0x01)], seen


def test_3_1_2_3_the_reserved_flag(plain):
    refused(plain, mw.connect("x", flags=0x03), {0x81, 0x82})


def test_3_1_2_4_and_3_1_4_4_and_3_2_2_2_a_clean_start_begins_anew(plain, uid):
    first = stored(plain, uid)
    first.subscribe(uid, qos=1)
    first.close()
    sender = plain.client(uid + "s")
    sender.publish(uid, b"queued", 1)
    second = plain.conn()
    second.connect(uid, clean=True, session_present=False, properties=KEEP)
    second.quiet()
    sender.publish(uid, b"nobody subscribes", 1)
    settle(sender, second)


@pytest.mark.parametrize("qos", [1, 2])
def test_3_1_2_5_and_3_1_2_23_and_3_2_2_3_and_4_5_0_1_a_session_goes_on(plain, uid, qos):
    first = stored(plain, uid)
    first.subscribe(uid, qos=qos)
    first.disconnect()
    plain.client(uid + "s").publish(uid, b"meanwhile", qos)
    second = plain.conn()
    second.connect(uid, clean=False, session_present=True, properties=KEEP)
    second.receive(uid, payload=b"meanwhile", qos=qos)
    plain.client(uid + "s").publish(uid, b"now", qos)
    second.receive(uid, payload=b"now", qos=qos)


def test_3_1_2_6_and_3_2_2_3_a_session_begins(plain, uid):
    plain.conn().connect(uid, clean=False, session_present=False, properties=KEEP)


def willing(one, client_id, topic, properties=None, keep_alive=60, expiry=None, **will):
    conn = one.conn()
    conn.connect(client_id, clean=False, keep_alive=keep_alive,
                 properties={"session_expiry_interval": expiry} if expiry else None,
                 will=mw.Will(topic, b"will", properties=properties, **will))
    return conn


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_3_1_2_7_and_3_1_2_8_a_will_is_published_after_the_end(plain, uid, qos):
    watcher = plain.client(uid + "w")
    watcher.subscribe(f"{uid}/will", qos=2)
    conn = willing(plain, uid, f"{uid}/will", qos=qos)
    watcher.quiet()
    conn.close()
    watcher.receive(f"{uid}/will", payload=b"will", qos=qos)


def test_3_1_2_8_after_a_protocol_error_too(plain, uid):
    watcher = plain.client(uid + "w")
    watcher.subscribe(f"{uid}/will")
    conn = willing(plain, uid, f"{uid}/will")
    conn.send(mw.packet(0, b""))
    watcher.receive(f"{uid}/will", payload=b"will")


def test_3_1_2_8_and_3_1_2_22_after_silence(plain, uid):
    watcher = plain.client(uid + "w")
    watcher.subscribe(f"{uid}/will")
    willing(plain, uid, f"{uid}/will", keep_alive=1)
    watcher.receive(f"{uid}/will", payload=b"will")


def test_3_1_2_8_disconnect_0x04_publishes_it(plain, uid):
    watcher = plain.client(uid + "w")
    watcher.subscribe(f"{uid}/will")
    willing(plain, uid, f"{uid}/will").disconnect(0x04)
    watcher.receive(f"{uid}/will", payload=b"will")


def test_3_1_2_10_and_3_14_4_3_disconnect_takes_the_will_back(plain, uid):
    watcher, other = plain.client(uid + "w"), plain.client(uid + "o")
    watcher.subscribe(f"{uid}/will")
    willing(plain, uid, f"{uid}/will", expiry=1000, properties={"will_delay_interval": 1}
            ).disconnect()
    plain.client(uid, clean=False, properties={"session_expiry_interval": 0}).disconnect()
    settle(other, watcher)


def test_3_1_2_8_and_3_1_2_10_a_will_is_published_once(plain, uid):
    watcher = plain.client(uid + "w")
    watcher.subscribe(f"{uid}/will")
    willing(plain, uid, f"{uid}/will", expiry=1000).close()
    watcher.receive(f"{uid}/will", payload=b"will")
    back = plain.client(uid, clean=False, properties={"session_expiry_interval": 0})
    back.close()
    settle(plain.client(uid + "o"), watcher)


def test_3_1_2_8_the_delay_passes_or_the_session_ends(plain, uid):
    watcher = plain.client(uid + "w")
    watcher.subscribe([(f"{uid}/+", 0)])
    willing(plain, uid + "1", f"{uid}/ends", expiry=1, properties={"will_delay_interval": 100}
            ).close()
    watcher.receive(f"{uid}/ends", payload=b"will")
    willing(plain, uid + "2", f"{uid}/waits", expiry=100, properties={"will_delay_interval": 1}
            ).close()
    watcher.receive(f"{uid}/waits", payload=b"will")


def test_3_1_3_9_a_return_within_the_delay_cancels_the_will(plain, uid):
    watcher = plain.client(uid + "w")
    watcher.subscribe([(f"{uid}/+", 0)])
    willing(plain, uid, f"{uid}/first", expiry=100, properties={"will_delay_interval": 1}).close()
    back = plain.conn()
    back.connect(uid, clean=False, session_present=True, properties=KEEP)
    # A later will with the same delay proves that the time of the first one is over.
    willing(plain, uid + "2", f"{uid}/second", expiry=100, properties={"will_delay_interval": 1}
            ).close()
    watcher.receive(f"{uid}/second")
    back.quiet()


def test_3_1_2_9_and_3_1_3_1_a_will_needs_its_fields(plain):
    for body in (mw.primitives.binary("x"), mw.primitives.binary("x") + b"\0",
                 mw.primitives.binary("x") + b"\0" + mw.primitives.binary("t")):
        head = mw.primitives.binary("MQTT") + b"\5\6\0\0\0"
        refused(plain, mw.packet("CONNECT", head + body), {0x81, 0x82})


@pytest.mark.parametrize("flags", [0x0A, 0x12, 0x22, 0x3A])
def test_3_1_2_11_and_3_1_2_13_no_will_no_will_flags(plain, flags):
    refused(plain, mw.connect("x", flags=flags), {0x81, 0x82})


def test_3_1_2_12_will_qos_3(plain):
    refused(plain, mw.connect("x", flags=0x1E, will=mw.Will("t", b"")), {0x81, 0x82})


@pytest.mark.parametrize("retain", [False, True])
def test_3_1_2_14_and_3_1_2_15_the_retain_flag_of_a_will(plain, uid, retain):
    watcher = plain.client(uid + "w")
    watcher.subscribe(f"{uid}/will")
    willing(plain, uid, f"{uid}/will", retain=retain).close()
    watcher.receive(f"{uid}/will", retain=False)
    late = plain.client(uid + "l")
    late.subscribe(f"{uid}/will")
    if retain:
        late.receive(f"{uid}/will", payload=b"will", retain=True)
        late.publish(f"{uid}/will", b"", retain=True)
    else:
        late.quiet()


@pytest.mark.parametrize("flags, more", [
    (0x82, b""), (0x42, b""), (0xC2, mw.primitives.binary("u")), (0x02, mw.primitives.binary("u")),
    (0x82, mw.primitives.binary("u") + mw.primitives.binary("p"))])
def test_3_1_2_16_and_3_1_2_17_and_3_1_2_18_and_3_1_2_19_names_and_their_flags(plain, flags, more):
    body = mw.primitives.binary("MQTT") + bytes([5, flags, 0, 60, 0]) + mw.primitives.binary("x")
    refused(plain, mw.packet("CONNECT", body + more), {0x81, 0x82})


def test_3_1_2_22_and_3_2_2_22_one_and_a_half_keep_alives(plain, uid):
    quick, slow = plain.client(uid, keep_alive=1), plain.client(uid + "2", keep_alive=600)
    quick.expect_closed(timeout=8)
    slow.quiet()


@pytest.mark.parametrize("limit", [30, 60])
def test_3_1_2_24_and_3_1_2_25_nothing_larger_than_the_client_takes(plain, uid, limit):
    conn, sender = plain.conn(), plain.client(uid + "s")
    conn.connect(uid, properties={"maximum_packet_size": limit})
    conn.subscribe(uid, qos=1)
    for size in (limit, 1, limit * 3, 2):
        sender.publish(uid, b"x" * size, 1)
    assert [len(conn.receive(uid).payload) for _ in range(2)] == [1, 2]
    conn.quiet()


def test_3_1_2_25_what_is_too_large_takes_no_place_in_the_window(plain, uid):
    conn, sender = plain.conn(), plain.client(uid + "s")
    conn.connect(uid, properties={"maximum_packet_size": 50, "receive_maximum": 1})
    conn.subscribe(uid, qos=2)
    for number in range(5):
        sender.publish(uid, b"x" * 100, 2)
        sender.publish(uid, str(number), 2)
        conn.receive(uid, payload=str(number))


@pytest.mark.parametrize("limit", [None, 0, 2])
def test_3_1_2_26_and_3_1_2_27_and_3_3_2_11_aliases_of_the_server(plain, uid, limit):
    conn, sender = plain.conn(), plain.client(uid + "s")
    conn.connect(uid, properties=None if limit is None else {"topic_alias_maximum": limit})
    conn.subscribe(f"{uid}/#")
    names = {}
    for number in range(12):
        sender.publish(f"{uid}/{number % 4}", b"m")
        got = conn.expect("PUBLISH")
        alias = got.prop("topic_alias")
        if alias:
            assert 0 < alias <= (limit or 0)
            if got.topic:
                names[alias] = got.topic
        assert names.get(alias, got.topic) == f"{uid}/{number % 4}"
        if not limit:
            assert alias is None and got.topic


@pytest.mark.parametrize("value", [None, 0])
def test_3_1_2_28_no_response_information_unasked(plain, uid, value):
    answer = plain.conn().connect(uid, properties=None if value is None else {
        "request_response_information": value})
    assert answer.prop("response_information") is None


def test_3_1_2_29_no_reason_strings_where_they_are_unwanted(plain, uid):
    conn = plain.conn()
    conn.connect(uid, properties={"request_problem_information": 0})
    conn.send(mw.subscribe(1, ["a#", "ok"]), mw.unsubscribe(2, "none"), mw.pubrel(9),
              mw.publish("$SYS/x", b"", 1, 3), mw.publish("$SYS/x", b"", 2, 4), mw.pingreq())
    for got in conn.drain(lambda p: p.name in ("PINGRESP", "DISCONNECT")):
        assert got.name == "DISCONNECT" or not [
            n for n, _ in got.fields.get("properties") or [] if n in ("reason_string", "user_property")]


def test_3_1_3_2_the_client_id_names_the_session(plain, uid):
    for name in (uid, uid + "x"):
        stored(plain, name).close()
    plain.conn().connect(uid, clean=False, session_present=True, properties=KEEP)
    plain.conn().connect(uid + "x", clean=False, session_present=True, properties=KEEP)
    plain.conn().connect(uid + "y", clean=False, session_present=False, properties=KEEP)


def test_3_1_3_3_the_client_id_is_there(plain):
    refused(plain, mw.packet("CONNECT", mw.primitives.binary("MQTT") + b"\5\2\0\0\0"), {0x81, 0x82})


@pytest.mark.parametrize("bad", [b"\xc0\x80", b"a\0b", b"\xed\xa0\x80", b"\xff"])
def test_3_1_3_4_and_3_1_3_11_and_3_1_3_12_names_are_text(plain, bad):
    for data in (mw.connect(bad), mw.connect("x", will=mw.Will(bad, b"")),
                 mw.connect("x", username=bad)):
        refused(plain, data, {0x81, 0x82, 0x85})


@pytest.mark.parametrize("name", ["0", "z", string.digits + string.ascii_lowercase[:13],
                                  string.ascii_lowercase[3:], string.ascii_uppercase[3:]])
def test_3_1_3_5_client_ids_that_must_be_allowed(plain, name):
    plain.client(name).quiet()


@pytest.mark.parametrize("clean", [True, False])
def test_3_1_3_6_and_3_1_3_7_and_3_2_2_16_an_empty_client_id(plain, clean):
    names = set()
    for _ in range(3):
        conn = plain.conn()
        names.add(conn.connect("", clean=clean, session_present=False, properties=KEEP
                               ).prop("assigned_client_identifier"))
        conn.close()
    assert len(names) == 3 and all(names)
    again = plain.conn()
    again.connect(names.pop(), clean=False, session_present=True, properties=KEEP)


def test_3_1_3_8_a_refused_client_id(broker):
    one = broker("allow_zero_length_clientid false\n")
    assert refused(one, mw.connect("")) in (0x85, None)


def test_3_1_3_10_the_properties_of_a_will(plain, uid):
    sent = [("payload_format_indicator", 1), ("message_expiry_interval", 1000),
            ("content_type", "text"), ("response_topic", "r"), ("correlation_data", b"\0\1"),
            *(("user_property", (f"k{n % 3}", f"v{n}")) for n in range(20))]
    watcher = plain.client(uid + "w")
    watcher.subscribe(f"{uid}/will")
    willing(plain, uid, f"{uid}/will", properties=sent).close()
    got = watcher.receive(f"{uid}/will").properties
    assert [v for n, v in got if n == "user_property"] == [v for n, v in sent if n == "user_property"]
    assert {n: v for n, v in got if n not in ("user_property", "message_expiry_interval")} == {
        n: v for n, v in sent if n not in ("user_property", "message_expiry_interval")}


@pytest.mark.parametrize("data", [
    mw.packet("CONNECT", b""), mw.packet("CONNECT", b"\0\4MQTT"), mw.packet("CONNECT", b"\0\4MQTT\5"),
    mw.packet("CONNECT", mw.connect("x")[2:], flags=1), mw.connect("x")[:1] + b"\3" + b"\0\4M",
    mw.packet("CONNECT", mw.connect("x")[2:] + b"more"),
    mw.connect("x", properties=[("session_expiry_interval", 1)] * 2),
    mw.connect("x", properties=[("topic_alias", 1)]), mw.connect("x", properties={
        "receive_maximum": 0})])
def test_3_1_4_1_and_4_13_1_1_a_connect_of_the_wrong_form(plain, data):
    refused(plain, data, {0x81, 0x82})


@pytest.fixture
def closed_broker(shared_broker):
    """Nobody gets in."""
    return shared_broker("allow_anonymous false\n")


def test_3_1_4_2_and_3_2_2_6_and_3_2_2_7_and_3_2_2_8_and_4_13_2_1_a_refusal(closed_broker):
    for data in (mw.connect("x"), mw.connect("x", clean=False, properties=KEEP),
                 mw.connect("x", username="u", password="p")):
        assert refused(closed_broker, data) in (0x86, 0x87)


def test_3_1_4_3_a_take_over(plain, uid):
    old = stored(plain, uid)
    old.subscribe(uid, qos=1)
    new = plain.conn()
    new.connect(uid, clean=False, session_present=True, properties=KEEP)
    old.expect_closed(reason=0x8E)
    plain.client(uid + "s").publish(uid, b"m", 1)
    new.receive(uid, payload=b"m")


def test_3_1_4_5_and_3_2_0_1_and_3_2_2_1_success(plain, uid):
    conn = plain.conn()
    conn.send(mw.connect(uid), mw.pingreq(), mw.subscribe(1, uid))
    answer = conn.packet()
    assert answer.name == "CONNACK" and answer.reason == 0 and answer.raw[2] == 0
    assert {conn.packet().name, conn.packet().name} == {"PINGRESP", "SUBACK"}


def test_3_1_4_6_nothing_after_a_refused_connect_is_handled(closed_broker, plain, uid):
    conn = closed_broker.conn()
    conn.send(mw.connect("x"), mw.publish(uid, b"evil", 1, 1), mw.subscribe(1, uid), mw.pingreq())
    assert [p.name for p in conn.expect_closed()] == ["CONNACK"]


def test_3_2_2_9_and_3_2_2_10_and_3_2_2_11_and_3_2_2_12_a_lower_maximum_qos(shared_broker, uid):
    one = shared_broker("acl_default allow\nmax_qos 1\n", mode="native")
    conn = one.conn()
    assert conn.connect(uid).prop("maximum_qos") == 1
    conn.send(mw.subscribe(1, [(f"{uid}/{n}", n) for n in range(3)]))
    assert all(r <= 2 for r in conn.expect("SUBACK").reasons)
    one.client(uid + "s").publish(f"{uid}/2", b"m", 1)
    assert conn.expect("PUBLISH", topic=f"{uid}/2").qos <= 1
    conn = one.client(uid)
    conn.send(mw.publish("t", b"", 2, 1))
    conn.expect_closed(reason=0x9B)
    assert refused(one, mw.connect("x", will=mw.Will("t", b"", 2))) in (0x9B, None)


def test_3_2_2_13_and_3_2_2_14_where_nothing_is_retained(shared_broker, uid):
    one = shared_broker("acl_default allow\nretain_available false\n", mode="native")
    conn = one.conn()
    assert conn.connect(uid).prop("retain_available") == 0
    conn.send(mw.publish("t", b"", retain=True))
    conn.expect_closed(reason=0x9A)
    assert refused(one, mw.connect("x", will=mw.Will("t", b"", retain=True))) in (0x9A, None)


def test_3_2_2_15_a_packet_above_the_servers_maximum(shared_broker, uid):
    one = shared_broker("acl_default allow\nmax_packet_size 1000\n", mode="native")
    conn = one.conn()
    limit = conn.connect(uid).prop("maximum_packet_size")
    assert limit == 1000
    conn.send(mw.publish("t", b"x" * limit))
    conn.expect_closed(reason=0x95)


def test_3_2_2_17_and_3_2_2_18_and_3_3_2_9_and_3_3_2_8_aliases_of_the_client(plain, uid):
    limit = plain.conn().connect(uid).prop("topic_alias_maximum") or 0
    for alias in (0, limit + 1, 65535):
        conn = plain.client(uid)
        conn.send(mw.publish("t", b"", properties={"topic_alias": alias}))
        conn.expect_closed(reason={0x94, 0x82})


@pytest.mark.parametrize("limit", [4, 10, 20])
def test_3_2_2_19_and_3_2_2_20_and_3_1_2_24_a_connack_fits(plain, uid, limit):
    """Where not even its limits fit, the connection ends."""
    conn = plain.conn()
    conn.send(mw.connect(uid, properties={"maximum_packet_size": limit}))
    try:
        got = conn.packet()
    except mw.Closed:
        return
    assert got.name == "CONNACK" and len(got.raw) <= limit


def test_3_2_2_21_a_keep_alive_of_the_server(shared_broker, uid):
    one = shared_broker("acl_default allow\nmax_keepalive 20\n", mode="native")
    for asked, told in ((0, 20), (1000, 20), (20, None), (5, None)):
        assert one.conn().connect(uid, keep_alive=asked).prop("server_keep_alive") in (told, 20)


# -- 3.14 DISCONNECT, 3.15 AUTH -------------------------------------------------------------------


@pytest.mark.parametrize("flags", [1, 2, 4, 8, 15])
def test_3_14_1_1_reserved_flags_of_disconnect(plain, uid, flags):
    conn = plain.client(uid)
    conn.send(mw.packet("DISCONNECT", b"", flags=flags))
    conn.expect_closed(reason={0x81, 0x82})


def test_3_14_2_1_reasons_of_the_servers_disconnect(plain, uid):
    known = {0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96,
             0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2, 0}
    for data in (mw.packet(0, b""), mw.packet(15, b""), mw.publish("", b""), mw.publish("#", b""),
                 mw.subscribe(1, []), mw.connect("x"), mw.connack(), mw.pubrel(0),
                 mw.packet("PUBLISH", b"\0\1t\0", flags=6)):
        conn = plain.client(uid)
        conn.send(data)
        got = conn.expect_closed()
        assert [p.reason for p in got if p.name == "DISCONNECT"][-1] in known


def test_3_14_2_2_a_server_sends_no_session_expiry(plain, uid):
    old = stored(plain, uid)
    plain.client(uid)
    got = old.expect_closed(reason=0x8E)[-1]
    assert "session_expiry_interval" not in dict(got.fields.get("properties") or [])


def test_3_14_4_1_and_3_14_4_2_nothing_after_disconnect(plain, uid):
    """Neither the client's after its own, nor the server's after its own."""
    watcher = plain.client(uid + "w")
    watcher.subscribe(uid)
    conn = plain.client(uid)
    conn.send(mw.disconnect(), mw.publish(uid, b"late"), mw.pingreq())
    conn.expect_closed(silent=True)
    settle(plain.client(uid + "o"), watcher)
    conn = plain.client(uid)
    conn.send(mw.connect(uid), mw.pingreq(), mw.subscribe(2, uid))
    assert [p.name for p in conn.expect_closed(reason=0x82)] == ["DISCONNECT"]


def test_3_14_2_2_the_expiry_may_change_with_disconnect(plain, uid):
    stored(plain, uid).disconnect(properties={"session_expiry_interval": 0})
    plain.conn().connect(uid, clean=False, session_present=False, properties=KEEP)
    conn = plain.client(uid + "2")  # expiry 0 may not become another one
    conn.send(mw.disconnect(properties={"session_expiry_interval": 10}, reason=0))
    conn.expect_closed(reason=0x82)


@pytest.mark.parametrize("flags", [1, 2, 8, 15])
def test_3_15_1_1_flags_of_auth(plain, uid, flags):
    conn = plain.client(uid)
    conn.send(mw.packet("AUTH", b"\x19\0", flags=flags))
    conn.expect_closed(reason={0x81, 0x82})


@pytest.mark.parametrize("reason", [1, 0x17, 0x80, 0x87, 0xFF])
def test_3_15_2_1_reasons_of_auth(plain, uid, reason):
    conn = plain.client(uid)
    conn.send(mw.auth(reason, {"authentication_method": "x"}))
    conn.expect_closed(reason={0x81, 0x82})


# -- 4.1 sessions, 4.12 authentication, 4.13 errors -------------------------------------------------


def test_4_1_0_1_and_4_1_0_2_a_session_lives_as_long_as_it_says(plain, uid):
    other = plain.client(uid + "o")
    live = plain.client(uid + "l", clean=True, properties={"session_expiry_interval": 0})
    live.subscribe(uid, qos=1)
    short = plain.client(uid, clean=False, properties={"session_expiry_interval": 1})
    short.subscribe(uid, qos=1)
    short.close()
    # Both sessions end at the same time: the will of one tells when.
    other.subscribe(f"{uid}/over")
    willing(plain, uid + "w", f"{uid}/over", expiry=2, properties={"will_delay_interval": 9}).close()
    other.receive(f"{uid}/over")
    plain.conn().connect(uid, clean=False, session_present=False)
    other.publish(uid, b"m", 1)
    live.receive(uid, payload=b"m")


def test_4_1_0_2_no_expiry_means_the_end_of_the_connection(plain, uid):
    conn = plain.client(uid, clean=False)
    conn.subscribe(uid, qos=1)
    conn.close()
    plain.conn().connect(uid, clean=False, session_present=False)


def test_4_2_1_every_transport_keeps_order(plain, uid, transport):
    reader = mw.Conn(endpoint_of(plain, transport), V5)
    reader.connect(uid)
    reader.subscribe(uid)
    reader.send(*(mw.publish(uid, str(n)) for n in range(300)))
    assert [int(reader.receive(uid).payload) for _ in range(300)] == list(range(300))


@pytest.mark.parametrize("method", ["", "SCRAM-SHA-1", "x" * 1000])
def test_4_12_0_1_and_4_12_0_4_an_unknown_method(plain, method):
    assert refused(plain, mw.connect("x", properties={"authentication_method": method,
                                                      "authentication_data": b"d"})) in (0x8C, 0x87, None)


def test_4_12_0_6_and_4_12_0_7_and_3_1_2_30_no_auth_without_a_method(plain, uid):
    conn = plain.conn()
    assert conn.connect(uid).prop("authentication_method") is None
    conn.send(mw.auth(0x19, {"authentication_method": "x"}))
    conn.expect_closed(reason={0x82, 0x8C})


@pytest.mark.parametrize("kind", range(16))
def test_2_1_3_1_and_3_6_1_1_and_3_8_1_1_and_3_10_1_1_flags_of_each_type(plain, uid, kind):
    if kind == 3:  # the flags of PUBLISH mean something
        return
    body = {8: b"\0\1\0\0\1t\0", 10: b"\0\1\0\0\1t", 6: b"\0\1"}.get(kind, b"")
    for flags in range(16):
        if kind in mw.packets.NAMES and flags == mw.packets.FLAGS[kind]:
            continue
        conn = plain.client(uid)
        conn.send(mw.packet(kind, body, flags=flags))
        conn.expect_closed(reason={0x81, 0x82})


def test_1_5_5_1_and_2_2_2_1_lengths_of_properties(plain, uid):
    for length in (b"\x80\x00", b"\x80\x80\x00", b"\xff\xff\xff\xff\x01", b"\x05"):
        conn = plain.client(uid)
        conn.send(mw.packet("PUBLISH", mw.primitives.binary("t") + length, flags=0))
        conn.expect_closed(reason={0x81, 0x82})
    conn = plain.client(uid)
    conn.send(mw.packet("SUBSCRIBE", b"\0\1"))  # no length at all
    conn.expect_closed(reason={0x81, 0x82})


BAD_TEXT = [b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xc0\x80", b"\xf4\x90\x80\x80", b"a\0", b"\xe2\x82"]


@pytest.mark.parametrize("bad", BAD_TEXT)
def test_1_5_4_1_and_1_5_4_2_and_1_5_7_1_and_3_3_2_13_and_3_3_2_19_text(plain, uid, bad):
    for data in (mw.publish(bad, b""), mw.subscribe(1, bad), mw.unsubscribe(1, bad),
                 *(mw.publish("t", b"", properties=[p]) for p in (
                     ("user_property", (bad, "v")), ("user_property", ("k", bad)),
                     ("content_type", bad), ("response_topic", bad)))):
        conn = plain.client(uid)
        conn.send(data)
        conn.expect_closed(reason={0x81, 0x82, 0x90, 0x8F})


def test_1_5_4_3_a_byte_order_mark_is_text(plain, uid):
    conn = plain.client(uid)
    conn.subscribe([(f"\ufeff{uid}", 0), (f"{uid}", 0)], reasons=[0, 0])
    conn.publish(f"\ufeff{uid}", b"marked")
    conn.receive(f"\ufeff{uid}", payload=b"marked")
    conn.quiet()
