"""nj pub and nj sub, and the same tools under the original's names, as processes."""
import json
import os
import re
import signal
import socket
import struct
import threading
import time

import pytest

import mqttwire as mw
from brokerproc import Options
from mqttwire import V311, V5
from toolbox import BIN, FakeBroker, Terminal, Tools

VERSION_NAMES = {3: "31", 4: "311", 5: "5"}

pytestmark = pytest.mark.skipif(not (BIN / "nj").exists(), reason="nj is not built")


@pytest.fixture(params=["native", "compat"])
def tools(request):
    return Tools(request.param)


@pytest.fixture
def native():
    return Tools("native")


@pytest.fixture
def compat():
    return Tools("compat")


def at(broker):
    """Options that lead to the plain listener of a broker."""
    return ["-h", "127.0.0.1", "-p", str(broker.ports["port"])]


def through(broker, transport, pki_dir):
    """Options that lead to the broker over a transport."""
    if transport == "unix":
        return ["--unix", broker.dir / "mqtt.sock"]
    name = {"tcp": "port"}.get(transport, f"port_{transport}")
    out = ["-h", "localhost", "-p", str(broker.ports[name])]
    if transport in ("ws", "wss"):
        out.append("--ws")
    if transport in ("tls", "wss"):
        out += ["--cafile", pki_dir / "ca.crt"]
    return out


EVERYWHERE = """
listener {port_tls} 127.0.0.1
certfile {dir}/server.crt
keyfile {dir}/server.key
listener {port_ws} 127.0.0.1
protocol websockets
listener {port_wss} 127.0.0.1
protocol websockets
certfile {dir}/server.crt
keyfile {dir}/server.key
listener 0 {dir}/mqtt.sock
"""


@pytest.fixture
def everywhere(shared_broker, pki):
    files = {name: (pki.dir / name).read_bytes() for name in ("server.crt", "server.key")}
    head = "" if Options.is_oracle() or Options.mode == "compat" else "acl_default allow\n"
    return shared_broker(head + EVERYWHERE, files=files)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_goes_round(everywhere, pki, tools, version, transport, qos, uid):
    common = [*through(everywhere, transport, pki.dir), "-V", VERSION_NAMES[version]]
    tools.pub(*common, "-q", str(qos), "-r", "-t", uid, "-m", "payload ü").expect(0, "", "")
    tools.sub(*common, "-q", str(qos), "-t", uid, "-C", "1", "-F", "%t %q %r %p").expect(
        0, f"{uid} {qos} 1 payload ü\n", "")


def test_tools_need_no_environment(plain, tools, uid):
    tools.pub(*at(plain), "-r", "-t", uid, "-m", "x", env={}).expect(0)
    tools.sub(*at(plain), "-t", uid, "-C", "1", env={}).expect(0, "x\n")


def test_help_and_version_have_the_status_of_their_name(tools):
    for tool in ("pub", "sub", "passwd"):
        done = tools.run(tool, "--help").expect(1 if tools.is_compat else 0)
        assert b"Usage: " + tools.name(tool).encode() in done.out
    for tool in ("pub", "sub"):
        done = tools.run(tool, "--version").expect(1 if tools.is_compat else 0)
        assert done.out.startswith(tools.name(tool).encode())


def test_nj_without_a_command_it_knows_helps():
    native = Tools("native")
    done = native.run("bogus").expect(1, "")
    assert b"'bogus'" in done.err and b"nj --help" in done.err


@pytest.mark.parametrize("args, text", [
    (["--bogus"], "Error: Unknown option '--bogus'.\n"),
    (["-t"], "Error: -t argument given but no topic specified.\n\n"),
    (["-q", "7"], "Error: Invalid QoS given: 7\n"),
])
def test_option_errors_end_with_the_hint(tools, args, text):
    if not tools.is_compat:
        text = text.replace("\n\n", "\n")
    for tool in ("pub", "sub"):
        tools.run(tool, *args).expect(
            1, "", f"{text}\nUse '{tools.name(tool)} --help' to see usage.\n")


def test_pub_wants_topic_and_message(tools):
    for args in ([], ["-t", "a"], ["-m", "b"]):
        tools.pub(*args).expect(1, err=re.compile(r"^Error: (Both topic and message must be|a topic \(-t\) and a message)"))


def test_defaults_file_and_options_file(plain, compat, uid, tmp_path):
    (tmp_path / "mosquitto_pub").write_text(f"# defaults\n-p {plain.ports['port']}\n-t {uid}\n-r\n")
    compat.pub("-m", "from defaults", env={"XDG_CONFIG_HOME": str(tmp_path)}).expect(0)
    home = tmp_path / "home" / ".config"
    home.mkdir(parents=True)
    (home / "mosquitto_sub").write_text(f"-p {plain.ports['port']}\n-t {uid}\n-C 1\n")
    compat.sub(env={"HOME": str(tmp_path / "home")}).expect(0, "from defaults\n")
    options = tmp_path / "options"
    options.write_text(f"-p {plain.ports['port']}\n-t {uid}\n-C 1\n-F payload: %p\n")
    compat.sub("-o", options).expect(0, "payload: from defaults\n")


@pytest.mark.parametrize("mode_of_input", ["-m", "-f", "-s", "-n"])
def test_every_source_of_a_payload(plain, tools, uid, mode_of_input, tmp_path):
    payload = b"\x00\xff" * 300_000 + b"\n"
    file = tmp_path / "payload"
    file.write_bytes(payload)
    args = {"-m": ["-m", "text"], "-f": ["-f", file], "-s": ["-s"], "-n": ["-n"]}[mode_of_input]
    wanted = {"-m": b"text", "-n": b""}.get(mode_of_input, payload)
    conn = plain.client(uid, V311)
    conn.subscribe(uid, qos=1)
    tools.pub(*at(plain), "-q", "1", "-t", uid, *args,
              data=payload if mode_of_input == "-s" else b"").expect(0, "", "")
    conn.expect("PUBLISH", topic=uid, payload=wanted)


def test_lines_of_stdin_arrive_whole_and_in_order(plain, tools, uid):
    # fewer than a broker keeps for a subscriber that falls behind (max_queued_messages)
    with tools.start("sub", *at(plain), "-d", "-q", "1", "-t", uid, "-C", "901") as sub:
        sub.wait_for("Subscribed")
        lines = b"".join(b"line %d\n" % i for i in range(900)) + b"no newline"
        tools.pub(*at(plain), "-q", "1", "-t", uid, "-l", data=lines).expect(0, "", "")
        got = [line for line in sub.end().expect(0).out.split(b"\n")
               if not line.startswith((b"Client ", b"Subscribed"))]
    assert got == lines.split(b"\n") + [b""]


def test_lines_come_as_they_are_typed(plain, tools, uid):
    conn = plain.client(uid, V311)
    conn.subscribe(uid)
    with tools.start("pub", *at(plain), "-t", uid, "-l") as pub:
        for text in (b"one", b"two"):
            pub.write(text + b"\n")
            conn.expect("PUBLISH", payload=text)
        pub.process.stdin.close()
        pub.end().expect(0, "", "")


def test_repeat_and_its_delay(plain, tools, uid):
    conn = plain.client(uid, V311)
    conn.subscribe(uid)
    begin = time.monotonic()
    tools.pub(*at(plain), "-t", uid, "-m", "again", "--repeat", "3", "--repeat-delay",
              "0.2").expect(0)
    assert time.monotonic() - begin >= 0.4
    for _ in range(3):
        conn.expect("PUBLISH", payload=b"again")


def test_properties_of_every_packet(plain, tools, uid):
    conn = plain.client(uid, V5)
    conn.subscribe(f"{uid}/#")
    tools.pub(*at(plain), "-t", f"{uid}/a", "-m", "x",
              "-D", "publish", "content-type", "text/plain",
              "-D", "publish", "user-property", "key", "value",
              "-D", "publish", "correlation-data", "corr",
              "-D", "publish", "response-topic", "re/ply",
              "-D", "publish", "payload-format-indicator", "1",
              "-D", "publish", "message-expiry-interval", "1000",
              "-D", "connect", "user-property", "a", "b",
              "-D", "disconnect", "user-property", "a", "b").expect(0, "", "")
    conn.expect("PUBLISH", topic=f"{uid}/a")
    tools.pub(*at(plain), "-V", "5", "-r", "-t", f"{uid}/r", "-m", '{"n": 1.50}', "-D", "publish",
              "user-property", "k", "v").expect(0)
    done = tools.sub(*at(plain), "-V", "5", "-t", f"{uid}/r", "-C", "1", "-F", "%J", "-D",
                     "subscribe", "subscription-identifier", "9").expect(0, err="")
    message = json.loads(done.out)
    assert message["payload"] == {"n": 1.5} and message["topic"] == f"{uid}/r"
    assert message["properties"] == {"user-properties": {"k": "v"}, "subscription-identifier": 9}
    assert (b"1.50" in done.out) == (not tools.is_compat)


def test_a_will_is_sent_when_the_tool_is_killed(plain, tools, uid):
    conn = plain.client(uid, V5)
    conn.subscribe(f"{uid}/will", qos=1)
    with tools.start("sub", *at(plain), "-d", "-V", "5", "-t", uid, "--will-topic", f"{uid}/will",
                     "--will-payload", "gone", "--will-qos", "1", "-D", "will", "user-property",
                     "k", "v") as sub:
        sub.wait_for("Subscribed")
        sub.kill()
    conn.expect("PUBLISH", payload=b"gone", qos=1)


def test_sub_ends_by_count_time_and_acknowledgement(plain, tools, uid):
    tools.sub(*at(plain), "-t", uid, "-W", "1").expect(27, "", "Timed out\n")
    tools.sub(*at(plain), "-t", uid, "-W", "1", "--quiet").expect(27, "", "")
    tools.sub(*at(plain), "-t", uid, "-E").expect(0, "", "")
    tools.sub(*at(plain), "-i", uid, "-c", "-q", "1", "-t", uid, "-E").expect(0)
    tools.pub(*at(plain), "-q", "1", "-t", uid, "-m", "kept").expect(0)
    tools.sub(*at(plain), "-i", uid, "-c", "-q", "1", "-t", uid, "-C", "1").expect(0, "kept\n")


def test_retained_messages_shown_hidden_filtered_removed(plain, tools, uid):
    for name in ("a", "b", "c"):
        tools.pub(*at(plain), "-r", "-q", "1", "-t", f"{uid}/{name}", "-m", name).expect(0)
    base = [*at(plain), "-t", f"{uid}/#", "-v"]
    done = tools.sub(*base, "-C", "3").expect(0)
    assert sorted(done.out.split(b"\n")[:3]) == [f"{uid}/{n} {n}".encode() for n in "abc"]
    done = tools.sub(*base, "-C", "2", "-T", f"{uid}/b").expect(0)
    assert b"/b" not in done.out
    tools.sub(*base, "-R", "-W", "1").expect(27, "")
    tools.sub(*base, "-V", "5", "--retain-handling", "never", "-W", "1").expect(27, "")
    with tools.start("sub", *base, "--remove-retained", "--retained-only", "-T", f"{uid}/c") as sub:
        sub.wait_for("/b b", "out")
        tools.pub(*at(plain), "-t", f"{uid}/end", "-m", "x").expect(0)
        sub.end().expect(0)
    tools.sub(*base, "-C", "1").expect(0, f"{uid}/c c\n")
    tools.sub(*base, "-W", "1").expect(27, f"{uid}/c c\n")


def test_retained_only_makes_no_sense_with_hidden_retained(tools):
    tools.sub("-t", "a", "-R", "--retained-only").expect(
        1, "", "\nError: Combining '-R' and '--retained-only' makes no sense.\n")


def test_unsubscribes(plain, tools, uid):
    base = [*at(plain), "-i", uid, "-c", "-q", "1"]
    tools.sub(*base, "-t", f"{uid}/a", "-t", f"{uid}/b", "-E").expect(0)
    tools.sub(*base, "-U", f"{uid}/a", "-E").expect(0)
    for name in ("a", "b"):
        tools.pub(*at(plain), "-q", "1", "-t", f"{uid}/{name}", "-m", name).expect(0)
    tools.sub(*base, "-t", f"{uid}/b", "-C", "1").expect(0, "b\n")


def test_message_rate_counts_every_second(plain, tools, uid):
    with tools.start("sub", *at(plain), "-d", "-t", uid, "--message-rate") as sub:
        sub.wait_for("Subscribed")
        tools.pub(*at(plain), "-t", uid, "-m", "x", "--repeat", "7").expect(0)
        sub.wait_for(r"(^|\n)[1-7]\n")
        sub.signal(signal.SIGTERM)
        out = sub.end().expect(0).out
    assert sum(int(line) for line in out.split(b"\n") if line.isdigit()) == 7


def test_watch_keeps_each_topic_on_its_line(plain, tools, uid):
    for name in ("a", "b"):
        tools.pub(*at(plain), "-r", "-t", f"{uid}/{name}", "-m", name).expect(0)
    done = tools.sub(*at(plain), "-t", f"{uid}/+", "-w", "-F", "%p", "-C", "2").expect(0)
    rows = re.findall(rb"\x1b\[(\d+);1H\x1b\[K([ab])\n", done.out)
    assert sorted(rows) == sorted([(b"1", rows[0][1]), (b"2", rows[1][1])]) and len(rows) == 2


def test_debug_lines_are_those_of_the_original(plain, compat, uid):
    done = compat.pub(*at(plain), "-d", "-i", uid, "-q", "2", "-t", uid, "-m", "hello").expect(0)
    assert done.out.decode().splitlines() == [
        f"Client {uid} sending CONNECT",
        f"Client {uid} received CONNACK (0)",
        f"Client {uid} sending PUBLISH (d0, q2, r0, m1, '{uid}', ... (5 bytes))",
        f"Client {uid} received PUBREC (Mid: 1)",
        f"Client {uid} sending PUBREL (m1)",
        f"Client {uid} received PUBCOMP (Mid: 1, RC:0)",
        f"Client {uid} sending DISCONNECT",
    ]


def test_native_debug_lines_stay_out_of_the_messages(plain, native, uid):
    native.pub(*at(plain), "-r", "-t", uid, "-m", "x").expect(0)
    native.sub(*at(plain), "-d", "-t", uid, "-C", "1").expect(
        0, "x\n", re.compile(r"sending CONNECT.*received SUBACK", re.S))


# -- what goes wrong --------------------------------------------------------------------------


def test_refused_connections_give_their_code(tools):
    with FakeBroker([mw.connack(V311, reason=5)]) as fake:
        done = tools.pub(*fake.args(), "-t", "a", "-m", "b").expect(5, "")
        assert b"Connection error: Connection Refused: not authorised." in done.err
        assert tools.is_compat == (b"Error: The connection was refused." in done.err)
    hint = "" if tools.is_compat else ". Give a user name and a password: -u and -P, or a file with -o."
    with FakeBroker([mw.connack(reason=0x86)], version=V5) as fake:
        tools.sub(*fake.args(), "-V", "5", "-t", "a").expect(
            0x86, "", f"Connection error: Bad User Name or Password{hint}\n")
    with FakeBroker([mw.connack(reason=0x84)], version=V5) as fake:
        tools.sub(*fake.args(), "-V", "5", "-t", "a").expect(
            0x84, "", "Connection error: Unsupported Protocol Version. Try connecting to an MQTT "
            "v5 broker, or use MQTT v3.x mode.\n")


def test_the_hint_at_a_refusal_is_the_next_thing_to_try(native):
    for options, reason, hint in [
            ([], "", "Not authorized. Give a user name and a password: -u and -P, or a file with -o."),
            (["-u", "ann", "-P", "x"], "not authorized",
             "Not authorized. Are the user name and the password right?"),
            (["-u", "ann", "-P", "x"], "too early",
             "Not authorized (too early). Are the user name and the password right?")]:
        said = {"reason_string": reason} if reason else None
        with FakeBroker([mw.connack(reason=0x87, properties=said)], version=V5) as fake:
            native.sub(*fake.args(), "-V", "5", "-t", "a", *options).expect(
                0x87, "", f"Connection error: {hint}\n")
    with FakeBroker([None]) as fake:
        native.pub(*fake.args(), "-t", "a", "-m", "x").expect(
            1, "", "Error: the broker closed the connection instead of answering CONNECT. Does that "
            "port want TLS (--cafile), or WebSocket (--ws)?\n")


def test_a_reason_that_only_repeats_the_code_is_told_once(native):
    for reason, text in [("not authorized", "Not authorized"), ("no rule", "Not authorized: no rule")]:
        answer = mw.puback(1, V5, 0x87, {"reason_string": reason})
        with FakeBroker([mw.connack(), answer], version=V5) as fake:
            native.pub(*fake.args(), "-V", "5", "-q", "1", "-t", "a", "-m", "x").expect(
                0x87, "", f"Warning: Publish 1 failed: {text}.\n")


def test_nobody_listens(tools):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = str(closed.getsockname()[1])
    for tool, more in (("pub", ["-m", "x"]), ("sub", [])):
        done = tools.run(tool, "-h", "127.0.0.1", "-p", port, "-t", "a", *more).expect(1, "")
        assert b"Connection refused" in done.err
        tools.run(tool, "-h", "127.0.0.1", "-p", port, "-t", "a", "--quiet", *more).expect(
            1, "", "")
    done = tools.pub("-h", "no.such.host.invalid", "-t", "a", "-m", "x").expect(1, "")
    assert (b"Unable to connect (Lookup error.)" in done.err) == tools.is_compat


@pytest.mark.parametrize("qos", [1, 2])
def test_a_refused_publish(tools, qos):
    answer = (mw.puback if qos == 1 else mw.pubrec)(1, V5, 0x87)
    with FakeBroker([mw.connack(), answer], version=V5) as fake:
        tools.pub(*fake.args(), "-V", "5", "-q", str(qos), "-t", "a", "-m", "x").expect(
            0 if tools.is_compat else 0x87, "", "Warning: Publish 1 failed: Not authorized.\n")


def test_refused_subscriptions(tools):
    with FakeBroker([mw.connack(), mw.suback(1, [0x87, 0x87], V5)], version=V5) as fake:
        done = tools.sub(*fake.args(), "-V", "5", "-t", "a", "-t", "b").expect(
            0 if tools.is_compat else 0x87, "")
    if tools.is_compat:
        assert done.err == b"All subscription requests were denied.\n"
    else:
        assert done.err == (b"Error: subscription to 'a' refused: Not authorized.\n"
                            b"Error: subscription to 'b' refused: Not authorized.\n")


def test_a_lost_connection(tools):
    with FakeBroker([mw.connack(V311), None]) as fake:
        tools.pub(*fake.args(), "-q", "1", "-t", "a", "-m", "x").expect(
            7 if tools.is_compat else 1, "", re.compile("^Error: "))


def test_sub_comes_back_and_subscribes_again(tools):
    def granted(payload):
        return lambda packet: (mw.suback(int.from_bytes(packet[2:4], "big"), [0], V311)
                               + mw.publish("t", payload, version=V311))
    scripts = [[mw.connack(V311), granted(b"one"), None], [mw.connack(V311), granted(b"two")]]
    with FakeBroker(*scripts) as fake:
        done = tools.sub(*fake.args(), "-t", "t", "-C", "2").expect(0, "one\ntwo\n")
        first, second = fake.finish()
        assert first[1][4:] == second[1][4:]
    assert (done.err == b"") == tools.is_compat


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_sub_with_a_disconnect(tools, number):
    with FakeBroker([mw.connack(V311), mw.suback(1, [0], V311)]) as fake:
        with tools.start("sub", *fake.args(), "-d", "-t", "t") as sub:
            sub.wait_for("Subscribed")
            sub.signal(number)
            sub.end().expect(0)
        assert fake.finish()[0][-1] == b"\xe0\x00"


def test_an_output_that_goes_away_ends_sub(plain, tools, uid):
    tools.pub(*at(plain), "-r", "-t", uid, "-m", "x").expect(0)
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as out:
        import subprocess
        done = subprocess.run(tools.argv("sub", [*at(plain), "-t", uid]), stdout=out,
                              stderr=subprocess.PIPE, timeout=30, env={})
    assert done.returncode == (0 if tools.is_compat else 1), done


HOSTILE = [
    ("a SUBACK without codes", V311, mw.packet(9, mw.u16(1))),
    ("a SUBACK without anything", V311, mw.packet(9, b"")),
    ("a SUBACK with too many codes", V311, mw.packet(9, mw.u16(1) + b"\0\0\0")),
    ("a SUBACK without codes in MQTT 5", V5, mw.packet(9, mw.u16(1) + b"\0")),
    ("a PUBLISH without a topic", V311, mw.packet(3, b"\0\0")),
    ("an alias nobody allowed", V5, mw.packet(3, b"\0\1t\3\x23\0\1x")),
    ("no MQTT", V311, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ("a length without an end", V311, b"\x30\xff\xff\xff\xff\xff"),
]


@pytest.mark.parametrize("what, version, answer", HOSTILE, ids=[h[0] for h in HOSTILE])
def test_L126_survives_a_hostile_broker(tools, what, version, answer):
    with FakeBroker([mw.connack(version), answer], version=version) as fake:
        done = tools.sub(*fake.args(), "-V", VERSION_NAMES[version], "-t", "a")
    assert done.status > 0 and done.out == b"" and done.err.startswith(b"Error: "), done


# -- TLS ---------------------------------------------------------------------------------------


@pytest.fixture
def tls_broker(shared_broker, pki):
    files = {name: (pki.dir / name).read_bytes() for name in ("server.crt", "server.key", "ca.crt")}
    head = "" if Options.is_oracle() or Options.mode == "compat" else "acl_default allow\n"
    return shared_broker(head + """
listener {port_tls} 127.0.0.1
certfile {dir}/server.crt
keyfile {dir}/server.key
cafile {dir}/ca.crt
require_certificate true
use_identity_as_username true
""", files=files)


def test_the_article_s_line_with_its_dashes(tls_broker, pki, tools, uid):
    port = str(tls_broker.ports["port_tls"])
    mark = tls_broker.mark()
    tools.pub("–h", "127.0.0.1", "-p", port, "–t", "DemoTopic", "–m", "Hello", "–i", uid, "–cert",
              pki.dir / "client.crt", "–key", pki.dir / "client.key", "–cafile",
              pki.dir / "ca.crt").expect(0, "", "")
    tls_broker.wait_log(rf"New client connected from .* as {uid} \(p\d, c1, k60, u'demo-client'",
                        mark)


def test_untrusted_servers_are_refused(tls_broker, pki, tools):
    port = str(tls_broker.ports["port_tls"])
    base = ["-h", "127.0.0.1", "-p", port, "-t", "a", "-m", "x"]
    done = tools.pub(*base, "--tls-use-os-certs")
    assert done.status == (8 if tools.is_compat else 1)
    if tools.is_compat:
        assert done.err == b"Error: A TLS error occurred.\n"
    else:
        assert b"certificate" in done.err and b"--cafile" in done.err
    tools.pub(*base, "--cafile", "/nonexistent").expect(1, "", re.compile(
        "Error: Problem setting TLS options: File not found.$" if tools.is_compat
        else "/nonexistent"))
    tools.pub(*base, "--cafile", pki.dir / "ca.crt", "--tls-version", "bogus").expect(
        1, "", "Error: Problem setting TLS options, check the options are valid.\n")


def test_the_host_name_has_to_match_unless_insecure(broker, tools, tmp_path):
    import certs
    ca = certs.authority()
    ca.write(tmp_path, "ca")
    ca.issue("elsewhere", purpose="server", names=["elsewhere.example"]).write(tmp_path, "server")
    head = "" if Options.is_oracle() or Options.mode == "compat" else "acl_default allow\n"
    one = broker(head + "listener {port_tls} 127.0.0.1\ncertfile {dir}/s.crt\nkeyfile {dir}/s.key\n",
                 files={"s.crt": (tmp_path / "server.crt").read_bytes(),
                        "s.key": (tmp_path / "server.key").read_bytes()})
    base = ["-h", "127.0.0.1", "-p", str(one.ports["port_tls"]), "--cafile", tmp_path / "ca.crt",
            "-t", "a", "-m", "x"]
    assert tools.pub(*base).status == (8 if tools.is_compat else 1)
    tools.pub(*base, "--insecure").expect(0, "", "")


def test_a_unix_socket_has_no_name_to_ask_dns_for(tools):
    tools.pub("-t", "a", "-m", "x", "-S", "--unix", "/x").expect(1, "", re.compile("-S asks DNS"))


# -- proxy -------------------------------------------------------------------------------------


def socks_server(target_port, seen, login=None):
    """A SOCKS 5 proxy for one connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve():
        sock = listener.accept()[0]
        listener.close()
        with sock:
            count = sock.recv(2)[1]
            methods = sock.recv(count)
            if login is None:
                sock.sendall(b"\x05\x00" if 0 in methods else b"\x05\xff")
            else:
                sock.sendall(b"\x05\x02" if 2 in methods else b"\x05\xff")
                if 2 not in methods:
                    return
                data = sock.recv(600)
                user_len = data[1]
                seen["login"] = data[2:2 + user_len], data[3 + user_len:]
                good = seen["login"] == login
                sock.sendall(b"\x01\x00" if good else b"\x01\x01")
                if not good:
                    return
            request = sock.recv(600)
            length = request[4]
            seen["host"] = request[5:5 + length]
            seen["port"] = struct.unpack(">H", request[5 + length:7 + length])[0]
            sock.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
            with socket.create_connection(("127.0.0.1", target_port)) as upstream:
                back = threading.Thread(target=pump, args=(upstream, sock), daemon=True)
                back.start()
                pump(sock, upstream)
                back.join(5)

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def test_goes_through_a_socks_proxy(plain, tools, uid):
    seen = {}
    proxy = socks_server(plain.ports["port"], seen)
    tools.pub("-h", "broker.example", "-p", "1234", "--proxy", f"socks5h://127.0.0.1:{proxy}", "-q",
              "1", "-t", uid, "-m", "x").expect(0, "", "")
    assert seen == {"host": b"broker.example", "port": 1234}
    proxy = socks_server(plain.ports["port"], seen, (b"me:", b"p@ss"))
    tools.pub("-h", "b", "--proxy", f"socks5h://me%3A:p%40ss@127.0.0.1:{proxy}", "-t", uid, "-m",
              "x").expect(0, "", "")
    proxy = socks_server(plain.ports["port"], seen, (b"me", b"right"))
    done = tools.pub("-h", "b", "--proxy", f"socks5h://me:wrong@127.0.0.1:{proxy}", "-t", uid,
                     "-m", "x").expect(1, "")
    assert b"proxy" in done.err


# -- a terminal --------------------------------------------------------------------------------


def test_sub_is_pleasant_in_a_terminal(plain, native, uid):
    native.pub(*at(plain), "-r", "-q", "1", "-t", uid, "-m", '{"a":[1,{"b":null}]}').expect(0)
    args = [*at(plain), "-q", "1", "-t", uid, "-C", "1"]
    terminal = Terminal(native.argv("sub", args), {"NO_COLOR": "1"})
    text = terminal.end().decode().replace("\r\n", "\n")
    assert terminal.status == 0
    assert re.fullmatch(
        rf'\d\d:\d\d:\d\d {uid} \(qos 1, retained\)\n  {{\n    "a": \[\n      1,\n      {{\n'
        rf'        "b": null\n      }}\n    \]\n  }}\n', text), text
    coloured = Terminal(native.argv("sub", args)).end()
    assert b"\x1b[" in coloured
    piped = native.sub(*args).expect(0)
    assert piped.out == b'{"a":[1,{"b":null}]}\n'


def test_under_the_original_s_name_a_terminal_changes_nothing(plain, compat, uid):
    compat.pub(*at(plain), "-r", "-t", uid, "-m", '{"a": 1}').expect(0)
    text = Terminal(compat.argv("sub", [*at(plain), "-t", uid, "-C", "1"])).end()
    assert text == b'{"a": 1}\r\n'


def test_a_message_cannot_steer_the_terminal(plain, native, uid):
    native.pub(*at(plain), "-r", "-t", uid, "-m", "\x1b]0;owned\x07").expect(0)
    text = Terminal(native.argv("sub", [*at(plain), "-t", uid, "-C", "1"]),
                    {"NO_COLOR": "1"}).end()
    assert b"\x1b" not in text and b"1b 5d 30" in text


@pytest.mark.needs("native")  # compat mode takes no such topic
def test_nor_can_a_topic_in_the_trace(plain, native, uid):
    native.pub(*at(plain), "-r", "-t", uid + "/\x1b]0;owned\x07\x9b", "-m", "x").expect(0)
    done = native.sub(*at(plain), "-d", "-t", uid + "/#", "-C", "1").expect(0)
    assert rb"\x1b]0;owned\x07\x9b" in done.err
    assert b"\x1b" not in done.err and b"\xc2\x9b" not in done.err
