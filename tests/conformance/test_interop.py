"""What independent conformance suites look at besides the numbered statements: the same things in every
version, over every transport, and where two features meet. Names with numbers would count for mqtt5.txt
and mqtt311.txt; these carry none, because what they prove is spread over several statements."""
import itertools
import time

import pytest

import mqttwire as mw
from mqttwire import V31, V311, V5
from scenes import endpoint_of, settle

KEEP = {"session_expiry_interval": 1000}


def stored(one, client_id, version=V5, present=None, **properties):
    """A client whose session stays. 3.1 has no session present."""
    conn = one.conn(version)
    conn.connect(client_id, clean=False, session_present=None if version == V31 else present,
                 **({"properties": {**KEEP, **properties}} if version == V5 else {}))
    return conn


def ended(one, client_id, version=V5):
    """Gives the session up."""
    one.client(client_id, version).disconnect()


# -- sessions across versions, transports and limits ------------------------------------------------


@pytest.mark.parametrize("before, after", itertools.permutations([V31, V311, V5], 2))
def test_a_session_goes_on_in_another_version(plain, uid, before, after):
    """What waited comes without what the new version does not know; what is in flight comes again."""
    stored(plain, uid, before).subscribe([(f"{uid}/#", 2)], reasons=[2])
    sender = plain.client(uid + "s")
    first = stored(plain, uid, before, True)
    sender.publish(f"{uid}/1", b"in flight", 1, properties={"content_type": "t"})
    flying = first.expect("PUBLISH", dup=False)
    first.shutdown()
    first.expect_closed()  # before the next message, which would be in flight else
    sender.publish(f"{uid}/2", b"queued", 2, properties={"user_property": ("k", "v")})
    again = stored(plain, uid, after, True)
    again.receive(f"{uid}/1", payload=b"in flight", qos=1, dup=True, packet_id=flying.packet_id)
    got = again.receive(f"{uid}/2", payload=b"queued", qos=2, dup=False)
    assert after != V5 or got.props("user_property") == [("k", "v")]
    ended(plain, uid, after)


def test_a_session_goes_on_over_another_transport(plain, uid, version, transport):
    first, sender = stored(plain, uid, version), plain.client(uid + "s", version)
    first.subscribe(uid, qos=2)
    first.disconnect()
    sender.subscribe(f"{uid}/back", qos=2)
    sender.publish(uid, b"m", 2)
    again = mw.Conn(endpoint_of(plain, transport), version)
    again.connect(uid, clean=False, **({"properties": KEEP} if version == V5 else {}))
    again.receive(uid, payload=b"m", qos=2, dup=False)
    again.publish(f"{uid}/back", b"back", 2)
    sender.receive(f"{uid}/back", payload=b"back", qos=2)
    again.close()
    ended(plain, uid, version)


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("limit", [1, 3])
def test_a_smaller_receive_maximum_after_a_return(plain, uid, qos, limit):
    """Eight are in flight; the new connection takes fewer at once (MQTT5 3.3.4-9 and 4.4.0-1)."""
    reader, sender = stored(plain, uid), plain.client(uid + "s")
    reader.subscribe(uid, qos=qos)
    for number in range(10):
        sender.publish(uid, str(number), qos, number + 1)
    ids = [reader.expect("PUBLISH").packet_id for _ in range(8)]
    reader.close()
    again = stored(plain, uid, present=True, receive_maximum=limit)
    seen = []
    while len(seen) < 10:
        window = [again.expect("PUBLISH", qos=qos) for _ in range(min(limit, 10 - len(seen)))]
        again.quiet()
        for got in window:
            seen.append((int(got.payload), got.packet_id))
            again.send((mw.puback if qos == 1 else mw.pubrec)(got.packet_id))
            if qos == 2:
                again.expect("PUBREL", packet_id=got.packet_id)
        if qos == 2:
            again.quiet()
            for got in window:
                again.send(mw.pubcomp(got.packet_id))
    assert [number for number, _ in seen] == list(range(10))
    assert [number for _, number in seen][:8] == ids
    again.quiet()


@pytest.mark.parametrize("qos", [1, 2])
def test_a_smaller_maximum_packet_size_after_a_return(plain, uid, qos):
    """What is too large now counts as sent, in flight or waiting; the rest goes on."""
    reader, sender = stored(plain, uid), plain.client(uid + "s")
    reader.subscribe(uid, qos=qos)
    for number, size in enumerate((5, 500, 6)):
        sender.publish(uid, b"f" * size, qos, number + 1)
        reader.expect("PUBLISH")
    reader.close()
    for number, size in enumerate((7, 500, 8)):
        sender.publish(uid, b"q" * size, qos, number + 1)
    again = stored(plain, uid, present=True, maximum_packet_size=100)
    seen = []
    while len(seen) < 4:
        got = again.packet()
        if got.name == "PUBLISH":
            seen.append(got.payload)
            again.send((mw.puback if qos == 1 else mw.pubrec)(got.packet_id))
        else:  # of what counts as sent, too: its exchange goes on to the end
            assert got.name == "PUBREL"
            again.send(mw.pubcomp(got.packet_id))
    assert seen == [b"f" * 5, b"f" * 6, b"q" * 7, b"q" * 8]
    if qos == 2:
        for got in again.drain(lambda p: p.packet_id == got.packet_id):
            again.send(mw.pubcomp(got.packet_id))
    again.quiet()
    again.disconnect()
    stored(plain, uid, present=True).quiet()


@pytest.mark.parametrize("count", [1, 200])
def test_an_answer_that_is_larger_than_the_client_takes(plain, uid, count):
    """SUBACK and UNSUBACK have no shorter form: they are left out where they do not fit
    (MQTT5 3.1.2-24, 3.1.2-25)."""
    conn = plain.conn()
    conn.connect(uid, properties={"maximum_packet_size": 100})
    filters = [f"{uid}/{n}" for n in range(count)]
    conn.send(mw.subscribe(1, filters), mw.unsubscribe(2, filters), mw.pingreq())
    seen = conn.drain(lambda p: p.name == "PINGRESP")
    assert [p.name for p in seen] == ["SUBACK", "UNSUBACK", "PINGRESP"][2 * (count > 1):]
    assert all(len(p.raw) <= 100 for p in seen)


def test_the_session_expiry_of_the_last_word_counts(plain, uid):
    """Of CONNECT, of the next CONNECT, of DISCONNECT."""
    watcher = plain.client(uid + "w")
    watcher.subscribe(f"{uid}/over")
    stored(plain, uid + "longer", session_expiry_interval=1).disconnect(properties=KEEP)
    stored(plain, uid + "shorter").disconnect(properties={"session_expiry_interval": 1})
    stored(plain, uid + "kept", session_expiry_interval=1).close()
    stored(plain, uid + "kept", present=True, session_expiry_interval=1000).close()
    stored(plain, uid + "gone").close()
    plain.client(uid + "gone", clean=False).disconnect()
    plain.conn().connect(uid + "gone", clean=False, session_present=False)
    stored(plain, uid + "zero", session_expiry_interval=2)
    plain.client(uid + "clock", clean=False, properties={"session_expiry_interval": 2}, will=mw.Will(
        f"{uid}/over", b"", properties={"will_delay_interval": 2})).close()
    watcher.receive(f"{uid}/over")
    for name, present in (("longer", True), ("shorter", False), ("kept", True)):
        stored(plain, uid + name, present=present)


def test_no_retained_messages_for_a_session_that_goes_on(plain, uid, version):
    """They come with SUBSCRIBE, not with CONNECT."""
    reader, sender = stored(plain, uid, version), plain.client(uid + "s")
    sender.publish(uid, b"kept", 1, retain=True)
    reader.subscribe(uid, qos=1)
    reader.receive(uid, payload=b"kept", retain=True)
    reader.disconnect()
    sender.publish(uid, b"newer", 1, retain=True)
    again = stored(plain, uid, version, True)
    again.receive(uid, payload=b"newer", retain=False)
    again.quiet()
    sender.publish(uid, b"", 1, retain=True)
    ended(plain, uid, version)


def test_a_take_over_brings_what_is_in_flight_again(plain, uid, version):
    """The new connection goes on where the old one was torn away."""
    old, sender = stored(plain, uid, version), plain.client(uid + "s")
    old.subscribe(uid, qos=2)
    for qos in (1, 2):
        sender.publish(uid, str(qos), qos)
    flying = [old.expect("PUBLISH", dup=False) for _ in range(2)]
    new = stored(plain, uid, version, True)
    old.expect_closed()
    for one in flying:
        new.receive(uid, payload=one.payload, dup=True, packet_id=one.packet_id)
    new.quiet()
    ended(plain, uid, version)


def test_a_clean_start_forgets_what_the_client_had_begun(plain, uid, version):
    """A QoS 2 message without its PUBREL is part of the session, too."""
    first = stored(plain, uid, version)
    first.send(mw.publish(uid, b"", 2, 9, version=version))
    first.expect("PUBREC")
    first.close()
    plain.client(uid, version).close()
    again = stored(plain, uid, version, False)
    again.send(mw.pubrel(9, version))
    again.expect("PUBCOMP", packet_id=9, reason=lambda r: r in (0, 0x92))  # 0 in compat mode
    ended(plain, uid, version)


# -- before and at CONNACK --------------------------------------------------------------------------


def test_everything_may_follow_connect_at_once(plain, uid, version, transport):
    """A client need not wait for CONNACK (MQTT5 3.1.4)."""
    conn = mw.Conn(endpoint_of(plain, transport), version)
    conn.send(mw.connect(uid, version), mw.subscribe(1, [(uid, 2)], version),
              mw.publish(uid, b"0", version=version), mw.publish(uid, b"1", 1, 2, version=version),
              mw.publish(uid, b"2", 2, 3, version=version), mw.pubrel(3, version), mw.pingreq())
    conn.expect("CONNACK", reason=0)
    seen = conn.drain(lambda p: p.name == "PUBLISH" and p.payload == b"2")
    while not {"SUBACK", "PUBACK", "PUBREC", "PUBCOMP", "PINGRESP"} <= {p.name for p in seen}:
        seen.append(conn.packet())
    assert [p.payload for p in seen if p.name == "PUBLISH"] == [b"0", b"1", b"2"]


def test_acknowledgements_come_in_the_order_of_the_packets(plain, uid, version):
    """Of a clean session and with a stored one among the receivers, which is slower."""
    stored(plain, uid + "r", version).subscribe(f"{uid}/#", qos=2)
    conn = plain.client(uid, version)
    conn.send(*(mw.publish(f"{uid}/{n % 3}", str(n), n % 2 + 1, n + 1, version=version) for n in range(18)))
    answers = [conn.packet() for _ in range(18)]
    for name in ("PUBACK", "PUBREC"):
        ids = [p.packet_id for p in answers if p.name == name]
        assert ids == sorted(ids) and len(ids) == 9
    conn.send(*(mw.pubrel(n + 1, version) for n in range(1, 18, 2)))
    assert [conn.expect("PUBCOMP").packet_id for _ in range(9)] == list(range(2, 19, 2))
    ended(plain, uid + "r", version)


# -- keep alive -------------------------------------------------------------------------------------


def test_what_the_server_sends_is_no_sign_of_life(plain, uid):
    """A client that only listens is silent (MQTT5 3.1.2-22)."""
    readers, sender = [plain.client(f"{uid}{v}", v, keep_alive=1) for v in (V31, V311, V5)], plain.client(uid)
    for reader in readers:
        reader.subscribe(uid)
    deadline = time.monotonic() + 10
    while readers and time.monotonic() < deadline:
        sender.publish(uid, b"m", 1)
        for reader in list(readers):
            try:
                if reader.packet().name == "DISCONNECT":
                    readers.remove(reader)
            except mw.Closed:
                readers.remove(reader)
    assert not readers, "silent clients stay connected"


def test_the_keep_alive_of_the_server_counts(shared_broker, uid):
    """It is lower than what the client asked for; before MQTT 5, nobody could tell the client."""
    one = shared_broker("acl_default allow\nmax_keepalive 1\n", mode="native")
    conn = one.conn()
    assert conn.connect(uid, keep_alive=600).prop("server_keep_alive") == 1
    conn.expect_closed(timeout=8, reason=0x8D)
    for version in (V31, V311):
        conn = one.conn(version)
        conn.send(mw.connect(uid, version, keep_alive=600))
        assert [p.reason for p in conn.expect_closed()] == [2]


# -- publications -----------------------------------------------------------------------------------


PAYLOADS = {"empty": b"", "zeros": bytes(300), "every byte": bytes(range(256)), "no text": b"\xff\xfe\xc0\x80",
            "large": bytes(range(256)) * 4096}


@pytest.mark.parametrize("payload", list(PAYLOADS.values()), ids=list(PAYLOADS))
def test_payloads_are_bytes(plain, uid, version, payload):
    sender, reader = plain.client(uid + "s", version), plain.client(uid, version)
    reader.subscribe(uid, qos=2)
    for qos in (0, 1, 2):
        sender.publish(uid, payload, qos)
        reader.receive(uid, payload=payload, qos=qos)


def test_aliases_with_every_qos_and_both_ways(plain, uid):
    """The aliases of client and server are two tables."""
    conn = plain.conn()
    conn.connect(uid, properties={"topic_alias_maximum": 5})
    conn.subscribe([(f"{uid}/#", 2)], reasons=[2])
    conn.send(mw.publish(f"{uid}/a", b"0", properties={"topic_alias": 1}),
              mw.publish("", b"1", 1, 1, properties={"topic_alias": 1}),
              mw.publish(f"{uid}/b", b"2", 1, 2, properties={"topic_alias": 2}),
              mw.publish("", b"3", 1, 3, properties={"topic_alias": 1}),
              mw.publish(f"{uid}/c", b"4", 1, 4, properties={"topic_alias": 1}),
              mw.publish("", b"5", 1, 5, properties={"topic_alias": 1}),
              mw.publish("", b"6", 1, 6, properties={"topic_alias": 2}))
    seen = conn.drain(lambda p: p.name == "PUBLISH" and p.payload == b"6")
    topics, names = [], {}
    for got in (p for p in seen if p.name == "PUBLISH"):
        alias = got.prop("topic_alias")
        assert got.topic or alias in names
        names.setdefault(alias, got.topic)
        if got.topic:
            names[alias] = got.topic
        topics.append(got.topic or names[alias])
    assert topics == [f"{uid}/{t}" for t in "aabaccb"]


@pytest.mark.parametrize("number", [1, 127, 128, 16384, 268435455])
def test_subscription_identifiers_of_every_length(plain, uid, number):
    """With live and retained messages, in a group, after a return, and gone with a new subscription."""
    reader, sender = stored(plain, uid), plain.client(uid + "s")
    sender.publish(f"{uid}/kept", b"kept", 1, retain=True)
    reader.subscribe([(f"{uid}/+", 1)], properties={"subscription_identifier": number})
    reader.receive(f"{uid}/kept", retain=True, properties=[("subscription_identifier", number)])
    reader.subscribe([(f"$share/g/{uid}/x/y", 1)], reasons=[1],
                     properties={"subscription_identifier": number})
    sender.publish(f"{uid}/x/y", b"group", 1)
    reader.receive(f"{uid}/x/y", properties=[("subscription_identifier", number)])
    reader.close()
    sender.publish(f"{uid}/live", b"m", 1)
    reader = stored(plain, uid, present=True)
    reader.receive(f"{uid}/live", properties=[("subscription_identifier", number)])
    reader.subscribe([(f"{uid}/+", mw.options(1, retain_handling=2))])
    sender.publish(f"{uid}/live", b"m", 1)
    reader.receive(f"{uid}/live", properties=[])
    sender.publish(f"{uid}/kept", b"", 1, retain=True)


@pytest.mark.parametrize("topic", ["", "a\0"])
def test_a_response_topic_that_is_no_topic(plain, uid, topic):
    conn = plain.client(uid)
    conn.send(mw.publish("t", b"", properties={"response_topic": topic}))
    conn.expect_closed(reason={0x81, 0x82, 0x90})


def test_properties_may_be_empty(plain, uid):
    conn = plain.client(uid)
    conn.subscribe(uid)
    sent = [("content_type", ""), ("correlation_data", b""), ("user_property", ("", "")),
            ("user_property", ("k", "")), ("user_property", ("", "v")), ("user_property", ("k", ""))]
    conn.publish(uid, b"m", properties=sent)
    got = conn.receive(uid).properties
    assert [p for p in got if p[0] == "user_property"] == sent[2:]
    assert sorted(map(repr, got)) == sorted(map(repr, sent))


def test_packets_of_a_client_may_carry_every_property_of_theirs(plain, uid):
    """Reason strings and user properties in acknowledgements, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT."""
    user = [("user_property", ("k", "v")), ("user_property", ("k", "v"))]
    words = [("reason_string", "why"), *user]
    reader, sender = plain.client(uid), plain.client(uid + "s")
    reader.subscribe([(uid, 2)], reasons=[2], properties=[("subscription_identifier", 1), *user])
    sender.publish(uid, b"1", 1)
    reader.send(mw.puback(reader.expect("PUBLISH").packet_id, reason=0, properties=words))
    sender.publish(uid, b"2", 2)
    number = reader.expect("PUBLISH").packet_id
    reader.send(mw.pubrec(number, reason=0, properties=words))
    reader.expect("PUBREL", packet_id=number)
    reader.send(mw.pubcomp(number, reason=0, properties=words))
    sender.send(mw.publish(uid, b"3", 2, 9))
    sender.expect("PUBREC")
    sender.send(mw.pubrel(9, reason=0, properties=words))
    sender.expect("PUBCOMP", reason=0)
    reader.receive(uid, payload=b"3")
    reader.unsubscribe([uid], properties=user)
    reader.disconnect(0, [("session_expiry_interval", 0), *words])


def test_the_first_payload_of_a_packet_id_counts(plain, uid, version):
    """QoS 2: until PUBREL it is the same message, whatever it says."""
    reader, sender = plain.client(uid, version), plain.client(uid + "s", version)
    reader.subscribe(uid, qos=2)
    for payload in (b"first", b"second"):
        sender.send(mw.publish(uid, payload, 2, 7, dup=payload != b"first", version=version))
        sender.expect("PUBREC", packet_id=7)
    sender.send(mw.pubrel(7, version))
    sender.expect("PUBCOMP", packet_id=7)
    reader.receive(uid, payload=b"first")
    settle(sender, reader)


def test_a_window_of_one_for_every_qos_at_once(plain, uid):
    """QoS 0 passes it; QoS 1 and 2 wait in one line (MQTT5 3.3.4-9)."""
    reader, sender = plain.conn(), plain.client(uid + "s")
    reader.connect(uid, properties={"receive_maximum": 1})
    reader.subscribe(f"{uid}/#", qos=2)
    for number in range(12):
        sender.publish(f"{uid}/{number % 4}", str(number), number % 3, number + 1)
    seen = [int(reader.receive().payload) for _ in range(12)]
    assert [n for n in seen if n % 3] == [n for n in range(12) if n % 3]
    assert [n for n in seen if n % 3 == 0] == [0, 3, 6, 9]


def test_what_waits_expires_wherever_it_waits(plain, uid):
    """Behind a full window of a client that is connected, and as a retained message."""
    sender, readers = plain.client(uid + "s"), [plain.conn(), plain.conn()]
    for qos, reader in enumerate(readers, 1):
        reader.connect(f"{uid}{qos}", properties={"receive_maximum": 1})
        reader.subscribe(f"{uid}/live", qos=qos)
    sender.publish(f"{uid}/live", b"first", 2)
    begun = [reader.expect("PUBLISH", payload=b"first") for reader in readers]
    for name in ("live", "kept"):
        for payload, expiry in (b"short", 1), (b"long", 1000):
            sender.publish(f"{uid}/{name}" + (payload.decode() if name == "kept" else ""), payload, 2,
                           retain=name == "kept", properties={"message_expiry_interval": expiry})
    sender.publish(f"{uid}/live", b"never", 2)
    sender.subscribe(f"{uid}/clock")
    willing(plain, uid + "c", f"{uid}/clock", expiry=2, delay=2).close()
    sender.receive(f"{uid}/clock")
    for reader, got in zip(readers, begun):
        reader.send((mw.puback if got.qos == 1 else mw.pubrec)(got.packet_id))
        if got.qos == 2:
            reader.expect("PUBREL")
            reader.send(mw.pubcomp(got.packet_id))
        assert 900 < reader.receive(payload=b"long").prop("message_expiry_interval") <= 998
        assert reader.receive(payload=b"never").prop("message_expiry_interval") is None
        reader.quiet()
    late = plain.client(uid)
    late.subscribe([(f"{uid}/keptshort", 0), (f"{uid}/keptlong", 0)])
    assert 900 < late.receive(payload=b"long", retain=True).prop("message_expiry_interval") <= 998
    late.quiet()
    sender.publish(f"{uid}/keptlong", b"", 1, retain=True)


# -- subscriptions ----------------------------------------------------------------------------------


def test_each_filter_of_a_subscribe_brings_its_retained_messages(plain, uid, version):
    """Many filters in one packet are as many SUBSCRIBEs, also when they overlap."""
    sender, reader = plain.client(uid + "s"), plain.client(uid, version)
    for name in ("a", "b"):
        sender.publish(f"{uid}/{name}", name, 1, retain=True)
    reader.subscribe([(f"{uid}/#", 1), (f"{uid}/+", 0), (f"{uid}/a", 1)])
    seen = sorted((p.topic[-1], p.qos) for p in (reader.receive(retain=True) for _ in range(5)))
    assert seen == [("a", 0), ("a", 1), ("a", 1), ("b", 0), ("b", 1)]
    reader.quiet()
    for name in ("a", "b"):
        sender.publish(f"{uid}/{name}", b"", 1, retain=True)


@pytest.mark.parametrize("published", [0, 1, 2])
@pytest.mark.parametrize("granted", [0, 1, 2])
def test_the_lower_qos_for_retained_messages(plain, uid, version, published, granted):
    sender, reader = plain.client(uid + "s"), plain.client(uid, version)
    sender.publish(uid, b"kept", published, retain=True)
    sender.quiet()
    reader.subscribe(uid, qos=granted)
    reader.receive(uid, payload=b"kept", qos=min(published, granted), retain=True)
    sender.publish(uid, b"", 1, retain=True)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_group_is_balanced_and_loses_nothing_with_a_member(plain, uid, version, qos):
    """Each member has its part; when one goes, the others have it all."""
    members = [plain.client(f"{uid}m{n}", version) for n in range(3)]
    for member in members:
        member.subscribe([(f"$share/{uid}/{uid}/#", qos)])
    sender, alone = plain.client(uid + "s", version), plain.client(uid + "a", version)
    alone.subscribe(f"{uid}/#", qos=1)

    def received(count):
        for number in range(count):
            sender.publish(f"{uid}/{number % 4}", str(number), qos, number + 1)
            alone.receive(f"{uid}/{number % 4}")
        out = []
        for member in members:
            member.send(mw.subscribe(9, f"end/{uid}", version))
            mine = [p for p in member.drain(lambda p: p.name == "SUBACK") if p.name == "PUBLISH"]
            sender.send(mw.publish(f"end/{uid}", b"end", version=version))
            mine += member.drain(lambda p: p.name == "PUBLISH" and p.payload == b"end")[:-1]
            member.unsubscribe([f"end/{uid}"])
            for got in mine:
                if qos:
                    member.send((mw.puback if qos == 1 else mw.pubrec)(got.packet_id, version))
                if qos == 2:
                    member.expect("PUBREL")
                    member.send(mw.pubcomp(got.packet_id, version))
            member.quiet()
            out.append(sorted(int(p.payload) for p in mine))
        assert sorted(sum(out, [])) == list(range(count))
        return out

    assert min(map(len, received(30))) >= 5
    members.pop().disconnect()
    assert min(map(len, received(20))) >= 5
    members[0].unsubscribe([f"$share/{uid}/{uid}/#"])
    assert list(map(len, received(10))) == [0, 10]


def test_a_group_sees_the_retain_flag_when_it_asked(plain, uid):
    member, sender = plain.client(uid), plain.client(uid + "s")
    member.subscribe(f"$share/g/{uid}", qos=1, retain_as_published=True)
    for payload in (b"kept", b""):
        sender.publish(uid, payload, 1, retain=True)
        member.receive(uid, payload=payload, retain=True)


def test_a_lower_maximum_qos_before_mqtt_5(shared_broker, uid):
    """There is no property that says so: SUBACK grants less, what is above ends the connection."""
    one = shared_broker("acl_default allow\nmax_qos 1\n", mode="native")
    for version in (V31, V311):
        conn = one.client(uid, version)
        conn.subscribe([(uid, 2), (uid, 1), (uid, 0)], reasons=[1, 1, 0])
        conn.send(mw.publish(uid, b"", 2, 1, version=version))
        conn.expect_closed(silent=True)
        conn = one.conn(version)
        conn.send(mw.connect(uid, version, will=mw.Will("t", b"", 2)))
        assert [p.reason for p in conn.expect_closed()] == [5]


def test_one_client_in_several_groups(plain, uid, version):
    """Each group gets its copy, and the filter without a group, too."""
    conn = plain.client(uid, version)
    conn.subscribe([(f"$share/a/{uid}", 0), (f"$share/b/{uid}", 0), (f"$share/b/{uid}/#", 0)])
    conn.publish(uid, b"m")
    assert [conn.receive(uid).payload for _ in range(3)] == [b"m"] * 3
    conn.unsubscribe([f"$share/a/{uid}", uid, f"$share/c/{uid}"], reasons=[0, 0x11, 0x11])
    conn.publish(uid, b"m")
    assert [conn.receive(uid).payload for _ in range(2)] == [b"m"] * 2
    conn.quiet()


# -- wills ------------------------------------------------------------------------------------------


def willing(one, client_id, topic, expiry=0, delay=0, qos=0, **connect):
    conn = one.conn()
    conn.connect(client_id, clean=False, properties={"session_expiry_interval": expiry},
                 will=mw.Will(topic, client_id.encode(), qos, properties={"will_delay_interval": delay}),
                 **connect)
    return conn


def test_only_a_normal_disconnect_takes_the_will_back(plain, uid):
    """Each other reason that a client may give publishes it."""
    watcher = plain.client(uid + "w")
    watcher.subscribe(f"{uid}/will")
    for reason in (0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99):
        willing(plain, f"{uid}{reason}", f"{uid}/will").disconnect(reason)
        watcher.receive(f"{uid}/will", payload=f"{uid}{reason}")
    willing(plain, uid, f"{uid}/will").disconnect(0)
    willing(plain, uid, f"{uid}/will").disconnect()
    settle(plain.client(uid + "o"), watcher)


def test_a_session_that_disconnect_ends_ends_the_delay(plain, uid):
    watcher = plain.client(uid + "w")
    watcher.subscribe(f"{uid}/will")
    willing(plain, uid, f"{uid}/will", expiry=1000, delay=1000).disconnect(
        0x04, {"session_expiry_interval": 0})
    watcher.receive(f"{uid}/will", payload=uid)


def test_a_client_gets_its_own_will(plain, uid, version):
    """Its session is one of those that match."""
    conn = plain.conn(version)
    conn.connect(uid, clean=False, will=mw.Will(f"{uid}/will", b"mine", 1),
                 **({"properties": KEEP} if version == V5 else {}))
    conn.subscribe(f"{uid}/will", qos=1)
    conn.reset()
    again = stored(plain, uid, version, True)
    again.receive(f"{uid}/will", payload=b"mine", qos=1)
    ended(plain, uid, version)


def test_what_is_left_of_a_will_counts_from_its_publication(plain, uid):
    """The expiry of a will begins when it is published, not with CONNECT or during the delay."""
    watcher = plain.client(uid + "w")
    watcher.subscribe(f"{uid}/will")
    plain.client(uid, clean=False, properties=KEEP, will=mw.Will(
        f"{uid}/will", b"m", properties={"will_delay_interval": 1, "message_expiry_interval": 1})).close()
    watcher.receive(f"{uid}/will", payload=b"m")


# -- lengths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [
    b"\xc0\x80\x00", b"\xc0\x80\x80\x80\x00", b"\xe0\x80\x00", b"\x30\x85\x80\x00\0\1t\0m",
    b"\x30\x08\0\1t\x80\x00abc", b"\x30\x09\0\1t\x83\x00\x01\x00ab",
    mw.publish("t", properties=[(0x81, b"")]), mw.subscribe(1, "t", properties=[
        ("subscription_identifier", 5)]).replace(b"\x0b\x05", b"\x0b\x85\x00").replace(
            b"\x82\x09", b"\x82\x0a").replace(b"\x02\x0b", b"\x03\x0b")], ids=lambda d: d.hex())
def test_integers_that_are_longer_than_needed(plain, uid, data):
    conn = plain.client(uid)
    conn.send(data)
    conn.expect_closed(reason={0x81, 0x82})
