"""nj passwd and mosquitto_passwd: the file is old or new, never half (B-351, L-054)."""
import os
import re
import resource
import signal
import subprocess
import time

import pytest

import passwords
from mqttwire import V311
from toolbox import BIN, Terminal, Tools, environment

pytestmark = pytest.mark.skipif(not (BIN / "nj").exists(), reason="nj is not built")
FORMS = {
    "argon2id": r"\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[\w+/=]+\$[\w+/=]+",
    "sha512-pbkdf2": r"\$7\$\d+\$[\w+/=]{88}\$[\w+/=]{88}",
    "sha512": r"\$6\$[\w+/=]+\$[\w+/=]{88}",
}


@pytest.fixture(params=["native", "compat"])
def tools(request):
    return Tools(request.param)


@pytest.fixture
def file(tmp_path):
    """A file with one user that must survive."""
    path = tmp_path / "passwords"
    path.write_text(f"old:{passwords.sha512('old')}\n")
    path.chmod(0o640)
    return path


def leftovers(path):
    return sorted(p.name for p in path.parent.iterdir())


def test_creates_adds_updates_and_deletes(tools, tmp_path):
    path = tmp_path / "passwords"
    tools.passwd("-c", "-b", path, "anna", "one").expect(0, "Adding password for user anna\n", "")
    assert path.stat().st_mode & 0o777 == 0o600
    tools.passwd("-b", path, "ben", "two").expect(0, "Adding password for user ben\n", "")
    before = path.read_text().splitlines()
    tools.passwd("-b", path, "anna", "three").expect(0, "Updating password for user anna\n", "")
    after = path.read_text().splitlines()
    assert after[1] == before[1] and after[0] != before[0] and after[0].startswith("anna:")
    tools.passwd("-D", path, "anna").expect(0, "", "")
    assert path.read_text().splitlines() == after[1:]
    tools.passwd("-D", path, "anna").expect(
        1, "", "Warning: User anna not found in password file.\n")
    assert leftovers(path) == ["passwords"]


def test_default_hash_is_that_of_the_mode(tools, tmp_path):
    path = tmp_path / "p"
    tools.passwd("-c", "-b", path, "u", "p").expect(0)
    form = r"\$7\$1000\$.*" if tools.is_compat else FORMS["argon2id"]
    assert re.fullmatch(f"u:{form}\n", path.read_text())


@pytest.mark.parametrize("kind", FORMS)
def test_every_kind_of_hash(tools, kind):
    done = tools.passwd("-H", kind, "-b", "-c", "-", "u", "p").expect(0, err="")
    assert re.fullmatch(f"u:{FORMS[kind]}\n", done.out.decode())
    tools.passwd("-H", "rot13", "-b", "-c", "-", "u", "p").expect(
        1, "", re.compile("^Error: Unknown hash type 'rot13'\n"))


def test_iterations(tools):
    done = tools.passwd("-H", "sha512-pbkdf2", "-I", "77", "-b", "-c", "-", "u", "p").expect(0)
    assert done.out.startswith(b"u:$7$77$")
    tools.passwd("-I", "0", "-b", "-c", "-", "u", "p").expect(
        1, "", "Error: Number of iterations must be > 0.\n")


def test_create_never_overwrites_unasked(tools, file):
    before = file.read_bytes()
    done = tools.passwd("-c", "-b", file, "u", "p").expect(1, "")
    assert b"exists" in done.err.lower()
    assert file.read_bytes() == before
    if not tools.is_compat:
        tools.passwd("-c", "--force", "-b", file, "u", "p").expect(0)
        assert file.read_text().startswith("u:$argon2id$")


def test_keeps_mode_order_and_comments(tools, file):
    text = file.read_text() + "# a comment\n\n" + f"next:{passwords.sha512('x')}\n"
    file.write_text(text)
    tools.passwd("-b", file, "new", "p").expect(0)
    assert file.read_text().startswith(text)
    assert file.stat().st_mode & 0o777 == 0o640


def test_upgrades_a_plain_file_but_not_its_hashes(tools, tmp_path):
    path = tmp_path / "plain"
    hashed = f"h:{passwords.pbkdf2('x')}"
    path.write_text(f"a:secret\n# c\n\n{hashed}\nb:with:colon\n")
    done = tools.passwd("-U", path).expect(0, "")
    assert b"line 4" in done.err
    lines = path.read_text().splitlines()
    assert lines[1:4] == ["# c", "", hashed]
    assert re.match(r"a:\$(7|argon2id)\$", lines[0]) and re.match(r"b:\$(7|argon2id)\$", lines[4])
    path.write_text("a:secret\nbroken\n")
    tools.passwd("-U", path).expect(1, "", "Error: Corrupt password file at line 2.\n")
    assert path.read_text() == "a:secret\nbroken\n"


def test_asks_twice(tools, file):
    done = tools.passwd(file, "u", data=b"secret\nsecret\n").expect(0, err="")
    assert done.out == b"Password: \nReenter password: \nAdding password for user u\n"
    before = file.read_bytes()
    tools.passwd(file, "u", data=b"secret\nsecrex\n").expect(
        2 if tools.is_compat else 1, err="Error: Passwords do not match.\n")
    tools.passwd(file, "u", data=b"\n\n").expect(1, err="Error: Empty password.\n")
    tools.passwd(file, "u", data=b"").expect(1, err="Error: Empty password.\n")
    assert file.read_bytes() == before


@pytest.mark.parametrize("args, text", [
    ("-x", "Unknown option '-x'"), ("f", "a file and a user are needed"), ("-b f u", "a password are needed"),
    ("f u secret", "a password on the line needs -b"), ("-H md5 f u", "There are argon2id")])
def test_mistakes_are_named_and_passwords_not_repeated(args, text):
    done = Tools("native").passwd(*args.split()).expect(1, "", re.compile(re.escape(text)))
    assert b"secret" not in done.err and done.err.count(b"\n") <= 3


def test_does_not_show_the_password_in_a_terminal(tools, file):
    terminal = Terminal(tools.argv("passwd", [file, "u"]))
    terminal.wait_for("Password: ")
    terminal.type("hidden\n")
    terminal.wait_for("Reenter password: ")
    terminal.type("hidden\n")
    text = terminal.end()
    assert terminal.status == 0 and b"hidden" not in text and b"Adding password" in text


def test_an_interrupt_gives_the_terminal_back_its_echo(tools, file):
    import termios
    before = file.read_bytes()
    terminal = Terminal(tools.argv("passwd", [file, "u"]))
    terminal.wait_for("Password: ")
    terminal.type("hid")
    os.kill(terminal.pid, signal.SIGINT)
    status = os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1])
    terminal.status = status
    assert status == -signal.SIGINT
    assert termios.tcgetattr(terminal.fd)[3] & termios.ECHO
    os.close(terminal.fd)
    assert file.read_bytes() == before


def test_L054_a_missing_argument_shifts_nothing(tools, file):
    before = file.read_bytes()
    tools.passwd("-b", file, "user").expect(1)
    tools.passwd("-b", file).expect(1)
    tools.passwd("-b", file, "user", "password", "more").expect(1)
    tools.passwd("-c", "-b", file, "user").expect(1)
    assert file.read_bytes() == before


@pytest.mark.parametrize("name, text", [
    ("a:b", "Error: Username must not contain the ':' character.\n"),
    ("a\nb", "Error: Username must not contain control characters.\n"),
    ("a\x01b", "Error: Username must not contain control characters.\n"),
    ("", "Error: Empty username.\n"),
    ("x" * 65536, "Error: Username must be less than 65536 characters long.\n"),
    (b"a\xffb", "Error: Invalid username.\n"),
    ("#a", "Error: Username must not begin with '#', which marks a comment.\n"),
], ids=["colon", "newline", "control", "empty", "64 KiB", "no UTF-8", "comment"])
def test_B351_bad_names_change_nothing(tools, file, name, text):
    before = file.read_bytes()
    tools.passwd("-b", file, name, "p").expect(1, "", text)
    assert file.read_bytes() == before


def test_B351_passwords_of_odd_lengths(tools, file):
    before = file.read_bytes()
    tools.passwd("-b", file, "u", "").expect(1, "", "Error: Empty password.\n")
    tools.passwd("-b", file, "u", "x" * 65536).expect(
        1, "", "Error: Password must be less than 65536 characters long.\n")
    assert file.read_bytes() == before
    tools.passwd("-b", file, "u", "x" * 65535).expect(0)


def test_B351_missing_and_unfit_files(tools, tmp_path):
    tools.passwd("-b", tmp_path / "none", "u", "p").expect(
        1, "", f"Error: Unable to open password file {tmp_path}/none. "
        "No such file or directory.\n")
    tools.passwd("-c", "-b", tmp_path / "no" / "dir", "u", "p").expect(
        1, "", f"Error: Unable to open file {tmp_path}/no/dir for writing. "
        "No such file or directory.\n")
    tools.passwd("-b", tmp_path, "u", "p").expect(1)
    os.mkfifo(tmp_path / "fifo")
    tools.passwd("-b", tmp_path / "fifo", "u", "p").expect(1)
    assert leftovers(tmp_path / "x") == ["fifo"]


def test_B351_a_full_disk_leaves_the_old_file(tools, file):
    """The file system's answer is played by a limit on the size of files."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
    before = file.read_bytes()
    done = tools.passwd("-b", file, "u", "p", preexec_fn=limit).expect(1, "")
    assert done.err.startswith(b"Error: Unable to write password file")
    assert file.read_bytes() == before and leftovers(file) == ["passwords"]
    tools.passwd("-c", "-b", file.parent / "new", "u", "p", preexec_fn=limit).expect(1, "")
    assert leftovers(file) == ["passwords"]


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_B351_a_read_only_directory_leaves_the_old_file(tools, file):
    before = file.read_bytes()
    file.parent.chmod(0o555)
    try:
        tools.passwd("-b", file, "u", "p").expect(1, "")
    finally:
        file.parent.chmod(0o755)
    assert file.read_bytes() == before and leftovers(file) == ["passwords"]


def test_B351_symbolic_links(tools, file):
    """Followed natively (Kubernetes secrets) and kept as links; the original refuses them."""
    link = file.parent / "link"
    link.symlink_to("passwords")
    before = file.read_bytes()
    if tools.is_compat:
        tools.passwd("-b", link, "u", "p").expect(
            1, "", f"Error: Unable to open password file {link}. "
            "Too many levels of symbolic links.\n")
        assert file.read_bytes() == before
    else:
        tools.passwd("-b", link, "u", "p").expect(0)
        assert link.is_symlink() and b"\nu:$argon2id$" in file.read_bytes()
    dangling = file.parent / "dangling"
    dangling.symlink_to("nowhere")
    tools.passwd("-c", "-b", dangling, "u", "p").expect(1, "")
    assert not (file.parent / "nowhere").exists()


def test_B351_an_interrupt_at_any_moment_leaves_old_or_new(tools, file):
    before = file.read_bytes()
    argv = tools.argv("passwd", ["-H", "sha512", "-b", file, "u", "p"])
    ends = set()
    for i in range(60):
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env=environment()) as process:
            time.sleep(i * 0.0002)
            process.send_signal(signal.SIGINT if i % 2 else signal.SIGTERM)
            ends.add(process.wait(30))
        lines = file.read_bytes().split(b"\n")
        assert lines[0] == before.rstrip(b"\n") and lines[-1] == b"" and len(lines) in (2, 3)
        if len(lines) == 3:
            assert re.fullmatch(rb"u:" + FORMS["sha512"].encode(), lines[1])
        assert leftovers(file) == ["passwords"]
    assert ends <= {0, -signal.SIGINT, -signal.SIGTERM}


def test_two_at_once_lose_nothing(tools, tmp_path):
    path = tmp_path / "p"
    tools.passwd("-H", "sha512", "-c", "-b", path, "first", "p").expect(0)
    running = [tools.start("passwd", "-H", "sha512", "-b", path, f"user{i}", "p")
               for i in range(12)]
    for one in running:
        one.end().expect(0)
    names = {line.split(":")[0] for line in path.read_text().splitlines()}
    assert names == {"first", *(f"user{i}" for i in range(12))}


def test_the_password_leaves_the_process_list(tools, tmp_path):
    path = tmp_path / "p"
    argv = tools.argv("passwd", ["-H", "sha512-pbkdf2", "-I", "3000000", "-c", "-b", path, "u",
                                 "verysecret"])
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=environment()) as process:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with open(f"/proc/{process.pid}/cmdline", "rb") as file:
                words = file.read()
            if b"passwd" in words and b"verysecret" not in words or process.poll() is not None:
                break
        assert process.poll() is not None or b"verysecret" not in words
        process.kill()


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("kind", FORMS)
def test_the_broker_lets_them_in(broker, tools, kind, tmp_path):
    path = tmp_path / "p"
    tools.passwd("-H", kind, "-c", "-b", path, "anna", "s3cret").expect(0)
    one = broker("password_file {dir}/p\nallow_anonymous false\nacl_default allow\n",
                 files={"p": path.read_bytes()})
    base = ["-h", "127.0.0.1", "-p", str(one.ports["port"]), "-u", "anna", "-t", "a", "-E"]
    tools.sub(*base, "-P", "s3cret").expect(0, "", "")
    done = tools.sub(*base, "-P", "wrong")
    assert done.status in (4, 5) and done.err.startswith(b"Connection error: "), done
    one.client("x", V311, username="anna", password="s3cret").disconnect()
