"""Clients that others wrote: mosquitto_pub and mosquitto_sub of Debian's mosquitto-clients."""
import os
import shutil
import subprocess

import pytest

import passwords
from scenes import endpoint_of

PUB, SUB, RR = (shutil.which(n, path="/usr/bin:/bin") for n in
                ("mosquitto_pub", "mosquitto_sub", "mosquitto_rr"))
pytestmark = pytest.mark.skipif(not PUB, reason="mosquitto-clients is not installed")
VERSIONS = {"v31": "mqttv31", "v311": "mqttv311", "v5": "mqttv5"}


def run(program, *args, status=0, timeout=20, stdin=None):
    out = subprocess.run([program, *args], capture_output=True, text=True, timeout=timeout,
                         input=stdin, env={"HOME": "/nonexistent", "PATH": "/usr/bin"})
    assert out.returncode == status, f"{args} -> {out.returncode}: {out.stdout}{out.stderr}"
    return out.stdout


class Sub:
    """mosquitto_sub -d in the background; ready when it says that it is subscribed."""

    def __init__(self, *args):
        self.process = subprocess.Popen(["stdbuf", "-oL", SUB, "-d", *args], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env={**os.environ, "HOME": "/nonexistent"})
        self.until("Subscribed (mid")

    def until(self, text):
        out = []
        while True:
            line = self.process.stdout.readline()
            assert line, f"it ended before {text!r}: {''.join(out)}"
            out.append(line)
            if text in line:
                return "".join(out)

    def finish(self, timeout=20):
        out, _ = self.process.communicate(timeout=timeout)
        return out


@pytest.fixture
def at(plain):
    """The options that reach the shared broker over a transport."""
    def options(kind="tcp"):
        endpoint = endpoint_of(plain, kind)
        if kind == "unix":
            return ["--unix", endpoint.path]
        out = ["-h", "127.0.0.1", "-p", str(endpoint.port)]
        if kind == "tls":
            out += ["--cafile", str(plain.dir / "server.crt"), "--insecure"]
        return out
    return options


@pytest.mark.parametrize("name", list(VERSIONS))
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_publish_and_subscribe(at, uid, name, qos):
    version = VERSIONS[name]
    sub = Sub(*at(), "-V", version, "-t", f"{uid}/#", "-q", "2", "-C", "3", "-v")
    for number in range(3):
        run(PUB, *at(), "-V", version, "-t", f"{uid}/{number}", "-m", f"m{number}", "-q", qos)
    out = sub.finish()
    for number in range(3):
        assert f"{uid}/{number} m{number}" in out


def test_over_a_unix_socket(at, uid):
    sub = Sub(*at("unix"), "-t", uid, "-C", "1")
    run(PUB, *at("unix"), "-t", uid, "-m", "over the socket", "-q", "1")
    assert "over the socket" in sub.finish()


def test_retained_message(at, uid):
    run(PUB, *at(), "-t", uid, "-m", "kept", "-r", "-q", "1")
    assert run(SUB, *at(), "-t", uid, "-C", "1", "-F", "%r %p").strip() == "1 kept"
    run(PUB, *at(), "-t", uid, "-n", "-r", "-q", "1")
    run(SUB, *at(), "-t", uid, "-C", "1", "-W", "1", status=27)


def test_lines_from_stdin_keep_their_order(at, uid):
    sub = Sub(*at(), "-t", uid, "-q", "2", "-C", "200")
    run(PUB, *at(), "-t", uid, "-l", "-q", "2", stdin="".join(f"line {n}\n" for n in range(200)))
    lines = [l for l in sub.finish().splitlines() if l.startswith("line ")]
    assert lines == [f"line {n}" for n in range(200)]


def test_stored_session(at, uid):
    options = [*at(), "-i", uid, "-c", "-q", "1", "-t", uid]
    run(SUB, *options, "-E")
    for number in range(5):
        run(PUB, *at(), "-t", uid, "-m", str(number), "-q", "1")
    assert run(SUB, *options, "-C", "5").split() == list("01234")


def test_properties(at, uid):
    sub = Sub(*at(), "-V", "mqttv5", "-t", uid, "-C", "1", "-F", "%P|%R|%C|%E|%p")
    run(PUB, *at(), "-V", "mqttv5", "-t", uid, "-m", "m", "-q", "1",
        "-D", "publish", "user-property", "k", "v", "-D", "publish", "response-topic", "answers",
        "-D", "publish", "content-type", "text", "-D", "publish", "message-expiry-interval", "60")
    out = sub.finish()
    assert "k:v|answers|text|" in out and "|m" in out


@pytest.mark.skipif(not RR, reason="no mosquitto_rr")
def test_request_and_response(at, uid):
    responder = Sub(*at(), "-V", "mqttv5", "-t", f"{uid}/ask", "-C", "1", "-F", "%R")
    asking = subprocess.Popen([RR, *at(), "-V", "mqttv5", "-t", f"{uid}/ask", "-e", f"{uid}/answer",
                               "-m", "?", "-W", "10"], stdout=subprocess.PIPE, text=True)
    assert f"{uid}/answer" in responder.finish()
    run(PUB, *at(), "-t", f"{uid}/answer", "-m", "42", "-q", "1")
    assert asking.communicate(timeout=15)[0].strip() == "42"


def test_will(at, uid):
    watch = Sub(*at(), "-t", f"{uid}/will", "-C", "1")
    dying = Sub(*at(), "-t", uid, "--will-topic", f"{uid}/will", "--will-payload", "gone",
                "--will-qos", "1")
    dying.process.kill()
    dying.finish()
    assert "gone" in watch.finish()


@pytest.mark.needs("nightjar")
def test_refused_logins_and_their_status(broker, uid):
    one = broker("allow_anonymous false\npassword_file {dir}/pw\nacl_file {dir}/acl\n",
                 files={"pw": passwords.file_text({"u": "p"}), "acl": "user u\ntopic readwrite t\n"})
    here = ["-h", "127.0.0.1", "-p", str(one.ports["port"])]
    run(PUB, *here, "-t", "t", "-m", "x", "-u", "u", "-P", "p", "-q", "1")
    run(PUB, *here, "-t", "t", "-m", "x", "-u", "u", "-P", "wrong", "-q", "1", status=5)
    run(PUB, *here, "-t", "t", "-m", "x", "-q", "1", status=5)
    run(PUB, *here, "-V", "mqttv5", "-t", "t", "-m", "x", "-u", "u", "-P", "no", status=135)


def test_a_large_file(at, uid, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(os.urandom(1_500_000))
    sub = subprocess.Popen(["stdbuf", "-oL", SUB, *at(), "-t", uid, "-C", "1", "-N", "-d"],
                           stdout=subprocess.PIPE)
    while b"Subscribed" not in (line := sub.stdout.readline()):
        assert line
    run(PUB, *at(), "-t", uid, "-f", str(path), "-q", "1")
    out, _ = sub.communicate(timeout=20)
    assert path.read_bytes() in out
