"""Every option of every tool, by each of its names: the tables here say which check it has, and an option
of a tool's help without one fails. What an option puts into packets is looked at here, for all tools that
have it; what needs a broker, a certificate or a terminal has its test elsewhere (CHECKED)."""
import ast
import functools
import os
import pathlib
import re
import shlex
import socket
import ssl
import subprocess
import threading

import pytest

import certs
import mqttwire as mw
from mqttwire import V311, V5
from toolbox import BIN, PATIENCE, Tools, read_packet

pytestmark = pytest.mark.skipif(not (BIN / "nj").exists(), reason="nj is not built")
TESTS = pathlib.Path(__file__).resolve().parents[1]
CLIENTS = ("pub", "sub", "rr")
TOOLS = (*CLIENTS, "ctl", "passwd", "signal", "check", "explain", "store", "bench", "db-dump", "nightjar")

# ---- what is seen in packets: names | tools | value | packet | what it says then

PACKETS = """
-u --username             | pub sub rr ctl | ann            | CONNECT   | p.username == "ann"
-P --pw                   | pub sub rr ctl | secret         | CONNECT   | p.password == b"secret"
-i --id                   | pub sub rr ctl | me             | CONNECT   | p.client_id == "me"
-I --id-prefix            | pub sub rr     | pre-           | CONNECT   | re.fullmatch(r"pre-\\d+", p.client_id)
-k --keepalive            | pub sub rr     | 33             | CONNECT   | p.keep_alive == 33
-V --protocol-version     | pub sub rr ctl | 5              | CONNECT   | p.level == 5
-V --protocol-version     | pub sub rr ctl | mqttv5         | CONNECT   | p.level == 5
-c --disable-clean-session | pub sub rr    |                | CONNECT   | p.connect_flags & 2 == 0
-x                        | pub sub rr     | 77             | CONNECT   | p.prop("session_expiry_interval") == 77
-x                        | pub sub rr     | ∞              | CONNECT   | p.prop("session_expiry_interval") == 0xffffffff
-D --property             | pub sub rr     | connect user-property a b | CONNECT | p.prop("user_property") == ("a", "b")
-D --property             | pub rr         | publish content-type x/y | PUBLISH | p.prop("content_type") == "x/y"
-D --property             | sub            | subscribe subscription-identifier 7 | SUBSCRIBE | p.prop("subscription_identifier") == 7
--will-topic              | pub sub rr     | w              | CONNECT   | (p.will_topic, p.will_payload) == ("w", b"")
--will-payload            | pub sub rr     | gone           | CONNECT   | p.will_payload == b"gone"
--will-qos                | pub sub rr     | 2              | CONNECT   | p.connect_flags & 0x18 == 0x10
--will-retain             | pub sub rr     |                | CONNECT   | p.connect_flags & 0x20
-t --topic                | pub rr         | other          | PUBLISH   | p.topic == "other"
-t --topic                | sub            | other/+        | SUBSCRIBE | "other/+" in dict(p.filters)
-m --message              | pub rr         | words          | PUBLISH   | p.payload == b"words"
-f --file                 | pub rr         | {file}         | PUBLISH   | p.payload == b"of a file"
-s --stdin-file           | pub rr         |                | PUBLISH   | p.payload == b"one\\ntwo\\n"
-l --stdin-line           | pub            |                | PUBLISH   | p.payload == b"one"
-n --null-message         | pub rr         |                | PUBLISH   | p.payload == b""
-q --qos                  | pub rr         | 1              | PUBLISH   | p.qos == 1
-q --qos                  | sub            | 1              | SUBSCRIBE | p.filters[0][1] & 3 == 1
-r --retain               | pub            |                | PUBLISH   | p.retain
-e                        | rr             | back           | PUBLISH   | p.prop("response_topic") == "back"
-U --unsubscribe          | sub            | old            | UNSUBSCRIBE | p.filters == ["old"]
--retain-as-published     | sub rr         |                | SUBSCRIBE | p.filters[0][1] & 8
--retain-handling         | sub rr         | new            | SUBSCRIBE | p.filters[0][1] & 0x30 == 0x10
--retain-handling         | sub rr         | never          | SUBSCRIBE | p.filters[0][1] & 0x30 == 0x20
--repeat                  | pub            | 2              | PUBLISH   | len(many) == 2
--repeat-delay            | pub            | 0.01           | PUBLISH   | len(many) == 2
-h --host                 | pub sub rr ctl | 127.0.0.1      | CONNECT   | p.keep_alive == 60
-p --port                 | pub sub rr ctl | {port}         | CONNECT   | p.keep_alive == 60
-L --url                  | pub rr         | mqtt://u:p@127.0.0.1:{port}/of/url | CONNECT | p.username == "u"
-L --url                  | sub            | mqtt://u:p@127.0.0.1:{port}/of/url | SUBSCRIBE | "of/url" in dict(p.filters)
-L --url                  | ctl            | mqtt://u:p@127.0.0.1:{port} | CONNECT | p.password == b"p"
-A                        | pub sub rr ctl | 127.0.0.1      | CONNECT   | p.keep_alive == 60
-M                        | pub sub rr     | 1              | CONNECT   | p.keep_alive == 60
--nodelay                 | pub sub rr     |                | CONNECT   | p.keep_alive == 60
--no-tls                  | pub sub rr     |                | CONNECT   | p.keep_alive == 60
--insecure                | pub sub rr ctl |                | CONNECT   | p.keep_alive == 60
--quiet                   | pub sub rr ctl |                | CONNECT   | p.keep_alive == 60
-o                        | pub sub rr     | {options}      | CONNECT   | p.client_id == "of-options"
"""
# Instead of what the tool is given otherwise: options that go with it, or that it replaces.
WITH = {"-P": "-u x", "--pw": "-u x", "-c": "-i x", "--disable-clean-session": "-i x", "-x": "-V 5 -i x",
        "--will-payload": "--will-topic w", "--will-qos": "--will-topic w", "-M": "-q 1",
        "--will-retain": "--will-topic w", "--retain-as-published": "-V 5", "--retain-handling": "-V 5",
        "--repeat-delay": "--repeat 2"}
MESSAGE = {"-m", "-f", "-s", "-l", "-n", "--message", "--file", "--stdin-file", "--stdin-line",
           "--null-message"}
PLACE = {"-L", "--url"}

# ---- what has its test elsewhere: names | tools | file and test

CHECKED = """
--unix                  | pub sub              | test_tools.py:test_a_message_goes_round
--unix                  | rr ctl               | test_tools_options.py:test_rr_and_ctl_reach_a_unix_socket
--ws                    | pub sub              | test_tools.py:test_a_message_goes_round
--ws                    | rr ctl               | test_tools_options.py:test_rr_and_ctl_reach_a_websocket
--proxy                 | pub sub rr ctl       | test_tools.py:test_goes_through_a_socks_proxy
-S                      | pub sub rr           | test_tools.py:test_a_unix_socket_has_no_name_to_ask_dns_for
--cafile                | pub sub rr ctl       | test_tools_options.py:test_what_is_asked_of_tls
--capath                | pub sub rr ctl       | test_tools_options.py:test_what_is_asked_of_tls
--tls-use-os-certs      | pub sub rr ctl       | test_tools_options.py:test_what_is_asked_of_tls
--cert --key            | pub sub rr ctl       | test_tools_options.py:test_what_is_asked_of_tls
--keyform --tls-engine  | pub sub rr ctl       | test_hsm.py:test_a_client_with_its_key_in_the_token
--tls-engine-kpass-sha1 | pub sub rr ctl       | test_tools_oracle.py:test_mistakes_of_pub
--tls-version           | pub sub rr ctl       | test_tools_options.py:test_what_is_asked_of_tls
--ciphers --tls-alpn    | pub sub rr ctl       | test_tools_options.py:test_what_is_asked_of_tls
--tls-keylog            | pub sub rr           | test_tools_options.py:test_what_is_asked_of_tls
--psk --psk-identity    | pub sub rr ctl       | test_tools_options.py:test_what_is_asked_of_tls
-W                      | sub                  | test_tools.py:test_sub_ends_by_count_time_and_acknowledgement
-W                      | rr                   | test_tools_rr.py:test_a_response_that_never_comes
--latency               | rr                   | test_tools_rr.py:test_latency_is_told
-T --filter-out         | sub                  | test_tools_options.py:test_what_sub_shows
-R                      | sub                  | test_tools.py:test_retained_messages_shown_hidden_filtered_removed
-R                      | rr                   | test_tools_rr.py:test_retained_messages_are_no_response_when_that_is_said
--retained-only         | sub                  | test_tools.py:test_retained_messages_shown_hidden_filtered_removed
--remove-retained       | sub                  | test_tools.py:test_retained_messages_shown_hidden_filtered_removed
-C -E                   | sub                  | test_tools.py:test_sub_ends_by_count_time_and_acknowledgement
-v --verbose            | sub rr               | test_tools_options.py:test_what_sub_shows
-F -N --pretty          | sub rr               | test_tools_options.py:test_what_sub_shows
-w --watch              | sub                  | test_tools_options.py:test_what_sub_shows
--message-rate          | sub                  | test_tools.py:test_message_rate_counts_every_second
--random-filter         | sub                  | test_tools_options.py:test_what_sub_shows
-d --debug              | pub sub rr ctl       | test_tools_options.py:test_debug_shows_packets
--help                  | pub sub rr passwd    | test_tools.py:test_help_and_version_have_the_status_of_their_name
--help                  | ctl signal check explain store bench db-dump nightjar | test_tools_options.py:test_help_is_there
--version               | pub sub              | test_tools.py:test_help_and_version_have_the_status_of_their_name
--version               | rr ctl nightjar      | test_tools_options.py:test_version_is_told
-q --qos                | ctl                  | test_tools_options.py:test_ctl_asks_with_the_qos_of_its_options
-f                      | ctl                  | test_tools_ctl.py:test_a_password_is_set_in_a_file
-o                      | ctl                  | test_tools_ctl.py:test_defaults_file_and_url
--json                  | ctl                  | test_tools_ctl.py:test_protocols_and_json
--compat-exit           | ctl                  | test_tools_ctl.py:test_refusals_and_silence
-v --verbose            | ctl                  | test_tools_options.py:test_ctl_takes_verbose_as_the_original_does
-c -D                   | passwd               | test_tools_passwd.py:test_creates_adds_updates_and_deletes
--force                 | passwd               | test_tools_passwd.py:test_create_never_overwrites_unasked
-U                      | passwd               | test_tools_passwd.py:test_upgrades_a_plain_file_but_not_its_hashes
-b                      | passwd               | test_tools_passwd.py:test_creates_adds_updates_and_deletes
-H                      | passwd               | test_tools_passwd.py:test_every_kind_of_hash
-I                      | passwd               | test_tools_passwd.py:test_iterations
-a                      | signal               | test_tools_rr.py:test_all_brokers_are_found_by_name
-p                      | signal               | test_tools_rr.py:test_signals_by_name
--as                    | check                | test_tools_check.py:test_what_is_wrong_with_the_json_has_line_and_column
--compat                | check                | test_tools_check.py:test_modes_read_an_acl_in_their_own_ways
--strict                | check                | test_tools_check.py:test_a_good_configuration_is_good
--json                  | check                | test_tools_check.py:test_whatever_a_file_holds_there_is_an_answer
--quiet                 | check                | test_tools_options.py:test_check_can_be_quiet
-c --config-file        | explain              | test_tools_options.py:test_explain_by_every_name
-p --listener           | explain              | test_tools_options.py:test_explain_by_every_name
--acl                   | explain              | test_tools_check.py:test_a_denial_is_explained_and_the_change_allows
--passwords             | explain              | test_tools_options.py:test_explain_by_every_name
--compat                | explain              | test_tools_check.py:test_compat_mode_is_explained_as_such
--online -o             | explain              | test_tools_check.py:test_a_running_broker_explains_as_its_files_do
-u --username -i --id   | explain              | test_tools_options.py:test_explain_by_every_name
--json                  | explain              | test_tools_options.py:test_explain_by_every_name
--stats                 | db-dump              | test_tools_store.py:test_db_dump_prints_chunks_in_the_original_words
--client-stats          | db-dump              | test_tools_options.py:test_db_dump_counts_for_each_client
--json                  | db-dump              | test_tools_store.py:test_db_dump_as_json
-c --config-file        | nightjar             | test_tools_options.py:test_the_broker_s_own_options
-p --port -d --daemon   | nightjar             | test_tools_options.py:test_the_broker_s_own_options
-h -q --quiet -v --verbose | nightjar          | test_tools_options.py:test_the_broker_s_own_options
--test-config           | nightjar             | test_process.py:test_test_config
--tls-keylog            | nightjar             | test_tools_options.py:test_the_broker_writes_tls_secrets
--compat                | nightjar             | test_tools_options.py:test_the_broker_s_own_options
--recover               | nightjar             | test_dynsec.py:test_B276_a_bad_file_ends_the_start_with_its_place
"""


def rows(text):
    return [[cell.strip() for cell in line.split("|", 4)] for line in text.strip().splitlines()]


BENCH = "bench"  # its options are read by tests/bench/test_opts.c and used by `./dev bench`


@functools.lru_cache
def options_of(tool):
    """The lists of names of one option each, as the help has them."""
    argv = {"nightjar": [BIN / "nightjar"], "db-dump": [BIN / "mosquitto_db_dump"]}.get(
        tool, [BIN / "nj", tool])
    text = subprocess.run([*argv, "--help"], capture_output=True, text=True, check=False).stdout
    name = r"--?[A-Za-z0-9][\w-]*"
    return [match[1].split(", ") for match in
            re.finditer(rf"^ +({name}(?:, {name})*)(?= |$)", text, re.M)]


def test_every_option_has_a_check():
    has, known = set(), set()
    for names, tools, *_ in rows(PACKETS) + rows(CHECKED):
        has |= {(tool, name) for tool in tools.split() for name in names.split()}
    for tool in TOOLS:
        known |= {(tool, name) for names in options_of(tool) for name in names if tool != BENCH}
    has = {pair for pair in has if pair[0] != BENCH}
    assert len(known) > 250
    assert known - has == set(), "options without a check"
    assert has - known == set(), "checks of options that there are not"


@functools.lru_cache
def words_of(place):
    """All words in the strings of a test, its decorators and the constants of its module it names."""
    file, test = place.split(":")
    tree = ast.parse(next(TESTS.rglob(file)).read_text())
    values = {target.id: node for node in tree.body if isinstance(node, ast.Assign)
              for target in node.targets if isinstance(target, ast.Name)}
    helpers = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert test in helpers, f"there is no {place}"
    seen, todo, words = set(), [helpers[test]], set()
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                words |= set(re.split(r"[\s|'\"]+", part.value))
            elif isinstance(part, ast.Name):
                todo += [table[part.id] for table in (values, helpers) if part.id in table]
    return words


@pytest.mark.parametrize("names, tools, place", rows(CHECKED))
def test_the_check_uses_the_option(names, tools, place):
    missing = [name for name in names.split() if name not in words_of(place)]
    assert missing == [], f"{place} does not use {missing}"


@pytest.mark.parametrize("tool", [*CLIENTS, "ctl"])
@pytest.mark.parametrize("mode", ["native", "compat"])
def test_both_names_say_which_value_is_missing(tool, mode):
    name = "ctrl" if (tool, mode) == ("ctl", "compat") else tool
    for names in (both for both in options_of(tool) if len(both) > 1):
        answers = {Tools(mode).run(name, one).err for one in names}
        assert len(answers) == 1 and b"Unknown" not in answers.pop(), names


# ---- what is seen in packets


class Partner:
    """A broker for one connection: answers every packet, also the one question of rr."""

    def __init__(self, family=socket.AF_INET, address=("127.0.0.1", 0), context=None, refuses=False):
        self.listener = socket.socket(family)
        self.listener.bind(address)
        self.listener.listen()
        self.address, self.context, self.refuses = self.listener.getsockname(), context, refuses
        self.version, self.filter, self.packets = V311, "", []
        self.tls = self.problem = None
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        try:
            self.listener.settimeout(PATIENCE)
            with self.listener.accept()[0] as sock:
                sock.settimeout(PATIENCE)
                if self.context is None:
                    self._talk(sock)
                else:
                    with self.context.wrap_socket(sock, server_side=True) as tls:
                        self.tls = tls.version(), tls.cipher()[0], tls.selected_alpn_protocol()
                        self._talk(tls)
        except OSError as problem:
            self.problem = problem

    def _talk(self, sock):
        while (raw := read_packet(sock)) is not None:
            packet = mw.split(raw, self.version)[0]
            self.packets.append(packet)
            sock.sendall(self._answer(packet))

    def _answer(self, packet):
        version, out = self.version, b""
        if packet.name == "CONNECT":
            self.version = packet.level
            out = mw.connack(packet.level, reason=0x87 if self.refuses else 0)
        elif packet.name == "SUBSCRIBE":
            self.filter = packet.filters[0][0]
            out = mw.suback(packet.packet_id, [bits & 3 for _, bits in packet.filters], version)
        elif packet.name == "UNSUBSCRIBE":
            out = mw.unsuback(packet.packet_id, [0] * len(packet.filters), version)
        elif packet.name == "PUBLISH":
            out = mw.puback(packet.packet_id, version) if packet.qos == 1 else b""
            if self.filter.startswith("$CONTROL"):
                out += mw.disconnect(version, 0x80)
            elif self.filter:  # rr waits for a response
                out += mw.publish(self.filter, b"42", version=version)
        return out

    def finish(self):
        self.thread.join(PATIENCE)
        self.listener.close()
        return self.packets


ESSENTIAL = {"pub": ["-t", "topic", "-m", "hi"], "sub": ["-t", "topic", "-E"],
             "rr": ["-t", "ask", "-e", "resp", "-m", "hi"], "ctl": ["dynsec", "listClients"]}


def run_with(tool, mode, options, place=None, data=b""):
    """Runs a tool with options before what it needs at least. `place`: where its broker is."""
    essential = list(ESSENTIAL[tool])
    if MESSAGE & set(options):
        del essential[essential.index("-m"):]
    behind = {"-t", "--topic", "-e"} & set(options)  # the last one counts
    args = [*place, *essential, *options] if behind else [*place, *options, *essential]
    name = "ctrl" if (tool, mode) == ("ctl", "compat") else tool
    return Tools(mode).run(name, *args, data=data)


# Under the original's name the first name of each option is enough: it is the same table.
CASES = [(mode, tool, name, value, packet, check)
         for names, tools, value, packet, check in rows(PACKETS) for tool in tools.split()
         for at, name in enumerate(names.split()) for mode in ("native", "compat")[:2 - at]]


@pytest.mark.parametrize("mode, tool, name, value, packet, check", CASES,
                         ids=[f"{c[0]}-{c[1]}{c[2]}={c[3][:12]}" for c in CASES])
def test_an_option_is_seen_in_packets(mode, tool, name, value, packet, check, tmp_path):
    file, options = tmp_path / "file", tmp_path / "options"
    file.write_text("of a file")
    options.write_text("-i of-options\n")
    partner = Partner(refuses=tool == "ctl")
    port = partner.address[1]
    place = ["-h", "127.0.0.1", "-p", str(port)]
    given = [word.format(file=file, options=options, port=port) for word in shlex.split(value)]
    done = run_with(tool, mode, [*shlex.split(WITH.get(name, "")), name, *given],
                    [] if name in PLACE else place, b"one\ntwo\n")
    many = [p for p in partner.finish() if p.name == packet]
    assert many, f"no {packet} came\n{done}"
    p = many[0]
    assert eval(check, {"p": p, "many": many, "re": re}), f"{p} is not {check}\n{done}"
    if tool != "ctl":
        done.expect(0, err=b"")


# ---- ways to a broker


@pytest.mark.parametrize("mode", ["native", "compat"])
@pytest.mark.parametrize("tool", ["rr", "ctl"])
def test_rr_and_ctl_reach_a_unix_socket(tool, mode, tmp_path):
    path = str(tmp_path / "socket")
    partner = Partner(socket.AF_UNIX, path)
    run_with(tool, mode, ["--unix", path], [])
    assert partner.finish()[0].name == "CONNECT"


@pytest.mark.needs("native")
@pytest.mark.parametrize("tool", ["rr", "ctl"])
def test_rr_and_ctl_reach_a_websocket(broker, tool):
    one = broker("acl_default allow\nlistener {port_ws} 127.0.0.1\nprotocol websockets\n")
    mark = one.mark()
    done = run_with(tool, "native", ["-W", "1", "--ws", "-i", "by-ws"] if tool == "rr" else
                    ["--ws", "-i", "by-ws"], ["-h", "127.0.0.1", "-p", str(one.ports["port_ws"])])
    assert done.status != 0  # nobody answers, or there is no dynamic security
    one.wait_log("New client connected from .* as by-ws", mark)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    ca = certs.authority()
    ca.write(folder, "ca")
    ca.issue("localhost", purpose="server", names=["localhost"]).write(folder, "server")
    ca.issue("me").write(folder, "client")
    subprocess.run(["openssl", "rehash", folder], check=True, capture_output=True)
    return folder


SECURE = [  # options, extra for the server, what it sees: version, cipher, protocol
    (["--cafile", "{dir}/ca.crt"], {}, ("TLSv1.3", None, None)),
    (["--capath", "{dir}"], {}, ("TLSv1.3", None, None)),
    (["--tls-use-os-certs", "--cafile", "{dir}/ca.crt"], {}, ("TLSv1.3", None, None)),
    (["--cafile", "{dir}/ca.crt", "--cert", "{dir}/client.crt", "--key", "{dir}/client.key"],
     {"asks": True}, ("TLSv1.3", None, None)),
    (["--cafile", "{dir}/ca.crt", "--tls-version", "tlsv1.2"], {"max": ssl.TLSVersion.TLSv1_2},
     ("TLSv1.2", None, None)),
    (["--cafile", "{dir}/ca.crt", "--tls-version", "tlsv1.3"], {"max": ssl.TLSVersion.TLSv1_2}, None),
    (["--cafile", "{dir}/ca.crt", "--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"],
     {"max": ssl.TLSVersion.TLSv1_2}, ("TLSv1.2", "AES256-GCM-SHA384", None)),
    (["--cafile", "{dir}/ca.crt", "--tls-alpn", "mqtt"], {}, ("TLSv1.3", None, "mqtt")),
    (["--cafile", "{dir}/ca.crt", "--tls-keylog", "{log}"], {}, ("TLSv1.3", None, None)),
    (["--psk", "AABB", "--psk-identity", "x"], {}, None),  # no such server: see test_psk.py
]


SECURE_CASES = [(tool, mode, *case) for case in SECURE for tool, mode in [
    ("pub", "native"), ("pub", "compat"), ("sub", "native"), ("rr", "native"), ("ctl", "native")]
    if tool != "ctl" or "--tls-keylog" not in case[0]]


@pytest.mark.parametrize("tool, mode, options, server, wanted", SECURE_CASES,
                         ids=[f"{case[0]}-{case[1]}-{case[2][-2].strip('-')}" for case in SECURE_CASES])
def test_what_is_asked_of_tls(tool, mode, options, server, wanted, keys, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "server.crt", keys / "server.key")
    context.set_alpn_protocols(["mqtt"])
    context.maximum_version = server.get("max", ssl.TLSVersion.MAXIMUM_SUPPORTED)
    if server.get("asks"):
        context.load_verify_locations(keys / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
    partner = Partner(context=context, refuses=tool == "ctl")
    log = tmp_path / "log"
    done = run_with(tool, mode, [word.format(dir=keys, log=log) for word in options],
                    ["-h", "localhost", "-p", str(partner.address[1])])
    partner.finish()
    if wanted is None:
        assert partner.tls is None and done.status != 0 and done.err.startswith(b"Error: "), done
        return
    version, cipher, protocol = wanted
    assert partner.tls and partner.packets[0].name == "CONNECT", (partner.problem, done)
    assert partner.tls[0] == version and partner.tls[2] == protocol
    assert cipher is None or cipher in partner.tls[1]
    if "--tls-keylog" in options:
        assert b"CLIENT_TRAFFIC_SECRET_0 " in log.read_bytes()


# ---- what is printed


SHOWN = [  # options and what is left of "t/1 {"a":1}" and "t/2 22"
    ([], b'{"a":1}\n22\n'), (["-v"], b't/1 {"a":1}\nt/2 22\n'), (["--verbose"], b't/1 {"a":1}\nt/2 22\n'),
    (["-N"], b'{"a":1}22'), (["-F", "%t|%l"], b"t/1|7\nt/2|2\n"), (["-T", "t/1"], b"22\n"),
    (["--filter-out", "+/1"], b"22\n"), (["--random-filter", "100"], b'{"a":1}\n22\n'),
    (["-w"], None), (["--watch"], None), (["-F", "%J", "--pretty"], None),
]


@pytest.mark.parametrize("mode", ["native", "compat"])
@pytest.mark.parametrize("options, wanted", SHOWN, ids=[" ".join(case[0]) or "plain" for case in SHOWN])
def test_what_sub_shows(options, wanted, mode):
    class Sends(Partner):
        def _answer(self, packet):
            out = super()._answer(packet)
            if packet.name == "SUBSCRIBE":
                out += mw.publish("t/1", b'{"a":1}', version=self.version)
                out += mw.publish("t/2", b"22", version=self.version)
            return out
    partner = Sends()
    count = "1" if wanted == b"22\n" else "2"
    done = Tools(mode).sub("-h", "127.0.0.1", "-p", str(partner.address[1]), "-t", "t/+", "-C", count,
                           *options).expect(0, wanted, "")
    partner.finish()
    if options[0:1] in (["-w"], ["--watch"]):
        assert b"\x1b[" in done.out
    if "--pretty" in options:
        assert done.out.count(b"\n") > 10 and b'"a"' in done.out


@pytest.mark.parametrize("name", ["-v", "--verbose", "-N", "--pretty", "-F"])
def test_what_rr_shows(name):
    partner = Partner()
    done = run_with("rr", "native", [name, "<%p>"] if name == "-F" else [name],
                    ["-h", "127.0.0.1", "-p", str(partner.address[1])])
    partner.finish()
    done.expect(0, {"-N": "42", "-F": "<42>\n", "--pretty": "42\n"}.get(name, "resp 42\n"), "")


@pytest.mark.parametrize("mode", ["native", "compat"])
@pytest.mark.parametrize("tool", [*CLIENTS, "ctl"])
@pytest.mark.parametrize("name", ["-d", "--debug"])
def test_debug_shows_packets(name, tool, mode):
    partner = Partner(refuses=tool == "ctl")
    done = run_with(tool, mode, [name], ["-h", "127.0.0.1", "-p", str(partner.address[1])])
    partner.finish()
    assert b"sending CONNECT" in (done.out if mode == "compat" else done.err), done


@pytest.mark.parametrize("tool", [t for t in TOOLS if t not in ("pub", "sub", "passwd")])
def test_help_is_there(tool):
    """--help natively ends with 0; test_tools.py looks at the original's 1."""
    argv = {"nightjar": [BIN / "nightjar"], "db-dump": [BIN / "mosquitto_db_dump"]}.get(
        tool, [BIN / "nj", tool])
    done = subprocess.run([*argv, "--help"], capture_output=True, text=True, check=True)
    assert "Usage: " in done.stdout and done.stderr == ""


@pytest.mark.parametrize("argv", [["nj", "rr"], ["nj", "ctl"], ["nightjar"]])
def test_version_is_told(argv):
    done = subprocess.run([BIN / argv[0], *argv[1:], "--version"], capture_output=True, text=True,
                          check=True)
    assert re.search(r"\d+\.\d+\.\d+", done.stdout) and done.stderr == ""


# ---- ctl, check, explain, db-dump


@pytest.mark.parametrize("name", ["-q", "--qos"])
@pytest.mark.parametrize("mode", ["native", "compat"])
def test_ctl_asks_with_the_qos_of_its_options(name, mode):
    partner = Partner()
    run_with("ctl", mode, [name, "0"], ["-h", "127.0.0.1", "-p", str(partner.address[1])])
    assert [p.qos for p in partner.finish() if p.name == "PUBLISH"] == [0]


@pytest.mark.parametrize("name", ["-v", "--verbose"])
def test_ctl_takes_verbose_as_the_original_does(name):
    partner = Partner(refuses=True)
    run_with("ctl", "compat", [name], ["-h", "127.0.0.1", "-p", str(partner.address[1])])
    assert partner.finish()[0].name == "CONNECT"


def test_check_can_be_quiet(tmp_path):
    acl = tmp_path / "acl"
    acl.write_text("topic nonsense nonsense nonsense\nuser\n")
    loud = Tools("native").run("check", "--as", "acl", acl)
    quiet = Tools("native").run("check", "--quiet", "--as", "acl", acl)
    assert loud.status == quiet.status != 0 and len(quiet.out + quiet.err) < len(loud.out + loud.err)


def test_explain_by_every_name(tmp_path):
    (tmp_path / "acl").write_text("user ann\ntopic write a\n")
    (tmp_path / "pw").write_text("")
    Tools("native").run("passwd", "-b", "-H", "sha512", tmp_path / "pw", "ann", "x").expect(0)
    conf = tmp_path / "conf"
    conf.write_text(f"listener 18830 127.0.0.1\nacl_file {tmp_path}/acl\npassword_file {tmp_path}/pw\n")
    for words in ("-c {c} -u ann", "--config-file {c} --username ann", "-c {c} -p 18830 -u ann -i me",
                  "-c {c} --listener 18830 -u ann --id me",
                  "--acl {a} --passwords {p} -u ann", "--json -c {c} -u ann"):
        args = words.format(c=conf, a=tmp_path / "acl", p=tmp_path / "pw").split()
        Tools("native").run("explain", *args, "publish", "a").expect(0, err="")
        Tools("native").run("explain", *args, "publish", "b").expect(1, err="")
    Tools("native").run("explain", "-c", conf, "-p", "1", "publish", "a").expect(2)


def test_db_dump_counts_for_each_client():
    sample = TESTS / "support/mosquitto_db/debian-2.0.11.db"
    done = Tools("compat").run("db_dump", "--client-stats", sample).expect(0, err="")
    assert len(re.findall(rb"^SC: \d+ SS: \d+ MC: \d+ MS: \d+   \S+$", done.out, re.M)) == 4


# ---- the broker


def ends(*args, cwd=None):
    # Without the variables of the test run itself, which the broker would warn of.
    env = {name: value for name, value in os.environ.items() if not name.startswith("NJ_")}
    done = subprocess.run([BIN / "nightjar", *args], capture_output=True, text=True, timeout=PATIENCE,
                          check=False, cwd=cwd, env=env)
    return done.returncode, done.stdout, done.stderr


def test_the_broker_s_own_options(tmp_path):
    conf = tmp_path / "conf"
    conf.write_text("listener 18831 127.0.0.1\n")
    for name in ("-h", "--help"):
        status, out, err = ends(name)
        assert status == 0 and out.startswith("Usage: nightjar") and err == ""
    for more in (["-c", conf], ["--config-file", conf], ["-p", "18831"], ["--port", "18831"], ["-d"],
                 ["--daemon"], ["--compat", "mosquitto"], ["--compat", "none"]):
        assert ends(*more, "--test-config", cwd=tmp_path)[0] == 0, more
    for name in ("-v", "--verbose"):
        assert "18831" in "".join(ends("-c", conf, name, "--test-config")[1:])
    for name in ("-q", "--quiet"):
        assert ends("-c", conf, name, "--test-config")[1:] == ("", "")
    for args in (["-c"], ["-p"], ["-p", "0"], ["--fly"], ["--compat", "x"], ["--recover", "x"],
                 ["--tls-keylog"], ["-c", tmp_path / "no"]):
        status, out, err = ends(*args)
        assert status == 3 and (err or out), args


@pytest.mark.needs("native")
def test_the_broker_writes_tls_secrets(broker, keys, tmp_path):
    log = tmp_path / "secrets"
    files = {name: (keys / name).read_bytes() for name in ("server.crt", "server.key")}
    one = broker("acl_default allow\nallow_anonymous true\nlistener {port_tls} 127.0.0.1\n"
                 "certfile {dir}/server.crt\nkeyfile {dir}/server.key\n", files=files,
                 args=["--tls-keylog", str(log)])
    Tools("native").pub("-h", "localhost", "-p", str(one.ports["port_tls"]), "--cafile",
                        keys / "ca.crt", "-t", "a", "-m", "x").expect(0)
    assert "CLIENT_TRAFFIC_SECRET_0 " in log.read_text()
