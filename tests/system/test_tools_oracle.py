"""Our tools under the original's names against Debian's mosquitto-clients, where those are at hand:
same command line, same broker, same words, same packets, same status."""
import os
import pathlib
import re
import shlex
import subprocess

import pytest

import mqttwire as mw
from mqttwire import V311, V5
from toolbox import BIN, FakeBroker, Tools

ORACLE = pathlib.Path(os.environ.get("NJ_ORACLE_CLIENTS", "/usr/bin"))


def is_original():
    program = ORACLE / "mosquitto_pub"
    if not program.exists() or "nj" in os.path.realpath(program).rsplit("/", 1)[-1]:
        return False
    done = subprocess.run([program, "--version"], capture_output=True, check=False)
    return b"running on libmosquitto 2.0.11" in done.stdout


pytestmark = [
    pytest.mark.skipif(not (BIN / "nj").exists(), reason="nj is not built"),
    pytest.mark.skipif(not is_original(), reason="no original tools of version 2.0.11"),
]


def plain_text(data):
    """What differs from run to run."""
    data = re.sub(rb"mosq-\w{18}", b"mosq-ID", data)
    data = re.sub(rb"auto-[0-9A-F-]{36}", b"auto-ID", data)
    return re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?", b"TIME", data)


def outcome(argv, data):
    done = subprocess.run(argv, input=data, capture_output=True, timeout=30, check=False,
                          env={"HOME": "/nonexistent"})
    return done.returncode, plain_text(done.stdout), plain_text(done.stderr)


def compare(tool, args, data=b""):
    args = shlex.split(args) if isinstance(args, str) else args
    original = outcome([ORACLE / f"mosquitto_{tool}", *args], data)
    ours = outcome(Tools("compat").argv(tool, args), data)
    assert ours == original


PUB_ERRORS = """
-A|-L|-h|--cafile|--capath|--cert|--key|--keyform|--ciphers|-k|-k x -t a -m b|-k 2|-p|-p 99999|-p -1
-q|-q 3|-q -1|--repeat 0|--repeat|--repeat-delay|--repeat-delay -1|--bogus|bogus|-D publish
-D foo bar baz|-D publish bar baz|-D publish topic-alias 99999999|-D publish topic-alias -1
-D connect topic-alias 3|-D publish user-property a|-D auth user-property a b
-D publish subscription-identifier 3|-D puback user-property a b|-t a/# -m b|-t|-m|-C 1
-x foo -t a -m b|-x 99999999999 -t a -m b|-x -2|-x|-c -t a -m b|-V 5 -c -t a -m b
-V 5 -x -1 -t a -m b|-V 5 -x 4294967295 -t a -m b|-i a -I b|-I a -i b|-i|-I|--will-retain -t a -m b
--will-payload x -t a -m b|--will-qos 4|--will-qos|--will-topic|--will-payload|--will-topic a/#
--cert a -t a -m b|--key a -t a -m b|--psk|--psk 12 -t a -m b|--psk 12 --cafile x -t a -m b
--psk-identity|--proxy|--proxy http://x|--proxy socks5h://|-L foo://x/y|-L mqtt://x|-V 6|-V|-M 0|-M
-m a -n|-n -l|-f a -s|--keyform pem -t a -m b|--tls-version|--tls-alpn|--tls-engine
--tls-engine-kpass-sha1|--tls-engine-kpass-sha1 a -t a -m b|--cafile /nonexistent -t a -m b
-h localhost -p 1 -t a -m b|-h nonexist.invalid -t a -m b|-f /nonexistent -t a
-D connect receive-maximum 0 -t a -m b|-D will payload-format-indicator 300|-u|-P|--unix
-D connect receive-maximum 1 -D connect receive-maximum 1 -t a -m b|--unix /nonexistent -t a -m b
"""
SUB_ERRORS = """
-C 0 -t a|-C|-W|-W 0 -t a|-F|-F %|-F %Q|-F '\\'|-F '\\q'|-F %10|-F @|-t a#|-t a/+/b#|-T a#|-T|-U
-U '#a'|-N -t|--random-filter|--random-filter 0 -t a|-R --retained-only -t a -p 1
-D subscribe topic-alias 3|-t a -s|-l|-D subscribe user-property a|-V 5 -c -t a|-t a -m x|-r -t a
-t a -p 1|-L mqtt://localhost:1|-L mqtt://localhost:1/ -t b
"""


def lines(text):
    return [one for line in text.strip().splitlines() for one in line.split("|")]


@pytest.mark.parametrize("args", lines(PUB_ERRORS))
def test_mistakes_of_pub(args):
    compare("pub", args)


@pytest.mark.parametrize("args", lines(SUB_ERRORS))
def test_mistakes_of_sub(args):
    compare("sub", args)


@pytest.mark.parametrize("args", [["-t", b"a\xff", "-m", "x"], ["--will-topic", b"a\xff"]])
def test_bad_utf8(args):
    compare("pub", args)


@pytest.mark.parametrize("args, data", [
    ("-m '' -d", b""), ("-n -r -q 1 -d", b""), ("-m x -q 2 -V 5 -d --repeat 2", b""),
    ("-m x --retain -d", b""), ("-m x -P secret", b""), ("-s -d", b""), ("-s -d", b"abc\n"),
    ("-l -d", b""), ("-l -d", b"a\n\nb"), ("-f /dev/null -d", b""), ("-m x -d -V 31 -q 1", b""),
    ("-m x -d -i me -k 33 -V mqttv5 -q 1", b""), ("-m x -d -x -1", b""),
    ("-m x -d -D connect user-property a b -D connect session-expiry-interval 4", b""),
])
def test_publishing(plain, uid, args, data):
    compare("pub", ["-p", str(plain.ports["port"]), "-t", uid, *shlex.split(args)], data)


@pytest.mark.parametrize("form", [
    "%A|%C|%D|%E|%F|%l|%m|%P|%p|%q|%R|%r|%S|%t|%x|%X|%%",
    "%10A|%10C|%10D|%10E|%10F|%10l|%10m|%10P|%10p|%10q|%10R|%10r|%10S|%10t",
    "%-10A|%-12C|%-10E|%-10F|%-10l|%-10m|%-10p|%-10R|%-10S|%-10t",
    "%010A|%012C|%010E|%010F|%010l|%010m|%010p|%010R|%010S|%010t",
    "%.3C|%.3t|%.3R|%10.3t|%-10.3t|%.3p|%.3E|%3.2l|%3t|%2l|%.0t|%5.0t|%.t|%5.t",
    r"\\|\a\e\t\v\n|@@|\r\0x", "%100q|%5r|%5q|%-5%|%5%|%-05l|%00005l|%05t|%30S|%-30A|%.2A|%-20P",
    "%j", "%J", "@Y|@%|@E|@Q|%5I|%30I|%-30I|%.10I|",
])
@pytest.mark.parametrize("extra", ["-V 5 -D subscribe subscription-identifier 77", "-V 5",
                                   "-V 311", "--pretty"])
def test_formats(plain, uid, form, extra):
    with plain.client(f"{uid}-p", V5) as conn:
        conn.send(mw.publish(f"{uid}/a", b"hello w", 1, 1, retain=True, properties=[
            ("content_type", "text/plain"), ("correlation_data", b"corr"),
            ("payload_format_indicator", 1), ("response_topic", "resp/t"),
            ("user_property", ("k1", "v1")), ("user_property", ("k2", "v2"))]))
        conn.send(mw.publish(f"{uid}/b", '{"a":[1,2,{"b":1.50}],"u":"é\\u00e9\\n"}'.encode(), 1, 2,
                             retain=True))
        for _ in range(2):
            conn.expect("PUBACK")
    for name in "ab":
        compare("sub", ["-p", str(plain.ports["port"]), "-q", "1", "-C", "1", "-t",
                        f"{uid}/{name}", "-F", form, *shlex.split(extra)])


JSON = ["1", "1.0", "-0", "1e3", "12345678901234567890", '"x"', "true", "null", "[]", "{}", "[ ]",
        '{"a":{}}', "  [1 , 2]  ", '{"a":1,"a":2}', "[1.50,0.1,1e-7,123456.789,1e400]", "nul",
        "[1,]", '"\\ud83d\\ude00"', '"\x7f"', '{"a":1} x', '{"k":"/"}', "1.7976931348623157e308",
        "0.30000000000000004", "100000000000000000000", '[[1,2],{"a":[]}]', '"tab\\t"',
        "\x01\"\\/\n\t\r\b\f\x1b", "é € 😀 \u2028"]


@pytest.mark.parametrize("text", JSON)
def test_json_output(plain, uid, text):
    with plain.client(f"{uid}-p", V311) as conn:
        conn.send(mw.publish(uid, text.encode(), 1, 1, retain=True, version=V311))
        conn.expect("PUBACK")
    for form in ("%j", "%J"):
        for extra in ([], ["--pretty"]):
            compare("sub", ["-p", str(plain.ports["port"]), "-t", uid, "-C", "1", "-F", form,
                            *extra])


def wire(program, args, script, version):
    """Everything the tool sent to a scripted broker, and how it ended."""
    with FakeBroker(script, version=version) as fake:
        done = outcome([*program, *fake.args(), *args], b"")
        packets = fake.finish()[0]
    return done, [re.sub(rb"mosq-\w{18}", b"mosq-" + b"X" * 18, p) for p in packets]


def compare_wire(tool, args, *script, version=V311):
    args = shlex.split(args)
    script = list(script)
    original = wire([ORACLE / f"mosquitto_{tool}"], args, script, version)
    ours = wire(Tools("compat").argv(tool, []), args, script, version)
    assert ours == original


@pytest.mark.parametrize("extra", ["", "-i cid", "-c -i cid", "-u u", "-u u -P p", "-k 10", "-q 1",
                                   "--will-topic w --will-payload hello", "-q 2", "-r", "-q 1 -r",
                                   "--will-topic w --will-qos 2 --will-retain"])
def test_packets_of_pub(version, extra):
    name = {3: "31", 4: "311", 5: "5"}[version]
    steps = [mw.connack(version)]
    if "-q 1" in extra:
        steps.append(mw.puback(1, version))
    if "-q 2" in extra:
        steps += [mw.pubrec(1, version), mw.pubcomp(1, version)]
    compare_wire("pub", f"-V {name} -t topic -m msg {extra}", *steps, version=version)


@pytest.mark.parametrize("args", [
    "-P p",
    "-x 10 -D connect receive-maximum 5 -D connect maximum-packet-size 1000 -D connect "
    "topic-alias-maximum 3 -D connect request-problem-information 1 -D connect "
    "request-response-information 1 -D connect user-property a b -D connect authentication-method "
    "m -D connect authentication-data d",
    "-D publish payload-format-indicator 1 -D publish message-expiry-interval 9 -D publish "
    "content-type c -D publish response-topic r -D publish correlation-data d -D publish "
    "user-property a b -D publish topic-alias 1 --repeat 3",
    "--will-topic w -D will will-delay-interval 1 -D will payload-format-indicator 1 -D will "
    "message-expiry-interval 3 -D will content-type c -D will response-topic r -D will "
    "correlation-data d -D will user-property a b -D disconnect session-expiry-interval 4 -D "
    "disconnect user-property q r -x 4",
])
def test_packets_with_properties(args):
    compare_wire("pub", f"-V 5 -t a -m b {args}", mw.connack(), version=V5)


@pytest.mark.parametrize("code", range(1, 8))
def test_refusals_of_mqtt3(code):
    for tool, more in (("pub", "-m b"), ("sub", "")):
        compare_wire(tool, f"-t a {more}", mw.connack(V311, reason=code))


@pytest.mark.parametrize("code", [0x80, 0x84, 0x85, 0x86, 0x87, 0x88, 0x8A, 0x9C])
def test_refusals_of_mqtt5(code):
    for tool, more in (("pub", "-m b"), ("sub", "")):
        compare_wire(tool, f"-V 5 -t a {more}", mw.connack(reason=code), version=V5)


@pytest.mark.parametrize("code", [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99])
def test_refused_publishes(code):
    compare_wire("pub", "-V 5 -t a -m b -q 1", mw.connack(), mw.puback(1, V5, code), version=V5)
    steps = [mw.pubrec(1, V5, code)] + ([] if code >= 0x80 else [mw.pubcomp(1, V5)])
    compare_wire("pub", "-V 5 -t a -m b -q 2", mw.connack(), *steps, version=V5)


@pytest.mark.parametrize("args, codes", [("-t topic -E", [0]), ("-t topic -E -q 1", [1]),
                                         ("-t topic -E -q 2", [2]),
                                         ("-t a -t b -t c/# -E", [0, 0, 0]),
                                         ("-t a -t b", [128, 128])])
def test_packets_of_sub(version, args, codes):
    name = {3: "31", 4: "311", 5: "5"}[version]
    compare_wire("sub", f"-V {name} {args}", mw.connack(version), mw.suback(1, codes, version),
                 version=version)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_packets_of_a_receiving_sub(version, qos):
    name = {3: "31", 4: "311", 5: "5"}[version]
    message = mw.publish("a", b"x", qos, 5 if qos else None, version=version)
    more = [mw.pubrel(5, version)] if qos == 2 else []
    compare_wire("sub", f"-V {name} -t topic -C 1 -q {qos}", mw.connack(version),
                 mw.suback(1, [qos], version) + message, *more, version=version)


def test_options_of_subscriptions():
    compare_wire("sub", "-V 5 -t a --retain-as-published -E -q 1 -D subscribe "
                 "subscription-identifier 5 -D subscribe user-property a b -U b -D unsubscribe "
                 "user-property c d", mw.connack(), mw.suback(1, [1], V5), version=V5)
