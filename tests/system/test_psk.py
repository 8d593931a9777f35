"""Listeners with pre-shared keys (psk_hint, psk_file): ours and Debian's mosquitto clients."""
import os
import shutil
import subprocess

import pytest

from toolbox import Tools

pytestmark = pytest.mark.needs("nightjar")

ALICE, BOB = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"
KEYS = f"# devices\nalice:{ALICE}\nbob:{BOB}\n"
ACL = "user alice\ntopic readwrite a/#\nuser bob\ntopic readwrite b/#\n"
CONFIG = ("allow_anonymous false\npsk_file {dir}/keys\nacl_file {dir}/acl\nlistener {port_psk} 127.0.0.1\n"
          "psk_hint hospital\nuse_identity_as_username true\n")
MOSQUITTO_PUB = shutil.which("mosquitto_pub", path="/usr/bin:/bin")


started = []


def keep(argv, env):
    process = subprocess.Popen(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env={**env, "HOME": "/nonexistent"})
    started.append(process)
    return process


class Debian:
    """mosquitto_pub and mosquitto_sub of Debian."""

    @staticmethod
    def start(tool, *args):
        return keep(["stdbuf", "-oL", f"/usr/bin/mosquitto_{tool}", *args], {"PATH": "/usr/bin"})


class Ours:
    @staticmethod
    def start(tool, *args):
        argv = Tools("native").argv(tool, args)
        # Its trace goes to stderr, line by line; stdbuf would not get along with sanitizers.
        return keep(argv, os.environ)


FAMILIES = [pytest.param(Ours, id="nj"),
            pytest.param(Debian, id="debian",
                         marks=pytest.mark.skipif(not MOSQUITTO_PUB, reason="not installed"))]


@pytest.fixture(autouse=True)
def end_of_clients():
    """No client outlives a test that failed."""
    started.clear()
    yield
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def keyed(broker):
    return broker(CONFIG, listener=False, files={"keys": KEYS, "acl": ACL})


def at(one, identity, key, *args, port="port_psk"):
    return ["-h", "127.0.0.1", "-p", str(one.ports[port]), "--psk-identity", identity, "--psk",
            key, *args]


def finish(process, timeout=20):
    out, _ = process.communicate(timeout=timeout)
    return process.returncode, out


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
def test_the_identity_of_the_key_is_the_user(keyed, family, version):
    more = ["--tls-version", version]
    mark = keyed.mark()
    sub = family.start("sub", *at(keyed, "alice", ALICE, "-d", "-i", "reader", "-t", "a/#", "-C",
                                  "1", *more))
    keyed.wait_log(r"New client connected from .* as reader .*u'alice'", mark)
    keyed.wait_log(r"Client reader negotiated TLSv1\.3", mark)  # both name the oldest version
    while "SUBACK" not in (line := sub.stdout.readline()) and "Subscribed" not in line:
        assert line, "it ended before it was subscribed"
    status, out = finish(family.start("pub", *at(keyed, "alice", ALICE, "-t", "a/1", "-m", "x",
                                                 "-q", "1", *more)))
    assert status == 0, out
    status, out = finish(sub)
    assert status == 0 and "x" in out.splitlines(), out


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("identity,key", [
    ("alice", BOB), ("alice", ALICE[:-2]), ("Alice", ALICE), ("mallory", ALICE), ("alice ", ALICE),
])
def test_L070_a_wrong_key_or_identity_gets_nobody_in(keyed, family, identity, key):
    mark = keyed.mark()
    status, out = finish(family.start("pub", *at(keyed, identity, key, "-t", "a/1", "-m", "x")))
    assert status != 0, out
    assert not keyed.has_log("New client connected", mark)
    if identity == "mallory":
        keyed.wait_log("pre-shared key: the identity is not known", mark)


def test_L070_keys_with_leading_zeros_and_identities_of_all_kinds(broker):
    keys = {"zeros": "00" * 15 + "01", "pässwörd": "0a" * 16, "with space": "0b" * 16,
            "long" * 50: "0c" * 64, "#hash"[1:] + "#": "0d" * 16}
    one = broker("psk_file {dir}/keys\nallow_anonymous true\nacl_default allow\n"
                 "listener {port_psk} 127.0.0.1\npsk_hint h\nuse_identity_as_username true\n",
                 listener=False, anonymous=False,
                 files={"keys": "".join(f"{i}:{k}\n" for i, k in keys.items())})
    for identity, key in keys.items():
        mark = one.mark()
        status, out = finish(Ours.start("pub", *at(one, identity, key, "-t", "t", "-m", "x")))
        assert status == 0, (identity, out)
        one.wait_log("u'" + identity[:20], mark)


def test_L155_a_key_that_goes_or_changes_ends_its_connections(keyed):
    """SIGHUP: live revocation; others go on."""
    subs = {}
    for name, key in (("alice", ALICE), ("bob", BOB)):
        mark = keyed.mark()
        subs[name] = Ours.start("sub", *at(keyed, name, key, "-i", name, "-t", f"{name[0]}/#",
                                           "-C", "1"))
        keyed.wait_log(f"New client connected from .* as {name} ", mark)
    keyed.write("keys", f"alice:{BOB}\nbob:{BOB}\n")
    mark = keyed.reload()
    keyed.wait_log(r"no longer accepted: pre-shared key", mark)
    keyed.wait_log("Client alice .* disconnected: not authorised", mark)
    subs["alice"].kill()  # it would try for ever
    subs["alice"].communicate()
    assert not keyed.has_log("Client bob .*disconnected", mark)
    status, _ = finish(Ours.start("pub", *at(keyed, "alice", ALICE, "-t", "a/1", "-m", "x")))
    assert status != 0
    status, out = finish(Ours.start("pub", *at(keyed, "alice", BOB, "-t", "a/1", "-m", "x")))
    assert status == 0, out
    status, out = finish(Ours.start("pub", *at(keyed, "bob", BOB, "-t", "b/1", "-m", "still",
                                               "-q", "1")))
    assert status == 0, out
    assert finish(subs["bob"])[1].strip() == "still"


@pytest.mark.parametrize("text,part", [
    ("alice\n", "no colon"), ("alice:\n", "not hexadecimal"), ("alice:xyz\n", "not hexadecimal"),
    ("a:01\na:02\n", "duplicate identity"), (":01\n", "invalid identity"), (None, "Unable to open"),
], ids=["no-colon", "empty", "no-hex", "twice", "no-name", "missing"])
def test_B270_a_broken_key_file_is_refused_whole(broker, text, part):
    files = {"acl": ACL, **({"keys": text} if text is not None else {})}
    one = broker(CONFIG, listener=False, files=files, start=False)
    one.expect_error("psk_file")
    status, log = one.run()
    assert status == 3 and part in log, log


def test_L082_a_broken_key_file_on_reload_changes_nothing(keyed):
    if keyed.mode != "native":
        pytest.skip("about native mode")
    keyed.write("keys", KEYS + "broken\n")
    keyed.reload(fails=True)
    status, out = finish(Ours.start("pub", *at(keyed, "alice", ALICE, "-t", "a/1", "-m", "x")))
    assert status == 0, out


def test_passwords_are_still_asked_for_where_the_identity_is_not_the_user(broker):
    import passwords
    one = broker("allow_anonymous false\npsk_file {dir}/keys\npassword_file {dir}/pw\n"
                 "acl_default allow\nlistener {port_psk} 127.0.0.1\npsk_hint h\n", listener=False,
                 files={"keys": KEYS, "pw": passwords.file_text({"carol": "c"})})
    more = ["-t", "t", "-m", "x"]
    assert finish(Ours.start("pub", *at(one, "alice", ALICE, *more)))[0] != 0
    status, out = finish(Ours.start("pub", *at(one, "alice", ALICE, "-u", "carol", "-P", "c",
                                               *more)))
    assert status == 0, out
    one.wait_log("u'carol'")


def test_keys_belong_to_their_listener(broker):
    one = broker("per_listener_settings true\nlistener {port_a} 127.0.0.1\nallow_anonymous true\n"
                 "psk_file {dir}/one\npsk_hint a\nlistener {port_b} 127.0.0.1\nallow_anonymous true\n"
                 "psk_file {dir}/two\npsk_hint b\n", listener=False, anonymous=False, mode="compat",
                 files={"one": f"alice:{ALICE}\n", "two": f"bob:{BOB}\n"})
    more = ["-t", "t", "-m", "x"]
    assert finish(Ours.start("pub", *at(one, "alice", ALICE, *more, port="port_a")))[0] == 0
    assert finish(Ours.start("pub", *at(one, "bob", BOB, *more, port="port_b")))[0] == 0
    assert finish(Ours.start("pub", *at(one, "alice", ALICE, *more, port="port_b")))[0] != 0
    assert finish(Ours.start("pub", *at(one, "bob", BOB, *more, port="port_a")))[0] != 0


def test_websockets_over_a_pre_shared_key(broker):
    one = broker("allow_anonymous true\nacl_default allow\npsk_file {dir}/keys\n"
                 "listener {port_psk} 127.0.0.1\nprotocol websockets\npsk_hint h\n", listener=False,
                 anonymous=False, mode="native", files={"keys": KEYS})
    status, out = finish(Ours.start("pub", *at(one, "alice", ALICE, "--ws", "-t", "t", "-m", "x",
                                               "-q", "1")))
    assert status == 0, out
