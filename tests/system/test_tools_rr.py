"""nj rr / mosquitto_rr and nj signal / mosquitto_signal as processes."""
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

import mqttwire as mw
from mqttwire import V311, V5
from test_tools_oracle import ORACLE, is_original, outcome
from toolbox import BIN, FakeBroker, Tools

pytestmark = pytest.mark.skipif(not (BIN / "nj").exists(), reason="nj is not built")

oracle = pytest.mark.skipif(not is_original(), reason="no original tools of version 2.0.11")

ACCEPTED5, ACCEPTED3 = b"\x20\x03\x00\x00\x00", b"\x20\x02\x00\x00"
GRANTED5, GRANTED3 = b"\x90\x04\x00\x01\x00\x00", b"\x90\x03\x00\x01\x00"
ANSWER5, ANSWER3 = b"\x30\x0b\x00\x04resp\x00yes\xe2", b"\x30\x0a\x00\x04respyes."
ASK = ["-t", "req", "-e", "resp", "-m", "hi"]


@pytest.fixture(params=["native", "compat"])
def tools(request):
    return Tools(request.param)


@pytest.fixture
def native():
    return Tools("native")


@pytest.fixture
def compat():
    return Tools("compat")


def at(broker):
    return ["-h", "127.0.0.1", "-p", str(broker.ports["port"])]


# ---- rr: the way of a request

@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_a_request_and_its_response_go_round(plain, tools, version, qos, uid):
    name = {3: "31", 4: "311", 5: "5"}[version]
    ask, answer = f"{uid}/ask", f"{uid}/answer"
    with plain.client(f"{uid}-r", V5) as responder:
        responder.send(mw.subscribe(1, [(ask, 0)], V5))
        responder.expect("SUBACK")
        with tools.start("rr", *at(plain), "-V", name, "-q", qos, "-t", ask, "-e", answer,
                         "-m", "frage ü", "-v") as rr:
            request = responder.expect("PUBLISH")
            assert request.payload == "frage ü".encode()
            told = [value for key, value in request.properties if key == "response_topic"]
            assert told == ([answer] if version == 5 else [])
            responder.send(mw.publish(answer, b"antwort", version=V5))
            rr.end().expect(0, f"{answer} antwort\n", "")


def test_a_request_asks_only_when_the_subscription_stands(tools):
    with FakeBroker([ACCEPTED5, GRANTED5, ANSWER5], version=V5) as fake:
        tools.run("rr", *fake.args(), *ASK, "-N").expect(0, b"yes\xe2")
        packets = fake.finish()[0]
    kinds = [packet[0] >> 4 for packet in packets]
    assert kinds == [1, 8, 3, 14]
    assert b"\x08\x00\x04resp" in packets[2]  # the response topic


def test_mqtt_3_asks_without_properties(tools):
    with FakeBroker([ACCEPTED3, GRANTED3, ANSWER3]) as fake:
        tools.run("rr", *fake.args(), *ASK, "-V", "311").expect(0, "yes.\n", "")
        assert fake.finish()[0][2] == b"\x30\x07\x00\x03reqhi"


def test_only_the_first_response_counts(tools):
    with FakeBroker([ACCEPTED5, GRANTED5, ANSWER5 + ANSWER5], version=V5) as fake:
        tools.run("rr", *fake.args(), *ASK).expect(0, b"yes\xe2\n", "")


def test_retained_messages_are_no_response_when_that_is_said(tools):
    stale = b"\x31\x0a\x00\x04resp\x00old"
    with FakeBroker([ACCEPTED5, GRANTED5 + stale, ANSWER5], version=V5) as fake:
        tools.run("rr", *fake.args(), *ASK, "-R").expect(0, b"yes\xe2\n", "")


def test_a_response_that_never_comes(tools):
    with FakeBroker([ACCEPTED5, GRANTED5], version=V5) as fake:
        tools.run("rr", *fake.args(), *ASK, "-W", "1").expect(27, "", "Timed out\n")
        assert fake.finish()[0][-1][0] == 0xE0


def test_latency_is_told(tools):
    with FakeBroker([ACCEPTED5, GRANTED5, ANSWER5], version=V5) as fake:
        done = tools.run("rr", *fake.args(), *ASK, "--latency")
        assert done.status == 0
        said = done.out if tools.is_compat else done.err
        assert re.search(rb"Latency: \d+\.\d{3} ms\n", said)


def test_refusals_end_the_native_tool_with_their_code(native):
    with FakeBroker([b"\x20\x03\x00\x87\x00"], version=V5) as fake:
        native.run("rr", *fake.args(), *ASK).expect(0x87, "", re.compile("^Connection error: Not authorized. Give"))
    with FakeBroker([ACCEPTED5, b"\x90\x04\x00\x01\x00\x87"], version=V5) as fake:
        native.run("rr", *fake.args(), *ASK).expect(
            0x87, "", "Error: subscription to 'resp' refused: Not authorized.\n")
    with FakeBroker([ACCEPTED5, GRANTED5, b"\x40\x03\x00\x02\x87"], version=V5) as fake:
        native.run("rr", *fake.args(), *ASK, "-q", "1").expect(
            0x87, "", "Error: the request was refused: Not authorized.\n")
    with FakeBroker([ACCEPTED5, GRANTED5, b"\x40\x03\x00\x02\x10"], version=V5) as fake:
        native.run("rr", *fake.args(), *ASK, "-q", "1", "-W", "1").expect(
            27, "", "Nobody is subscribed to 'req'; still waiting.\nTimed out\n")


def test_a_broker_that_hangs_up(tools):
    with FakeBroker([ACCEPTED5, GRANTED5, None], version=V5) as fake:
        done = tools.run("rr", *fake.args(), *ASK)
        done.expect(7 if tools.is_compat else 1, "", re.compile("^Error: "))


def test_a_file_that_is_not_there_is_an_error(tools, plain):
    tools.run("rr", *at(plain), "-t", "a", "-e", "b", "-f", "/nonexistent").expect(
        1, "", 'Error: Unable to open file "/nonexistent".\n'
        'Error loading input file "/nonexistent".\n' if tools.is_compat
        else 'Error: Unable to open file "/nonexistent": No such file or directory.\n')


def test_the_defaults_file_of_each_tool(tools, tmp_path):
    name = "mosquitto_rr" if tools.is_compat else "nightjar/rr"
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("# mine\n-e resp\n-t req\n-m hi there\n-N\n")
    with FakeBroker([ACCEPTED5, GRANTED5, ANSWER5], version=V5) as fake:
        tools.run("rr", *fake.args(), env={"XDG_CONFIG_HOME": os.fspath(tmp_path)}).expect(
            0, b"yes\xe2", "")
        assert b"hi there" in fake.finish()[0][2]


# ---- rr: against the original

MISTAKES = """
-t a|-t a -m b|-e r -m b|-t a -e r|-t a -e r# -m b|-t a# -e r -m b|-t a -e r -m b -p 1
-V 311 -t a -e r -m b -p 1|-t a -e r -m b -c|-t a -e r -m b -W 0|-W|-e|-C 1|-E|-l|-r|-T a|-U a|-w
--repeat 2|--remove-retained|--retained-only|--message-rate|--random-filter 3|--bogus|-F %|-F '\\q'
-L mqtt://localhost:1/x -m b|-L mqtt://localhost:1/x -e r -m b|-t a -e r -n -m x|--pretty
-t a -e r -m b -D publish response-topic xx -p 1|-D publish bar baz|-k 2|-q 3|-i a -I b|--will-retain
-t a -e r -m b -x -1|-t a -e r -m b --psk 12|-M 0|-D subscribe user-property a|-t a -t b -e r -m x -p 1
"""


@oracle
@pytest.mark.parametrize("args", [one for line in MISTAKES.strip().splitlines()
                                  for one in line.split("|")])
def test_mistakes_read_as_the_original_says_them(args):
    args = [word.strip("'") for word in args.split()]
    ours = outcome(Tools("compat").argv("rr", args), b"")
    if "response-topic" in args:  # the original says no more than this
        assert ours[::2] == (1, b"Error in PUBLISH properties: Duplicate response topic.\n")
    assert ours == outcome([ORACLE / "mosquitto_rr", *args], b"")


SCENES = {
    "accepted": ([ACCEPTED5, GRANTED5, ANSWER5], ["-v"]),
    "qos": ([ACCEPTED5, b"\x90\x04\x00\x01\x00\x01", b"\x40\x02\x00\x02" + ANSWER5], ["-q", "1"]),
    "format": ([ACCEPTED5, GRANTED5, ANSWER5], ["-F", "%t|%p|%q|%l|%x"]),
    "refused": ([b"\x20\x03\x00\x87\x00"], []),
    "no subscription": ([ACCEPTED5, b"\x90\x04\x00\x01\x00\x87"], ["-W", "9"]),
    "no subscription, 3": ([ACCEPTED3, b"\x90\x03\x00\x01\x80"], ["-V", "311"]),
    "request refused": ([ACCEPTED5, GRANTED5, b"\x40\x03\x00\x02\x87"], ["-q", "1", "-W", "1"]),
    "lost at once": ([ACCEPTED5, None], []),
    "lost later": ([ACCEPTED5, GRANTED5, None], []),
    "timeout": ([ACCEPTED5, GRANTED5], ["-W", "1"]),
}


@oracle
@pytest.mark.parametrize("name", SCENES)
def test_scenes_run_as_with_the_original(name):
    script, args = SCENES[name]
    seen = []
    for program in (ORACLE / "mosquitto_rr", Tools("compat").argv("rr", [])[0]):
        with FakeBroker(script, version=V5) as fake:
            result = outcome([program, *fake.args(), *ASK, *args], b"")
            packets = fake.finish()[0]
        # The original leaves without DISCONNECT after the response, and so fires its own will.
        seen.append((result, [p for p in packets if p != b"\xe0\x00"]))
    assert seen[0] == seen[1]


# ---- signal

WAITER = """
import signal, sys
for number in (signal.SIGHUP, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT, signal.SIGRTMIN):
    signal.pthread_sigmask(signal.SIG_BLOCK, [number])
print("ready", flush=True)
print(signal.Signals(signal.sigwait(range(1, signal.NSIG))).name, flush=True)
"""


@pytest.fixture
def waiter():
    process = subprocess.Popen([sys.executable, "-c", WAITER], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("name, native_signal, compat_signal", [
    ("config-reload", "SIGHUP", "SIGHUP"), ("log-rotate", "SIGRTMIN", "SIGHUP"),
    ("shutdown", "SIGTERM", "SIGINT"), ("tree-print", "SIGUSR2", "SIGUSR2"),
])
def test_signals_by_name(tools, waiter, name, native_signal, compat_signal):
    tools.run("signal", "-p", str(waiter.pid), name).expect(0, "", "")
    assert waiter.stdout.readline().strip() == (
        compat_signal if tools.is_compat else native_signal)


def test_mistakes_of_signal(tools):
    tools.run("signal", "-p").expect(1, "", "Error: -p argument given but process ID missing.\n")
    tools.run("signal", "-p", "0", "shutdown").expect(1, "", "Error: Process ID must be >0.\n")
    tools.run("signal", "-p", "-4", "shutdown").expect(1, "", "Error: Process ID must be >0.\n")
    hint = "" if tools.is_compat else "\nUse 'nj signal --help' to see usage.\n"
    tools.run("signal", "shutdown").expect(1, "", f"Error: One of -a or -p must be used.\n{hint}")
    tools.run("signal", "-p", "7").expect(1, "", f"Error: No signal given.\n{hint}")
    if tools.is_compat:  # not one of Mosquitto's
        tools.run("signal", "-p", "7", "restart").expect(
            1, "", "Error: Unknown signal 'restart'.\n")
    tools.run("signal", "-p", "7", "stop").expect(1, "", f"Error: Unknown signal 'stop'.\n{hint}")
    tools.run("signal", "-p", str(2**22), "shutdown").expect(
        0 if tools.is_compat else 1, "",
        f"Error sending signal to process {2**22}: No such process\n")


def test_a_number_that_is_none_reaches_nobody(native):
    native.run("signal", "-p", "1x", "config-reload").expect(
        1, "", "Error: Process ID must be >0.\n")
    native.run("signal", "-p", "99999999999999999999", "config-reload").expect(
        1, "", "Error: Process ID must be >0.\n")
    native.run("signal", "-p", "7", "shutdown", "log-rotate").expect(
        1, "", re.compile("one signal at a time"))
    native.run("signal", "-p", "7", "xtreport").expect(
        1, "", re.compile("Error: Unknown signal 'xtreport'.\n"))


def test_help_of_signal(native, compat):
    native.run("signal", "--help").expect(0, re.compile("config-reload"), "")
    compat.run("signal", "--help").expect(1, re.compile("Usage: mosquitto_signal "), "")
    compat.run("signal").expect(1, re.compile("Usage: mosquitto_signal "), "")
    native.run("signal").expect(1, "", re.compile("Usage: nj signal "))


def can_unshare():
    if not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "--fork", "--pid", "--mount-proc", "true"],
                          capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="no PID namespaces here")
@pytest.mark.parametrize("name", ["nightjar", "mosquitto", "other"])
def test_all_brokers_are_found_by_name(tools, tmp_path, name):
    """In a world of its own, so that no other broker of this computer hears of it."""
    shutil.copy("/bin/sleep", tmp_path / name)
    run = " ".join(f"'{a}'" for a in tools.argv("signal", ["-a", "shutdown"]))
    script = f"""{tmp_path}/{name} 60 & child=$!
    until [ "$(cat /proc/$child/comm)" = {name} ]; do :; done
    {run}; echo status $?
    kill -KILL $child 2>/dev/null; wait $child; echo ended $?"""
    done = subprocess.run(["unshare", "--fork", "--pid", "--mount-proc", "/bin/sh", "-c", script],
                          capture_output=True, text=True, timeout=30, check=False)
    is_hit = name == "mosquitto" or (name == "nightjar" and not tools.is_compat)
    # A shell starts its background jobs with SIGINT ignored.
    ended = signal.SIGTERM if is_hit and not tools.is_compat else signal.SIGKILL
    assert f"ended {128 + ended}" in done.stdout, done
    assert f"status {0 if is_hit or tools.is_compat else 1}" in done.stdout, done
    if not is_hit and not tools.is_compat:
        assert "no broker runs here" in done.stderr


# ---- nj itself

def test_help_about_a_command(native):
    for words in (["help", "pub"], ["help", "signal"]):
        done = native.run(words[0], *words[1:]).expect(0, err="")
        assert done.out == native.run(words[1], "--help").out
    assert b"knows no command 'fly'" in native.run("help", "fly").expect(1, "").err
    assert b"knows no option '-v'.\n" in native.run("-v").expect(1, "").err


def test_mistakes_say_what_there_is(native):
    for words, text in [("signal -a fly", "Unknown signal 'fly'"), ("signal --fly", "Unknown option '--fly'"),
                        ("store fly x", "knows no command 'fly'"), ("store import x", "and a mosquitto.db"),
                        ("db-dump /nonexistent", "No such file"), ("ctl fly x", "There are dynsec, broker")]:
        done = native.run(*words.split())
        assert done.status != 0 and done.out == b"" and text.encode() in done.err, done


def test_a_mistake_in_an_options_file_has_its_place(native, tmp_path):
    (tmp_path / "options").write_text("# mine\n-t a\n-q x\n")
    done = native.sub("-o", tmp_path / "options").expect(1, "")
    assert f"That is in {tmp_path}/options, line 3.\n".encode() in done.err


def test_a_word_that_is_no_command_is_corrected(native):
    native.run("chek").expect(1, "", re.compile("no command 'chek'. Did you mean 'check'"))
    native.run("xyzzy").expect(1, "", re.compile("no command 'xyzzy'.\n`nj --help` lists"))
    native.run("x" * 1000).expect(1, "", re.compile("lists all commands"))
    native.run("--help").expect(0, re.compile("(?s)pub.*sub.*rr.*check.*explain"), "")
