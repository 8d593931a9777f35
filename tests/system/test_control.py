"""The control APIs: the way of a request on $CONTROL and of its answer, and what the broker tells
about itself and its clients (ledger 2.1, catalogue B-290 – B-295)."""
import json
import os
import re

import pytest

import mqttwire as mw
import passwords
from control import Admin
from mqttwire import V31, V311, V5, Will
from scenes import settle

pytestmark = pytest.mark.needs("nightjar")

USERS = ["admin", "helper", "nobody", "reader"]
PW = "".join(f"{u}:{passwords.sha512(u)}\n" for u in USERS)
ACL = """\
user admin
topic readwrite #
topic readwrite $CONTROL/#
topic readwrite replies/#
user helper
topic readwrite $CONTROL/nightjar/#
topic readwrite $CONTROL/cedalo/#
topic readwrite helper/#
user nobody
topic readwrite t/#
topic readwrite settle/#
user reader
topic read $CONTROL/#
topic readwrite t/#
"""
CONFIG = "password_file {dir}/pw\nacl_file {dir}/acl\n"
BROKER = "broker/v1"
NIGHTJAR = "nightjar/v1"
INSPECT = "cedalo/inspect/v1"
CONTROL = "cedalo/client-control/v1"


@pytest.fixture
def one(shared_broker):
    return shared_broker(CONFIG + "enable_control_api true\n", mode="native",
                         files={"pw": PW, "acl": ACL})


@pytest.fixture
def original(shared_broker):
    """In compat mode, as the original."""
    return shared_broker(CONFIG + "enable_control_api true\n", mode="compat",
                         files={"pw": PW, "acl": ACL})


def login(one, user, client_id=None, version=V5, **options):
    return one.client(client_id or f"{user}-{os.urandom(4).hex()}", version, username=user,
                      password=user, **options)


def admin_of(one, user="admin", version=V5, private=True, **options):
    return Admin(login(one, user, version=version, **options), private)


# ---- the way of a request and its answer


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_an_answer_comes_privately_with_its_correlation_data(one, qos):
    admin = admin_of(one)
    correlation = admin.send(BROKER, '{"commands":[{"command":"listListeners"}]}', qos)
    reply = admin.reply(BROKER, correlation)
    (answer,) = reply["responses"]
    assert answer["data"]["listeners"][0]["protocol"] == "mqtt"


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_an_answer_comes_by_the_response_topic_that_was_subscribed(one, version, qos):
    admin = admin_of(one, version=version, private=False)
    (answer,) = admin.batch(BROKER, [{"command": "listPlugins", "correlationData": "x"}], qos)
    assert answer["correlationData"] == "x" and "plugins" in answer["data"]


def test_nobody_else_sees_an_answer(one):
    admin = admin_of(one, private=False)
    other = login(one, "reader")
    other.subscribe([("$CONTROL/#", 0), ("t/#", 0)])
    admin.ask(BROKER, "listListeners")
    login(one, "nobody").publish("t/end", b"end")
    assert other.expect("PUBLISH").topic == "t/end"


def test_in_compat_mode_everyone_who_may_receive_it_sees_an_answer(original):
    admin = admin_of(original, private=False)
    other = login(original, "reader")
    other.subscribe([("$CONTROL/broker/v1/response", 0)])
    answer = admin.ask(BROKER, "listListeners")
    seen = json.loads(other.expect("PUBLISH", topic="$CONTROL/broker/v1/response").payload)
    assert seen["responses"] == [answer]


def test_L039_a_private_answer_is_not_routed_whatever_its_topic_says(one):
    victim = login(one, "admin")
    victim.subscribe([("#", 0), ("$CONTROL/#", 0), ("t/#", 0)])
    admin = admin_of(one, "helper")
    for topic in ("t/victim", "$CONTROL/broker/v1", "$SYS/broker/version", "helper/x"):
        correlation = admin.send(NIGHTJAR, '{"commands":[{"command":"getStatus"}]}',
                                 response_topic=topic)
        admin.conn.expect("PUBACK")
        packet = admin.conn.expect("PUBLISH", topic=topic)
        assert packet.prop("correlation_data") == correlation
    login(one, "admin").publish("t/end", b"end")
    assert victim.expect("PUBLISH").topic == "t/end"


@pytest.mark.parametrize("topic", ["a/#", "+", "replies/+/x"])
def test_L039_a_response_topic_with_wildcards_ends_the_connection(one, topic):
    admin = admin_of(one)
    admin.send(BROKER, '{"commands":[{"command":"listListeners"}]}', response_topic=topic)
    packet = admin.conn.expect("DISCONNECT")
    assert packet.reason in (0x81, 0x82, 0x90)


def test_B291_a_request_needs_the_right_to_publish(one, version):
    user = login(one, "nobody", version=version)
    user.subscribe([("t/#", 0)])
    user.send(mw.publish("$CONTROL/broker/v1", b'{"commands":[{"command":"listListeners"}]}', 1, 7,
                         version=version))
    answer = user.expect("PUBACK", packet_id=7)
    if version == V5:
        assert answer.reason == 0x87
    user.publish("t/end", b"end")
    assert user.expect("PUBLISH").topic == "t/end"


@pytest.mark.parametrize("retain", [False, True])
def test_B291_a_request_is_never_passed_on_or_retained(one, retain):
    admin = admin_of(one)
    watcher = login(one, "admin")
    watcher.subscribe([("$CONTROL/#", 0), ("#", 0)], packet_id=5)
    admin.conn.send(mw.publish("$CONTROL/nobody/asked", b"{}", 1, 8, retain=retain, properties=[
        ("response_topic", "replies/here"), ("correlation_data", b"z")]))
    admin.conn.expect("PUBACK", packet_id=8)
    assert "endpoint not available" in json.loads(
        admin.conn.expect("PUBLISH", topic="replies/here").payload)["error"]
    settle(login(one, "admin"), watcher)
    late = login(one, "admin")
    late.subscribe([("$CONTROL/#", 0)])
    settle(login(one, "admin"), late)


def test_L006_a_will_asks_nothing(one):
    for user in ("admin", "nobody"):
        conn = one.conn()
        conn.send(mw.connect("w", V5, username=user, password=user, will=Will(
            "$CONTROL/broker/v1", b'{"commands":[{"command":"listListeners"}]}')))
        packet = conn.packet()
        assert packet.name == "CONNACK" and packet.reason >= 0x80


def test_an_unknown_endpoint_answers_its_caller_alone(original):
    admin = admin_of(original, private=False)
    other = login(original, "reader")
    other.subscribe([("$CONTROL/#", 0), ("t/#", 0)])
    assert admin.raw("foo/v1", "{}") == {"error": "endpoint not available"}
    login(original, "nobody").publish("t/end", b"end")
    assert other.expect("PUBLISH").topic == "t/end"


def test_a_qos_2_request_is_carried_out_once(one):
    """The duplicate of a PUBLISH that was not released, on the same and on the next connection."""
    target = login(one, "nobody", "qos2-target")
    options = dict(clean=False, properties=[("session_expiry_interval", 60)])
    conn = login(one, "admin", "qos2-admin", **options)
    conn.subscribe([("$CONTROL/cedalo/client-control/v1/response", 0)])
    request = json.dumps({"commands": [
        {"command": "unsubscribeClient", "clientid": "qos2-target", "topic": "t/a"}]}).encode()
    target.subscribe([("t/a", 0)])

    def send(conn, dup):
        conn.send(mw.publish("$CONTROL/" + CONTROL, request, 2, 77, dup=dup))

    def got(conn, name):
        """The acknowledgement waits for the store, the answer does not."""
        packet = conn.packet()
        assert packet.name == name or name is None, packet
        return packet

    send(conn, False)
    packets = {p.name: p for p in (got(conn, None), got(conn, None))}
    assert packets["PUBREC"].reason in (None, 0)
    assert "error" not in json.loads(packets["PUBLISH"].payload)["responses"][0]
    target.subscribe([("t/a", 0)])
    send(conn, True)
    got(conn, "PUBREC")
    conn.close()
    conn = login(one, "admin", "qos2-admin", **options)
    send(conn, True)
    got(conn, "PUBREC")
    conn.send(mw.pubrel(77))
    conn.expect("PUBCOMP", packet_id=77)
    login(one, "nobody").publish("t/a", b"still there")
    assert target.expect("PUBLISH").payload == b"still there"
    conn.disconnect(properties=[("session_expiry_interval", 0)])


def test_requests_of_one_client_are_answered_in_order(one):
    admin = admin_of(one)
    sent = [admin.send(NIGHTJAR, '{"commands":[{"command":"getStatus"}]}') for _ in range(50)]
    got = []
    while len(got) < len(sent):
        packet = admin.conn.packet()
        if packet.name == "PUBLISH":
            got.append(packet.prop("correlation_data"))
    assert got == sent


def test_a_client_that_asks_too_much_delays_itself_alone(one):
    """The door is full for one client: 0x97, and another one is served meanwhile."""
    greedy = login(one, "admin")
    other = admin_of(one, "helper")
    commands = json.dumps({"commands": [{"command": "getCounters"}] * 100}).encode()
    refused = 0
    for packet_id in range(1, 400):
        greedy.send(mw.publish("$CONTROL/nightjar/v1", commands, 1, packet_id))
    assert other.data(NIGHTJAR, "getStatus")["mode"] == "native"
    for packet_id in range(1, 400):
        refused += greedy.expect("PUBACK", packet_id=packet_id).reason == 0x97
    assert refused > 0


@pytest.mark.parametrize("private", [True, False])
def test_a_session_that_ended_gets_no_answer(one, private):
    conn = login(one, "admin", "gone")
    conn.subscribe([("$CONTROL/nightjar/v1/response", 0), ("t/#", 0)])
    conn.send(mw.publish("$CONTROL/nightjar/v1", json.dumps(
        {"commands": [{"command": "getCounters"}] * 1000}).encode(), 1, 3,
        properties=[("response_topic", "t/x")] if private else None))
    conn.close()
    again = login(one, "admin", "gone")
    again.subscribe([("$CONTROL/nightjar/v1/response", 0), ("t/#", 0)])
    settle(login(one, "admin"), again)
    asker = admin_of(one)
    asker.data(NIGHTJAR, "getStatus")
    settle(login(one, "admin"), again)


# ---- envelopes


BAD = {
    "empty": ("", "Payload not valid JSON"),
    "no JSON": ("{", "Payload not valid JSON"),
    "a list": ("[]", "Payload not valid JSON"),
    "a number": ("1", "Payload not valid JSON"),
    "trailing garbage": ('{"commands":[]} x', "Payload not valid JSON"),
    "a key twice": ('{"commands":[],"commands":[]}', "Payload not valid JSON"),
    "NUL": ('{"commands":["a\\u0000"]}', "Payload not valid JSON"),
    "no UTF-8": (b'{"commands":["\xff"]}', "Payload not valid JSON"),
    "byte order mark": (b'\xef\xbb\xbf{"commands":[]}', "Payload not valid JSON"),
    "deep": ('{"commands":' + "[" * 40 + "]" * 40 + "}", "Payload not valid JSON"),
    "very deep": ("[" * 100000, "Payload not valid JSON"),
    "no commands": ("{}", "Invalid/missing commands"),
    "commands no array": ('{"commands":{}}', "Invalid/missing commands"),
    "a huge number": ('{"commands":1e999}', "Payload not valid JSON"),
    "too many": ('{"commands":[' + ",".join(["{}"] * 10001) + "]}", "Too many commands"),
    "command no object": ('{"commands":[1]}', "Command not an object"),
    "no name": ('{"commands":[{}]}', "Missing command"),
    "name no string": ('{"commands":[{"command":1}]}', "Missing command"),
    "unknown": ('{"commands":[{"command":"fly"}]}', "Unknown command"),
    "correlation no string": ('{"commands":[{"command":"listPlugins","correlationData":1}]}',
                              "Invalid correlationData data type."),
}


@pytest.mark.parametrize("api", [BROKER, NIGHTJAR, INSPECT, CONTROL])
def test_B290_a_bad_envelope_is_answered_and_acknowledged(one, api):
    admin = admin_of(one)
    for case, (payload, error) in BAD.items():
        (answer,) = admin.raw(api, payload)["responses"]
        assert answer["error"] == error and answer["code"] in (1, 2), case
        if case not in ("unknown", "correlation no string"):
            assert answer["command"] == "Unknown command", case


def test_B290_a_payload_that_is_too_large_is_answered(one):
    admin = admin_of(one)
    (answer,) = admin.raw(BROKER, b" " * (1024 * 1024 + 1))["responses"]
    assert answer["error"] == "Payload too large"


def test_B290_one_bad_command_among_good_ones(one):
    admin = admin_of(one)
    answers = admin.batch(BROKER, [{"command": "LISTplugins"}, {"command": "fly"},
                                   {"command": "listListeners"}, 7, {"command": "listPlugins"}])
    assert [("error" in a, a["command"]) for a in answers] == [
        (False, "listPlugins"), (True, "fly"), (False, "listListeners"),
        (True, "Unknown command")]  # what is no object ends the batch, as in the original


def test_compat_answers_have_no_code(original):
    admin = admin_of(original, private=False)
    assert admin.batch(BROKER, [{"command": "fly", "correlationData": "a"}]) == [
        {"command": "fly", "error": "Unknown command", "correlationData": "a"}]


def test_a_large_answer_that_the_client_does_not_take_is_replaced_by_a_short_one(one):
    conn = login(one, "admin", properties=[("maximum_packet_size", 500)])
    admin = Admin(conn)
    reply = admin.raw(NIGHTJAR, '{"commands":[{"command":"getCounters"}]}')
    assert "too large" in reply["responses"][0]["error"]


def test_a_short_request_does_not_make_an_answer_without_bounds(one):
    """It asks for one large message, over and over: until there are 16 MiB of it."""
    admin = admin_of(one)
    conn = login(one, "admin")
    conn.publish("t/large", b"x" * 60000, 1, retain=True)
    ask = {"command": "listRetained", "topic": "t/large", "payload": True}
    reply = admin.raw(NIGHTJAR, json.dumps({"commands": [ask] * 400}))
    answers = [a.get("code") for a in reply["responses"]]
    good = answers.index(7)
    assert answers == [None] * good + [7] * (400 - good)
    assert 16 << 20 < len(json.dumps(reply["responses"][:good])) < 17 << 20
    assert admin.data(NIGHTJAR, "getStatus")["mode"] == "native"
    conn.publish("t/large", b"", 1, retain=True)


# ---- broker/v1


def test_the_control_apis_can_be_turned_off(broker):
    one = broker(CONFIG + "enable_control_api false\n", mode="native",
                 files={"pw": PW, "acl": ACL})
    admin = admin_of(one)
    for api in (BROKER, NIGHTJAR, INSPECT, CONTROL):
        assert admin.raw(api, "{}") == {"error": "endpoint not available"}


def test_they_are_off_in_compat_mode_unless_asked_for(broker):
    one = broker(CONFIG, mode="compat", files={"pw": PW, "acl": ACL})
    assert admin_of(one, private=False).raw(BROKER, "{}") == {"error": "endpoint not available"}


def test_listeners_are_listed_with_ids(broker):
    one = broker(CONFIG + "listener {port_ws} 127.0.0.1\nprotocol websockets\n"
                 "listener 0 {dir}/socket\n", mode="native",
                 files={"pw": PW, "acl": ACL})
    rows = admin_of(one).data(BROKER, "listListeners")["listeners"]
    assert [row["id"] for row in rows] == list(range(1, len(rows) + 1))
    by_kind = {(row["protocol"], "socket-path" in row) for row in rows}
    assert by_kind == {("mqtt", False), ("mqtt+websockets", False), ("mqtt", True)}
    assert all(row["tls"] is False for row in rows)


# ---- inspection and control of clients


def test_clients_are_listed_in_the_order_of_their_ids_and_shown(one):
    admin = admin_of(one)
    conns = [login(one, "nobody", f"list-{i:02}") for i in range(20)]
    ids = admin.data(INSPECT, "listClients")
    names = [c for c in ids["clients"] if c.startswith("list-")]
    assert names == [f"list-{i:02}" for i in range(20)] and ids["totalCount"] >= 21
    at = ids["clients"].index("list-05")
    page = admin.data(INSPECT, "listClients", count=3, offset=at, verbose=True)["clients"]
    assert [c["clientid"] for c in page] == ["list-05", "list-06", "list-07"]
    assert page[0]["username"] == "nobody" and page[0]["connected"] is True

    conns[3].subscribe([("t/a", 1), ("$share/g/t/b", 0)])
    client = admin.data(INSPECT, "getClient", clientid="list-03")["client"]
    assert client["address"].startswith("127.0.0.1:") and client["protocolVersion"] == 5
    assert {(s["topic"], s["qos"]) for s in client["subscriptions"]} == {
        ("t/a", 1), ("$share/g/t/b", 0)}
    assert admin.error(INSPECT, "getClient", clientid="never") == "Client not found"


def test_a_client_has_counters_of_its_own(one):
    admin = admin_of(one)
    conn = login(one, "nobody", "counted")
    login(one, "nobody", "not-counted")
    conn.subscribe([("t/count", 0)])
    before = admin.data(INSPECT, "getClient", clientid="counted")["client"]["counters"]
    assert before["published"] == before["delivered"] == before["dropped"] == 0
    for i in range(3):
        conn.publish("t/count", b"x" * 100)
        assert conn.expect("PUBLISH").payload == b"x" * 100
    after = admin.data(INSPECT, "getClient", clientid="counted")["client"]["counters"]
    assert after["published"] == after["delivered"] == 3 and after["dropped"] == 0
    assert 300 < after["bytesReceived"] - before["bytesReceived"] < 500
    assert 300 < after["bytesSent"] - before["bytesSent"] < 500
    other = admin.data(INSPECT, "getClient", clientid="not-counted")["client"]["counters"]
    assert other["published"] == other["delivered"] == 0


def test_a_client_is_disconnected_without_its_will(one):
    watcher = login(one, "nobody")
    watcher.subscribe([("t/#", 0)])
    target = login(one, "nobody", "to-go", will=Will("t/will", b"gone"))
    admin = admin_of(one)
    assert admin.data(CONTROL, "disconnectClient", clientid="to-go") is None
    target.expect_closed(reason=0x98)
    settle(login(one, "nobody"), watcher)
    assert admin.error(CONTROL, "disconnectClient", clientid="to-go") in (
        "Client not found", "Client not connected")


def test_L027_a_client_is_subscribed_to_what_both_may_subscribe(one):
    target = login(one, "nobody", "sub-target")
    admin = admin_of(one)
    assert admin.data(CONTROL, "subscribeClient", clientid="sub-target", topic="t/x",
                      qos=1) is None
    login(one, "nobody").publish("t/x", b"for you")
    assert target.expect("PUBLISH").payload == b"for you"
    assert "may not subscribe" in admin.error(CONTROL, "subscribeClient", clientid="sub-target",
                                              topic="secret/x")
    helper = admin_of(one, "helper")
    assert "yourself" in helper.error(CONTROL, "subscribeClient", clientid="sub-target",
                                      topic="t/y")
    assert admin.data(CONTROL, "unsubscribeClient", clientid="sub-target", topic="t/x") is None
    assert admin.error(CONTROL, "unsubscribeClient", clientid="sub-target",
                       topic="t/x") == "Subscription not found"
    assert admin.error(CONTROL, "subscribeClient", clientid="sub-target",
                       topic="a/#/b") == "Invalid topic"


def test_a_subscription_made_for_a_client_brings_what_is_retained_when_asked(one):
    login(one, "nobody").publish("t/kept", b"kept", retain=True, qos=1)
    target = login(one, "nobody", "retain-target")
    admin = admin_of(one)
    admin.data(CONTROL, "subscribeClient", clientid="retain-target", topic="t/kept",
               options={"send_retain": True})
    assert target.expect("PUBLISH").payload == b"kept"
    login(one, "nobody").publish("t/kept", b"", retain=True, qos=1)


# ---- nightjar/v1


def test_sessions_are_listed_page_by_page_and_deleted(one):
    admin = admin_of(one)
    for i in range(25):
        login(one, "nobody", f"page-{i:02}", clean=False,
              properties=[("session_expiry_interval", 60)]).close()
    found, after = [], "page-"
    while after is not None:
        page = admin.data(NIGHTJAR, "listSessions", count=10, after=after, username="nobody")
        found += [s["clientid"] for s in page["sessions"]]
        after = page.get("after")
    mine = [c for c in found if c.startswith("page-")]
    assert mine == [f"page-{i:02}" for i in range(25)]
    for name in mine:
        assert admin.data(NIGHTJAR, "deleteSession", clientid=name) is None
    assert admin.error(NIGHTJAR, "getSession", clientid="page-00") == "Session not found"
    login(one, "nobody", "page-01", clean=False, session_present=False)


def test_deleting_a_session_ends_its_connection(one):
    admin = admin_of(one)
    target = login(one, "nobody", "delete-me", clean=False,
                   properties=[("session_expiry_interval", 60)])
    assert admin.data(NIGHTJAR, "getSession", clientid="delete-me")["session"]["connected"]
    admin.data(NIGHTJAR, "deleteSession", clientid="delete-me")
    target.expect_closed(reason=0x98)
    login(one, "nobody", "delete-me", clean=False, session_present=False)


def test_subscriptions_are_found_by_client_and_by_topic(one):
    admin = admin_of(one)
    target = login(one, "nobody", "finder")
    target.subscribe([("t/find/+", 1), ("t/find/#", 0), ("t/other", 2)])
    of_client = admin.data(NIGHTJAR, "listSubscriptions", clientid="finder")
    assert of_client["totalCount"] == 3
    of_topic = admin.data(NIGHTJAR, "listSubscriptions", topic="t/find/x")
    assert {(s["clientid"], s["topic"]) for s in of_topic["subscriptions"]} == {
        ("finder", "t/find/+"), ("finder", "t/find/#")}
    for fields in ({}, {"clientid": "a", "topic": "b"}, {"topic": "a/#"}):
        admin.error(NIGHTJAR, "listSubscriptions", **fields)


def test_L009_retained_messages_are_shown_to_those_who_may_receive_them(one):
    publisher = login(one, "admin")
    for topic in ("helper/r/1", "helper/r/2", "t/r/secret"):
        publisher.publish(topic, topic.encode(), retain=True, qos=1)
    helper, admin = admin_of(one, "helper"), admin_of(one)
    rows = helper.data(NIGHTJAR, "listRetained", payload=True)["retained"]
    assert [r["topic"] for r in rows] == ["helper/r/1", "helper/r/2"]
    assert rows[0]["payload"] == "helper/r/1" and rows[0]["username"] == "admin"
    page = admin.data(NIGHTJAR, "listRetained", topic="+/r/#", count=2)
    assert [r["topic"] for r in page["retained"]] == ["helper/r/1", "helper/r/2"]
    more = admin.data(NIGHTJAR, "listRetained", topic="+/r/#", count=2, after=page["after"])
    assert [r["topic"] for r in more["retained"]] == ["t/r/secret"] and "after" not in more
    assert "may not publish" in helper.error(NIGHTJAR, "deleteRetained", topic="t/r/secret")
    for topic in ("helper/r/1", "helper/r/2", "t/r/secret"):
        assert admin.data(NIGHTJAR, "deleteRetained", topic=topic) is None
    assert admin.error(NIGHTJAR, "deleteRetained",
                       topic="t/r/secret") == "Retained message not found"


def test_many_questions_about_rights_are_answered_as_the_broker_decides(one):
    admin = admin_of(one)
    checks = [{"username": user, "action": action, "topic": topic}
              for user in USERS for action in ("publish", "receive", "subscribe")
              for topic in ("t/x", "helper/x", "$CONTROL/nightjar/v1", "other")]
    checks += [{"username": "nobody", "action": "fly", "topic": "t"},
               {"username": "nobody", "action": "publish", "topic": "a/#"},
               {"action": "publish", "topic": "t/x"}, 5]
    results = admin.data(NIGHTJAR, "canI", checks=checks)["results"]
    assert len(results) == len(checks)
    said = {(c["username"], c["action"], c["topic"]): r["allowed"]
            for c, r in zip(checks[:-4], results)}
    assert said["nobody", "publish", "t/x"] and not said["nobody", "publish", "helper/x"]
    assert said["helper", "publish", "$CONTROL/nightjar/v1"]
    assert not said["reader", "publish", "$CONTROL/nightjar/v1"]
    assert said["reader", "receive", "$CONTROL/nightjar/v1"]
    assert "error" in results[-4] and "error" in results[-3]
    assert results[-2]["allowed"] is False and "error" in results[-1]
    assert "acl:" in results[0]["why"]


def test_a_denial_is_explained_with_the_smallest_change(one):
    admin = admin_of(one)
    said = admin.data(NIGHTJAR, "explain", username="nobody", action="publish", topic="u/x")
    assert said["allowed"] is False and said["why"] and said["nearest"]
    assert any("#" in row["rule"] for row in said["nearest"])
    (change,) = [edit for edit in said["change"] if edit["edit"] == "add"]
    assert "u/x" in change["text"] and "acl" in change["where"]
    said = admin.data(NIGHTJAR, "explain", username="nobody", action="publish", topic="t/x")
    assert said["allowed"] is True and "t/#" in said["rule"] and re.search(r":\d+$", said["where"])
    for fields in ({"action": "fly", "topic": "t"}, {"action": "publish", "topic": "a/#"},
                   {"action": "publish", "topic": "t", "listener": 9}, {"topic": "t"}):
        admin.error(NIGHTJAR, "explain", username="nobody", **fields)


def test_what_could_not_be_saved_is_not_called_done(broker):
    """Over a store that fails: the answer tells."""
    one = broker(CONFIG, mode="native", files={"pw": PW, "acl": ACL},
                 env={"NIGHTJAR_STORE_CHAOS": "1000"})
    admin = admin_of(one)
    publisher = login(one, "admin")
    publisher.send(mw.publish("helper/kept", b"x", 0, retain=True))
    settle(publisher, login(one, "admin"))
    answer = admin.error(NIGHTJAR, "deleteRetained", topic="helper/kept")
    assert answer.startswith("Not saved: ")


def test_a_reload_says_what_is_wrong_and_changes_nothing_then(broker):
    one = broker(CONFIG, mode="native", files={"pw": PW, "acl": ACL})
    admin = admin_of(one)
    epoch = admin.data(NIGHTJAR, "getStatus")["epoch"]
    one.write("acl", ACL + "user late\ntopic readwrite late/#\n")
    assert admin.data(NIGHTJAR, "reload")["epoch"] == epoch + 1
    one.write_config("nonsense 1\n" + CONFIG)
    one.expect_error("nonsense|reload failed|Error found at")
    assert "nonsense" in admin.error(NIGHTJAR, "reload")
    assert admin.data(NIGHTJAR, "getStatus")["epoch"] == epoch + 1


def test_the_log_is_turned_up_and_down(broker):
    one = broker(CONFIG, mode="native", files={"pw": PW, "acl": ACL})
    admin = admin_of(one)
    before = admin.data(NIGHTJAR, "getLogTypes")["types"]
    assert "error" in before
    assert admin.data(NIGHTJAR, "setLogTypes", types="error, debug")["types"] == [
        "error", "debug"]
    assert "nope" in admin.error(NIGHTJAR, "setLogTypes", types="error,nope")
    admin.data(NIGHTJAR, "setLogTypes", types=",".join(before))


def test_changes_are_logged_with_their_sender(one):
    since = one.mark()
    admin = admin_of(one)
    admin.error(CONTROL, "disconnectClient", clientid="nobody-there")
    one.wait_log(r"Control: admin \(.*127\.0\.0\.1:\d+\) cedalo/client-control/v1/"
                 r"disconnectClient clientid=nobody-there: Client not found", since)


def test_a_right_that_was_taken_away_counts_for_waiting_requests(broker):
    """Two commands in one request: the first takes the sender's own right away by a reload."""
    one = broker(CONFIG, mode="native", files={"pw": PW, "acl": ACL})
    admin = admin_of(one)
    one.write("acl", ACL.replace("topic readwrite $CONTROL/#\n", ""))
    answers = admin.batch(NIGHTJAR, [{"command": "reload"}, {"command": "getStatus"}])
    assert "error" not in answers[0] and answers[1]["error"] == "Not authorised"
