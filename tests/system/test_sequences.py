"""Sequences of several clients whose order matters (catalogue 3.11)."""
import random
import signal

import pytest

import mqttwire as mw
import passwords
from brokerproc import Options
from mqttwire import V5
from scenes import settle

STORED = {"session_expiry_interval": 100}


@pytest.mark.threads
def test_S01_the_old_socket_goes_on_sending_after_a_take_over(plain, uid, version):
    """What the old connection sends after it lost its session counts for nothing."""
    watcher = plain.client(uid + "w")
    watcher.subscribe(f"{uid}/#")
    old = plain.client(uid, version)
    new = plain.client(uid, version)
    for number in range(50):
        if not old.try_send(mw.publish(f"{uid}/old", str(number), version=version)
                            + mw.subscribe(9, f"{uid}/new", version)):
            break
    old.expect_closed(reason=0x8E)
    new.publish(f"{uid}/new", b"mine", 1)
    watcher.receive(f"{uid}/new", payload=b"mine")  # and nothing of the old one before it
    settle(new, new)


@pytest.mark.threads
def test_S04_unsubscribe_during_a_replay(plain, uid):
    """Retained messages are sent in portions. What was found at SUBSCRIBE may still come after
    UNSUBACK, each once; what is published after it may not (MQTT5 3.10.4)."""
    count = 3000
    writer = plain.client(uid + "w")
    for at in range(0, count, 500):
        writer.send(*(mw.publish(f"{uid}/{n}", b"r" * 200, retain=True)
                      for n in range(at, at + 500)))
    writer.publish(f"{uid}-end", b"end", 1, retain=True)
    reader = mw.Conn(plain.endpoint(), V5, rcvbuf=8192)
    reader.connect(uid)
    for turn in range(3):
        reader.send(mw.subscribe(1, f"{uid}/+"), mw.unsubscribe(2, f"{uid}/+"))
        seen = reader.drain(lambda p: p.name == "UNSUBACK")
        writer.publish(f"{uid}/new{turn}", b"new", 1)
        # Replays follow one another, so this one's message is the last of all.
        reader.send(mw.subscribe(3, f"{uid}-end"))
        seen += reader.drain(lambda p: p.name == "PUBLISH" and p.payload == b"end")
        topics = [p.topic for p in seen if p.name == "PUBLISH" and p.payload != b"end"]
        assert len(set(topics)) == len(topics) <= count
        assert not [t for t in topics if "new" in t]
        reader.unsubscribe([f"{uid}-end"])
    for at in range(0, count, 500):
        writer.send(*(mw.publish(f"{uid}/{n}", retain=True) for n in range(at, at + 500)))
    writer.publish(f"{uid}-end", b"", 1, retain=True)


@pytest.mark.needs("nightjar")
def test_S06_an_alias_whose_first_message_was_denied(broker):
    """The denied message is dropped, and its alias stands for nothing afterwards or for a topic that
    is denied again; it never reaches anybody."""
    one = broker("acl_file {dir}/acl\n", files={
        "acl": "topic read #\ntopic write ok\npattern readwrite settle/#\n"}, mode="native")
    reader, writer = one.client("r"), one.client("w")
    reader.subscribe("#")
    for first in ("denied", "ok"):
        writer.publish(first, b"1", 1, reason=0x87 if first == "denied" else 0,
                       properties={"topic_alias": 3})
        if first == "ok":
            reader.receive("ok", payload=b"1")
        writer.send(mw.publish("", b"2", 1, 7, properties={"topic_alias": 3}))
        got = writer.packet()
        if first == "ok":
            assert (got.name, got.reason) == ("PUBACK", 0)
            reader.receive("ok", payload=b"2")
        else:
            assert (got.name, got.reason) in (("PUBACK", 0x87), ("DISCONNECT", 0x82))
            if got.name == "DISCONNECT":
                writer = one.client("w")
    settle(writer, reader)


@pytest.mark.threads
def test_S08_a_session_ends_while_its_owner_returns(plain, uid):
    """Whether the session is still there or not, CONNACK says which, and what follows agrees."""
    sender = plain.client(uid + "s")
    for turn in range(12):
        gone = plain.client(uid, clean=False, properties={"session_expiry_interval": 1})
        gone.subscribe(f"{uid}/t", qos=1)
        gone.close()
        pauses = plain.client(uid + "p", keep_alive=0)
        # About a second, in round trips of its own, no two turns alike.
        for _ in range(random.randrange(1, 4000) if turn else 1):
            pauses.quiet()
        back = plain.conn(V5)
        present = back.connect(uid, clean=False, properties={"session_expiry_interval": 1}
                               ).session_present
        sender.publish(f"{uid}/t", b"m", 1)
        if present:
            back.receive(f"{uid}/t", payload=b"m")
        back.quiet()
        back.disconnect(properties={"session_expiry_interval": 0})
        pauses.close()


STEPS = ["idle", "subscribing", "publishing", "half-qos2", "receiving", "alias", "will", "connecting"]


@pytest.mark.needs("nightjar", "native")
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.threads
def test_S13_a_user_is_deleted_in_the_middle(broker, step):
    """Wherever it was: its connection ends, nothing more of it is delivered, nobody else notices."""
    keep = passwords.file_text({"b": "b"})
    one = broker("allow_anonymous false\npassword_file {dir}/pw\nacl_file {dir}/acl\n", files={
        "pw": keep + passwords.file_text({"a": "a"}), "acl": "user a\ntopic t/#\nuser b\ntopic #\n"})
    other = one.client("b", username="b", password="b")
    other.subscribe("t/#", qos=2)
    a = one.conn(V5)
    a.connect("a", clean=False, username="a", password="a", properties=STORED,
              will=mw.Will("t/will", b"will") if step == "will" else None)
    if step == "subscribing":
        a.send(*(mw.subscribe(n, f"t/{n}") for n in range(1, 200)))
    elif step == "half-qos2":
        a.send(mw.publish("t/x", b"half", 2, 1))
        a.expect("PUBREC")
    elif step == "receiving":
        a.subscribe("t/in", qos=2)
        other.unsubscribe("t/#")
        other.publish("t/in", b"in", 1)
        a.expect("PUBLISH")
    elif step == "alias":
        a.publish("t/alias", b"1", properties={"topic_alias": 1})
        other.receive("t/alias", payload=b"1")
    one.write("pw", keep)
    if step == "connecting":
        late = one.conn(V5)
        late.send(mw.connect("a2", username="a", password="a"))
    one.reload()
    if step == "publishing":
        a.try_send(b"".join(mw.publish("t/x", str(n)) for n in range(100)))
    elif step == "half-qos2":
        a.try_send(mw.pubrel(1))
    elif step == "receiving":
        a.try_send(mw.pubrec(1))
    elif step == "alias":
        a.try_send(mw.publish("", b"2", properties={"topic_alias": 1}))
    a.expect_closed()
    if step == "connecting":
        late.expect_closed()
    refused = one.conn(V5)
    refused.send(mw.connect("a", clean=False, username="a", password="a"))
    assert refused.expect("CONNACK").reason in (0x86, 0x87)
    settle(other, other)


@pytest.mark.threads
@pytest.mark.needs("nightjar", "native")
@pytest.mark.parametrize("qos", [1, 2])
def test_a_store_that_is_late_and_out_of_step(broker, qos):
    """Its completions come when they like: acknowledged messages reach every stored session, in order
    and with QoS 2 once, across take-overs."""
    one = broker("acl_default allow\nmax_queued_messages 10000\n", env={"NIGHTJAR_STORE_CHAOS": "0"})
    readers = 4

    def enter(number):
        conn = one.conn(V5)
        conn.connect(f"r{number}", clean=False, properties=STORED)
        return conn

    for number in range(readers):
        enter(number).subscribe("t/+", qos=qos)
    senders = [one.client(f"s{number}") for number in range(2)]
    for turn in range(30):
        for index, sender in enumerate(senders):
            sender.publish(f"t/{index}", f"{turn}", qos, turn + 1)
        if turn % 8 == 7:
            enter(turn % readers)  # a take-over in the middle; what was sent to it comes again
    for number in range(readers):
        conn = enter(number)
        senders[0].publish("t/end", b"end", qos, 100)
        seen = {"t/0": [], "t/1": []}
        while (got := conn.receive()).payload != b"end":
            if got.topic != "t/end" and not (got.dup and got.payload in seen[got.topic]):
                seen[got.topic].append(got.payload)
        for topic, payloads in seen.items():
            assert payloads == [b"%d" % n for n in range(30)], (topic, payloads)
        conn.close()


@pytest.mark.threads
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_a_goodbye_and_a_return_in_one_turn(broker, workers):
    """While the broker is stopped a client says its last words and DISCONNECT, and comes again: the new
    connection may be noticed first, but the words arrive and the will does not."""
    one = broker(f"acl_default allow\nworkers {workers}\n" if Options.mode == "native"
                 and not Options.is_oracle() else "")
    watcher = one.client("watcher")
    watcher.subscribe([("will", 0), ("words", 0)], reasons=[0, 0])
    for turn in range(12):
        old = one.conn(V5)
        old.connect(f"c{turn}", clean=False, properties=STORED, will=mw.Will("will", b"will"))
        one.signal(signal.SIGSTOP)
        old.send(mw.publish("words", str(turn)), mw.disconnect())
        old.close()
        new = one.conn(V5)
        new.send(mw.connect(f"c{turn}", clean=False, properties=STORED))
        one.signal(signal.SIGCONT)
        new.expect("CONNACK", reason=0, session_present=1)
        watcher.receive("words", payload=str(turn))
        settle(new, watcher)
        new.close()


@pytest.mark.threads
@pytest.mark.needs("nightjar")
def test_acknowledgements_before_a_return(broker):
    """What was acknowledged on the old connection is not sent again on the new one."""
    one = broker("acl_default allow\nworkers 3\n" if Options.mode == "native"
                 and not Options.is_oracle() else "")
    sender = one.client("sender")
    for turn in range(12):
        old = one.conn(V5)
        old.connect(f"c{turn}", clean=False, properties=STORED)
        old.subscribe(f"t{turn}", qos=1)
        for number in range(4):
            sender.publish(f"t{turn}", str(number), 1, number + 1)
        ids = [old.expect("PUBLISH").packet_id for _ in range(4)]
        one.signal(signal.SIGSTOP)
        old.send(*(mw.puback(n) for n in ids))
        old.close()
        new = one.conn(V5)
        new.send(mw.connect(f"c{turn}", clean=False, properties=STORED))
        one.signal(signal.SIGCONT)
        new.expect("CONNACK", session_present=1)
        new.quiet()
        new.close()
