"""MQTT 3.1.1 from the client's side, and 3.1 where it says the same: as test_mqtt5_client.py. A test's name
carries the numbers of the statements it proves (mqtt311.txt)."""
import pytest

import mqttwire as mw
from mqttwire import V31, V311
from scripted import NJ, Side
from toolbox import BIN

pytestmark = [pytest.mark.needs("nightjar"),
              pytest.mark.skipif(not (BIN / "nj").exists(), reason="nj is not built")]
BAD = b"a\xed\xa0\x80"


@pytest.fixture(params=[V311, V31], ids=["v311", "v31"])
def side(request):
    return Side(request.param)


def test_3_1_0_1_and_3_1_3_1_and_3_1_3_3_and_2_3_1_5_and_3_3_1_2_and_4_3_1_1_and_3_14_4_1_and_3_14_4_2_a_run(
        side):
    """CONNECT comes first, DISCONNECT last; QoS 0 has neither DUP nor an id."""
    sent, done = side.play("pub", "-t", "t", "-m", "x")
    assert [p.name for p in sent] == ["CONNECT", "PUBLISH", "DISCONNECT"] and done.status == 0
    assert sent[1].raw == mw.publish("t", b"x", version=side.version) and sent[2].raw == b"\xe0\x00"


def test_1_5_3_1_and_3_1_3_4_and_3_1_3_10_and_3_1_3_11_and_3_3_2_1_and_3_8_3_1_and_3_10_3_1_no_bad_text_goes_out(side):
    for args in (["-t", BAD], ["-t", "t", "-i", BAD], ["-t", "t", "-u", BAD], ["-t", "t", "--will-topic", BAD]):
        side.refuses("pub", "-m", "x", *args)
    for option in ("-t", "-U"):
        side.refuses("sub", option, BAD)


@pytest.mark.parametrize("bad", [BAD, b"a\0", b"\xff"], ids=["surrogate", "nul", "byte"])
def test_1_5_3_1_and_1_5_3_2_and_4_7_3_2_and_4_8_0_1_bad_text_that_comes_in_ends_the_connection(side, bad):
    sent, done = side.listen(mw.publish(bad, b"m", version=side.version))
    assert done.out == b"" and done.status != 0 and [p.name for p in sent] == ["CONNECT", "SUBSCRIBE"]


def test_1_5_3_3_a_byte_order_mark_is_text(side):
    sent, _ = side.play("pub", "-t", "\ufefft", "-m", "x", "-i", "\ufeffid")
    assert sent[1].topic == "\ufefft" and sent[0].client_id == "\ufeffid"


WILL = ["--will-topic", "w", "--will-payload", "p", "--will-qos", "2", "--will-retain"]


@pytest.mark.parametrize("args, flags, fields", [
    ([], 0x02, {}), (WILL, 0x36, {"will_topic": "w", "will_payload": b"p"}),
    (["--will-topic", "w"], 0x06, {"will_topic": "w", "will_payload": b""}),
    (["-u", "name"], 0x82, {"username": "name"}),
    ([*WILL, "-u", "n", "-P", "p", "-i", "id", "-c"], 0xF4, {
        "will_topic": "w", "will_payload": b"p", "username": "n", "password": b"p"})])
def test_3_1_2_9_and_3_1_2_11_and_3_1_2_13_and_3_1_2_15_and_3_1_2_18_and_3_1_2_19_and_3_1_2_20_and_3_1_2_21_and_3_1_3_1_fields(
        side, args, flags, fields):
    """Every field has its flag, and every flag its field."""
    sent, _ = side.listen(mw.publish("t", b"m", version=side.version), args=("-C", "1", *args))
    assert sent[0].connect_flags == flags
    optional = {"will_topic", "will_payload", "username", "password"}
    assert {k: v for k, v in sent[0].fields.items() if k in optional} == fields


def test_3_1_2_14_and_3_1_2_22_and_3_1_3_7_what_no_client_asks_for(side):
    """QoS 3 for a will, a password without a user name, a session without a client id."""
    side.refuses("pub", "-t", "t", "-m", "x", "--will-topic", "w", "--will-qos", "3")
    side.refuses("pub", "-t", "t", "-m", "x", "-P", "secret")
    side.refuses("sub", "-t", "t", "-c")


def test_3_1_2_4_and_3_1_3_2_and_4_1_0_1_and_4_1_0_2_a_session_that_stays(side):
    """The same client id, no clean session; what was half received is finished on the next connection."""
    v = side.version
    with side.broker([mw.connack(v), side.granted(mw.publish("t", b"1", 2, 7, version=v)), None],
                     [mw.connack(v, session_present=True), side.granted(mw.pubrel(7, v))]) as fake:
        NJ.sub(*side.args(fake), "-i", "me", "-c", "-q", "2", "-t", "t", "-C", "1").expect(0, "1\n")
        first, second = map(side.split, fake.finish())
    assert first[0].raw == second[0].raw and first[0].client_id == "me" and not first[0].connect_flags & 2
    assert [p.name for p in second] == ["CONNECT", "SUBSCRIBE", "PUBCOMP", "DISCONNECT"]


def test_3_1_2_6_with_a_clean_session_nothing_is_left():
    side, v = Side(V311), V311
    with side.broker([mw.connack(v), side.granted(mw.publish("t", b"old", 2, 7, version=v)), None],
                     [mw.connack(v), side.granted(mw.pubrel(7, v), mw.publish("t", b"new", version=v))]) as fake:
        NJ.sub(*side.args(fake), "-q", "2", "-t", "t", "-C", "1").expect(0, "new\n")


def test_3_3_1_4_and_3_3_2_2_and_4_7_1_1_and_4_7_3_1_and_4_7_3_3_topics(side):
    for topic in ("#", "a/+", "a/#/b", "+", "", "x" * 65536):
        side.refuses("pub", "-t", topic, "-m", "x")
        side.refuses("pub", "-t", "t", "-m", "x", "--will-topic", topic)
    side.refuses("pub", "-t", "t", "-m", "x", "-q", "3")
    sent, _ = side.play("pub", "-t", "x" * 65535, "-m", "m")
    assert len(sent[1].topic) == 65535


@pytest.mark.parametrize("bad", ["a#", "#/a", "a/#/b", "+a", "a+", "a/+b", ""])
def test_4_7_1_2_and_4_7_1_3_and_4_7_3_1_filters_that_are_none(side, bad):
    side.refuses("sub", "-t", bad)
    side.refuses("sub", "-t", "t", "-U", bad)


def test_3_3_4_1_and_4_3_2_1_and_2_3_1_1_qos_1_of_a_sender(side):
    """Not done before PUBACK with its id; another one does nothing."""
    v = side.version
    sent, done = side.play("pub", "-t", "t", "-q", "1", "-m", "x", "-r", steps=[mw.puback(9, v) + mw.puback(1, v)])
    assert [p.name for p in sent] == ["CONNECT", "PUBLISH", "DISCONNECT"] and done.status == 0
    assert sent[1].raw == mw.publish("t", b"x", 1, 1, retain=True, version=v)


def test_3_3_4_1_and_3_6_1_1_and_4_3_3_1_and_2_3_1_6_qos_2_of_a_sender(side):
    """PUBREL with its id and flags; PUBCOMP before PUBREC does nothing."""
    v = side.version
    sent, done = side.play("pub", "-t", "t", "-q", "2", "-m", "x",
                           steps=[mw.pubcomp(1, v) + mw.pubrec(1, v), mw.pubcomp(1, v)])
    assert [p.name for p in sent] == ["CONNECT", "PUBLISH", "PUBREL", "DISCONNECT"] and done.status == 0
    assert sent[2].raw == b"\x62\x02\0\1"


def test_2_3_1_6_and_3_3_4_1_and_4_3_2_2_and_4_3_3_2_and_4_5_0_2_and_4_6_0_2_and_4_6_0_3_a_receiver(side):
    """Each copy is acknowledged with its id, in the order in which they came; a QoS 2 message counts once,
    until PUBREL frees its id."""
    v = side.version

    def make(payload, qos, number, **options):
        return mw.publish("t", payload, qos, number, version=v, **options)

    sent, done = side.listen(make(b"1", 1, 5), make(b"2", 2, 9), make(b"3", 2, 5), make(b"2", 2, 9, dup=True),
                             make(b"4", 1, 2), mw.pubrel(9, v), make(b"5", 2, 9), mw.pubrel(5, v),
                             mw.pubrel(9, v), args=("-C", "5"))
    assert [p.raw for p in sent[2:11]] == [
        mw.puback(5, v), mw.pubrec(9, v), mw.pubrec(5, v), mw.pubrec(9, v), mw.puback(2, v), mw.pubcomp(9, v),
        mw.pubrec(9, v), mw.pubcomp(5, v), mw.pubcomp(9, v)]
    assert done.out == b"1\n4\n2\n3\n5\n"


def test_4_6_0_4_pubrel_comes_in_the_order_of_pubrec(side):
    v = side.version
    sent, _ = side.play("pub", "-t", "t", "-q", "2", "-l", data=b"1\n2\n3\n", steps=[
        b"", b"", mw.pubrec(2, v) + mw.pubrec(3, v) + mw.pubrec(1, v), b"", b"",
        mw.pubcomp(1, v) + mw.pubcomp(2, v) + mw.pubcomp(3, v)])
    assert [p.packet_id for p in sent if p.name == "PUBREL"] == [2, 3, 1]


def test_3_8_1_1_and_3_10_1_1_and_3_8_3_3_and_3_10_3_2_and_2_3_1_1_requests(side):
    """The parser of the tests takes no other flags. At least one filter is in each, and an id."""
    sent, _ = side.play("sub", "-t", "a", "-t", "b/#", "-U", "c", "-q", "1", "-C", "1", steps=[
        side.answer, lambda raw: side.answer(raw, mw.publish("a", b"m", version=side.version))])
    requests = [p for p in sent if p.name in ("SUBSCRIBE", "UNSUBSCRIBE")]
    assert sorted(str(p.filters) for p in requests) == ["['c']", "[('a', 1), ('b/#', 1)]"]
    assert len({p.packet_id for p in requests} - {0}) == 2
    side.refuses("sub")


def packets_no_broker_sends(v):
    return [mw.publish("t", b"m", version=v, flags=8), mw.publish("t", b"m", 1, 0, version=v),
            mw.publish("t", b"m", 1, 1, version=v, flags=6), mw.publish("#", b"m", version=v),
            mw.publish("", b"m", version=v), mw.packet("PUBACK", b"\0"), mw.packet("CONNECT", b""),
            mw.packet("AUTH", b""), mw.packet("PINGREQ"), mw.packet(0), mw.suback(77, [0], v), mw.connack(v),
            mw.packet("DISCONNECT"), b"\x30\xff\xff\xff\xff\x01", mw.packet("PUBACK", b"\0\1", flags=1),
            mw.packet("PUBREL", b"\0\1", flags=0), mw.packet("PINGRESP", flags=2)]


@pytest.mark.parametrize("number", range(len(packets_no_broker_sends(V311))))
def test_2_2_2_1_and_2_2_2_2_and_2_3_1_1_and_3_3_1_2_and_3_3_1_4_and_3_3_2_2_and_3_6_1_1_and_4_8_0_1_what_no_broker_may_send(
        side, number):
    """The connection ends, and what comes after it counts for nothing."""
    bad = packets_no_broker_sends(side.version)[number]
    if side.version == V31 and bad[0] in (0x38,):
        return  # 3.1 leaves DUP of QoS 0 to the sender
    sent, done = side.listen(bad, mw.publish("t", b"late", version=side.version))
    assert b"late" not in done.out and done.status != 0 and len(sent) == 2, (sent, done)
