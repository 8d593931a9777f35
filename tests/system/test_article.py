"""The article's cases, end to end, with its own command lines: password file, ACL file, dynamic security,
certificates: rows 1 to 6 of its table."""
import os
import pathlib
import pty
import re
import subprocess

import pytest

import mqttwire as mw
import passwords
from brokerproc import Options
from mqttwire import V311

pytestmark = pytest.mark.needs("nightjar")
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ACL = """topic readwrite public/all

user demo-client
Topic readwrite private/mytopic

pattern readwrite users/%u/mytopic
"""


@pytest.fixture(scope="module")
def tools():
    """The folder of the programs: beside the broker, or build/bin."""
    for folder in (pathlib.Path(Options.binary).resolve().parent, ROOT / "build" / "bin"):
        if (folder / "mosquitto_passwd").exists() and (folder / "mosquitto_pub").exists():
            return folder
    return pytest.skip("the tools are not built (./dev build)")


def at_terminal(command, answers, cwd):
    """Runs a program at a terminal; answers = [(prompt, what to type)]. Returns (status, text)."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execv(command[0], [str(c) for c in command])
    text = b""
    for prompt, answer in answers:
        while prompt.encode() not in text.split(b"\n")[-1]:
            text += os.read(fd, 1024)
        os.write(fd, answer.encode() + b"\n")
        text += b"\n"
    try:
        while data := os.read(fd, 1024):
            text += data
    except OSError:
        pass
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    return status, text.decode()


def sh(*command, cwd, status=0):
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True,
                          timeout=60)
    assert status is None or done.returncode == status, f"{command}: {done.stdout}{done.stderr}"
    return done


@pytest.fixture(scope="module")
def certs_dir(tmp_path_factory):
    """The article's openssl lines, word by word (but for the questions, which -subj answers), and a
    server certificate of the same authority."""
    folder = tmp_path_factory.mktemp("certs")
    folder.chmod(0o755)
    sh("openssl", "req", "-nodes", "-x509", "-newkey", "rsa:4096", "-keyout", "my-ca-key.pem",
       "-out", "my-ca.crt", "-days", "356", "-subj", "/CN=my-ca", cwd=folder)
    for name in ("demo-client", "localhost"):
        sh("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}-key.pem",
           "-out", f"{name}.csr", "-subj", f"/CN={name}", cwd=folder)
        sh("openssl", "x509", "-req", "-CAkey", "my-ca-key.pem", "-CA", "my-ca.crt",
           "-CAcreateserial", "-in", f"{name}.csr", "-out", f"{name}.crt", cwd=folder)
    (folder / "tls.crt").write_bytes((folder / "localhost.crt").read_bytes())
    (folder / "tls.key").write_bytes((folder / "localhost-key.pem").read_bytes())
    return folder


def with_certs(certs_dir):
    return {f"certs/{n}": (certs_dir / n).read_bytes() for n in ("tls.crt", "tls.key", "my-ca.crt")}


TLS = "certfile {dir}/certs/tls.crt\nkeyfile {dir}/certs/tls.key\n"


def test_A22_A24_mosquitto_passwd_asks_twice(tools, tmp_path):
    prompts = [("assword: ", "cedaloisawesome"), ("assword: ", "cedaloisawesome")]
    status, text = at_terminal([tools / "mosquitto_passwd", "-c", "credentials", "cedalo"], prompts,
                               tmp_path)
    assert status == 0 and "cedaloisawesome" not in text, text
    line = (tmp_path / "credentials").read_text()
    assert re.fullmatch(r"cedalo:\$7\$1000\$\S+\$\S+\n", line), line
    status, text = at_terminal([tools / "mosquitto_passwd", "-c", "other", "cedalo"],
                               [("assword: ", "one"), ("assword: ", "two")], tmp_path)
    assert status != 0 and not (tmp_path / "other").exists()


def test_row3_password_file_and_tls(broker, tools, certs_dir, tmp_path):
    """The article's configuration with `password_file` and `acl_file`, a user made by the tool."""
    prompts = [("assword: ", "cedaloisawesome")] * 2
    status, _ = at_terminal([tools / "mosquitto_passwd", "-c", "credentials", "cedalo"], prompts,
                            tmp_path)
    assert status == 0
    one = broker("allow_anonymous false\nlistener {port} 127.0.0.1\n"
                 "password_file {dir}/credentials\nacl_file {dir}/acl-file\n" + TLS,
                 listener=False, mode="native",
                 files={**with_certs(certs_dir), "acl-file": ACL,
                        "credentials": (tmp_path / "credentials").read_bytes()})
    here = ["-h", "localhost", "-p", one.ports["port"], "--cafile", certs_dir / "my-ca.crt",
            "-V", "mqttv5", "-q", "1", "-m", "Hello"]
    pub = tools / "mosquitto_pub"
    good = ["-u", "cedalo", "-P", "cedaloisawesome"]
    for client_id in ("one", "two"):  # the same credentials with different client ids
        sh(pub, *here, "-t", "public/all", "-i", client_id, *good, cwd=tmp_path)
    sh(pub, *here, "-t", "users/cedalo/mytopic", *good, cwd=tmp_path)
    assert sh(pub, *here, "-t", "public/all", "-u", "cedalo", "-P", "wrong", cwd=tmp_path,
              status=None).returncode != 0
    assert sh(pub, *here, "-t", "public/all", cwd=tmp_path, status=None).returncode != 0
    mark = one.mark()
    sh(pub, *here, "-t", "private/mytopic", *good, cwd=tmp_path, status=None)
    one.wait_log(r"Denied publish of 'private/mytopic'", mark)


@pytest.mark.parametrize("dash", ["--", "\u2013"], ids=["hyphens", "en_dash"])
def test_A64_A65_A66_row6_a_certificate_alone(broker, tools, certs_dir, dash):
    """The article's mosquitto_pub line, also with the typographic dash of the web page, and its two
    log lines."""
    one = broker("listener {port} 127.0.0.1\nrequire_certificate true\n"
                 "use_identity_as_username true\ncafile {dir}/certs/my-ca.crt\n" + TLS
                 + "acl_file {dir}/acl-file\n", listener=False, anonymous=False, mode="native",
                 files={**with_certs(certs_dir), "acl-file": ACL + "pattern write DemoTopic\n"})
    mark = one.mark()
    sh(tools / "mosquitto_pub", "-h", "localhost", "-p", one.ports["port"], "-t", "DemoTopic", "-m",
       "Hello", "-i", "demo-id", f"{dash}cert", "demo-client.crt", f"{dash}key",
       "demo-client-key.pem", f"{dash}cafile", "my-ca.crt", cwd=certs_dir)
    line = one.wait_log("New client connected", mark)
    assert re.search(r"New client connected from 127\.0\.0\.1:\d+ as demo-id "
                     r"\(p4, c1, k60, u'demo-client'\)", line), line
    one.wait_log("Client demo-id negotiated TLSv1.3 cipher TLS_AES_256_GCM_SHA384", mark)
    refused = sh(tools / "mosquitto_pub", "-h", "localhost", "-p", one.ports["port"], "-t",
                 "DemoTopic", "-m", "Hello", "--cafile", "my-ca.crt", cwd=certs_dir, status=None)
    assert refused.returncode != 0, "without a certificate"


def test_row5_certificate_and_password(broker, tools, certs_dir):
    one = broker("listener {port} 127.0.0.1\nrequire_certificate true\n"
                 "cafile {dir}/certs/my-ca.crt\n" + TLS
                 + "allow_anonymous false\npassword_file {dir}/pw\nacl_file {dir}/acl-file\n",
                 listener=False, mode="native",
                 files={**with_certs(certs_dir), "acl-file": ACL,
                        "pw": passwords.file_text({"cedalo": "p"})})
    base = [tools / "mosquitto_pub", "-h", "localhost", "-p", one.ports["port"], "-t", "public/all",
            "-m", "x", "-q", "1", "--cafile", "my-ca.crt"]
    cert = ["--cert", "demo-client.crt", "--key", "demo-client-key.pem"]
    right, wrong = ["-u", "cedalo", "-P", "p"], ["-u", "cedalo", "-P", "q"]
    sh(*base, *cert, *right, cwd=certs_dir)
    for options in (cert + wrong, cert, right):
        assert sh(*base, *options, cwd=certs_dir, status=None).returncode != 0, options


DYNAMIC = {
    "a": "allow_anonymous false\nplugin /usr/lib/mosquitto_dynamic_security.so\n"
         "plugin_opt_config_file {dir}/dynamic-security.json\nlistener {port_tls}\n" + TLS,
    "pro": "allow_anonymous false\nglobal_plugin /usr/lib/cedalo_ha.so\n"
           "persistence_location {dir}\nlistener {port_tls}\n" + TLS,
}


@pytest.mark.parametrize("edition", DYNAMIC)
def test_A31_A36_row2_and_4_dynamic_security_by_the_articles_lines(broker, tools, certs_dir,
                                                                   tmp_path, edition):
    """`init` on the command line, or the environment; then the lines that make clients, as they
    stand: host and port come from mosquitto_ctrl's file of defaults."""
    admin = [("New password for admin: ", "chosen-password"),
             ("Reenter password for admin: ", "chosen-password")]
    files, env = with_certs(certs_dir), {}
    if edition == "a":
        status, text = at_terminal([tools / "mosquitto_ctrl", "dynsec", "init",
                                    tmp_path / "dynamic-security.json", "admin"], admin, tmp_path)
        assert status == 0, text
        files["dynamic-security.json"] = (tmp_path / "dynamic-security.json").read_bytes()
    else:
        env["MOSQUITTO_DYNSEC_PASSWORD"] = "chosen-password"
    one = broker(DYNAMIC[edition] + "listener {port} 127.0.0.1\n", listener=False, files=files,
                 env=env, anonymous=False)
    (tmp_path / "mosquitto_ctrl").write_text(f"-h 127.0.0.1\n-p {one.ports['port']}\n")
    ctl = ["/usr/bin/env", f"XDG_CONFIG_HOME={tmp_path}", tools / "mosquitto_ctrl"]
    for line, name, client_id in (
            ("-u admin dynsec createClient cedalo", "cedalo", "any"),
            ("-u admin dynsec createClient bound -i the-id", "bound", "the-id")):
        status, text = at_terminal([*ctl, *line.split(" ")], [
            (f"New password for {name}: ", "cedaloisawesome"),
            (f"Reenter password for {name}: ", "cedaloisawesome"),
            ("Password for admin: ", "chosen-password")], tmp_path)
        assert status == 0 and "rror" not in text, text
        one.client(client_id, username=name, password="cedaloisawesome").close()
    conn = one.conn()
    conn.send(mw.connect("other", mw.V5, username="bound", password="cedaloisawesome"))
    assert conn.expect("CONNACK").reason == 0x87


def test_row1_anonymous_clients_and_an_acl_file(broker):
    """Anonymous clients may use public/all, nothing else."""
    one = broker("allow_anonymous true\nacl_file {dir}/acl-file\n", mode="native",
                 files={"acl-file": ACL})
    conn = one.client("guest", V311)
    conn.subscribe("public/all", qos=1)
    conn.publish("public/all", b"m", 0)
    conn.receive("public/all", b"m")
    conn.subscribe("private/mytopic", packet_id=2, reasons=[0x80])
    conn.publish("private/mytopic", b"m", 1)
    conn.quiet()
