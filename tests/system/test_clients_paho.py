"""Clients that others wrote: Eclipse Paho for Python."""
import queue
import ssl

import pytest

import certs
from scenes import endpoint_of

mqtt = pytest.importorskip("paho.mqtt.client")
from paho.mqtt.packettypes import PacketTypes  # noqa: E402
from paho.mqtt.properties import Properties  # noqa: E402
from paho.mqtt.subscribeoptions import SubscribeOptions  # noqa: E402

WAIT = 10
PROTOCOLS = {"v31": mqtt.MQTTv31, "v311": mqtt.MQTTv311, "v5": mqtt.MQTTv5}


class Paho:
    """A Paho client whose events go into queues, so that tests wait instead of sleeping."""

    def __init__(self, client_id, protocol, transport="tcp", **options):
        if hasattr(mqtt, "CallbackAPIVersion"):  # Paho 2
            options["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
        if protocol != mqtt.MQTTv5:
            options.setdefault("clean_session", True)
        self.client = mqtt.Client(client_id=client_id, protocol=protocol, transport=transport,
                                  **options)
        self.connects, self.messages = queue.Queue(), queue.Queue()
        self.acks, self.ends = queue.Queue(), queue.Queue()
        self.client.on_connect = lambda *a: self.connects.put(a)
        self.client.on_message = lambda c, u, m: self.messages.put(m)
        self.client.on_subscribe = lambda *a: self.acks.put(("sub", a))
        self.client.on_unsubscribe = lambda *a: self.acks.put(("unsub", a))
        self.client.on_publish = lambda *a: self.acks.put(("pub", a))
        self.client.on_disconnect = lambda *a: self.ends.put(a)

    def connect(self, endpoint, **options):
        self.client.connect(endpoint.host, endpoint.port, **options)
        self.client.loop_start()
        event = self.connects.get(timeout=WAIT)
        return event

    def subscribe(self, *args, **options):
        self.client.subscribe(*args, **options)
        return self.acks.get(timeout=WAIT)

    def publish(self, *args, **options):
        info = self.client.publish(*args, **options)
        assert self.acks.get(timeout=WAIT)[0] == "pub"
        return info

    def message(self):
        return self.messages.get(timeout=WAIT)

    def close(self):
        try:
            self.client.disconnect()
        except OSError:  # its socket is gone already
            pass
        self.client.loop_stop()


@pytest.fixture
def paho(plain):
    made = []

    def make(client_id, protocol, kind="tcp", connect=None, setup=None, **options):
        one = Paho(client_id, protocol, "websockets" if kind in ("ws", "wss") else "tcp", **options)
        if kind in ("tls", "wss"):
            one.client.tls_set(cert_reqs=ssl.CERT_NONE)
            one.client.tls_insecure_set(True)
        if setup:
            setup(one.client)
        made.append(one)
        one.connected = one.connect(endpoint_of(plain, kind), **(connect or {}))
        return one
    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("protocol", list(PROTOCOLS.values()), ids=list(PROTOCOLS))
@pytest.mark.parametrize("kind", ["tcp", "tls", "ws", "wss"])
def test_publish_and_subscribe(paho, uid, protocol, kind):
    one = paho(uid, protocol, kind)
    one.subscribe(f"{uid}/#", 2)
    for qos in (0, 1, 2):
        one.publish(f"{uid}/{qos}", f"payload {qos}" * 50, qos)
        got = one.message()
        assert (got.topic, got.qos, got.retain) == (f"{uid}/{qos}", qos, False)
        assert got.payload == (f"payload {qos}" * 50).encode()


@pytest.mark.parametrize("protocol", list(PROTOCOLS.values()), ids=list(PROTOCOLS))
def test_many_messages_in_order(paho, uid, protocol):
    """Two clients, for Paho 1.6 counts the PUBRELs of messages that it receives as if they had ended
    messages that it sends, and then exceeds the Receive Maximum (MQTT5 3.3.4: 0x93)."""
    one, sender = paho(uid, protocol), paho(uid + "s", protocol)
    sender.client.max_inflight_messages_set(20)
    one.subscribe(uid, 2)
    for number in range(300):
        sender.client.publish(uid, str(number), number % 3)
    got = [int(one.message().payload) for _ in range(300)]
    for qos in (0, 1, 2):
        part = [n for n in got if n % 3 == qos]
        assert part == list(range(qos, 300, 3))


@pytest.mark.parametrize("protocol", [mqtt.MQTTv311, mqtt.MQTTv5], ids=["v311", "v5"])
def test_a_will_and_a_retained_message(paho, uid, protocol):
    watch = paho(uid + "w", protocol)
    watch.subscribe(f"{uid}/#", 1)
    dying = paho(uid, protocol, setup=lambda c: c.will_set(f"{uid}/will", "gone", 1, True))
    dying.client.loop_stop()
    dying.client.socket().close()
    got = watch.message()
    assert (got.topic, got.payload, got.retain) == (f"{uid}/will", b"gone", False)
    late = paho(uid + "l", protocol)
    late.subscribe(f"{uid}/will")
    assert late.message().retain
    late.publish(f"{uid}/will", None, 1, True)


def test_persistent_session(paho, uid):
    options = {"connect": {"clean_start": False, "properties": expiry(100)}}
    one = paho(uid, mqtt.MQTTv5, **options)
    one.subscribe(uid, 1)
    one.close()
    sender = paho(uid + "s", mqtt.MQTTv5)
    for number in range(20):
        sender.publish(uid, str(number), 1)
    again = paho(uid, mqtt.MQTTv5, **options)
    assert again.connected[2]["session present"] == 1
    assert [int(again.message().payload) for _ in range(20)] == list(range(20))


def expiry(seconds):
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = seconds
    return properties


def test_mqtt5_properties(paho, uid):
    one = paho(uid, mqtt.MQTTv5)
    properties = Properties(PacketTypes.SUBSCRIBE)
    properties.SubscriptionIdentifier = 42
    one.client.subscribe(uid, options=SubscribeOptions(qos=1, retainAsPublished=True),
                         properties=properties)
    one.acks.get(timeout=WAIT)
    sent = Properties(PacketTypes.PUBLISH)
    sent.UserProperty = [("a", "b"), ("a", "c")]
    sent.ResponseTopic, sent.CorrelationData = "answers", b"\x01"
    sent.ContentType, sent.MessageExpiryInterval = "text/plain", 100
    one.publish(uid, "m", 1, properties=sent)
    got = one.message()
    assert got.properties.UserProperty == [("a", "b"), ("a", "c")]
    assert got.properties.SubscriptionIdentifier == [42]
    assert got.properties.ResponseTopic == "answers"


def test_takeover_and_reasons(paho, uid):
    first = paho(uid, mqtt.MQTTv5)
    second = paho(uid, mqtt.MQTTv5)
    assert first.ends.get(timeout=WAIT)
    first.client.loop_stop()
    second.subscribe(uid)
    answer = paho("", mqtt.MQTTv5).connected
    assert str(answer[4].AssignedClientIdentifier).startswith("auto-")


@pytest.mark.needs("nightjar")
def test_client_certificate(broker, tmp_path):
    ca = certs.authority()
    ca.write(tmp_path, "ca")
    server = ca.issue("localhost", purpose="server", names=["localhost", "127.0.0.1"])
    device = ca.issue("device").write(tmp_path, "device")
    one = broker("listener {port} 127.0.0.1\ncertfile {dir}/s.crt\nkeyfile {dir}/s.key\n"
                 "cafile {dir}/ca.crt\nrequire_certificate true\nuse_identity_as_username true\n"
                 "acl_file {dir}/acl\n", listener=False, anonymous=False,
                 files={"s.crt": server.chain_pem, "s.key": certs.pem(server.key),
                        "ca.crt": certs.pem(ca.cert), "acl": "pattern readwrite d/%u/#\n"})
    client = Paho("x", mqtt.MQTTv5)
    client.client.tls_set(str(ca.crt_path), str(device.crt_path), str(device.key_path))
    client.connect(one.endpoint())
    client.subscribe("d/device/x", 1)
    client.publish("d/device/x", "m", 1)
    assert client.message().payload == b"m"
    client.close()
