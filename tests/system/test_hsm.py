"""Private keys in a hardware token: SoftHSM through OpenSSL's PKCS#11 engine."""
import os
import pathlib
import shutil
import subprocess

import pytest

import certs
from toolbox import Tools, environment

MODULE = next((p for p in ("/usr/lib/softhsm/libsofthsm2.so",) if os.path.exists(p)), None)
ENGINE = next(iter(pathlib.Path("/usr/lib").glob("*/engines-3/pkcs11.so")), None)
UTIL = shutil.which("softhsm2-util", path="/usr/bin")
pytestmark = [pytest.mark.needs("nightjar"),
              pytest.mark.skipif(not (MODULE and ENGINE and UTIL),
                                 reason="softhsm2 or libengine-pkcs11-openssl is not installed")]
PIN = "4711"


class Token:
    """A token in a folder of its own, with the keys of certificates in it."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "tokens").mkdir()
        conf = folder / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n"
                        "log.level = ERROR\n")
        self.env = {"SOFTHSM2_CONF": str(conf), "PKCS11_MODULE_PATH": MODULE}
        self._util("--init-token", "--free", "--label", "nj", "--pin", PIN, "--so-pin", PIN)

    def _util(self, *args):
        done = subprocess.run([UTIL, *args], capture_output=True, text=True,
                              env={**environment(), **self.env})
        assert done.returncode == 0, done.stdout + done.stderr

    def keep(self, cert, name, number):
        path = self.folder / f"{name}.pk8"
        path.write_bytes(certs.pem(cert.key))
        self._util("--import", str(path), "--token", "nj", "--label", name, "--id", number,
                   "--pin", PIN)
        path.unlink()

    @staticmethod
    def uri(name, pin=PIN):
        return f"pkcs11:token=nj;object={name};type=private;pin-value={pin}"


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    folder = tmp_path_factory.mktemp("token")
    one = Token(folder)
    one.ca = certs.authority()
    one.server = one.ca.issue("localhost", purpose="server", names=["localhost", "127.0.0.1"])
    one.client = one.ca.issue("device-9")
    one.keep(one.server, "server", "01")
    one.keep(one.client, "device", "02")
    one.files = {"ca.crt": certs.pem(one.ca.cert), "server.crt": certs.pem(one.server.cert),
                 "device.crt": certs.pem(one.client.cert)}
    return one


def config(keyfile, more=""):
    return ("acl_default allow\ncertfile {dir}/server.crt\ntls_engine pkcs11\n"
            f"tls_keyform engine\nkeyfile {keyfile}\n{more}")


def test_the_brokers_key_stays_in_the_token(broker, token):
    one = broker(config(token.uri("server")), files=token.files, env=token.env)
    context = certs.client_context(token.ca)
    for tls13 in (True, False):
        for _ in range(3):
            conn = one.client("c", kind="tls", context=certs.client_context(token.ca, tls13=tls13))
            conn.quiet().close()
    one.reload()
    clients = [one.client(f"c{n}", kind="tls", context=context) for n in range(8)]
    for conn in clients:
        conn.quiet().close()
    for line in one.lines:
        assert PIN not in line, "the PIN is in the log"


def test_a_client_with_its_key_in_the_token(broker, token):
    one = broker(config(token.uri("server"), "cafile {dir}/ca.crt\nrequire_certificate true\n"
                        "use_identity_as_username true\n"), files=token.files, env=token.env)
    done = Tools("native").run(
        "pub", "-h", "localhost", "-p", str(one.ports["port"]), "--cafile", one.dir / "ca.crt",
        "--cert", one.dir / "device.crt", "--tls-engine", "pkcs11", "--keyform", "engine", "--key",
        token.uri("device"), "-t", "t", "-m", "x", "-q", "1", env={**environment(), **token.env})
    assert done.status == 0, done
    one.wait_log("u'device-9'")


@pytest.mark.parametrize("keyfile,more,part", [
    (Token.uri("nonesuch"), "", "no such private key"),
    (Token.uri("server", "0000"), "", "no such private key"),
    (Token.uri("device"), "", "does not belong to the certificate"),
    (Token.uri("server"), "tls_engine_kpass_sha1 00\n", "40 hexadecimal digits"),
    (Token.uri("server"), "tls_engine_kpass_sha1 " + "00" * 20 + "\n",
     "does not take a password as SHA-1"),
], ids=["no-key", "wrong-pin", "other-key", "kpass-short", "kpass-unknown"])
def test_B282_what_is_wrong_with_the_key_is_said_and_ends_the_start(broker, token, keyfile, more,
                                                                    part):
    one = broker(config(keyfile, more), files=token.files, env=token.env, start=False)
    one.expect_error("Error")
    status, log = one.run()
    assert status == 1 and part in log, log
    assert PIN not in log


def test_B282_an_engine_that_is_not_there_ends_the_start(broker, token):
    one = broker(config("k").replace("tls_engine pkcs11", "tls_engine nonesuch"),
                 files=token.files, start=False)
    one.expect_error("Error")
    status, log = one.run()
    assert status == 1 and "tls_engine nonesuch: there is no such engine" in log, log


def test_L082_a_key_that_cannot_be_opened_on_reload_leaves_the_old_one(broker, token):
    one = broker(config(token.uri("server")), files=token.files, env=token.env, mode="native")
    one.write_config(one.config.replace("object=server", "object=nonesuch"))
    one.reload(fails=True)
    one.client("c", kind="tls", context=certs.client_context(token.ca)).quiet()
