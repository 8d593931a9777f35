"""Configuration files: forms, errors with line numbers, and what a reload does with them
(catalogue B-260 – B-267)."""
import os
import signal
import time

import pytest

import mqttwire as mw
import passwords
from mqttwire import V5

pytestmark = pytest.mark.needs("nightjar")

ERRORS = [
    ("nonsense true", "Error: Unknown configuration variable 'nonsense'"),
    ("Allow_Anonymous true", "Error: Unknown configuration variable 'Allow_Anonymous'"),
    ("max_keepalive", "Error: Empty 'max_keepalive' value in configuration."),
    ("acl_file", "Error: Empty 'acl_file' value in configuration."),
    ("listener", "Error: Empty 'listener"),
    ("max_keepalive -1", "Error: Invalid 'max_keepalive' value (-1)."),
    ("max_keepalive 65536", "Error: Invalid 'max_keepalive' value (65536)."),
    ("max_keepalive 5x", "'max_keepalive' value"),
    ("max_keepalive 1e3", "'max_keepalive' value"),
    ("max_keepalive 0x10", "'max_keepalive' value"),
    ("max_queued_messages 9223372036854775808", "Error: 'max_queued_messages' value out of range."),
    ("max_keepalive 010", "'max_keepalive' value"),
    ("allow_anonymous maybe", "Error: Invalid 'allow_anonymous' value (maybe)."),
    ("max_packet_size 19", "'max_packet_size'"),
    ("memory_limit -5", "Error: Invalid 'memory_limit' value (-5)."),
    ("persistent_client_expiration 5x", "persistent_client_expiration"),
    ("log_type nonsense", "Error: Invalid 'log_type' value (nonsense)."),
    ("log_dest nowhere", "Error: Invalid 'log_dest' value (nowhere)."),
    ("log_dest file", "log_dest file"),
    ("log_facility 9", "Error: Invalid 'log_facility' value (9)."),
    ("max_keepalive 5\nmax_keepalive 6", "Error: Duplicate 'max_keepalive' value in configuration."),
    ("acl_file a\nacl_file b", "Error: Duplicate 'acl_file' value in configuration."),
    ("listener 0", "Error: A listener with port 0 must provide a Unix socket path."),
    ("listener 65536", "Error: Invalid 'port' value (65536)."),
    ("listener x", "port' value"),
    ("listener -1", "Error: Invalid 'port' value (-1)."),
    ("listener 18883\nmax_qos 3", "Error: 'max_qos' must be between 0 and 2 inclusive."),
    ("listener 18883\nprotocol smoke", "Error: Invalid 'protocol' value (smoke)."),
    ("listener 18883\nmount_point a/#", "mount_point"),
    ("listener 18883\naccept_protocol_versions 2", "accept_protocol_versions"),
    ("listener 18883\nsocket_domain ipv5", "Error: Invalid 'socket_domain' value 'ipv5' in configuration."),
    ("listener 18883\ntls_version tlsv0", "tls_version"),
    ("listener 18883\nrequire_certificate true\ncertfile a\nkeyfile b", "require_certificate"),
    ("listener 18883\ncertfile a", "Error: Both certfile and keyfile must be provided"),
    ("listener 18883 127.0.0.1\nlistener 18883 127.0.0.1", "18883"),
    ("address 1.2.3.4", "Error: The 'address' option requires a bridge to be defined first."),
    ("topic t", "Error: The 'topic' option requires a bridge to be defined first."),
    ("plugin_opt_x y", "plugin/global_plugin/plugin_load to be defined first."),
    ("connection b", "Error: Invalid bridge configuration: no remote addresses defined."),
    ("connection b\naddress 127.0.0.1", "Error: Invalid bridge configuration: no topics defined."),
    ("allow_anonymous true\nper_listener_settings true", "per_listener_settings"),
    ("acl_default perhaps", "Error: Invalid 'acl_default' value (perhaps)."),
    ("rights_change later", "Error: Invalid 'rights_change' value (later)."),
    ("session_owner me", "Error: Invalid 'session_owner' value (me)."),
    ("compat emqx", "Error: Invalid 'compat' value (emqx)."),
    ("workers -1", "Error: Invalid 'workers' value (-1)."),
    ("durability never", "Error: Invalid 'durability' value (never)."),
    ("max_inflight_messages 5 # why", "max_inflight_messages"),
]


@pytest.mark.parametrize("text,message", ERRORS, ids=[e[0].replace("\n", ";")[:40] for e in ERRORS])
def test_L087_B261_B262_errors_have_their_exact_form(broker, text, message):
    """Exit 3 within a second, the form of the original, and the place."""
    one = broker("# first line\n" + text + "\n", listener=False, anonymous=False, start=False)
    one.expect_error("Error")
    began = time.monotonic()
    status, log = one.run()
    assert status == 3 and message in log, log
    assert time.monotonic() - began < 2 * (5 if "asan" in str(one.binary) else 1)
    assert "broker.conf:" in log or "bridge configuration" in log or "certfile" in log or "cafile" in log or (
        "listener" in log), log


@pytest.mark.parametrize("text,hint", [
    ("allow_anonymous maybe", "'allow_anonymous' takes true or false."),
    ("durability never", "'durability' takes fsync|interval|memory."),
    ("max_keepalive -1", "'max_keepalive' takes numbers from 0 to 65535."),
    ("memory_limit -5", "'memory_limit' takes numbers from 0."),
])
def test_an_invalid_value_is_followed_by_what_is_valid(broker, text, hint):
    one = broker(text + "\n", listener=False, anonymous=False, start=False)
    one.expect_error("Error")
    assert hint in one.run()[1]


@pytest.mark.parametrize("text", [
    "listener 18883\nmax_connections 5\nlistener 18884\nprotocol websockets",
    "max_keepalive   5  ", "\tmax_keepalive 5", "#comment\n\n \nmax_keepalive 5",
    "retry_interval 20", "autosave_interval 0\nautosave_on_changes true",
    "log_type error\nlog_type warning\nlog_type notice", "log_dest stderr\nlog_dest stdout",
    "plugin /usr/lib/mosquitto_acl_file.so\nplugin_opt_acl_file {dir}/acl",
    "plugin /usr/lib/x86_64-linux-gnu/mosquitto_password_file.so\nplugin_opt_password_file {dir}/pw",
    "persistent_client_expiration 2w", "persistent_client_expiration 1h", "bind_address 127.0.0.1",
    "check_retain_source true", "websockets_log_level 255",
], ids=lambda t: t.replace("\n", ";")[:40])
def test_forms_that_are_fine(broker, text):
    one = broker(text + "\n", listener=False, anonymous=False, start=False, args=["--test-config"],
                 files={"acl": "user a\ntopic t\n", "pw": ""})
    status, log = one.run()
    assert status == 0, log


@pytest.mark.parametrize("option", [
    "listener 18883\nhttp_dir /tmp",
    "plugin /usr/lib/other_plugin.so",
    "connection b\naddress 127.0.0.1\ntopic #", "plugin_load x /usr/lib/y.so",
], ids=lambda t: t.replace("\n", ";")[:40])
def test_L087_what_is_not_built_yet_ends_the_start(broker, option):
    """One clear line that names the option; never silently ignored."""
    one = broker(option + "\n", listener=False, anonymous=False, start=False)
    one.expect_error("Error")
    status, log = one.run()
    word = option.split("\n")[-1].split()[0]
    assert status in (3, 13) and "Error" in log, log
    assert word in log or option.split()[0] in log, log


def test_A12_the_articles_bare_plugin_line_names_the_three_files(broker):
    one = broker("plugin /usr/lib/\nplugin_opt_config_file {dir}/x\n", start=False)
    one.expect_error("Error")
    status, log = one.run()
    assert status in (3, 13)
    for name in ("mosquitto_dynamic_security.so", "cedalo_ha.so",
                 "cedalo_certificate_management.so"):
        assert name in log, log


def test_B260_crlf_bom_and_no_newline_at_the_end(broker):
    for text in (b"listener %d 127.0.0.1\r\nallow_anonymous true\r\nacl_default allow\r\n",
                 b"\xef\xbb\xbflistener %d 127.0.0.1\nallow_anonymous true\nacl_default allow",
                 b"\nlistener %d 127.0.0.1\nallow_anonymous true\nacl_default allow"):
        one = broker("", start=False, mode="native")
        data = text % one.ports["port"]
        data = data.replace(b"listener", b"user root\nlistener", 1) if os.getuid() == 0 else data
        if data.startswith(b"\xef\xbb\xbfuser") or not data.startswith(b"\xef\xbb\xbf"):
            one.write("broker.conf", data)
        one.start()
        one.client("x").quiet()
        one.stop()


@pytest.mark.parametrize("what", ["empty", "directory", "fifo", "binary", "nul", "long_line",
                                  "zero"])
def test_L098_L099_B260_files_that_are_no_configuration(broker, what):
    one = broker("", start=False)
    path = one.dir / "broker.conf"
    path.unlink()
    if what == "directory":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "zero":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes({"empty": b"nonsense", "binary": os.urandom(3000), "nul": b"allow\0x\n",
                          "long_line": b"acl_file " + b"x" * (1 << 20) + b"\n"}[what])
    one.expect_error("Error")
    began = time.monotonic()
    status, log = one.run()
    assert status != 0 and "Error" in log, log
    assert time.monotonic() - began < 3


def test_include_dir(broker):
    one = broker("include_dir {dir}/conf.d\n", start=False, mode="native", files={
        "conf.d/B.conf": "acl_default allow\n", "conf.d/a.conf": "listener {port2} 127.0.0.1\nmax_qos 1\n",
        "conf.d/A.conf": "listener {port3} 127.0.0.1\nmax_connections 1\n",
        "conf.d/ignored.txt": "nonsense\n"})
    one.launch()
    one.wait_log("running")
    assert one.client("x", port="port3").quiet()
    assert one.conn(port="port2").connect("z").prop("maximum_qos") == 1


@pytest.mark.parametrize("case", ["missing", "self", "nested", "many", "fifo"])
def test_L099_B265_odd_include_dirs(broker, case):
    files = {"conf.d/a.conf": {"self": "include_dir {dir}/conf.d\n",
                               "nested": "include_dir {dir}/conf.d/deep\n"}.get(case, "")}
    if case == "many":
        files = {f"conf.d/{n}.conf": f"# {n}\n" for n in range(2000)}
    one = broker("include_dir {dir}/conf.d\n" if case != "missing" else "include_dir {dir}/none\n",
                 start=False, files=files)
    if case == "fifo":
        os.mkfifo(one.dir / "conf.d" / "x.conf")
    if case == "many":
        one.launch()
        one.wait_log("running")
        return
    one.expect_error("Error")
    began = time.monotonic()
    status, log = one.run()
    assert status == 3 and time.monotonic() - began < 2, log


@pytest.mark.slow
def test_L098_many_lines(broker):
    one = broker("# x\n" * 300000 + "nonsense\n", start=False)
    one.expect_error("Error")
    status, log = one.run()
    assert status == 3 and "300" in log, log


# -- reload ---------------------------------------------------------------------------------------


def test_L082_L088_a_bad_configuration_on_reload(broker):
    one = broker("acl_default allow\nmax_keepalive 100\n", mode="native")
    conn = one.client("c")
    one.write_config(one.config + "nonsense true\n")
    one.reload(fails=True)
    conn.quiet()
    assert one.conn().connect("d", keep_alive=0).prop("server_keep_alive") == 100


@pytest.mark.parametrize("what", ["acl", "pw"])
def test_L082_broken_files_on_reload_end_the_compat_broker(broker, what):
    one = broker("acl_file {dir}/acl\npassword_file {dir}/pw\n", mode="compat",
                 files={"acl": "user a\ntopic t\n", "pw": ""})
    one.write(what, "garbage line\n" if what == "acl" else "x:garbage\n")
    one.expect_error("Error")
    one.expected_status = 3
    one.signal(signal.SIGHUP)
    one.finish()


@pytest.mark.threads
def test_L088_a_reload_is_all_or_nothing(broker):
    """A good ACL file beside a bad password file: neither is taken."""
    one = broker("acl_file {dir}/acl\npassword_file {dir}/pw\nallow_anonymous false\n",
                 mode="native", files={"acl": "user a\ntopic old\n",
                                       "pw": passwords.file_text({"a": "a"})})
    conn = one.client("c", username="a", password="a")
    good = (one.dir / "pw").read_text()
    one.write("acl", "user a\ntopic new\n")
    one.write("pw", "broken\n" + "x:y\n")
    one.reload(fails=True)
    conn.publish("old", b"m", 1, reason=(0, 0x10))
    conn.publish("new", b"m", 1, reason=0x87)
    one.write("pw", good)
    one.reload()
    conn.publish("old", b"m", 1, reason=0x87)
    conn.publish("new", b"m", 1, reason=(0, 0x10))


@pytest.mark.threads
def test_options_that_a_reload_takes(broker):
    one = broker("acl_default allow\nmax_keepalive 100\nmax_queued_messages 5\n", mode="native")
    conn = one.client("c")
    assert one.conn().connect("a", keep_alive=0).prop("server_keep_alive") == 100
    one.write_config(one.config.replace("max_keepalive 100", "max_keepalive 50").replace(
        "acl_default allow", "acl_default deny"))
    one.reload()
    assert one.conn().connect("a", keep_alive=0).prop("server_keep_alive") == 50
    conn.publish("t", b"m", 1, reason=0x87)
    conn.quiet()
    one.write_config(one.config.replace("acl_default deny", "acl_default allow"))
    one.reload()
    conn.publish("t", b"m", 1, reason=(0, 0x10))


@pytest.mark.threads
def test_listeners_stay_on_reload(broker):
    """They can be neither added nor removed while it runs; the log says so."""
    one = broker("acl_default allow\n", mode="native")
    conn = one.client("c")
    one.write_config(one.config + "listener {port2} 127.0.0.1\n")
    mark = one.mark()
    one.expect_error("listener")
    one.signal(signal.SIGHUP)
    one.wait_log("(?i)listener", mark)
    conn.quiet()
    one.client("d").quiet()
    with pytest.raises(OSError):
        one.conn(port="port2")


def test_L090_reload_without_a_change_disturbs_nobody(broker, mode):
    one = broker("acl_file {dir}/acl\n", mode=mode, files={"acl": "topic readwrite #\n"})
    conns = [one.client(f"c{n}", 3 + n % 3) for n in range(12)]
    for conn in conns:
        conn.subscribe("t", qos=1)
    for number in range(10):
        one.reload()
        conns[0].send(mw.publish("t", str(number), version=3))
    for conn in conns:
        for number in range(10):
            assert conn.receive("t").payload == str(number).encode()


@pytest.mark.slow
@pytest.mark.threads
def test_L089_reloads_without_a_pause(broker):
    """Two ACL files in turn, as fast as they are taken: each decision is that of the old or the new
    file, never a mixture: `a` and `b` are allowed together or not at all."""
    texts = ["topic readwrite a\ntopic readwrite b\n", "topic readwrite c\n"]
    one = broker("acl_file {dir}/acl\n", mode="native", files={"acl": texts[0]})
    conn = one.client("c", V5)
    for number in range(60):
        one.write("acl", texts[(number + 1) % 2])
        one.reload()
        allowed = []
        for topic in "abc":
            conn.send(mw.publish(topic, b"m", 1, 1))
            allowed.append(conn.expect("PUBACK").reason != 0x87)
        assert allowed == ([True, True, False] if number % 2 else [False, False, True])


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("name", ["with space", "ünïcode", "quote'\"", "a/../pw", "-dash", "$HOME",
                                  "x" * 200])
def test_B267_odd_paths(broker, name):
    """A path is what stands there: nothing is expanded, nothing needs quotes."""
    one = broker("allow_anonymous false\npassword_file {dir}/" + name + "\nacl_file {dir}/acl\n",
                 files={"acl": "user u\ntopic t\n", "pw" if "/" in name else name:
                        passwords.file_text({"u": "p"}), "a/x": ""}, mode="native")
    one.client("c", username="u", password="p").publish("t", b"", 1)


@pytest.mark.needs("nightjar")
def test_B267_a_tilde_is_no_home(broker):
    one = broker("password_file ~/pw\n", start=False, env={"HOME": "{dir}"}, mode="native")
    one.expect_error("Error")
    status, log = one.run()
    assert status != 0 and "~/pw" in log, log


@pytest.mark.needs("nightjar")
def test_B269_the_environment_changes_nothing(broker):
    """Variables that look like options of any broker: the file alone decides."""
    names = ["allow_anonymous", "ALLOW_ANONYMOUS", "NIGHTJAR_ALLOW_ANONYMOUS", "NJ_ALLOW_ANONYMOUS",
             "MOSQUITTO_ALLOW_ANONYMOUS", "MOSQUITTO_PASSWORD_FILE", "NIGHTJAR_ACL_DEFAULT",
             "NIGHTJAR=x", "OPENSSL_CONF"]
    one = broker("allow_anonymous false\npassword_file {dir}/pw\n", mode="native",
                 files={"pw": passwords.file_text({"u": "p"})},
                 env={n: "/nonexistent" if n == "OPENSSL_CONF" else "true"
                      for n in names if "=" not in n})
    conn = one.conn()
    conn.send(mw.connect("c"))
    assert conn.expect("CONNACK").reason == 0x87
    one.client("c", username="u", password="p").publish("t", b"", 1, reason=0x87)


@pytest.mark.needs("nightjar", "native")
@pytest.mark.parametrize("config", [
    "require_certificate true\ncertfile {dir}/x\n", "use_identity_as_username true\n",
    "password_file\n", "acl_file\n", "password_file {dir}/none\n", "acl_file {dir}/none\n",
    "crlfile {dir}/none\n"])
def test_L072_L065_half_a_configuration_of_logins_opens_nothing(broker, config):
    """It refuses to start, or it starts and lets no anonymous client do anything."""
    one = broker("allow_anonymous false\n" + config, start=False, files={"x": ""})
    one.expect_error("Error")
    one.launch()
    one.wait_log("Error|running") if one.is_running() else None
    if one.has_log("running"):
        conn = one.conn()
        conn.send(mw.connect("c"))
        assert conn.expect("CONNACK").reason == 0x87
        one.stop()
    else:
        assert one.process.wait(10) != 0
        one.forget()
