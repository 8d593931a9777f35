"""Brokers that many tests share, and how to reach them."""
import itertools

import certs
from brokerproc import Options
from mqttwire import packets

# Every transport on one broker; the listeners of one broker share its sessions.
EVERYWHERE = """
listener {port_tls} 127.0.0.1
certfile {dir}/server.crt
keyfile {dir}/server.key
listener {port_ws} 127.0.0.1
protocol websockets
listener {port_wss} 127.0.0.1
protocol websockets
certfile {dir}/server.crt
keyfile {dir}/server.key
listener 0 {dir}/mqtt.sock
"""
OPEN = {"native": "acl_default allow\n", "compat": ""}

_server_files = {}


def open_broker(factory, mode=None, extra=""):
    """An open broker in a mode; `extra` are global lines of its configuration."""
    if not _server_files:
        ca = certs.authority()
        server = ca.issue("localhost", purpose="server", names=["localhost", "127.0.0.1"])
        _server_files.update({"server.crt": server.chain_pem,
                              "server.key": certs.pem(server.key),
                              "ca.crt": certs.pem(ca.cert)})
        _server_files["context"] = certs.client_context(ca)
    files = {k: v for k, v in _server_files.items() if k != "context"}
    one = factory((OPEN[mode or Options.mode] if not Options.is_oracle() else "") + extra
                  + EVERYWHERE, mode=mode, files=files)
    return one


def endpoint_of(one, kind):
    """The endpoint of an open broker for a transport."""
    context = _server_files.get("context")
    if kind == "tcp":
        return one.endpoint()
    if kind == "unix":
        return one.endpoint("unix")
    return one.endpoint(kind, port=f"port_{kind}",
                        context=context if kind in ("tls", "wss") else None)


def routed(sender, topic, packet_id=65002):
    """Returns when everything that `sender` has published so far, answered or not, has reached the
    stored sessions that subscribe to `topic`: they get a message more (b"routed"), and what goes to
    a stored session is acknowledged only when it is there. (A PINGREQ would not do: its answer may
    be out before another thread of the broker has what was published.)"""
    sender.publish(topic, b"routed", 1, packet_id)


_marks = itertools.count(1)


def settle(sender, *receivers):
    """Proves that nothing else was on its way from `sender`: the next thing every receiver gets
    is a marker. (A PINGREQ would not do: two connections may live on two threads of the broker,
    but what one client sends to another keeps its order.)"""
    topic = f"settle/{next(_marks)}"
    for one in receivers:
        one.send(packets.subscribe(65000, topic, one.version))
        one.expect("SUBACK", packet_id=65000)
    sender.send(packets.publish(topic, b"mark", version=sender.version))
    for one in receivers:
        one.expect("PUBLISH", topic=topic)
        one.send(packets.unsubscribe(65001, topic, one.version))
        rest = one.drain(lambda p: p.name == "UNSUBACK")[:-1]  # copies for other subscriptions
        assert not [p for p in rest if getattr(p, "topic", None) != topic], (rest, one.story())
