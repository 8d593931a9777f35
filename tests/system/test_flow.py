"""Receive maximum, packet size, topic aliases, queue limits (MQTT5 3.3.4, 4.9)."""
import pytest

import mqttwire as mw
from mqttwire import V311, V5
from scenes import open_broker, settle

KEEP = {"session_expiry_interval": 1000}


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("limit", [1, 2, 5])
@pytest.mark.threads
def test_client_receive_maximum_is_never_exceeded(plain, uid, qos, limit):
    receiver, sender = plain.client(uid, properties={"receive_maximum": limit}), plain.client(
        uid + "s")
    receiver.subscribe(uid, qos=2)
    for number in range(12):
        sender.publish(uid, str(number), qos, packet_id=number + 1)
    held = [receiver.expect("PUBLISH", payload=str(n).encode()) for n in range(limit)]
    settle(sender, receiver)
    got = limit
    while held:
        one = held.pop(0)
        if qos == 1:
            receiver.send(mw.puback(one.packet_id))
        else:
            receiver.send(mw.pubrec(one.packet_id))
            receiver.expect("PUBREL", packet_id=one.packet_id)
            settle(sender, receiver)  # PUBREC alone opens no place
            receiver.send(mw.pubcomp(one.packet_id))
        if got < 12:
            held.append(receiver.expect("PUBLISH", payload=str(got).encode()))
            got += 1
        settle(sender, receiver)


def test_a_pubrec_with_an_error_opens_a_place(plain, uid):
    receiver, sender = plain.client(uid, properties={"receive_maximum": 1}), plain.client(uid + "s")
    receiver.subscribe(uid, qos=2)
    for number in range(2):
        sender.publish(uid, str(number), 2, packet_id=number + 1)
    first = receiver.expect("PUBLISH", payload=b"0")
    receiver.send(mw.pubrec(first.packet_id, reason=0x80))
    receiver.expect("PUBLISH", payload=b"1")


def test_qos0_does_not_count_for_receive_maximum(plain, uid):
    receiver, sender = plain.client(uid, properties={"receive_maximum": 1}), plain.client(uid + "s")
    receiver.subscribe(uid, qos=1)
    sender.publish(uid, b"one", 1)
    receiver.expect("PUBLISH", payload=b"one")
    sender.publish(uid, b"zero", 0)
    receiver.expect("PUBLISH", payload=b"zero", qos=0)


def test_our_receive_maximum_for_qos2_is_enforced(plain, uid):
    """MQTT5 3.3.4; the log names the limit, for it is the client that has to be mended."""
    conn, mark = plain.client(uid), plain.mark()
    for number in range(1, 21):
        conn.send(mw.publish(uid, b"m", 2, number))
        conn.expect("PUBREC", packet_id=number)
    conn.send(mw.publish(uid, b"m", 2, 21))
    conn.expect_closed(reason=0x93)
    words = "protocol error" if plain.mode == "compat" else "too many messages in flight"
    plain.wait_log(f"Client {uid} .* disconnected: {words}", mark)


def test_receive_maximum_does_not_bind_mqtt3(plain, uid):
    conn = plain.client(uid, V311)
    for number in range(1, 101):
        conn.send(mw.publish(uid, b"m", 2, number, version=V311))
        conn.expect("PUBREC", packet_id=number)
    for number in range(1, 101):
        conn.send(mw.pubrel(number, V311))
        conn.expect("PUBCOMP", packet_id=number)


def test_inflight_limit_of_mqtt3_is_max_inflight_messages(plain, uid):
    receiver, sender = plain.client(uid, V311), plain.client(uid + "s", V311)
    receiver.subscribe(uid, qos=1)
    for number in range(40):
        sender.publish(uid, str(number), 1, packet_id=number + 1)
    ids = [receiver.expect("PUBLISH", payload=str(n).encode()).packet_id for n in range(20)]
    settle(sender, receiver)
    receiver.send(*[mw.puback(i, V311) for i in ids])
    for number in range(20, 40):
        receiver.receive(payload=str(number).encode())


@pytest.mark.threads
def test_S15_more_waiting_than_max_queued_messages_is_dropped(shared_broker, uid):
    one = open_broker(shared_broker, extra="max_queued_messages 10\nmax_inflight_messages 5\n")
    for version in (V311, V5):
        name = f"{uid}{version}"
        receiver = one.conn(version)
        receiver.connect(name, clean=False, properties=KEEP if version == V5 else None)
        receiver.subscribe(name, qos=1)
        receiver.disconnect()
        sender = one.client(name + "s", version)
        for number in range(40):
            sender.publish(name, str(number), 1, packet_id=number + 1, reason=(0, 0x10, 0x97))
        receiver = one.conn(version)
        receiver.connect(name, clean=False, properties=KEEP if version == V5 else None)
        receiver.send(mw.pingreq())
        got, ponged = [], False
        while not ponged or receiver_has_more(receiver):
            packet = receiver.packet()
            if packet.name == "PINGRESP":
                ponged = True
            else:
                got.append(int(packet.payload))
                receiver.send(mw.puback(packet.packet_id, version))
        receiver.send(mw.pingreq())
        for packet in receiver.drain(lambda p: p.name == "PINGRESP")[:-1]:
            got.append(int(packet.payload))
            receiver.send(mw.puback(packet.packet_id, version))
        assert got == sorted(got) and 5 <= len(got) <= 16, got
        receiver.close()


def receiver_has_more(conn):
    return conn._whole() > 0  # what is already read


@pytest.mark.threads
def test_max_queued_bytes_bounds_a_queue(shared_broker, uid):
    one = open_broker(shared_broker, extra="max_queued_bytes 5000\nmax_queued_messages 0\n"
                                           "max_inflight_messages 1\n")
    receiver = one.conn(V311)
    receiver.connect(uid, clean=False)
    receiver.subscribe(uid, qos=1)
    receiver.disconnect()
    sender = one.client(uid + "s", V311)
    for number in range(40):
        sender.publish(uid, b"x" * 1000, 1, packet_id=number + 1)
    receiver = one.conn(V311)
    receiver.connect(uid, clean=False)
    count = 0
    while True:
        receiver.send(mw.pingreq())
        part = receiver.drain(lambda p: p.name == "PINGRESP")[:-1]
        if not part:
            break
        for packet in part:
            count += 1
            receiver.send(mw.puback(packet.packet_id, V311))
    assert 1 <= count <= 7, count


# -- packet size --------------------------------------------------------------------------------


def test_B119_a_packet_above_our_maximum(plain, uid):
    conn = plain.client(uid)
    conn.send(mw.packet("PUBLISH", mw.binary("t") + b"\0", flags=0, length=2000001))
    conn.expect_closed(reason=0x95)
    old = plain.client(uid, V311)
    old.send(mw.packet("PUBLISH", mw.binary("t"), flags=0, length=2000001))
    old.expect_closed()


def test_B119_a_packet_of_just_our_maximum(plain, version, uid):
    conn = plain.client(uid, version)
    conn.subscribe(uid)
    overhead = len(mw.publish(uid, b"x" * 1999000, version=version)) - 1999000
    payload = b"\xAB" * (2000000 - overhead)
    conn.send(mw.publish(uid, payload, version=version))
    assert conn.expect("PUBLISH").payload == payload


def test_B120_a_huge_length_ends_at_the_header(plain, version, uid):
    conn = plain.client(uid, version)
    conn.send_wire(bytes([0x30]) + mw.varint(268435455))
    conn.expect_closed(reason=0x95)


@pytest.mark.parametrize("size", [1, 2, 9])
def test_B041_a_tiny_maximum_packet_size(plain, uid, size):
    """Such a client gets nothing that is larger, not even CONNACK, and harms nobody."""
    conn, sender = plain.conn(), plain.client(uid + "s")
    conn.send(mw.connect(uid, properties={"maximum_packet_size": size}))
    conn.try_send(mw.subscribe(1, uid))
    sender.publish(uid, b"x" * 20)
    sender.quiet()
    conn.try_send(mw.pingreq())
    sizes = []
    try:
        while True:
            sizes.append(len(conn.packet(timeout=0.5).raw))
    except (mw.Closed, AssertionError):
        pass
    assert all(s <= size for s in sizes), sizes
    sender.quiet()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_client_maximum_packet_size_drops_what_is_larger(plain, uid, qos):
    receiver = plain.client(uid, properties={"maximum_packet_size": 60})
    sender = plain.client(uid + "s")
    receiver.subscribe(uid, qos=2)
    sender.publish(uid, b"x" * 100, qos, packet_id=1)
    sender.publish(uid, b"small", qos, packet_id=2)
    receiver.receive(uid, b"small")
    settle(sender, receiver)
    exact = len(mw.publish(uid, b"", qos, 1 if qos else None))
    sender.publish(uid, b"y" * (60 - exact), qos, packet_id=3)
    assert len(receiver.receive(uid).raw) == 60
    sender.publish(uid, b"y" * (61 - exact), qos, packet_id=4)
    settle(sender, receiver)


def test_message_size_limit(shared_broker, uid):
    one = open_broker(shared_broker, extra="message_size_limit 100\n")
    receiver = one.client(uid)
    receiver.subscribe(uid, qos=1)
    sender = one.client(uid + "s")
    sender.publish(uid, b"x" * 100, 1)
    receiver.receive(uid, b"x" * 100)
    sender.send(mw.publish(uid, b"x" * 101, 1, 2))
    try:
        got = sender.packet()
        assert (got.name, got.reason) in [("PUBACK", 0x97), ("DISCONNECT", 0x95)], got
    except mw.Closed:
        pass
    settle(sender, receiver)


# -- topic aliases from the client ----------------------------------------------------------------


def test_topic_alias_from_the_client(plain, uid):
    receiver, sender = plain.client(uid), plain.client(uid + "s")
    receiver.subscribe(f"{uid}/#")
    sender.send(mw.publish(f"{uid}/a", b"1", properties={"topic_alias": 1}))
    sender.send(mw.publish(f"{uid}/b", b"2", properties={"topic_alias": 10}))
    sender.send(mw.publish("", b"3", properties={"topic_alias": 1}))
    sender.send(mw.publish("", b"4", properties={"topic_alias": 10}))
    sender.send(mw.publish(f"{uid}/c", b"5", properties={"topic_alias": 1}))
    sender.send(mw.publish("", b"6", properties={"topic_alias": 1}))
    for letter, payload in zip("abab", (b"1", b"2", b"3", b"4")):
        receiver.receive(f"{uid}/{letter}", payload, properties=[])
    receiver.receive(f"{uid}/c", b"5")
    receiver.receive(f"{uid}/c", b"6")


@pytest.mark.parametrize("alias", [0, 11, 65535])
def test_B107_B110_alias_out_of_range(plain, uid, alias):
    conn = plain.client(uid)
    conn.send(mw.publish("t", b"", properties={"topic_alias": alias}))
    conn.expect_closed(reason=0x94)


def test_B109_unknown_alias(plain, uid):
    conn = plain.client(uid)
    conn.send(mw.publish("", b"", properties={"topic_alias": 3}))
    conn.expect_closed(reason={0x82, 0x94})


def test_L123_an_empty_topic_without_alias(plain, version, uid):
    """L-123: every QoS, with an empty topic and nothing else."""
    for qos in (0, 1, 2):
        conn = plain.client(uid, version)
        conn.send(mw.publish("", b"x", qos, 1 if qos else None, version=version))
        conn.expect_closed(reason={0x82, 0x90, 0x81})


def test_B110_aliases_can_be_switched_off(shared_broker, uid):
    one = open_broker(shared_broker, extra="max_topic_alias 0\n")
    conn = one.conn()
    assert conn.connect(uid).prop("topic_alias_maximum", 0) == 0
    conn.send(mw.publish("t", b"", properties={"topic_alias": 1}))
    conn.expect_closed(reason=0x94)


def test_B111_aliases_die_with_the_connection(plain, uid):
    conn = plain.conn()
    conn.connect(uid, clean=False, properties=KEEP)
    conn.publish(uid, b"1", properties={"topic_alias": 1})
    conn.quiet()
    conn.close()
    conn = plain.conn()
    conn.connect(uid, clean=False, properties=KEEP)
    conn.send(mw.publish("", b"", properties={"topic_alias": 1}))
    conn.expect_closed(reason={0x82, 0x94})


# -- topic aliases towards the client -------------------------------------------------------------


def test_topic_aliases_towards_the_client_stay_in_its_limit(plain, uid):
    receiver = plain.client(uid, properties={"topic_alias_maximum": 2})
    sender = plain.client(uid + "s")
    receiver.subscribe(f"{uid}/#", qos=1)
    known = {}
    for number in range(30):
        topic = f"{uid}/{number % 3}"
        sender.publish(topic, str(number), number % 2, packet_id=number + 1)
        got = receiver.receive(payload=str(number).encode())
        alias = got.prop("topic_alias")
        if alias is not None:
            assert 1 <= alias <= 2
            if got.topic:
                known[alias] = got.topic
        assert (got.topic or known[alias]) == topic


def test_without_an_alias_maximum_there_are_no_aliases(plain, uid):
    receiver, sender = plain.client(uid), plain.client(uid + "s")
    receiver.subscribe(uid)
    for _ in range(5):
        sender.publish(uid, b"m")
        receiver.expect_bytes(mw.publish(uid, b"m"))


def test_aliases_towards_the_client_start_afresh_after_a_reconnect(plain, uid):
    properties = {"topic_alias_maximum": 5, **KEEP}
    sender = plain.client(uid + "s")
    for turn in range(2):
        receiver = plain.conn()
        receiver.connect(uid, clean=False, properties=properties)
        if not turn:
            receiver.subscribe(uid, qos=1)
        sender.publish(uid, b"m", 1)
        assert receiver.receive(payload=b"m").topic == uid
        receiver.close()
