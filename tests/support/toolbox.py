"""Runs the command-line tools as processes, and plays a broker for them byte by byte."""
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import time

import mqttwire as mw

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(os.environ.get("NJ_BIN_DIR") or ROOT / "build" / "bin")
PATIENCE = 30  # seconds; only a failing test waits that long
SANITIZERS = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")


def environment(**more):
    """As good as empty: the tools need nothing."""
    env = {name: os.environ[name] for name in SANITIZERS if name in os.environ}
    env.update(more)
    return env


class Result:
    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.out, self.err = argv, status, out, err

    def __repr__(self):
        return f"{self.argv}\nstatus {self.status}\nout {self.out!r}\nerr {self.err!r}"

    def expect(self, status=0, out=None, err=None):
        """Checks and returns itself. out and err: the whole text, or a compiled pattern."""
        assert b"Sanitizer" not in self.err and b"runtime error" not in self.err, self
        assert self.status == status, self
        for wanted, got in ((out, self.out), (err, self.err)):
            if isinstance(wanted, re.Pattern):
                assert wanted.search(got.decode("utf-8", "backslashreplace")), self
            elif wanted is not None:
                assert got == (wanted.encode() if isinstance(wanted, str) else wanted), self
        return self


class Tools:
    """The tools of one mode: pub, sub and passwd under the native or the original's names."""

    def __init__(self, mode, bin_dir=BIN):
        self.mode, self.bin = mode, pathlib.Path(bin_dir)

    @property
    def is_compat(self):
        return self.mode == "compat"

    def argv(self, tool, args):
        head = [self.bin / f"mosquitto_{tool}"] if self.is_compat else [self.bin / "nj", tool]
        return [os.fspath(a) if not isinstance(a, (str, bytes)) else a for a in [*head, *args]]

    def name(self, tool):
        return f"mosquitto_{tool}" if self.is_compat else f"nj {tool}"

    def run(self, tool, *args, data=b"", env=None, timeout=PATIENCE, **options):
        """Runs a tool to its end."""
        argv = self.argv(tool, args)
        done = subprocess.run(argv, input=data, capture_output=True, timeout=timeout,
                              env=environment() if env is None else env, **options)
        return Result(argv, done.returncode, done.stdout, done.stderr)

    def pub(self, *args, **options):
        return self.run("pub", *args, **options)

    def sub(self, *args, **options):
        return self.run("sub", *args, **options)

    def passwd(self, *args, **options):
        return self.run("passwd", *args, **options)

    def start(self, tool, *args, env=None, **options):
        return Running(self.argv(tool, args), environment() if env is None else env, **options)


class Running:
    """A tool that runs beside the test."""

    def __init__(self, argv, env, **options):
        self.argv = argv
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=env, **options)
        self.out = self.err = b""
        self.news = threading.Condition()
        self.threads = [threading.Thread(target=self._read, args=(name,), daemon=True)
                        for name in ("out", "err")]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def _read(self, name):
        stream = getattr(self.process, f"std{name}")
        while data := os.read(stream.fileno(), 65536):
            with self.news:
                setattr(self, name, getattr(self, name) + data)
                self.news.notify_all()

    def wait_for(self, pattern, stream=None, timeout=PATIENCE):
        """Waits until a pattern stands in the output (or in one stream of it)."""
        wanted = re.compile(pattern.encode() if isinstance(pattern, str) else pattern, re.S)
        with self.news:
            found = self.news.wait_for(
                lambda: wanted.search(getattr(self, stream) if stream else self.out + self.err),
                timeout)
        assert found, f"{self.argv}: no {pattern!r} in\n{self.out!r}\n{self.err!r}"

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def signal(self, number):
        self.process.send_signal(number)

    def end(self, timeout=PATIENCE):
        """Waits for its own end."""
        self.process.wait(timeout)
        for thread in self.threads:
            thread.join(timeout)
        return Result(self.argv, self.process.returncode, self.out, self.err)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Terminal:
    """A tool with a terminal of its own."""

    def __init__(self, argv, env=None):
        self.argv = [os.fspath(a) for a in argv]
        pid, self.fd = pty.fork()
        if pid == 0:
            try:
                # Whoever runs the tests in the background may have them ignore interrupts.
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.execve(self.argv[0], self.argv, environment(TERM="xterm", **(env or {})))
            finally:
                os._exit(127)
        self.pid, self.text, self.status = pid, b"", None

    def wait_for(self, pattern, timeout=PATIENCE):
        deadline = time.monotonic() + timeout
        while not re.search(pattern.encode(), self.text, re.S):
            left = deadline - time.monotonic()
            assert left > 0, f"{self.argv}: no {pattern!r} in {self.text!r}"
            if not self._read(left):
                assert re.search(pattern.encode(), self.text, re.S), (
                    f"{self.argv}: no {pattern!r} in {self.text!r}")

    def _read(self, timeout):
        if not select.select([self.fd], [], [], timeout)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other side has gone
            return False
        self.text += data
        return bool(data)

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self, timeout=PATIENCE):
        deadline = time.monotonic() + timeout
        while self._read(max(0, deadline - time.monotonic())) and time.monotonic() < deadline:
            pass
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return self.text

    def kill(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.fd)


class FakeBroker:
    """Listens, and for each connection runs a script of steps: bytes to send after the next
    packet came, a function from that packet to such bytes, or None to hang up."""

    def __init__(self, *scripts, version=mw.V311):
        self.version, self.scripts = version, scripts
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.received = [[] for _ in scripts]
        self.problem = None
        self.thread = threading.Thread(target=self._play, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def args(self):
        return ["-h", "127.0.0.1", "-p", str(self.port)]

    def _play(self):
        try:
            self.listener.settimeout(PATIENCE)
            for script, received in zip(self.scripts, self.received):
                sock = self.listener.accept()[0]
                with sock:
                    sock.settimeout(PATIENCE)
                    self._play_one(sock, script, received)
        except OSError as problem:
            self.problem = problem

    def _play_one(self, sock, script, received):
        for step in script:
            if step is None:  # hang up
                return
            packet = read_packet(sock)
            received.append(packet)
            sock.sendall(step(packet) if callable(step) else step)
        while (packet := read_packet(sock)) is not None:
            received.append(packet)

    def finish(self):
        """All packets of all connections, when the tool has ended."""
        self.thread.join(PATIENCE)
        return self.received


def read_packet(sock):
    """One whole packet as bytes; None at the end."""
    def exactly(count):
        data = b""
        while len(data) < count:
            try:
                more = sock.recv(count - len(data))
            except ConnectionResetError:
                return None
            if not more:
                return None
            data += more
        return data
    head = exactly(2)
    if head is None:
        return None
    while head[-1] & 0x80:
        head += exactly(1)
    length = sum((byte & 0x7F) << 7 * i for i, byte in enumerate(head[1:]))
    return head + (exactly(length) if length else b"")
