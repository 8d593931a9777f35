"""Starts a broker as a process, for tests: its own folder, its own ports, its log line by line.

Works with nightjar and, as an oracle, with Mosquitto 2.x (`--broker`)."""
import collections
import itertools
import os
import pathlib
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import mqttwire
from mqttwire import Conn, Endpoint

SANITIZER = re.compile(r"AddressSanitizer|ThreadSanitizer|LeakSanitizer|UndefinedBehavior|"
                       r"runtime error:|Assertion .* failed|NJ_ASSERT|stack smashing")
ERROR = re.compile(r"(^|\d: )(Error\b|\[error\])|\bError:")


# Below what the kernel gives to outgoing connections, of which tests make thousands; from a place of
# its own for each test run, and none a second time before all had their turn.
_PORTS = range(10000, 32000)
_ports = itertools.islice(itertools.cycle(_PORTS), random.randrange(len(_PORTS)), None)


def free_port():
    """A port that nobody listens on now, and nobody else was given lately."""
    for port in itertools.islice(_ports, len(_PORTS)):
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port of this machine is free")


class Options:
    """What the command line of the tests chose."""

    binary = None
    mode = "native"
    store = None

    @classmethod
    def is_oracle(cls):
        return "mosquitto" in pathlib.Path(cls.binary).name


class Broker:
    """One broker. `config` is text with {port}, {port2} …, {dir} to fill in; files: name → text
    or bytes, written to {dir} first."""

    def __init__(self, config="", files=None, mode=None, args=(), env=None, listener=True,
                 has_config=True, anonymous=True, name=None):
        self.binary, self.mode = Options.binary, mode or Options.mode
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="nj-test-"))
        self.dir.chmod(0o755)
        self.ports = collections.defaultdict(free_port)
        self.args, self.env, self.has_config = list(args), env or {}, has_config
        self.lines, self.lock = [], threading.Condition()
        self.process = self.reader = None
        self.expected_errors = []
        self.checked = 0
        self.expected_status = 0
        self.name = name
        for path, content in (files or {}).items():
            self.write(path, content)
        head = []
        if listener:
            head.append("listener {port} 127.0.0.1")
        if anonymous and "allow_anonymous" not in config:
            head.append("allow_anonymous true")
        self.config = "\n".join([*head, config]) + "\n"
        self.write_config()

    # -- files ------------------------------------------------------------------------------

    def fill(self, text):
        """Replaces {dir} and {port…}; other braces stay."""
        text = text.replace("{dir}", str(self.dir))
        return re.sub(r"\{(port\w*)\}", lambda m: str(self.ports[m[1]]), text)

    def write(self, name, content):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = self.fill(content).encode()
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    def write_config(self, config=None):
        if config is not None:
            self.config = config
        text = self.config
        if os.getuid() == 0 and not re.search(r"^user ", text, re.M):
            text = "user root\n" + text
        if not Options.is_oracle() and not re.search(r"^persistence ", text, re.M):
            has_place = re.search(r"^persistence_location |_persist_sqlite", text, re.M)
            lines = "persistence true\n" + ("" if has_place else "persistence_location {dir}\n")
            text = self.fill(lines if Options.store == "lmdb" else "persistence false\n") + text
        if self.mode == "compat" and not Options.is_oracle() and not re.search(
                r"^compat ", text, re.M):
            text = "compat mosquitto\n" + text
        self.write("broker.conf", text)

    # -- process ----------------------------------------------------------------------------

    def command(self):
        out = [str(self.binary)]
        if self.has_config:
            out += ["-c", str(self.dir / "broker.conf")]
        if self.mode == "compat" and not self.has_config and not Options.is_oracle():
            out += ["--compat", "mosquitto"]
        return out + [self.fill(a) for a in self.args]

    def names_a_store(self):
        """Whether the configuration says itself what is kept, and where."""
        return re.search(r"^persistence true|^(global_)?plugin .*persist_sqlite", self.config, re.M)

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MOSQUITTO", "NJ_"))}
        env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99")
        env.setdefault("TSAN_OPTIONS", "halt_on_error=1:exitcode=99")
        if Options.store == "chaos" and not self.names_a_store():
            env["NIGHTJAR_STORE_CHAOS"] = "0"  # late and out of step, but never failing
        env.update(self.env)
        return env

    def launch(self):
        """Starts the process without waiting for anything."""
        self.process = subprocess.Popen(self.command(), stderr=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                        cwd=self.dir, env=self.environment())
        self.stdout = []
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        return self

    def _endpoints(self):
        """Every listener of the configuration, or the one of -p."""
        out = [self.endpoint(port=p) for p in re.findall(r"^listener \{(port\w*)\} 127", self.config,
                                                         re.M)]
        out += [Endpoint("unix", path=self.fill(p)) for p in re.findall(
            r"^listener 0 (\S+)", self.config, re.M)]
        return out or [self.endpoint()]

    def _read_log(self):
        process = self.process  # held: a start anew must not close its pipes under this thread
        streams = {process.stderr.fileno(): b"", process.stdout.fileno(): b""}
        err = process.stderr.fileno()
        while streams:
            for fd in select.select(list(streams), [], [])[0]:
                data = os.read(fd, 65536)
                if not data:
                    del streams[fd]
                    continue
                *whole, streams[fd] = (streams[fd] + data).split(b"\n")
                with self.lock:
                    for line in whole:
                        text = line.decode("utf-8", "backslashreplace")
                        (self.lines if fd == err else self.stdout).append(text)
                    self.lock.notify_all()
        with self.lock:
            self.lock.notify_all()

    def start(self, timeout=20):
        """Starts and waits until every listener answers."""
        self.launch()
        deadline = time.monotonic() + timeout
        waiting = self._endpoints()
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"the broker ended with {self.process.returncode} at start\n"
                                     f"{self.tail()}")
            try:
                while waiting:
                    endpoint_probe(waiting[-1])
                    waiting.pop()
                return self
            except OSError:
                if time.monotonic() > deadline:
                    self.kill()
                    raise AssertionError(f"nothing listens after {timeout} s\n{self.tail()}"
                                         ) from None
            with self.lock:  # the next log line is the event worth waiting for
                self.lock.wait(0.02)

    def run(self, timeout=20):
        """Runs to its own end; returns (status, log text)."""
        self.launch()
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the broker did not end by itself\n{self.tail()}") from None
        self.reader.join(5)
        self.forget()
        return status, "\n".join(self.lines)

    def stop(self, timeout=10):
        """SIGTERM has to end it in time with status 0 and a clean log."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.finish(timeout)

    def finish(self, timeout=10):
        """Waits for the end and judges it."""
        try:
            status = self.process.wait(timeout * (4 if is_sanitized(self.binary) else 1))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"SIGTERM did not end the broker in {timeout} s\n{self.tail()}"
                                 ) from None
        self.reader.join(5)
        self.process = None
        assert status == self.expected_status, (
            f"the broker ended with status {status}\n{self.tail()}")
        self.check_log()

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            self.reader.join(5)

    def forget(self):
        self.process = None

    def remove(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def signal(self, number):
        self.process.send_signal(number)

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    # -- log --------------------------------------------------------------------------------

    def mark(self):
        """A place in the log from which to look."""
        with self.lock:
            return len(self.lines)

    def log_text(self, since=0):
        with self.lock:
            return "\n".join(self.lines[since:])

    def wait_log(self, pattern, since=0, timeout=mqttwire.PATIENCE):
        """The first line from `since` on that matches; waits for it."""
        wanted, deadline, at = re.compile(pattern), time.monotonic() + timeout, since
        with self.lock:
            while True:
                while at < len(self.lines):
                    if wanted.search(self.lines[at]):
                        return self.lines[at]
                    at += 1
                left = deadline - time.monotonic()
                assert left > 0, f"no log line matches {pattern!r}\n{self._tail(since)}"
                assert self.process is None or self.process.poll() is None or at < len(
                    self.lines) or self.lock.wait(0.2) or at < len(self.lines), (
                    f"the broker ended; no log line matches {pattern!r}\n{self._tail(since)}")
                self.lock.wait(min(left, 0.5))

    def has_log(self, pattern, since=0):
        return re.search(pattern, self.log_text(since), re.M) is not None

    def expect_error(self, pattern):
        """Announces an error-level line."""
        self.expected_errors.append(re.compile(pattern))

    def check_log(self):
        """No sanitizer report and no unannounced error in the lines since the last check."""
        with self.lock:
            lines, self.checked = self.lines[self.checked:], len(self.lines)
        bad = [line for line in lines if SANITIZER.search(line) or (
            ERROR.search(line) and not any(e.search(line) for e in self.expected_errors))]
        assert not bad, "the log has errors:\n" + "\n".join(bad) + "\n--\n" + self.tail()

    def _tail(self, since=0, count=60):
        return "\n".join(["-- log --", *self.lines[since:][-count:]])

    def tail(self, count=60):
        with self.lock:
            return self._tail(0, count)

    # -- reload -----------------------------------------------------------------------------

    def reload(self, fails=False, timeout=mqttwire.PATIENCE):
        """SIGHUP, and waits until the new settings are in force (or refused)."""
        mark = self.mark()
        self.signal(signal.SIGHUP)
        if Options.is_oracle():
            self.wait_log("Reloading config", mark, timeout)
            # One loop turn reloads everything before it reads again.
            with self.client("reload-probe", version=4) as probe:
                probe.quiet()
            return mark
        if fails:
            self.expect_error(r"Error")
        line = self.wait_log(r"Reload done|reload failed", mark, timeout)
        assert ("failed" in line) == fails, f"{line}\n{self._tail(mark)}"
        return mark

    # -- clients ----------------------------------------------------------------------------

    def endpoint(self, kind="tcp", port="port", **options):
        if kind == "unix":
            return Endpoint("unix", path=str(self.dir / options.pop("path", "mqtt.sock")))
        return Endpoint(kind, port=self.ports[port], **options)

    def conn(self, version=mqttwire.V5, kind="tcp", port="port", **options):
        """A connection without CONNECT."""
        endpoint = options.pop("endpoint", None) or self.endpoint(
            kind, port, **{k: options.pop(k) for k in ("context", "name") if k in options})
        return Conn(endpoint, version, **options)

    def client(self, client_id="", version=mqttwire.V5, kind="tcp", port="port", endpoint=None,
               context=None, **options):
        """A connected client; `options` go to CONNECT."""
        made = Conn(endpoint or self.endpoint(kind, port, context=context)
                    if kind != "unix" or endpoint else self.endpoint("unix"), version)
        made.connect(client_id, **options)
        return made

    # -- process facts ----------------------------------------------------------------------

    def rss(self):
        """Resident memory in bytes."""
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self):
        """Seconds of CPU used so far."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            parts = file.read().rsplit(")", 1)[1].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def endpoint_probe(endpoint):
    """Connects and goes away; OSError when nobody listens."""
    if endpoint.kind == "unix":
        sock = socket.socket(socket.AF_UNIX)
        address = endpoint.path
    else:
        sock = socket.socket()
        address = (endpoint.host, endpoint.port)
    with sock:
        sock.settimeout(5)
        sock.connect(address)


_sanitized = {}


def is_sanitized(binary):
    """Whether the program was built with a sanitizer (then it is slow)."""
    key = str(binary)
    if key not in _sanitized:
        try:
            data = pathlib.Path(binary).read_bytes()
            _sanitized[key] = b"__asan_init" in data or b"__tsan_init" in data
        except OSError:
            _sanitized[key] = False
    return _sanitized[key]
