"""CA certificates of a listener that runs, by $CONTROL/certificate-management/v1 (ledger 2.9)."""
import os
import socket
import ssl
import subprocess

import pytest

import certs
import mqttwire as mw
import passwords
from control import Admin
from mqttwire import V5

pytestmark = pytest.mark.needs("nightjar")

API = "certificate-management/v1"
CONFIG = """\
listener {port} 127.0.0.1
listener {port_tls} 127.0.0.1
certfile {dir}/server.crt
keyfile {dir}/server.key
capath {dir}/cas
require_certificate true
use_identity_as_username true
"""
# The lines of all listeners come before the first one (B0).
GLOBAL = "password_file {dir}/pw\nacl_file {dir}/acl\n"
ON = "certificate_management true\n"
ACL = """\
user admin
topic readwrite $CONTROL/#
user certs-only
topic readwrite $CONTROL/certificate-management/#
topic readwrite x/#
user dev
topic readwrite x/#
"""


@pytest.fixture(scope="module")
def cas():
    return [certs.authority(f"CA {i}") for i in range(3)]


@pytest.fixture
def one(broker, cas):
    server = cas[0].issue("localhost", purpose="server", names=["localhost", "127.0.0.1"])
    users = "".join(f"{u}:{passwords.sha512(u)}\n" for u in ("admin", "certs-only"))

    def make(extra=ON, mode="native", config=CONFIG):
        return broker(GLOBAL + config + extra, listener=False, anonymous=False, mode=mode, files={
            "server.crt": server.chain_pem, "server.key": certs.pem(server.key),
            "cas/first.crt": certs.pem(cas[0].cert), "pw": users, "acl": ACL})
    return make


def admin_of(one, user="admin"):
    return Admin(one.client(f"{user}-{os.urandom(3).hex()}", username=user, password=user))


def context(ca, cas, tmp_path, name="dev", tls13=None):
    cert = ca.issue(name).write(tmp_path, f"{name}-{os.urandom(3).hex()}")
    return cert.context(cas[0], tls13)


def enters(one, ctx):
    try:
        conn = one.conn(V5, "tls", "port_tls", context=ctx)
        conn.send(mw.connect("c-" + os.urandom(3).hex()))
        reason = conn.expect("CONNACK").reason
        conn.close()
        return reason == 0
    except (ssl.SSLError, ConnectionError, mw.WireError):
        return False


def text(ca):
    return certs.pem(ca.cert).decode()


@pytest.mark.parametrize("mode", ["native", "compat"])
def test_A67_a_ca_is_trusted_from_the_next_handshake_and_deleted_with_its_connections(
        one, cas, tmp_path, mode):
    broker = one(ON + "enable_control_api true\n", mode=mode)
    if mode == "compat":  # there the directory is read by hashed names
        subprocess.run(["openssl", "rehash", str(broker.dir / "cas")], check=True)
        broker.reload()
    admin = admin_of(broker)
    first, second = (context(cas[i], cas, tmp_path) for i in (0, 1))
    assert enters(broker, first) and not enters(broker, second)
    listeners = admin.data("broker/v1", "listListeners")["listeners"]
    (listener,) = [row["id"] for row in listeners if row.get("require-certificate")]

    answer = admin.data(API, "insertCACertificate", listener_id=listener, file_name="second.crt",
                        ca_cert_pem=text(cas[1]))
    assert answer == {"response": "SUCCESS"}
    assert enters(broker, first) and enters(broker, second)
    assert (broker.dir / "cas" / "second.crt").read_text() == text(cas[1])
    assert {row["file_name"] for row in admin.data(
        API, "listCACertificates", listener_id=listener)["certificates"]} == {
            "first.crt", "second.crt"}

    ours = broker.client("ours", V5, "tls", "port_tls", context=first)
    theirs = broker.client("theirs", V5, "tls", "port_tls", context=second)
    admin.data(API, "deleteCACertificate", listener_id=listener, file_name="second.crt")
    theirs.expect_closed()
    ours.send(mw.pingreq())
    ours.expect("PINGRESP")
    assert enters(broker, first) and not enters(broker, second)
    assert not list((broker.dir / "cas").glob("*second*"))
    assert not [p for p in (broker.dir / "cas").iterdir() if p.is_symlink() and not p.exists()]
    broker.stop()
    broker.start()
    assert enters(broker, first) and not enters(broker, second)


@pytest.mark.parametrize("tls13", [False, True])
def test_a_session_ticket_does_not_outlive_its_ca(one, cas, tmp_path, tls13):
    broker = one()
    admin = admin_of(broker)
    admin.data(API, "insertCACertificate", listener_id=2, file_name="second.crt",
               ca_cert_pem=text(cas[1]))
    ctx = context(cas[1], cas, tmp_path, tls13=tls13)

    def connect(session):
        sock = socket.create_connection(("127.0.0.1", broker.ports["port_tls"]), timeout=10)
        with ctx.wrap_socket(sock, server_hostname="localhost", session=session) as tls:
            tls.sendall(mw.connect("ticket"))
            assert tls.recv(100)[0] == 0x20
            return tls.session, tls.session_reused
    session, _ = connect(None)
    _, reused = connect(session)
    assert reused
    admin.data(API, "deleteCACertificate", listener_id=2, file_name="second.crt")
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError, IndexError)):
        connect(session)


def test_inserted_certificates_survive_a_restart(one, cas, tmp_path):
    broker = one()
    admin_of(broker).data(API, "insertCACertificate", listener_id=2, file_name="second.pem",
                          ca_cert_pem=text(cas[1]))
    broker.stop()
    broker.start()
    assert enters(broker, context(cas[1], cas, tmp_path))


def test_an_intermediate_ca_needs_its_chain(one, cas, tmp_path):
    broker = one()
    admin = admin_of(broker)
    middle = cas[1].sub_authority()
    bare = {"listener_id": 2, "file_name": "middle.crt", "ca_cert_pem": text(middle)}
    assert "issuer" in admin.error(API, "insertCACertificate", **bare)
    bare["ca_cert_pem"] += text(cas[1])
    admin.data(API, "insertCACertificate", **bare)
    assert enters(broker, context(middle, cas, tmp_path))
    of_first = cas[0].sub_authority("Below the first")
    admin.data(API, "insertCACertificate", listener_id=2, file_name="below.crt",
               ca_cert_pem=text(of_first))


def test_what_is_no_usable_ca_certificate_is_refused(one, cas):
    broker = one()
    admin = admin_of(broker)
    weak = certs.authority("Signed by nobody")
    broken = text(weak).splitlines()
    broken[3] = broken[3][:-4] + "AAAA"
    cases = {
        "no certificate": ("hello", "no certificate"),
        "empty": ("", "Invalid/missing ca_cert_pem"),
        "no CA": (certs.pem(cas[1].issue("dev").cert).decode(), "not a CA"),
        "expired": (text(certs.authority("Old", days=(-30, -1))), "expired"),
        "not yet valid": (text(certs.authority("Young", days=(5, 30))), "not valid yet"),
        "with a key": (text(cas[1]) + certs.pem(cas[1].key).decode(), "private key"),
        "broken": ("\n".join(broken), "Invalid ca_cert_pem"),
        "too large": ("x" * 300000, "Invalid/missing ca_cert_pem"),
        "trusted already": (text(cas[0]), "already in first.crt"),
        "a number": (5, "Invalid/missing ca_cert_pem"),
    }
    for case, (pem, error) in cases.items():
        said = admin.error(API, "insertCACertificate", listener_id=2, file_name="new.crt",
                           ca_cert_pem=pem)
        assert error in said, (case, said)
    assert sorted(p.name for p in (broker.dir / "cas").iterdir()) == ["first.crt"]


def test_file_names_stay_in_the_directory(one, cas):
    broker = one()
    admin = admin_of(broker)
    for name in ("", ".", "..", "../x.crt", "a/b.crt", "/tmp/x.crt", ".hidden.crt", "x.txt", "x",
                 "ü.crt", "a\n.crt", "x" * 252 + ".crt", 7):
        for command, fields in (("insertCACertificate", {"ca_cert_pem": text(cas[1])}),
                                ("deleteCACertificate", {})):
            assert admin.error(API, command, listener_id=2, file_name=name,
                               **fields) == "Invalid/missing file_name", name
    assert admin.error(API, "insertCACertificate", listener_id=2, file_name="first.crt",
                       ca_cert_pem=text(cas[1])) == "File already exists"
    assert admin.error(API, "deleteCACertificate", listener_id=2,
                       file_name="none.crt") == "Certificate not found"
    (broker.dir / "cas" / "link.crt").symlink_to(broker.dir / "server.crt")
    assert admin.error(API, "deleteCACertificate", listener_id=2,
                       file_name="link.crt") == "Certificate not found"
    assert admin.error(API, "insertCACertificate", listener_id=2, file_name="link.crt",
                       ca_cert_pem=text(cas[1])) == "File already exists"


def test_only_listeners_that_are_managed_can_be_changed(one, cas):
    broker = one()
    admin = admin_of(broker)
    for listener in (1, 3, 65535):
        assert "No such listener" in admin.error(
            API, "insertCACertificate", listener_id=listener, file_name="x.crt",
            ca_cert_pem=text(cas[1]))
    for listener in (0, -1, "2", None, 2.5):
        assert admin.error(API, "insertCACertificate", listener_id=listener, file_name="x.crt",
                           ca_cert_pem=text(cas[1])) == "Invalid/missing listener_id"


def test_without_the_option_there_is_no_such_endpoint(one, cas):
    broker = one("")
    assert admin_of(broker).raw(API, "{}") == {"error": "endpoint not available"}


def test_A114_the_plugin_line_below_the_listener_turns_it_on(one, cas, tmp_path):
    broker = one("plugin /usr/lib/cedalo_certificate_management.so\n")
    admin = admin_of(broker)
    admin.data(API, "insertCACertificate", listener_id=2, file_name="second.crt",
               ca_cert_pem=text(cas[1]))
    assert enters(broker, context(cas[1], cas, tmp_path))
    plugins = admin.data("broker/v1", "listPlugins")["plugins"]
    assert ["certificate-management"] == [p["name"] for p in plugins
                                          if p["name"].startswith("cert")]


def test_the_last_ca_stays_unless_forced(one, cas, tmp_path):
    broker = one()
    admin = admin_of(broker)
    assert "force" in admin.error(API, "deleteCACertificate", listener_id=2,
                                  file_name="first.crt")
    ctx = context(cas[0], cas, tmp_path)
    assert enters(broker, ctx)
    admin.data(API, "deleteCACertificate", listener_id=2, file_name="first.crt", force=True)
    assert not enters(broker, ctx)


def test_a_directory_that_cannot_be_written_is_told_and_nothing_changes(one, cas, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    broker = one()
    admin = admin_of(broker)
    (broker.dir / "cas").chmod(0o500)
    assert "cannot be written" in admin.error(API, "insertCACertificate", listener_id=2,
                                              file_name="second.crt", ca_cert_pem=text(cas[1]))
    (broker.dir / "cas").chmod(0o700)


def test_who_may_insert_a_ca_may_do_nothing_else(one, cas, tmp_path):
    broker = one()
    admin = admin_of(broker, "certs-only")
    admin.data(API, "insertCACertificate", listener_id=2, file_name="second.crt",
               ca_cert_pem=text(cas[1]))
    admin.conn.send(mw.publish("$CONTROL/broker/v1", b"{}", 1, 999))
    assert admin.conn.expect("PUBACK", packet_id=999).reason == 0x87


def test_each_change_is_logged_with_the_certificate(one, cas):
    broker = one()
    admin = admin_of(broker)
    admin.data(API, "insertCACertificate", listener_id=2, file_name="second.crt",
               ca_cert_pem=text(cas[1]))
    line = broker.wait_log(r"insertCACertificate listener_id=2 file_name=second.crt .*: done")
    assert "CN=CA 1" in line and "SHA-256" in line


def test_who_may_insert_a_ca_does_not_become_an_administrator(broker, cas, tmp_path):
    """With dynamic security: a CA of one's own signs any name, but no account that may administer is
    entered by certificate unless certificateLogin says so, and others have their own roles."""
    from toolbox import Tools
    file = tmp_path / "dynamic-security.json"
    done = Tools("native").run("ctl", "dynsec", "init", file, "admin", "a-long-secret")
    assert done.status == 0, done
    server = cas[0].issue("localhost", purpose="server", names=["localhost", "127.0.0.1"])
    one = broker("dynamic_security {dir}/dynamic-security.json\n" + CONFIG + ON, listener=False,
                 anonymous=False, mode="native", files={
                     "server.crt": server.chain_pem, "server.key": certs.pem(server.key),
                     "cas/first.crt": certs.pem(cas[0].cert),
                     "dynamic-security.json": file.read_bytes()})
    admin = Admin(one.client("a", username="admin", password="a-long-secret"))
    dynsec = "dynamic-security/v1"
    admin.data(dynsec, "createRole", rolename="certs", acls=[
        {"acltype": "publishClientSend", "topic": "$CONTROL/certificate-management/#",
         "allow": True}])
    for user, roles in (("certs-only", [{"rolename": "certs"}]), ("plain", []),
                        ("boss", [{"rolename": "admin"}])):
        admin.data(dynsec, "createClient", username=user, password="pw", roles=roles)
    rogue = Admin(one.client("r", username="certs-only", password="pw"))
    rogue.data(API, "insertCACertificate", listener_id=2, file_name="mine.crt",
               ca_cert_pem=text(cas[1]))
    for name, gets_in in (("admin", False), ("boss", False), ("certs-only", False),
                          ("nobody", False), ("plain", True)):
        assert enters(one, context(cas[1], cas, tmp_path, name)) == gets_in, name
    admin.data(dynsec, "modifyClient", username="boss", certificateLogin=True)
    assert enters(one, context(cas[1], cas, tmp_path, "boss"))
    admin.data(dynsec, "disableClient", username="plain")
    assert not enters(one, context(cas[1], cas, tmp_path, "plain"))
