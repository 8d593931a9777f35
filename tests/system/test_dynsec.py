"""Dynamic security: commands, what they do to who is there, and what survives (ledger 2.1, 2.3, catalogue B-290 – B-297)."""
import json

import pytest

import dynsec
import mqttwire as mw
from dynsec import API, Dynsec, acl, client, login, role
from dynsec_load import DynsecLoad

from scenes import settle

pytestmark = pytest.mark.needs("nightjar")

READ = role("read", acl("publishClientReceive", "t/#"), acl("subscribePattern", "t/#"))
WRITE = role("write", acl("publishClientSend", "t/#"))


@pytest.fixture
def one(broker):
    return dynsec.start(broker, clients=[client("a"), client("b")], roles=[READ, WRITE],
                        groups=[{"groupname": "g", "roles": []}])


@pytest.fixture
def adm(one):
    return Dynsec(one)


# ---- every command, right and wrong

@pytest.fixture
def table(shared_broker):
    return Dynsec(dynsec.start(shared_broker))


def test_C2_a_life_of_clients_groups_and_roles(adm):
    assert adm.do("getDetails") == {"clientCount": 4, "groupCount": 1, "roleCount": 5,
                                    "changeIndex": 0}
    adm.do("createRole", rolename="r", textname="n", textdescription="d", allowwildcardsubs=False,
           acls=[acl("publishClientSend", "x/%u", True, 3)])
    adm.do("addRoleACL", rolename="r", acltype="subscribeLiteral", topic="#", allow=True)
    adm.do("addRoleACL", rolename="r", acltype="publishClientSend", topic="y", priority=9)
    assert adm.do("getRole", rolename="r")["role"] == {
        "rolename": "r", "textname": "n", "textdescription": "d", "allowwildcardsubs": False,
        "acls": [acl("publishClientSend", "y", False, 9),
                 acl("publishClientSend", "x/%u", True, 3), acl("subscribeLiteral", "#")]}
    adm.do("removeRoleACL", rolename="r", acltype="publishClientSend", topic="y")
    adm.do("modifyRole", rolename="r", textname="m", allowwildcardsubs=True)
    assert adm.do("getRole", rolename="r")["role"]["textname"] == "m"
    adm.do("createGroup", groupname="h", textname="n", roles=[{"rolename": "r", "priority": 4}])
    adm.do("addGroupRole", groupname="h", rolename="read")
    adm.do("createClient", username="c", password="x", clientid="i", textname="n",
           textdescription="d", roles=[{"rolename": "read", "priority": -5}, {"rolename": "r"}],
           groups=[{"groupname": "h", "priority": 2}])
    adm.do("addClientRole", username="c", rolename="write", priority=7)
    adm.do("addGroupClient", groupname="g", username="c")
    assert adm.do("getClient", username="c")["client"] == {
        "username": "c", "clientid": "i", "textname": "n", "textdescription": "d",
        "roles": [{"rolename": "write", "priority": 7}, {"rolename": "r"},
                  {"rolename": "read", "priority": -5}],
        "groups": [{"groupname": "h", "priority": 2}, {"groupname": "g"}], "connections": []}
    assert adm.do("getGroup", groupname="h")["group"] == {
        "groupname": "h", "textname": "n",
        "roles": [{"rolename": "r", "priority": 4}, {"rolename": "read"}],
        "clients": [{"username": "c", "priority": 2}]}
    adm.do("disableClient", username="c")
    assert adm.do("getClient", username="c")["client"]["disabled"] is True
    adm.do("enableClient", username="c")
    adm.do("setClientId", username="c", clientid="j")
    assert adm.do("getClient", username="c")["client"]["clientid"] == "j"
    adm.do("setClientId", username="c")
    adm.do("modifyClient", username="c", roles=[], groups=[{"groupname": "g"}], textname="")
    shown = adm.do("getClient", username="c")["client"]
    assert shown["roles"] == [] and shown["groups"] == [{"groupname": "g"}]
    assert "clientid" not in shown and shown["textname"] == ""
    adm.do("modifyGroup", groupname="g", roles=[{"rolename": "r"}],
           clients=[{"username": "a", "priority": 1}, {"username": "b"}])
    assert [m["username"] for m in adm.do("getGroup", groupname="g")["group"]["clients"]] == \
        ["a", "b"]
    assert adm.do("getClient", username="c")["client"]["groups"] == []
    adm.do("removeGroupClient", groupname="g", username="a")
    adm.do("removeGroupRole", groupname="g", rolename="r")
    adm.do("removeClientRole", username="c", rolename="r")
    adm.do("setAnonymousGroup", groupname="g")
    assert adm.do("getAnonymousGroup") == {"group": {"groupname": "g"}}
    adm.do("setDefaultACLAccess", acls=[{"acltype": "subscribe", "allow": True}])
    assert {"acltype": "subscribe", "allow": True} in adm.do("getDefaultACLAccess")["acls"]
    adm.do("deleteRole", rolename="r")
    assert adm.do("getGroup", groupname="h")["group"]["roles"] == [{"rolename": "read"}]
    adm.do("createRole", rolename="r")  # another one: nobody has it
    assert adm.do("getGroup", groupname="h")["group"]["roles"] == [{"rolename": "read"}]
    adm.do("deleteGroup", groupname="h")
    adm.do("deleteClient", username="c")
    details = adm.do("getDetails")
    assert (details["clientCount"], details["groupCount"], details["roleCount"]) == (4, 1, 6)
    assert details["changeIndex"] == 24


NAMES = [("username", "createClient deleteClient getClient enableClient disableClient "
                      "modifyClient setClientId setClientPassword addClientRole removeClientRole"),
         ("groupname", "createGroup deleteGroup getGroup modifyGroup addGroupRole removeGroupRole "
                       "addGroupClient removeGroupClient setAnonymousGroup"),
         ("rolename", "createRole deleteRole getRole modifyRole addRoleACL removeRoleACL")]


@pytest.mark.parametrize("key,commands", NAMES, ids=[n[0] for n in NAMES])
def test_C3_B292_names_are_checked(table, key, commands):
    for command in commands.split():
        assert table.bad(command) == f"Invalid/missing {key}", command
        for value in (5, None, True, ["x"], {"x": 1}):
            assert table.bad(command, **{key: value}) == f"Invalid/missing {key}", command
        assert table.bad(command, **{key: ""}) == f"Empty {key}", command
        assert "not valid UTF-8" in table.bad(command, **{key: "a\uffff", "password": "x",
                                              **REST.get(command, {})}), command
        assert "not valid UTF-8" in table.bad(command, **{key: "a\nb", "password": "x",
                                              **REST.get(command, {})}), command


REST = {"addClientRole": {"rolename": "r"}, "removeClientRole": {"rolename": "r"},
        "addGroupRole": {"rolename": "r"}, "removeGroupRole": {"rolename": "r"},
        "addGroupClient": {"username": "root"}, "removeGroupClient": {"username": "root"},
        "addRoleACL": {"acltype": "publishClientSend", "topic": "t"},
        "removeRoleACL": {"acltype": "publishClientSend", "topic": "t"}}

WRONG = [
    ("createClient", {"username": "root"}, "Client already exists"),
    ("createGroup", {"groupname": "dup"}, "Group already exists"),
    ("createRole", {"rolename": "root"}, "Role already exists"),
    ("deleteClient", {"username": "no"}, "Client not found"),
    ("getClient", {"username": "no"}, "Client not found"),
    ("modifyClient", {"username": "no"}, "Client not found"),
    ("enableClient", {"username": "no"}, "Client not found"),
    ("setClientPassword", {"username": "no", "password": "x"}, "Client not found"),
    ("deleteGroup", {"groupname": "no"}, "Group not found"),
    ("getGroup", {"groupname": "no"}, "Group not found"),
    ("modifyGroup", {"groupname": "no"}, "Group not found"),
    ("setAnonymousGroup", {"groupname": "no"}, "Group not found"),
    ("deleteRole", {"rolename": "no"}, "Role not found"),
    ("getRole", {"rolename": "no"}, "Role not found"),
    ("modifyRole", {"rolename": "no"}, "Role does not exist"),
    ("createClient", {"username": "x", "password": 5}, "Invalid/missing password"),
    ("createClient", {"username": "x", "clientid": 5}, "Invalid/missing client id"),
    ("createClient", {"username": "x", "textname": 5}, "Invalid/missing textname"),
    ("createClient", {"username": "x", "textdescription": 5}, "Invalid/missing textdescription"),
    ("createClient", {"username": "x", "clientid": "a\uffff"}, "Client ID not valid UTF-8"),
    ("createClient", {"username": "x", "roles": 5},
     "'roles' not an array or missing/invalid rolename"),
    ("createClient", {"username": "x", "roles": [{}]},
     "'roles' not an array or missing/invalid rolename"),
    ("createClient", {"username": "x", "roles": [{"rolename": "no"}]}, "Role not found"),
    ("createClient", {"username": "x", "groups": [{"groupname": "no"}]}, "Group not found"),
    ("createClient", {"username": "x", "groups": [{}]},
     "'groups' contains an object with an invalid 'groupname'"),
    ("setClientPassword", {"username": "root", "password": ""}, "Empty password is not allowed"),
    ("setClientPassword", {"username": "root"}, "Invalid/missing password"),
    ("setClientId", {"username": "root", "clientid": 5}, "Invalid/missing client ID"),
    ("addClientRole", {"username": "root", "rolename": "no"}, "Role not found"),
    ("addClientRole", {"username": "root", "rolename": "root"}, "Internal error"),  # the original's
    ("addGroupClient", {"groupname": "dup", "username": "no"}, "Client not found"),
    ("removeGroupRole", {"groupname": "dup", "rolename": "no"}, "Role not found"),
    ("removeRoleACL", {"rolename": "root", "acltype": "publishClientSend", "topic": "a#"},
     "Invalid ACL topic"),
    ("createClient", {"username": "x", "textname": "a\uffff"}, "Invalid/missing textname"),
    ("addGroupClient", {"groupname": "no", "username": "root"}, "Group not found"),
    ("addGroupClient", {"groupname": "dup", "username": "root"},
     "Client is already in this group"),
    ("addGroupRole", {"groupname": "dup", "rolename": "root"}, "Group is already in this role"),
    ("modifyGroup", {"groupname": "dup", "clients": [{"username": "no"}]},
     "'clients' contains an object with a 'username' that does not exist"),
    ("modifyGroup", {"groupname": "dup", "clients": [{"username": 5}]},
     "'clients' contains an object with an invalid 'username'"),
    ("addRoleACL", {"rolename": "no", "acltype": "publishClientSend", "topic": "t"},
     "Role not found"),
    ("addRoleACL", {"rolename": "root"}, "Invalid/missing acltype"),
    ("addRoleACL", {"rolename": "root", "acltype": 5}, "Invalid/missing acltype"),
    ("addRoleACL", {"rolename": "root", "acltype": "publishClientToBroker", "topic": "t"},
     "Unknown acltype"),
    ("addRoleACL", {"rolename": "root", "acltype": "publishClientSend"}, "Invalid/missing topic"),
    ("addRoleACL", {"rolename": "root", "acltype": "publishClientSend", "topic": "a#"},
     "Invalid ACL topic"),
    ("addRoleACL", {"rolename": "root", "acltype": "publishClientSend", "topic": ""},
     "Invalid ACL topic"),
    ("addRoleACL", {"rolename": "root", "acltype": "publishClientSend", "topic": "a\uffff"},
     "Topic not valid UTF-8"),
    ("addRoleACL", {"rolename": "root", "acltype": "publishClientSend", "topic": "#"},
     "ACL with this topic already exists"),
    ("removeRoleACL", {"rolename": "root", "acltype": "publishClientSend", "topic": "no"},
     "ACL not found"),
    ("createRole", {"rolename": "x", "allowwildcardsubs": "no"}, "Invalid allowwildcardsubs"),
    ("createRole", {"rolename": "x", "acls": [acl("x", "t")]}, "Unknown acltype"),
    ("createRole", {"rolename": "x", "acls": [acl("publishClientSend", "t")] * 2},
     "ACL with this topic already exists"),
    ("setDefaultACLAccess", {}, "Missing/invalid actions array"),
    ("listClients", {"count": "x"}, "Invalid/missing count"),
    ("listClients", {"offset": 2 ** 62}, "Invalid/missing offset"),
    ("listRoles", {"verbose": "maybe"}, "Invalid/missing verbose"),
    ("deleteGroup", {"groupname": "anon"}, "Deleting the anonymous group is forbidden"),
    ("fly", {}, "Unknown command"),
]


def test_C3_B297_every_wrong_request_has_its_words_and_changes_nothing(table):
    if table.do("getDetails")["groupCount"] == 0:
        table.do("createGroup", groupname="dup", roles=[{"rolename": "root"}])
        table.do("addGroupClient", groupname="dup", username="root")
        table.do("createGroup", groupname="anon")
        table.do("setAnonymousGroup", groupname="anon")
    before = table.do("exportConfig")
    for command, fields, text in WRONG:
        assert table.bad(command, **fields) == text, (command, fields)
    assert table.do("exportConfig") == before


def test_B290_names_of_commands_have_no_case_and_each_is_answered(table):
    answers = table.batch({"command": "GETDETAILS", "correlationData": "1"},
                          {"command": "getRole", "rolename": "no", "correlationData": "2"},
                          {"command": 5}, {"command": "getdetails"})
    assert [a.get("correlationData") for a in answers] == ["1", "2", None, None]
    assert ["error" in a for a in answers] == [False, True, True, False]


def test_lists_have_pages_and_whole_objects(adm):
    assert adm.do("listClients") == {"totalCount": 4, "clients": ["a", "admin", "b", "root"]}
    assert adm.do("listClients", count=2, offset=1) == {"totalCount": 4,
                                                        "clients": ["admin", "b"]}
    assert adm.do("listClients", count=0)["clients"] == []
    assert adm.do("listRoles", verbose=True, count=1)["roles"][0]["rolename"] == "admin"
    assert adm.do("listGroups", verbose=True)["groups"][0] == {"groupname": "g", "roles": [],
                                                              "clients": []}


def test_priorities_are_kept_within_their_bounds(adm):
    adm.do("addClientRole", username="a", rolename="read", priority=2000000000)
    assert adm.do("getClient", username="a")["client"]["roles"][0]["priority"] == 100000


# ---- batches

def test_L034_a_change_that_fails_changes_nothing(adm):
    before = adm.do("exportConfig")
    error = adm.bad("modifyClient", username="a", textname="new", roles=[{"rolename": "read"}],
                    groups=[{"groupname": "g"}, {"groupname": "no"}])
    assert error == "'groups' contains an object with a 'groupname' that does not exist"
    assert adm.do("exportConfig") == before


def test_a_batch_goes_on_after_a_failure_and_an_atomic_one_does_nothing(adm):
    commands = [{"command": "createRole", "rolename": "n1"},
                {"command": "createRole", "rolename": "read"},
                {"command": "createRole", "rolename": "n2"}]
    answers = adm.batch(*commands)
    assert ["error" in a for a in answers] == [False, True, False]
    adm.do("deleteRole", rolename="n1")
    adm.do("deleteRole", rolename="n2")
    answers = adm.batch(*commands, atomic=True)
    assert [a["code"] for a in answers] == [10, 4, 10]
    assert "n1" not in adm.do("listRoles")["roles"]
    answers = adm.batch(commands[0], commands[2], atomic=True)
    assert not [a for a in answers if "error" in a]
    assert {"n1", "n2"} <= set(adm.do("listRoles")["roles"])


def test_hashing_many_passwords_delays_only_who_asked(one, adm):
    """100 hashes take seconds. Another administrator is answered meanwhile, and changes something;
    the batch takes its turn afterwards, whole, and so does the next request of its sender."""
    other = Dynsec(one)
    adm.admin.send(API, json.dumps({"atomic": True, "commands": [
        {"command": "createClient", "username": f"c{i}", "password": f"p{i}"}
        for i in range(100)]}))
    last = adm.admin.send(API, json.dumps({"commands": [{"command": "getDetails"}]}))
    for i in range(20):
        assert other.do("listClients")["totalCount"] == 4
    other.do("createClient", username="between")
    assert other.do("setClientPassword", username="between", password="one hash among many") is None
    assert other.do("listClients")["totalCount"] == 5
    answers = []
    while len(answers) < 2:
        packet = adm.admin.conn.packet(timeout=60)
        if packet.name == "PUBLISH":
            answers.append(packet)
    assert not [r for r in json.loads(answers[0].payload)["responses"] if "error" in r]
    assert answers[1].prop("correlation_data") == last
    assert json.loads(answers[1].payload)["responses"][0]["data"]["clientCount"] == 105
    login(one, "c99", password="p99").close()
    login(one, "between", password="one hash among many").close()


def test_a_stop_does_not_wait_for_passwords_that_are_still_hashed(one, adm):
    adm.admin.send(API, json.dumps({"commands": [
        {"command": "createClient", "username": f"c{i}", "password": "p"} for i in range(5000)]}))
    Dynsec(one).do("getDetails")
    one.stop()
    one.start()
    assert Dynsec(one).do("getDetails")["clientCount"] == 4


def test_a_changeIndex_is_compared_when_the_passwords_are_hashed(one, adm):
    other = Dynsec(one)
    adm.admin.send(API, json.dumps({"changeIndex": 0, "commands": [
        {"command": "createClient", "username": f"c{i}", "password": "p"} for i in range(40)]}))
    other.do("createClient", username="between")
    while (packet := adm.admin.conn.packet(timeout=60)).name != "PUBLISH":
        pass
    reply = json.loads(packet.payload)
    assert {r["code"] for r in reply["responses"]} == {6}
    assert other.do("listClients")["totalCount"] == 5


def test_changes_with_an_old_changeIndex_are_refused(adm):
    index = adm.do("getDetails")["changeIndex"]
    create = {"command": "createRole", "rolename": "n"}
    (answer,) = adm.batch(create, changeIndex=index + 1)
    assert answer["code"] == 6 and "Something changed" in answer["error"]
    reply = adm.admin.raw(API, json.dumps({"commands": [create], "changeIndex": index}))
    assert "error" not in reply["responses"][0] and reply["changeIndex"] == index + 1


# ---- logins

def test_L056_who_may_not_log_in_is_told_nothing(one, adm):
    adm.do("disableClient", username="b")
    adm.do("createClient", username="bound", password="pw", clientid="the-id")
    adm.do("createClient", username="without")
    answers = set()
    for name, password in (("nobody", "pw"), ("b", "pw"), ("a", "wrong"), ("bound", "pw"),
                           ("without", "pw"), ("without", "")):
        conn = one.conn()
        conn.send(mw.connect("other-id", username=name, password=password))
        answers.add(conn.packet().raw)
        conn.expect_closed()
    assert len(answers) == 1
    one.wait_log("refused: the client is disabled")
    login(one, "bound", "the-id")
    adm.do("enableClient", username="b")
    login(one, "b")


def test_L050_a_name_without_a_password_does_not_get_in(one):
    conn = one.conn()
    conn.connect("x", username="a", reason=0x87)
    conn.expect_closed()


def test_the_password_file_is_asked_about_strangers(broker):
    one = dynsec.start(broker, extra="password_file {dir}/pw\nacl_file {dir}/acl\n", files={
        "pw": f"f:{dynsec.HASH}\na:{dynsec.passwords.sha512('other')}\n",
        "acl": "user f\ntopic readwrite f/#\n"}, clients=[client("a")])
    f = login(one, "f")
    f.subscribe("f/#")
    f.publish("f/1", b"m")
    f.receive("f/1")
    conn = one.conn()  # dynamic security knows the name: its word counts
    conn.connect("x", username="a", password="other", reason=0x87)
    login(one, "a")


def test_L033_anonymous_clients_have_the_rights_of_their_group(broker):
    one = dynsec.start(broker, config="allow_anonymous true\ndynamic_security {dir}/ds.json\n",
                       roles=[READ, WRITE], groups=[{"groupname": "g", "roles": []}])
    adm, anon = Dynsec(one), one.client("anon")
    anon.publish("t/1", b"m", 1, reason=0x87)
    adm.do("setAnonymousGroup", groupname="g")
    adm.do("addGroupRole", groupname="g", rolename="write")
    anon.publish("t/1", b"m", 1)
    assert adm.bad("deleteGroup", groupname="g") == "Deleting the anonymous group is forbidden"
    # Members and role holders are no reason to keep one, and nothing is left of it.
    adm.do("createGroup", groupname="h", roles=[{"rolename": "read"}])
    adm.do("addGroupClient", groupname="h", username="root")
    adm.do("setAnonymousGroup", groupname="h")
    adm.do("deleteGroup", groupname="g")
    anon.publish("t/1", b"m", 1, reason=0x87)
    adm.do("deleteRole", rolename="read")
    assert adm.do("getGroup", groupname="h")["group"]["roles"] == []
    assert adm.do("getClient", username="root")["client"]["groups"] == [{"groupname": "h"}]


def test_a_generated_secret_is_told_once_and_kept_as_one_salted_hash(one, adm):
    secret = adm.do("createClient", username="dev", generatePassword=True)["password"]
    assert secret.startswith("njsec_") and len(secret) == 52
    login(one, "dev", password=secret)
    stored = dynsec.wait_file(one, lambda c: len(c["clients"]) == 5)
    (dev,) = [c for c in stored["clients"] if c["username"] == "dev"]
    assert dev["encoded_password"].startswith("$6$")
    for file in ("ds.json", "ds.json.last", "ds.json.journal"):
        assert secret not in (one.dir / file).read_text()
    assert secret not in one.log_text()
    again = adm.do("setClientPassword", username="dev", generatePassword=True)["password"]
    assert again != secret
    conn = one.conn()
    conn.connect("x", username="dev", password=secret, reason=0x87)
    login(one, "dev", password=again)


def test_a_generated_secret_reaches_nobody_else(broker):
    """Even in compat mode, where answers are for all who may receive them."""
    one = dynsec.start(broker, mode="compat")
    other = login(one, "admin")
    other.subscribe(f"$CONTROL/{API}/#")
    adm = Dynsec(one, private=False)
    assert adm.do("createClient", username="d", generatePassword=True)["password"]
    adm.do("getDetails")
    packet = other.expect("PUBLISH")
    assert b"njsec_" not in packet.payload and b"getDetails" in packet.payload


# ---- rights of who is there

def test_A5_4_a_role_counts_at_once_and_is_gone_at_once(one, adm, version):
    a, root = login(one, "a", version=version), login(one, "root")
    root.subscribe("t/#")
    a.publish("t/1", b"0", 1, reason=0x87)
    adm.do("addClientRole", username="a", rolename="write")
    a.publish("t/1", b"1", 1)
    root.receive("t/1", b"1")
    adm.do("modifyRole", rolename="write", acls=[acl("publishClientSend", "t/1", False, 1),
                                                 acl("publishClientSend", "t/#")])
    a.publish("t/1", b"2", 1, reason=0x87)
    a.publish("t/2", b"3", 1)
    root.receive("t/2", b"3")
    adm.do("removeClientRole", username="a", rolename="write")
    a.publish("t/2", b"4", 1, reason=0x87)
    settle(root, root)


@pytest.mark.threads
def test_L010_L036_the_right_to_receive_ends_with_the_answer(one, adm):
    adm.do("addClientRole", username="a", rolename="read")
    a, root = login(one, "a"), login(one, "root")
    a.subscribe("t/#", qos=1)
    root.publish("t/1", b"1", 1)
    a.receive("t/1", b"1")
    adm.do("setDefaultACLAccess", acls=[{"acltype": "publishClientReceive", "allow": False}])
    adm.do("removeRoleACL", rolename="read", acltype="publishClientReceive", topic="t/#")
    for qos in (0, 1, 2):
        root.publish("t/1", b"2", qos)
    settle(root, a)
    adm.do("addRoleACL", rolename="read", acltype="publishClientReceive", topic="t/#", allow=True)
    root.publish("t/1", b"3", 1)
    a.receive("t/1", b"3")


def test_C4_groups_come_after_roles_and_subscriptions_are_checked(one, adm):
    adm.do("createRole", rolename="no", acls=[acl("subscribePattern", "t/secret/#", False, 9)])
    adm.do("addGroupRole", groupname="g", rolename="no", priority=99)
    adm.do("addGroupClient", groupname="g", username="a", priority=99)
    adm.do("addClientRole", username="a", rolename="read", priority=-99)
    a = login(one, "a")
    a.subscribe("t/secret/x")  # the client's own role was asked first
    adm.do("removeClientRole", username="a", rolename="read")
    adm.do("addGroupRole", groupname="g", rolename="read", priority=5)
    a.subscribe("t/secret/x", reasons=[0x87])
    a.subscribe("t/x")
    a.subscribe("#", reasons=[0x87])
    adm.do("modifyRole", rolename="read", allowwildcardsubs=False)
    a.subscribe("t/#", reasons=[0x87])
    adm.do("addRoleACL", rolename="no", acltype="unsubscribeLiteral", topic="t/x", allow=False)
    a.unsubscribe("t/x", reasons=[0x87])


def test_L008_L009_retained_and_queued_messages_wait_for_the_right(one, adm):
    adm.do("setDefaultACLAccess", acls=[{"acltype": "publishClientReceive", "allow": False}])
    adm.do("addClientRole", username="a", rolename="read")
    root = login(one, "root")
    root.publish("t/r", b"r", 1, retain=True)
    conn = one.conn()
    conn.connect("stays", clean=False, username="a", password="pw",
                 properties={"session_expiry_interval": 100})
    conn.subscribe("t/#", qos=1)
    conn.receive("t/r")
    conn.disconnect()
    root.publish("t/q", b"q", 1)
    adm.do("removeClientRole", username="a", rolename="read")
    conn = one.conn()
    conn.connect("stays", clean=False, username="a", password="pw", session_present=True,
                 properties={"session_expiry_interval": 100})
    settle(root, conn)


def test_L005_the_will_of_who_is_gone_is_not_sent(one, adm):
    adm.do("addClientRole", username="a", rolename="write")
    root = login(one, "root")
    root.subscribe("t/#")
    conn = one.conn()
    conn.connect("w", username="a", password="pw",
                 will=mw.Will("t/will", b"w", qos=1))
    adm.do("deleteClient", username="a")
    conn.expect_closed()
    settle(root, root)


def test_who_is_disabled_deleted_or_has_a_new_password_is_sent_away(one, adm):
    for change in ({"command": "disableClient", "username": "a"},
                   {"command": "setClientPassword", "username": "b", "password": "new"},
                   {"command": "modifyClient", "username": "c", "password": "new"},
                   {"command": "setClientId", "username": "d", "clientid": "other"},
                   {"command": "deleteClient", "username": "e"}):
        name = change["username"]
        if name in "cde":
            adm.do("createClient", username=name, password="pw")
        conn = login(one, name)
        stays = login(one, "root")
        (answer,) = adm.batch(change)
        assert "error" not in answer
        conn.expect_closed(reason=0x87)
        stays.quiet()
    login(one, "b", password="new")
    conn = one.conn()
    conn.connect("x", username="b", password="pw", reason=0x87)


def test_C5_compat_disconnects_who_is_concerned_and_nobody_else(broker):
    one = dynsec.start(broker, mode="compat", clients=[client("a", "read"), client("b"),
                                                       client("m")],
                       roles=[READ, WRITE],
                       groups=[{"groupname": "g", "clients": [{"username": "m"}]}])
    adm = Dynsec(one)
    for command, fields, names in (
            ("createRole", {"rolename": "new"}, ""),
            ("setDefaultACLAccess", {"acls": [{"acltype": "subscribe", "allow": True}]}, ""),
            ("enableClient", {"username": "a"}, ""),
            ("modifyRole", {"rolename": "read", "textname": "x"}, ""),
            ("modifyRole", {"rolename": "read", "allowwildcardsubs": True}, ""),  # as it is
            ("modifyRole", {"rolename": "read", "allowwildcardsubs": False}, "a"),
            ("addRoleACL", {"rolename": "read", **acl("publishClientSend", "y")}, "a"),
            ("addClientRole", {"username": "b", "rolename": "write"}, "b"),
            ("addGroupRole", {"groupname": "g", "rolename": "write"}, "m"),
            ("modifyRole", {"rolename": "write", "acls": []}, "bm"),
            ("modifyGroup", {"groupname": "g", "clients": [{"username": "a"}]}, "am"),
            ("disableClient", {"username": "b"}, "b")):
        if command == "disableClient":
            adm.do("enableClient", username="b")
        conns = {name: login(one, name) for name in "abm"}
        adm.do(command, **fields)
        for name, conn in conns.items():
            if name in names:
                conn.expect_closed()
            else:
                conn.quiet()
                conn.close()


def test_rights_change_kick_holds_natively_too(broker):
    one = dynsec.start(broker, extra="rights_change kick\n", clients=[client("a", "read"),
                                                                      client("b")], roles=[READ])
    adm, a, b = Dynsec(one), login(one, "a"), login(one, "b")
    adm.do("modifyRole", rolename="read", acls=[])
    a.expect_closed(reason=0x98)
    b.quiet()


# ---- what an administrator may not do, and who may not administer

def test_B296_nobody_takes_his_own_rights_away(one, adm):
    words = "This would take away your own right to administer"
    for command, fields in (
            ("deleteClient", {"username": "admin"}), ("disableClient", {"username": "admin"}),
            ("removeClientRole", {"username": "admin", "rolename": "admin"}),
            ("modifyClient", {"username": "admin", "roles": []}),
            ("deleteRole", {"rolename": "admin"}), ("modifyRole", {"rolename": "admin", "acls": []}),
            ("removeRoleACL", {"rolename": "admin", "acltype": "publishClientSend",
                               "topic": "$CONTROL/#"})):
        assert adm.bad(command, **fields) == words
    adm.do("createClient", username="admin2", password="pw", roles=[{"rolename": "admin"}])
    Dynsec(one, "admin2").do("deleteClient", username="admin")


def test_B291_without_the_right_nothing_is_done(one, adm):
    adm.do("addClientRole", username="a", rolename="write")
    a = login(one, "a")
    a.publish(f"$CONTROL/{API}", b'{"commands":[{"command":"deleteClient","username":"b"}]}', 1,
              reason=0x87)
    adm.do("setDefaultACLAccess", acls=[{"acltype": t, "allow": True} for t in
                                        ("publishClientSend", "subscribe")])
    a.publish(f"$CONTROL/{API}", b'{"commands":[{"command":"deleteClient","username":"b"}]}', 1,
              reason=0x87)
    login(one, "b")


# ---- events

def test_changes_are_told_to_who_may_know_them_without_secrets(one, adm):
    watcher = login(one, "admin")
    watcher.subscribe(f"$CONTROL/{API}/event")
    adm.batch({"command": "createClient", "username": "n", "password": "geheim-geheim"},
              {"command": "createRole", "rolename": "read"},
              {"command": "createRole", "rolename": "n"})
    packet = watcher.expect("PUBLISH", topic=f"$CONTROL/{API}/event")
    assert json.loads(packet.payload) == {
        "changeIndex": 2, "by": "admin",
        "changes": [{"command": "createClient", "username": "n"},
                    {"command": "createRole", "rolename": "n"}]}
    assert "geheim" not in one.log_text()
    adm.do("getDetails")
    watcher.quiet()


# ---- the file

def test_the_file_follows_within_a_second_and_is_the_originals(one, adm):
    adm.do("createRole", rolename="n", acls=[acl("publishClientSend", "x")])
    content = dynsec.wait_file(one, lambda c: c.get("changeIndex") == 1)
    assert content["roles"][1]["rolename"] == "n"
    text = (one.dir / "ds.json").read_text()
    assert text.startswith('{\n\t"changeIndex":\t1,\n\t"defaultACLAccess":\t{\n')
    assert (one.dir / "ds.json").stat().st_mode & 0o777 == 0o600
    one.stop()
    assert not (one.dir / "ds.json.journal").exists()
    one.start()
    assert Dynsec(one).do("getDetails")["changeIndex"] == 1


@pytest.mark.parametrize("rounds", [5])
def test_kill_9_loses_no_answered_change(broker, rounds):
    one = dynsec.start(broker)
    expected = []
    for number in range(rounds):
        adm = Dynsec(one)
        for part in range(number + 1):
            adm.do("createRole", rolename=f"r-{number}-{part}")
            expected.append(f"r-{number}-{part}")
        one.kill()
        one.start()
        assert set(expected) <= set(Dynsec(one).do("listRoles")["roles"])


def test_B281_a_directory_that_cannot_be_written_refuses_changes(one, adm):
    if (one.dir / "ds.json.journal").exists():
        (one.dir / "ds.json.journal").unlink()
    (one.dir / "ds.json.journal").mkdir()
    one.expect_error("a change of dynamic security was refused")
    assert "cannot be written" in adm.bad("createRole", rolename="n")
    assert adm.bad("getRole", rolename="n") == "Role not found"
    (one.dir / "ds.json.journal").rmdir()
    adm.do("createRole", rolename="n")


def test_B276_a_bad_file_ends_the_start_with_its_place(broker):
    one = dynsec.start(broker)
    one.stop()
    one.write("ds.json", '{"clients":\n [{"username": 5}]}')
    one.expect_error("line 2, column 3")
    status, log = one.run()
    assert status == 3 and "--recover" in log, log
    one.args = ["--recover"]
    one.start()
    assert Dynsec(one).do("getDetails")["clientCount"] == 2


@pytest.mark.parametrize("kind, key", [("clients", "username"), ("groups", "groupname"),
                                       ("roles", "rolename")])
def test_L035_a_name_that_is_twice_in_the_file_ends_the_start(broker, kind, key):
    one = dynsec.start(broker)
    one.stop()
    content = json.loads((one.dir / "ds.json").read_text())
    content[kind] = [{key: "same"}, {key: "other"}, {key: "same"}]
    one.write("ds.json", json.dumps(content))
    one.expect_error("same")
    status, log = one.run()
    assert status == 3 and "--recover" in log, log


@pytest.mark.parametrize("password", ["\u00e9\u4e2d\U0001f600", " ", "a b\tc\n", "x" * 4096, "$6$a$b",
                                      "\"'\\", ":"])
def test_B294_odd_passwords_are_bytes_like_others(one, adm, password):
    adm.do("createClient", username="odd", password=password)
    login(one, "odd", password=password).close()
    adm.do("setClientPassword", username="odd", password=password[:-1] + "y")
    login(one, "odd", password=password[:-1] + "y").close()
    assert adm.bad("setClientPassword", username="odd", password="") == \
        "Empty password is not allowed"
    assert "error" in adm.batch({"command": "setClientPassword", "username": "odd",
                                 "password": "x" * 65536})[0]


def test_B295_odd_pages_of_lists(adm):
    for what in ("listClients", "listGroups", "listRoles"):
        key = what[4:].lower()
        everything = adm.do(what)[key]
        assert adm.do(what, offset=1000)[key] == []
        assert adm.do(what, count=1)[key] == everything[:1]
        for page in ({"count": "1"}, {"offset": 1.5}, {"offset": [0]}, {"count": 2**63 - 1},
                     {"count": -2}, {"offset": -1}, {"offset": 2**31}):
            assert adm.bad(what, **page), page


def test_test_config_reads_the_file(broker):
    one = dynsec.start(broker)
    one.stop()
    one.args = ["--test-config"]
    assert one.run()[0] == 0
    one.write("ds.json", "{")
    one.expect_error("line 1, column 2")
    assert one.run()[0] == 3


# ---- first start and configuration

def test_C7_first_starts(broker, mode):
    """Native: an administrator; compat: and a democlient, as the original."""
    one = broker("plugin /usr/lib/mosquitto_dynamic_security.so\n"
                 "plugin_opt_config_file {dir}/ds.json\n", mode=mode, anonymous=False)
    one.wait_log("Dynamic security: 1|Dynamic security: 2")
    words = dict(line.split(" ") for line in (one.dir / "ds.json.pw").read_text().splitlines())
    assert list(words) == (["admin"] if mode == "native" else ["admin", "democlient"])
    assert (one.dir / "ds.json.pw").stat().st_mode & 0o777 == 0o600
    adm = Dynsec(one, password=words["admin"])
    assert adm.do("getAnonymousGroup") == {"group": {"groupname": "unauthenticated"}}
    assert len(adm.do("listRoles")["roles"]) == 7
    if mode == "compat":
        demo = login(one, "democlient", password=words["democlient"])
        demo.subscribe("#")
        demo.publish("x", b"m")
        demo.receive("x")


def test_A3_3_the_administrators_password_from_the_environment(broker):
    one = broker("global_plugin /usr/lib/cedalo_ha.so\npersistence_location {dir}\n",
                 anonymous=False, env={"MOSQUITTO_DYNSEC_PASSWORD": "twelve-chars"}, start=False)
    one.env["MOSQUITTO_DYNSEC_PASSWORD"] = "short"
    one.expect_error("shorter than 12 characters")
    assert one.run()[0] == 3
    assert not (one.dir / "dynamic-security.json").exists()
    one.env["MOSQUITTO_DYNSEC_PASSWORD"] = "twelve-chars"
    one.start()
    one.wait_log("Dynamic security: 1 clients")
    assert (one.dir / "dynamic-security.json").exists()
    assert Dynsec(one, password="twelve-chars").do("getDetails")["clientCount"] == 1


def test_a_reload_tells_what_an_edited_file_would_change(one, adm):
    adm.do("createClient", username="gone")
    content = dynsec.wait_file(
        one, lambda c: any(x["username"] == "gone" for x in c["clients"]))
    one.reload()  # which waits for the save that is just ending
    content["clients"] = [x for x in content["clients"] if x["username"] not in ("gone", "b")]
    content["clients"].append({"username": "b", "disabled": True})
    content["clients"].append({"username": "new"})
    one.write("ds.json", json.dumps(content))
    one.reload()
    line = one.wait_log("would change: ")
    assert "clients *b +new -gone" in line and "roles" not in line
    assert adm.do("listClients")["totalCount"] == 5
    one.write("ds.json", "{")
    one.reload()
    one.wait_log("could not be used: line 1")


def test_a_reload_keeps_what_was_changed(one, adm):
    adm.do("createClient", username="n", password="pw")
    one.reload()
    login(one, "n")
    adm.do("deleteClient", username="n")


def test_requests_work_with_every_version(one, version):
    adm = Dynsec(one, version=version, private=False)
    assert adm.do("getDetails")["clientCount"] == 4


def test_an_old_file_is_read_and_an_old_form_exported(broker):
    password = {"password": "AAAA" * 21 + "AA==", "salt": "AAECAwQFBgcICQoL", "iterations": 101}
    one = dynsec.start(broker, clients=[{"username": "old", "roles": [], **password}])
    adm = Dynsec(one)
    exported = adm.do("exportConfig", form="2.0")
    assert exported["withoutPassword"] == ["admin", "root"]
    (old,) = [c for c in exported["config"]["clients"] if c["username"] == "old"]
    assert {k: old[k] for k in password} == password
    assert adm.bad("exportConfig", form="3") == "Invalid/missing form"


def test_L029_L036_changes_under_load(broker):
    """200 requests that turn three rights around each under 2,000 messages a second: not one wrong
    delivery. `./dev soak revocation --dynsec` makes 10,000 under 5,000."""
    load = DynsecLoad(lambda config, files: broker(config, files=files, mode="native"), rate=2000)
    violations = load.run(200, 0.01)
    assert not violations, violations[:10]
    assert load.history.received_count > 500
