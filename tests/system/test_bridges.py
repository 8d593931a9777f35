"""Connections of other brokers: the high bit of the protocol level says that one is (MQTT 3 only).
Every subscription of theirs is no-local and retain-as-published, for which MQTT 3 has no options."""
import pytest

import mqttwire as mw
from mqttwire import V31, V311, V5
from scenes import open_broker, settle


@pytest.fixture(params=[V31, V311], ids=["v31", "v311"])
def old(request):
    return request.param


def bridge(one, name, version, clean=True, session_present=None):
    conn = one.conn(version)
    conn.connect(name, clean=clean, level=0x80 | version, session_present=session_present)
    return conn


def plain_again(one, name, version):
    conn = one.conn(version)
    conn.connect(name, clean=False)
    return conn


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_bridge_does_not_get_its_own_messages_back(plain, old, uid, qos):
    conn, sender = bridge(plain, uid, old), plain.client(uid + "s", old)
    conn.subscribe([(f"{uid}/#", 2), (f"{uid}/+", 1)])
    conn.publish(f"{uid}/a", b"own", qos)
    sender.publish(f"{uid}/a", b"other", qos)
    conn.receive(f"{uid}/a", b"other", qos)
    settle(sender, conn)


def test_a_client_does(plain, old, uid):
    conn = plain.client(uid, old)
    conn.subscribe(uid, qos=1)
    conn.publish(uid, b"own")
    conn.receive(uid, b"own", retain=False)


def test_a_bridge_is_told_what_is_retained(plain, old, uid):
    conn, client, sender = bridge(plain, uid, old), plain.client(uid + "c", old), plain.client(uid + "s")
    for one in (conn, client):
        one.subscribe(f"{uid}/#", qos=1)
    sender.publish(f"{uid}/a", b"kept", 1, retain=True)
    sender.publish(f"{uid}/a", b"passing", 1)
    conn.receive(payload=b"kept", retain=True)
    conn.receive(payload=b"passing", retain=False)
    client.receive(payload=b"kept", retain=False)
    client.receive(payload=b"passing", retain=False)
    sender.publish(f"{uid}/a", b"", 1, retain=True)
    conn.receive(payload=b"", retain=True)


def test_the_will_of_a_bridge_comes_to_others(plain, old, uid):
    other = plain.client(uid + "o")
    other.subscribe(uid)
    conn = plain.conn(old)
    conn.connect(uid + "b", level=0x80 | old, will=mw.Will(uid, b"gone"))
    conn.close()
    other.receive(uid, b"gone")


def test_a_bridge_that_is_away_gets_the_flag_later(plain, old, uid):
    conn, sender = bridge(plain, uid, old, clean=False), plain.client(uid + "s")
    conn.subscribe(uid, qos=1)
    conn.publish(uid, b"own", 1)
    conn.disconnect()
    sender.publish(uid, b"kept", 1, retain=True)
    conn = bridge(plain, uid, old, clean=False)
    conn.receive(uid, b"kept", retain=True)
    conn.quiet()
    sender.publish(uid, b"", 1, retain=True)


def test_what_counts_is_how_the_session_was_resumed(plain, old, uid):
    """Its subscriptions stay; no-local and the flag come and go with the kind of connection."""
    sender = plain.client(uid + "s")
    client = plain_again(plain, uid, old)
    client.subscribe(uid, qos=1)
    client.disconnect()
    conn = bridge(plain, uid, old, clean=False)
    conn.publish(uid, b"own", 1)
    sender.publish(uid, b"kept", 1, retain=True)
    conn.receive(uid, b"kept", retain=True)
    conn.disconnect()
    client = plain_again(plain, uid, old)
    client.publish(uid, b"own")
    client.receive(uid, b"own")
    sender.publish(uid, b"kept", 1, retain=True)
    client.receive(uid, b"kept", retain=False)
    sender.publish(uid, b"", 1, retain=True)


def test_a_bridge_may_share_a_subscription(plain, old, uid):
    conn, sender = bridge(plain, uid, old), plain.client(uid + "s")
    conn.subscribe(f"$share/g/{uid}", qos=1)
    sender.publish(uid, b"kept", 1, retain=True)
    conn.receive(uid, b"kept", retain=True)
    sender.publish(uid, b"", 1, retain=True)


def test_mqtt5_has_options_instead(plain, uid):
    conn = plain.conn(V5)
    conn.send(mw.connect(uid, level=0x85))
    conn.expect_closed(silent=False)


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_bridge_is_one_after_a_restart(broker, old, end):
    one = broker("acl_default allow\npersistence true\npersistence_location {dir}\n", mode="native")
    conn = bridge(one, "b", old, clean=False)
    conn.subscribe("t", qos=1)
    conn.disconnect()
    getattr(one, end)()
    one.start()
    one.client("s").publish("t", b"kept", 1, retain=True)
    conn = bridge(one, "b", old, clean=False)
    conn.receive("t", b"kept", retain=True)
    conn.publish("t", b"own", 1)
    conn.quiet()


def test_the_log_calls_a_bridge_one(shared_broker, old, uid):
    one = open_broker(shared_broker)
    mark = one.mark()
    bridge(one, uid, old)
    one.wait_log(rf"New bridge connected from .* as {uid} \(p{old}, c1, k60\)", mark)
