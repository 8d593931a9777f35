"""MQTT 5.0, chapters 3.3 to 3.7, 4.3 to 4.6 and 4.9: publications and their acknowledgements. A test's
name carries the numbers of the statements it proves (mqtt5.txt)."""
import pytest

import mqttwire as mw
from mqttwire import V5
from scenes import settle

KEEP = {"session_expiry_interval": 1000}


def stored(one, client_id, present=None, **properties):
    """A client whose session stays."""
    conn = one.conn()
    conn.connect(client_id, clean=False, session_present=present, properties={**KEEP, **properties})
    return conn


@pytest.fixture
def pair(plain, uid):
    """A sender and a reader that is subscribed to uid/# with QoS 2."""
    sender, reader = plain.client(uid + "s"), plain.client(uid + "r")
    reader.subscribe(f"{uid}/#", qos=2)
    return sender, reader


# -- 2.2.1 packet ids, 3.3.1 flags -----------------------------------------------------------------


@pytest.mark.parametrize("qos", [1, 2])
def test_2_2_1_4_and_4_3_2_1_and_4_3_3_1_ids_of_the_server(plain, uid, qos):
    """Never 0, never two at once, and free again after the exchange."""
    reader, sender = plain.client(uid), plain.client(uid + "s")
    reader.subscribe(uid, qos=qos)
    for _ in range(3):
        for number in range(15):
            sender.publish(uid, str(number), qos, number + 1)
        open_now = [reader.expect("PUBLISH", dup=False) for _ in range(15)]
        ids = [p.packet_id for p in open_now]
        assert len(set(ids)) == 15 and 0 not in ids
        for one in open_now:
            reader.send((mw.puback if qos == 1 else mw.pubrec)(one.packet_id))
        if qos == 2:
            for one in open_now:
                reader.expect("PUBREL", packet_id=one.packet_id, reason=0)
                reader.send(mw.pubcomp(one.packet_id))


@pytest.mark.parametrize("packet_id", [1, 255, 256, 65535])
def test_2_2_1_5_and_2_2_1_6_and_3_3_4_1_and_3_4_2_1_and_3_5_2_1_answers_name_their_packet(
        plain, uid, packet_id):
    conn = plain.client(uid)
    conn.send(mw.subscribe(packet_id, uid))
    conn.expect("SUBACK", packet_id=packet_id)
    conn.send(mw.unsubscribe(packet_id, uid))
    conn.expect("UNSUBACK", packet_id=packet_id)
    conn.send(mw.publish(uid, b"", 1, packet_id))
    conn.expect("PUBACK", packet_id=packet_id, reason=lambda r: r in (0, 0x10))
    conn.send(mw.publish(uid, b"", 2, packet_id))
    conn.expect("PUBREC", packet_id=packet_id, reason=lambda r: r in (0, 0x10))
    conn.send(mw.pubrel(packet_id))
    conn.expect("PUBCOMP", packet_id=packet_id, reason=0)


@pytest.mark.parametrize("data", [
    mw.publish("t", b"", 1, 0), mw.publish("t", b"", 2, 0), mw.subscribe(0, "t"),
    mw.unsubscribe(0, "t")])
def test_2_2_1_3_and_2_2_1_2_packet_id_0(plain, uid, data):
    conn = plain.client(uid)
    conn.send(data)
    conn.expect_closed(reason={0x81, 0x82})


@pytest.mark.parametrize("qos", [1, 2])
def test_3_3_1_1_and_4_4_0_1_and_4_3_2_3_and_4_3_3_3_sent_again_after_a_return(plain, uid, qos):
    """With DUP and the same id, in the same order, and not before the return."""
    reader, sender = stored(plain, uid), plain.client(uid + "s")
    reader.subscribe(uid, qos=qos)
    for number in range(5):
        sender.publish(uid, str(number), qos, number + 1)
    first = [reader.expect("PUBLISH", dup=False) for _ in range(5)]
    reader.quiet()
    reader.close()
    again = stored(plain, uid, present=True)
    for one in first:
        again.expect("PUBLISH", dup=True, packet_id=one.packet_id, payload=one.payload, qos=qos)
    again.quiet()


def test_3_3_1_2_and_4_3_1_1_and_2_2_1_2_qos_0_has_neither_dup_nor_id(plain, uid, pair):
    sender, reader = pair
    conn = plain.client(uid)
    conn.send(mw.publish("t", b"", flags=8))
    conn.expect_closed(reason={0x81, 0x82})
    sender.publish(f"{uid}/t", b"m")
    got = reader.expect("PUBLISH", qos=0, dup=False)
    assert got.raw == mw.publish(f"{uid}/t", b"m")


@pytest.mark.parametrize("qos", [1, 2])
def test_3_3_1_3_and_4_3_2_2_and_4_3_3_2_dup_is_not_forwarded(uid, pair, qos):
    sender, reader = pair
    sender.publish(f"{uid}/t", b"m", qos, dup=True)
    reader.receive(f"{uid}/t", dup=False, qos=qos)


@pytest.mark.parametrize("flags", [6, 7, 14, 15])
def test_3_3_1_4_qos_3(plain, uid, flags):
    conn = plain.client(uid)
    conn.send(mw.publish("t", b"", 1, 1, flags=flags))
    conn.expect_closed(reason={0x81, 0x82})


@pytest.fixture
def kept(plain, uid):
    """A topic that is emptied afterwards."""
    yield f"{uid}/kept"
    plain.client(uid + "clear").publish(f"{uid}/kept", b"", 1, retain=True)


def retained(one, name, topic, **options):
    """What a new subscriber is sent at once."""
    conn = one.client(name)
    conn.subscribe(topic, qos=2, **options)
    conn.send(mw.pingreq())
    out = []
    while (got := conn.packet()).name != "PINGRESP":
        out.append(got)
    if not out:
        return None
    assert len(out) == 1
    return out[0]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_3_3_1_5_and_3_3_1_9_the_last_retained_message_counts(plain, uid, kept, qos):
    sender = plain.client(uid)
    for payload in (b"first", b"second", b"third"):
        sender.publish(kept, payload, qos, retain=True)
    sender.quiet()
    got = retained(plain, uid + "r", kept)
    assert (got.payload, got.retain, got.qos, got.dup) == (b"third", True, qos, False)


def test_3_3_1_6_and_3_3_1_7_an_empty_one_removes_it(plain, uid, kept):
    sender, live = plain.client(uid), plain.client(uid + "l")
    sender.publish(kept, b"m", 1, retain=True)
    live.subscribe(kept, retain_handling=2)
    sender.publish(kept, b"", 1, retain=True)
    live.receive(kept, payload=b"", retain=False)
    assert retained(plain, uid + "r", kept) is None


def test_3_3_1_8_without_the_flag_nothing_changes(plain, uid, kept):
    sender = plain.client(uid)
    sender.publish(kept, b"kept", 1, retain=True)
    sender.publish(kept, b"live", 1)
    sender.publish(kept, b"", 1)
    assert retained(plain, uid + "r", kept).payload == b"kept"
    sender.publish(kept + "2", b"live", 1)
    assert retained(plain, uid + "r", kept + "2") is None


def test_3_3_1_9_and_3_3_1_10_and_3_3_1_11_and_3_8_4_4_retain_handling(plain, uid, kept):
    plain.client(uid).publish(kept, b"kept", 1, retain=True)
    conn = plain.client(uid + "r")
    for handling, expected in ((2, 0), (1, 0), (0, 1), (0, 1), (1, 0), (2, 0)):
        conn.subscribe(kept, retain_handling=handling)
        for _ in range(expected):
            conn.receive(kept, retain=True)
        conn.quiet()
    conn.unsubscribe([kept])
    conn.subscribe(kept, retain_handling=1)
    conn.receive(kept, retain=True)


@pytest.mark.parametrize("asks", [False, True])
def test_3_3_1_12_and_3_3_1_13_retain_as_published(plain, uid, kept, asks):
    sender, reader = plain.client(uid), plain.client(uid + "r")
    reader.subscribe(kept, qos=1, retain_as_published=asks)
    sender.publish(kept, b"1", 1, retain=True)
    reader.receive(kept, payload=b"1", retain=asks)
    sender.publish(kept, b"2", 1, retain=False)
    reader.receive(kept, payload=b"2", retain=False)


# -- 3.3.2 variable header -------------------------------------------------------------------------


@pytest.mark.parametrize("topic", [b"#", b"a/#", b"+", b"a/+/b", b"a+", b"", b"a\0"])
def test_3_3_2_1_and_3_3_2_2_and_4_7_0_1_and_4_7_3_1_and_4_7_3_2_topics(plain, uid, topic):
    conn = plain.client(uid)
    conn.send(mw.publish(topic, b"x", 1, 1))
    conn.expect_closed(reason={0x81, 0x82, 0x90})


def test_3_3_2_3_what_comes_matches_the_filter(plain, uid):
    reader, sender = plain.client(uid), plain.client(uid + "s")
    reader.subscribe([(f"{uid}/a/+", 0), (f"{uid}/b", 0)], reasons=[0, 0])
    for topic in ("a", "a/x", "a/x/y", "b", "b/x", "c"):
        sender.publish(f"{uid}/{topic}", topic)
    assert [reader.receive().topic for _ in range(2)] == [f"{uid}/a/x", f"{uid}/b"]
    settle(sender, reader)


def test_3_3_2_4_and_3_3_2_15_and_3_3_2_16_and_3_3_2_17_and_3_3_2_18_and_3_3_2_20_forwarded(uid,
                                                                                         pair):
    sender, reader = pair
    sent = [("payload_format_indicator", 1), ("content_type", "text/plain"),
            ("response_topic", f"{uid}/answer"), ("correlation_data", bytes(range(256))),
            *(("user_property", (f"k{n % 2}", f"v{n}")) for n in range(30)), ("user_property", ("", ""))]
    for qos in (0, 1, 2):
        sender.publish(f"{uid}/t", b"m", qos, properties=sent)
        got = reader.receive(f"{uid}/t").properties
        assert [p for p in got if p[0] == "user_property"] == [p for p in sent
                                                               if p[0] == "user_property"]
        assert {p for p in got if p[0] != "user_property"} == {p for p in sent
                                                               if p[0] != "user_property"}
    sender.publish(f"{uid}/t", b"m", properties={"payload_format_indicator": 0})
    assert dict(reader.receive().properties).get("payload_format_indicator", 0) == 0


def test_3_3_2_5_and_3_3_2_6_message_expiry(plain, uid):
    reader, sender = stored(plain, uid), plain.client(uid + "s")
    reader.subscribe(f"{uid}/#", qos=1)
    reader.disconnect()
    sender.publish(f"{uid}/short", b"", 1, properties={"message_expiry_interval": 1})
    sender.publish(f"{uid}/long", b"", 1, properties={"message_expiry_interval": 100})
    # A will with a delay of two seconds tells that two seconds are over.
    plain.conn().connect(uid + "w", properties=KEEP, will=mw.Will(
        f"{uid}-later", b"", properties={"will_delay_interval": 2}))
    sender.subscribe(f"{uid}-later")
    plain.client(uid + "w", clean=False, properties=KEEP, will=mw.Will(
        f"{uid}-later", b"", properties={"will_delay_interval": 2})).close()
    sender.receive(f"{uid}-later")
    again = stored(plain, uid, present=True)
    left = again.receive(f"{uid}/long").prop("message_expiry_interval")
    assert 90 <= left <= 98
    again.quiet()


def test_3_3_2_7_aliases_end_with_the_connection(plain, uid, pair):
    _, reader = pair
    conn = stored(plain, uid)
    conn.publish(f"{uid}/t", b"1", properties={"topic_alias": 1})
    conn.publish("", b"2", properties={"topic_alias": 1})
    reader.receive(f"{uid}/t", payload=b"1")
    reader.receive(f"{uid}/t", payload=b"2")
    conn.close()
    conn = stored(plain, uid, present=True)
    conn.send(mw.publish("", b"3", properties={"topic_alias": 1}))
    conn.expect_closed(reason={0x82, 0x94})
    reader.quiet()


def test_3_3_2_12_every_alias_that_was_offered(plain, uid, pair):
    _, reader = pair
    conn = plain.conn()
    limit = conn.connect(uid).prop("topic_alias_maximum") or 0
    for alias in range(1, limit + 1):
        conn.publish(f"{uid}/{alias}", b"set", properties={"topic_alias": alias})
        reader.receive(f"{uid}/{alias}", payload=b"set")
    for alias in range(limit, 0, -1):
        conn.publish("", b"used", properties={"topic_alias": alias})
        reader.receive(f"{uid}/{alias}", payload=b"used")
    if limit:
        conn.publish(f"{uid}/new", b"moved", properties={"topic_alias": 1})
        reader.receive(f"{uid}/new", payload=b"moved")
        conn.publish("", b"again", properties={"topic_alias": 1})
        reader.receive(f"{uid}/new", payload=b"again")


@pytest.mark.parametrize("topic", ["#", "a/+", "a/#", "+"])
def test_3_3_2_14_a_response_topic_with_wildcards(plain, uid, topic):
    conn = plain.client(uid)
    conn.send(mw.publish("t", b"", properties={"response_topic": topic}))
    conn.expect_closed(reason={0x81, 0x82, 0x90})


# -- 3.3.4 actions ---------------------------------------------------------------------------------


def test_3_3_4_2_and_3_3_4_3_and_3_3_4_5_overlapping_subscriptions(plain, uid):
    """A copy for each of them, with its QoS and its identifier."""
    reader, sender = plain.client(uid), plain.client(uid + "s")
    for qos, filter_, number in ((0, f"{uid}/#", 10), (2, f"{uid}/+", 20), (1, f"{uid}/t", None),
                                 (1, f"{uid}/other", 40)):
        reader.subscribe([(filter_, qos)], properties={"subscription_identifier": number}
                         if number else None)
    sender.publish(f"{uid}/t", b"m", 2)
    seen = [reader.receive(f"{uid}/t", payload=b"m") for _ in range(3)]
    assert sorted((p.qos, p.props("subscription_identifier")) for p in seen) == [(0, [10]), (1, []), (2, [20])]
    settle(sender, reader)


def test_3_3_4_6_a_client_sends_no_subscription_identifier(plain, uid):
    conn = plain.client(uid)
    conn.send(mw.publish("t", b"", properties={"subscription_identifier": 1}))
    conn.expect_closed(reason={0x82, 0x81})


def test_3_3_4_7_more_than_the_servers_receive_maximum(plain, uid):
    conn = plain.conn()
    limit = conn.connect(uid).prop("receive_maximum") or 65535
    if limit > 5000:
        return
    conn.send(*(mw.publish("t", b"", 2, n + 1) for n in range(limit + 1)))
    seen = conn.expect_closed(reason=0x93)
    assert sum(p.name == "PUBREC" for p in seen) <= limit


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("limit", [1, 2, 7])
def test_3_3_4_9_and_3_3_4_10_and_4_9_0_1_and_4_9_0_2_and_4_9_0_3_receive_maximum(plain, uid, qos,
                                                                               limit):
    """A full window holds publications above QoS 0 back and nothing else."""
    reader, sender = plain.conn(), plain.client(uid + "s")
    reader.connect(uid, properties={"receive_maximum": limit})
    reader.subscribe([(f"{uid}/t", qos), (f"{uid}/zero", 0)], reasons=[qos, 0])
    for number in range(limit + 3):
        sender.publish(f"{uid}/t", str(number), qos)
    window = [reader.expect("PUBLISH", payload=str(n), qos=qos) for n in range(limit)]
    reader.quiet()
    reader.subscribe(f"{uid}/more", packet_id=9)
    reader.publish(f"{uid}/mine", b"", 2)
    sender.publish(f"{uid}/zero", b"zero")
    reader.expect("PUBLISH", topic=f"{uid}/zero", qos=0)
    one = window.pop(0)
    reader.send((mw.puback if qos == 1 else mw.pubrec)(one.packet_id))
    if qos == 2:
        reader.expect("PUBREL", packet_id=one.packet_id)
        reader.quiet()  # PUBREC frees no place
        reader.send(mw.pubcomp(one.packet_id))
    reader.expect("PUBLISH", payload=str(limit), qos=qos)
    reader.quiet()


# -- 3.4 to 3.7, 4.3, 4.4 the exchanges ------------------------------------------------------------


@pytest.mark.parametrize("make, codes", [
    (mw.puback, {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}),
    (mw.pubrec, {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}),
    (mw.pubrel, {0, 0x92}), (mw.pubcomp, {0, 0x92})], ids=["puback", "pubrec", "pubrel", "pubcomp"])
def test_3_4_2_1_and_3_5_2_1_and_3_6_2_1_and_3_7_2_1_reasons_of_a_client(plain, uid, make, codes):
    for code in range(256):
        if code in codes:
            continue
        conn = plain.client(uid)
        conn.send(make(7, reason=code))
        conn.expect_closed(reason={0x81, 0x82})


@pytest.mark.parametrize("limit", [6, 8, 10, 12, 16, 20, 24, 28, 40, 1000])
def test_3_4_2_2_and_3_5_2_2_and_3_7_2_2_and_3_9_2_1_and_3_11_2_1_and_3_14_2_3_words_fit(shared_broker, uid,
                                                                                         limit):
    """Whatever the client takes at most: no answer is larger, and none is missing for its words' sake."""
    one = shared_broker("acl_file {dir}/acl\n", mode="native",
                        files={"acl": "topic read ok/#\n"})
    conn = one.conn()
    conn.send(mw.connect(uid, properties={"maximum_packet_size": limit}))
    try:
        conn.expect("CONNACK")
    except mw.Closed:  # not even its limits fit
        assert limit < 20
        return
    conn.send(mw.publish("no", b"", 1, 1), mw.publish("no", b"", 2, 2), mw.pubrel(3),
              mw.subscribe(4, ["no", "ok"]), mw.unsubscribe(5, "no"), mw.packet(0))
    seen = conn.expect_closed()
    assert [p.name for p in seen] == ["PUBACK", "PUBREC", "PUBCOMP", "SUBACK", "UNSUBACK", "DISCONNECT"]
    assert all(len(p.raw) <= limit for p in seen)
    if limit == 1000:
        assert all(p.prop("reason_string") for p in seen if p.name in ("PUBACK", "PUBREC", "SUBACK", "DISCONNECT"))


def test_3_6_2_1_and_3_7_2_1_unknown_ids_are_answered(plain, uid):
    conn = plain.client(uid)
    conn.send(mw.pubrel(77))
    conn.expect("PUBCOMP", packet_id=77, reason=lambda r: r in (0, 0x92))
    conn.send(mw.pubrec(78))
    conn.expect("PUBREL", packet_id=78, reason=lambda r: r in (0, 0x92))


def test_4_3_2_4_and_4_3_2_5_the_same_id_after_puback(uid, pair):
    sender, reader = pair
    for number in range(5):
        sender.publish(f"{uid}/t", str(number), 1, 7, dup=bool(number % 2))
        reader.receive(f"{uid}/t", payload=str(number))


def test_4_3_3_4_and_4_3_3_5_and_4_3_3_6_and_4_4_0_1_pubrel_again_after_a_return(plain, uid):
    reader, sender = stored(plain, uid), plain.client(uid + "s")
    reader.subscribe(uid, qos=2)
    sender.publish(uid, b"m", 2)
    got = reader.expect("PUBLISH")
    reader.send(mw.pubrec(got.packet_id, reason=0))
    reader.expect("PUBREL", packet_id=got.packet_id)
    reader.close()
    for _ in range(2):
        again = stored(plain, uid, present=True)
        again.expect("PUBREL", packet_id=got.packet_id)
        again.quiet()
        again.close()
    again = stored(plain, uid, present=True)
    again.expect("PUBREL", packet_id=got.packet_id)
    again.send(mw.pubcomp(got.packet_id))
    again.quiet()
    again.close()
    stored(plain, uid, present=True).quiet()


def test_4_3_3_7_what_was_sent_does_not_expire(plain, uid):
    reader, sender = stored(plain, uid), plain.client(uid + "s")
    reader.subscribe(uid, qos=2)
    sender.publish(uid, b"m", 2, properties={"message_expiry_interval": 1})
    got = reader.expect("PUBLISH")
    reader.close()
    waiter = plain.client(uid + "k", keep_alive=1)
    waiter.expect_closed(timeout=8)  # a second and a half
    again = stored(plain, uid, present=True)
    again.expect("PUBLISH", packet_id=got.packet_id, dup=True)
    again.send(mw.pubrec(got.packet_id))
    again.expect("PUBREL", packet_id=got.packet_id)


def test_4_3_3_8_and_4_3_3_10_and_4_3_3_11_and_4_3_3_12_a_receiver_of_qos_2(uid, pair):
    sender, reader = pair
    for payload in (b"first", b"second"):
        for number in range(3):
            sender.send(mw.publish(f"{uid}/t", payload, 2, 5, dup=number > 0))
            sender.expect("PUBREC", packet_id=5, reason=lambda r: r < 0x80)
        sender.send(mw.pubrel(5))
        sender.expect("PUBCOMP", packet_id=5, reason=0)
        reader.receive(f"{uid}/t", payload=payload)
    settle(sender, reader)


def test_4_3_3_9_a_refused_id_is_free(shared_broker, uid):
    one = shared_broker("acl_file {dir}/acl\n", mode="native",
                        files={"acl": "topic read #\ntopic write ok/#\npattern readwrite settle/#\n"})
    sender, reader = one.client(uid), one.client(uid + "r")
    reader.subscribe("#", qos=2)
    sender.publish("no/t", b"", 2, 5, reason=0x87)
    sender.publish(f"ok/{uid}", b"m", 2, 5)
    reader.receive(f"ok/{uid}", payload=b"m")
    settle(sender, reader)


def test_4_3_3_13_the_exchange_goes_on_after_expiry(uid, pair):
    """The sender's side of it: a message that has expired is still acknowledged to its end."""
    sender, _ = pair
    sender.send(mw.publish(f"{uid}/t", b"m", 2, 5, properties={"message_expiry_interval": 0}))
    sender.expect("PUBREC", packet_id=5)
    sender.send(mw.pubrel(5))
    sender.expect("PUBCOMP", packet_id=5, reason=0)


@pytest.mark.parametrize("qos", [1, 2])
def test_4_4_0_2_what_was_refused_is_not_sent_again(plain, uid, qos):
    reader, sender = stored(plain, uid), plain.client(uid + "s")
    reader.subscribe(uid, qos=qos)
    sender.publish(uid, b"m", qos)
    got = reader.expect("PUBLISH")
    reader.send((mw.puback if qos == 1 else mw.pubrec)(got.packet_id, reason=0x80))
    reader.quiet()
    reader.close()
    stored(plain, uid, present=True).quiet()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_4_6_0_5_and_4_6_0_6_order(plain, uid, qos):
    """Of each sender, on each topic, at each QoS, across a window that fills."""
    reader = plain.conn()
    reader.connect(uid, properties={"receive_maximum": 3})
    reader.subscribe(f"{uid}/#", qos=qos)
    senders = [plain.client(f"{uid}s{n}") for n in range(2)]
    for number in range(40):
        for index, sender in enumerate(senders):
            sender.publish(f"{uid}/{number % 2}", f"{index} {number}", qos, number + 1)
    seen = [reader.receive() for _ in range(80)]
    for index in range(2):
        for topic in range(2):
            mine = [int(p.payload.split()[1]) for p in seen
                    if p.topic == f"{uid}/{topic}" and p.payload.startswith(b"%d " % index)]
            assert mine == sorted(mine) and len(mine) == 20


@pytest.mark.parametrize("version", [mw.V31, mw.V311, V5])
def test_3_3_1_1_an_unfinished_publication_of_the_client(plain, uid, pair, version):
    """The client sends again with DUP after its return: delivered once with QoS 2."""
    _, reader = pair
    first = plain.client(uid, version, clean=False, **({"properties": KEEP} if version == V5 else {}))
    first.send(mw.publish(f"{uid}/t", b"once", 2, 3, version=version))
    first.expect("PUBREC", packet_id=3)
    first.close()
    again = plain.client(uid, version, clean=False, **({"properties": KEEP} if version == V5 else {}))
    again.send(mw.publish(f"{uid}/t", b"once", 2, 3, dup=True, version=version))
    again.expect("PUBREC", packet_id=3)
    again.send(mw.pubrel(3, version))
    again.expect("PUBCOMP", packet_id=3)
    reader.receive(f"{uid}/t", payload=b"once", dup=False)
    settle(again, reader)
