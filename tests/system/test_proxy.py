"""The PROXY protocol on listeners (ledger 3.7, L-074): a proxy's word about its clients."""
import itertools
import struct
import time

import pytest

import mqttwire as mw
import proxyproto as pp
from brokerproc import Options
from mqttwire import V5, V311, packets
from proxyproto import ProxiedEndpoint, ssl_tlv, tlv, v1, v2

pytestmark = pytest.mark.needs("nightjar")

TRUSTED = "proxy_trusted 127.0.0.0/8\n"
# The original takes version 2 for the proxy's TLS and refuses a certificate of its own beside it.
WSS_VERSION = 1 if Options.mode == "compat" else 2
LISTENERS = f"""
acl_default allow
connection_messages true
enable_proxy_protocol 1
{TRUSTED}
listener {{port_v2}} 127.0.0.1
enable_proxy_protocol 2
{TRUSTED}
listener {{port_ws}} 127.0.0.1
protocol websockets
enable_proxy_protocol 2
{TRUSTED}
listener {{port_tls}} 127.0.0.1
certfile {{dir}}/server.crt
keyfile {{dir}}/server.key
enable_proxy_protocol 1
{TRUSTED}
listener {{port_wss}} 127.0.0.1
protocol websockets
certfile {{dir}}/server.crt
keyfile {{dir}}/server.key
enable_proxy_protocol {WSS_VERSION}
{TRUSTED}
listener 0 {{dir}}/mqtt.sock
enable_proxy_protocol 2
listener {{port_plain}} 127.0.0.1
"""
_ids = itertools.count(1)


@pytest.fixture(scope="module")
def tls_files(pki):
    return {"server.crt": pki.server.crt_path.read_bytes(),
            "server.key": pki.server.key_path.read_bytes()}


@pytest.fixture
def proxied(shared_broker, tls_files):
    return shared_broker(LISTENERS, files=tls_files)


def through(one, header, kind="tcp", port="port", context=None, version=V5):
    """A connection that begins with `header`; no CONNECT yet."""
    inner = one.endpoint(kind, port=port, context=context) if kind != "unix" else one.endpoint(
        "unix")
    return mw.Conn(ProxiedEndpoint(inner, header), version)


def login_line(one, conn, mark, **options):
    name = f"proxied-{next(_ids)}"
    conn.connect(name, **options)
    return one.wait_log(f"New client connected from .* as {name} ", mark)


def is_refused(conn):
    """The connection ends without a byte."""
    conn.expect_closed(silent=True)


# -- right headers -------------------------------------------------------------------------------

KINDS = [("tcp", "port", v1), ("tcp", "port_v2", v2), ("ws", "port_ws", v2),
         ("tls", "port_tls", v1), ("wss", "port_wss", v1 if WSS_VERSION == 1 else v2)]


@pytest.mark.parametrize("kind,port,header", KINDS, ids=[f"{k}-{h.__name__}" for k, _, h in KINDS])
@pytest.mark.parametrize("version", [V311, V5])
def test_the_client_is_who_the_proxy_says(proxied, pki, kind, port, header, version):
    mark = proxied.mark()
    context = pki.client.context(pki.ca)
    conn = through(proxied, header(source="203.0.113.9", port=4242), kind, port, context, version)
    assert "from 203.0.113.9:4242 as" in login_line(proxied, conn, mark)
    conn.quiet().close()


def test_a_unix_socket_trusts_whoever_may_connect_to_it(proxied):
    mark = proxied.mark()
    conn = through(proxied, v2(source="2001:db8::9", dest="2001:db8::1", family=pp.TCP6), "unix")
    assert "from 2001:db8::9:51234 as" in login_line(proxied, conn, mark)


@pytest.mark.parametrize("port,header", [
    ("port", b"PROXY UNKNOWN\r\n"), ("port", b"PROXY UNKNOWN 1.2.3.4 x y z\r\n"),
    ("port_v2", v2(command=0, family=0, body=b"")), ("port_v2", v2(command=0)),
], ids=["unknown", "unknown-more", "local", "local-with-addresses"])
def test_B235_a_proxy_that_does_not_say_leaves_the_real_peer(proxied, port, header):
    mark = proxied.mark()
    assert "from 127.0.0.1:" in login_line(proxied, through(proxied, header, port=port), mark)


@pytest.mark.parametrize("header", [
    v2(tlv(pp.NOOP, b""), tlv(0xE5, b"own"), tlv(pp.AUTHORITY, b"broker.example"),
       tlv(pp.ALPN, b"mqtt"), tlv(pp.UNIQUE_ID, b"u" * 128), checksum=True),
    v2(ssl_tlv("alice"), checksum=True),
    v2(tlv(0x30, b"blue"), tlv(0xEE, b"x" * 7000)),
], ids=["many-tlvs", "tls", "long"])
def test_headers_with_tlvs(proxied, header):
    mark = proxied.mark()
    line = login_line(proxied, through(proxied, header, port="port_v2"), mark)
    assert "from 203.0.113.7:51234 as" in line


@pytest.mark.parametrize("port,header", [("port", v1()), ("port_v2", v2(checksum=True))])
def test_a_header_in_pieces_and_with_what_follows_it(proxied, port, header):
    whole = header + packets.connect("pieces", version=V5)
    for cut in list(range(1, len(header), 5)) + [len(header), len(header) + 3]:
        conn = through(proxied, whole[:cut], port=port)
        conn.send_wire(whole[cut:])
        conn.expect("CONNACK", reason=0)
        conn.close()
    one = through(proxied, b"", port=port)
    for at in range(len(whole)):
        one.send_wire(whole[at:at + 1])
    one.expect("CONNACK", reason=0)


def test_an_address_is_the_source_that_logins_are_fair_to(broker):
    """Refused logins of one proxied client do not fill the queue of another one."""
    one = broker("enable_proxy_protocol 2\n" + TRUSTED + "allow_anonymous false\n"
                 "password_file {dir}/pw\n", files={"pw": ""})
    conns = [through(one, v2(source=f"203.0.113.{n}")) for n in (1, 2)]
    for conn in conns:
        conn.send(packets.connect("x", version=V5, username="u", password="p"))
    for conn in conns:
        conn.expect("CONNACK", reason=0x87)
    assert not one.has_log("from 127.0.0.1")


# -- wrong ones ----------------------------------------------------------------------------------

BAD_V1 = {
    "address": v1(source="999.1.1.1"), "port": v1(port=65536), "negative": v1(port=-1),
    "zeros": b"PROXY TCP4 1.1.1.1 2.2.2.2 007 1\r\n", "family": v1(source="2001:db8::1",
                                                                   family="TCP4"),
    "missing": b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", "tabs": v1().replace(b" ", b"\t"),
    "lower": v1().lower(), "two-blanks": v1().replace(b" ", b"  ", 1), "lf": v1()[:-2] + b"\n",
    "long": b"PROXY UNKNOWN " + b"x" * 100, "version-2": v2(),
    "no-header": packets.connect("x", version=V5), "tls": b"\x16\x03\x01\x00\x05hello",
    "http": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_V1)
def test_B234_bad_headers_of_version_1_end_the_connection(proxied, name):
    mark = proxied.mark()
    is_refused(through(proxied, BAD_V1[name]))
    proxied.wait_log("Connection rejected, corrupt PROXY header.", mark)


BAD_V2 = {
    "B236-signature": v2()[:3] + b"\0" + v2()[4:], "B237-version-1": v2(version=1),
    "B237-version-3": v2(version=3), "B237-command-2": v2(command=2),
    "B237-command-15": v2(command=15), "B239-unspec": v2(family=0),
    "B239-udp": v2(family=0x12), "B239-unknown": v2(family=0x41),
    "B239-unix-no-nul": v2(family=pp.UNIX, body=b"x" * 216),
    "B240-length-0": v2(length=0), "B240-length-11": v2(length=11),
    "B240-ipv6-35": v2(family=pp.TCP6, body=bytes(35)), "B240-length-65535": v2(length=65535),
    "B241-past-the-end": v2(tlv(pp.NOOP, b"x", length=2)), "B241-empty": v2(tlv(0xE0, b"")),
    "B241-many": v2(*[tlv(pp.NOOP, b"")] * 20000), "B241-65": v2(*[tlv(pp.NOOP, b"")] * 65),
    "B241-two-names": v2(tlv(pp.SSL, struct.pack(">BI", 7, 0) + tlv(pp.CN, b"a") * 2)),
    "B242-cut": v2(tlv(pp.SSL, b"\x07\0\0")), "B244-checksum": v2(checksum=b"\0\1\2\3"),
    "L074-nul": v2(ssl_tlv(b"a\0b")), "L074-crlf": v2(ssl_tlv(b"a\r\nb")),
    "L074-utf8": v2(ssl_tlv(b"a\xffb")), "L074-long": v2(ssl_tlv("n" * 65)),
    "version-1": v1(), "no-header": packets.connect("x", version=V5),
}


@pytest.mark.parametrize("name", BAD_V2)
def test_L074_bad_headers_of_version_2_end_the_connection(proxied, name):
    mark = proxied.mark()
    conn = through(proxied, b"", port="port_v2")
    conn.try_send(BAD_V2[name])
    is_refused(conn)
    proxied.wait_log("Connection rejected, corrupt PROXY header.", mark)


def test_B230_B246_a_header_has_three_seconds_whatever_trickles_in(proxied):
    began = time.monotonic()
    silent = through(proxied, b"")
    slow = through(proxied, b"", port="port_v2")
    cut = through(proxied, v1()[:-1])
    header = v2()
    for at in range(len(header) - 1):
        if not slow.try_send(header[at:at + 1]):
            break
        try:  # a byte each 200 ms, unless the end comes first
            slow.packet(timeout=0.2)
        except mw.Closed:
            break
        except AssertionError:
            pass
    for conn in (silent, slow, cut):
        conn.expect_closed(silent=True)
    assert 2.5 < time.monotonic() - began < 9


def test_a_peer_that_ends_within_its_header_is_let_go_at_once(proxied):
    mark = proxied.mark()
    conn = through(proxied, v1()[:20])
    conn.sock.shutdown(1)
    began = time.monotonic()
    conn.expect_closed(silent=True)
    proxied.wait_log("disconnected: the connection is closed", mark)
    assert time.monotonic() - began < 2.5


@pytest.mark.parametrize("header", [v1(), v2()], ids=["v1", "v2"])
def test_B231_a_header_where_none_is_wanted_is_not_parsed(proxied, header):
    mark = proxied.mark()
    conn = through(proxied, header + packets.connect("x", version=V311), port="port_plain",
                   version=V311)
    conn.expect_closed()
    assert not proxied.has_log("203.0.113.7", mark)


@pytest.mark.parametrize("port,header", [("port", v1()), ("port_v2", v2())])
def test_B245_a_second_header_is_no_mqtt(proxied, port, header):
    conn = through(proxied, header + header + packets.connect("x", version=V311), port=port,
                   version=V311)
    conn.expect_closed()


def test_B247_a_header_inside_tls_is_no_header(proxied, pki):
    context = pki.client.context(pki.ca)
    conn = through(proxied, v1(), "tls", "port_tls", context, V311)
    conn.send(v1(source="198.51.100.1"), packets.connect("x", version=V311))
    conn.expect_closed()
    assert not proxied.has_log("198.51.100.1")


# -- who may speak it ----------------------------------------------------------------------------

def test_B232_headers_are_believed_from_listed_peers_only(broker):
    one = broker("acl_default allow\nenable_proxy_protocol 1\nproxy_trusted 192.0.2.0/24\n"
                 "proxy_trusted 2001:db8::/32\n")
    is_refused(through(one, v1()))
    one.wait_log("Connection from 127.0.0.1 rejected, it is not in proxy_trusted")
    one.write_config(one.config + "proxy_trusted 127.0.0.1\n")
    one.reload()
    through(one, v1()).connect("now")


@pytest.mark.needs("native")
def test_native_mode_wants_to_know_who_is_trusted(broker):
    one = broker("enable_proxy_protocol 1\n", start=False, mode="native")
    one.expect_error("needs proxy_trusted")
    status, log = one.run()
    assert status == 3 and "enable_proxy_protocol needs proxy_trusted" in log, log


def test_compat_mode_believes_anybody_unless_told_otherwise(broker):
    one = broker("enable_proxy_protocol 2\n", mode="compat")
    mark = one.mark()
    assert "from 203.0.113.7:51234" in login_line(one, through(one, v2()), mark)


# -- what the proxy knows of TLS -----------------------------------------------------------------

def test_clients_without_tls_are_refused_where_it_is_required(broker):
    one = broker("acl_default allow\nenable_proxy_protocol 2\nproxy_protocol_v2_require_tls true\n"
                 + TRUSTED)
    for header in (v2(), v2(ssl_tlv(client=0)), v2(ssl_tlv("x", client=6))):
        is_refused(through(one, header))
        one.wait_log("Connection from 203.0.113.7:51234 rejected, client did not connect using TLS.")
    is_refused(through(one, v2(command=0, family=0, body=b"")))
    mark = one.mark()
    login_line(one, through(one, v2(ssl_tlv(client=1))), mark)
    one.wait_log("negotiated TLSv1.3 cipher TLS_AES_128_GCM_SHA256", mark)


IDENTITY = ("enable_proxy_protocol 2\nrequire_certificate true\nuse_identity_as_username true\n"
            + TRUSTED)


@pytest.mark.parametrize("mode", ["native", "compat"])
def test_L074_the_name_in_the_certificate_that_the_proxy_verified_is_the_user(broker, mode):
    one = broker(IDENTITY + "allow_anonymous false\nacl_file {dir}/acl\n", mode=mode,
                 files={"acl": "user alice\ntopic readwrite a/#\nuser bob\ntopic readwrite b/#\n"})
    for header in (v2(), v2(ssl_tlv(client=1)), v2(ssl_tlv("alice", verify=1)),
                   v2(ssl_tlv("alice", client=1)), v2(ssl_tlv("alice", client=6))):
        mark = one.mark()
        is_refused(through(one, header))
        one.wait_log("rejected, client did not provide a certificate.", mark)
    mark = one.mark()
    conn = through(one, v2(ssl_tlv("alice")))
    line = login_line(one, conn, mark, username="bob", password="x")
    assert "u'alice'" in line
    conn.publish("a/1", b"x", qos=1)
    conn.publish("b/1", b"x", qos=1, reason=0x87)
    for name in ("#", "+", "a+", "a/#"):
        other = through(one, v2(ssl_tlv(name)))
        other.send(packets.connect("wild", version=V5))
        other.expect("CONNACK", reason=0x87)
    nameless = through(one, v2(ssl_tlv()))
    nameless.send(packets.connect("nameless", version=V5))
    nameless.expect("CONNACK", reason=0x87)


def test_the_listeners_own_tls_wins_over_the_proxys_word(broker, tls_files, pki):
    files = dict(tls_files, **{"ca.crt": pki.ca.crt_path.read_bytes()})
    one = broker(IDENTITY + "acl_default allow\ncertfile {dir}/server.crt\nkeyfile "
                 "{dir}/server.key\ncafile {dir}/ca.crt\n", mode="native", files=files)
    mark = one.mark()
    conn = through(one, v2(ssl_tlv("admin")), "tls", context=pki.client.context(pki.ca))
    line = login_line(one, conn, mark)
    assert "u'admin'" not in line and "u'" in line and "from 203.0.113.7:51234" in line
