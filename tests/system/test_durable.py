"""What survives the end of the broker, by SIGTERM and by kill -9 (docs/durability.md).

Every test that takes `crash` runs with both."""
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

import mqttwire as mw
import passwords
from brokerproc import Options
from mqttwire import V5, V311, Will

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "soak"))
import backlog  # noqa: E402
import crash as crash_points  # noqa: E402
from kill import Rounds  # noqa: E402

pytestmark = pytest.mark.needs("nightjar")

STORE = "acl_default allow\npersistence true\npersistence_location {dir}\n"
KEEP = {"session_expiry_interval": 1000}


@pytest.fixture(params=["term", "kill"])
def crash(request):
    """Ends the broker one way or the other and starts it again."""
    def again(one, settings=None):
        if request.param == "kill":
            one.kill()
        else:
            one.stop()
        if settings is not None:
            one.write_config(settings)
        one.start()
    return again


def stored(one, client_id, version=V5, **options):
    if version == V5:
        options.setdefault("properties", KEEP)
    return one.client(client_id, version, clean=False, **options)


# ---- sessions and subscriptions


@pytest.mark.parametrize("version", [V311, V5], ids=["v311", "v5"])
def test_F001_a_session_and_its_subscriptions_come_back(broker, crash, version):
    one = broker(STORE)
    sub = stored(one, "sub", version)
    sub.subscribe([("a/+", 1), ("b/#", 1)])
    sub.unsubscribe("b/#")
    crash(one)
    sub = stored(one, "sub", version, session_present=True)
    pub = one.client("pub")
    pub.publish("b/1", b"no", 1, packet_id=1)
    pub.publish("a/1", b"yes", 1, packet_id=2)
    sub.receive("a/1", b"yes", 1)


def test_subscription_options_come_back(broker, crash):
    one = broker(STORE)
    sub = stored(one, "sub")
    sub.subscribe([("a", mw.options(2, no_local=True, retain_as_published=True))],
                  properties={"subscription_identifier": 77})
    crash(one)
    sub = stored(one, "sub", session_present=True)
    one.client("pub").publish("a", b"x", 2, retain=True)
    got = sub.receive("a", b"x", 2, retain=True)
    assert got.prop("subscription_identifier") == 77
    sub.publish("a", b"own", 1, packet_id=9)
    sub.quiet()


def test_a_clean_start_and_an_ended_session_stay_gone(broker, crash):
    one = broker(STORE)
    stored(one, "a").subscribe("t", qos=1)
    one.client("a", clean=True).close()
    stored(one, "b").disconnect(0, {"session_expiry_interval": 0})
    one.client("c", clean=False, properties={"session_expiry_interval": 0}).subscribe("t")
    # DISCONNECT has no answer. What its client is told later is durable later; what another one is
    # told is not, for it may live on another worker.
    again = one.client("b", clean=False, properties={"session_expiry_interval": 0},
                       session_present=False)
    again.publish("r", b"x", 1, packet_id=1, retain=True)
    crash(one)
    for client_id in "abc":
        stored(one, client_id, session_present=False)


def test_F037_expiry_goes_on_while_the_broker_is_down(broker, crash):
    one = broker(STORE)
    for client_id, seconds in (("short", 1), ("long", 100)):
        conn = stored(one, client_id, properties={"session_expiry_interval": seconds})
        conn.subscribe("t", qos=1)
        conn.disconnect()
    one.client("pub").publish("t", b"brief", 1, packet_id=1,
                              properties={"message_expiry_interval": 1})
    one.client("pub").publish("t", b"lasting", 1, packet_id=1,
                              properties={"message_expiry_interval": 90})
    due = time.monotonic() + 1.1
    crash(one)
    time.sleep(max(0, due - time.monotonic()))  # the deadline itself is what is tested
    stored(one, "short", session_present=False)
    conn = stored(one, "long", session_present=True)
    got = conn.receive("t", b"lasting", 1)
    assert 80 <= got.prop("message_expiry_interval") <= 90


@pytest.mark.needs("nightjar", "native")
def test_owner_of_a_session_is_remembered(broker, crash):
    one = broker("password_file {dir}/pw\nallow_anonymous false\n" + STORE, anonymous=False,
                 files={"pw": passwords.file_text({"ann": "a", "bob": "b"})})
    stored(one, "c", username="ann", password=b"a").close()
    crash(one)
    conn = one.conn()
    conn.send(mw.connect("c", V5, clean=False, username="bob", password=b"b"))
    assert conn.expect("CONNACK").reason >= 0x80
    stored(one, "c", username="ann", password=b"a", session_present=True)


# ---- messages


def test_F004_queued_and_in_flight_messages_come_back_in_order(broker, crash):
    one = broker(STORE)
    sub = stored(one, "sub", properties={**KEEP, "receive_maximum": 2})
    sub.subscribe("t", qos=2)
    pub = one.client("pub")
    for number in range(1, 6):
        pub.publish("t", b"%d" % number, 2, packet_id=number)
    first, second = sub.expect("PUBLISH"), sub.expect("PUBLISH")
    sub.send(mw.pubrec(first.packet_id))
    sub.expect("PUBREL", packet_id=first.packet_id)
    crash(one)
    sub = stored(one, "sub", session_present=True, properties={**KEEP, "receive_maximum": 2})
    sub.expect("PUBREL", packet_id=first.packet_id)
    sub.expect("PUBLISH", packet_id=second.packet_id, dup=True, payload=b"2")
    sub.send(mw.pubcomp(first.packet_id), mw.pubrec(second.packet_id))
    sub.expect("PUBLISH", payload=b"3", dup=False)
    sub.expect("PUBREL", packet_id=second.packet_id)


def test_F003_an_unreleased_message_is_routed_once_after_the_restart(broker, crash):
    one = broker(STORE)
    sub = stored(one, "sub")
    sub.subscribe("t", qos=2)
    pub = stored(one, "pub", V311)
    pub.send(mw.publish("t", b"x", 2, 7, version=V311))
    pub.expect("PUBREC", packet_id=7)
    crash(one)
    sub = stored(one, "sub", session_present=True)
    pub = stored(one, "pub", V311, session_present=True)
    pub.send(mw.publish("t", b"x", 2, 7, dup=True, version=V311))
    pub.expect("PUBREC", packet_id=7)
    pub.send(mw.pubrel(7, V311))
    pub.expect("PUBCOMP", packet_id=7)
    crash(one)
    pub = stored(one, "pub", V311, session_present=True)
    pub.send(mw.pubrel(7, V311))
    pub.expect("PUBCOMP", packet_id=7)
    sub = stored(one, "sub", session_present=True)
    sub.receive("t", b"x", 2)
    sub.quiet()


def test_L012_the_right_is_asked_again_when_it_is_released_after_the_restart(broker, crash):
    one = broker("persistence true\npersistence_location {dir}\nacl_file {dir}/acl\n",
                 files={"acl": "topic readwrite t\n"})
    sub = stored(one, "sub")
    sub.subscribe("t", qos=2)
    pub = stored(one, "pub")
    pub.send(mw.publish("t", b"x", 2, 7))
    pub.expect("PUBREC", packet_id=7)
    one.write("acl", "topic read t\n")
    crash(one)
    sub = stored(one, "sub", session_present=True)
    pub = stored(one, "pub", session_present=True)
    pub.send(mw.pubrel(7))
    pub.expect("PUBCOMP", packet_id=7)
    sub.quiet()


def test_shared_subscriptions_come_back(broker, crash):
    one = broker(STORE)
    members = [stored(one, f"m{i}") for i in range(2)]
    for member in members:
        member.subscribe("$share/g/t", qos=1)
    crash(one)
    members = [stored(one, f"m{i}", session_present=True) for i in range(2)]
    pub = one.client("pub")
    for number in range(4):
        pub.publish("t", b"%d" % number, 1, packet_id=number + 1)
    got = [[member.receive("t").payload for _ in range(2)] for member in members]
    assert sorted(sum(got, [])) == [b"0", b"1", b"2", b"3"]


def test_what_a_member_of_a_group_never_got_goes_to_another_after_the_restart(broker, crash):
    one = broker(STORE)
    gone = stored(one, "gone", properties={"session_expiry_interval": 2})
    gone.subscribe("$share/g/t", qos=1)
    gone.close()
    one.client("pub").publish("t", b"x", 1, packet_id=1)
    stored(one, "other").subscribe("$share/g/t", qos=1)
    crash(one)
    stored(one, "other", session_present=True).receive("t", b"x", 1, timeout=20)


def test_large_payloads_come_back_whole(broker, crash):
    one = broker(STORE)
    sub = stored(one, "sub")
    sub.subscribe("t", qos=1)
    sub.close()
    payload = bytes(range(256)) * 2000
    one.client("pub").publish("t", payload, 1, packet_id=1)
    crash(one)
    stored(one, "sub", session_present=True).receive("t", payload, 1)


# ---- retained messages and wills


def test_F005_retained_messages_come_back(broker, crash):
    one = broker(STORE)
    pub = one.client("pub")
    pub.publish("r/kept", b"old", 1, packet_id=1, retain=True)
    pub.publish("r/kept", b"new", 2, packet_id=2, retain=True,
                properties={"content_type": "text/plain"})
    pub.publish("r/cleared", b"x", 1, packet_id=3, retain=True)
    pub.publish("r/cleared", b"", 1, packet_id=4, retain=True)
    crash(one)
    sub = one.client("sub")
    sub.subscribe("r/#", qos=2)
    got = sub.receive("r/kept", b"new", 2, retain=True)
    assert got.prop("content_type") == "text/plain"
    sub.quiet()


@pytest.mark.needs("nightjar", "native")
def test_L008_a_retained_message_of_a_deleted_user_is_not_served(broker, crash):
    acl = "topic readwrite r\n\nuser ann\ntopic readwrite r\n"
    settings = ("password_file {dir}/pw\nacl_file {dir}/acl\npersistence true\n"
                "persistence_location {dir}\n")
    one = broker(settings, files={"pw": passwords.file_text({"ann": "a"}), "acl": acl})
    ann = one.client("a", username="ann", password=b"a")
    ann.publish("r", b"secret", 1, packet_id=1, retain=True)
    one.write("acl", "topic read r\n")
    crash(one)
    sub = one.client("sub")
    sub.subscribe("r", qos=1)
    sub.quiet()


def test_retained_persistence_false_keeps_them_in_memory_only(broker, crash):
    one = broker(STORE + "retained_persistence false\n")
    one.client("pub").publish("r", b"x", 1, packet_id=1, retain=True)
    crash(one)
    sub = one.client("sub")
    sub.subscribe("r", qos=1)
    sub.quiet()


@pytest.mark.parametrize("expiry", [0, 1000])
def test_F005_a_will_fires_after_the_broker_was_killed(broker, expiry):
    one = broker(STORE)
    watcher = stored(one, "watcher")
    watcher.subscribe("w", qos=2)
    conn = one.client("c", clean=False, will=Will("w", b"gone", 2),
                      properties={"session_expiry_interval": expiry})
    conn.publish("r", b"x", 1, packet_id=1, retain=True)  # what came before it is durable, too
    one.kill()
    one.start()
    watcher = stored(one, "watcher", session_present=True)
    watcher.receive("w", b"gone", 2)
    one.kill()
    one.start()
    watcher = stored(one, "watcher", session_present=True)
    watcher.send(mw.pingreq())
    seen = watcher.drain(lambda packet: packet.name == "PINGRESP")
    assert not [packet for packet in seen if packet.name == "PUBLISH"]


def test_a_reconnect_cancels_a_delayed_will_across_the_restart(broker):
    one = broker(STORE)
    watcher = stored(one, "watcher")
    watcher.subscribe("w", qos=1)
    delayed = {"will_delay_interval": 2}
    one.client("back", clean=False, properties=KEEP, will=Will("w", b"back", 1, properties=delayed))
    one.client("away", clean=False, properties=KEEP, will=Will("w", b"away", 1, properties=delayed))
    one.kill()
    one.start()
    stored(one, "back", session_present=True)
    watcher = stored(one, "watcher", session_present=True)
    watcher.receive("w", b"away", 1, timeout=20)
    watcher.quiet()


# ---- the store itself


def test_a_store_that_cannot_be_opened_says_what_to_do(broker):
    one = broker(STORE.replace("{dir}", "{dir}/nowhere"), start=False)
    status, log = one.run()
    assert status == 1
    assert "nowhere" in log and "Set persistence_location" in log


@pytest.mark.needs("nightjar", "native")
@pytest.mark.skipif(Options.store is not None, reason="is given a store")
@pytest.mark.skipif(os.getuid() != 0, reason="needs an account to give up")
def test_who_did_not_ask_for_a_store_runs_where_none_can_be_written(broker):
    one = broker(start=False, has_config=False, args=["-p", "{port}"]).start()
    one.wait_log("Warning: the current directory cannot be written to: nothing is kept")
    one.wait_log("running")


def test_B281_a_second_broker_on_the_same_store_is_refused(broker):
    one = broker(STORE)
    conn = one.client("c")  # it listens before it has its store, so that ports fail first
    two = broker(STORE.replace("{dir}", str(one.dir)), start=False)
    status, log = two.run()
    assert status == 1 and f"in use by process {one.pid}" in log
    assert "Stop the other broker, or set persistence_location" in log
    conn.quiet()


def test_persistence_file_names_the_store(broker):
    one = broker(STORE + "persistence_file my.db\n")
    one.client("c").close()
    assert (one.dir / "my.db.store" / "data.mdb").exists()


def test_the_sqlite_module_stands_for_the_store(broker, crash):
    one = broker("acl_default allow\nplugin /usr/lib/mosquitto_persist_sqlite.so\n"
                 "plugin_opt_db_file {dir}/state/mosquitto.sqlite3\nplugin_opt_flush_period 5\n",
                 start=False)
    (one.dir / "state").mkdir()
    one.start()
    stored(one, "sub").subscribe("a", qos=1)
    assert (one.dir / "state" / "nightjar.store" / "data.mdb").exists()
    crash(one)
    stored(one, "sub", session_present=True)


def test_sys_says_what_the_store_is(broker):
    one = broker(STORE + "sys_interval 1\nacl_file {dir}/acl\n",
                 files={"acl": "topic readwrite #\ntopic read $SYS/#\n"})
    conn = one.client("c")
    conn.subscribe("$SYS/broker/nightjar/store/#", qos=0)  # matches its parent, too
    seen = {}
    while not {"", "/state", "/bytes", "/commits", "/rows", "/waiting"} <= set(seen):
        packet = conn.expect("PUBLISH")
        seen[packet.topic.removeprefix("$SYS/broker/nightjar/store")] = packet.payload
    assert seen["/state"] == b"good" and int(seen["/bytes"]) > 0


def test_durability_interval_and_memory_survive_a_clean_stop(broker):
    for mode in ("interval 60000", "memory"):
        one = broker(STORE + f"durability {mode}\n")
        stored(one, "sub").subscribe("t", qos=1)
        began = time.monotonic()
        for number in range(20):
            one.client("pub").publish("t", b"%d" % number, 1, packet_id=1)
        assert time.monotonic() - began < 30  # and not one interval each
        one.stop()
        one.start()
        sub = stored(one, "sub", session_present=True)
        for number in range(20):
            sub.receive("t", b"%d" % number, 1)


def test_the_log_says_what_was_loaded(broker, crash):
    one = broker(STORE)
    stored(one, "sub").subscribe("a", qos=1)
    one.client("pub").publish("r", b"x", 1, packet_id=1, retain=True)
    mark = one.mark()
    crash(one)
    one.wait_log(r"Loaded 1 sessions, 1 subscriptions, 1 retained messages and 0 wills", mark)


# ---- whose session it is (security ledger: owners)

SITES = {
    "a": "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {dir}/a\n",
    "b": "listener {port2} 127.0.0.1\nallow_anonymous false\npassword_file {dir}/b\n",
}


def sites(order):
    return f"per_listener_settings true\n{STORE}" + "".join(SITES[name] for name in order)


def ask(one, port, password, client_id="dev"):
    conn = one.conn(port=port)
    conn.send(mw.connect(client_id, clean=False, username="alice", password=password,
                         properties=KEEP))
    return conn.expect("CONNACK")


@pytest.mark.needs("native")  # sessions have no owner in compat mode
def test_an_owner_is_known_whatever_the_order_of_listeners(broker, crash):
    """The alice of one listener is not the alice of another, also when they change places."""
    one = broker(sites("ab"), listener=False, anonymous=False,
                 files={"a": passwords.file_text({"alice": "a"}),
                        "b": passwords.file_text({"alice": "b"})})
    assert ask(one, "port", "a").reason == 0
    assert ask(one, "port2", "b").reason == 0x87
    crash(one, sites("ba"))
    assert ask(one, "port2", "b").reason == 0x87
    back = ask(one, "port", "a")
    assert back.reason == 0 and back.session_present


@pytest.mark.needs("native")
def test_a_session_of_a_listener_that_is_gone_blocks_nobody_and_goes_to_nobody(broker, crash):
    one = broker(sites("ab"), listener=False, anonymous=False,
                 files={"a": passwords.file_text({"alice": "a"}),
                        "b": passwords.file_text({"alice": "b"})})
    assert ask(one, "port2", "b").reason == 0
    crash(one, sites("a"))
    fresh = ask(one, "port", "a")
    assert fresh.reason == 0 and not fresh.session_present


@pytest.mark.needs("native")
def test_a_listener_that_moves_takes_nothing_with_it(broker, crash):
    """What its users retained is not served without it, and again when it is back."""
    one = broker(sites("ab"), listener=False, anonymous=False,
                 files={"a": passwords.file_text({"alice": "a"}),
                        "b": passwords.file_text({"alice": "b"})})
    sender = stored(one, "dev", port="port2", username="alice", password=b"b")
    sender.publish("r", b"x", 1, retain=True)
    moved = sites("a") + SITES["b"].replace("{port2}", "{port3}")
    crash(one, moved)
    assert not ask(one, "port3", "b").session_present
    for settings, is_served in ((moved, False), (sites("ab"), True)):
        one.stop()
        one.write_config(settings)
        one.start()
        reader = one.client("reader", username="alice", password=b"a")
        reader.send(mw.subscribe(1, "r"), mw.pingreq())
        seen = [p.name for p in reader.drain(lambda p: p.name == "PINGRESP")]
        assert ("PUBLISH" in seen) == is_served
        reader.close()


def test_a_user_is_the_same_on_every_listener_that_shares_its_settings(broker, crash):
    """Without per_listener_settings; the second listener was taken for another owner's."""
    one = broker(STORE + "listener {port2} 127.0.0.1\nallow_anonymous false\n"
                 "password_file {dir}/a\n", anonymous=False,
                 files={"a": passwords.file_text({"alice": "a"})})
    assert ask(one, "port", "a").reason == 0
    assert ask(one, "port2", "a").session_present
    crash(one)
    assert ask(one, "port", "a").session_present


@pytest.mark.skipif(not shutil.which("mosquitto_sub"), reason="no mosquitto_sub")
def test_mosquitto_sub_c_gets_everything_after_the_restart(broker, crash):
    one = broker(STORE)
    common = ["-h", "127.0.0.1", "-p", str(one.ports["port"])]
    subscribe = ["mosquitto_sub", *common, "-i", "c", "-c", "-q", "1", "-t", "t/#"]
    subprocess.run([*subscribe, "-E"], check=True, timeout=20)
    for number in range(3):
        subprocess.run(["mosquitto_pub", *common, "-q", "1", "-t", f"t/{number}", "-m", "x"],
                       check=True, timeout=20)
    crash(one)
    out = subprocess.run([*subscribe, "-C", "3", "-W", "20", "-v"], check=True, timeout=30,
                         capture_output=True, text=True)
    assert out.stdout == "t/0 x\nt/1 x\nt/2 x\n"


# ---- kill -9 under load (./dev soak kill runs a thousand of these)


def test_F001_rounds_of_kill_9_under_load():
    rounds = Rounds(seed=20)
    try:
        rounds.prepare()
        for number in range(1, 4):
            assert not rounds.round(number)
    finally:
        rounds.close()


# ---- the end at a chosen point (./dev soak crash goes through all of them, several times each)

POINTS = ["claim", "joint-part", "handover-counted", "answer", "blob-written", "commit", "committed"]


def test_F001_the_process_ends_at_points_around_what_is_made_durable():
    if b"NIGHTJAR_CRASH" not in pathlib.Path(Options.binary).read_bytes():
        pytest.skip("built without crash_points")
    assert set(POINTS) <= set(crash_points.points())
    crashes = crash_points.Crashes(seed=3)
    try:
        crashes.prepare()
        for point in POINTS:
            reached, problems = crashes.crash(point, 2, seconds=2)
            assert reached and not problems, (point, problems)
    finally:
        crashes.close()


# ---- large backlogs (./dev soak backlog has ten million messages)


def test_a_backlog_for_sessions_that_are_away():
    case = backlog.Case(Options.binary, None, 20_000, 3)
    try:
        case.run_drain()
    finally:
        case.broker.remove()
