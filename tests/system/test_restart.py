"""Restarts that refuse nobody, and sockets that somebody else opened (socket activation)."""
import os
import signal
import socket
import subprocess
import threading

import pytest

import mqttwire as mw
from mqttwire import V5, packets
from toolbox import Tools

pytestmark = pytest.mark.needs("nightjar")
RESTART = signal.SIGRTMIN + 1
OPEN = "acl_default allow\n"


def restart(one, fails=False):
    mark = one.mark()
    one.signal(RESTART)
    if fails:
        one.expect_error("Error")
        one.wait_log("restart failed: the new start would not succeed", mark)
    else:
        line = one.wait_log("nightjar version .* restarting", mark)
        one.wait_log("nightjar version .* running", one.lines.index(line, mark))
    return mark


def test_a_restart_refuses_no_connection(broker):
    """Every attempt gets a socket, and every client that comes back at once gets in."""
    one = broker(OPEN + "listener 0 {dir}/mqtt.sock\n", mode="native")
    pid, stop, tries, refused = one.pid, threading.Event(), [], []

    def come_and_go():
        while not stop.is_set():
            for endpoint in (one.endpoint(), one.endpoint("unix")):
                try:
                    conn = mw.Conn(endpoint, V5)
                except OSError as problem:
                    refused.append(problem)
                    continue
                try:
                    conn.connect()
                    tries.append(True)
                except (mw.Closed, OSError):
                    tries.append(False)  # the old one took it on its last turn
                conn.close()

    clients = [one.client(f"old-{n}") for n in range(5)]
    threads = [threading.Thread(target=come_and_go) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            restart(one)
            for conn in clients:
                conn.expect_closed(reason=0x8B)
            clients = [one.client(f"old-{n}") for n in range(5)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not refused, refused[:3]
    assert tries.count(True) > 20 and tries.count(False) < tries.count(True)
    assert one.pid == pid and one.is_running()
    for conn in clients:
        conn.quiet()


def test_the_new_process_has_the_new_configuration(broker):
    one = broker(OPEN + "max_keepalive 100\n", mode="native")
    one.write_config(one.config + "listener {port_new} 127.0.0.1\nmax_qos 1\n")
    restart(one)
    one.client("c", port="port_new").publish("t", b"x", qos=1)
    one.client("d").quiet()


def test_a_listener_that_is_no_longer_configured_is_closed(broker):
    one = broker(OPEN + "listener {port_gone} 127.0.0.1\n", mode="native")
    one.write_config(one.config.replace("listener {port_gone} 127.0.0.1\n", ""))
    mark = restart(one)
    one.wait_log("was passed to the broker, but no listener is configured for it", mark)
    one.client("c").quiet()
    with pytest.raises(ConnectionRefusedError):
        one.conn(port="port_gone")


@pytest.mark.parametrize("breakage", ["config", "file", "port"])
def test_a_start_that_would_fail_leaves_everything_as_it_is(broker, breakage):
    one = broker(OPEN + "allow_anonymous true\npassword_file {dir}/pw\n", files={"pw": ""},
                 mode="native", anonymous=False)
    conn = one.client("stays")
    good = one.config
    if breakage == "config":
        one.write_config(good + "nonsense 1\n")
        wanted = "Unknown configuration variable 'nonsense'"
    elif breakage == "file":
        one.write("pw", "broken\n")
        wanted = "Unable to decode line in password file"
    else:
        blocker = socket.socket()
        blocker.bind(("127.0.0.1", 0))
        blocker.listen()
        one.write_config(good + f"listener {blocker.getsockname()[1]} 127.0.0.1\n")
        wanted = "cannot bind to"
    mark = restart(one, fails=True)
    assert one.has_log(wanted, mark)
    conn.quiet()
    one.write_config(good)
    one.write("pw", "")
    restart(one)
    conn.expect_closed(reason=0x8B)
    one.client("stays").quiet()


def test_pid_file_and_unix_socket_outlive_the_restart(broker):
    one = broker(OPEN + "pid_file {dir}/pid\nlistener 0 {dir}/mqtt.sock\n", mode="native")
    restart(one)
    assert (one.dir / "pid").read_text() == str(one.pid)
    one.client("c", endpoint=one.endpoint("unix")).quiet()
    one.stop()
    assert not (one.dir / "pid").exists() and not (one.dir / "mqtt.sock").exists()


def test_a_restart_keeps_mode_and_arguments(broker):
    one = broker(OPEN[:0], mode="compat", args=["-v"])
    mark = restart(one)
    one.wait_log("Running in compat mode", mark)
    one.client("c").quiet()


def test_nj_signal_knows_the_signal(broker):
    one = broker(OPEN, mode="native")
    mark = one.mark()
    Tools("native").run("signal", "-p", str(one.pid), "restart").expect(0, "", "")
    line = one.wait_log("restarting", mark)
    one.wait_log("running", one.lines.index(line, mark))
    one.client("c").quiet()


def test_many_restarts_leak_no_descriptor(broker):
    one = broker(OPEN, mode="native")
    one.client("c").quiet().close()
    before = None
    for _ in range(5):
        restart(one)
        one.client("c").quiet().close()
        before = before or one.fds()
    assert one.fds() <= before + 2


# -- socket activation -----------------------------------------------------------------------------

def activated(broker, config, sockets, names=None, pid="$$", count=None):
    """A broker that is started with these sockets as descriptors from 3 on."""
    one = broker(config, listener=False, start=False, mode="native")
    dup = [os.dup(s.fileno()) for s in sockets]
    for fd in dup:
        os.set_inheritable(fd, True)
    moves = " ".join(f"{3 + i}<&{fd}" for i, fd in enumerate(dup))
    env = f"LISTEN_PID={pid} LISTEN_FDS={len(sockets) if count is None else count}"
    if names:
        env += f" LISTEN_FDNAMES={':'.join(names)}"
    argv = one.command()
    shell = f"export {env}; exec {moves} \"$@\""
    one.process = subprocess.Popen(["bash", "-c", shell, "bash", *argv], stderr=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=one.dir,
                                   env=one.environment(), pass_fds=dup)
    for fd in dup:
        os.close(fd)
    one.stdout = []
    one.reader = threading.Thread(target=one._read_log, daemon=True)
    one.reader.start()
    return one


def listening(family=socket.AF_INET, address=("127.0.0.1", 0), v6only=None):
    sock = socket.socket(family)
    if v6only is not None:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    sock.bind(address)
    sock.listen()
    return sock


def test_a_listener_takes_the_socket_that_listens_at_its_address(broker, tmp_path):
    tcp = listening()
    unix = listening(socket.AF_UNIX, str(tmp_path / "given.sock"))
    port = tcp.getsockname()[1]
    waiting = socket.create_connection(("127.0.0.1", port))  # before the broker runs
    one = activated(broker, OPEN + f"listener {port} 127.0.0.1\nlistener 0 {tmp_path}/given.sock\n",
                    [unix, tcp])
    tcp.close()
    unix.close()
    waiting.sendall(packets.connect("early", version=V5))
    waiting.settimeout(10)
    assert waiting.recv(100)[0] == 0x20
    one.wait_log("Taking over 1 listening sockets")
    mw.Conn(mw.Endpoint("unix", path=str(tmp_path / "given.sock")), V5).connect("u")
    one.stop()
    assert (tmp_path / "given.sock").exists(), "it belongs to the service manager"


def test_a_socket_for_both_families_stands_for_every_address(broker):
    both = listening(socket.AF_INET6, ("::", 0), v6only=0)
    port = both.getsockname()[1]
    one = activated(broker, OPEN + f"listener {port}\n", [both])
    both.close()
    conn = mw.Conn(mw.Endpoint("tcp", port=port), V5)
    mark = one.mark()
    conn.connect("four")
    one.wait_log("New client connected from 127.0.0.1:", mark)  # not ::ffff:127.0.0.1


def test_sockets_are_found_by_name(broker):
    first, second = listening(), listening()
    ports = [s.getsockname()[1] for s in (first, second)]
    one = activated(broker, OPEN + "listener 1883 127.0.0.1\nsocket_name mqtt\n"
                    "listener 1884 127.0.0.1\nsocket_name limited\nmax_qos 0\n", [second, first],
                    names=["limited", "mqtt"])
    first.close()
    second.close()
    answers = [mw.Conn(mw.Endpoint("tcp", port=p), V5).connect("c") for p in ports]
    assert [str(a).find("maximum_qos") >= 0 or str(a).find("Maximum QoS") >= 0
            for a in answers] in ([False, True], [False, False])
    restart(one)
    for port in ports:
        mw.Conn(mw.Endpoint("tcp", port=port), V5).connect("again")


def test_sockets_that_nobody_wants_or_that_are_for_another_process_are_left(broker):
    stray = listening()
    plain = socket.socket()  # does not listen
    one = activated(broker, OPEN + "listener {port} 127.0.0.1\n", [stray, plain])
    one.wait_log(f"the socket at 127.0.0.1:{stray.getsockname()[1]} was passed to the broker")
    one.wait_log("running")
    one.client("c").quiet()
    one.stop()
    other = activated(broker, OPEN + "listener {port} 127.0.0.1\n", [stray], pid="1")
    other.wait_log("running")
    other.client("c").quiet()
    assert not other.has_log("was passed to the broker")
