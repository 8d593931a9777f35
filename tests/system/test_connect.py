"""CONNECT and CONNACK: what gets in, what does not, and what the answer says (MQTT5 3.1, 3.2)."""
import pytest

import mqttwire as mw
from mqttwire import V31, V311, V5, Will
from scenes import endpoint_of, open_broker

MAL, PROTO = 0x81, 0x82


def refused(conn, data, code3, code5):
    """Sends a CONNECT that must be refused: v3 with a return code (None: just closed), v5 with a
    CONNACK reason."""
    conn.send(data)
    if conn.version == V5:
        conn.expect("CONNACK", reason=code5, session_present=0)
    elif code3 is not None:
        conn.expect("CONNACK", reason=code3, session_present=0)
    conn.expect_closed(silent=True)


@pytest.mark.threads
def test_every_transport_carries_every_qos_both_ways(plain, version, transport, uid):
    endpoint = endpoint_of(plain, transport)
    conn, other = mw.Conn(endpoint, version), mw.Conn(endpoint, version)
    conn.connect(uid, session_present=False)
    other.connect(uid + "-out")
    other.subscribe(f"{uid}/#", qos=2)
    for qos in (0, 1, 2):
        conn.publish(f"{uid}/a", b"payload", qos, packet_id=10 + qos)
        other.receive(f"{uid}/a", b"payload", qos)
    other.quiet()
    conn.disconnect()


@pytest.mark.needs("compat")
def test_connack_of_mqtt5_has_exactly_the_bytes_of_the_original(plain, uid):
    conn = plain.conn()
    conn.send(mw.connect(uid))
    conn.expect_bytes(mw.connack(properties=[("topic_alias_maximum", 10),
                                             ("maximum_packet_size", 2000000),
                                             ("receive_maximum", 20)]))


@pytest.mark.needs("compat", "nightjar")
def test_connack_properties_keep_the_order_of_the_original(shared_broker, uid):
    one = shared_broker("max_qos 1\nretain_available false\nmax_keepalive 30\n", mode="compat")
    conn = one.conn()
    conn.send(mw.connect(uid, keep_alive=60))
    conn.expect_bytes(mw.connack(properties=[("server_keep_alive", 30), ("topic_alias_maximum", 10),
                                             ("retain_available", 0),
                                             ("maximum_packet_size", 2000000),
                                             ("receive_maximum", 20), ("maximum_qos", 1)]))


@pytest.mark.parametrize("version", [V31, V311], ids=["v31", "v311"])
def test_connack_of_mqtt3_has_four_bytes(plain, version, uid):
    conn = plain.conn(version)
    conn.send(mw.connect(uid, version))
    conn.expect_bytes(bytes.fromhex("20 02 00 00"))


def test_connack_mqtt5_names_our_limits(plain, uid):
    answer = plain.conn().connect(uid)
    assert answer.prop("receive_maximum") == 20
    assert answer.prop("maximum_packet_size") == 2000000
    assert answer.prop("topic_alias_maximum") == 10
    assert answer.prop("retain_available", 1) == 1
    assert answer.prop("wildcard_subscription_available", 1) == 1
    assert answer.prop("shared_subscription_available", 1) == 1
    assert answer.prop("subscription_identifier_available", 1) == 1


def test_session_present_is_zero_for_clean_start(plain, version, uid):
    first = plain.conn(version)
    first.connect(uid, clean=False, session_present=False,
                  properties={"session_expiry_interval": 100})
    first.disconnect()
    second = plain.conn(version)
    second.connect(uid, clean=False, session_present=version != V31,  # reserved in 3.1
                   properties={"session_expiry_interval": 100})
    second.disconnect()
    third = plain.conn(version)
    third.connect(uid, clean=True, session_present=False)
    third.disconnect()
    plain.conn(version).connect(uid, clean=False, session_present=False)


def test_B050_second_connect_ends_the_connection(plain, version, uid):
    conn = plain.client(uid, version)
    conn.send(mw.connect(uid, version))
    conn.expect_closed(reason=PROTO)


@pytest.mark.parametrize("packet", [
    mw.publish("t", b"x"), mw.subscribe(1, "#"), mw.pingreq(), mw.puback(1), mw.disconnect(),
    mw.unsubscribe(1, "#"), mw.pubrel(1), mw.auth(0x18), mw.connack(), mw.suback(1, [0]),
    mw.pingresp()], ids=lambda p: mw.packet.__name__ + format(p[0], "02x"))
def test_B051_nothing_but_connect_may_come_first(plain, packet):
    conn = plain.conn()
    conn.send(packet)
    conn.expect_closed(silent=True)


@pytest.mark.parametrize("level", [0, 1, 2, 6, 7, 127, 255])
def test_B052_unknown_protocol_levels_are_refused(plain, level):
    conn = plain.conn(V311)
    conn.send(mw.connect("x", V311, level=level))
    first = conn.packet()
    assert first.name == "CONNACK" and first.raw in (
        bytes.fromhex("20 02 00 01"), bytes.fromhex("20 03 00 84 00")), first
    conn.expect_closed(silent=True)


@pytest.mark.parametrize("name", ["MQT", "MQTTT", "mqtt", "", "MQIsdp", "HTTP", "M\0TT"])
def test_B052_wrong_protocol_names_are_refused(plain, name):
    conn = plain.conn(V311)
    conn.send(mw.connect("x", V311, protocol=name))
    seen = conn.expect_closed()
    assert not seen or (seen[0].name == "CONNACK" and seen[0].reason), seen


def test_B054_mqisdp_3_is_mqtt_31(plain, uid):
    plain.client(uid, V31).quiet()


def test_B055_the_bridge_bit_needs_a_level_that_exists(plain, uid):
    """0x84 is what a bridge sends; other suites connect with it. It must not crash or hang."""
    conn = plain.conn(V311)
    conn.send(mw.connect(uid, V311, level=0x84))
    answer = conn.expect("CONNACK")
    assert answer.reason in (0, 1)


@pytest.mark.parametrize("version", [V311, V5], ids=["v311", "v5"])
def test_B056_reserved_connect_flag_is_malformed(plain, version):
    refused(plain.conn(version), mw.connect("x", version, flags=0x03), None, MAL)


@pytest.mark.parametrize("flags", [0x0A, 0x12, 0x22, 0x1A, 0x2A], ids=hex)
def test_B057_will_qos_or_retain_without_will(plain, version, flags):
    refused(plain.conn(version), mw.connect("x", version, flags=flags), None, MAL)


def test_B057_will_qos_3_is_malformed(plain, version):
    refused(plain.conn(version), mw.connect("x", version, will=Will("t", b"p", 3)), None, MAL)


def test_B059_will_payload_missing(plain, version):
    """The flag says will, but the packet ends after the will topic."""
    data = mw.connect("x", version, will=Will("t", b"p"))
    body = bytearray(data[:-3])
    body[1] -= 3
    refused(plain.conn(version), bytes(body), None, MAL)


def test_B060_empty_will_topic(plain, version):
    refused(plain.conn(version), mw.connect("x", version, will=Will("", b"p")), None,
            lambda r: r in (0x90, MAL, PROTO))


@pytest.mark.parametrize("topic", ["#", "a/+", "a#", "a/#/b", "+"])
def test_B061_will_topic_with_wildcards(plain, version, topic):
    refused(plain.conn(version), mw.connect("x", version, will=Will(topic, b"p")), None,
            lambda r: r in (0x90, MAL))


@pytest.mark.needs("nightjar")
@pytest.mark.parametrize("topic", ["$SYS/x", "$CONTROL/x", "$share/g/t",
                                   "$CONTROL/dynamic-security/v1"])
def test_B062_L006_will_on_a_special_topic(shared_broker, mode, version, topic):
    """A will must never get where its owner may not publish, above all not to $CONTROL."""
    one = open_broker(shared_broker, mode)
    conn = one.conn(version)
    conn.send(mw.connect("x", version, will=Will(topic, b"p")))
    if mode == "compat" and not topic.startswith("$CONTROL"):
        return  # the original looks when the will fires; test_wills proves that nothing comes out
    seen = conn.expect_closed()
    if version == V5 and mode == "native":
        assert seen[-1].name == "CONNACK" and seen[-1].reason in (0x87, 0x90), seen
    assert not [p for p in seen if p.name == "CONNACK" and p.reason == 0], seen


@pytest.mark.parametrize("version", [V311], ids=["v311"])
def test_B066_password_without_user_name_is_malformed_before_mqtt5(plain, version):
    refused(plain.conn(version), mw.connect("x", version, password=b"p"), None, None)


def test_B066_password_without_user_name_is_no_error_in_mqtt5(plain, uid):
    """MQTT5 3.1.2.9 allows it; whoever has no name is anonymous, or refused like a wrong login."""
    conn = plain.conn()
    conn.send(mw.connect(uid, password=b"token"))
    assert conn.expect("CONNACK").reason in (0, 0x86, 0x87)


def test_B067_user_name_flag_without_the_field(plain, version):
    if version == V31:  # MQTT 3.1, section 3.1: the length decides, such a client has no name
        conn = plain.conn(version)
        conn.send(mw.connect("x", version, flags=0x82))
        conn.expect("CONNACK", reason=0)
        return
    refused(plain.conn(version), mw.connect("x", version, flags=0x82), None, MAL)


def test_B070_empty_client_id_of_mqtt31(plain):
    refused(plain.conn(V31), mw.connect("", V31), 2, None)


def test_B070_empty_client_id_of_mqtt311_without_clean_session(plain):
    refused(plain.conn(V311), mw.connect("", V311, clean=False), 2, None)


def test_B070_empty_client_id_of_mqtt311(plain):
    plain.client("", V311).quiet()


def test_B070_assigned_client_ids_of_mqtt5(plain):
    ids = [plain.conn().connect("").prop("assigned_client_identifier") for _ in range(20)]
    assert all(ids) and len(set(ids)) == 20
    assert all(i.startswith("auto-") for i in ids), ids
    assert all(len(i) >= len("auto-") + 32 for i in ids), "fewer than 128 random bits"


@pytest.mark.threads
def test_an_assigned_client_id_can_be_resumed(plain):
    first = plain.conn()
    name = first.connect("", clean=True, properties={"session_expiry_interval": 100}).prop(
        "assigned_client_identifier")
    first.disconnect()
    plain.conn().connect(name, clean=False, session_present=True)


def test_B070_a_given_client_id_is_not_sent_back(plain, uid):
    assert plain.conn().connect(uid).prop("assigned_client_identifier") is None


@pytest.mark.parametrize("name", ["a/b", "a+b", "a#b", "$x", "%c", "a b", "../up", "__proto__",
                                  "constructor", "toString", "x" * 23, "x" * 200, "ü€🚀"])
def test_B072_L138_client_ids_are_opaque(plain, name, version):
    """Whatever the id is made of, it works and harms nobody (L-138)."""
    with plain.client(name, version) as conn:
        conn.subscribe("b072/t", qos=1)
        conn.quiet()


def test_B071_a_client_id_of_65535_bytes(plain, version, uid):
    """Accepted or refused with a reason, but never half."""
    conn = plain.conn(version)
    conn.send(mw.connect("x" * 65000, version))
    try:
        answer = conn.expect("CONNACK")
    except mw.Closed:
        return
    assert answer.reason in ((0, 0x85, 0x95) if version == V5 else (0, 2))


def test_two_long_client_ids_that_differ_at_the_end_are_two_clients(plain, uid):
    base = uid + "x" * 1100
    one, two = plain.client(base + "a"), plain.client(base + "b")
    one.quiet()
    two.quiet()


def test_B074_session_expiry_of_never(plain, uid):
    answer = plain.conn().connect(uid, properties={"session_expiry_interval": 0xFFFFFFFF})
    assert answer.prop("session_expiry_interval", 0xFFFFFFFF) > 0


@pytest.mark.parametrize("name", ["receive_maximum", "maximum_packet_size"])
def test_B039_B040_zero_is_a_protocol_error(plain, name):
    refused(plain.conn(), mw.connect("x", properties={name: 0}), None, PROTO)


@pytest.mark.parametrize("name", ["request_problem_information", "request_response_information"])
@pytest.mark.parametrize("value", [2, 255])
def test_flags_of_connect_are_zero_or_one(plain, name, value):
    refused(plain.conn(), mw.connect("x", properties={name: value}), None, PROTO)


@pytest.mark.parametrize("value", [1, 2, 20, 32767, 32768, 65535])
def test_L137_every_receive_maximum_is_unsigned(plain, value, uid):
    plain.client(uid, properties={"receive_maximum": value}).quiet()


@pytest.mark.parametrize("value", [0, 1, 10, 65535])
def test_B042_every_topic_alias_maximum_is_fine(plain, value, uid):
    plain.client(uid, properties={"topic_alias_maximum": value}).quiet()


def test_B076_auth_data_without_method(plain):
    refused(plain.conn(), mw.connect("x", properties={"authentication_data": b"x"}), None, PROTO)


def test_B077_unknown_auth_method(plain):
    refused(plain.conn(), mw.connect("x", properties={"authentication_method": "SCRAM-SHA-1"}),
            None, 0x8C)


def test_B079_B080_auth_packet_in_a_session_without_a_method_is_a_protocol_error(plain, uid):
    conn = plain.client(uid)
    conn.send(mw.auth(0x19, {"authentication_method": "x"}))
    conn.expect_closed(reason={PROTO, 0x8C})


def test_response_information_only_when_asked(plain, uid):
    assert plain.conn().connect(uid).prop("response_information") is None


def test_B075_L152_keep_alive_above_the_maximum(shared_broker, uid):
    one = shared_broker("max_keepalive 100\n")
    answer = one.conn().connect(uid, keep_alive=60)
    assert answer.prop("server_keep_alive") is None
    for above in (101, 65535, 0):
        answer = one.conn().connect(uid + "b", keep_alive=above)
        assert answer.prop("server_keep_alive") == 100, above
    for version in (V31, V311):
        one.conn(version).connect(uid + "c", keep_alive=100)
        for above in (101, 65535, 0):
            refused(one.conn(version), mw.connect(uid + "d", version, keep_alive=above), 2, None)


def test_B086_protocol_versions_of_a_listener(shared_broker, uid):
    one = shared_broker("accept_protocol_versions 4\n"
                        "listener {port2} 127.0.0.1\naccept_protocol_versions 5\n"
                        "listener {port3} 127.0.0.1\naccept_protocol_versions 3, 5\n")
    for port, good in (("port", {V311}), ("port2", {V5}), ("port3", {V31, V5})):
        for version in (V31, V311, V5):
            conn = one.conn(version, port=port)
            if version in good:
                conn.connect(uid)
            else:
                refused(conn, mw.connect(uid, version), 1, 0x84)


@pytest.mark.threads
def test_takeover_tells_the_old_connection(plain, version, uid):
    old = plain.client(uid, version)
    new = plain.client(uid, version)
    old.expect_closed(reason=0x8E)
    new.quiet()


def test_takeover_across_protocol_versions(plain, uid):
    old = plain.client(uid, V5)
    middle = plain.client(uid, V311)
    old.expect_closed(reason=0x8E)
    new = plain.client(uid, V5)
    middle.expect_closed()
    new.quiet()


@pytest.mark.threads
def test_takeover_across_transports(plain, uid):
    old = plain.client(uid)
    for kind in ("tls", "ws", "wss", "unix", "tcp"):
        new = mw.Conn(endpoint_of(plain, kind), V5)
        new.connect(uid)
        old.expect_closed(reason=0x8E)
        old = new
    old.quiet()


@pytest.mark.threads
def test_B084_L135_F054_two_hundred_sockets_with_one_client_id(plain, uid):
    """The last one that was accepted owns the id; all others are told to go."""
    conns = []
    for _ in range(200):
        conn = plain.conn()
        conn.send(mw.connect(uid))
        conns.append(conn)
    alive = 0
    for conn in conns:
        try:
            conn.expect("CONNACK", reason=0)
            conn.send(mw.pingreq())
            while conn.packet().name != "PINGRESP":
                pass
            alive += 1
        except (mw.Closed, OSError):
            continue
    assert alive >= 1
    fresh = plain.client(uid)
    fresh.quiet()
    left = 0
    for conn in conns:
        try:
            conn.send(mw.pingreq())
            while True:
                if conn.packet().name == "PINGRESP":
                    left += 1
                    break
        except (mw.Closed, OSError):
            pass
    assert left == 0, "somebody else still holds the id"


def test_pingreq_is_answered(plain, version, uid):
    conn = plain.client(uid, version)
    for _ in range(3):
        conn.send(mw.pingreq())
        conn.expect_bytes(bytes.fromhex("d0 00"))


@pytest.mark.threads
def test_keep_alive_ends_a_silent_connection(plain, version, uid):
    conn = plain.client(uid, version, keep_alive=1)
    conn.expect_closed(timeout=8, reason=0x8D)


def test_keep_alive_zero_has_no_limit_and_pings_keep_it_open(plain, uid):
    forever = plain.client(uid + "0", keep_alive=0)
    busy = plain.client(uid + "1", keep_alive=1)
    silent = plain.client(uid + "2", keep_alive=1)
    watch = plain.client(uid + "3", keep_alive=2)
    while not silent.is_closed:  # the silent one dies meanwhile; the busy one stays
        busy.quiet()
        watch.quiet()
        try:
            silent.packet(timeout=0.3)
        except AssertionError:
            pass
        except mw.Closed:
            break
    busy.quiet()
    forever.quiet()


def test_client_id_prefixes(shared_broker, uid):
    one = shared_broker("clientid_prefixes good-\n")
    one.client("good-" + uid)
    for version in (V311, V5):
        conn = one.conn(version)
        conn.send(mw.connect("bad-" + uid, version))
        answer = conn.expect("CONNACK")
        assert answer.reason in ((0x87, 0x85) if version == V5 else (5, 2)), answer


def test_zero_length_client_ids_can_be_forbidden(shared_broker):
    one = shared_broker("allow_zero_length_clientid false\n")
    refused(one.conn(V311), mw.connect("", V311), 2, None)
    refused(one.conn(V5), mw.connect("", V5), None, 0x85)


def test_auto_id_prefix_can_be_chosen(shared_broker):
    one = shared_broker("auto_id_prefix made-up-\n")
    assert one.conn().connect("").prop("assigned_client_identifier").startswith("made-up-")


@pytest.mark.needs("nightjar")
def test_control_characters_end_the_connection_in_compat_mode(shared_broker, version):
    one = open_broker(shared_broker, "compat")
    for hello in (mw.connect("a\nb", version), mw.connect("x", version, username="a\x7fb"),
                  mw.connect("", version, username="a\x7fb"),
                  mw.connect("x", version, will=mw.Will("a\x01"))):
        conn = one.conn(version)
        conn.send(hello)
        conn.expect_closed()
    for packet in (mw.publish("a\x01", b"", version=version),
                   mw.subscribe(1, [("a\x85", 0)], version)):
        conn = one.client("x", version)
        conn.send(packet)
        conn.expect_closed(reason=MAL)


@pytest.mark.needs("nightjar", "native")
def test_control_characters_in_ids_and_names_are_refused_in_native_mode(shared_broker):
    one = open_broker(shared_broker, "native")
    for text in ("a\nb", "a\x7fb", "\x1b[2J", "a\x85b"):
        refused(one.conn(), mw.connect(text), None, lambda r: r in (0x85, MAL))
        for name in ("x", ""):
            refused(one.conn(), mw.connect(name, username=text), None,
                    lambda r: r in (0x81, 0x85, 0x86, 0x87))
