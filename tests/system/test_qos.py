"""QoS 1 and 2 in both directions, and what is sent again after a reconnect (MQTT5 4.3, 4.4)."""
import pytest

import mqttwire as mw
from mqttwire import V5
from brokerproc import Options
from scenes import open_broker, routed, settle

KEEP = {"session_expiry_interval": 1000}


def stored(broker, name, version, **options):
    """A connection with a session that outlives it."""
    conn = broker.conn(version)
    conn.connect(name, clean=False, properties=KEEP if version == V5 else None, **options)
    return conn


@pytest.mark.parametrize("sub", [0, 1, 2])
@pytest.mark.parametrize("pub", [0, 1, 2])
def test_delivered_qos_is_the_smaller_one(plain, version, uid, sub, pub):
    receiver, sender = plain.client(uid, version), plain.client(uid + "s", version)
    receiver.subscribe(uid, qos=sub)
    sender.publish(uid, b"m", pub)
    receiver.receive(uid, b"m", min(sub, pub), retain=False, dup=False)
    settle(sender, receiver)


def test_versions_understand_each_other(plain, uid):
    clients = {v: plain.client(f"{uid}{v}", v) for v in (3, 4, 5)}
    for version, conn in clients.items():
        conn.subscribe(uid, qos=1)
    for version, conn in clients.items():
        conn.send(mw.publish(uid, f"from {version}", 1, 9, version=version))
        names = set()
        for other, out in clients.items():
            first = out.packet()
            if first.name == "PUBACK":
                first = out.packet()
                names.add("PUBACK")
            assert (first.name, first.payload) == ("PUBLISH", f"from {version}".encode())
            out.send(mw.puback(first.packet_id, other))
            if other == version and not names:
                out.expect("PUBACK", packet_id=9)


def test_packet_ids_towards_a_client_count_from_one(plain, version, uid):
    receiver, sender = plain.client(uid, version), plain.client(uid + "s", version)
    receiver.subscribe(uid, qos=2)
    for number in range(1, 6):
        sender.publish(uid, b"m", 1 + number % 2, packet_id=number)
        assert receiver.receive(uid, b"m").packet_id == number


def test_short_acknowledgements_leave_out_what_is_zero(plain, uid):
    conn = plain.client(uid)
    conn.subscribe(uid, qos=1)
    conn.send(mw.publish(uid, b"m", 1, 0x1234))
    raw = {conn.packet().raw for _ in range(2)}
    assert bytes.fromhex("40 02 12 34") in raw
    conn.send(mw.publish(uid, b"m", 2, 0x1235))
    conn.drain(lambda p: p.raw == bytes.fromhex("50 02 12 35"))
    conn.send(mw.pubrel(0x1235))
    conn.drain(lambda p: p.raw == bytes.fromhex("70 02 12 35"))


def test_puback_says_when_nobody_listens(plain, uid):
    conn = plain.client(uid)
    conn.send(mw.publish(uid, b"m", 1, 7))
    conn.expect("PUBACK", packet_id=7, reason=0x10)
    conn.send(mw.publish(uid, b"m", 2, 8))
    conn.expect("PUBREC", packet_id=8, reason=0)
    conn.send(mw.pubrel(8))
    conn.expect("PUBCOMP", packet_id=8, reason=0)


def test_qos1_is_sent_again_with_dup_after_a_reconnect(plain, version, uid):
    first, sender = stored(plain, uid, version), plain.client(uid + "s", version)
    first.subscribe(uid, qos=1)
    for number in range(3):
        sender.publish(uid, f"m{number}", 1, packet_id=number + 1)
    ids = [first.expect("PUBLISH", payload=f"m{n}".encode(), dup=False).packet_id
           for n in range(3)]
    first.send(mw.puback(ids[1], version))
    first.quiet()
    first.close()
    second = stored(plain, uid, version)
    for number in (0, 2):
        second.expect("PUBLISH", payload=f"m{number}".encode(), dup=True, packet_id=ids[number],
                      qos=1)
        second.send(mw.puback(ids[number], version))
    second.quiet()
    second.disconnect()
    stored(plain, uid, version).quiet()


@pytest.mark.threads
def test_qos2_is_resumed_at_the_step_it_had_reached(plain, version, uid):
    first, sender = stored(plain, uid, version), plain.client(uid + "s", version)
    first.subscribe(uid, qos=2)
    for number in range(3):
        sender.publish(uid, f"m{number}", 2, packet_id=number + 1)
    ids = [first.expect("PUBLISH", payload=f"m{n}".encode()).packet_id for n in range(3)]
    first.send(mw.pubrec(ids[0], version))
    first.expect("PUBREL", packet_id=ids[0])
    first.send(mw.pubrec(ids[1], version))
    first.expect("PUBREL", packet_id=ids[1])
    first.send(mw.pubcomp(ids[1], version))
    first.quiet()
    first.close()
    second = stored(plain, uid, version)
    got = [second.packet(), second.packet()]
    assert [(p.name, p.packet_id) for p in got] == [("PUBREL", ids[0]), ("PUBLISH", ids[2])], got
    assert got[1].dup and got[1].payload == b"m2"
    second.send(mw.pubcomp(ids[0], version), mw.pubrec(ids[2], version))
    second.expect("PUBREL", packet_id=ids[2])
    second.send(mw.pubcomp(ids[2], version))
    second.quiet()
    second.close()
    stored(plain, uid, version).quiet()


STORES = {"ram": "persistence false\n", "chaos": None,
          "lmdb": "persistence true\npersistence_location {dir}\n"}


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("kind", STORES)
def test_what_is_sent_again_comes_in_the_first_order(broker, kind, version):
    """MQTT3 4.4, 4.6, MQTT5 4.4: a PUBREL in the place of its message, not before all others."""
    if kind == "chaos":
        one = broker("acl_default allow\n", mode="native", env={"NIGHTJAR_STORE_CHAOS": "0"})
    else:
        one = broker("acl_default allow\n" + STORES[kind], mode="native")
    first, sender = stored(one, "x", version), one.client("s", version)
    first.subscribe("t/#", qos=2)
    steps = [1, 2, 1, 2, 2, 1]  # the QoS of each message
    for number, qos in enumerate(steps, 1):
        sender.publish(f"t/{number}", b"m", qos, packet_id=number)
    got = [first.expect("PUBLISH") for _ in steps]  # QoS 1 need not wait for QoS 2
    ids = {p.packet_id: int(p.topic[2:]) for p in sorted(got, key=lambda p: p.topic)}
    for packet_id, number in ids.items():
        if number in (2, 4):
            first.send(mw.pubrec(packet_id, version))
            first.expect("PUBREL", packet_id=packet_id)
    first.close()
    expected = [("PUBLISH", 1), ("PUBREL", 2), ("PUBLISH", 3), ("PUBREL", 4), ("PUBLISH", 5),
                ("PUBLISH", 6)]

    def resumed(**options):
        conn = stored(one, "x", version, **options)
        got = [conn.packet() for _ in expected]
        assert [(p.name, ids[p.packet_id]) for p in got] == expected, got
        return conn

    again = resumed()
    again.close()
    if kind == "lmdb":
        one.kill()
        one.start()
        resumed().close()
    conn = resumed()
    for name, number in expected:
        packet_id = next(i for i, n in ids.items() if n == number)
        if name == "PUBREL":
            conn.send(mw.pubcomp(packet_id, version))
        elif steps[number - 1] == 1:
            conn.send(mw.puback(packet_id, version))
        else:
            conn.send(mw.pubrec(packet_id, version))
            conn.expect("PUBREL", packet_id=packet_id)
            conn.send(mw.pubcomp(packet_id, version))
    conn.quiet()


@pytest.mark.needs("nightjar")
def test_a_narrow_window_keeps_the_order_of_what_is_sent_again(plain, uid):
    """A PUBREL does not wait for it (MQTT5 4.9), but for the messages before its own."""
    first, sender = stored(plain, uid, V5), plain.client(uid + "s")
    first.subscribe(f"{uid}/#", qos=2)
    for number, qos in enumerate([2, 1, 1, 2], 1):
        sender.publish(f"{uid}/{number}", b"m", qos, packet_id=number)
    # Of another topic, QoS 1 need not wait until the packet id of QoS 2 is recorded.
    got = sorted((first.expect("PUBLISH") for _ in range(4)), key=lambda p: p.topic)
    assert [p.topic for p in got] == [f"{uid}/{n}" for n in range(1, 5)]
    ids = [p.packet_id for p in got]
    for packet_id in (ids[0], ids[3]):
        first.send(mw.pubrec(packet_id))
        first.expect("PUBREL", packet_id=packet_id)
    first.close()
    again = plain.conn()
    again.connect(uid, clean=False, properties={**KEEP, "receive_maximum": 1})
    again.expect("PUBREL", packet_id=ids[0])
    again.send(mw.pubcomp(ids[0]))
    again.expect("PUBLISH", packet_id=ids[1], dup=True)
    again.quiet()
    again.send(mw.puback(ids[1]))
    again.expect("PUBLISH", packet_id=ids[2], dup=True)
    again.expect("PUBREL", packet_id=ids[3])
    again.quiet()
    again.send(mw.puback(ids[2]), mw.pubcomp(ids[3]))
    again.quiet()


def test_incoming_qos2_is_delivered_once_however_often_it_comes(plain, version, uid):
    receiver, sender = plain.client(uid, version), stored(plain, uid + "s", version)
    receiver.subscribe(uid, qos=2)
    sender.send(mw.publish(uid, b"once", 2, 77, version=version))
    sender.expect("PUBREC", packet_id=77)
    sender.send(mw.publish(uid, b"once", 2, 77, dup=True, version=version))
    sender.expect("PUBREC", packet_id=77)
    sender.close()
    again = stored(plain, uid + "s", version)
    again.send(mw.publish(uid, b"once", 2, 77, dup=True, version=version))
    again.expect("PUBREC", packet_id=77)
    again.send(mw.pubrel(77, version))
    again.expect("PUBCOMP", packet_id=77)
    receiver.receive(uid, b"once", 2)
    settle(again, receiver)
    again.send(mw.publish(uid, b"next", 2, 77, version=version))
    again.expect("PUBREC", packet_id=77)
    again.send(mw.pubrel(77, version))
    again.expect("PUBCOMP", packet_id=77)
    receiver.receive(uid, b"next", 2)
    settle(again, receiver)


def test_incoming_qos2_of_a_clean_session_is_forgotten(plain, version, uid):
    receiver, sender = plain.client(uid, version), plain.client(uid + "s", version)
    receiver.subscribe(uid, qos=2)
    sender.send(mw.publish(uid, b"lost", 2, 5, version=version))
    sender.expect("PUBREC", packet_id=5)
    sender.close()
    again = plain.client(uid + "s", version)
    again.publish(uid, b"new", 2, packet_id=5)
    got = [receiver.receive(uid, qos=2).payload]
    if got == [b"lost"]:  # allowed: delivered at PUBLISH already (method A of MQTT5 4.3.3)
        got.append(receiver.receive(uid, qos=2).payload)
    assert got[-1] == b"new"
    settle(again, receiver)


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.threads
def test_messages_wait_for_a_session_that_is_away(plain, version, uid, qos):
    first, sender = stored(plain, uid, version), plain.client(uid + "s", version)
    first.subscribe(f"{uid}/#", qos=2)
    first.disconnect()
    for number in range(30):
        sender.publish(f"{uid}/{number}", f"m{number}", qos, packet_id=number + 1)
    sender.publish(f"{uid}/zero", b"not kept", 0)
    routed(sender, f"{uid}/end")  # while nobody is there
    second = stored(plain, uid, version)
    for number in range(30):
        second.receive(f"{uid}/{number}", f"m{number}".encode(), qos, dup=False)
    second.receive(f"{uid}/end", b"routed")
    second.quiet()


def test_qos0_messages_wait_only_when_told_to(shared_broker, version, uid):
    one = open_broker(shared_broker, extra="queue_qos0_messages true\n")
    first, sender = stored(one, uid, version), one.client(uid + "s", version)
    first.subscribe(uid, qos=0)
    first.disconnect()
    sender.publish(uid, b"kept", 0)
    routed(sender, uid)
    second = stored(one, uid, version)
    second.receive(uid, b"kept", 0)
    second.receive(uid, b"routed", 0)
    second.quiet()


@pytest.mark.threads
def test_order_is_kept_for_every_topic_and_qos(plain, version, uid):
    receiver, sender = plain.client(uid, version), plain.client(uid + "s", version)
    receiver.subscribe(f"{uid}/+", qos=2)
    for number in range(200):
        sender.send(mw.publish(f"{uid}/{number % 3}", str(number), number % 2,
                               number + 1 if number % 2 else None, version=version))
    seen = {0: [], 1: [], 2: []}
    for _ in range(200):
        got = receiver.receive()
        seen[int(got.topic[-1])].append(int(got.payload))
    for topic, numbers in seen.items():
        for parity in (0, 1):
            part = [n for n in numbers if n % 2 == parity]
            assert part == sorted(part) and len(set(part)) == len(part), (topic, parity, part)


def test_B100_qos_3_is_malformed(plain, version, uid):
    conn = plain.client(uid, version)
    conn.send(mw.publish("t", b"x", 3, 1, version=version))
    conn.expect_closed(reason=0x81)


def test_B101_dup_without_qos_is_malformed(plain, version, uid):
    conn = plain.client(uid, version)
    conn.send(mw.publish("t", b"x", 0, dup=True, version=version))
    conn.expect_closed(reason=0x81)


@pytest.mark.parametrize("qos", [1, 2])
def test_B102_packet_id_zero(plain, version, uid, qos):
    conn = plain.client(uid, version)
    conn.send(mw.publish("t", b"x", qos, 0, version=version))
    conn.expect_closed(reason=0x82)


@pytest.mark.parametrize("build", [mw.puback, mw.pubrec, mw.pubrel, mw.pubcomp],
                         ids=["puback", "pubrec", "pubrel", "pubcomp"])
def test_B141_acknowledgement_of_id_zero(plain, version, uid, build):
    conn = plain.client(uid, version)
    conn.send(build(0, version))
    conn.expect_closed(reason=0x82)


def test_B142_acknowledgements_of_unknown_ids(plain, version, uid):
    conn = plain.client(uid, version)
    conn.send(mw.puback(7, version), mw.pubcomp(8, version))
    conn.quiet()
    conn.send(mw.pubrel(9, version))
    told = 0x92 if version == V5 and Options.mode == "native" else 0
    conn.expect("PUBCOMP", packet_id=9, reason=told)
    conn.send(mw.pubrec(10, version))
    conn.expect("PUBREL", packet_id=10, reason=told)
    conn.quiet()


@pytest.mark.parametrize("build", [mw.puback, mw.pubrec, mw.pubrel, mw.pubcomp],
                         ids=["puback", "pubrec", "pubrel", "pubcomp"])
@pytest.mark.parametrize("reason", [0x01, 0x7F, 0x81, 0xFF])
def test_B144_reason_codes_that_do_not_exist(plain, uid, build, reason):
    conn = plain.client(uid)
    conn.send(build(1, reason=reason))
    conn.expect_closed(reason={0x81, 0x82})


def test_B145_pubrec_with_an_error_ends_the_exchange(plain, uid):
    receiver, sender = stored(plain, uid, V5), plain.client(uid + "s")
    receiver.subscribe(uid, qos=2)
    sender.publish(uid, b"bad", 2)
    got = receiver.expect("PUBLISH", payload=b"bad")
    receiver.send(mw.pubrec(got.packet_id, reason=0x83))
    settle(sender, receiver)
    receiver.disconnect()
    again = stored(plain, uid, V5)
    again.quiet()
    sender.publish(uid, b"good", 2)
    again.receive(uid, b"good", 2)


def test_B146_pubrel_again_and_again(plain, version, uid):
    receiver, sender = plain.client(uid, version), plain.client(uid + "s", version)
    receiver.subscribe(uid, qos=2)
    sender.publish(uid, b"once", 2, packet_id=3)
    for _ in range(2000):
        sender.send(mw.pubrel(3, version))
    for _ in range(2000):
        sender.expect("PUBCOMP", packet_id=3)
    receiver.receive(uid, b"once")
    settle(sender, receiver)


def test_B147_remaining_length_three_needs_no_properties(plain, uid):
    receiver, sender = plain.client(uid), plain.client(uid + "s")
    receiver.subscribe(uid, qos=1)
    sender.publish(uid, b"m", 1)
    got = receiver.expect("PUBLISH")
    receiver.send(mw.puback(got.packet_id, reason=0))
    settle(sender, receiver)
    receiver.send(mw.packet("DISCONNECT", b"\0"))
    receiver.expect_closed(silent=True)


def test_B124_an_id_in_use_for_qos2_is_not_free_for_qos1(plain, uid):
    conn = plain.client(uid)
    conn.send(mw.publish(uid, b"two", 2, 5))
    conn.expect("PUBREC", packet_id=5, reason=0)
    conn.send(mw.publish(uid, b"one", 1, 5))
    got = conn.packet()
    assert (got.name, got.reason) in (("PUBACK", 0x91), ("PUBACK", 0x10), ("DISCONNECT", 0x82)), got


def test_B125_dup_with_an_unknown_id_is_a_new_message(plain, version, uid):
    receiver, sender = plain.client(uid, version), plain.client(uid + "s", version)
    receiver.subscribe(uid, qos=2)
    sender.publish(uid, b"m", 2, packet_id=9, dup=True)
    receiver.receive(uid, b"m", 2, dup=False)
    sender.publish(uid, b"n", 1, packet_id=10, dup=True)
    receiver.receive(uid, b"n", 1, dup=False)


def test_B126_one_qos2_id_over_and_over_is_one_message(plain, version, uid):
    receiver, sender = plain.client(uid, version), plain.client(uid + "s", version)
    receiver.subscribe(uid, qos=2)
    for _ in range(300):  # not more at once than our receive maximum
        sender.send(*[mw.publish(uid, b"same", 2, 4, dup=True, version=version)] * 10)
        for _ in range(10):
            sender.expect("PUBREC", packet_id=4)
    sender.send(mw.pubrel(4, version))
    sender.expect("PUBCOMP", packet_id=4)
    receiver.receive(uid, b"same")
    settle(sender, receiver)


def test_B149_acknowledgements_nobody_waits_for_harm_nobody(plain, version, uid):
    conn, other = plain.client(uid, version), plain.client(uid + "o", version)
    conn.try_send(b"".join(mw.puback(1 + n % 65535, version) for n in range(20000)))
    other.quiet()
    conn.close()


@pytest.mark.threads
def test_S07_packet_ids_wrap_around(plain, uid):
    """65,535 ids one after the other, then id 1 again, on both sides."""
    receiver, sender = plain.client(uid), plain.client(uid + "s")
    receiver.subscribe(uid, qos=1)
    count, step = 65540, 10
    for start in range(0, count, step):
        ids = [1 + n % 65535 for n in range(start, min(start + step, count))]
        sender.send(*[mw.publish(uid, b"m", 1, i) for i in ids])
        for i in ids:
            got = receiver.expect("PUBLISH", packet_id=i)
            receiver.send(mw.puback(got.packet_id))
        for i in ids:
            sender.expect("PUBACK", packet_id=i)
    settle(sender, receiver)


@pytest.mark.threads
def test_S02_S05_qos2_across_a_takeover(plain, version, uid):
    """PUBLISH on the old connection, PUBREL on the new one."""
    receiver, old = plain.client(uid, version), stored(plain, uid + "s", version)
    receiver.subscribe(uid, qos=2)
    old.send(mw.publish(uid, b"m", 2, 6, version=version))
    old.expect("PUBREC", packet_id=6)
    new = stored(plain, uid + "s", version)
    old.try_send(mw.pubrel(6, version))
    new.send(mw.pubrel(6, version))
    new.expect("PUBCOMP", packet_id=6)
    receiver.receive(uid, b"m")
    receiver.quiet()


def test_upgrade_outgoing_qos(shared_broker, version, uid):
    one = open_broker(shared_broker, extra="upgrade_outgoing_qos true\n")
    receiver, sender = one.client(uid, version), one.client(uid + "s", version)
    receiver.subscribe(uid, qos=2)
    sender.publish(uid, b"m", 0)
    receiver.receive(uid, b"m", 2)


def test_B121_max_qos_of_a_listener(shared_broker, uid):
    one = open_broker(shared_broker, extra="max_qos 1\n")
    conn = one.conn()
    assert conn.connect(uid).prop("maximum_qos") == 1
    conn.send(mw.publish(uid, b"m", 2, 1))
    conn.expect_closed(reason=0x9B)
    old = one.client(uid + "o", 4)
    old.send(mw.publish(uid, b"m", 2, 1, version=4))
    old.expect_closed()
    receiver = one.client(uid + "r", 4)
    receiver.subscribe(uid, qos=2, reasons=None if Options.is_oracle() else [1])
    old = one.client(uid + "o", 4)
    old.publish(uid, b"m", 1)
    receiver.receive(uid, b"m", 1)
