"""Dynamic security against those who hold some rights and want more (ledger 2.1, B-290 – B-297)."""
import json

import pytest

import dynsec
import mqttwire as mw
from dynsec import API, TYPES, Dynsec, acl, client, login, role
from scenes import settle

pytestmark = pytest.mark.needs("nightjar")

SLOW = 25  # passwords of a request that takes half a second or more to hash


@pytest.fixture
def one(broker):
    return dynsec.start(broker, clients=[client("second", "admin")])


def creations(count, **more):
    return json.dumps({"commands": [{"command": "createClient", "username": f"c{i}",
                                     "password": "p", **more} for i in range(count)]})


@pytest.mark.parametrize("change", [
    {"command": "disableClient"}, {"command": "setClientPassword", "password": "other"},
    {"command": "setClientId", "clientid": "elsewhere"}, {"command": "deleteClient"}],
    ids=lambda c: c["command"])
def test_B296_who_was_sent_away_gets_nothing_done_any_more(one, change):
    """Its request waits for passwords to be hashed; meanwhile its account is taken from it. The
    answer to that means: from now on it has no rights at all."""
    second, adm = Dynsec(one, "second"), Dynsec(one)
    second.admin.send(API, creations(SLOW))
    second.admin.conn.expect("PUBACK")
    adm.do(change["command"], username="second", **{k: v for k, v in change.items()
                                                    if k != "command"})
    one.wait_log(f"username=c{SLOW - 1}.*: (done|Not authorised)", timeout=120)
    clients = adm.do("listClients")["clients"]
    assert not [name for name in clients if name.startswith("c")]


def test_a_crowd_of_administrators_does_not_pile_up_passwords(one):
    """64 requests may wait to be hashed; the next one is refused, and asked again it is not lost."""
    conns = [Dynsec(one) for _ in range(65)]
    for adm in conns[:64]:
        adm.admin.send(API, creations(50))
    for adm in conns[:64]:
        adm.admin.conn.expect("PUBACK")  # it is at the door
    refused = conns[64].batch({"command": "createClient", "username": "x", "password": "p"})
    assert [a["code"] for a in refused] == [7]
    assert conns[64].do("listClients")["totalCount"] >= 3  # what needs no hash is answered


def test_a_listener_without_rules_is_no_way_around_those_of_another(broker):
    """Compat mode without an ACL allows everything, but not to administer the other listener."""
    one = broker("per_listener_settings true\n"
                 "listener {port} 127.0.0.1\nallow_anonymous false\n"
                 "dynamic_security {dir}/ds.json\n"
                 "listener {port2} 127.0.0.1\nallow_anonymous true\n",
                 mode="compat", listener=False, anonymous=False, files={"ds.json": dynsec.text()})
    stranger = one.conn(port="port2")
    stranger.send(mw.connect("stranger"))
    assert stranger.expect("CONNACK").reason == 0
    stranger.send(mw.publish("$CONTROL/dynamic-security/v1", json.dumps({"commands": [
        {"command": "createClient", "username": "mine", "password": "p"}]}).encode(), qos=1))
    assert stranger.expect("PUBACK").reason == 0x87
    assert "mine" not in Dynsec(one).do("listClients")["clients"]


@pytest.mark.parametrize("name, words", [
    ("ds.json", "ds.json cannot be read"), ("ds.json.journal", "ds.json.journal cannot be read")])
def test_B281_what_cannot_be_read_ends_the_start(one, name, words):
    one.stop()
    (one.dir / name).unlink(missing_ok=True)
    (one.dir / name).mkdir()
    one.expect_error(words)
    status, log = one.run()
    assert status == 3 and words in log, log


def test_a_recovery_without_a_good_copy_says_so(one):
    one.stop()
    for name in ("ds.json", "ds.json.last"):
        one.write(name, "{")
    one.args = ["--recover"]
    one.expect_error("there is no good copy")
    status, log = one.run()
    assert status == 3 and "no good copy" in log, log


# ---- topics beside the one that counts

NEAR = role("near", *(acl(t, topic) for t in TYPES for topic in (
    "#", "+/dynamic-security/v1", "+/#", "%u/dynamic-security/v1",
    f"$CONTROL/{API}/response", f"$CONTROL/{API}/event", f"$CONTROL/{API}/x",
    "$CONTROL/dynamic-security", f"$control/{API}", f"$CONTROL/{API} ")))


def test_B291_rights_to_everything_but_the_topic_itself_do_nothing(broker):
    one = dynsec.start(broker, clients=[client("near", "near"), client("$CONTROL", "near")],
                       roles=[NEAR], defaultACLAccess={t: True for t in (
                           "publishClientSend", "publishClientReceive", "subscribe",
                           "unsubscribe")})
    adm = Dynsec(one)
    for name in ("near", "$CONTROL"):
        conn = login(one, name)
        conn.publish(f"$CONTROL/{API}", creations(1).replace("c0", name + "-made").encode(), 1,
                     reason=0x87)
        conn.subscribe(f"$CONTROL/{API}", reasons=[0x87])
        for topic in (f"$CONTROL/{API}/x", "$CONTROL/dynamic-security", f"$CONTROL/{API} "):
            conn.send(mw.publish(topic, creations(1).encode(), 1, 9, properties=[
                ("response_topic", "t/x")]))
            conn.expect("PUBACK", packet_id=9)
            assert json.loads(conn.expect("PUBLISH", topic="t/x").payload) == {
                "error": "endpoint not available"}
    assert adm.do("listClients")["totalCount"] == 4


def test_L039_nobody_speaks_in_the_brokers_name(broker):
    """Who may publish to the topics of answers and events reaches nobody by it."""
    one = dynsec.start(broker, clients=[client("near", "near")], roles=[NEAR])
    watcher = login(one, "admin")
    watcher.subscribe([(f"$CONTROL/{API}/response", 0), (f"$CONTROL/{API}/event", 0)])
    near = login(one, "near")
    for topic in ("response", "event"):
        for retain in (False, True):
            near.publish(f"$CONTROL/{API}/{topic}", b'{"responses":[]}', 1, retain=retain)
    Dynsec(one).do("createRole", rolename="last")
    assert json.loads(watcher.expect("PUBLISH").payload)["by"] == "admin"
    late = login(one, "admin")
    late.subscribe([(f"$CONTROL/{API}/response", 0), (f"$CONTROL/{API}/event", 0)])
    late.quiet()


def test_who_may_one_api_may_not_another(broker):
    one = dynsec.start(broker, clients=[client("half", "half")], defaultACLAccess={}, roles=[role(
        "half", acl(TYPES[0], "$CONTROL/nightjar/v1"), acl(TYPES[0], "$CONTROL/broker/#"))])
    half = Dynsec(one, "half")
    for api in (API, "cedalo/inspect/v1", "cedalo/client-control/v1",
                "certificate-management/v1"):
        half.admin.conn.publish(f"$CONTROL/{api}", b'{"commands":[]}', 1, reason=0x87)
    assert half.admin.data("nightjar/v1", "getStatus")
    for command, fields, text in (("deleteRetained", {"topic": "a"}, "may not publish"),
                                  ("reload", {}, None)):
        answer = half.admin.ask("nightjar/v1", command, **fields)
        assert text is None or text in answer["error"]
    login(one, "root").publish("secret", b"s", 1, retain=True)
    assert half.admin.data("nightjar/v1", "listRetained", payload=True)["retained"] == []


# ---- one's own branch

@pytest.mark.parametrize("atomic", [False, True])
def test_B296_nobody_deletes_himself_in_a_batch(one, atomic):
    adm = Dynsec(one)
    role_commands = [{"command": "createRole", "rolename": name} for name in ("r1", "r2")]
    for own in ({"command": "deleteClient", "username": "admin"},
                {"command": "modifyRole", "rolename": "admin", "acls": []},
                {"command": "addClientRole", "username": "admin", "rolename": "no-control",
                 "priority": 9}):
        batch = [{"command": "createRole", "rolename": "no-control", "acls": [
            acl(TYPES[0], "$CONTROL/#", False)]}, role_commands[0], own, role_commands[1]]
        answers = adm.batch(*batch, atomic=atomic)
        assert [a.get("code") for a in answers] == ([10, 10, 5, 10] if atomic else
                                                    [None, None, 5, None])
        roles = adm.do("listRoles")["roles"]
        assert ("r1" in roles) != atomic and ("r2" in roles) != atomic
        if not atomic:
            adm.batch(*({"command": "deleteRole", "rolename": r}
                        for r in ("no-control", "r1", "r2")))


# ---- names and correlation data

@pytest.mark.parametrize("name", [
    "x" * 65535, "\u00e9" * 32767, "\U0010fffd", "\u202euser", "\u200b", " ", "%s%n%x", "../../x",
    "__proto__", "a\"b\\c", "admin ", "Admin", "\ufeffadmin", "e\u0301", "$CONTROL", "#", "+/+"],
                         ids=lambda name: ascii(name[:9]))
def test_B292_odd_names_are_names_and_nobody_elses(one, name):
    adm = Dynsec(one)
    for kind, key in (("Client", "username"), ("Group", "groupname"), ("Role", "rolename")):
        adm.do(f"create{kind}", **{key: name})
        assert adm.do(f"get{kind}", **{key: name})[kind.lower()][key] == name
    adm.do("addClientRole", username=name, rolename=name)
    adm.do("addGroupClient", username=name, groupname=name)
    assert [r["rolename"] for r in adm.do("getClient", username="admin")["client"]["roles"]] == \
        ["admin"]
    content = dynsec.wait_file(one, lambda c: any(g["groupname"] == name for g in c["groups"]))
    assert name in [c["username"] for c in content["clients"]]
    one.kill()
    one.start()
    assert name in Dynsec(one).do("listClients")["clients"]


@pytest.mark.parametrize("name", ["x" * 65536, "a\nb", "\x7f", "\x1b[2J", "\uffff", "\ufdd0"],
                         ids=lambda name: ascii(name[:9]))
def test_B292_what_is_no_name_is_refused(one, name):
    adm = Dynsec(one)
    before = adm.do("exportConfig")
    for kind, key in (("Client", "username"), ("Group", "groupname"), ("Role", "rolename")):
        adm.bad(f"create{kind}", **{key: name})
        adm.bad(f"get{kind}", **{key: name})
    adm.bad("createClient", username="good", clientid=name)
    assert adm.do("exportConfig") == before


def test_control_characters_of_compat_do_not_reach_the_log(broker):
    one = dynsec.start(broker, mode="compat", extra="enable_control_api true\n")
    adm = Dynsec(one)
    adm.do("createClient", username="a\x1b[2Jb\nforged: line", textname="\x1b[31m",
           password="pw")
    assert "\x1b" not in one.log_text() and "\nforged" not in one.log_text()


def test_B290_correlation_data_comes_back_byte_by_byte(one):
    adm = Dynsec(one)
    for data in ("", "x" * 200000, "\n\x1b\u202e\"\\", "\U0001f600" * 100):
        answer = adm.batch({"command": "getDetails", "correlationData": data})[0]
        assert answer["correlationData"] == data
    raw = bytes(range(256)) * 255
    assert adm.admin.send(API, '{"commands":[{"command":"getDetails"}]}', correlation=raw) == raw
    adm.admin.reply(API, raw)


def test_an_empty_response_topic_asks_for_no_private_answer(one):
    adm = Dynsec(one)
    adm.admin.send(API, '{"commands":[{"command":"getDetails"}]}', response_topic="")
    packet = adm.admin.conn.packet()
    assert packet.name == "DISCONNECT" and packet.reason in (0x81, 0x82, 0x90)


# ---- secrets

@pytest.mark.parametrize("mode", ["native", "compat"])
def test_passwords_are_nowhere_but_in_hashes(broker, mode):
    """Of good requests and of bad ones, with everything logged, and after a kill."""
    one = dynsec.start(broker, mode=mode, extra="log_type all\nenable_control_api true\n")
    watcher = login(one, "root")
    watcher.subscribe([("#", 0)])
    admins = login(one, "admin")
    admins.subscribe([(f"$CONTROL/{API}/response", 0), (f"$CONTROL/{API}/event", 0)])
    adm = Dynsec(one)
    adm.do("createClient", username="c1", password="geheim-1")
    secret = adm.do("createClient", username="c2", generatePassword=True)["password"]
    adm.do("setClientPassword", username="c1", password="geheim-2")
    adm.do("modifyClient", username="c1", password="geheim-3")
    adm.bad("createClient", username=5, password="geheim-4")
    adm.bad("createClient", username="c3", password={"x": "geheim-5"})
    adm.bad("createClient", username="c3", password="geheim-6", generatePassword=True)
    adm.bad("setClientPassword", username="nobody", password="geheim-7")
    adm.admin.raw(API, '{"commands":[{"command":"createClient","password":"geheim-8"')
    again = adm.batch({"command": "setClientPassword", "username": "c2", "generatePassword": True},
                      {"command": "getRole", "rolename": "no"}, atomic=True)
    assert "data" not in again[0]
    settle(login(one, "root"), watcher)
    admins.send(mw.pingreq())
    seen = b""
    while (packet := admins.packet()).name == "PUBLISH":
        seen += packet.payload
    one.kill()
    one.start()
    kept = [seen, one.log_text().encode()]
    kept += [path.read_bytes() for path in one.dir.rglob("*") if path.is_file()]
    for text in kept:
        assert b"geheim-" not in text and secret.encode() not in text
