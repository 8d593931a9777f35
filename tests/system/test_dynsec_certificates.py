"""Dynamic security and certificates (the identity of a certificate, the certificate group,
certificateLogin; peers' holes #2999: a disabled client came in by its certificate)."""
import pytest

import certs
import dynsec
import mqttwire as mw
from dynsec import Dynsec, acl, client, role

pytestmark = pytest.mark.needs("nightjar")

WRITE = role("write", acl("publishClientSend", "t/#"))
TLS = ("listener {port} 127.0.0.1\nallow_anonymous false\ndynamic_security {dir}/ds.json\n"
       "listener {port_tls} 127.0.0.1\ncertfile {dir}/server.crt\nkeyfile {dir}/server.key\n"
       "cafile {dir}/ca.crt\nrequire_certificate true\nuse_identity_as_username true\n")


@pytest.fixture(scope="module")
def ca():
    return certs.authority()


@pytest.fixture
def start(broker, ca, tmp_path):
    server = ca.issue("localhost", purpose="server", names=["localhost", "127.0.0.1"])

    def make(mode="native"):
        return broker(TLS, listener=False, anonymous=False, mode=mode, files={
            "server.crt": server.chain_pem, "server.key": certs.pem(server.key),
            "ca.crt": certs.pem(ca.cert),
            "ds.json": dynsec.text(clients=[client("dev", "write"), client("off", disabled=True),
                                            client("bound", clientid="its-id"),
                                            client("boss", "admin")],
                                   roles=[WRITE],
                                   groups=[{"groupname": "certs", "roles": [
                                       {"rolename": "write"}]},
                                       {"groupname": "admins", "roles": [
                                           {"rolename": "admin"}]}])})
    return make


@pytest.fixture
def enter(ca, tmp_path):
    """Connects by a certificate; the reason code and the connection."""
    def connect(one, name, client_id="c", **options):
        cert = ca.issue(name, purpose="client")
        cert.write(tmp_path, f"c-{name}")
        conn = one.conn(kind="tls", port="port_tls", context=cert.context(ca, None))
        conn.send(mw.connect(client_id, **options))
        packet = conn.expect("CONNACK")
        return packet.reason, conn
    return connect


def test_native_a_certificate_has_to_belong_to_an_enabled_client(start, enter):
    one = start()
    adm = Dynsec(one)
    reason, dev = enter(one, "dev")
    assert reason == 0
    dev.publish("t/1", b"m", 1)
    dev.publish("x", b"m", 1, reason=0x87)
    for name in ("off", "bound", "stranger", "boss"):
        assert enter(one, name)[0] == 0x87, name
    assert enter(one, "bound", "its-id")[0] == 0
    adm.do("modifyClient", username="boss", certificateLogin=True)
    assert adm.do("getClient", username="boss")["client"]["certificateLogin"] is True
    assert enter(one, "boss", "b")[0] == 0
    # What CONNECT says of user and password is ignored.
    assert enter(one, "off", username="root", password="pw")[0] == 0x87


def test_the_certificate_group_takes_strangers_and_nobody_else(start, enter):
    one = start()
    adm = Dynsec(one)
    assert adm.bad("setCertificateGroup", groupname="no") == "Group not found"
    assert adm.bad("setCertificateGroup", groupname="admins") == \
        "This group may administer, which needs an account"
    adm.do("setCertificateGroup", groupname="certs")
    assert adm.do("getCertificateGroup") == {"group": {"groupname": "certs"}}
    reason, stranger = enter(one, "stranger", "s")
    assert reason == 0
    stranger.publish("t/1", b"m", 1)
    assert enter(one, "off", "o")[0] == 0x87
    # The group itself becomes one that may administer: its members have no account.
    adm.do("addGroupRole", groupname="certs", rolename="admin")
    stranger.expect_closed(reason=0x87)
    assert enter(one, "stranger", "s")[0] == 0x87
    adm.do("removeGroupRole", groupname="certs", rolename="admin")
    reason, stranger = enter(one, "stranger", "s")
    assert reason == 0
    # The name becomes a client: its own roles count, not the group's.
    adm.do("createClient", username="stranger")
    stranger.publish("t/1", b"m", 1, reason=0x87)
    adm.do("setCertificateGroup", groupname="")
    assert adm.do("getCertificateGroup") == {"group": {"groupname": ""}}
    stranger.quiet()
    one.stop()
    one.start()
    assert enter(one, "other", "o")[0] == 0x87


def test_a_live_certificate_login_ends_with_its_right(start, enter):
    one = start()
    adm = Dynsec(one)
    for command, fields in (("disableClient", {}), ("deleteClient", {})):
        if command == "deleteClient":
            adm.do("enableClient", username="dev")
        reason, dev = enter(one, "dev")
        assert reason == 0
        adm.do(command, username="dev", **fields)
        dev.expect_closed(reason=0x87)
    adm.do("modifyClient", username="boss", certificateLogin=True)
    reason, boss = enter(one, "boss")
    assert reason == 0
    adm.do("modifyClient", username="boss", certificateLogin=False)
    boss.expect_closed(reason=0x87)


def test_compat_a_certificate_connects_and_the_roles_decide(start, enter):
    one = start("compat")
    for name in ("dev", "off", "stranger", "boss"):
        assert enter(one, name, name)[0] == 0, name
    reason, dev = enter(one, "dev", "d")
    dev.publish("t/1", b"m", 1, reason=(0, 0x10))
    reason, stranger = enter(one, "stranger", "s")
    stranger.publish("t/1", b"m", 1, reason=0x87)
