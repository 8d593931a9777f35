"""nj check and nj explain as processes."""
import datetime
import json
import re
import shutil

import pytest

import passwords
from toolbox import BIN, Tools

pytestmark = pytest.mark.skipif(not (BIN / "nj").exists(), reason="nj is not built")


@pytest.fixture
def native():
    return Tools("native")


@pytest.fixture
def here(tmp_path):
    """Writes a file with a mode of its own, and runs the tools there."""
    class Place:
        path = tmp_path

        def write(self, name, text, mode=0o640):
            file = tmp_path / name
            file.write_text(text)
            file.chmod(mode)
            return file

        def check(self, *args, status=None):
            done = Tools("native").run("check", "--json", *args, cwd=tmp_path)
            assert done.err == b"", done
            answer = json.loads(done.out)
            if status is not None:
                assert done.status == status, done
            return answer

        def found(self, *args, status=None):
            """severity, code, file and line of all findings but those about the modes."""
            return [(f["severity"], f["code"], f["file"], f["line"])
                    for f in self.check(*args, status=status)["findings"] if f["code"] != "mode"]
    return Place()


def hashed(native, here, *lines):
    file = here.path / "hashes"
    for args in lines:
        native.run("passwd", *(["-c"] if not file.exists() else []), *args[:-2], "-b", file,
                   *args[-2:]).expect(0)
    return file


# ---- ACL files

ACL = """topic read public/#
topic deny public/secret

user alice
topic read sensors/+/temp
topic write alarms/alice
topic deny sensors/#
topic dney x
user bob
topic readwrite machines/#
topic read machines/1
topic a/b/#/c
pattern read public/%u
pattern write $SYS/x
pattern readwrite #
"""


def test_every_bad_line_of_an_acl_is_found(here):
    here.write("acl", ACL)
    found = here.found("acl", status=2)
    assert [f for f in found if f[0] == "error"] == [
        ("error", "acl-invalid", "acl", 8), ("error", "acl-invalid", "acl", 12)]


def test_rules_that_never_decide_are_found(here):
    here.write("acl", ACL)
    found = here.found("acl")
    assert ("warning", "acl-unreachable", "acl", 5) in found     # deny of the same list
    assert ("warning", "acl-unreachable", "acl", 13) in found    # leading lines come first
    assert ("note", "acl-redundant", "acl", 11) in found
    assert ("warning", "acl-no-effect", "acl", 14) in found
    assert ("warning", "acl-wide", "acl", 15) in found
    assert ("note", "acl-leading", "acl", 1) in found
    assert not [f for f in found if f[3] in (6, 7, 10)]


def test_half_dead_rules_say_which_half(here):
    here.write("acl", "topic read a/#\npattern readwrite a/%u\n")
    text = [f["text"] for f in here.check("acl", status=0)["findings"] if f["line"] == 2]
    assert text == ["the read that it gives never counts: line 1 is asked first"]


@pytest.mark.parametrize("first, second, is_covered", [
    ("topic deny a/#", "topic read a", True), ("topic deny a/+", "topic read a/b", True),
    ("topic deny +/b", "topic read a/b", True), ("topic deny a/+", "topic read a/b/c", False),
    ("topic deny #", "topic read $SYS/a", False), ("topic deny +/#", "topic read #", True),
    ("topic deny a/b", "topic read a/+", False), ("pattern deny a/%u", "pattern read a/%u", True),
    ("pattern deny a/+", "pattern read a/%c", True), ("pattern deny a/%u", "pattern read a/%c", False),
    ("pattern deny +", "pattern read %u", True), ("topic deny a", "topic deny a", False),
])
def test_what_covers_what(here, first, second, is_covered):
    here.write("acl", f"user u\n{first}\n{second}\n")
    lines = [f[3] for f in here.found("acl") if f[1] == "acl-unreachable"]
    assert lines == ([3] if is_covered else [])


def test_modes_read_an_acl_in_their_own_ways(here):
    here.write("acl", "Topic read a\npattern read x%u\n")
    assert ("error", "acl-invalid", "acl", 2) in here.found("acl", status=2)
    compat = here.found("--compat", "mosquitto", "acl", status=2)
    assert ("error", "acl-invalid", "acl", 1) in compat
    assert ("warning", "acl-doubtful", "acl", 2) in compat


def test_an_empty_acl_denies_everything(here):
    here.write("acl", "")
    assert here.found("--as", "acl", "acl", status=0) == [("warning", "acl-empty", "acl", None)]


def test_many_findings_of_a_kind_are_counted(here):
    here.write("acl", "user a\n" + "topic read x\n" * 100)
    answer = here.check("acl", status=0)
    notes = [f for f in answer["findings"] if f["code"] == "acl-redundant"]
    assert len(notes) == 21 and any("more of this kind" in f["text"] for f in notes)


# ---- password files

def test_weak_and_broken_password_lines(here, native):
    file = hashed(native, here, ("alice", "secret"), ("-H", "sha512", "bob", "x"),
                  ("-H", "sha512-pbkdf2", "-I", "101", "carl", "x"))
    text = file.read_text() + "plain:password\nnocolon\n# comment\n\n" + file.read_text().splitlines()[0]
    here.write("pw", text, 0o600)
    assert here.found("pw", status=2) == [
        ("error", "password-invalid", "pw", 4), ("error", "password-invalid", "pw", 5),
        ("error", "password-invalid", "pw", 8), ("warning", "weak-hash", "pw", 2),
        ("warning", "weak-hash", "pw", 3)]


def test_who_may_read_or_change_a_file(here, native):
    file = hashed(native, here, ("alice", "secret"))
    file.chmod(0o646)
    assert sorted(here.found("hashes", status=0)) == [
        ("warning", "file-readable", "hashes", None), ("warning", "file-writable", "hashes", None)]
    assert here.found("--strict", "hashes", status=1)
    file.chmod(0o600)
    assert here.found("--strict", "hashes", status=0) == []


# ---- configurations

def test_the_first_thing_that_is_refused_has_its_place(here):
    here.write("x.conf", "listener 1883\nlistenr 1884\n")
    assert ("error", "config-invalid", "x.conf", 2) in here.found("x.conf", status=2)
    here.write("x.conf", "include_dir conf.d\n")
    (here.path / "conf.d").mkdir()
    here.write("conf.d/a.conf", "\n\nallow_anonymous maybe\n")
    found = here.found("x.conf", status=2)
    assert ("error", "config-invalid", "conf.d/a.conf", 3) in found


def test_mistakes_of_a_configuration_are_found_one_after_the_other(here):
    here.write("x.conf", "listener 1883 127.0.0.1\nlistenr 1884\nallow_anonymous maybe\n"
               "max_qos 7\nacl_file nothing-here\nmax_keepalive 5x\n")
    found = here.found("x.conf", status=2)
    assert [f[3] for f in found if f[1] == "config-invalid"] == [2, 3, 4, 6]
    assert ("error", "file-unreadable", "nothing-here", None) in found


def test_what_depends_on_a_bad_line_is_not_called_bad(here):
    here.write("x.conf", "listener 99999\nmax_qos 1\nallow_anonymous maybe\n")
    assert [f[3] for f in here.found("x.conf", status=2)] == [1]


def test_a_good_configuration_is_good(here, native):
    hashed(native, here, ("alice", "secret"))
    here.write("acl", "user alice\ntopic readwrite a/#\n")
    here.write("x.conf", "listener 1883 127.0.0.1\npassword_file hashes\nacl_file acl\n")
    assert here.found("--strict", "x.conf", status=0) == []
    assert here.check("x.conf")["compat"] == "none"


def test_what_is_open_to_the_network(here, native):
    hashed(native, here, ("alice", "secret"))
    here.write("x.conf", "listener 1883\npassword_file hashes\nlistener 1884\nallow_anonymous true\n")
    codes = [(f[0], f[1]) for f in here.found("x.conf", status=0)]
    assert codes.count(("warning", "clear-passwords")) == 2
    assert ("warning", "open-listener") in codes and ("warning", "no-acl") in codes


def test_a_listener_that_lets_nobody_in(here):
    here.write("x.conf", "listener 1883 127.0.0.1\nallow_anonymous false\n")
    assert ("warning", "nobody-gets-in", "x.conf", None) in here.found("x.conf")


def test_users_that_nobody_knows(here, native):
    hashed(native, here, ("alice", "secret"))
    here.write("acl", "user Alice\ntopic read a\nuser alice\ntopic read a\n")
    here.write("x.conf", "listener 1883 127.0.0.1\npassword_file hashes\nacl_file acl\n")
    assert here.found("x.conf") == [("warning", "acl-unknown-user", "acl", 2)]


def test_what_differs_in_the_other_mode_is_told(here):
    here.write("x.conf", "listener 1883 127.0.0.1\nallow_anonymous true\nacl_default allow\n")
    native = [f["text"] for f in here.check("x.conf")["findings"] if f["code"] == "mode"]
    compat = here.check("--compat", "mosquitto", "x.conf")
    other = [f["text"] for f in compat["findings"] if f["code"] == "mode"]
    assert len(native) > 10 and len(other) > 10 and not set(native) & set(other)
    assert compat["compat"] == "mosquitto"
    here.write("y.conf", "compat mosquitto\nlistener 1883 127.0.0.1\n")
    assert here.check("y.conf")["compat"] == "mosquitto"


def test_certificates_are_looked_at(here, pki, native):
    for name in ("server.crt", "server.key", "ca.crt"):
        shutil.copy(pki.dir / name, here.path / name)
    (here.path / "server.key").chmod(0o644)
    here.write("x.conf", "listener 8883\ncertfile server.crt\nkeyfile server.key\ncafile ca.crt\n"
               "allow_anonymous true\nacl_default allow\n")
    codes = {(f[0], f[1], f[2]) for f in here.found("x.conf", status=0)}
    assert ("warning", "file-readable", "server.key") in codes
    assert not [c for c in codes if c[1] in ("tls", "expired")]
    shutil.copy(pki.dir / "ca.crt", here.path / "server.crt")  # the key is another one's
    found = here.check("x.conf", status=2)["findings"]
    assert [f["text"] for f in found if f["code"] == "tls"], found


def make_certificate(path, days):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    now = datetime.datetime.utcnow()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key()).serial_number(7)
            .not_valid_before(now - datetime.timedelta(days=60))
            .not_valid_after(now + datetime.timedelta(days=days)).sign(key, hashes.SHA256()))
    (path / "c.crt").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (path / "c.key").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    (path / "c.key").chmod(0o600)


@pytest.mark.parametrize("days, code", [(10, "expires-soon"), (-2, "expired"), (400, None)])
def test_ends_of_certificates_are_told(here, days, code):
    pytest.importorskip("cryptography")
    make_certificate(here.path, days)
    here.write("x.conf", "listener 8883 127.0.0.1\ncertfile c.crt\nkeyfile c.key\n"
               "allow_anonymous true\nacl_default allow\n")
    codes = {f[1] for f in here.found("x.conf") if f[2] == "c.crt"}
    assert "weak-key" in codes or any(f[1] == "tls" for f in here.found("x.conf"))
    assert (code in codes) if code else not codes & {"expires-soon", "expired"}


# ---- dynamic security

def dynsec_text(**parts):
    """A file that is good: an administrator with a good hash, a role, a group and a member."""
    strong = "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$" + "A" * 43
    content = {
        "defaultACLAccess": {"publishClientSend": False, "publishClientReceive": True,
                             "subscribe": False, "unsubscribe": True},
        "clients": [{"username": "admin", "encoded_password": strong,
                     "roles": [{"rolename": "admin"}]}, {"username": "u"}],
        "groups": [{"groupname": "g", "roles": [], "clients": [{"username": "u"}]}],
        "roles": [{"rolename": "admin", "acls": [
            {"acltype": "publishClientSend", "topic": "$CONTROL/#", "allow": True}]}], **parts}
    return json.dumps(content, indent=1)


def test_a_good_file_of_dynamic_security_is_good(here):
    here.write("ds.json", dynsec_text(), 0o600)
    assert here.found("--strict", "ds.json", status=0) == []
    assert here.check("ds.json")["kind"] == "dynsec"


@pytest.mark.parametrize("text, place, words", [
    ("{", (1, 2), "a key has to stand here"),
    ('{"clients":\n [{"username" "u"}]}', (2, 18), "':' expected near '\"u\"'"),
    ('{"clients": [\n  {"username": "u"},\n  {"username": "u}\n]}', (3, 16), "no end"),
    ('{"roles": []}\nx', (2, 1), "nothing may stand behind"),
    ('{"roles": {}}', (1, 11), "has to be a list"),
    ('{"clients": [{"username": "u", "disabled": "yes"}]}', (1, 14), "true or false"),
    ('{"changeIndex": "1"}', (1, 17), "whole number"),
])
def test_what_is_wrong_with_the_json_has_line_and_column(here, text, place, words):
    here.write("ds.json", text, 0o600)
    (found,) = here.check("--as", "dynsec", "ds.json", status=2)["findings"]
    assert (found["severity"], found["code"]) == ("error", "dynsec-invalid")
    assert words in found["text"]
    assert (found["line"], found["column"]) == place, found
    plain = Tools("native").run("check", "--as", "dynsec", "ds.json", cwd=here.path)
    assert f"ds.json:{place[0]}:{place[1]}: error: " in plain.out.decode()


def test_each_bad_element_is_found(here):
    """One after the other, and with them no names that only they would have brought."""
    here.write("ds.json", """{ "clients": [
 {"username": "a", "roles": [{"rolename": "r"}]},
 {"username": "b", "encoded_password": "$9$x"},
 {"username": "a"},
 {"username": "c", "groups": [{"groupname": "g"}, {"groupname": "g"}]},
 {"username": "a"}],
"groups": [{"groupname": "g"},
 {"groupname": "g"}],
"roles": [{"rolename": "r", "acls": [{"acltype": "publishClientSend", "topic": "a#"}]},
 {"rolename": "s", "acls": [{"acltype": "fly", "topic": "a"}]},
 {"rolename": "t", "colour": "red"}],
"more": 1 }""", 0o600)
    found = here.found("ds.json", status=2)
    assert found == [("error", "dynsec-invalid", "ds.json", line)
                     for line in (3, 4, 5, 6, 8, 9, 10, 11, 12)]


def test_names_that_stand_for_nothing_are_found(here):
    here.write("ds.json", dynsec_text(
        clients=[{"username": "u", "roles": [{"rolename": "no-role"}],
                  "groups": [{"groupname": "no-group"}]}],
        groups=[{"groupname": "g", "roles": [{"rolename": "no-role-2"}],
                 "clients": [{"username": "no-client"}]}],
        anonymousGroup="no-group-2", certificateGroup="no-group-3"), 0o600)
    found = [f for f in here.check("ds.json", status=0)["findings"]
             if f["code"] == "dynsec-unknown-name"]
    texts = " ".join(f["text"] for f in found)
    for name in ("no-role", "no-group", "no-role-2", "no-client", "no-group-2", "no-group-3"):
        assert f'"{name}"' in texts, texts
    assert len(found) == 6 and all(f["line"] and f["column"] for f in found)
    assert here.check("--strict", "ds.json", status=1)


def test_unknown_keys_of_dynamic_security_are_an_error_or_a_warning(here):
    here.write("ds.json", dynsec_text(colour=1, clients=[{"username": "u", "size": 2}]), 0o600)
    native = [f for f in here.found("ds.json", status=2) if f[0] == "error"]
    assert [f[1] for f in native] == ["dynsec-invalid"] * 2
    compat = here.found("--compat", "mosquitto", "ds.json", status=0)
    assert [f[1] for f in compat if f[1] == "dynsec-unknown-key"] == ["dynsec-unknown-key"] * 2


def test_weak_hashes_of_dynamic_security(here):
    old = passwords.pbkdf2("pw", 101).split("$")
    here.write("ds.json", dynsec_text(clients=[
        {"username": "six", "encoded_password": passwords.sha512("pw")},
        {"username": "seven", "encoded_password": passwords.pbkdf2("pw", 101)},
        {"username": "old", "password": old[4], "salt": old[3], "iterations": 101},
        {"username": "strong", "encoded_password": passwords.pbkdf2("pw", 210000)}]), 0o600)
    weak = [(f["severity"], f["text"].split("'")[1]) for f in here.check("ds.json")["findings"]
            if f["code"] == "weak-hash"]
    assert sorted(name for _, name in weak) == ["old", "seven", "six"]


@pytest.mark.parametrize("change, is_locked", [
    ({}, False), ({"disabled": True}, True), ({"encoded_password": None}, True),
    ({"encoded_password": None, "certificateLogin": True}, False), ({"roles": []}, True)])
def test_an_administrator_who_is_shut_out_is_told(here, change, is_locked):
    content = json.loads(dynsec_text())
    content["clients"][0].update(change)
    content["clients"][0] = {k: v for k, v in content["clients"][0].items() if v is not None}
    here.write("ds.json", json.dumps(content), 0o600)
    codes = [f[1] for f in here.found("ds.json", status=0)]
    assert codes == (["dynsec-lockout"] if is_locked else [])


def test_a_deny_that_comes_first_shuts_out_too(here):
    deny = {"acltype": "publishClientSend", "topic": "$CONTROL/dynamic-security/#", "priority": 9}
    allow = {"acltype": "publishClientSend", "topic": "$CONTROL/#", "allow": True}
    here.write("ds.json", dynsec_text(roles=[{"rolename": "admin", "acls": [deny, allow]}]), 0o600)
    assert [f[1] for f in here.found("ds.json")] == ["dynsec-lockout"]


def test_rights_of_those_without_an_account_and_open_defaults_are_told(here):
    content = json.loads(dynsec_text(anonymousGroup="g", certificateGroup="g"))
    content["groups"][0]["roles"] = [{"rolename": "admin"}]
    content["defaultACLAccess"]["publishClientSend"] = True
    here.write("ds.json", json.dumps(content), 0o604)
    found = [(f[0], f[1]) for f in here.found("ds.json", status=0)]
    assert sorted(found) == [
        ("note", "dynsec-wide"), ("warning", "dynsec-open-admin"),
        ("warning", "dynsec-open-admin"), ("warning", "file-readable")]


def test_a_configuration_leads_to_its_dynamic_security(here):
    here.write("x.conf", "listener 1883 127.0.0.1\ndynamic_security ds.json\n")
    assert ("note", "dynsec-first", "ds.json", None) in here.found("x.conf", status=0)
    here.write("ds.json", dynsec_text(roles=[]), 0o600)
    here.write("ds.json.journal", "x", 0o600)
    found = here.found("x.conf", status=0)
    assert ("warning", "dynsec-lockout", "ds.json", None) in found
    assert ("note", "dynsec-journal", "ds.json", None) in found
    here.write("ds.json", "{")
    assert ("error", "dynsec-invalid", "ds.json", 1) in here.found("x.conf", status=2)


# ---- the command line of check

def test_mistakes_on_the_line_of_check(native, here):
    native.run("check").expect(3, "", re.compile("Usage: nj check"))
    native.run("check", "--bogus", "x").expect(3, "", re.compile("Unknown option '--bogus'"))
    native.run("check", "--as", "poem", "x").expect(3, "", re.compile("--as takes"))
    native.run("check", "--compat", "maybe", "x").expect(3, "", re.compile("--compat takes"))
    native.run("check", "a", "b").expect(3, "", re.compile("one file at a time"))
    native.run("check", "--help").expect(0, re.compile("--strict"), "")
    native.run("check", "/nonexistent/x").expect(2, re.compile("/nonexistent/x"), "")


@pytest.mark.parametrize("content", [b"", b"\0", b"\xff\xfe", b"user\n", b"topic\n", b"a:$b\n",
                                     b"x" * 100000, b"\xef\xbb\xbftopic read a\n", b"\n\n\n"])
@pytest.mark.parametrize("kind", ["config", "acl", "passwords", "dynsec"])
def test_whatever_a_file_holds_there_is_an_answer(native, tmp_path, content, kind):
    (tmp_path / "f").write_bytes(content)
    done = native.run("check", "--as", kind, "--json", tmp_path / "f")
    assert done.status in (0, 2) and b"Sanitizer" not in done.err
    assert json.loads(done.out)["kind"] == kind


def test_findings_cannot_steer_a_terminal(native, here):
    here.write("acl", "user a\ntopic read x\n\x1b[2J evil\n")
    done = native.run("check", here.path / "acl")
    assert b"\x1b" not in done.out


# ---- explain

def explain(here, *args, status):
    done = Tools("native").run("explain", "--json", *args, cwd=here.path)
    assert done.status == status and done.err == b"", done
    return json.loads(done.out)


def test_a_denial_is_explained_and_the_change_allows(here):
    file = here.write("acl", "user alice\ntopic write alarms/alice\n\nuser bob\ntopic read x\n")
    args = ("--acl", "acl", "-u", "alice", "publish", "alarms/bob")
    answer = explain(here, *args, status=1)
    assert answer["near"] == [{"where": "acl:2", "rule": "topic write alarms/alice",
                               "why": "its level 2 is 'alice', the topic's is 'bob'"}]
    assert answer["change"] == [{"do": "add", "where": "acl", "line": 2,
                                 "text": "topic write alarms/bob"}]
    lines = file.read_text().splitlines()
    lines.insert(answer["change"][0]["line"], answer["change"][0]["text"])
    file.write_text("\n".join(lines) + "\n")
    answer = explain(here, *args, status=0)
    assert answer["where"] == "acl:3" and answer["change"] == []


def test_a_configuration_is_asked_as_its_broker_would_be(here, native):
    hashed(native, here, ("alice", "secret"))
    here.write("acl", "user alice\ntopic read a/#\n")
    here.write("x.conf", "listener 1883 127.0.0.1\npassword_file hashes\nacl_file acl\n")
    answer = explain(here, "-c", "x.conf", "-u", "alice", "subscribe", "a/+", status=0)
    assert answer["login"] is None and answer["where"] == "acl:2"
    answer = explain(here, "-c", "x.conf", "-u", "mallory", "subscribe", "a/+", status=1)
    assert "not known" in answer["login"]
    answer = explain(here, "-c", "x.conf", "receive", "a/b", status=1)
    assert "anonymous" in answer["login"]


def test_listeners_have_their_own_answers(here):
    here.write("a1", "topic read a\n")
    here.write("a2", "topic deny a\n")
    here.write("x.conf", "per_listener_settings true\n"
               "listener 1883 127.0.0.1\nallow_anonymous true\nacl_file a1\n"
               "listener 1884 127.0.0.1\nallow_anonymous true\nacl_file a2\nmount_point m/\n")
    explain(here, "-c", "x.conf", "-p", "1883", "receive", "a", status=0)
    answer = explain(here, "-c", "x.conf", "-p", "1884", "receive", "a", status=1)
    assert answer["topic"] == "m/a"
    Tools("native").run("explain", "-c", "x.conf", "-p", "7", "receive", "a", cwd=here.path).expect(
        2, "", re.compile("no listener has the port '7'; there are: port 1883 on 127.0.0.1,"))


def test_compat_mode_is_explained_as_such(here):
    here.write("acl", "topic read a\n")
    explain(here, "--acl", "acl", "-u", "bob", "receive", "a", status=0)
    answer = explain(here, "--acl", "acl", "--compat", "mosquitto", "-u", "bob", "receive", "a",
                     status=1)
    assert answer["near"][0]["why"] == "is for anonymous clients only"
    explain(here, "--acl", "acl", "--compat", "mosquitto", "-u", "bob", "subscribe", "zz", status=0)


def test_explanations_read_well(here, native):
    here.write("acl", "user alice\ntopic deny a/#\ntopic read a/b\n")
    native.run("explain", "--acl", "acl", "-u", "alice", "receive", "a/b", cwd=here.path).expect(
        1, """DENIED: the user 'alice' may not receive 'a/b'.
  a rule of the ACL file denies it.
  Rule: acl:2: topic deny a/#
Rules that come close:
    acl:3: topic read a/b
        matches as well and allows, but another rule is asked first
To allow it, remove line 2 of acl:
    topic deny a/#
""", "")


def test_mistakes_on_the_line_of_explain(native, here):
    here.write("acl", "topic read a\n")
    def bad(*args):
        return native.run("explain", *args, cwd=here.path)
    bad().expect(2, "", re.compile("Usage: nj explain"))
    bad("publish").expect(2, "", re.compile("an action and a topic are needed"))
    bad("--acl", "acl", "eat", "a").expect(2, "", re.compile("'eat' is no action"))
    bad("--acl", "acl", "publish", "a/#").expect(2, "", re.compile("no valid topic"))
    bad("--acl", "acl", "subscribe", "a/#/b").expect(2, "", re.compile("no valid filter"))
    bad("--acl", "acl", "publish", "a", "b").expect(2, "", re.compile("'b' is too much"))
    bad("--acl").expect(2, "", re.compile("--acl needs a value"))
    bad("--acl", "none", "publish", "a").expect(2, "", re.compile("none"))
    bad("--acl", "acl", "-c", "x", "publish", "a").expect(2, "", re.compile("without a conf"))
    bad("-c", "/nonexistent", "publish", "a").expect(2, "", re.compile("/nonexistent"))
    bad("--help").expect(0, re.compile("--listener"), "")


# ---- explain, asking a broker

ONLINE_ACL = """user admin
topic readwrite $CONTROL/#
user alice
topic write alarms/alice
"""


@pytest.fixture
def one(shared_broker):
    users = "".join(f"{name}:{passwords.sha512(name)}\n" for name in ("admin", "alice"))
    return shared_broker("password_file {dir}/pw\nacl_file {dir}/acl\nenable_control_api true\n",
                         mode="native", files={"pw": users, "acl": ONLINE_ACL})


@pytest.mark.needs("nightjar")
def test_a_running_broker_explains_as_its_files_do(one, here):
    options = here.write("options", f"-h 127.0.0.1\n-p {one.ports['port']}\n-u admin\n-P admin\n")
    args = ("-u", "alice", "publish", "alarms/bob")
    answer = explain(here, "--online", "-o", options, *args, status=1)
    assert answer == explain(here, "--acl", one.dir / "acl", *args, status=1)
    assert answer["change"][0]["text"] == "topic write alarms/bob"
    explain(here, "--online", "-o", options, "-u", "alice", "publish", "alarms/alice", status=0)


@pytest.mark.needs("nightjar")
def test_who_has_no_right_to_ask_is_told_nothing(one, here, native):
    options = here.write("options", f"-h 127.0.0.1\n-p {one.ports['port']}\n-u alice\n-P alice\n")
    done = native.run("explain", "--online", "-o", options, "publish", "x", cwd=here.path)
    assert done.status == 2 and done.out == b"" and done.err, done


def test_online_and_files_exclude_each_other(native, here):
    for args in (["--online", "--acl", "x"], ["--online", "-c", "x"], ["-o", "x"]):
        native.run("explain", *args, "publish", "a", cwd=here.path).expect(
            2, "", re.compile("--online takes -o"))
