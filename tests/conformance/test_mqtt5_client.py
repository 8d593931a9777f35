"""MQTT 5.0 from the client's side: nj pub and nj sub, that is, src/client, against a broker that the test
plays byte by byte. A test's name carries the numbers of the statements it proves (mqtt5.txt); what needs a
clock or many connections is in tests/unit/client."""
import re
import socket

import pytest

import mqttwire as mw
from mqttwire import V5, websocket
from scripted import NJ, Side
from toolbox import BIN

pytestmark = [pytest.mark.needs("nightjar"),
              pytest.mark.skipif(not (BIN / "nj").exists(), reason="nj is not built")]
SIDE = Side(V5)
play, listen, refuses, granted, answer = SIDE.play, SIDE.listen, SIDE.refuses, SIDE.granted, SIDE.answer
split = SIDE.split


# -- CONNECT ----------------------------------------------------------------------------------------


def test_3_1_0_1_and_3_1_3_1_and_3_1_3_3_and_2_2_2_1_and_3_14_1_1_and_3_14_2_1_and_3_14_4_1_and_3_14_4_2_a_run(
        ):
    """CONNECT comes first, DISCONNECT last, and every packet is as the standard wants it."""
    sent, done = play("pub", "-t", "t", "-m", "x")
    assert [p.name for p in sent] == ["CONNECT", "PUBLISH", "DISCONNECT"] and done.status == 0
    assert sent[0].client_id == "" and sent[0].properties and sent[1].properties == []
    assert sent[2].raw == b"\xe0\x00"


BAD = b"a\xed\xa0\x80"


def test_1_5_4_1_and_1_5_7_1_and_3_1_3_4_and_3_1_3_11_and_3_1_3_12_and_3_3_2_1_and_3_8_3_1_and_3_10_3_1_and_3_3_2_13_and_3_3_2_19_no_bad_text_goes_out(
        ):
    for args in (["-t", BAD], ["-t", "t", "-i", BAD], ["-t", "t", "-u", BAD],
                 ["-t", "t", "--will-topic", BAD],
                 *(["-t", "t", "-D", "publish", *p] for p in (
                     ["content-type", BAD], ["response-topic", BAD], ["user-property", BAD, "v"],
                     ["user-property", "k", BAD]))):
        refuses("pub", "-m", "x", *args)
    for option in ("-t", "-U"):
        refuses("sub", option, BAD)


@pytest.mark.parametrize("bad", [BAD, b"a\0", b"\xff"], ids=["surrogate", "nul", "byte"])
def test_1_5_4_1_and_1_5_4_2_and_4_7_3_2_bad_text_that_comes_in_ends_the_connection(bad):
    for packet in (mw.publish(bad, b"m"), mw.publish("t", b"m", properties=[("content_type", bad)]),
                   mw.publish("t", b"m", properties=[("user_property", ("k", bad))])):
        sent, done = listen(packet)
        assert done.out == b"" and done.status != 0, done
        assert [p.name for p in sent] == ["CONNECT", "SUBSCRIBE"]


def test_1_5_4_3_a_byte_order_mark_is_text():
    sent, _ = play("pub", "-t", "\ufefft", "-m", "x", "-i", "\ufeffid")
    assert sent[1].topic == "\ufefft" and sent[0].client_id == "\ufeffid"


@pytest.mark.parametrize("size", [0, 120, 121, 122, 123, 16376, 16377, 16378, 16379, 16380])
def test_1_5_5_1_lengths_take_as_few_bytes_as_possible(size):
    """The parser of the tests takes no other ones."""
    sent, _ = play("pub", "-t", "t", "-m", "x" * size)
    assert len(sent[1].payload) == size


WILL = ["--will-topic", "w", "--will-payload", "p", "--will-qos", "2", "--will-retain", "-D", "will",
        "will-delay-interval", "5"]


@pytest.mark.parametrize("args, flags, fields", [
    ([], 0x02, {}),
    (WILL, 0x36, {"will_topic": "w", "will_payload": b"p", "will_properties": [("will_delay_interval", 5)]}),
    (["--will-topic", "w"], 0x06, {"will_topic": "w", "will_payload": b"", "will_properties": []}),
    (["-u", "name"], 0x82, {"username": "name"}), (["-P", "secret"], 0x42, {"password": b"secret"}),
    (["-u", "", "-P", ""], 0xC2, {"username": "", "password": b""}),
    ([*WILL, "-u", "n", "-P", "p", "-i", "id", "-c", "-x", "7"], 0xF4, {
        "client_id": "id", "username": "n", "password": b"p", "will_topic": "w"})])
def test_3_1_2_9_and_3_1_2_11_and_3_1_2_13_and_3_1_2_16_and_3_1_2_17_and_3_1_2_18_and_3_1_2_19_and_3_1_3_1_fields(
        args, flags, fields):
    """Every field has its flag, and every flag its field."""
    sent, _ = listen(mw.publish("t", b"m"), args=("-C", "1", *args))
    assert sent[0].connect_flags == flags
    optional = {"will_topic", "will_payload", "will_properties", "username", "password"}
    assert not optional & set(sent[0].fields) - set(fields) or len(fields) == 4
    for name, value in fields.items():
        assert sent[0].fields[name] == value


def test_3_1_2_12_and_3_3_1_4_qos_3_does_not_exist():
    refuses("pub", "-t", "t", "-m", "x", "-q", "3")
    refuses("pub", "-t", "t", "-m", "x", "--will-topic", "w", "--will-qos", "3")
    sent, done = listen(mw.publish("t", b"m", 1, 1, flags=6))
    assert len(sent) == 2 and done.out == b""


def test_3_1_3_2_the_client_id_stays_the_same():
    """After a lost connection it is the same client."""
    with SIDE.broker([mw.connack(), granted(mw.publish("t", b"1")), None],
                    [mw.connack(session_present=True), granted(mw.publish("t", b"2"))]) as fake:
        NJ.sub(*SIDE.args(fake), "-i", "me", "-c", "-t", "t", "-C", "2").expect(0, "1\n2\n")
        first, second = map(split, fake.finish())
    assert first[0].raw == second[0].raw and first[0].client_id == "me"


def test_4_1_0_1_and_3_1_2_23_a_session_that_stays_is_asked_for():
    """-c: no clean start, an expiry, and after a lost connection what was begun is finished."""
    with SIDE.broker([mw.connack(), granted(mw.publish("t", b"1", 2, 7)), None],
                    [mw.connack(session_present=True), granted(mw.pubrel(7))]) as fake:
        NJ.sub(*SIDE.args(fake), "-i", "me", "-c", "-q", "2", "-t", "t", "-C", "1").expect(0, "1\n")
        first, second = map(split, fake.finish())
    assert first[0].prop("session_expiry_interval") == 0xFFFFFFFF and not first[0].connect_flags & 2
    assert [p.name for p in first] == ["CONNECT", "SUBSCRIBE", "PUBREC"][:len(first)]
    assert [p.name for p in second] == ["CONNECT", "SUBSCRIBE", "PUBCOMP", "DISCONNECT"]


def test_3_1_2_4_and_3_2_2_5_without_a_session_nothing_is_left():
    """The broker has none: what was half received is forgotten, so its PUBREL brings nothing."""
    with SIDE.broker([mw.connack(), granted(mw.publish("t", b"old", 2, 7)), None],
                    [mw.connack(), granted(mw.pubrel(7), mw.publish("t", b"new"))]) as fake:
        NJ.sub(*SIDE.args(fake), "-q", "2", "-t", "t", "-C", "1").expect(0, "new\n")


# -- what CONNACK said ------------------------------------------------------------------------------


def test_3_2_2_4_a_session_that_cannot_be():
    sent, done = play("sub", "-t", "t", connack=mw.connack(session_present=True))
    assert [p.name for p in sent] == ["CONNECT"] and done.status != 0


@pytest.mark.parametrize("says, args", [
    ({"maximum_qos": 1}, ["-q", "2"]), ({"maximum_qos": 0}, ["-q", "1"]), ({"retain_available": 0}, ["-r"]),
    ({"maximum_packet_size": 100}, ["-m", "x" * 100]),
    ({}, ["-D", "publish", "topic-alias", "1"]),
    ({"topic_alias_maximum": 3}, ["-D", "publish", "topic-alias", "4"])])
def test_3_2_2_11_and_3_2_2_14_and_3_2_2_15_and_3_2_2_17_and_3_2_2_18_and_3_3_2_9_limits(says, args):
    """What the broker does not take is not sent; the broker would end the connection."""
    sent, done = play("pub", "-t", "t", *([] if "-m" in args else ["-m", "x"]), *args,
                      connack=mw.connack(properties=says))
    assert done.status != 0 and b"Error: " in done.err, done
    assert "PUBLISH" not in [p.name for p in sent]


def test_3_2_2_11_and_3_2_2_15_and_3_2_2_17_up_to_the_limits():
    says = {"maximum_qos": 1, "maximum_packet_size": 100, "topic_alias_maximum": 3}
    sent, _ = play("pub", "-t", "t", "-q", "1", "-m", "x" * 89, "-D", "publish", "topic-alias", "3",
                   connack=mw.connack(properties=says), steps=[mw.puback(1)])
    assert len(sent[1].raw) == 100 and sent[1].qos == 1


@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("qos", [1, 2])
def test_3_3_4_7_and_4_9_0_1_and_4_9_0_2_and_2_2_1_3_and_4_3_2_1_and_4_3_3_1_the_window_of_the_broker(limit, qos):
    """Lines of standard input: no more are under way than the broker takes, each with an id of its own."""
    waiting, most, ids = [], 0, []

    def respond(raw):
        nonlocal most
        (got,) = split([raw])
        if got.name == "PUBLISH":
            waiting.append(got.packet_id)
            ids.append(got.packet_id)
            most = max(most, len(waiting))
            assert 0 < got.packet_id and waiting.count(got.packet_id) == 1 and not got.dup
            if len(waiting) < limit and len(ids) < 8:
                return b""
            return mw.puback(waiting.pop(0)) if qos == 1 else mw.pubrec(waiting[0])
        if got.name == "PUBREL":
            assert got.packet_id == waiting.pop(0)
            return mw.pubcomp(got.packet_id) + (mw.pubrec(waiting[0]) if waiting and len(ids) == 8 else b"")
        return b""

    connack = mw.connack(properties={"receive_maximum": limit})
    steps = [respond] * (8 * qos)
    if qos == 1:  # the last answers leave together
        last = steps.pop()
        steps.append(lambda raw: last(raw) + b"".join(mw.puback(n) for n in waiting))
    sent, done = play("pub", "-t", "t", "-q", str(qos), "-l", connack=connack, steps=steps,
                      data=b"".join(b"%d\n" % n for n in range(8)))
    assert done.status == 0 and most == limit
    assert [p.payload for p in sent if p.name == "PUBLISH"] == [b"%d" % n for n in range(8)]


@pytest.mark.parametrize("name, value", [("reason-string", ["w" * 50]), ("user-property", ["k", "v" * 50])])
@pytest.mark.parametrize("limit", [30, 100])
def test_3_14_2_3_and_3_14_2_4_the_words_of_disconnect_fit(name, value, limit):
    sent, done = play("pub", "-t", "t", "-m", "x", "-D", "disconnect", name, *value,
                      connack=mw.connack(properties={"maximum_packet_size": limit}))
    assert sent[-1].name == "DISCONNECT" and done.status == 0
    assert len(sent[-1].raw) <= limit and bool(sent[-1].properties) == (limit == 100)


# -- PUBLISH going out ------------------------------------------------------------------------------


def test_2_2_1_2_and_3_3_1_2_and_4_3_1_1_qos_0_has_neither_id_nor_dup():
    sent, _ = play("pub", "-t", "t", "-m", "x")
    assert sent[1].raw == mw.publish("t", b"x")


@pytest.mark.parametrize("topic", ["#", "a/+", "a/#/b", "+", ""])
def test_3_3_2_1_and_3_3_2_2_and_4_7_0_1_and_4_7_3_1_and_3_3_2_14_topics(topic):
    refuses("pub", "-t", topic, "-m", "x")
    refuses("pub", "-t", "t", "-m", "x", "-D", "publish", "response-topic", topic)
    refuses("pub", "-t", "t", "-m", "x", "--will-topic", topic)
    refuses("pub", "-t", "t", "-m", "x", "--will-topic", "w", "-D", "will", "response-topic", topic)


def test_4_7_3_3_the_longest_topic():
    sent, _ = play("pub", "-t", "x" * 65535, "-m", "m")
    assert len(sent[1].topic) == 65535
    refuses("pub", "-t", "x" * 65536, "-m", "m")
    refuses("sub", "-t", "x" * 65536)


def test_3_3_2_8_and_3_3_4_6_properties_that_no_client_sends():
    for args in (["topic-alias", "0"], ["topic-alias", "65536"], ["subscription-identifier", "1"],
                 ["payload-format-indicator", "2"]):
        refuses("pub", "-t", "t", "-m", "x", "-D", "publish", *args)
    refuses("sub", "-t", "t", "-D", "subscribe", "subscription-identifier", "0")


def test_3_3_4_1_and_4_3_2_2_and_4_3_2_3_and_4_3_2_5_qos_1_of_a_sender():
    """Not done before PUBACK with its id; another one does nothing."""
    sent, done = play("pub", "-t", "t", "-q", "1", "-m", "x", "-r", steps=[mw.puback(9) + mw.puback(1)])
    assert [p.name for p in sent] == ["CONNECT", "PUBLISH", "DISCONNECT"] and done.status == 0
    assert sent[1].raw == mw.publish("t", b"x", 1, 1, retain=True)


def test_3_3_4_1_and_3_6_1_1_and_3_6_2_1_and_4_3_3_2_and_4_3_3_3_and_4_3_3_4_and_4_3_3_5_and_4_3_3_6_qos_2_of_a_sender(
        ):
    """PUBREC 0x10 is a success; PUBCOMP before PUBREC ends nothing."""
    sent, done = play("pub", "-t", "t", "-q", "2", "-m", "x",
                      steps=[mw.pubcomp(1) + mw.pubrec(1, reason=0x10), mw.pubcomp(1)])
    assert [p.name for p in sent] == ["CONNECT", "PUBLISH", "PUBREL", "DISCONNECT"] and done.status == 0
    assert sent[2].raw == b"\x62\x02\0\1"


def test_4_6_0_4_pubrel_comes_in_the_order_of_pubrec():
    sent, _ = play("pub", "-t", "t", "-q", "2", "-l", data=b"1\n2\n3\n", steps=[
        b"", b"", mw.pubrec(2) + mw.pubrec(3) + mw.pubrec(1), b"", b"",
        mw.pubcomp(1) + mw.pubcomp(2) + mw.pubcomp(3)])
    assert [p.packet_id for p in sent if p.name == "PUBREL"] == [2, 3, 1]


@pytest.mark.parametrize("qos", [1, 2])
def test_4_3_3_9_and_4_4_0_2_a_refusal_is_the_end_of_the_exchange(qos):
    sent, done = play("pub", "-t", "t", "-q", str(qos), "-m", "x",
                      steps=[(mw.puback if qos == 1 else mw.pubrec)(1, reason=0x87)])
    assert [p.name for p in sent] == ["CONNECT", "PUBLISH", "DISCONNECT"] and done.status == 0x87


def test_3_6_2_1_and_3_7_2_1_and_4_3_3_4_ids_that_the_client_does_not_know():
    sent, _ = listen(mw.pubrec(50), mw.pubrec(51, reason=0x87), mw.pubrel(52), mw.publish("t", b"m"))
    assert [p.raw for p in sent[2:4]] in ([mw.pubrel(50, reason=0x92), mw.pubcomp(52)],
                                          [mw.pubrel(50, reason=0x92), mw.pubcomp(52, reason=0x92)])
    assert [p.name for p in sent[4:]] == ["DISCONNECT"]


# -- PUBLISH coming in ------------------------------------------------------------------------------


def test_2_2_1_5_and_3_3_4_1_and_3_4_2_1_and_4_3_2_4_and_4_5_0_2_and_4_6_0_2_qos_1_of_a_receiver():
    """Each is acknowledged with its id, in the order in which they came, and the id is free then."""
    ids = [5, 1, 65535, 256, 5]
    sent, done = listen(*(mw.publish("t", b"%d" % n, 1, n, dup=n == 1) for n in ids), args=("-C", "5"))
    assert [p.raw for p in sent[2:7]] == [mw.puback(n) for n in ids]
    assert done.out.split() == [b"%d" % n for n in ids]


def test_3_3_4_1_and_3_5_2_1_and_3_7_2_1_and_4_3_3_8_and_4_3_3_10_and_4_3_3_11_and_4_3_3_12_and_4_6_0_3_qos_2_of_a_receiver(
        ):
    """PUBREC for each copy, one message, PUBCOMP for PUBREL, and then the id stands for a new one."""
    sent, done = listen(
        mw.publish("t", b"1", 2, 5), mw.publish("t", b"2", 2, 6), mw.publish("t", b"1", 2, 5, dup=True),
        mw.pubrel(5), mw.publish("t", b"3", 2, 5), mw.pubrel(6), mw.pubrel(5), args=("-C", "3"))
    assert [p.raw for p in sent[2:9]] == [mw.pubrec(5), mw.pubrec(6), mw.pubrec(5), mw.pubcomp(5),
                                          mw.pubrec(5), mw.pubcomp(6), mw.pubcomp(5)]
    assert done.out == b"1\n2\n3\n"


def test_4_3_3_7_and_4_3_3_13_what_has_expired_is_still_finished():
    """The receiver's side: an expiry of zero changes nothing in the exchange."""
    sent, done = listen(mw.publish("t", b"m", 2, 5, properties={"message_expiry_interval": 0}), mw.pubrel(5))
    assert [p.raw for p in sent[2:4]] == [mw.pubrec(5), mw.pubcomp(5)] and done.out == b"m\n"


@pytest.mark.parametrize("name, flags", [
    (n, f) for n in ("CONNACK", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBACK", "UNSUBACK", "PINGRESP",
                     "DISCONNECT") for f in (1, 2, 8) if f != mw.packets.FLAGS[mw.packets.TYPES[n]]])
def test_2_1_3_1_and_3_6_1_1_and_3_14_1_1_flags_that_come_in(name, flags):
    body = {"PINGRESP": b"", "CONNACK": b"\0\0\0", "DISCONNECT": b""}.get(name, b"\0\1")
    sent, done = listen(mw.packet(name, body, flags=flags), mw.publish("t", b"m"))
    assert done.out == b"" and done.status != 0 and len(sent) == 2


@pytest.mark.parametrize("packet", [
    mw.publish("t", b"m", flags=8), mw.publish("t", b"m", 1, 0), mw.publish("#", b"m"), mw.publish("", b"m"),
    mw.publish("t", b"m", properties={"topic_alias": 0}), mw.publish("t", properties={"topic_alias": 1}),
    mw.publish("t", b"m", properties=[("content_type", "a")] * 2), mw.publish("t", properties=b"\x80\x00"),
    mw.publish("t", b"m", properties={"response_topic": "a/#"}), mw.publish("t", properties={"receive_maximum": 1}),
    mw.puback(1, reason=0x01), mw.pubrel(1, reason=0x10), mw.packet("PUBACK", b"\0"), mw.packet("CONNECT", b""),
    mw.packet("AUTH", b"\x18\0"), mw.packet("SUBSCRIBE", b"\0\1\0\0\1t\0"), mw.packet("PINGREQ"),
    b"\x30\xff\xff\xff\xff\x01", mw.packet(0), mw.suback(77, [0]), mw.disconnect(reason=0x04),
    mw.connack()], ids=lambda p: p[:12].hex())
def test_2_2_1_2_and_3_3_1_2_and_3_3_2_2_and_3_3_2_8_and_3_3_2_14_and_1_5_5_1_and_3_4_2_1_and_3_14_2_1_and_4_12_0_7_packets_that_no_broker_may_send(
        packet):
    """The connection ends, and what comes after it counts for nothing."""
    sent, done = listen(packet, mw.publish("t", b"late"))
    assert b"late" not in done.out and done.status != 0 and len(sent) == 2, (sent, done)


def test_3_3_2_7_and_3_3_2_10_aliases_of_the_broker():
    """All up to the maximum that was offered, and only on their connection."""
    alias = [mw.publish(f"t{n}", b"m", properties={"topic_alias": n}) for n in range(1, 6)]
    used = [mw.publish("", b"m", properties={"topic_alias": n}) for n in range(5, 0, -1)]
    ask = ("-D", "connect", "topic-alias-maximum", "5")
    sent, done = listen(*alias, *used, args=("-C", "10", "-F", "%t", *ask))
    assert done.out.split() == [b"t%d" % n for n in (1, 2, 3, 4, 5, 5, 4, 3, 2, 1)]
    assert sent[0].prop("topic_alias_maximum") == 5
    with SIDE.broker([mw.connack(), granted(*alias), None], [mw.connack(), granted(used[0])]) as fake:
        done = NJ.sub(*SIDE.args(fake), "-t", "t", "-F", "%t", "-C", "9", *ask)
        assert done.status != 0 and done.out.split() == [b"t%d" % n for n in range(1, 6)]


def test_4_9_0_2_more_than_the_client_takes():
    """QoS 2: what the broker has under way is bounded by the client's receive maximum."""
    sent, done = listen(*(mw.publish("t", b"m", 2, n) for n in (1, 2, 3)),
                        args=("-C", "1", "-D", "connect", "receive-maximum", "2"))
    assert [p.name for p in sent[2:]] == ["PUBREC"] * (len(sent) - 2) and len(sent) <= 4 and done.status != 0


# -- SUBSCRIBE, UNSUBSCRIBE -------------------------------------------------------------------------


def test_3_8_1_1_and_3_10_1_1_and_3_8_3_2_and_3_10_3_2_and_2_2_1_3_and_4_9_0_3_requests():
    """The parser of the tests takes no other flags. At least one filter is in each."""
    sent, _ = play("sub", "-t", "a", "-t", "b/#", "-U", "c", "-U", "d", "-q", "1", "-C", "1", "-D", "subscribe",
                   "user-property", "k", "v", steps=[answer, answer, lambda raw: answer(raw, mw.publish("a"))])
    requests = [p for p in sent if p.name in ("SUBSCRIBE", "UNSUBSCRIBE")]
    assert sorted(str(p.filters) for p in requests) == ["['c']", "['d']", "[('a', 1), ('b/#', 1)]"]
    ids = [p.packet_id for p in requests]
    assert len(set(ids)) == len(ids) and 0 not in ids
    refuses("sub")


@pytest.mark.parametrize("bad", ["a#", "#/a", "a/#/b", "+a", "a+", "a/+b", ""])
def test_4_7_1_1_and_4_7_1_2_and_4_7_3_1_filters_that_are_none(bad):
    refuses("sub", "-t", bad)
    refuses("sub", "-t", "t", "-U", bad)


@pytest.mark.parametrize("bad", ["$share/g", "$share//t", "$share/g/", "$share/+/t", "$share/a#/t"])
def test_4_8_2_1_and_4_8_2_2_shared_filters_that_are_none(bad):
    refuses("sub", "-t", bad)


def test_3_8_3_4_no_local_is_never_asked_for():
    sent, _ = listen(mw.publish("t", b"m"), args=("-C", "1", "--retain-as-published"))
    assert all(not bits & 4 for _, bits in sent[1].filters)


# -- transports -------------------------------------------------------------------------------------


def test_4_2_1_and_6_0_0_1_and_6_0_0_2_and_6_0_0_3_websocket():
    """It offers "mqtt", sends binary frames, and takes packets however they are cut into frames."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        with NJ.start("sub", "-h", "127.0.0.1", "-p", port, "--ws", "-V", "5", "-t", "t", "-C", "2") as sub:
            sock = listener.accept()[0]
            with sock:
                sock.settimeout(20)
                head = b""
                while b"\r\n\r\n" not in head:
                    head += sock.recv(4096)
                fields = dict(re.findall(rb"(?im)^([\w-]+): *(.*?)\r$", head))
                fields = {k.lower(): v for k, v in fields.items()}
                assert fields[b"sec-websocket-protocol"].split(b",")[0].strip() == b"mqtt"
                assert fields[b"sec-websocket-version"] == b"13"
                sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             b"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: "
                             + websocket.accept_of(fields[b"sec-websocket-key"].decode()).encode()
                             + b"\r\n\r\n")
                frames = Unmasked(sock)
                assert frames.packet().name == "CONNECT"
                for byte in mw.connack():
                    sock.sendall(plain_frame(bytes([byte])))
                got = frames.packet()
                assert got.name == "SUBSCRIBE"
                data = mw.suback(got.packet_id, [0]) + mw.publish("t", b"1") + mw.publish("t", b"2")
                sock.sendall(plain_frame(data[:9]) + plain_frame(data[9:]))
                sub.end().expect(0, "1\n2\n")
                assert frames.packet().name == "DISCONNECT"


def plain_frame(payload):
    """A frame as servers send it: without a mask."""
    return websocket.frame(payload, masked=False)


class Unmasked:
    """The packets in the frames of a client, each of which must be masked and binary."""

    def __init__(self, sock):
        self.sock, self.data, self.bytes = sock, b"", b""

    def packet(self):
        while True:
            if len(self.bytes) > 1 and len(self.bytes) >= self.bytes[1] + 2:
                size = self.bytes[1] + 2
                raw, self.bytes = self.bytes[:size], self.bytes[size:]
                return mw.split(raw, V5)[0]
            while len(self.data) < 6 or len(self.data) < 6 + (self.data[1] & 0x7F):
                more = self.sock.recv(4096)
                assert more, "the client has gone"
                self.data += more
            size = self.data[1] & 0x7F
            assert self.data[0] == 0x82 and self.data[1] & 0x80 and size < 126
            self.bytes += websocket.apply_mask(self.data[6:6 + size], self.data[2:6])
            self.data = self.data[6 + size:]
