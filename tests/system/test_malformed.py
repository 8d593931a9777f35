"""Bytes that are not MQTT: flags, lengths, strings, order, cuts (bad-input catalogue 3.1, 3.5)."""
import threading
import time

import pytest

from brokerproc import is_sanitized
import mqttwire as mw
from mqttwire import V31, V311, V5

MAL, PROTO = 0x81, 0x82


def samples(version):
    """A valid packet of every type a client may send after CONNECT, ids that do no harm."""
    out = {
        "PUBLISH": mw.publish("cut/t", b"payload", 1, 5, version=version,
                              properties={"user_property": ("k", "v"),
                                          "content_type": "t"} if version == V5 else None),
        "PUBACK": mw.puback(9, version, *([0x10, {"reason_string": "r"}] if version == V5 else [])),
        "PUBREC": mw.pubrec(9, version, *([0x10, {"reason_string": "r"}] if version == V5 else [])),
        "PUBREL": mw.pubrel(9, version, *([0x92, {"reason_string": "r"}] if version == V5 else [])),
        "PUBCOMP": mw.pubcomp(9, version, *([0x92, {"reason_string": "r"}]
                                            if version == V5 else [])),
        "SUBSCRIBE": mw.subscribe(7, [("cut/a", 1), ("cut/b", 0)], version,
                                  {"subscription_identifier": 300}),
        "UNSUBSCRIBE": mw.unsubscribe(7, ["cut/a", "cut/b"], version,
                                      {"user_property": ("k", "v")}),
        "PINGREQ": mw.pingreq(),
        "DISCONNECT": mw.disconnect(version, *([0, {"reason_string": "r"}]
                                               if version == V5 else [])),
    }
    return out


NAMES = list(samples(V5))


def full_connect(version, client_id="cut"):
    """A CONNECT with everything in it."""
    five = version == V5
    return mw.connect(client_id, version, True, 30, username="user", password=b"password",
                      properties={"session_expiry_interval": 5, "user_property": ("a", "b")}
                      if five else None,
                      will=mw.Will("cut/will", b"will", 1, False,
                                   {"will_delay_interval": 3, "content_type": "t"}
                                   if five else None))


@pytest.fixture
def alive(plain, uid):
    """A client that has nothing to do with it, and must not notice."""
    conn = plain.client(uid + "-alive")
    yield conn
    conn.quiet()


def body_of(data):
    at = 1
    while data[at] & 0x80:
        at += 1
    return data[at + 1:]


def test_B001_connections_without_a_byte(plain, alive):
    mark = plain.mark()
    for _ in range(50):
        plain.conn().close()
    alive.quiet()
    assert len(plain.log_text(mark).splitlines()) <= 60


@pytest.mark.parametrize("kind", range(16))
def test_B004_B005_every_type_with_every_flag(plain, alive, version, kind):
    """Only the flags of the standard's table get through, and DUP where MQTT 3.1 has it; the
    connection ends for all others."""
    name = {v: k for k, v in mw.packets.TYPES.items()}.get(kind)
    good = samples(version).get(name)
    for flags in range(16):
        if name == "PUBLISH":
            continue  # its flags have meanings; test_qos has them
        is_repeat = version == V31 and name in REPEATED_IN_31 and flags & 8
        if name in samples(version) and flags & (7 if is_repeat else 15) == mw.packets.FLAGS[kind]:
            continue
        data = bytes([kind << 4 | flags]) + (good[1:] if good else b"\x02\x00\x01")
        conn = plain.client("flags", version)
        conn.send(data)
        if version != V31 or name not in ("PINGREQ", "DISCONNECT"):
            conn.expect_closed(reason={MAL, PROTO})
        conn.close()


# MQTT 3.1 section 2.1: who sends one of these again may say so.
REPEATED_IN_31 = ("PUBREL", "SUBSCRIBE", "UNSUBSCRIBE")


def repeated(data):
    return bytes([data[0] | 8]) + data[1:]


@pytest.mark.needs("nightjar")
def test_mqtt31_marks_what_it_repeats(plain, uid):
    conn, sender = plain.client(uid, V31), plain.client(uid + "s")
    conn.send(repeated(mw.subscribe(1, [(uid, 1)], V31)))
    conn.expect("SUBACK", packet_id=1, reasons=[1])
    conn.send(mw.publish(uid, b"m", 2, 5, version=V31))
    conn.expect("PUBREC", packet_id=5)
    conn.send(repeated(mw.pubrel(5, V31)))
    conn.drain(lambda p: p.name == "PUBCOMP" and p.packet_id == 5)
    conn.send(repeated(mw.unsubscribe(2, [uid], V31)))
    conn.expect("UNSUBACK", packet_id=2)
    sender.publish(uid, b"m", 1)
    conn.quiet()


@pytest.mark.parametrize("version", [V311, V5], ids=["v311", "v5"])
@pytest.mark.parametrize("name", REPEATED_IN_31)
def test_later_versions_mark_no_repetition(plain, alive, version, name):
    """MQTT3 2.2.2-2, MQTT5 2.1.3-1"""
    conn = plain.client("flags", version)
    conn.send(repeated(samples(version)[name]))
    conn.expect_closed(reason={MAL, PROTO})


@pytest.mark.parametrize("kind", range(16))
def test_L122_every_type_before_connect(plain, alive, kind):
    for flags in (0, 2):
        conn = plain.conn()
        if kind == 1 and flags == 0:
            continue
        conn.send(bytes([kind << 4 | flags]) + b"\x02\x00\x01")
        conn.expect_closed(silent=True)


@pytest.mark.parametrize("name", ["CONNACK", "SUBACK", "UNSUBACK", "PINGRESP"])
def test_L122_packets_that_only_servers_send(plain, alive, version, name):
    data = {"CONNACK": mw.connack(version), "SUBACK": mw.suback(1, [0], version),
            "UNSUBACK": mw.unsuback(1, [0], version), "PINGRESP": mw.pingresp()}[name]
    conn = plain.client("server", version)
    conn.send(data)
    conn.expect_closed(reason={MAL, PROTO})
    waiting = plain.client("server2", version)  # with a SUBSCRIBE and a QoS 2 exchange open
    waiting.send(mw.publish("x", b"", 2, 3, version=version), data)
    waiting.expect_closed()


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x01",
                                  b"\xff\xff\xff\xff\xff"], ids=lambda d: d.hex())
def test_B006_remaining_length_of_five_bytes(plain, alive, version, data):
    conn = plain.conn(version)
    conn.send(b"\x10" + data)
    conn.expect_closed(silent=version != V5)
    conn = plain.client("len", version)
    conn.send(b"\x30" + data)
    conn.expect_closed(reason=MAL)


def test_B007_L150_a_huge_first_packet_ends_at_its_header(plain, alive):
    before = plain.rss()
    for _ in range(200):
        conn = plain.conn()
        conn.send_wire(b"\x10\xff\xff\xff\x7f")
        conn.expect_closed()
    assert plain.rss() - before < 4 << 20 or is_sanitized(plain.binary)


@pytest.mark.needs("nightjar")
def test_L150_the_limit_before_login_is_64_KiB(plain, alive):
    conn = plain.conn()
    conn.send_wire(b"\x10" + mw.varint(65536 + 1000) + b"\0\4MQTT\5\2\0\0\0")
    conn.expect_closed()
    conn = plain.conn()
    conn.send(mw.connect("large", properties=[("user_property", ("k", "v" * 30000))] * 2))
    conn.expect("CONNACK", reason=0)


@pytest.mark.parametrize("name", NAMES)
def test_B009_remaining_length_shorter_than_the_fields(plain, alive, version, name):
    body = body_of(samples(version)[name])
    for size in range(len(body)):
        data = mw.packet(name, body[:size], flags=samples(version)[name][0] & 15)
        if is_valid_cut(name, version, body, size):
            continue
        conn = plain.client("short", version)
        conn.send(data)
        conn.expect_closed(reason={MAL, PROTO})


def is_valid_cut(name, version, body, size):
    """Whether the first `size` bytes of a body are a packet of their own."""
    try:
        data = mw.packet(name, body[:size])
        parsed = mw.parse(data[0] if name != "PUBLISH" else 0x32, body[:size], version)
    except (mw.WireError, UnicodeDecodeError, IndexError):
        return False
    return name not in ("SUBSCRIBE", "UNSUBSCRIBE") or bool(parsed.filters)


@pytest.mark.parametrize("version_", [V31, V311, V5], ids=["v31", "v311", "v5"])
def test_B009_B014_connect_cut_in_its_body(plain, alive, version_):
    body = body_of(full_connect(version_))
    for size in range(len(body)):
        conn = plain.conn(version_)
        conn.send(mw.packet("CONNECT", body[:size]))
        try:
            while True:
                got = conn.packet()
                if version_ == V31 and got.reason == 0:
                    break  # MQTT 3.1 lets user name and password be missing
                assert got.name == "CONNACK" and got.reason != 0, (size, got)
        except mw.Closed:
            pass
        conn.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("extra", [b"\0", b"\0\0\0\0", b"xyz"], ids=["1", "4", "xyz"])
def test_B010_bytes_after_the_last_field(plain, alive, version, name, extra):
    if name == "PUBLISH":
        return  # everything up to the end is payload
    if name in ("SUBSCRIBE", "UNSUBSCRIBE") and extra == b"\0\0\0\0":
        return  # another (empty) filter; test_subscribe has that
    good = samples(version)[name]
    if version != V31 or name not in ("PINGREQ", "DISCONNECT"):
        conn = plain.client("long", version)
        conn.send(mw.packet(name, body_of(good) + extra, flags=good[0] & 15))
        conn.expect_closed(reason={MAL, PROTO})


def test_B010_bytes_after_the_last_field_of_connect(plain, alive, version):
    conn = plain.conn(version)
    conn.send(mw.packet("CONNECT", body_of(full_connect(version)) + b"x"))
    seen = conn.expect_closed(reason={MAL, PROTO})
    assert not [p for p in seen if p.reason == 0]


@pytest.mark.parametrize("name", ["CONNECT"] + NAMES)
def test_B011_every_packet_cut_at_every_byte_then_fin(plain, alive, version, name):
    data = full_connect(version) if name == "CONNECT" else samples(version)[name]
    for size in range(1, len(data)):
        conn = plain.conn(version) if name == "CONNECT" else plain.client("cut", version)
        conn.send(data[:size])
        conn.shutdown()
        conn.expect_closed()


@pytest.mark.parametrize("name", NAMES)
def test_B012_every_packet_cut_and_the_next_one_follows(plain, alive, version, name):
    """The rest of the stream is garbage then; whatever it is taken for, nobody else suffers."""
    data = samples(version)[name]
    for size in range(1, len(data), 3):
        conn = plain.client("cut2", version)
        conn.try_send(data[:size] + mw.pingreq() * 20)
        conn.shutdown()
        conn.expect_closed()


@pytest.mark.parametrize("name", ["CONNECT"] + NAMES)
def test_F057_one_byte_at_a_time(plain, alive, version, name):
    """The same result as in one piece."""
    conn = plain.conn(version)
    data = mw.connect("slow", version) if name == "CONNECT" else samples(version)[name]
    if name != "CONNECT":
        conn.connect("slow")
    for byte in data:
        conn.send_wire(bytes([byte]))
    want = {"CONNECT": "CONNACK", "PUBLISH": "PUBACK", "PUBREC": "PUBREL", "PUBREL": "PUBCOMP",
            "SUBSCRIBE": "SUBACK", "UNSUBSCRIBE": "UNSUBACK", "PINGREQ": "PINGRESP"}.get(name)
    if want:
        conn.expect(want)
    elif name == "DISCONNECT":
        conn.expect_closed(silent=True)
    else:
        conn.quiet()


@pytest.mark.threads
def test_F057_a_megabyte_of_packets_in_one_write(plain, alive, version, uid):
    conn = plain.client(uid, version)
    conn.subscribe(uid)
    count = 4000
    data = b"".join(mw.publish(uid, b"%d" % n + b"x" * 200, version=version) for n in range(count))
    writer = threading.Thread(target=conn.sock.sendall, args=(data,))
    writer.start()
    for number in range(count):
        assert conn.packet().payload.startswith(b"%dx" % number)
    writer.join()


BAD_TEXT = {
    "B015_nul": b"a\0b", "B016_surrogate": b"\xed\xa0\x80", "B016_surrogate2": b"\xed\xbf\xbf",
    "B017_overlong2": b"\xc0\x80", "B017_overlong3": b"\xe0\x80\xaf",
    "B017_overlong4": b"\xf0\x80\x80\xaf", "B019_truncated": b"a\xe2\x82", "B020_lone": b"\x80",
    "above_10ffff": b"\xf4\x90\x80\x80", "ff": b"\xff", "fe": b"a\xfe"}


@pytest.mark.parametrize("bad", list(BAD_TEXT.values()), ids=list(BAD_TEXT))
def test_B015_B016_B017_B019_B020_L161_bad_text_in_every_string(plain, alive, version, bad):
    connects = [mw.connect(bad, version), mw.connect("x", version, username=bad, password=b""),
                mw.connect("x", version, will=mw.Will(bad, b""))]
    for data in connects:
        conn = plain.conn(version)
        conn.send(data)
        seen = conn.expect_closed()
        assert not [p for p in seen if p.reason == 0], seen
    for data in (mw.publish(bad, b"", version=version), mw.subscribe(1, bad, version),
                 mw.unsubscribe(1, bad, version)):
        conn = plain.client("utf8", version)
        conn.send(data)
        conn.expect_closed(reason={MAL, PROTO, 0x90, 0x8F})


@pytest.mark.parametrize("text", ["\ufffe", "\uffff", "\ufdd0", "\U0001fffe"])
def test_B022_noncharacters_are_answered(plain, alive, text):
    conn = plain.client("nonchar")
    conn.send(mw.publish("n" + text, b"", 1, 1))
    first = conn.packet()
    assert first.name in ("PUBACK", "DISCONNECT")


def test_B014_string_length_beyond_the_packet(plain, alive, version):
    conn = plain.client("strlen", version)
    conn.send(mw.packet("PUBLISH", b"\xff\xff0123456789", flags=0))
    conn.expect_closed(reason=MAL)
    conn = plain.client("strlen", version)
    conn.send(mw.packet("SUBSCRIBE", b"\0\1" + (b"\0" if version == V5 else b"") + b"\xff\xffab"))
    conn.expect_closed(reason=MAL)


def test_B085_other_protocols_on_an_mqtt_port(plain, alive):
    for data in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
                 b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"SSH-2.0-x\r\n", b"\0" * 100,
                 b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n" + bytes(20)):
        conn = plain.conn()
        conn.try_send(data)
        conn.expect_closed(silent=True)


def test_B181_pingreq_with_a_body(plain, alive, version):
    conn = plain.client("ping", version)
    conn.send(b"\xc0\x01\x00")
    conn.expect_closed(reason={MAL, PROTO})


@pytest.mark.parametrize("reason", [0x01, 0x02, 0x03, 0x05, 0x7F, 0x84, 0x86, 0x8B, 0x8E, 0x91,
                                    0xA0, 0xFF])
def test_B185_disconnect_with_a_reason_no_client_may_give(plain, alive, reason):
    conn = plain.client("disc")
    conn.send(mw.disconnect(V5, reason))
    conn.expect_closed(reason={MAL, PROTO})


@pytest.mark.parametrize("reason", [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95,
                                    0x96, 0x97, 0x98, 0x99])
def test_B187_disconnect_with_every_reason_a_client_may_give(plain, alive, reason):
    for data in (mw.packet("DISCONNECT", bytes([reason])),
                 mw.packet("DISCONNECT", bytes([reason, 0]))):
        conn = plain.client("disc")
        conn.send(data)
        conn.expect_closed(silent=True)


def test_B186_data_after_disconnect_is_ignored(plain, alive, version, uid):
    watch = plain.client(uid)
    watch.subscribe(uid)
    conn = plain.client("after", version)
    conn.send(mw.disconnect(version), mw.publish(uid, b"late", version=version))
    conn.expect_closed(silent=True)
    alive.publish(uid, b"mark")
    watch.receive(uid, b"mark")


@pytest.mark.slow
def test_B182_a_flood_of_pings(plain, alive):
    conn = plain.client("flood")
    data = mw.pingreq() * 1000
    for _ in range(50):
        if not conn.try_send(data):
            break
        try:
            for _ in range(1000):
                conn.expect("PINGRESP")
        except mw.Closed:
            break
    alive.quiet()


@pytest.mark.needs("nightjar")
def test_bad_packets_are_logged_once_with_a_reason(plain, uid):
    mark = plain.mark()
    conn = plain.client(uid)
    conn.send(mw.publish("a/#", b"x"))
    conn.expect_closed()
    plain.wait_log(rf"Client {uid} \[127\.0\.0\.1:\d+\] disconnected: .+", mark)


@pytest.mark.needs("nightjar")
def test_L068_secrets_never_get_into_the_log(broker):
    one = broker("log_type all\nallow_anonymous true\nacl_default allow\n")
    canary = "c4n4ry-s3cr3t"
    for version in (3, 4, 5):
        conn = one.conn(version)
        conn.send(mw.connect("x", version, username="u", password=canary))
        conn.packet()
        conn.try_send(mw.publish("t", canary, version=version))
        conn.close()
        conn = one.conn(version)
        conn.send(mw.connect("x", version, username="u", password=canary, flags=0xC3))
        conn.close()
    one.client("end").quiet()
    one.wait_log("as end")
    assert canary not in one.log_text()


def test_open_descriptors_and_memory_come_back(plain, alive, version):
    """After a few hundred clients that leave in every way."""
    def round_trip(number):
        conn = plain.client(f"gone{number}", version)
        conn.subscribe(f"gone/{number}/#", qos=1)
        conn.send(mw.publish(f"gone/{number}", b"x" * 100, 1, 1, version=version))
        assert {conn.packet().name, conn.packet().name} == {"PUBACK", "PUBLISH"}
        [conn.close, conn.reset, lambda: conn.send(b"\xf0\x00"), conn.shutdown][number % 4]()
        conn.close()
    for number in range(20):
        round_trip(number)
    alive.quiet()
    fds, rss = plain.fds(), plain.rss()
    for number in range(300):
        round_trip(number)
    last = plain.client("gone-last")
    last.disconnect()
    deadline = time.monotonic() + 5
    while plain.fds() > fds + 4 and time.monotonic() < deadline:
        alive.quiet()
    assert plain.fds() <= fds + 4
    assert plain.rss() - rss < 8 << 20
