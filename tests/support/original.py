"""Debian's Mosquitto 2.0.11 as a process, where `./dev bench` unpacked it, and the same bytes sent to
it and to nightjar. Nothing is installed for it."""
import os
import pathlib
import select
import socket
import subprocess
import time

from brokerproc import free_port

ROOT = pathlib.Path(__file__).resolve().parents[2] / ".dev/peers/mosquitto/root"
BINARY = ROOT / "usr/sbin/mosquitto"


def environment():
    libraries = {str(p.parent) for p in (ROOT / "usr/lib").rglob("*.so*")}
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(sorted(libraries))}


class Original:
    """One that listens. `config` is what follows its listener."""

    def __init__(self, folder, config="allow_anonymous true\nmax_packet_size 2000000\n"):
        self.port = free_port()
        path = folder / "original.conf"
        path.write_text(f"user root\nlistener {self.port} 127.0.0.1\n{config}")
        self.process = subprocess.Popen([str(BINARY), "-c", str(path)], env=environment(),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 5).close()
                return
            except ConnectionError:
                assert self.process.poll() is None and time.monotonic() < end
                time.sleep(0.02)  # it has no log that could be waited for

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Line:
    """A connection of which only bytes are known."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), 5)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_open = True

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            self.is_open = False

    def read(self, patience):
        """Bytes up to the PINGRESP that ends what was asked (it may overtake), the end, or the end
        of patience."""
        out, end = b"", time.monotonic() + patience
        while self.is_open and not has_pong(out):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                break
            try:
                data = self.sock.recv(65536)
            except OSError:
                data = b""
            self.is_open = bool(data)
            out += data
        return out

    def close(self):
        self.sock.close()


def packets(data):
    """The packets of a stream; what is not whole comes last."""
    out, at = [], 0
    while at < len(data):
        length, shift, body = 0, 0, at + 1
        while body < len(data):
            byte = data[body]
            length, shift, body = length | (byte & 0x7F) << shift, shift + 7, body + 1
            if byte < 0x80:
                break
        out.append(data[at:body + length])
        at = body + length
    return out


def has_pong(data):
    return b"\xd0\x00" in packets(data)


def play(port, scene, patience=0.5):
    """Plays (name, bytes) steps: a name's first step connects; None closes without a word. After
    each step everybody is asked with PINGREQ, so that what the step caused has come. Returns what
    each name got: name → packets in hex, without PINGRESP; "|" is the end of a connection."""
    lines, story = {}, {}
    for name, data in scene:
        if data is None:
            lines.pop(name).close()
            continue
        if name not in lines:
            lines[name] = Line(port)
            story[name] = story.get(name, []) + ["+"]
        lines[name].send(data)
        for other in [name, *(n for n in lines if n != name)]:
            listen(lines[other], story[other], patience)
    for name in [*lines, *lines]:  # what was overtaken
        listen(lines[name], story[name], patience)
    for one in lines.values():
        one.close()
    forget(port, {name for name, _ in scene})
    return story


def listen(line, story, patience):
    if line.is_open:
        line.send(b"\xc0\x00")
        story += [p.hex(" ") for p in packets(line.read(patience)) if p != b"\xd0\x00"]
        story += [] if line.is_open else ["|"]


def forget(port, names):
    """Takes back the sessions that a scene left."""
    for name in names:
        line = Line(port)
        line.send(b"\x10\x0d\0\4MQTT\4\2\0\0\0\1" + name.encode() + b"\xe0\0")
        while line.is_open and select.select([line.sock], [], [], 1)[0] and line.sock.recv(4096):
            pass
        line.close()
