"""Shared subscriptions (MQTT5 4.8.2)."""
import pytest

import mqttwire as mw
from scenes import settle

KEEP = {"session_expiry_interval": 100}


def collect(members, sender, count_wanted):
    """What each member got, after `count_wanted` messages in all."""
    got = {m.client_id: [] for m in members}
    settle_needed = True
    import select
    total = 0
    while total < count_wanted:
        ready = [m for m in members if m.held or m._whole()]
        if not ready:
            socks = {m.sock: m for m in members}
            ready = [socks[s] for s in select.select(list(socks), [], [], mw.PATIENCE)[0]]
            assert ready, f"only {total} of {count_wanted} came: {got}"
        for one in ready:
            packet = one.receive()
            got[one.client_id].append(packet.payload)
            total += 1
    if settle_needed:
        settle(sender, *members)
    return got


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.threads
def test_each_message_goes_to_one_member(plain, version, uid, qos):
    members = [plain.client(f"{uid}m{n}", version) for n in range(3)]
    single, sender = plain.client(uid + "o", version), plain.client(uid + "s", version)
    for one in members:
        one.subscribe(f"$share/g/{uid}/+", qos=2)
    single.subscribe(f"{uid}/#", qos=0)
    for number in range(30):
        sender.publish(f"{uid}/t", str(number), qos, packet_id=number + 1)
    got = collect(members, sender, 30)
    everything = sorted(int(p) for part in got.values() for p in part)
    assert everything == list(range(30))
    assert all(got.values()), f"somebody got nothing: {got}"
    for number in range(30):
        single.expect("PUBLISH", payload=str(number).encode())


def test_groups_are_separate(plain, uid):
    a1, a2, b1 = (plain.client(uid + n) for n in ("a1", "a2", "b1"))
    sender = plain.client(uid + "s")
    a1.subscribe(f"$share/a/{uid}")
    a2.subscribe(f"$share/a/{uid}")
    b1.subscribe(f"$share/b/{uid}")
    for number in range(10):
        sender.publish(uid, str(number))
    got = collect([a1, a2, b1], sender, 20)
    assert len(got[uid + "b1"]) == 10
    assert len(got[uid + "a1"]) + len(got[uid + "a2"]) == 10


def test_a_share_and_a_plain_subscription_are_two(plain, uid):
    conn, sender = plain.client(uid), plain.client(uid + "s")
    conn.subscribe([(f"$share/g/{uid}", 0), (uid, 0)])
    sender.publish(uid, b"m")
    conn.receive(uid, b"m")
    conn.receive(uid, b"m")
    settle(sender, conn)


def test_shares_with_wildcards_and_identifiers(plain, uid):
    conn, sender = plain.client(uid), plain.client(uid + "s")
    conn.subscribe(f"$share/g/{uid}/#", properties={"subscription_identifier": 7})
    sender.publish(f"{uid}/x/y", b"m")
    conn.receive(f"{uid}/x/y", b"m", properties=[("subscription_identifier", 7)])


def test_unsubscribe_leaves_the_group(plain, version, uid):
    first, second = plain.client(uid + "1", version), plain.client(uid + "2", version)
    sender = plain.client(uid + "s", version)
    first.subscribe(f"$share/g/{uid}", qos=1)
    second.subscribe(f"$share/g/{uid}", qos=1)
    first.unsubscribe(f"$share/g/{uid}", reasons=[0])
    for number in range(6):
        sender.publish(uid, str(number), 1, packet_id=number + 1)
        second.receive(uid, str(number).encode())
    settle(sender, first)
    first.unsubscribe(f"$share/g/{uid}", reasons=[0x11])


@pytest.mark.threads
def test_a_member_that_leaves_takes_nothing_with_it(plain, version, uid):
    first, second = plain.client(uid + "1", version), plain.client(uid + "2", version)
    sender = plain.client(uid + "s", version)
    first.subscribe(f"$share/g/{uid}", qos=1)
    second.subscribe(f"$share/g/{uid}", qos=1)
    first.disconnect()
    for number in range(6):
        sender.publish(uid, str(number), 1, packet_id=number + 1)
        second.receive(uid, str(number).encode())


@pytest.mark.needs("nightjar", "native")
@pytest.mark.threads
def test_members_that_are_online_come_first(plain, uid):
    away, here, sender = plain.conn(), plain.client(uid + "h"), plain.client(uid + "s")
    away.connect(uid + "a", clean=False, properties=KEEP)
    away.subscribe(f"$share/g/{uid}", qos=1)
    away.disconnect()
    here.subscribe(f"$share/g/{uid}", qos=1)
    for number in range(10):
        sender.publish(uid, str(number), 1, packet_id=number + 1)
        here.receive(uid, str(number).encode())
    here.unsubscribe(f"$share/g/{uid}")
    for number in range(5):  # nobody online: one member's queue
        sender.publish(uid, f"q{number}", 1, packet_id=number + 1)
    away = plain.conn()
    away.connect(uid + "a", clean=False, properties=KEEP)
    for number in range(5):
        away.receive(uid, f"q{number}".encode())


@pytest.mark.needs("nightjar")
@pytest.mark.threads
def test_S11_unacknowledged_qos1_goes_to_another_member(plain, uid):
    """The member's session ends with QoS 1 in flight or waiting: others get it (MQTT5 4.8.2)."""
    first, second = plain.client(uid + "1"), plain.client(uid + "2")
    sender = plain.client(uid + "s")
    first.subscribe(f"$share/g/{uid}", qos=1)
    for number in range(5):
        sender.publish(uid, str(number), 1, packet_id=number + 1)
        first.expect("PUBLISH", payload=str(number).encode())
    second.subscribe(f"$share/g/{uid}", qos=1)
    first.close()
    got = sorted(second.receive(uid).payload for _ in range(5))
    assert got == [str(n).encode() for n in range(5)]


@pytest.mark.threads
def test_members_that_come_and_go_lose_nothing(plain, uid):
    """QoS 1 through a group whose members change all the time; each message is seen at least once."""
    stable, sender = plain.client(uid + "0"), plain.client(uid + "s")
    stable.subscribe(f"$share/g/{uid}", qos=1)
    seen = set()
    for turn in range(40):
        guest = plain.client(f"{uid}g{turn}")
        guest.subscribe(f"$share/g/{uid}", qos=1)
        sender.publish(uid, f"{turn}a", 1)
        sender.publish(uid, f"{turn}b", 1)
        guest.send(mw.unsubscribe(2, f"$share/g/{uid}"))
        while (packet := guest.packet()).name != "UNSUBACK":
            seen.add(packet.payload.decode())
            guest.send(mw.puback(packet.packet_id))
        guest.send(mw.pingreq())
        for packet in guest.drain(lambda p: p.name == "PINGRESP")[:-1]:
            seen.add(packet.payload.decode())
            guest.send(mw.puback(packet.packet_id))
        guest.disconnect()
    sender.publish(uid, b"end", 1)
    while (packet := stable.receive(uid)).payload != b"end":
        seen.add(packet.payload.decode())
    assert seen == {f"{t}{x}" for t in range(40) for x in "ab"}
