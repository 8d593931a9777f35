"""Every command of every control API with good and bad input, made from the tables that the broker
itself tells (listCommands)."""
import os

import pytest

import certs
import passwords
from control import Admin

pytestmark = pytest.mark.needs("nightjar")

CONFIG = """\
dynamic_security {dir}/dynamic-security.json
listener {port} 127.0.0.1
listener {port_tls} 127.0.0.1
certfile {dir}/server.crt
keyfile {dir}/server.key
capath {dir}/cas
require_certificate true
certificate_management true
"""
DYNSEC = "dynamic-security/v1"
# What a command is asked with so that it succeeds, after what came before it here. A command that is
# missing fails the test.
GOOD = {
    DYNSEC: [
        ("getDetails", {}),
        ("setDefaultACLAccess", {"acls": [{"acltype": "subscribe", "allow": False}]}),
        ("getDefaultACLAccess", {}),
        ("createRole", {"rolename": "r", "acls": [
            {"acltype": "publishClientSend", "topic": "a/#", "allow": True}]}),
        ("createGroup", {"groupname": "g", "roles": [{"rolename": "r", "priority": 2}]}),
        ("createClient", {"username": "u", "password": "p", "groups": [{"groupname": "g"}]}),
        ("modifyClient", {"username": "u", "textname": "U"}),
        ("modifyGroup", {"groupname": "g", "textname": "G"}),
        ("modifyRole", {"rolename": "r", "textname": "R"}),
        ("setClientPassword", {"username": "u", "password": "q"}),
        ("setClientId", {"username": "u", "clientid": "c"}),
        ("disableClient", {"username": "u"}),
        ("enableClient", {"username": "u"}),
        ("addClientRole", {"username": "u", "rolename": "r", "priority": 1}),
        ("removeClientRole", {"username": "u", "rolename": "r"}),
        ("removeGroupClient", {"groupname": "g", "username": "u"}),
        ("addGroupClient", {"groupname": "g", "username": "u", "priority": 1}),
        ("removeGroupRole", {"groupname": "g", "rolename": "r"}),
        ("addGroupRole", {"groupname": "g", "rolename": "r"}),
        ("addRoleACL", {"rolename": "r", "acltype": "subscribePattern", "topic": "b/#",
                        "allow": True}),
        ("removeRoleACL", {"rolename": "r", "acltype": "subscribePattern", "topic": "b/#"}),
        ("getClient", {"username": "u"}), ("listClients", {"verbose": True, "count": 5}),
        ("getGroup", {"groupname": "g"}), ("listGroups", {}),
        ("getRole", {"rolename": "r"}), ("listRoles", {"count": -1, "offset": 0}),
        ("createGroup", {"groupname": "stays"}),
        ("setAnonymousGroup", {"groupname": "stays"}), ("getAnonymousGroup", {}),
        ("setCertificateGroup", {"groupname": "g"}), ("getCertificateGroup", {}),
        ("setCertificateGroup", {"groupname": ""}),
        ("exportConfig", {}),
        ("deleteClient", {"username": "u"}), ("deleteGroup", {"groupname": "g"}),
        ("deleteRole", {"rolename": "r"}),
    ],
    "broker/v1": [("listPlugins", {}), ("listListeners", {})],
    "cedalo/inspect/v1": [("listClients", {}), ("getClient", {"clientid": "target"})],
    "cedalo/client-control/v1": [
        ("subscribeClient", {"clientid": "target", "topic": "a/b", "qos": 1}),
        ("unsubscribeClient", {"clientid": "target", "topic": "a/b"}),
        ("disconnectClient", {"clientid": "target"}),
    ],
    "nightjar/v1": [
        ("listCommands", {}), ("getStatus", {}), ("getCounters", {}), ("listSessions", {}),
        ("getSession", {"clientid": "stays"}), ("listSubscriptions", {"clientid": "stays"}),
        ("listRetained", {"topic": "a/#", "payload": True}),
        ("deleteRetained", {"topic": "a/kept"}),
        ("explain", {"username": "target", "action": "publish", "topic": "a/b"}),
        ("canI", {"checks": []}), ("reload", {}), ("getLogTypes", {}),
        ("setLogTypes", {"types": "error,warning,notice,information"}),
        ("deleteSession", {"clientid": "stays"}),
    ],
    "certificate-management/v1": [
        ("insertCACertificate", {"listener_id": 2, "file_name": "b.crt", "ca_cert_pem": None}),
        ("listCACertificates", {"listener_id": 2}),
        ("deleteCACertificate", {"listener_id": 2, "file_name": "b.crt"}),
    ],
}
WRONG = {"string": [1, True, None, [], {}], "boolean": [1, "true", None, []],
         "integer": [1.5, "1", True, None, []], "objects": [1, "x", {}, None],
         "object": [1, "x", [], None]}


@pytest.fixture
def one(broker, tmp_path):
    from toolbox import Tools
    file = tmp_path / "dynamic-security.json"
    done = Tools("native").run("ctl", "dynsec", "init", file, "admin", "a-long-secret")
    assert done.status == 0, done
    ca = certs.authority()
    server = ca.issue("localhost", purpose="server", names=["localhost", "127.0.0.1"])
    made = broker(CONFIG, listener=False, anonymous=False, mode="native", files={
        "dynamic-security.json": file.read_bytes(), "server.crt": server.chain_pem,
        "server.key": certs.pem(server.key), "cas/a.crt": certs.pem(ca.cert)})
    made.admin = Admin(made.client("admin", username="admin", password="a-long-secret"))
    for acltype, topic in (("publishClientSend", "$CONTROL/#"), ("publishClientSend", "#"),
                           ("subscribePattern", "#")):
        said = made.admin.ask(DYNSEC, "addRoleACL", rolename="admin", acltype=acltype,
                              topic=topic, allow=True)
        assert said.get("error") in (None, "ACL with this topic already exists"), said
    return made


def tables(one):
    return {api["name"]: api for api in one.admin.data("nightjar/v1", "listCommands")["apis"]}


def test_every_command_does_what_it_is_for(one):
    admin = one.admin
    admin.data(DYNSEC, "createClient", username="target", password="pw",
               roles=[{"rolename": "admin"}])
    target = one.client("target", username="target", password="pw")
    stays = one.client("stays", username="target", password="pw", clean=False,
                       properties=[("session_expiry_interval", 60)])
    target.publish("a/kept", b"x", 1, retain=True)
    known = tables(one)
    assert set(known) == set(GOOD)
    for api, steps in GOOD.items():
        assert {name for name, _ in steps} == {c["name"] for c in known[api]["commands"]}, api
        for name, fields in steps:
            if "ca_cert_pem" in fields:
                fields = {**fields, "ca_cert_pem": certs.pem(certs.authority("B").cert).decode()}
            answer = admin.ask(api, name, **fields)
            assert "error" not in answer, (api, answer)
            row = next(c for c in known[api]["commands"] if c["name"] == name)
            if row["answers"] and not row["changes"]:
                assert answer["data"] is not None, (api, name)
    target.close()
    stays.close()


def test_B290_to_B297_every_argument_is_checked_with_its_own_words(one):
    """Each required argument left out, each argument of each wrong type, and beyond its bounds: as one
    batch for each command, so that nothing but the arguments can differ."""
    admin = one.admin
    for api, table in tables(one).items():
        for command in table["commands"]:
            good = next(dict(fields) for name, fields in GOOD[api] if name == command["name"])
            cases = []
            for arg in command["args"]:
                if arg["required"]:
                    cases.append(({k: v for k, v in good.items() if k != arg["name"]},
                                  arg["error"]))
                for value in WRONG[arg["type"]]:
                    if value is None and arg.get("nullable"):
                        continue
                    cases.append(({**good, arg["name"]: value}, arg["error"]))
                if "empty" in arg:
                    cases.append(({**good, arg["name"]: ""}, arg["empty"]))
                if arg["type"] == "string":
                    cases.append(({**good, arg["name"]: "x" * (arg["bytes"] + 1)}, arg["error"]))
                if "max" in arg and arg["max"] < 2 ** 62:
                    cases.append(({**good, arg["name"]: arg["max"] + 1}, arg["error"]))
                    cases.append(({**good, arg["name"]: arg["min"] - 1}, arg["error"]))
            for at in range(0, len(cases), 5):  # long texts: several requests
                part = cases[at:at + 5]
                answers = admin.batch(api, [{"command": command["name"], **{
                    k: v for k, v in fields.items()}} for fields, _ in part])
                for (fields, error), answer in zip(part, answers):
                    fields = {k: str(v)[:40] for k, v in fields.items()}
                    assert answer.get("error") == error and answer["code"] == 1, (
                        api, command["name"], fields, answer)


def test_B292_names_that_would_mislead_are_refused(one):
    """Names of clients, groups and roles; what is refused leaves nothing behind."""
    admin = one.admin
    before = admin.data(DYNSEC, "getDetails")
    for command, key in (("createClient", "username"), ("createGroup", "groupname"),
                         ("createRole", "rolename")):
        for name in ("", "a\nb", "a\x7fb", "\u0085", "x" * 65536):
            assert "error" in admin.ask(DYNSEC, command, **{key: name}), (command, name)
    assert admin.data(DYNSEC, "getDetails") == before


def test_passwords_do_not_get_into_the_log(one):
    admin = one.admin
    admin.data(DYNSEC, "createClient", username="s", password="never-in-a-log-1")
    admin.data(DYNSEC, "setClientPassword", username="s", password="never-in-a-log-2")
    admin.error(DYNSEC, "createClient", username="s", password="never-in-a-log-3")
    one.wait_log("createClient username=s password=")
    assert "never-in-a-log" not in one.log_text()
