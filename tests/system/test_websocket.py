"""MQTT over WebSocket: the upgrade, frames, and everything about them that can be wrong
(bad-input catalogue 3.6; RFC 6455)."""
import ssl

import pytest

import mqttwire as mw
from mqttwire import V5, websocket as ws
from scenes import endpoint_of, open_broker, settle


@pytest.fixture
def raw(plain):
    """A factory of bare sockets to the WebSocket listener."""
    return lambda: mw.Conn(endpoint_of(plain, "ws"), V5, raw=True)


@pytest.fixture
def upgraded(plain):
    """A factory of upgraded connections."""
    return lambda version=V5: mw.Conn(endpoint_of(plain, "ws"), version)


def answer(conn, request, timeout=mw.PATIENCE):
    """The status and the head of the answer to a request; (None, "") when it just closes."""
    conn.send_wire(request)
    try:
        head = conn.read_head(timeout)
    except mw.Closed:
        return None, ""
    return int(head.split(" ", 2)[1]), head


@pytest.mark.needs("nightjar")
def test_the_answer_to_an_upgrade_has_exactly_the_bytes_of_the_original(raw):
    conn, key = raw(), "dGhlIHNhbXBsZSBub25jZQ=="
    status, head = answer(conn, ws.upgrade(key))
    assert status == 101
    assert head.split("\r\n") == [
        "HTTP/1.1 101 Switching Protocols", "Upgrade: WebSocket", "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Protocol: mqtt"]


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("protocols", [None, "", "foo", "mqttv9", "MQTT2"])
def test_B200_no_known_subprotocol(raw, protocols):
    status, _ = answer(raw(), ws.upgrade(ws.new_key(), protocols=protocols))
    assert status == 400


@pytest.mark.parametrize("protocols", ["mqtt", "mqttv3.1, foo, mqtt", "foo,mqtt", "mqtt, mqttv3.1"])
def test_B201_the_subprotocol_is_chosen(raw, protocols):
    status, head = answer(raw(), ws.upgrade(ws.new_key(), protocols=protocols))
    assert status == 101 and "Sec-WebSocket-Protocol: mqtt" in head.split("\r\n")[-1]


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("version", ["8", "0", "99", "x"])
def test_B202_other_versions(raw, version):
    status, head = answer(raw(), ws.upgrade(ws.new_key(), version=version))
    assert status == 426 and "Sec-WebSocket-Version: 13" in head


@pytest.mark.needs("nightjar")
def test_B204_origins(shared_broker):
    one = open_broker(shared_broker, extra="", mode=None)
    limited = shared_broker("protocol websockets\nwebsockets_origin https://good.example\n"
                            "websockets_origin https://also.example:8443\n")
    for origin, status in (("https://good.example", 101), ("https://also.example:8443", 101),
                           ("https://evil.example", 403), ("null", 403),
                           ("https://good.example.evil", 403), ("http://good.example", 403)):
        conn = mw.Conn(limited.endpoint(), V5)
        assert answer(conn, ws.upgrade(ws.new_key(), extra=[f"Origin: {origin}"]))[0] == status
        conn = mw.Conn(endpoint_of(one, "ws"), V5, raw=True)
        assert answer(conn, ws.upgrade(ws.new_key(), extra=[f"Origin: {origin}"]))[0] == 101


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("request_", [
    ws.upgrade("k" * 22 + "==", method="POST"), ws.upgrade("k" * 22 + "==", http="HTTP/1.0"),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n",
    ws.upgrade("k" * 22 + "==").replace(b"Upgrade: websocket\r\n", b""),
    ws.upgrade("k" * 22 + "==").replace(b"Sec-WebSocket-Key", b"Sec-WebSocket-Kex"),
    ws.upgrade("short"), b"\r\n\r\n", b"GET\r\n\r\n"],
    ids=["post", "http10", "http2", "no_headers", "no_upgrade", "no_key", "short_key", "blank",
         "bare"])
def test_B205_requests_that_are_no_upgrade(raw, request_):
    status, _ = answer(raw(), request_)
    assert status in (400, 405, 426, 505, None), status


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("extra", [
    ["A: b", " folded"], ["Bad Header : x"], ["Space : x"], ["Host: two"], ["X: a\0b"], ["nocolon"],
    ["X: a\nb"]], ids=["fold", "space_in_name", "space_before_colon", "two_hosts", "nul", "no_colon",
                       "bare_lf"])
def test_B206_L141_bad_headers(raw, extra):
    status, _ = answer(raw(), ws.upgrade(ws.new_key(), extra=extra))
    assert status in (400, 431, None)


@pytest.mark.needs("nightjar")
def test_B206_too_much_head(raw, plain, uid):
    for request in (ws.upgrade(ws.new_key(), path="/" + "a" * 65536),
                    ws.upgrade(ws.new_key(), extra=[f"X-{n}: y" for n in range(1000)]),
                    ws.upgrade(ws.new_key(), extra=["X: " + "y" * 100000])):
        conn = raw()
        try:
            status, _ = answer(conn, request)
        except OSError:
            status = None
        assert status in (400, 414, 431, None)
    plain.client(uid).quiet()


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("path", ["/../", "/mqtt%00", "http://x/mqtt", "*", "/a b"])
def test_B209_odd_paths(raw, path):
    status, _ = answer(raw(), ws.upgrade(ws.new_key(), path=path))
    assert status in (400, 404, None)


@pytest.mark.parametrize("path", ["/", "/mqtt", "/ws/x?y=1"])
def test_usual_paths(raw, path):
    assert answer(raw(), ws.upgrade(ws.new_key(), path=path))[0] == 101


def test_header_names_and_values_in_any_case(raw):
    request = ws.upgrade(ws.new_key()).replace(b"Upgrade: websocket", b"UPGRADE: WebSocket").replace(
        b"Connection: Upgrade", b"connection: keep-alive, upgrade")
    assert answer(raw(), request)[0] == 101


def test_B210_mqtt_in_the_same_segment_as_the_upgrade(raw, uid):
    conn = raw()
    conn.send_wire(ws.upgrade(ws.new_key()) + ws.frame(mw.connect(uid)))
    assert conn.read_head().startswith("HTTP/1.1 101")
    conn.frames = ws.Frames()
    conn.frames.feed(bytes(conn.pending))
    conn.pending.clear()
    conn._take_frames("CONNACK")
    conn.expect("CONNACK", reason=0)


def ends_with(conn, *codes):
    """The connection has to end; a close frame has one of these codes."""
    conn.expect_closed()
    assert conn.close_code in codes + (None,), conn.close_code


def test_B211_unmasked_frames(upgraded):
    conn = upgraded()
    conn.send_wire(ws.frame(mw.connect("x"), masked=False))
    ends_with(conn, 1002)


@pytest.mark.parametrize("rsv", [1, 2, 4, 7])
def test_B212_reserved_bits(upgraded, rsv):
    conn = upgraded()
    conn.send_wire(ws.frame(mw.connect("x"), rsv=rsv))
    ends_with(conn, 1002)


def test_B214_text_frames(upgraded):
    conn = upgraded()
    conn.send_wire(ws.frame(b"text", ws.TEXT))
    ends_with(conn, 1003, 1002)


@pytest.mark.parametrize("opcode", [3, 4, 7, 11, 15])
def test_unknown_opcodes(upgraded, opcode):
    conn = upgraded()
    conn.send_wire(ws.frame(b"", opcode))
    ends_with(conn, 1002)


@pytest.mark.parametrize("frame", [ws.frame(b"x" * 126, ws.PING), ws.frame(b"x", ws.PING, fin=False),
                                   ws.frame(b"x" * 200, ws.CLOSE)])
def test_B215_long_or_split_control_frames(upgraded, frame):
    conn = upgraded()
    conn.send_wire(frame)
    ends_with(conn, 1002)


def test_B216_continuation_out_of_place(upgraded):
    conn = upgraded()
    conn.send_wire(ws.frame(b"x", ws.CONTINUATION))
    ends_with(conn, 1002)
    conn = upgraded()
    conn.send_wire(ws.frame(b"\x10", fin=False) + ws.frame(b"x"))
    ends_with(conn, 1002)


@pytest.mark.parametrize("length", [1 << 63, (1 << 63) - 1, 1 << 40])
def test_B217_huge_frames_end_at_their_header(upgraded, plain, length, uid):
    before = plain.rss()
    conn = upgraded()
    conn.send_wire(ws.frame(b"", length=length))
    ends_with(conn, 1009, 1002)
    assert plain.rss() - before < 4 << 20
    plain.client(uid).quiet()


@pytest.mark.threads
def test_B219_packets_and_frames_need_not_agree(upgraded, uid, version):
    """One-byte frames, fragments, many packets in a frame, a cut inside the length."""
    conn = upgraded(version)
    for byte in mw.connect(uid, version):
        conn.send_wire(ws.frame(bytes([byte])))
    conn.expect("CONNACK", reason=0)
    data = mw.subscribe(1, uid, version)
    conn.send_wire(ws.frame(data[:3], fin=False) + ws.frame(data[3:5], ws.CONTINUATION, fin=False)
                   + ws.frame(data[5:], ws.CONTINUATION))
    conn.expect("SUBACK", packet_id=1)
    conn.send_wire(ws.frame(b"".join(mw.publish(uid, str(n), version=version) for n in range(50))))
    for number in range(50):
        conn.receive(uid, str(number).encode())
    big = mw.publish(uid, b"x" * 70000, version=version)
    conn.send_wire(ws.frame(big[:2]) + ws.frame(big[2:]))
    assert len(conn.receive(uid).payload) == 70000


def test_control_frames_between_fragments(upgraded, uid):
    conn, data = upgraded(), mw.connect(uid)
    conn.send_wire(ws.frame(data[:4], fin=False) + ws.frame(b"hello", ws.PING)
                   + ws.frame(data[4:], ws.CONTINUATION))
    seen = []
    take = conn.frames.next

    def spy():
        one = take()
        if one:
            seen.append(one)
        return one
    conn.frames.next = spy
    conn.expect("CONNACK", reason=0)
    assert (ws.PONG, True, b"hello") in seen


@pytest.mark.slow
def test_B220_a_flood_of_empty_fragments(upgraded, plain, uid):
    conn = upgraded()
    try:
        conn.send_wire(ws.frame(b"", fin=False))
        for _ in range(100):
            conn.send_wire(ws.frame(b"", ws.CONTINUATION, fin=False) * 2000)
    except OSError:
        pass
    plain.client(uid).quiet()


def test_B221_a_flood_of_pings(upgraded, plain, uid):
    conn = upgraded()
    conn.connect(uid)
    try:
        for _ in range(20):
            conn.send_wire(ws.frame(b"x" * 100, ws.PING) * 500)
    except OSError:
        pass
    plain.client(uid + "o").quiet()


def test_a_close_frame_is_answered(upgraded, uid):
    conn = upgraded()
    conn.connect(uid)
    conn.send_wire(ws.frame(b"\x03\xe8bye", ws.CLOSE))
    conn.expect_closed()
    assert conn.close_code in (1000, None)


@pytest.mark.threads
def test_a_close_frame_is_no_disconnect(upgraded, plain, uid):
    """A will fires: MQTT's DISCONNECT did not come."""
    watch = plain.client(uid + "w")
    watch.subscribe(uid)
    conn = upgraded()
    conn.connect(uid, will=mw.Will(uid, b"gone"))
    conn.send_wire(ws.frame(b"\x03\xe8", ws.CLOSE))
    watch.receive(uid, b"gone")


@pytest.mark.parametrize("body", [b"\x03\xec", b"\x03\xed", b"\x03\xee", b"\x03\xf7", b"\x03\xe7",
                                  b"\x13\x88", b"\x03", b"\x03\xe8\xff\xfe"],
                         ids=["1004", "1005", "1006", "1015", "999", "5000", "one_byte",
                              "bad_utf8"])
def test_B222_bad_close_frames(upgraded, body):
    conn = upgraded()
    conn.send_wire(ws.frame(body, ws.CLOSE))
    ends_with(conn, 1002, 1007)


def test_B224_compression_is_not_accepted(raw):
    _, head = answer(raw(), ws.upgrade(ws.new_key(), extra=[
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]))
    assert "Extensions" not in head


@pytest.mark.needs("nightjar")
def test_B225_forwarded_headers_are_not_believed(raw, plain, uid):
    conn, mark = raw(), plain.mark()
    conn.send_wire(ws.upgrade(ws.new_key(), extra=["X-Forwarded-For: 6.6.6.6",
                                                   'X-Real-IP: "><script>']))
    assert conn.read_head().startswith("HTTP/1.1 101")
    conn.send_wire(ws.frame(mw.connect(uid)))
    line = plain.wait_log(rf"as {uid} ", mark)
    assert "6.6.6.6" not in line and "script" not in line


def test_mqtt_on_the_websocket_port_and_the_other_way_round(raw, plain, uid):
    conn = raw()
    conn.try_send(mw.connect("x"))
    conn.expect_closed()
    conn = plain.conn()
    conn.try_send(ws.upgrade(ws.new_key()))
    conn.expect_closed(silent=True)
    plain.client(uid).quiet()


def test_text_frame_after_connect(upgraded, plain, uid):
    conn = upgraded()
    conn.connect(uid)
    conn.send_wire(ws.frame(mw.pingreq(), ws.TEXT))
    conn.expect_closed()


@pytest.mark.threads
def test_messages_of_every_size(upgraded, plain, uid):
    """Around each border of the frame's length."""
    conn, sender = upgraded(), plain.client(uid + "s")
    conn.connect(uid)
    conn.subscribe(uid)
    for size in (0, 1, 100, 110, 120, 125, 126, 127, 128, 65000, 65510, 65535, 65536, 70000, 300000):
        sender.publish(uid, b"z" * size)
        assert len(conn.receive(uid).payload) == size
        conn.publish(uid + "/x", b"z" * size)
    settle(sender, conn)


def test_B226_wss_is_encrypted(plain, uid):
    endpoint = endpoint_of(plain, "wss")
    conn = mw.Conn(endpoint)
    conn.connect(uid)
    assert isinstance(conn.sock, ssl.SSLSocket) and conn.tls_version in ("TLSv1.2", "TLSv1.3")
    conn.quiet()
