"""The words and exit statuses of mosquitto_pub and mosquitto_sub for bad arguments, beside those of
Debian's 2.0.11 where that is installed. DIFFERENCES is frozen as in test_wire.py."""
import os
import pathlib
import shutil
import subprocess

import pytest

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
|-t a -m a -p 1|-t a -p 1|-E|-R --retained-only -t a -p 1|-o /nonexistent
""".replace("\n", "").split("|")]
DIFFERENCES = {
    "mosquitto_pub -o /nonexistent": "2.1 has options files",
    "mosquitto_sub -o /nonexistent": "2.1 has options files",
    "mosquitto_sub --retain-handling x": "2.1 has the option",
    "mosquitto_pub -f /nonexistent": "the topic is missed before the file is opened",
}


def answer(program, arguments):
    done = subprocess.run([program, *arguments], capture_output=True, stdin=subprocess.DEVNULL,
                          timeout=20, check=False, env={"HOME": "/nonexistent"})
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", ["mosquitto_pub", "mosquitto_sub"])
def test_bad_arguments_are_answered_in_the_original_s_words(name):
    theirs = shutil.which(name, path="/usr/bin")
    if theirs is None:
        pytest.skip(f"Debian's {name} is not installed")
    for arguments in ARGUMENTS:
        case = " ".join([name, *arguments])
        here, there = answer(OURS / name, arguments), answer(theirs, arguments)
        assert (here == there) == (case not in DIFFERENCES), f"{case}\n{here}\n{there}"
