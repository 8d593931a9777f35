"""`nj store` and mosquitto_db_dump: looking at, checking, copying and importing what is on disk.

tests/support/mosquitto_db/debian-2.0.11.db was written by Debian's mosquitto 2.0.11: sessions of
MQTT 5 and 3.1.1, one message for two queues, three in flight in the three states, one incoming of
QoS 2, and two retained."""
import base64
import json
import os
import pathlib
import re
import shutil

import pytest

import mqttwire as mw
import passwords
from mqttwire import V5, V311
from toolbox import Tools

pytestmark = pytest.mark.needs("nightjar")

SAMPLE = pathlib.Path(__file__).resolve().parent.parent / "support/mosquitto_db/debian-2.0.11.db"
CONFIG = "acl_default allow\npersistence true\npersistence_location {dir}\n"
TOOLS = Tools("native")


def store(*args):
    return TOOLS.run("store", *args)


def records(directory):
    lines = store("dump", directory).expect().out.decode().splitlines()
    return [json.loads(line) for line in lines]


def of_table(all_records, table):
    return [record for record in all_records if record["table"] == table]


def directory_of(one):
    one.client("waits-for-the-start").close()
    found = list(one.dir.glob("*.store"))
    assert len(found) == 1, found
    return found[0]


# ---- import


def test_import_takes_everything_over(tmp_path):
    into = tmp_path / "new"
    store("import", into, SAMPLE).expect(out="4 sessions, 4 subscriptions, 3 messages queued, 3 in "
                                             "flight, 1 incoming, 2 retained; 0 left out (expired, "
                                             "or without what they refer to)\n")
    store("check", into).expect()
    got = records(into)
    owners = {record["clientId"]: record["owner"] for record in of_table(got, "session")}
    assert set(owners) == {"away-5", "away-311", "flight", "incoming"}
    subs = {(s["owner"], s["filter"]): s for s in of_table(got, "subscription")}
    mine = subs[owners["away-5"], "q/#"]
    assert mine["qos"] == 2 and mine["subscriptionId"] == 77
    assert mine["noLocal"] and mine["retainAsPublished"]
    states = [(row["state"], row["qos"], row.get("packetId"))
              for row in of_table(got, "row") if row["owner"] == owners["flight"]]
    assert states == [("sent", 1, 1), ("sent", 2, 2), ("released", 2, 3)]
    assert {r["topic"] for r in of_table(got, "retained")} == {"ret/1", "ret/2"}
    assert of_table(got, "incoming")[0]["packetId"] == 7
    store("import", into, SAMPLE).expect(1)  # only once


def test_a_broker_goes_on_where_mosquitto_stopped(broker, tmp_path):
    users = {name: "x" for name in ("ann", "bob", "fay", "ina")}
    one = broker(CONFIG + "password_file {dir}/pw\nallow_anonymous true\n", anonymous=False,
                 files={"pw": passwords.file_text(users)})
    into = directory_of(one)
    one.stop()
    shutil.rmtree(into)
    store("import", into, SAMPLE).expect()
    one.start()
    flight = one.client("flight", V311, clean=False, username="fay", password="x",
                        session_present=True)
    flight.expect("PUBLISH", packet_id=1, topic="f/1", qos=1, dup=True)
    flight.expect("PUBLISH", packet_id=2, topic="f/2", qos=2, dup=True)
    flight.expect("PUBREL", packet_id=3)
    away = one.client("away-5", V5, clean=False, username="ann", password="x",
                      session_present=True,
                      properties={"session_expiry_interval": 1000})
    got = away.receive("q/1", b"one", 1)
    assert got.prop("subscription_identifier") == 77
    assert got.prop("content_type") == "text/plain"
    away.receive("q/2", b"two", 2)
    incoming = one.client("incoming", V311, clean=False, username="ina", password="x",
                          session_present=True)
    incoming.send(mw.pubrel(7, V311))
    incoming.expect("PUBCOMP", packet_id=7)
    away.receive("q/3", b"inc", 2)
    reader = one.client("reader")
    reader.subscribe("ret/#")
    reader.receive(retain=True)
    reader.receive(retain=True)


@pytest.mark.parametrize("cut", [1, 20, 100, 500, 1380])
def test_import_refuses_damaged_files_and_writes_nothing(tmp_path, cut):
    bad = tmp_path / "bad.db"
    bad.write_bytes(SAMPLE.read_bytes()[:cut])
    store("import", tmp_path / "new", bad).expect(1)
    assert not (tmp_path / "new").exists()


def test_db_dump_prints_chunks_in_the_original_words():
    done = Tools("compat").run("db_dump", SAMPLE).expect()
    text = done.out.decode()
    assert text.startswith("Mosquitto DB dump\nCRC: 0\nDB version: 6\nDB_CHUNK_CFG:\n\tLength: 16\n")
    assert text.count("DB_CHUNK_MSG_STORE:") == 8 and text.count("DB_CHUNK_CLIENT:") == 4
    assert "\tClient ID: flight\n" in text
    Tools("compat").run("db_dump", "--stats", SAMPLE).expect(out="""\
DB_CHUNK_CFG:        1
DB_CHUNK_MSG_STORE:  8
DB_CHUNK_CLIENT_MSG: 7
DB_CHUNK_RETAIN:     2
DB_CHUNK_SUB:        4
DB_CHUNK_CLIENT:     4
""")


def test_db_dump_as_json():
    told = json.loads(Tools("compat").run("db_dump", "--json", SAMPLE).expect(err="").out)
    assert {key: len(rows) for key, rows in told.items()} == {
        "base-messages": 8, "clients": 4, "client-messages": 7, "retained-messages": 2,
        "subscriptions": 4}
    by_id = {message["storeid"]: message for message in told["base-messages"]}
    for row in told["client-messages"] + told["retained-messages"]:
        assert row["storeid"] in by_id
    assert set(told["clients"][0]) == {"clientid", "username", "last-mid", "listener-port",
                                       "session-expiry-time", "session-expiry-interval"}
    assert {client["clientid"] for client in told["clients"]} >= {
        row["clientid"] for row in told["subscriptions"]}
    text = Tools("compat").run("db_dump", SAMPLE).expect().out.decode()
    for message in by_id.values():
        payload = base64.b64decode(message.get("payload", ""))
        assert f"\tTopic: {message['topic']}\n" in text
        assert f"\tPayload Length: {len(payload)}\n" in text
    Tools("compat").run("db_dump", "--jsn", SAMPLE).expect(1, "", re.compile("Unknown option '--jsn'"))


@pytest.mark.parametrize("cut", [1, 20, 100, 500, 1380])
def test_db_dump_as_json_of_a_damaged_file(tmp_path, cut):
    bad = tmp_path / "bad.db"
    bad.write_bytes(SAMPLE.read_bytes()[:cut])
    Tools("compat").run("db_dump", "--json", bad).expect(1, "")


# ---- beside a running broker


def test_backup_stats_check_and_dump_while_it_runs(broker, tmp_path):
    one = broker(CONFIG)
    sub = one.client("sub", V5, clean=False, properties={"session_expiry_interval": 1000})
    sub.subscribe([("t/#", 1)])
    sub.disconnect()
    pub = one.client("pub")
    for number in range(200):
        pub.publish(f"t/{number}", b"x" * 50, 1, packet_id=number + 1)
    pub.publish("t/big", b"y" * 200000, 1, packet_id=300)
    pub.publish("kept", b"k", 1, packet_id=301, retain=True)
    source = directory_of(one)
    assert b"in use                  yes" in store("stats", source).expect().out
    store("check", source).expect()
    store("backup", source, tmp_path / "copy").expect()
    store("check", tmp_path / "copy").expect()
    store("backup", source, tmp_path / "copy").expect(1)  # never over something
    store("compact", source).expect(1)  # not beside a broker
    got = records(tmp_path / "copy")
    rows = of_table(got, "row") + [r for page in of_table(got, "page") for r in page["rows"]]
    assert len(rows) == 201
    one.stop()
    before = sum(f.stat().st_size for f in source.glob("data.mdb"))
    store("compact", source).expect()
    assert sum(f.stat().st_size for f in source.glob("data.mdb")) <= before
    # The copy is as good as the original.
    shutil.rmtree(source)
    shutil.copytree(tmp_path / "copy", source)
    one.start()
    sub = one.client("sub", V5, clean=False, session_present=True,
                     properties={"session_expiry_interval": 1000})
    for number in range(200):
        sub.receive(f"t/{number}", b"x" * 50, 1)
    sub.receive("t/big", b"y" * 200000, 1)


@pytest.mark.parametrize("words", [["check"], ["stats"], ["dump"], ["backup", "copy"], ["compact"]])
def test_a_mistyped_name_makes_nothing(tmp_path, words):
    no_store = tmp_path / "mistyped"
    done = store(words[0], no_store, *(tmp_path / word for word in words[1:])).expect(1)
    assert done.err.startswith(b"Error: ") and b"No such file or directory" in done.err
    assert list(tmp_path.iterdir()) == []


def test_check_finds_damage(tmp_path):
    into = tmp_path / "new"
    store("import", into, SAMPLE).expect()
    store("compact", into).expect()  # so that every page counts
    data = bytearray((into / "data.mdb").read_bytes())
    at = data.index(b"flying two")
    data[at] ^= 1
    (into / "data.mdb").write_bytes(data)
    done = store("check", into).expect(2)
    assert b"damaged records" in done.out
    data[at] ^= 1
    data[3 * 4096:4 * 4096] = bytes(4096)
    (into / "data.mdb").write_bytes(data)
    store("check", into).expect(2)


@pytest.mark.parametrize("pages", [1, 2, 5, 8])
def test_damage_is_found_before_it_can_end_the_process(tmp_path, pages):
    """LMDB reads behind the end of a file that was cut, and dies there."""
    into = tmp_path / "new"
    store("import", into, SAMPLE).expect()
    data = (into / "data.mdb").read_bytes()
    assert len(data) > 9 * 4096
    (into / "data.mdb").write_bytes(data[:pages * 4096 + 100])
    store("check", into).expect(2)
    for words in ["stats", into], ["dump", into], ["backup", into, tmp_path / "copy"], ["compact", into]:
        assert b"the database is damaged" in store(*words).expect(1).err


def test_a_damaged_store_is_set_aside_and_the_broker_starts(broker):
    one = broker(CONFIG)
    source = directory_of(one)
    one.stop()
    shutil.rmtree(source)
    source.mkdir(mode=0o700)
    (source / "data.mdb").write_bytes(os.urandom(40960))
    one.start()
    assert one.wait_log("was damaged")
    assert list(source.glob("damaged-*/data.mdb"))
    one.client("works").publish("a", b"b", 1)
    one.expect_error("was damaged")
