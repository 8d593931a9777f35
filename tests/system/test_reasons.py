"""What the broker says in words: Reason Strings of refusals, Response Information. Native mode says
them, compat mode never, byte for byte as the original."""
import pytest

import mqttwire as mw
from mqttwire import V311, V5
from brokerproc import Options
from scenes import open_broker

ACL = """
user alice
topic readwrite open/#
pattern read response/%c/#
"""


@pytest.fixture
def strict(shared_broker, mode):
    """A broker with one user of few rights, in both modes."""
    from passwords import file_text
    return shared_broker("password_file {dir}/pw\nacl_file {dir}/acl\nallow_anonymous false\n"
                         "max_packet_size 20000\nmessage_size_limit 1000\n",
                         mode=mode, anonymous=False,
                         files={"pw": file_text({"alice": "secret"}), "acl": ACL})


def login(broker, uid, version=V5, **options):
    conn = broker.conn(version)
    conn.connect(uid, username="alice", password="secret", **options)
    return conn


def assert_reason(packet, mode, text):
    assert packet.prop("reason_string") == (text if mode == "native" else None), packet


@pytest.mark.parametrize("qos", [1, 2])
def test_a_refused_publish_says_why(strict, mode, uid, qos):
    conn = login(strict, uid)
    conn.send(mw.publish("closed/a", b"x", qos=qos, packet_id=7))
    ack = conn.expect("PUBACK" if qos == 1 else "PUBREC", packet_id=7, reason=0x87)
    assert_reason(ack, mode, "not authorized")
    conn.send(mw.publish("open/a", b"x" * 1001, qos=qos, packet_id=8))
    ack = conn.expect("PUBACK" if qos == 1 else "PUBREC", packet_id=8, reason=0x97)
    # There is no 0x95 in these (MQTT5 3.4.2-1, 3.5.2-1).
    assert_reason(ack, mode, "packet too large: limit 1000 bytes")


def test_an_accepted_publish_says_nothing(strict, uid):
    conn = login(strict, uid)
    conn.send(mw.publish(f"open/{uid}", b"x", qos=1, packet_id=7))
    conn.expect_bytes(mw.puback(7, reason=0x10))


@pytest.mark.needs("nightjar")
def test_a_refused_subscribe_names_the_filter(strict, mode, uid):
    if mode == "compat":
        pytest.skip("compat mode grants every SUBSCRIBE under an ACL file")
    conn = login(strict, uid)
    conn.send(mw.subscribe(5, [("open/#", 0), ("closed/#", 1)]))
    assert_reason(conn.expect("SUBACK", reasons=[0, 0x87]), mode, "filter 2: not authorized")
    conn.send(mw.subscribe(6, [("closed/#", 1)]))
    assert_reason(conn.expect("SUBACK", reasons=[0x87]), mode, "not authorized")
    conn.send(mw.unsubscribe(7, ["never/subscribed"]))
    conn.expect_bytes(mw.unsuback(7, [0x11]))


def test_B087_no_problem_information_is_sent_to_whom_does_not_want_it(strict, mode, uid):
    conn = login(strict, uid, properties={"request_problem_information": 0})
    conn.send(mw.publish("closed/a", b"x", qos=1, packet_id=7))
    conn.expect_bytes(mw.puback(7, reason=0x87))
    conn.send(mw.publish("closed/a", b"x", qos=2, packet_id=8))
    conn.expect_bytes(mw.pubrec(8, reason=0x87))
    conn.send(mw.pubrel(99))
    conn.expect_bytes(mw.pubcomp(99, reason=0x92 if mode == "native" else None))


def test_the_text_is_left_out_where_the_client_takes_no_packet_that_large(strict, uid):
    conn = login(strict, uid, properties={"maximum_packet_size": 22})
    conn.send(mw.publish("closed/a", b"x", qos=1, packet_id=7))
    conn.expect_bytes(mw.puback(7, reason=0x87))
    conn.send(mw.publish("", b"x", properties={"topic_alias": 11}))
    assert conn.expect("DISCONNECT", reason=0x94).prop("reason_string") is None


def test_mqtt3_gets_no_text(strict, uid):
    conn = login(strict, uid, V311)
    conn.send(mw.publish("closed/a", b"x", qos=1, packet_id=7, version=V311))
    conn.expect_bytes(mw.puback(7, version=V311))


def test_the_end_of_a_connection_says_why(strict, mode, uid):
    conn = login(strict, uid)
    conn.send_wire(b"\x30\xff\xff\x03")  # announces 65 KB where 20,000 bytes are taken
    packet = conn.expect("DISCONNECT", reason=0x95)
    assert_reason(packet, mode, "packet too large: limit 20000 bytes")
    conn = login(strict, uid)
    conn.send(mw.publish("", b"x", properties={"topic_alias": 11}))
    packet = conn.expect("DISCONNECT", reason=0x94)
    assert_reason(packet, mode, "topic alias too high: limit 10")


def test_a_take_over_says_so(strict, mode, uid):
    old = login(strict, uid)
    login(strict, uid)
    packet = old.expect("DISCONNECT", reason=0x8E)
    assert_reason(packet, mode, "another connection took the session over")


@pytest.mark.parametrize("user,password", [("alice", "wrong"), ("nobody", "secret")])
def test_L056_a_refused_login_tells_nothing_about_the_user(strict, mode, uid, user, password):
    conn = strict.conn()
    conn.send(mw.connect(uid, username=user, password=password))
    packet = conn.expect("CONNACK", reason=0x87)
    assert_reason(packet, mode, "not authorized")
    conn.expect_closed()


@pytest.mark.needs("native")
def test_a_refused_connect_says_why(plain, uid):
    conn = plain.conn()
    conn.send(mw.connect(uid, properties={"authentication_method": "x"}))
    assert conn.expect("CONNACK", reason=0x8C).prop("reason_string") == (
        "unknown authentication method")
    conn = plain.conn()
    conn.send(mw.connect("bad\x01id"))
    assert conn.expect("CONNACK", reason=0x85).prop("reason_string") == (
        "client identifier not accepted")


# ---- response information

ASK = {"request_response_information": 1}


def info_of(broker, client_id, **options):
    conn = broker.conn()
    options.setdefault("properties", ASK)
    ack = conn.connect(client_id, **options)
    conn.disconnect()
    return ack.prop("response_information")


def test_clients_that_ask_get_response_information(strict, mode, uid):
    who = {"username": "alice", "password": "secret"}
    wanted = f"response/{uid}" if mode == "native" else None
    assert info_of(strict, uid, **who) == wanted
    assert info_of(strict, uid, properties={"request_response_information": 0}, **who) is None
    assert info_of(strict, uid, properties=None, **who) is None


@pytest.mark.needs("native")
def test_response_information_is_a_topic_of_the_client_alone(plain, uid):
    assert info_of(plain, uid) == f"response/{uid}"
    for name in ("with/slash", "with+plus", "with#hash"):
        assert info_of(plain, uid + name) is None
    ack = plain.conn().connect("", properties=ASK)
    assert ack.prop("response_information") == "response/" + ack.prop("assigned_client_identifier")


@pytest.mark.needs("native")
def test_response_information_is_for_whom_may_use_it(broker, uid):
    from passwords import file_text
    one = broker("password_file {dir}/pw\nacl_file {dir}/acl\nallow_anonymous false\n"
                 "response_information reply/%u/%c\n", anonymous=False,
                 files={"pw": file_text({"alice": "a", "bob": "b"}),
                        "acl": "user alice\ntopic read reply/alice/#\n"})
    assert info_of(one, uid, username="alice", password="a") == f"reply/alice/{uid}"
    assert info_of(one, uid + "b", username="bob", password="b") is None
    one.write_config(one.config.replace("reply/%u/%c", "none"))
    one.reload()
    assert info_of(one, uid, username="alice", password="a") is None


@pytest.mark.needs("native")
def test_response_information_is_left_out_where_it_would_not_fit(plain, uid):
    conn = plain.conn()
    ack = conn.connect(uid, properties={**ASK, "maximum_packet_size": 24})
    assert ack.prop("response_information") is None


@pytest.mark.needs("native")
def test_request_and_response_by_response_information(plain, uid):
    asker, answerer = plain.conn(), plain.client(uid + "a")
    info = asker.connect(uid, properties=ASK).prop("response_information")
    asker.subscribe(f"{info}/#")
    answerer.subscribe(f"{uid}/ask")
    asker.publish(f"{uid}/ask", b"q", properties={"response_topic": f"{info}/1",
                                                  "correlation_data": b"c"})
    question = answerer.receive(f"{uid}/ask", b"q")
    answerer.publish(question.prop("response_topic"), b"a",
                     properties={"correlation_data": question.prop("correlation_data")})
    assert asker.receive(f"{info}/1", b"a").prop("correlation_data") == b"c"


@pytest.mark.needs("compat")
def test_compat_mode_takes_the_option(shared_broker, uid):
    if Options.is_oracle():
        pytest.skip("about nightjar alone")
    one = open_broker(shared_broker, mode="compat", extra="response_information r/%c\n")
    assert info_of(one, uid) == f"r/{uid}"
