"""nj ctl / mosquitto_ctrl: the article's command lines, prompts, answers, exit statuses."""
import json
import re
import subprocess

import pytest

import mqttwire as mw
from mqttwire import V5
from toolbox import ROOT, FakeBroker, Terminal, Tools as AnyTools

pytestmark = pytest.mark.needs("nightjar")

CONFIG = """\
listener {port} 127.0.0.1
dynamic_security {dir}/dynamic-security.json
"""
PW = "a-long-enough-secret"


class Tools(AnyTools):
    """`nj ctl` or `mosquitto_ctrl`, with texts for bytes."""

    def argv(self, tool, args):
        return super().argv("ctrl" if self.is_compat else "ctl", args)

    def run(self, tool, *args, **options):
        result = super().run(tool, *args, **options)
        assert b"Sanitizer" not in result.err, result
        result.out, result.err = result.out.decode(), result.err.decode()
        return result


@pytest.fixture(params=["native", "compat"])
def tools(request):
    return Tools(request.param)


@pytest.fixture
def native():
    return Tools("native")


@pytest.fixture
def managed(broker, tmp_path):
    """A broker with dynamic security, made by `dynsec init`."""
    def make(tools, config=CONFIG):
        file = tmp_path / "dynamic-security.json"
        assert tools.run("ctrl", "dynsec", "init", str(file), "admin", PW).status == 0
        return broker(config, listener=False, anonymous=False, mode=tools.mode,
                      files={"dynamic-security.json": file.read_bytes()})
    return make


class Ctl:
    """Command lines against one broker."""

    def __init__(self, tools, one, *options):
        self.tools = tools
        self.options = ["-h", "127.0.0.1", "-p", str(one.ports["port"]), "-u", "admin", "-P", PW,
                        *options]

    def __call__(self, *words, **options):
        return self.tools.run("ctrl", *self.options, *words, **options)

    def ok(self, *words, out=""):
        result = self(*words)
        assert result.status == 0, result
        if out is not None:
            assert result.out == out, result
        return result.out

    def bad(self, *words, error):
        result = self(*words)
        assert f"{words[1]}: Error: {error}." in result.err, result
        assert result.status == (0 if self.tools.is_compat else 1), result


# ---- the article


def test_A31_init_asks_for_the_password_and_does_not_overwrite(tools, tmp_path):
    file = tmp_path / "dynamic-security.json"
    argv = tools.argv("ctrl", ["dynsec", "init", str(file), "admin"])
    terminal = Terminal(argv)
    terminal.wait_for("New password for admin: ")
    terminal.type(PW + "\n")
    terminal.wait_for("Reenter password for admin: ")
    terminal.type(PW + "\n")
    terminal.wait_for("has been created in the file")
    terminal.end()
    assert terminal.status == 0
    data = json.loads(file.read_text())
    (client,) = data["clients"]
    (role,) = data["roles"]
    assert client["username"] == "admin" and PW not in file.read_text()
    assert {(a["acltype"], a["topic"]) for a in role["acls"]} >= {
        ("publishClientSend", "$CONTROL/dynamic-security/#"), ("subscribePattern", "$SYS/#"),
        ("publishClientReceive", "#")}
    assert file.stat().st_mode & 0o007 == 0
    before = file.read_bytes()
    again = tools.run("ctrl", "dynsec", "init", str(file), "admin", "other-password")
    assert "already exists" in again.err and again.status == (0 if tools.is_compat else 1)
    assert file.read_bytes() == before


def test_A34_create_client_prompts_in_the_articles_order(tools, managed):
    """mosquitto_ctrl -u admin dynsec createClient cedalo"""
    one = managed(tools)
    argv = tools.argv("ctrl", ["-h", "127.0.0.1", "-p", str(one.ports["port"]), "-u", "admin",
                               "dynsec", "createClient", "cedalo"])
    terminal = Terminal(argv)
    for prompt, answer in (("New password for cedalo: ", "cedalo-pw"),
                           ("Reenter password for cedalo: ", "cedalo-pw"),
                           ("Password for admin: ", PW)):
        terminal.wait_for(prompt)
        terminal.type(answer + "\n")
    terminal.end()
    assert terminal.status == 0
    one.client("c", username="cedalo", password="cedalo-pw").close()


def test_A36_a_client_id_is_bound_to_its_client(tools, managed):
    """mosquitto_ctrl <options> dynsec createClient <username> -i <client id>"""
    one = managed(tools)
    ctl = Ctl(tools, one)
    ctl.ok("dynsec", "createClient", "bound", "-i", "the-id", "-p", "pw")
    ctl.ok("dynsec", "createClient", "old-way", "-c", "old-id", "-p", "pw")
    one.client("the-id", username="bound", password="pw").close()
    conn = one.conn()
    conn.send(mw.connect("other-id", V5, username="bound", password="pw"))
    assert conn.expect("CONNACK").reason == 0x87
    assert "Clientid: old-id" in ctl.ok("dynsec", "getClient", "old-way", out=None)


def test_A37_groups_roles_and_rights_work_while_the_broker_runs(tools, managed):
    one = managed(tools)
    ctl = Ctl(tools, one)
    for words in ("createRole writer", "addRoleACL writer publishClientSend demo/# allow 5",
                  "addRoleACL writer publishClientSend demo/secret deny 10",
                  "createGroup team", "addGroupRole team writer 3",
                  "createClient dev -p dev-pw", "addGroupClient team dev"):
        ctl.ok("dynsec", *words.split())
    conn = one.client("dev", username="dev", password="dev-pw")
    conn.publish("demo/x", b"m", 1, reason=(0, 0x10))
    conn.publish("demo/secret", b"m", 1, reason=0x87)
    conn.publish("else", b"m", 1, reason=0x87)
    assert ctl.ok("dynsec", "getGroup", "team", out=None) == (
        "Groupname: team\nRoles:     writer (priority: 3)\nClients:   dev\n")
    assert ctl.ok("dynsec", "getRole", "writer", out=None) == (
        "Rolename: writer\n"
        "ACLs:     publishClientSend    : deny  : demo/secret (priority: 10)\n"
        "          publishClientSend    : allow : demo/# (priority: 5)\n")
    ctl.ok("dynsec", "removeGroupClient", "team", "dev")
    if tools.is_compat:
        conn.expect_closed()
        conn = one.client("dev", username="dev", password="dev-pw")
    conn.publish("demo/x", b"m", 1, reason=0x87)


# ---- answers in the original's shapes


def test_every_command_has_the_originals_answer(tools, managed):
    one = managed(tools)
    ctl = Ctl(tools, one)
    script = [
        ("createRole r1", ""), ("createRole r2", ""), ("createGroup g1", ""),
        ("addRoleACL r1 publishClientSend a/b allow 5", ""),
        ("addRoleACL r1 subscribePattern a/# deny", ""),
        ("createClient bob -p pw -i bobid", ""), ("addClientRole bob r1", ""),
        ("addClientRole bob r2 7", ""), ("addGroupClient g1 bob", ""),
        ("addGroupRole g1 r2 3", ""),
        ("getClient bob", "Username: bob\nClientid: bobid\nRoles:    r2 (priority: 7)\n"
                          "          r1 (priority: -1)\nGroups:   g1 (priority: -1)\n"),
        ("getRole r1", "Rolename: r1\nACLs:     publishClientSend    : allow : a/b (priority: 5)\n"
                       "          subscribePattern     : deny  : a/# (priority: 0)\n"),
        ("getRole r2", "Rolename: r2\n"),
        ("listClients", "admin\nbob\n"), ("listClients 1", "admin\n"),
        ("listClients 1 1", "bob\n"), ("listGroups", "g1\n"), ("listRoles", "admin\nr1\nr2\n"),
        ("getDefaultACLAccess", "publishClientSend    : deny\npublishClientReceive : allow\n"
                                "subscribe            : deny\nunsubscribe          : allow\n"),
        ("setDefaultACLAccess subscribe allow", ""),
        ("getAnonymousGroup", "\n"), ("setAnonymousGroup g1", ""), ("getAnonymousGroup", "g1\n"),
        ("disableClient bob", ""),
        ("getClient bob", "Username: bob\nClientid: bobid\nDisabled: true\n"
                          "Roles:    r2 (priority: 7)\n          r1 (priority: -1)\n"
                          "Groups:   g1 (priority: -1)\n"),
        ("enableClient bob", ""), ("setClientPassword bob pw2", ""), ("setClientId bob x", ""),
        ("setClientId bob", ""), ("removeRoleACL r1 subscribePattern a/#", ""),
        ("removeClientRole bob r1", ""), ("removeGroupClient g1 bob", ""),
        ("removeGroupRole g1 r2", ""), ("deleteClient bob", ""), ("deleteRole r1", ""),
        ("modifyRole r2 allowWildcardSubs false", ""), ("modifyGroup g1 textName Some", ""),
    ]
    for words, out in script:
        ctl.ok("dynsec", *words.split(), out=out)
    for words, error in [("getClient nobody", "Client not found"),
                         ("createRole r2", "Role already exists"),
                         ("deleteGroup g1", "Deleting the anonymous group is forbidden"),
                         ("addClientRole admin nope", "Role not found")]:
        ctl.bad("dynsec", *words.split(), error=error)


def test_status_and_text_of_what_makes_no_sense(tools, managed):
    one = managed(tools)
    ctl = Ctl(tools, one)
    for words, status, text in [
            ("dynsec fly", 13, "Command 'fly' not recognised."),
            ("dynsec addClientRole bob", 3, "Invalid function arguments provided."),
            ("dynsec createClient", 3, "Invalid function arguments provided."),
            ("dynsec listClients many", 3, "Invalid function arguments provided."),
            ("dynsec addRoleACL r fly a allow", 3, "Invalid function arguments provided."),
            ("dynsec setDefaultACLAccess subscribe perhaps", 3, 'must be "allow" or "deny"'),
            ("broker fly", 13, "Command 'fly' not recognised."),
            ("flies x", 10, "Module 'flies' not supported.")]:
        result = ctl(*words.split())
        assert result.status == status and text in result.err, (words, result)
        assert tools.is_compat or status != 3 or "Usage: nj ctl dynsec" in result.err, result
    assert tools.run("ctrl", "--fly").status == 1
    assert "--fly" in tools.run("ctrl", "--fly").err
    assert tools.run("ctrl", "-h").status == 1


def test_refusals_and_silence(tools, managed):
    """Refused logins, denied requests, nobody there: told, and statuses as each mode has them."""
    one = managed(tools)
    port = str(one.ports["port"])
    wrong = tools.run("ctrl", "-h", "127.0.0.1", "-p", port, "-u", "admin", "-P", "wrong", "dynsec",
                      "listClients")
    assert "onnection error" in wrong.err and wrong.status == (0 if tools.is_compat else 0x87)
    Ctl(tools, one).ok("dynsec", "createClient", "guest", "-p", "pw")
    denied = tools.run("ctrl", "-h", "127.0.0.1", "-p", port, "-u", "guest", "-P", "pw", "dynsec",
                       "listClients")
    assert "ot authorized" in denied.err and denied.status == (0 if tools.is_compat else 0x87)
    nobody = tools.run("ctrl", "-h", "127.0.0.1", "-p", "1", "dynsec", "listClients")
    assert nobody.status == (14 if tools.is_compat else 1) and nobody.err
    exit_0 = Ctl(Tools("native"), one, "--compat-exit")("dynsec", "getClient", "nobody")
    assert exit_0.status == 0 and "Client not found" in exit_0.err


# ---- options


def test_protocols_and_json(native, managed):
    one = managed(native)
    for version in ("31", "311", "5"):
        assert Ctl(native, one, "-V", version).ok("dynsec", "listClients", out=None) == "admin\n"
    answer = json.loads(Ctl(native, one, "--json").ok("dynsec", "listClients", out=None))
    assert answer == {"command": "listClients",
                      "data": {"totalCount": 1, "clients": ["admin"]}}
    result = Ctl(native, one, "--json")("dynsec", "getClient", "nobody")
    assert result.status == 1 and json.loads(result.out)["code"] == 3


def test_defaults_file_and_url(tools, managed, tmp_path):
    one = managed(tools)
    name = "mosquitto_ctrl" if tools.is_compat else "nightjar/ctl"
    file = tmp_path / "config" / name
    file.parent.mkdir(parents=True)
    file.write_text(f"-h 127.0.0.1\n-p {one.ports['port']}\n-u admin\n-P {PW}\n")
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert tools.run("ctrl", "dynsec", "listClients", env=env).out == "admin\n"
    url = f"mqtt://admin:{PW}@127.0.0.1:{one.ports['port']}"
    assert tools.run("ctrl", "-L", url, "dynsec", "listClients").out == "admin\n"
    assert tools.run("ctrl", "-o", str(file), "dynsec", "listClients").out == "admin\n"


def test_a_password_is_set_in_a_file(tools, managed, tmp_path):
    file = tmp_path / "off.json"
    assert tools.run("ctrl", "dynsec", "init", str(file), "admin", "first-password").status == 0
    before = json.loads(file.read_text())["clients"]
    assert tools.run("ctrl", "-f", str(file), "dynsec", "setClientPassword", "admin",
                     PW).status == 0
    assert json.loads(file.read_text())["clients"] != before
    assert tools.run("ctrl", "-f", str(file), "dynsec", "setClientPassword", "admin", PW, "-i",
                     "2000").status == 0
    assert "$7$2000$" in json.loads(file.read_text())["clients"][0]["encoded_password"]
    missing = tools.run("ctrl", "-f", str(file), "dynsec", "setClientPassword", "nobody", PW)
    assert missing.err and missing.status == (0 if tools.is_compat else 1)
    assert tools.run("ctrl", "-f", str(file), "dynsec", "setClientPassword").status == 3
    assert tools.run("ctrl", "-f", str(file), "dynsec", "listClients").status == 13


def test_an_answer_to_somebody_else_is_not_taken_for_ours(native):
    """A broker that, as the original, sends every administrator every answer: only the one with our
    correlation data counts."""
    def answer(packet):
        (request,) = mw.split(packet, V5)
        command = json.loads(request.payload)["commands"][0]
        topic = "$CONTROL/dynamic-security/v1/response"
        out = mw.puback(request.packet_id, V5)
        for name, mark in (("not-ours", "other"), ("not-ours", None),
                           ("ours", command["correlationData"])):
            response = {"command": "listClients", "data": {"clients": [name]}}
            if mark:
                response["correlationData"] = mark
            out += mw.publish(topic, json.dumps({"responses": [response]}).encode(), version=V5)
        return out

    def suback(packet):
        (request,) = mw.split(packet, V5)
        return mw.suback(request.packet_id, [0], V5)
    with FakeBroker([mw.connack(V5), suback, answer], version=V5) as fake:
        result = native.run("ctrl", *fake.args(), "dynsec", "listClients")
    assert result.out == "ours\n" and result.status == 0


# ---- other modules


def test_other_apis_take_keys_and_values(native, managed):
    one = managed(native)
    ctl = Ctl(native, one)
    ctl.ok("dynsec", "addRoleACL", "admin", "publishClientSend", "$CONTROL/#", "allow")
    assert "Port:         " + str(one.ports["port"]) in ctl.ok("broker", "listListeners", out=None)
    assert "dynamic-security" in ctl.ok("broker", "listPlugins", out=None)
    data = json.loads(ctl.ok("nightjar", "canI", "checks=" + json.dumps(
        [{"username": "admin", "action": "publish", "topic": "$CONTROL/broker/v1"}]), out=None))
    assert data["results"][0]["allowed"] is True
    sessions = json.loads(ctl.ok("nightjar", "listSessions", "count=10", out=None))
    assert sessions["sessions"][0]["username"] == "admin"
    assert ctl("nightjar", "listSessions", "count").status == 3
    ctl.bad("nightjar", "getSession", "clientid=nobody", error="Session not found")
    explained = json.loads(ctl.ok("nightjar", "explain", "username=admin", "action=publish",
                                  "topic=a/b", out=None))
    assert explained["allowed"] is False and explained["why"]


def test_a_generated_password_is_shown_once(native, managed):
    one = managed(native)
    ctl = Ctl(native, one)
    out = ctl.ok("dynsec", "createClient", "device", "--generate-password", out=None)
    password = re.fullmatch(r"Password: (\S{20,})\n", out)[1]
    one.client("d", username="device", password=password).close()
    assert password not in one.log_text()


# ---- the shell


def test_the_shell_runs_commands_line_by_line(native, managed):
    one = managed(native)
    script = ("# a comment\ndynsec\ncreateRole \"two words\"\nlistRoles\nreturn\n"
              "dynsec getRole \"two words\"\nfly\nhelp\nexit\nlistRoles\n")
    result = Ctl(native, one)(data=script.encode())
    assert result.status == 0
    assert "admin\ntwo words\nRolename: two words\n" in result.out
    assert "Module 'fly' not supported" in result.err


def test_the_shell_connects_and_asks_for_a_password(native, managed):
    one = managed(native)
    terminal = Terminal(native.argv("ctrl", []))
    terminal.wait_for("> ")
    terminal.type("auth admin\n")
    terminal.type(f"connect mqtt://127.0.0.1:{one.ports['port']}\n")
    terminal.wait_for("Password for admin: ")
    terminal.type(PW + "\n")
    terminal.type("dynsec listClients\n")
    terminal.wait_for("admin\r?\n")
    terminal.type("exit\n")
    terminal.end()
    assert terminal.status == 0


def test_help_of_modules(tools):
    out = tools.run("ctrl", "dynsec", "help").out
    for command in ("createClient", "addRoleACL", "setAnonymousGroup"):
        assert command in out
    assert "listListeners" in tools.run("ctrl", "broker", "help").out


# ---- the original's tool as a foreign client


def test_the_originals_own_tool_manages_this_broker(tools, managed):
    """Debian's mosquitto_ctrl 2.0, which ends with 0 and knows no broker module."""
    root = ROOT / ".dev" / "peers" / "mosquitto" / "root"
    tool = root / "usr/bin/mosquitto_ctrl"
    if not tool.exists():
        pytest.skip("`./dev bench` unpacks Debian's mosquitto")
    one = managed(tools)

    def ask(*words):
        done = subprocess.run(
            [tool, "-h", "127.0.0.1", "-p", str(one.ports["port"]), "-u", "admin", "-P", PW,
             "dynsec", *words], capture_output=True, timeout=30, text=True,
            env={"LD_LIBRARY_PATH": str(root / "usr/lib/x86_64-linux-gnu")})
        assert done.returncode == 0 and "Invalid response" not in done.stderr, done
        return done.stdout, done.stderr
    for words in ("createRole r", "addRoleACL r publishClientSend a/# allow 5", "createGroup g",
                  "createClient bob -p pw -c bobid", "addClientRole bob r 7",
                  "addGroupClient g bob", "addGroupRole g r 3", "setAnonymousGroup g",
                  "setDefaultACLAccess subscribe deny", "setClientPassword bob pw2"):
        assert "Error" not in ask(*words.split())[1], words
    assert ask("getClient", "bob")[0] == (
        "Username: bob\nClientid: bobid\nRoles:    r (priority: 7)\n"
        "Groups:   g (priority: -1)\n")
    assert ask("getGroup", "g")[0] == (
        "Groupname: g\nRoles:     r (priority: 3)\nClients:   bob\n")
    assert ask("getAnonymousGroup")[0] == "g\n"
    assert ask("listClients")[0] == "admin\nbob\n"
    assert "Error: Client not found" in ask("getClient", "nobody")[1]
