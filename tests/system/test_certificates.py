"""Certificates: who gets in, as whom, and for how long (ledger 2.9)."""
import contextlib
import socket
import ssl
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

import certs
import mqttwire as mw
import passwords
from brokerproc import Options
from mqttwire import V5
from scenes import settle

pytestmark = pytest.mark.needs("nightjar")


@pytest.fixture(scope="module")
def ca():
    return certs.authority()


@pytest.fixture(scope="module")
def server_files(ca):
    server = ca.issue("localhost", purpose="server", names=["localhost", "127.0.0.1"])
    return {"server.crt": server.chain_pem, "server.key": certs.pem(server.key),
            "ca.crt": certs.pem(ca.cert)}


@pytest.fixture
def ident(ca, tmp_path):
    """Makes a client's TLS context from a certificate of the factory."""
    count = [0]

    def make(cert, trust=ca, tls13=None):
        count[0] += 1
        cert.write(tmp_path, f"c{count[0]}")
        return cert.context(trust, tls13)
    return make


TLS = "certfile {dir}/server.crt\nkeyfile {dir}/server.key\n"
MUTUAL = TLS + "cafile {dir}/ca.crt\nrequire_certificate true\n"
ACL = "user demo-client\ntopic readwrite #\npattern readwrite own/%u/#\n"


def mutual(factory, server_files, extra="use_identity_as_username true\n", acl=ACL, files=None,
           mode=None, globals_=""):
    return factory("listener {port} 127.0.0.1\n" + MUTUAL + extra + globals_
                   + ("acl_file {dir}/acl\n" if acl is not None else ""),
                   listener=False, anonymous=False, mode=mode,
                   files={**server_files, **({"acl": acl} if acl is not None else {}),
                          **(files or {})})


def enters(one, context, version=V5, port="port", kind="tls", client_id="c", **options):
    """The CONNACK reason, or None when TLS or the broker ends it before."""
    try:
        conn = one.conn(version, kind, port, context=context)
        conn.send(mw.connect(client_id, version, **options))
        reason = conn.expect("CONNACK").reason
        conn.close()
        return reason
    except (ssl.SSLError, ConnectionError, mw.WireError, BrokenPipeError):
        return None


@pytest.mark.threads
def test_A112_A113_a_certificate_is_the_identity(shared_broker, server_files, ca, ident, version):
    """The common name becomes the user name; what CONNECT says is thrown away."""
    one = mutual(shared_broker, server_files)
    conn = one.client("c1", version, "tls", context=ident(ca.issue("device-7")),
                      username="demo-client", password="x")
    conn.publish("own/device-7/x", b"m", 1, reason=(0, 0x10))
    conn.publish("own/demo-client/x", b"m", 1, reason=0x87)
    conn.publish("else", b"m", 1, reason=0x87)
    line = one.wait_log(r"New client connected from .* as c1 \(")
    assert "u'device-7'" in line, line


@pytest.mark.parametrize("tls13", [False, True], ids=["tls12", "tls13"])
def test_without_a_certificate_nobody_gets_in(shared_broker, server_files, ca, ident, tls13):
    one = mutual(shared_broker, server_files)
    assert enters(one, certs.client_context(ca, tls13=tls13)) is None
    assert enters(one, certs.client_context(ca, tls13=tls13), username="demo-client",
                  password="x") is None
    assert enters(one, ident(ca.issue("ok"), tls13=tls13)) == 0


def odd_certificates(ca):
    """Shapes that must not get in (L-219, L-210, L-212, A1.13)."""
    foreign = certs.authority("Test CA")  # the same name, another key
    expired_sub = ca.sub_authority("Old CA", days=(-20, -10))
    short = ca.sub_authority("Leaf-only CA", path_length=0)
    below = short.sub_authority("CA below a path length of 0")
    no_ca = ca.issue("not a CA", is_ca=False, purpose=None)
    fake = certs.Authority(no_ca.cert, no_ca.key, ca)
    key_usage = x509.KeyUsage(False, False, False, False, False, True, False, False, False)
    return {
        "foreign_authority": foreign.issue("demo-client"),
        "self_signed": certs.authority("demo-client"),
        "expired": ca.issue("demo-client", days=(-10, -1)),
        "not_yet_valid": ca.issue("demo-client", days=(1, 10)),
        "server_only": ca.issue("demo-client", purpose="server"),
        "other_purpose": ca.issue("demo-client", purpose="other"),
        "expired_intermediate": expired_sub.issue("demo-client"),
        "path_too_long": below.issue("demo-client"),
        "signed_by_a_leaf": fake.issue("demo-client"),
        "wrong_key_usage": ca.issue("demo-client", key_usage=key_usage),
        "weak_key": ca.issue("demo-client", key=certs.rsa_key(1024)),
        "sha1": ca.issue("demo-client", digest=hashes.SHA1()),
        "no_common_name": ca.issue(None, subject=certs.name_of(None, organization_name="x")),
        "two_common_names": ca.issue(["demo-client", "root"]),
        "nul_in_name": ca.issue("demo-client\0.evil"),
        "control_character": ca.issue("demo\nclient"),
        "escape_character": ca.issue("demo\x1b[2Jclient"),
    }


ODD = ["foreign_authority", "self_signed", "expired", "not_yet_valid", "server_only",
       "other_purpose", "expired_intermediate", "path_too_long", "signed_by_a_leaf",
       "wrong_key_usage", "weak_key", "sha1", "no_common_name", "two_common_names", "nul_in_name",
       "control_character", "escape_character"]


@pytest.mark.parametrize("shape", ODD)
@pytest.mark.parametrize("kind", ["tls", "wss"])
def test_L143_L210_L212_L213_L219_odd_certificates_are_refused(shared_broker, server_files, ca, ident,
                                                          shape, kind):
    """The same on TLS and on WSS; the log gives a reason."""
    one = shared_broker(
        "listener {port} 127.0.0.1\n" + MUTUAL + "use_identity_as_username true\n"
        "listener {port_wss} 127.0.0.1\nprotocol websockets\n" + MUTUAL
        + "use_identity_as_username true\nacl_file {dir}/acl\n", listener=False, anonymous=False,
        files={**server_files, "acl": ACL})
    made = odd_certificates(ca)
    assert set(made) == set(ODD)
    context = ident(made[shape])
    mark = one.mark()
    assert enters(one, context, kind=kind, port="port" if kind == "tls" else "port_wss") != 0
    if shape not in ("weak_key", "sha1"):
        one.wait_log(r"(?i)certificate|not authorised|name|TLS|SSL", mark)
    good = ident(ca.issue("fine"))
    assert enters(one, good, kind=kind, port="port" if kind == "tls" else "port_wss") == 0


def test_certificates_through_an_intermediate_authority(shared_broker, server_files, ca, ident):
    one = mutual(shared_broker, server_files)
    sub = ca.sub_authority()
    assert enters(one, ident(sub.issue("through"))) == 0
    lone = sub.issue("through")
    lone.issuer = None  # the client sends its own certificate only
    assert enters(one, ident(lone)) is None


def test_A63_certificates_without_any_extension(shared_broker, server_files, ca, ident):
    """openssl x509 -req makes such; the article uses them."""
    one = mutual(shared_broker, server_files)
    assert enters(one, ident(ca.issue("plain", purpose=None))) == 0


def test_A113_subject_as_user_name(broker, server_files, ca, ident):
    one = mutual(broker, server_files, "use_subject_as_username true\n", acl="")
    cert = ca.issue(None, subject=certs.name_of("dev,1", organization_name="Org", country_name="DE"))
    one.client("s1", V5, "tls", context=ident(cert))
    line = one.wait_log(r"as s1 \(")
    assert r"CN=dev\,1" in line and "O=Org" in line, line


def test_A117_row5_certificate_and_password(broker, server_files, ca, ident, version):
    """Good certificate and bad password: refused; bad certificate and good password: refused."""
    one = broker("listener {port} 127.0.0.1\n" + MUTUAL
                 + "allow_anonymous false\npassword_file {dir}/pw\nacl_file {dir}/acl\n",
                 listener=False, files={**server_files, "acl": "user u\ntopic readwrite t\n",
                                        "pw": passwords.file_text({"u": "p"})})
    good, bad = ident(ca.issue("whoever")), ident(certs.authority("x").issue("whoever"))
    assert enters(one, good, version, username="u", password="p") == 0
    assert enters(one, good, version, username="u", password="q") not in (0, None)
    assert enters(one, good, version) not in (0, None)
    assert enters(one, bad, version, username="u", password="p") is None
    conn = one.client("x", version, "tls", context=good, username="u", password="p")
    conn.publish("t", b"m", 1, reason=(0, 0x10))
    conn.publish("own/whoever/x", b"m", 1, reason=0x87)


def test_A69_row6_with_anonymous_clients_forbidden(broker, server_files, ca, ident):
    """use_identity_as_username needs no allow_anonymous and no password file."""
    one = mutual(broker, server_files, "use_identity_as_username true\n",
                 globals_="allow_anonymous false\n")
    assert enters(one, ident(ca.issue("demo-client"))) == 0


def test_a_listener_with_tls_only(shared_broker, server_files, ca, version):
    one = shared_broker("listener {port} 127.0.0.1\n" + TLS + "allow_anonymous true\n",
                        listener=False, files=server_files)
    for tls13 in (False, True):
        context = certs.client_context(ca, tls13=tls13)
        conn = one.conn(version, "tls", context=context)
        conn.connect("tls")
        conn.quiet()
        assert conn.tls_version == ("TLSv1.3" if tls13 else "TLSv1.2")
        conn.close()


def test_A66_the_log_tells_version_and_cipher(shared_broker, server_files, ca):
    one = shared_broker("listener {port} 127.0.0.1\n" + TLS + "allow_anonymous true\n",
                        listener=False, files=server_files)
    mark = one.mark()
    one.client("tls-log", V5, "tls", context=certs.client_context(ca, tls13=True))
    one.wait_log(r"Client tls-log negotiated TLSv1\.3 cipher TLS_[A-Z0-9_]+$", mark)


@pytest.mark.parametrize("minimum", ["tlsv1.2", "tlsv1.3"])
def test_L164_old_versions_are_refused(broker, server_files, ca, minimum):
    one = broker("listener {port} 127.0.0.1\n" + TLS + f"tls_version {minimum}\n"
                 "allow_anonymous true\n", listener=False, files=server_files)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    assert enters(one, old) is None
    assert enters(one, certs.client_context(ca, tls13=True)) == 0
    assert (enters(one, certs.client_context(ca, tls13=False)) == 0) == (minimum == "tlsv1.2")


def test_ciphers_can_be_chosen(broker, server_files, ca):
    one = broker("listener {port} 127.0.0.1\n" + TLS + "ciphers ECDHE-ECDSA-AES256-GCM-SHA384\n"
                 "ciphers_tls1.3 TLS_CHACHA20_POLY1305_SHA256\nallow_anonymous true\n",
                 listener=False, files=server_files)
    one.client("c12", V5, "tls", context=certs.client_context(ca, tls13=False))
    one.wait_log("Client c12 negotiated TLSv1.2 cipher ECDHE-ECDSA-AES256-GCM-SHA384")
    one.client("c13", V5, "tls", context=certs.client_context(ca, tls13=True))
    one.wait_log("Client c13 negotiated TLSv1.3 cipher TLS_CHACHA20_POLY1305_SHA256")


def test_plain_mqtt_on_a_tls_port(shared_broker, server_files, ca):
    one = mutual(shared_broker, server_files)
    conn = one.conn()
    conn.try_send(mw.connect("x"))
    conn.raw_end = conn._recv(time.monotonic() + mw.PATIENCE)
    while conn.raw_end:  # a TLS alert may come first
        conn.raw_end = conn._recv(time.monotonic() + mw.PATIENCE)
    assert conn.raw_end == b"", "the connection has to end"


@pytest.mark.parametrize("broken", ["certfile", "keyfile", "cafile", "crlfile"])
@pytest.mark.parametrize("how", ["missing", "empty", "garbage"])
def test_L218_unusable_files_end_the_start(broker, server_files, ca, broken, how):
    """Exit status 1, a line that names the file, and never an unverified listener."""
    names = {"certfile": "server.crt", "keyfile": "server.key", "cafile": "ca.crt",
             "crlfile": "crl.pem"}
    files = dict(server_files)
    if broken == "crlfile":
        files["crl.pem"] = ca.crl()
    if how == "missing":
        del files[names[broken]]
    else:
        files[names[broken]] = "" if how == "empty" else "-----BEGIN X-----\nnothing\n"
    one = broker("listener {port} 127.0.0.1\n" + MUTUAL + "use_identity_as_username true\n"
                 + ("crlfile {dir}/crl.pem\n" if broken == "crlfile" else ""), listener=False,
                 files=files, start=False)
    one.expect_error("Error")
    status, log = one.run()
    assert status == 1 and names[broken] in log, log


def test_a_key_that_does_not_fit(broker, server_files, ca):
    other = ca.issue("localhost", purpose="server")
    one = broker("listener {port} 127.0.0.1\n" + TLS, listener=False, start=False,
                 files={**server_files, "server.key": certs.pem(other.key)})
    one.expect_error("Error")
    status, log = one.run()
    assert status == 1, log


@pytest.mark.parametrize("extra", ["ciphers NONSENSE\n", "ciphers_tls1.3 NONSENSE\n",
                                   "tls_version tlsv9\n"])
def test_unusable_tls_settings(broker, server_files, extra):
    one = broker("listener {port} 127.0.0.1\n" + TLS + extra, listener=False, start=False,
                 files=server_files)
    one.expect_error("Error")
    status, log = one.run()
    assert status in (1, 3), log


# -- revocation -----------------------------------------------------------------------------------


def with_crl(factory, server_files, ca, crl, extra="", **more):
    return mutual(factory, {**server_files, "crl.pem": crl},
                  "use_identity_as_username true\ncrlfile {dir}/crl.pem\n" + extra, **more)


@pytest.mark.threads
def test_L215_a_revoked_certificate_ends_its_connection(broker, server_files, ca, ident, version):
    """After a reload with a new CRL: the live connection ends, a new one is refused, all others
    stay."""
    bad, good = ca.issue("bad"), ca.issue("good")
    one = with_crl(broker, server_files, ca, ca.crl())
    bad_context, good_context = ident(bad), ident(good)
    gone = one.client("gone", version, "tls", context=bad_context)
    stays = one.client("stays", version, "tls", context=good_context)
    one.write("crl.pem", ca.crl([bad]))
    one.reload()
    gone.expect_closed(timeout=3)
    stays.quiet()
    assert enters(one, bad_context, version) is None
    assert enters(one, good_context, version) == 0


@pytest.mark.threads
def test_L215_tls_tickets_do_not_outlive_a_revocation(broker, server_files, ca, ident):
    bad = ca.issue("bad")
    one = with_crl(broker, server_files, ca, ca.crl())
    for tls13 in (False, True):
        one.write("crl.pem", ca.crl())
        one.reload()
        context = ident(bad, tls13=tls13)
        conn = one.client("first", V5, "tls", context=context)
        conn.quiet()
        session = conn.sock.session
        conn.disconnect()
        assert session is not None
        sock = socket.create_connection(("127.0.0.1", one.ports["port"]))
        again = context.wrap_socket(sock, server_hostname="localhost", session=session)
        again.sendall(mw.connect("again"))
        assert again.recv(4)[:1] == b"\x20"
        again.close()
        one.write("crl.pem", ca.crl([bad]))
        one.reload()
        sock = socket.create_connection(("127.0.0.1", one.ports["port"]))
        sock.settimeout(mw.PATIENCE)
        try:
            late = context.wrap_socket(sock, server_hostname="localhost", session=session)
            late.sendall(mw.connect("late"))
            assert late.recv(4) == b"", "a resumed session got in after the revocation"
        except (ssl.SSLError, ConnectionError):
            pass


def test_L214_crl_of_the_whole_chain(broker, server_files, ca, ident):
    """An intermediate authority that was revoked takes its leaves along."""
    sub = ca.sub_authority()
    leaf, direct = sub.issue("leaf"), ca.issue("direct")
    one = with_crl(broker, server_files, ca, ca.crl() + sub.crl())
    assert enters(one, ident(leaf)) == 0
    assert enters(one, ident(direct)) == 0
    one.write("crl.pem", ca.crl([sub]) + sub.crl())
    one.reload()
    assert enters(one, ident(leaf)) is None
    assert enters(one, ident(direct)) == 0


@pytest.mark.parametrize("what", ["expired", "future", "foreign"])
def test_L214_unusable_lists_let_nobody_in(broker, server_files, ca, ident, what):
    crl = {"expired": ca.crl(days=(-10, -1)), "future": ca.crl(days=(1, 10)),
           "foreign": certs.authority("another").crl()}[what]
    one = with_crl(broker, server_files, ca, crl)
    one.expect_error("(?i)crl|certificate|revocation")
    assert enters(one, ident(ca.issue("x"))) is None


def test_L214_a_broken_list_on_reload_keeps_the_old_one(broker, server_files, ca, ident):
    bad, good = ca.issue("bad"), ca.issue("good")
    one = with_crl(broker, server_files, ca, ca.crl([bad]), mode="native")
    bad_context, good_context = ident(bad), ident(good)
    live = one.client("live", V5, "tls", context=good_context)
    one.write("crl.pem", "garbage")
    one.reload(fails=True)
    live.quiet()
    assert enters(one, bad_context) is None
    assert enters(one, good_context) == 0


def test_a_new_authority_and_the_end_of_an_old_one(broker, server_files, ca, ident):
    """cafile changes with a reload: who is still allowed stays, who is not goes."""
    second = certs.authority("Second CA")
    old_id, new_id = ca.issue("old"), second.issue("new")
    one = mutual(broker, server_files)
    old_context, new_context = ident(old_id), ident(new_id)
    old = one.client("old", V5, "tls", context=old_context)
    assert enters(one, new_context) is None
    one.write("ca.crt", certs.pem(ca.cert) + certs.pem(second.cert))
    one.reload()
    old.quiet()
    new = one.client("new", V5, "tls", context=new_context)
    one.write("ca.crt", certs.pem(second.cert))
    one.reload()
    old.expect_closed(timeout=3)
    new.quiet()
    assert enters(one, old_context) is None


@pytest.mark.threads
def test_a_new_server_certificate_is_shown_after_a_reload(broker, server_files, ca, ident):
    one = mutual(broker, server_files)
    context = ident(ca.issue("x"))
    first = one.client("first", V5, "tls", context=context)
    before = first.sock.getpeercert(True)
    server = ca.issue("localhost", purpose="server", names=["localhost"])
    one.write("server.crt", server.chain_pem)
    one.write("server.key", certs.pem(server.key))
    one.reload()
    first.quiet()
    second = one.client("second", V5, "tls", context=context)
    assert second.sock.getpeercert(True) != before


@pytest.mark.parametrize("name", ["server.crt", "server.key", "ca.crt"])
def test_L081_L082_broken_tls_files_on_reload_change_nothing(broker, server_files, ca, ident, name):
    one = mutual(broker, server_files, mode="native")
    context = ident(ca.issue("x"))
    live = one.client("live", V5, "tls", context=context)
    one.write(name, "garbage\n")
    one.reload(fails=True)
    live.quiet()
    assert enters(one, context) == 0
    assert enters(one, certs.client_context(ca)) is None


@pytest.mark.threads
def test_L090_reload_without_a_change_drops_nobody(broker, server_files, ca, ident, mode):
    one = mutual(broker, server_files, mode=mode)
    context = ident(ca.issue("x"))
    conns = [one.client(f"c{n}", V5, "tls", context=context) for n in range(5)]
    for _ in range(5):
        one.reload()
    for conn in conns:
        conn.quiet()


def test_L216_a_connection_ends_with_its_certificate(broker, server_files, ca, ident):
    end = 2.0 / 86400
    short = ca.issue("short", days=(-1, end))
    one = mutual(broker, server_files)
    conn = one.client("short", V5, "tls", context=ident(short))
    conn.quiet()
    conn.expect_closed(timeout=8)


def test_L221_dates_can_be_ignored_and_nothing_else(broker, server_files, ca, ident):
    one = mutual(broker, server_files,
                 "use_identity_as_username true\ndisable_client_cert_date_checks true\n")
    assert enters(one, ident(ca.issue("old", days=(-10, -1)))) == 0
    assert enters(one, ident(certs.authority("x").issue("old"))) is None


def test_capath(broker, server_files, ca, ident, mode):
    """Native: every CA file of the directory. Compat: hashed names only."""
    other = certs.authority("Other CA")
    folder = {"cas/my-ca.crt": certs.pem(ca.cert), "cas/other.pem": certs.pem(other.cert),
              "cas/README": "not a certificate", "cas/broken.pem": "garbage"}
    one = broker("listener {port} 127.0.0.1\n" + TLS + "capath {dir}/cas\n"
                 "require_certificate true\nuse_identity_as_username true\n",
                 listener=False, mode=mode, files={**server_files, **folder}, start=False)
    one.expect_error("(?i)broken.pem")
    if mode == "compat":
        subprocess.run(["openssl", "rehash", str(one.dir / "cas")], check=True,
                       capture_output=True)
    one.start()
    assert enters(one, ident(ca.issue("a"))) == 0
    assert enters(one, ident(other.issue("b"))) == 0
    assert enters(one, ident(certs.authority("third").issue("c"))) is None
    if mode == "native":
        third = certs.authority("Third CA")
        one.write("cas/third.crt", certs.pem(third.cert))
        one.reload()
        assert enters(one, ident(third.issue("c"))) == 0


def test_L220_a_chain_that_is_too_long(shared_broker, server_files, ca, ident):
    one = mutual(shared_broker, server_files)
    at = ca
    for number in range(30):
        at = at.sub_authority(f"Level {number}")
    assert enters(one, ident(at.issue("deep"))) is None
    assert enters(one, ident(ca.issue("flat"))) == 0


def test_L222_server_names_of_every_kind(shared_broker, server_files, ca):
    one = shared_broker("listener {port} 127.0.0.1\n" + TLS + "allow_anonymous true\n",
                        listener=False, files=server_files)
    for name in ("x" * 63 + ".example", "localhost", "a.b.c.d.e", "xn--nxasmq6b"):
        context = certs.client_context()
        conn = one.conn(V5, "tls", context=context, name=name)
        conn.connect("sni")
        conn.close()
    context = certs.client_context()
    context.set_alpn_protocols(["mqtt"])
    one.conn(V5, "tls", context=context).connect("alpn")


def hello_with_name(name):
    """The record of a ClientHello whose server name is these bytes (RFC 6066 3)."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = certs.client_context().wrap_bio(incoming, outgoing, server_hostname="name.example")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    body = outgoing.read()[9:]  # after the heads of record and handshake
    at = 34 + 1 + body[34]
    at += 2 + int.from_bytes(body[at:at + 2], "big")
    at += 1 + body[at]
    extensions, changed = body[at + 2:], b""
    while extensions:
        length = int.from_bytes(extensions[2:4], "big")
        one, extensions = extensions[:4 + length], extensions[4 + length:]
        if one[:2] == b"\0\0":
            entry = b"\0" + mw.primitives.binary(name)
            one = b"\0\0" + mw.primitives.binary(mw.primitives.binary(entry))
        changed += one
    body = body[:at] + mw.primitives.binary(changed)
    return b"\x16\x03\x01" + mw.primitives.binary(
        b"\x01" + len(body).to_bytes(3, "big") + body)


@pytest.mark.parametrize("name", [
    b"", b"x" * 253, b"x" * 255, b"x" * 256, b"x" * 300, b"x" * 4000, b"x" * 15000, b"local\0host",
    b"\r\nERROR: forged", b"\xff\xfe", b"#", b"../../etc", b"localhost" + bytes(200)],
    ids=lambda name: f"{len(name)}-{name[:6].hex()}")
def test_L222_server_names_that_are_none(shared_broker, server_files, ca, name):
    """Whatever the name is: an answer of TLS or the end, nothing of it in the log, others get in."""
    one = shared_broker("listener {port} 127.0.0.1\n" + TLS + "allow_anonymous true\n",
                        listener=False, files=server_files)
    conn = mw.Conn(one.endpoint("tcp"))
    conn.send_wire(hello_with_name(name))
    conn.sock.settimeout(10)
    assert conn.sock.recv(5)[:1] in (b"\x16", b"\x15", b"")  # a handshake, an alert, the end
    conn.close()
    one.client("other", V5, "tls", context=certs.client_context(ca)).quiet()
    assert not one.has_log(r"^ERROR: forged")


@pytest.mark.threads
@pytest.mark.slow
def test_L164_F043_half_open_handshakes_bother_nobody(broker, server_files, ca):
    """Two hundred connections that stop in the handshake: others get in, and they end at 10 s."""
    one = broker("listener {port} 127.0.0.1\n" + TLS + "allow_anonymous true\n"
                 + ("" if Options.mode == "compat" else "acl_default allow\n"),
                 listener=False, files=server_files)
    stuck = []
    for number in range(200):
        conn = mw.Conn(one.endpoint("tcp"))
        if number % 2:
            conn.send_wire(b"\x16\x03\x01\x00\xff\x01")
        stuck.append(conn)
    good = one.client("good", V5, "tls", context=certs.client_context(ca))
    good.quiet()
    began = time.monotonic()
    for conn in stuck:
        conn.expect_closed(timeout=15)
    assert 5 < time.monotonic() - began < 15
    good.quiet()


def test_identity_of_a_session_is_the_certificate(broker, server_files, ca, ident):
    """Another device's certificate cannot take over a session."""
    one = mutual(broker, server_files, mode="native",
                 acl="pattern readwrite own/%u/#\npattern readwrite settle/#\n")
    first = one.conn(V5, "tls", context=ident(ca.issue("one")))
    first.connect("dev", clean=False, properties={"session_expiry_interval": 100})
    other = one.conn(V5, "tls", context=ident(ca.issue("two")))
    other.send(mw.connect("dev", clean=False))
    assert other.expect("CONNACK").reason in (0x85, 0x87)
    settle(first, first)
