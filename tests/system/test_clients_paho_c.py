"""Clients that others wrote: the samples of the Paho C libraries (Debian's paho.mqtt.c-examples), the
asynchronous ones (paho_c_…) and the synchronous ones (paho_cs_…)."""
import os
import re
import shutil
import signal

import pytest

import mqttwire as mw
import passwords
from mqttwire import V5
from scenes import endpoint_of
from toolbox import Running

pytestmark = pytest.mark.skipif(not shutil.which("paho_c_pub", path="/usr/bin"),
                                reason="paho.mqtt.c-examples is not installed")
VERSIONS = {"31": mw.V31, "311": mw.V311, "5": V5}
SCHEMES = {"tcp": "tcp", "tls": "ssl", "ws": "ws", "wss": "wss"}
ENV = {"HOME": "/nonexistent", "PATH": "/usr/bin"}


@pytest.fixture(params=["c", "cs"], ids=["async", "sync"])
def library(request):
    return request.param


def at(one, kind="tcp"):
    """The options that reach a broker."""
    endpoint = endpoint_of(one, kind)
    out = ["-c", f"{SCHEMES[kind]}://127.0.0.1:{endpoint.port}"]
    if kind in ("tls", "wss"):
        out += ["--cafile", str(one.dir / "ca.crt")]
    return out


def start_pub(library, *args):
    return Running([f"/usr/bin/paho_{library}_pub", *args], ENV)


def pub(library, *args):
    start_pub(library, *args).end().expect()


class Sub(Running):
    """A subscriber in the background; its trace says when it is subscribed."""

    def __init__(self, library, *args):
        super().__init__(["stdbuf", "-oL", f"/usr/bin/paho_{library}_sub", "--trace", "protocol",
                          *args], {**os.environ, **ENV})
        self.wait_for("<- SUBACK")

    def leave(self):
        """Ends it with Ctrl-C; it says DISCONNECT."""
        self.signal(signal.SIGINT)
        done = self.end()
        text = (done.out + done.err).decode()
        assert done.status == 0 and "-> DISCONNECT" in text, done
        return text


# Starting three programs takes a second: 3.1 over TCP alone, the second library over two transports.
COMBINATIONS = [(library, name, kind) for library in ("c", "cs") for name in VERSIONS
                for kind in SCHEMES if (name != "31" or kind == "tcp")
                and (library == "c" or kind in ("tcp", "wss"))]


FEW = [("c", "31"), ("c", "5"), ("cs", "311")]


@pytest.mark.parametrize("library, name, kind", COMBINATIONS)
def test_publish_and_subscribe(plain, uid, library, name, kind):
    """Every QoS, each exchange to its end."""
    with Sub(library, *at(plain, kind), "-V", name, "-i", f"{uid}s", "-t", f"{uid}/#",
             "-q", "2") as sub:
        pubs = [start_pub(library, *at(plain, kind), "-V", name, "-i", f"{uid}p{qos}", "-t",
                          f"{uid}/{qos}", "-m", f"m{qos}", "-q", qos) for qos in "012"]
        for one in pubs:
            one.end().expect()
        for qos in "012":
            sub.wait_for(f"{uid}/{qos}\tm{qos}")
        sub.wait_for("-> PUBCOMP")
        text = sub.leave()
    assert sorted(re.findall(r"<- PUBLISH msgid: \d+ qos: (\d)", text)) == ["0", "1", "2"], text


@pytest.mark.parametrize("library, name", FEW)
def test_a_large_message_of_every_byte(plain, uid, tmp_path, library, name):
    """The reader is ours, so that every byte is compared."""
    data = bytes(range(256)) * 1024
    (tmp_path / "data").write_bytes(data)
    reader = plain.client(f"{uid}r", version=VERSIONS[name])
    reader.subscribe(uid, qos=2)
    pub(library, *at(plain), "-V", name, "-i", f"{uid}p", "-t", uid, "-f",
        str(tmp_path / "data"), "-q", "2")
    reader.receive(uid, payload=data, qos=2)


@pytest.mark.parametrize("library, name", FEW)
def test_retained_and_cleared(plain, uid, library, name):
    pub(library, *at(plain), "-V", name, "-i", f"{uid}p", "-t", uid, "-m", "kept", "-r", "-q", "1")
    with Sub(library, *at(plain), "-V", name, "-i", f"{uid}s", "-t", uid) as sub:
        sub.wait_for("retained: 1 payload len.4.: kept")
        pub(library, *at(plain), "-V", name, "-i", f"{uid}p", "-t", uid, "-n", "-r", "-q", "1")
        sub.wait_for("retained: 0 payload len.0.")
    late = plain.client(f"{uid}r")
    late.subscribe(uid)
    late.quiet()


@pytest.mark.parametrize("library, name", FEW)
def test_a_will_of_a_client_that_is_killed(plain, uid, library, name):
    watcher = plain.client(f"{uid}r")
    watcher.subscribe(f"{uid}/gone", qos=1)
    with Sub(library, *at(plain), "-V", name, "-i", f"{uid}s", "-t", f"{uid}/x", "--will-topic",
             f"{uid}/gone", "--will-payload", "bye", "--will-qos", "1") as sub:
        sub.kill()
    watcher.receive(f"{uid}/gone", payload=b"bye", qos=1)


def test_properties_of_mqtt_5(plain, uid, library):
    reader = plain.client(f"{uid}r")
    reader.subscribe(uid)
    pub(library, *at(plain), "-V", "5", "-i", f"{uid}p", "-t", uid, "-m", "m",
        "--message-expiry", "90", "--user-property", "name", "value")
    got = dict(reader.receive(uid, payload=b"m").properties)
    assert got.pop("message_expiry_interval") in (89, 90)
    assert got == {"user_property": ("name", "value")}


@pytest.mark.parametrize("library, name", FEW)
def test_a_wrong_password_is_refused(broker, library, name):
    one = broker("allow_anonymous false\npassword_file {dir}/pw\nacl_file {dir}/acl\n",
                 files={"pw": passwords.file_text({"u": "right"}), "acl": "user u\ntopic t/#\n"})
    here = ["-c", f"tcp://127.0.0.1:{one.ports['port']}", "-V", name, "-i", "p", "-t", "t/1", "-m",
            "m", "-q", "1", "-u", "u"]
    reader = one.client("r", username="u", password="right")
    reader.subscribe("t/#")
    # Its own status does not tell, and the asynchronous one waits for ever after a refusal.
    with start_pub(library, *here, "-P", "wrong", "--trace", "protocol") as refused:
        refused.wait_for(r"<- CONNACK rc: (5|134|135)\b")
    reader.quiet()
    pub(library, *here, "-P", "right")
    reader.receive("t/1", payload=b"m")


@pytest.mark.parametrize("kind", ["tls", "wss"])
def test_a_client_certificate_is_the_identity(broker, pki, library, kind):
    protocol = "protocol websockets\n" if kind == "wss" else ""
    files = "".join(f"{option} {pki.path(name)}\n" for option, name in
                    (("cafile", "ca.crt"), ("certfile", "server.crt"), ("keyfile", "server.key")))
    one = broker("allow_anonymous false\nacl_file {dir}/acl\n" + protocol + files
                 + "require_certificate true\nuse_identity_as_username true\n",
                 files={"acl": "user demo-client\ntopic t/#\n"}, start=False)
    one.launch()
    one.wait_log("running")
    here = ["-c", f"{SCHEMES[kind]}://localhost:{one.ports['port']}", "-V", "5", "--cafile",
            str(pki.path("ca.crt"))]
    mine = ["--cert", str(pki.path("client.crt")), "--key", str(pki.path("client.key"))]
    with Sub(library, *here, *mine, "-i", "s", "-t", "t/#", "-q", "1") as sub:
        pub(library, *here, *mine, "-i", "p", "-t", "t/1", "-m", "allowed", "-q", "1")
        sub.wait_for("t/1\tallowed")
        with start_pub(library, *here, "-i", "p2", "-t", "t/1", "-m", "stranger"):
            one.wait_log("did not provide a certificate")
        assert "stranger" not in sub.leave()
