"""The words and exit statuses of the tools for bad arguments, beside those of Debian's 2.0.11 where that
is installed (pub, sub, rr) or unpacked (passwd, ctrl). DIFFERENCES is frozen as in test_wire.py."""
import os
import pathlib
import shutil
import subprocess

import pytest

import original

pytestmark = pytest.mark.needs("nightjar")

ROOT = pathlib.Path(__file__).resolve().parents[2]
OURS = pathlib.Path(os.environ.get("NJ_BIN_DIR", ROOT / "build/bin"))
ARGUMENTS = [line.split() for line in """
-p 0|-p 70000|-p x|-q 3|-q|-t|-t a/#/b -m x|-k 1|-k 70000|-V 9|-V mqttv5 -x -5|--nope|-i|-u|-P|-A|-M
|-L x|-L mqtt://|-L mqtt://h|--will-qos 4|--will-topic|--will-payload x|--will-retain|--will-topic a/+
|--cafile|--cert x|--key x|--psk aa|--psk-identity x|--psk aa --psk-identity i --cafile x|-D|-D connect
|-D connect x y|-D publish topic-alias|-D connect receive-maximum 70000|--tls-version x|--ciphers
|--repeat -1|--repeat-delay -1|--proxy|--proxy x|--unix|-C 0|-W 0|-F|-F %|-F %q|-F \\q|-N|-T|-U
|--retain-handling x|--random-filter 200|-f /nonexistent|-f /nonexistent -t a|-m a -n -t a|-s -n -t a
|-t a -m a -p 1|-t a -p 1|-E|-R --retained-only -t a -p 1|-o /nonexistent|-m a -m|-m a -f|-C x|-W x
|-p 70000x|-q 3x|--will-qos 3x|-t a -m a -p 1 --tls-version x|-t a -p 1 --tls-version x|-m a -s|-k 5x
|-x x|-M 0|-M x|--random-filter x|--repeat x|-t a -p 1 --capath /nonexistent|-t a -U b -p 1|-U b -p 1
|-t a -e b -m a -p 1|-t a -e b#|-e|-t a -e b -m a -m|-t|-T #a|-U #a|--tls-alpn|--tls-engine
""".replace("\n", "").split("|")]
DIFFERENCES = {
    **{f"mosquitto_{tool} -t a -p 1 --capath /nonexistent": "that no such folder is there is said at once"
       for tool in ("sub",)},
    "mosquitto_sub -U b -p 1": "unsubscribing alone is enough",
    "mosquitto_pub -o /nonexistent": "2.1 has options files",
    "mosquitto_sub -o /nonexistent": "2.1 has options files",
    "mosquitto_sub --retain-handling x": "2.1 has the option",
    "mosquitto_rr -o /nonexistent": "2.1 has options files",
    "mosquitto_rr --retain-handling x": "2.1 has the option",
}


def answer(program, arguments, data=b"", environment=None):
    done = subprocess.run([program, *arguments], capture_output=True, input=data, timeout=20,
                          check=False, env={"HOME": "/nonexistent", **(environment or {})})
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", ["mosquitto_pub", "mosquitto_sub", "mosquitto_rr"])
def test_bad_arguments_are_answered_in_the_original_s_words(name):
    theirs = shutil.which(name, path="/usr/bin")
    if theirs is None:
        pytest.skip(f"Debian's {name} is not installed")
    for arguments in ARGUMENTS:
        case = " ".join([name, *arguments])
        here, there = answer(OURS / name, arguments), answer(theirs, arguments)
        assert (here == there) == (case not in DIFFERENCES), f"{case}\n{here}\n{there}"


CREATE = "-h 127.0.0.1 -p 1 dynsec createClient a"
TYPED = [(f"mosquitto_{name}", arguments, data) for name, arguments, data in [
    ("passwd", "{file} u", b"x\nx\n"), ("passwd", "{file} u", b"x\ny\n"), ("passwd", "{file} u", b"\n"),
    ("passwd", "{file} u", b""), ("passwd", "{file} u", b"x\n"), ("passwd", "-c {file}.new u", b"x\ny\n"),
    ("passwd", "-b {file} a:b c", b""), ("passwd", "-D {file} nobody", b""), ("passwd", "-b {file}.no u p", b""),
    ("passwd", "-H x -b {file} u p", b""), ("passwd", "-c -D {file} u", b""), ("passwd", "-U", b""),
    ("ctrl", CREATE, b""), ("ctrl", CREATE, b"\n"), ("ctrl", CREATE, b"x\nx\n"), ("ctrl", CREATE, b"x\ny\n"),
    ("ctrl", CREATE + " -p", b""), ("ctrl", CREATE + " -c", b""), ("ctrl", CREATE + " -p x -c y", b""),
    ("ctrl", "-h 127.0.0.1 -p 1 nothing help", b""), ("ctrl", "-h 127.0.0.1 -p 1 dynsec nothing", b""),
    ("ctrl", "-h 127.0.0.1 -p 1 dynsec deleteClient", b""), ("ctrl", "-p", b""),
]]


@pytest.mark.skipif(not original.BINARY.exists(), reason="`./dev bench` did not unpack the peer")
@pytest.mark.parametrize("name, arguments, data", TYPED)
def test_what_is_typed_is_answered_in_the_original_s_words(name, arguments, data, tmp_path):
    answers = []
    for program, environment in ((OURS / name, {}),
                                 (original.ROOT / "usr/bin" / name, original.environment())):
        file = tmp_path / "passwords"
        file.write_text("known:$6$c2FsdHNhbHRzYWx0$aGFzaA==\n")
        file.chmod(0o600)
        answers.append(answer(program, arguments.format(file=file).split(), data, environment))
    assert answers[0] == answers[1]
