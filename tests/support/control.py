"""Asking a broker's control APIs in tests, as a client that may."""
import itertools
import json

import mqttwire as mw
from mqttwire import V5, WireError

NUMBERS = itertools.count(1)


class Admin:
    """A connection that asks. `private`: with an MQTT 5 response topic; else through a subscription of
    the response topic."""

    def __init__(self, conn, private=True):
        self.conn = conn
        self.private = private and conn.version == V5
        self.subscribed = set()

    def send(self, api, payload, qos=1, response_topic="replies/here", correlation=None):
        """Sends a request as it is and returns its correlation data."""
        topic = f"$CONTROL/{api}"
        correlation = correlation or f"c-{next(NUMBERS)}".encode()
        properties = None
        if self.private:
            properties = [("response_topic", response_topic), ("correlation_data", correlation)]
        elif topic not in self.subscribed:
            self.conn.subscribe([(topic + "/response", 0)], packet_id=900 + len(self.subscribed))
            self.subscribed.add(topic)
        if isinstance(payload, str):
            payload = payload.encode()
        packet_id = next(NUMBERS) % 60000 + 1 if qos else None
        self.conn.send(mw.publish(topic, payload, qos, packet_id, version=self.conn.version,
                                  properties=properties))
        self.packet_id = packet_id
        self.qos = qos
        return correlation

    def reply(self, api, correlation=None):
        """The next reply, parsed."""
        wanted = "replies/here" if self.private else f"$CONTROL/{api}/response"
        while True:
            packet = self.conn.packet(wanted="a reply")
            if packet.name == "PUBREC":
                self.conn.send(mw.pubrel(packet.packet_id, version=self.conn.version))
            elif packet.name in ("PUBACK", "PUBCOMP"):
                assert self.conn.version != V5 or packet.reason in (None, 0), packet
            elif packet.name == "PUBLISH" and packet.topic == wanted:
                if self.private and correlation is not None:
                    assert packet.prop("correlation_data") == correlation
                assert packet.qos == 0 and not packet.retain
                return json.loads(packet.payload)
            else:
                raise WireError(f"not a reply: {packet!r}")

    def raw(self, api, payload, qos=1):
        return self.reply(api, self.send(api, payload, qos))

    def batch(self, api, commands, qos=1, **envelope):
        reply = self.raw(api, json.dumps({"commands": commands, **envelope}), qos)
        return reply["responses"]

    def ask(self, api, command, **fields):
        """One command; its own answer."""
        (answer,) = self.batch(api, [{"command": command, **fields}])
        assert answer["command"] == command
        return answer

    def data(self, api, command, **fields):
        answer = self.ask(api, command, **fields)
        assert "error" not in answer, answer
        return answer.get("data")

    def error(self, api, command, **fields):
        answer = self.ask(api, command, **fields)
        assert "error" in answer, answer
        return answer["error"]
