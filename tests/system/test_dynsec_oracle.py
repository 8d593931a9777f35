"""Dynamic security beside the original: Debian's Mosquitto 2.0.11 with its plugin, the same file, the
same clients, the same questions. It is used when it was unpacked for the benchmarks (`./dev bench`),
and nothing is installed for it; else these tests are skipped.

What is not the same is frozen here, each with its reason:
- 2.0.11 knows no allowwildcardsubs; so the questions leave it out.
- Subscriptions to `$…`: 2.0.11 lets patterns that begin with a wildcard cover them, 2.1 does not:
  HIDDEN has each that this concerns here.
- Memberships of equal priority: 2.0.11 orders them otherwise; so the priorities here differ.
- DIFFERENCES: words of errors.
- KICKS: who is disconnected by what.
One that is not on these lists, and an entry that no longer differs, both fail."""
import json
import os
import pathlib
import random
import subprocess
import time

import pytest

import dynsec
import mqttwire as mw
import passwords
from brokerproc import free_port
from control import Admin
from dynsec import API, TYPES, acl, role
from mqttwire import V5

pytestmark = pytest.mark.needs("nightjar")

ROOT = pathlib.Path(__file__).resolve().parents[2] / ".dev/peers/mosquitto/root"
BINARY, PLUGIN = (ROOT / "usr/sbin/mosquitto", "mosquitto_dynamic_security.so")
LEVELS = ["a", "b", "", "+", "#", "$s", "long-level"]


def old_client(name, *roles, **more):
    """A client as 2.0 writes it."""
    _, _, iterations, salt, key = passwords.pbkdf2("pw", 101).split("$")
    return {"username": name, "password": key, "salt": salt, "iterations": int(iterations),
            "roles": list(roles), **more}


class Original:
    """The peer as a process; has of brokerproc.Broker what the helpers use."""

    def __init__(self, folder, text):
        self.port = free_port()
        (folder / "ds.json").write_text(text)
        plugins = [p for p in (ROOT / "usr/lib").rglob(PLUGIN)]
        (folder / "m.conf").write_text(
            f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous false\n"
            f"plugin {plugins[0]}\nplugin_opt_config_file {folder}/ds.json\n")
        libraries = os.pathsep.join(str(p.parent) for p in plugins)
        self.process = subprocess.Popen(
            [str(BINARY), "-c", str(folder / "m.conf")], stderr=subprocess.DEVNULL,
            env={**os.environ, "LD_LIBRARY_PATH": libraries})

    def client(self, client_id="", version=V5, **options):
        end = time.monotonic() + 10
        while True:
            try:
                conn = mw.Conn(mw.Endpoint("tcp", port=self.port), version)
                break
            except ConnectionError:
                assert time.monotonic() < end and self.process.poll() is None
                time.sleep(0.02)
        conn.connect(client_id, **options)
        return conn

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def both(broker, tmp_path):
    """(ours, theirs) with the same file."""
    if not BINARY.exists():
        pytest.skip("the peer is not unpacked")
    started = []

    def make(**content):
        text = json.dumps({"defaultACLAccess": {"publishClientSend": False,
                                                "publishClientReceive": True, "subscribe": False,
                                                "unsubscribe": True}, **content})
        one = broker("allow_anonymous false\nplugin /usr/lib/mosquitto_dynamic_security.so\n"
                     "plugin_opt_config_file {dir}/ds.json\nenable_control_api true\n",
                     mode="compat", files={"ds.json": text})
        started.append(Original(tmp_path, text))
        return one, started[-1]

    yield make
    for one in started:
        one.stop()


def filters(rng, count):
    """Different valid ones."""
    out = set()
    while len(out) < count:
        levels = [rng.choice(LEVELS) for _ in range(rng.randint(1, 4))]
        if "#" in levels:
            levels = levels[:levels.index("#") + 1]
        text = "/".join(levels)
        if text and not text.startswith("$share"):
            out.add(text)
    return sorted(out)


def random_role(rng, name):
    acls, seen = [], set()
    for _ in range(rng.randint(0, 9)):
        kind = rng.choice(TYPES)
        (topic,) = filters(rng, 1)
        if (kind, topic) not in seen:
            seen.add((kind, topic))
            acls.append(acl(kind, topic, rng.random() < 0.6, rng.randint(-2, 2)))
    return role(name, *acls)  # 2.0.11 knows no allowwildcardsubs


# seed → filters to which the original alone lets subscribe
HIDDEN = {
    3: ["$s", "$s/#", "$s/$s/a/a", "$s/a/$s/", "$s/a/b/#", "$s/b", "$s/long-level",
        "$s/long-level/a/#"],
    4: ["$s/", "$s/#", "$s/$s", "$s/$s/b", "$s/$s/b/#", "$s/$s/long-level/long-level", "$s//b",
        "$s/a/$s", "$s/b"],
}


@pytest.mark.parametrize("seed", range(6))
def test_decisions_are_the_originals(both, seed):
    rng = random.Random(seed)
    roles = [random_role(rng, f"r{i}") for i in range(6)]
    given = [{"rolename": r["rolename"], "priority": p}
             for r, p in zip(rng.sample(roles, 3), rng.sample(range(-9, 9), 3))]
    groups = [{"groupname": f"g{i}", "roles": [
        {"rolename": r["rolename"], "priority": p}
        for r, p in zip(rng.sample(roles, 2), rng.sample(range(-9, 9), 2))],
               "clients": [{"username": "u", "priority": 5 - i}]} for i in range(2)]
    ours, theirs = both(clients=[old_client("u", *given)], groups=groups, roles=roles)
    answers = []
    questions = filters(rng, 60)
    topics = [q for q in questions if "+" not in q and "#" not in q]
    for one in (ours, theirs):
        conn = one.client("c", username="u", password="pw")
        answer = {}
        for number, text in enumerate(questions, 1):
            conn.send(mw.subscribe(number, [(text, 0)], V5))
            answer["subscribe", text] = conn.expect("SUBACK", packet_id=number).reasons[0]
            conn.send(mw.unsubscribe(number, [text], V5))
            # 0x11: there was none
            answer["unsubscribe", text] = conn.expect("UNSUBACK",
                                                      packet_id=number).reasons[0] % 0x11
        conn = one.client("p", username="u", password="pw")  # one without subscriptions
        for number, text in enumerate(topics, 1):
            conn.send(mw.publish(text, b"", 1, number, version=V5))
            reason = conn.expect("PUBACK", packet_id=number).reason
            answer["publish", text] = 0x87 if reason == 0x87 else 0
        answers.append(answer)
    assert len(answers[0]) > 120
    different = {k: (answers[0][k], answers[1][k]) for k in answers[0]
                 if answers[0][k] != answers[1][k]}
    assert different == {("subscribe", text): (0x87, 0) for text in HIDDEN.get(seed, [])}


# command, fields → (ours, the original's, why)
DIFFERENCES = {
    "createClient empty": ("Empty username", "no error", "2.1 refuses empty names"),
    "createGroup empty": ("Empty groupname", "no error", "2.1 refuses empty names"),
    "createRole empty": ("Empty rolename", "no error", "2.1 refuses empty names"),
}


def test_words_of_errors_are_the_originals(both):
    admin = role("admin", *(acl(t, "$CONTROL/dynamic-security/#") for t in TYPES[:2]),
                 acl("subscribePattern", "$CONTROL/dynamic-security/#"))
    ours, theirs = both(
        clients=[old_client("admin", {"rolename": "admin"}), old_client("u")],
        groups=[{"groupname": "g", "roles": [{"rolename": "r"}],
                 "clients": [{"username": "u"}]}],
        roles=[admin, role("r", acl("publishClientSend", "t"))])
    cases = {
        "unknown": {"command": "fly"},
        "no command": {"x": 1},
        "correlation": {"command": "listClients", "correlationData": 5},
        "createClient without": {"command": "createClient"},
        "createClient type": {"command": "createClient", "username": 5},
        "createClient empty": {"command": "createClient", "username": ""},
        "createClient twice": {"command": "createClient", "username": "u"},
        "createClient password": {"command": "createClient", "username": "x", "password": 5},
        "createClient id": {"command": "createClient", "username": "x", "clientid": 5},
        "createClient textname": {"command": "createClient", "username": "x", "textname": 5},
        "createClient role": {"command": "createClient", "username": "x",
                              "roles": [{"rolename": "no"}]},
        "createClient roles": {"command": "createClient", "username": "x", "roles": [5]},
        "createClient group": {"command": "createClient", "username": "x",
                               "groups": [{"groupname": "no"}]},
        "deleteClient": {"command": "deleteClient", "username": "no"},
        "getClient": {"command": "getClient", "username": "no"},
        "modifyClient": {"command": "modifyClient", "username": "no"},
        "enableClient": {"command": "enableClient", "username": "no"},
        "setClientPassword": {"command": "setClientPassword", "username": "no", "password": "x"},
        "setClientPassword empty": {"command": "setClientPassword", "username": "u",
                                    "password": ""},
        "setClientPassword without": {"command": "setClientPassword", "username": "u"},
        "setClientId type": {"command": "setClientId", "username": "u", "clientid": 5},
        "addClientRole role": {"command": "addClientRole", "username": "u", "rolename": "no"},
        "addClientRole client": {"command": "addClientRole", "username": "no", "rolename": "r"},
        "removeClientRole": {"command": "removeClientRole", "username": "no", "rolename": "r"},
        "createGroup empty": {"command": "createGroup", "groupname": ""},
        "createGroup twice": {"command": "createGroup", "groupname": "g"},
        "createGroup role": {"command": "createGroup", "groupname": "x",
                             "roles": [{"rolename": "no"}]},
        "deleteGroup": {"command": "deleteGroup", "groupname": "no"},
        "getGroup": {"command": "getGroup", "groupname": "no"},
        "addGroupClient twice": {"command": "addGroupClient", "groupname": "g", "username": "u"},
        "addGroupClient client": {"command": "addGroupClient", "groupname": "g",
                                  "username": "no"},
        "addGroupClient group": {"command": "addGroupClient", "groupname": "no",
                                 "username": "u"},
        "addGroupRole twice": {"command": "addGroupRole", "groupname": "g", "rolename": "r"},
        "addGroupRole role": {"command": "addGroupRole", "groupname": "g", "rolename": "no"},
        "setAnonymousGroup": {"command": "setAnonymousGroup", "groupname": "no"},
        "createRole empty": {"command": "createRole", "rolename": ""},
        "createRole twice": {"command": "createRole", "rolename": "r"},
        "deleteRole": {"command": "deleteRole", "rolename": "no"},
        "getRole": {"command": "getRole", "rolename": "no"},
        "modifyRole": {"command": "modifyRole", "rolename": "no"},
        "modifyGroup": {"command": "modifyGroup", "groupname": "no"},
        "command in capitals": {"command": "GETROLE", "rolename": "r"},
        "type in capitals": {"command": "addRoleACL", "rolename": "r",
                             **acl("PUBLISHCLIENTSEND", "t")},
        "addRoleACL role": {"command": "addRoleACL", "rolename": "no",
                            **acl("publishClientSend", "t")},
        "addRoleACL twice": {"command": "addRoleACL", "rolename": "r",
                             **acl("publishClientSend", "t")},
        "addRoleACL type": {"command": "addRoleACL", "rolename": "r", **acl("x", "t")},
        "addRoleACL no type": {"command": "addRoleACL", "rolename": "r", "topic": "t"},
        "addRoleACL topic": {"command": "addRoleACL", "rolename": "r",
                             **acl("publishClientSend", "a#")},
        "addRoleACL no topic": {"command": "addRoleACL", "rolename": "r",
                                "acltype": "publishClientSend"},
        "removeRoleACL": {"command": "removeRoleACL", "rolename": "r",
                          **acl("publishClientSend", "no")},
        "setDefaultACLAccess": {"command": "setDefaultACLAccess"},
        "list": {"command": "listRoles", "count": 1},
        "details": {"command": "getRole", "rolename": "r"},
    }
    answers = []
    for one in (ours, theirs):
        adm = Admin(one.client("adm", username="admin", password="pw"), private=False)
        answers.append({})
        for name, command in cases.items():
            (answer,) = adm.batch(API, [command])
            answer.pop("code", None)
            answers[-1][name] = (answer.get("command"), answer.get("error", "no error"))
    for name in cases:
        mine, theirs_ = answers[0][name], answers[1][name]
        if name in DIFFERENCES:
            assert (mine[1], theirs_[1]) == DIFFERENCES[name][:2], name
        else:
            assert mine == theirs_, (name, mine, theirs_)


# command → (ours, the original's): None of both changes what anybody may do, or 2.1 does so, too
KICKS = {
    "removeGroupRole that is not there": ("stays", "kicked"),
    "removeClientRole that is not there": ("stays", "kicked"),
    "removeGroupClient that is not there": ("stays", "kicked"),
    "modifyRole acls": ("kicked", "stays"),  # 2.1 kicks
    "modifyGroup without members": ("kicked", "stays"),  # 2.1 kicks
}


def test_C5_who_is_disconnected_is_the_originals(both):
    admin = role("admin", *(acl(t, "$CONTROL/dynamic-security/#") for t in TYPES[:2]),
                 acl("subscribePattern", "$CONTROL/dynamic-security/#"))
    pair = both(
        clients=[old_client("admin", {"rolename": "admin"}), old_client("u", {"rolename": "r"}),
                 old_client("v")],
        groups=[{"groupname": "g", "roles": [{"rolename": "s"}], "clients": [{"username": "u"}]},
                {"groupname": "h"}],
        roles=[admin, role("r", acl("publishClientSend", "t")), role("s"), role("n")])
    user, group, of_r = {"username": "u"}, {"groupname": "g"}, {"rolename": "r"}
    new = acl("publishClientSend", "new")
    steps = [
        ("modifyRole text", {**of_r, "textname": "x"}), ("modifyRole acls", {**of_r, "acls": []}),
        ("addRoleACL", {**of_r, **new}), ("removeRoleACL", {**of_r, **new}),
        ("modifyGroup text", {**group, "textname": "x"}), ("modifyClient", {**user}),
        ("addGroupRole", {**group, "rolename": "n"}),
        ("removeGroupRole", {**group, "rolename": "n"}),
        ("removeGroupRole that is not there", {**group, "rolename": "n"}),
        ("addClientRole", {**user, "rolename": "n"}),
        ("removeClientRole", {**user, "rolename": "n"}),
        ("removeClientRole that is not there", {**user, "rolename": "n"}),
        ("removeGroupClient", {**group, **user}),
        ("removeGroupClient that is not there", {**group, **user}),
        ("addGroupClient", {**group, **user}), ("setClientId", {**user, "clientid": "c"}),
        ("setClientPassword", {**user, "password": "pw"}), ("enableClient", {**user}),
        ("setDefaultACLAccess", {"acls": [{"acltype": "subscribe", "allow": True}]}),
        ("createRole", {"rolename": "x"}), ("deleteRole", {"rolename": "x"}),
        ("modifyGroup with members", {"groupname": "h", "clients": [user]}),
        ("modifyGroup without members", {"groupname": "h", "clients": []}),
        ("deleteGroup", {"groupname": "h"}), ("deleteClient other", {"username": "v"}),
        ("deleteRole held", {"rolename": "s"}), ("deleteClient", {**user}),
    ]
    admins = [Admin(one.client("adm", username="admin", password="pw"), False) for one in pair]
    for name, fields in steps:
        seen = []
        for one, adm in zip(pair, admins):
            conn = one.client("c", username="u", password="pw")
            (answer,) = adm.batch(API, [{"command": name.split()[0], **fields}])
            assert "error" not in answer, (name, answer)
            adm.batch(API, [{"command": "listRoles"}])  # both kick before the next answer
            try:
                conn.send(mw.pingreq())
                seen.append("stays" if conn.packet().name == "PINGRESP" else "kicked")
                conn.close()
            except (OSError, mw.WireError):
                seen.append("kicked")
        assert tuple(seen) == KICKS.get(name, (seen[1], seen[1])), name
