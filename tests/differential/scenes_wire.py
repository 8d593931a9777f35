"""What is sent to both brokers: name → list of steps (see original.play). A table, of which the
lines are as long as they need to be."""
import mqttwire as mw
from mqttwire import V31, V311, V5

VERSIONS = {"v31": V31, "v311": V311, "v5": V5}
SCENES = {}


def connects():
    """Every CONNECT, right or wrong, alone."""
    for label, v in VERSIONS.items():
        c = lambda *a, v=v, **k: mw.connect(*a, version=v, **k)
        cases = {
            "plain": c("x"), "empty-id": c(""), "empty-id-unclean": c("", clean=False),
            "long-id": c("i" * 24), "very-long-id": c("i" * 300), "user": c("x", username="u"),
            "user-password": c("x", username="u", password="p"),
            "password-alone": c("x", password="p"), "empty-user": c("x", username=""),
            "keepalive-0": c("x", keep_alive=0), "keepalive-max": c("x", keep_alive=65535),
            "will": c("x", will=mw.Will("w", b"p")), "will-q2-r": c("x", will=mw.Will("w", b"", 2, True)),
            "will-q3": c("x", will=mw.Will("w", b"", 3)), "will-wild": c("x", will=mw.Will("w/#")),
            "will-plus": c("x", will=mw.Will("a+b")), "will-empty": c("x", will=mw.Will("")),
            "will-sys": c("x", will=mw.Will("$SYS/a")), "will-control": c("x", will=mw.Will("$CONTROL/a/v1")),
            "will-bad-utf8": c("x", will=mw.Will(b"\xff\xfe")), "will-nul": c("x", will=mw.Will(b"a\0b")),
            "will-nonchar": c("x", will=mw.Will("\ufffe")), "will-ctl": c("x", will=mw.Will("a\x01")),
            "reserved-flag": c("x", flags=3), "will-qos-no-will": c("x", flags=0x0A),
            "will-retain-no-will": c("x", flags=0x22), "id-nul": c(b"a\0b"),
            "id-bad-utf8": c(b"\xc3\x28"), "id-ctl": c("a\x01b"), "id-nonchar": c("\uffff"),
            "id-surrogate": c(b"\xed\xa0\x80"), "user-bad-utf8": c("x", username=b"\xff"),
            "user-nul": c("x", username=b"a\0"), "user-ctl": c("x", username="a\x7f"),
            "id-wild": c("a+#/b"), "trailing": None, "level-0": c("x", level=0),
            "level-6": c("x", level=6), "level-131": c("x", level=0x80 | v), "level-2": c("x", level=2),
            "name-wrong": c("x", protocol="MQTx"), "name-empty": c("x", protocol=""),
            "name-lower": c("x", protocol="mqtt"), "name-long": c("x", protocol="MQTTMQTTMQTT"),
            "name-other": c("x", protocol="MQTT" if v == V31 else "MQIsdp"),
            "header-flag-1": None, "header-flag-8": None, "empty-body": mw.packet("CONNECT", b""),
            "short-1": None, "short-8": None, "twice": c("x") + c("x"),
            "padded-length": None, "user-flag-no-field": c("x", flags=0x82),
            "password-flag-no-field": c("x", flags=0xC2), "will-flag-no-field": c("x", flags=6),
        }
        body = c("x")[2:]
        cases["trailing"] = mw.packet("CONNECT", body + b"zz")
        cases["header-flag-1"] = mw.packet("CONNECT", body, flags=1)
        cases["header-flag-8"] = mw.packet("CONNECT", body, flags=8)
        cases["short-1"] = mw.packet("CONNECT", body[:1])
        cases["short-8"] = mw.packet("CONNECT", body[:8])
        cases["padded-length"] = mw.packet("CONNECT", body, length=mw.padded_varint(len(body), 3))
        for name, data in cases.items():
            SCENES[f"connect-{label}-{name}"] = [("a", data)]
    values = {"u8": [0, 1, 2], "u16": [0, 1, 65535], "u32": [0, 1, 300, 2**32 - 1],
              "text": ["", "t", "a/b", "a/#"], "binary": [b"", b"b"], "varint": [0, 1, 268435455],
              "pair": [("k", "v"), ("", "")]}
    for prop, (_, kind) in mw.properties.IDS.items():
        for n, value in enumerate(values[kind]):
            SCENES[f"connect-prop-{prop}-{n}"] = [("a", mw.connect("x", properties=[(prop, value)]))]
            SCENES[f"will-prop-{prop}-{n}"] = [
                ("s", mw.connect("s") + mw.subscribe(1, [("w", 1)])),
                ("a", mw.connect("x", will=mw.Will("w", b"p", properties=[(prop, value)]))),
                ("a", None), ("s", b"")]
            SCENES[f"publish-prop-{prop}-{n}"] = [
                ("s", mw.connect("s") + mw.subscribe(1, [("t", 1)])),
                ("a", mw.connect("x") + mw.publish("t", b"p", 1, 7, properties=[(prop, value)]))]
        one = [(prop, values[kind][1])]
        SCENES[f"connect-prop-{prop}-twice"] = [("a", mw.connect("x", properties=one * 2))]
        SCENES[f"will-prop-{prop}-twice"] = [
            ("a", mw.connect("x", will=mw.Will("w", b"p", properties=one * 2)))]
        SCENES[f"publish-prop-{prop}-twice"] = [
            ("a", mw.connect("x") + mw.publish("t", b"p", 1, 7, properties=one * 2))]
        SCENES[f"subscribe-prop-{prop}"] = [("a", mw.connect("x") + mw.subscribe(3, [("t", 1)], properties=one))]
        SCENES[f"unsubscribe-prop-{prop}"] = [("a", mw.connect("x") + mw.unsubscribe(3, ["t"], properties=one))]
        SCENES[f"disconnect-prop-{prop}"] = [("a", mw.connect("x") + mw.disconnect(V5, 0, one))]
        SCENES[f"puback-prop-{prop}"] = [
            ("a", mw.connect("x") + mw.subscribe(3, [("t", 1)]) + mw.publish("t", b"p", 1, 1)),
            ("a", mw.puback(1, V5, 0, one))]
        SCENES[f"pubrel-prop-{prop}"] = [
            ("a", mw.connect("x") + mw.publish("t", b"p", 2, 1)), ("a", mw.pubrel(1, V5, 0, one))]


def packets():
    """Packets after a good CONNECT."""
    for label, v in VERSIONS.items():
        hello = mw.connect("x", version=v)
        pub = lambda *a, v=v, **k: mw.publish(*a, version=v, **k)
        sub = lambda *a, v=v, **k: mw.subscribe(*a, version=v, **k)
        empty = b"\0" if v == V5 else b""
        cases = {
            "second-connect": hello, "connack": mw.connack(v), "suback": mw.suback(1, [0], v),
            "unsuback": mw.unsuback(1, [0], v), "pingresp": mw.pingresp(), "type-0": mw.packet(0),
            "auth": mw.packet(15, b"") if v != V5 else mw.auth(0x18, []), "auth-empty": mw.packet(15),
            "pingreq-body": mw.packet("PINGREQ", b"x"), "pingreq-flags": mw.packet("PINGREQ", flags=1),
            "disconnect-flags": mw.packet("DISCONNECT", flags=1), "disconnect": mw.packet("DISCONNECT"),
            "disconnect-body": mw.packet("DISCONNECT", b"\0"), "disconnect-04": mw.packet("DISCONNECT", b"\4"),
            "disconnect-87": mw.packet("DISCONNECT", b"\x87"), "disconnect-01": mw.packet("DISCONNECT", b"\1"),
            "publish-q0": pub("t", b"p"), "publish-q1": pub("t", b"p", 1, 9), "publish-q2": pub("t", b"p", 2, 9),
            "publish-q3": pub("t", b"p", 3, 9), "publish-q1-id0": pub("t", b"p", 1, 0),
            "publish-q2-id0": pub("t", b"p", 2, 0), "publish-q0-dup": pub("t", b"p", dup=True),
            "publish-empty-topic": pub("", b"p"), "publish-empty-topic-q1": pub("", b"p", 1, 9),
            "publish-wild-plus": pub("a/+", b"p"), "publish-wild-hash": pub("#", b"p", 1, 9),
            "publish-nul": pub(b"a\0b", b"p"), "publish-utf8": pub(b"\xff", b"p"),
            "publish-surrogate": pub(b"\xed\xa0\x80", b"p"), "publish-nonchar": pub("\ufffe", b"p"),
            "publish-ctl": pub("a\x01", b"p", 1, 3), "publish-sys-q0": pub("$SYS/x", b"p"),
            "publish-sys-q1": pub("$SYS/x", b"p", 1, 9), "publish-sys-q2": pub("$SYS/x", b"p", 2, 9),
            "publish-dollar-q1": pub("$other/x", b"p", 1, 9), "publish-share-q1": pub("$share/g/x", b"p", 1, 9),
            "publish-control-q1": pub("$CONTROL/none/v1", b"p", 1, 9),
            "publish-long-topic": pub("t" * 65535, b"p", 1, 9), "publish-200-slashes": pub("/" * 200, b"p", 1, 9),
            "publish-201-slashes": pub("/" * 201, b"p", 1, 9),
            "publish-short": mw.packet("PUBLISH", b"\0"), "publish-no-id": mw.packet("PUBLISH", b"\0\1t", flags=2),
            "publish-empty": mw.packet("PUBLISH"), "publish-topic-over": mw.packet("PUBLISH", b"\0\5t"),
            "puback-unknown": mw.puback(5, v), "puback-0": mw.puback(0, v), "pubrec-unknown": mw.pubrec(5, v),
            "pubrec-0": mw.pubrec(0, v), "pubrel-unknown": mw.pubrel(5, v), "pubrel-0": mw.pubrel(0, v),
            "pubcomp-unknown": mw.pubcomp(5, v), "pubcomp-0": mw.pubcomp(0, v),
            "puback-flags": mw.puback(5, v, flags=1), "pubrec-flags": mw.pubrec(5, v, flags=1),
            "pubrel-flags": mw.pubrel(5, v, flags=0), "pubcomp-flags": mw.pubcomp(5, v, flags=1),
            "puback-short": mw.packet("PUBACK", b"\0"), "puback-long": mw.packet("PUBACK", b"\0\5\0\0x"),
            "pubrel-short": mw.packet("PUBREL", b"\0"), "pubrec-reason": mw.packet("PUBREC", b"\0\5\x80"),
            "pubrel-reason": mw.packet("PUBREL", b"\0\5\x92"), "pubrel-bad-reason": mw.packet("PUBREL", b"\0\5\x55"),
            "puback-bad-reason": mw.packet("PUBACK", b"\0\5\x55"),
            "unsubscribe-none": mw.packet("UNSUBSCRIBE", b"\0\1" + empty), "unsubscribe-id0": mw.unsubscribe(0, ["t"], v),
            "unsubscribe-flags": mw.unsubscribe(1, ["t"], v, flags=0), "unsubscribe-unknown": mw.unsubscribe(1, ["t", "u/#"], v),
            "unsubscribe-bad-filter": mw.unsubscribe(1, ["a/#/b"], v), "unsubscribe-empty": mw.unsubscribe(1, [""], v),
            "unsubscribe-utf8": mw.unsubscribe(1, [b"\xff"], v),
            "subscribe-none": mw.packet("SUBSCRIBE", b"\0\1" + empty), "subscribe-id0": sub(0, [("t", 0)]),
            "subscribe-flags": mw.packet("SUBSCRIBE", b"\0\1" + empty + b"\0\1t\0", flags=0),
            "subscribe-no-options": mw.packet("SUBSCRIBE", b"\0\1" + empty + b"\0\1t"),
            "subscribe-half": mw.packet("SUBSCRIBE", b"\0\1" + empty + b"\0\5t"),
            "subscribe-many": sub(2, [("a", 0), ("b/+", 1), ("c/#", 2), ("a", 2)]),
            "double-ping": mw.pingreq() * 3,
            "length-5-bytes": b"\x30\xff\xff\xff\xff\x01", "length-padded": b"\xc0\x80\x00",
        }
        for filter_ in ["", "#", "+", "a#", "a/#/b", "a+", "+a", "+/+/#", "/", "//", "$SYS/#", "$SYS/broker/version",
                        "$share", "$share/", "$share/g", "$share/g/", "$share//t", "$share/g/t", "$share/g+/t",
                        "$share/+/t", "$share/g/#", "$share/g/a#", "a\0b", "\ufffe", "a\x01", "/" * 200, "/" * 201,
                        "$CONTROL/#", "$other/#", "t" * 65535]:
            cases[f"subscribe-filter-{filter_[:20]!r}{len(filter_)}"] = sub(3, [(filter_, 1)])
            cases[f"subscribe-good-then-{filter_[:20]!r}{len(filter_)}"] = sub(3, [("good", 1), (filter_, 1)])
        for bits in [3, 4, 8, 0x0C, 0x10, 0x20, 0x30, 0x40, 0x80, 0x2E]:
            cases[f"subscribe-options-{bits:02x}"] = sub(3, [("t", bits)])
            cases[f"subscribe-shared-options-{bits:02x}"] = sub(3, [("$share/g/t", bits)])
        for name, data in cases.items():
            SCENES[f"{label}-{name}"] = [("a", hello), ("a", data)]
        SCENES[f"{label}-before-connect-publish"] = [("a", pub("t", b"p"))]
        SCENES[f"{label}-before-connect-subscribe"] = [("a", sub(1, [("t", 0)]))]
        SCENES[f"{label}-before-connect-ping"] = [("a", mw.pingreq())]
        SCENES[f"{label}-before-connect-disconnect"] = [("a", mw.disconnect(v))]


def sessions():
    """What more than one packet, or more than one client, is needed for."""
    for label, v in VERSIONS.items():
        keep = {"properties": [("session_expiry_interval", 1000)]} if v == V5 else {}
        hello = mw.connect("x", version=v, clean=False, **keep)
        fresh = mw.connect("x", version=v)
        other = mw.connect("y", version=v)
        pub = lambda *a, v=v, **k: mw.publish(*a, version=v, **k)
        sub = lambda *a, v=v, **k: mw.subscribe(*a, version=v, **k)
        bye = mw.disconnect(v)
        for qos in (0, 1, 2):
            for granted in (0, 1, 2):
                SCENES[f"{label}-deliver-{qos}-{granted}"] = [
                    ("x", hello + sub(1, [("t", granted)])), ("y", other + pub("t", b"p", qos, 4)),
                    ("y", mw.pubrel(4, v) if qos == 2 else b""), ("x", mw.pubrec(1, v) if min(qos, granted) == 2 else mw.puback(1, v)),
                    ("x", mw.pubcomp(1, v)), ("x", fresh)]
                SCENES[f"{label}-offline-{qos}-{granted}"] = [
                    ("x", hello + sub(1, [("t", granted)])), ("x", bye), ("x", None),
                    ("y", other + pub("t", b"1", qos, 4) + pub("t", b"2", 1, 5) + pub("t", b"3", 0)),
                    ("y", mw.pubrel(4, v) if qos == 2 else b""), ("x", hello), ("x", None), ("x", hello),
                    ("x", mw.pubrec(1, v)), ("x", None), ("x", hello), ("x", mw.pubcomp(1, v)), ("x", None),
                    ("x", fresh), ("x", bye)]
        SCENES[f"{label}-qos2-again"] = [("y", fresh.replace(b"x", b"z")), ("x", hello + pub("t", b"p", 2, 4)),
                                         ("x", pub("t", b"p", 2, 4, dup=True)), ("x", None), ("x", hello),
                                         ("x", pub("t", b"p", 2, 4, dup=True)), ("x", mw.pubrel(4, v)),
                                         ("x", mw.pubrel(4, v)), ("x", fresh)]
        SCENES[f"{label}-qos2-other-payload"] = [
            ("x", fresh + sub(1, [("t", 0)])), ("x", pub("t", b"one", 2, 4)), ("x", pub("t", b"two", 2, 4)),
            ("x", mw.pubrel(4, v)), ("x", pub("t", b"3", 2, 4, dup=True)), ("x", mw.pubrel(4, v))]
        SCENES[f"{label}-takeover"] = [("x", fresh), ("z", fresh), ("x", b"")]
        SCENES[f"{label}-takeover-will"] = [
            ("s", other + sub(1, [("w", 1)])), ("x", mw.connect("x", version=v, will=mw.Will("w", b"g", 1))),
            ("z", fresh), ("s", b""), ("z", bye)]
        SCENES[f"{label}-takeover-resumed-will"] = [
            ("s", other + sub(1, [("w", 1)])),
            ("x", mw.connect("x", version=v, clean=False, will=mw.Will("w", b"g", 1), **keep)),
            ("z", hello), ("s", b""), ("z", bye), ("x", None), ("z", None), ("z", fresh)]
        if v != V5:
            SCENES[f"{label}-bridge"] = [
                ("x", mw.connect("x", version=v, level=v | 0x80) + sub(1, [("b/#", 1)])),
                ("y", other + pub("b/1", b"1", 1, 1, retain=True)), ("x", pub("b/2", b"own", 1, 2)),
                ("y", pub("b/1", b"", 1, 2, retain=True))]
        SCENES[f"{label}-overlap-order"] = [
            ("x", fresh + sub(1, [("#", 0)]) + sub(2, [("+/b", 0), ("a/#", 0), ("a/b/#", 0), ("a/b", 0)])),
            ("y", other + pub("a/b", b"p"))]
        SCENES[f"{label}-will"] = [
            ("s", other + sub(1, [("w", 2)])), ("x", mw.connect("x", version=v, will=mw.Will("w", b"g", 1, True))),
            ("x", mw.packet(0)), ("s", mw.puback(1, v)), ("s", sub(2, [("w", 0)])), ("s", pub("w", b"", retain=True))]
        SCENES[f"{label}-will-goodbye"] = [
            ("s", other + sub(1, [("w", 2)])), ("x", mw.connect("x", version=v, will=mw.Will("w", b"g"))), ("x", bye)]
        SCENES[f"{label}-retain"] = [
            ("x", fresh + pub("r/a", b"1", retain=True) + pub("r/b", b"2", 1, 5, retain=True)), ("x", sub(1, [("r/#", 2)])),
            ("x", sub(1, [("r/#", 2)])), ("x", sub(1, [("r/+", 0)])), ("x", pub("r/a", b"", retain=True)),
            ("x", pub("r/b", b"", retain=True)), ("x", sub(9, [("r/a", 0)]))]
        SCENES[f"{label}-overlap"] = [
            ("x", fresh + sub(1, [("o/#", 0)]) + sub(2, [("o/+", 1), ("o/a", 2)])),
            ("y", other + pub("o/a", b"p", 2, 1)), ("y", mw.pubrel(1, v)), ("y", pub("o/b", b"p", 1, 2))]
        SCENES[f"{label}-resubscribe"] = [
            ("x", fresh + sub(1, [("o", 0)])), ("x", sub(1, [("o", 2)])), ("y", other + pub("o", b"p", 1, 1)),
            ("x", mw.unsubscribe(2, ["o", "o"], v)), ("y", pub("o", b"p", 1, 1))]
        SCENES[f"{label}-shared"] = [
            ("x", fresh + sub(1, [("$share/g/s", 1)])), ("y", other), ("y", pub("s", b"1", 1, 1)),
            ("x", mw.unsubscribe(2, ["$share/g/s"], v)), ("y", pub("s", b"2", 1, 2))]
        SCENES[f"{label}-shared-plain"] = [
            ("x", fresh + sub(1, [("$share/g/s", 1), ("s", 0)])), ("y", other), ("y", pub("s", b"1", 1, 1))]
        SCENES[f"{label}-dollar"] = [
            ("x", fresh + sub(1, [("#", 1)])), ("x", sub(2, [("+/d", 1)])), ("y", other), ("y", pub("$d/d", b"1", 1, 1)),
            ("x", sub(3, [("$d/#", 1)])), ("y", pub("$d/d", b"1", 1, 1))]
        SCENES[f"{label}-hash-parent"] = [("x", fresh + sub(1, [("p/#", 1)])), ("x", pub("p", b"1")), ("x", pub("p/", b"1")),
                                          ("x", pub("/p", b"1"))]
        SCENES[f"{label}-wrong-ack"] = [
            ("x", fresh + sub(1, [("q", 2)])), ("y", other + pub("q", b"1", 1, 1) + pub("q", b"2", 2, 2)),
            ("y", mw.pubrel(2, v)), ("x", mw.pubrec(1, v)), ("x", mw.puback(2, v)), ("x", mw.pubcomp(2, v))]
        SCENES[f"{label}-session-present"] = [("x", hello), ("x", None), ("x", hello), ("x", bye), ("x", None),
                                              ("x", fresh), ("x", None), ("x", hello), ("x", None), ("x", fresh)]
        SCENES[f"{label}-window"] = [
            ("x", fresh + sub(1, [("q", 1)])), ("y", other + b"".join(pub("q", b"%d" % n, 1, n) for n in range(1, 26))),
            ("x", mw.puback(1, v)), ("x", mw.puback(3, v))]
    five()


def five():
    """What only MQTT 5 has."""
    sub, pub = mw.subscribe, mw.publish
    hello, other = mw.connect("x"), mw.connect("y")

    def props(*pairs):
        return mw.connect("x", properties=list(pairs))

    SCENES.update({
        "v5-alias": [("x", hello + sub(1, [("al", 1)])), ("x", pub("al", b"1", properties=[("topic_alias", 1)])),
                     ("x", pub("", b"2", properties=[("topic_alias", 1)])), ("x", pub("", b"3", 1, 3, properties=[("topic_alias", 1)])),
                     ("x", pub("", b"3", properties=[("topic_alias", 2)]))],
        "v5-alias-10": [("x", hello + pub("a", b"1", properties=[("topic_alias", 10)]))],
        "v5-alias-11": [("x", hello + pub("a", b"1", properties=[("topic_alias", 11)]))],
        "v5-alias-out": [("x", props(("topic_alias_maximum", 5)) + sub(1, [("ao/#", 0)])), ("y", other + pub("ao/1", b"1")),
                         ("y", pub("ao/1", b"2")), ("y", pub("ao/2", b"2"))],
        "v5-receive-maximum": [("x", props(("receive_maximum", 2)) + sub(1, [("rm", 2)])),
                               ("y", other + pub("rm", b"1", 1, 1) + pub("rm", b"2", 1, 2) + pub("rm", b"3", 1, 3) + pub("rm", b"4", 0)),
                               ("x", mw.puback(1)), ("x", mw.puback(2))],
        "v5-too-many": [("x", hello), ("x", b"".join(pub("t", b"p", 2, n) for n in range(1, 21))), ("x", pub("t", b"p", 2, 21))],
        "v5-packet-size": [("x", props(("maximum_packet_size", 40)) + sub(1, [("ps", 1)])),
                           ("y", other + pub("ps", b"1" * 100, 1, 1)), ("y", pub("ps", b"1" * 10, 1, 1)), ("y", pub("ps", b"1" * 100))],
        "v5-packet-size-1": [("x", props(("maximum_packet_size", 1)))],
        "v5-session-expiry-0": [("x", mw.connect("x", clean=False)), ("x", None), ("x", mw.connect("x", clean=False))],
        "v5-disconnect-expiry": [("x", hello), ("x", mw.disconnect(V5, 0, [("session_expiry_interval", 10)]))],
        "v5-disconnect-expiry-ok": [("x", props(("session_expiry_interval", 5))), ("x", mw.disconnect(V5, 0, [("session_expiry_interval", 100)])),
                                    ("x", None), ("x", mw.connect("x", clean=False))],
        "v5-disconnect-80": [("s", other + sub(1, [("w", 0)])), ("x", mw.connect("x", will=mw.Will("w", b"g"))), ("x", mw.disconnect(V5, 0x80))],
        "v5-disconnect-04": [("s", other + sub(1, [("w", 0)])), ("x", mw.connect("x", will=mw.Will("w", b"g"))), ("x", mw.disconnect(V5, 4))],
        "v5-subscription-ids": [("x", hello + sub(1, [("i/#", 1)], properties=[("subscription_identifier", 7)])
                                 + sub(2, [("i/+", 1)], properties=[("subscription_identifier", 300)])),
                                ("y", other + pub("i/a", b"1", 1, 1)), ("x", sub(3, [("i/#", 1)])), ("y", pub("i/a", b"2"))],
        "v5-no-local": [("x", hello + sub(1, [("nl", 4 | 1)])), ("x", pub("nl", b"1", 1, 1)), ("y", other + pub("nl", b"2", 1, 1))],
        "v5-retain-as-published": [("x", hello + sub(1, [("ra", 8 | 1)])), ("y", other + pub("ra", b"1", 1, 1, retain=True)),
                                   ("x", sub(2, [("ra", 1)])), ("x", sub(2, [("ra", 0x11)])), ("x", sub(2, [("ra", 0x21)])), ("y", pub("ra", b"", retain=True))],
        "v5-publish-all-props": [("x", hello + sub(1, [("ap", 1)])), ("y", other + pub("ap", b"1", 1, 1, properties=[
            ("user_property", ("a", "b")), ("correlation_data", b"c"), ("response_topic", "r"), ("content_type", "ct"),
            ("message_expiry_interval", 100), ("payload_format_indicator", 1), ("user_property", ("a", "c"))]))],
        "v5-will-all-props": [("x", hello + sub(1, [("ap", 1)])), ("y", mw.connect("y", will=mw.Will("ap", b"1", 1, properties=[
            ("user_property", ("a", "b")), ("correlation_data", b"c"), ("response_topic", "r"), ("content_type", "ct"),
            ("message_expiry_interval", 100), ("payload_format_indicator", 1), ("user_property", ("a", "c"))]))), ("y", mw.packet(0))],
        "v5-format-bad-payload": [("x", hello + sub(1, [("fb", 1)])), ("y", other + pub("fb", b"\xff", 1, 1, properties=[("payload_format_indicator", 1)]))],
        "v5-format-bad-will": [("x", hello + sub(1, [("fb", 1)])), ("y", mw.connect("y", will=mw.Will(
            "fb", b"\xff", 1, properties=[("payload_format_indicator", 1)]))), ("y", mw.packet(0))],
        "v5-auth-method": [("x", props(("authentication_method", "m")))],
        "v5-auth-data-alone": [("x", props(("authentication_data", b"m")))],
        "v5-problem-information": [("x", props(("request_problem_information", 0))), ("x", sub(1, [("a/#/b", 0)]))],
        "v5-pubrec-error": [("x", hello + sub(1, [("pe", 2)])), ("y", other + pub("pe", b"1", 2, 1)), ("y", mw.pubrel(1)),
                            ("x", mw.pubrec(1, reason=0x80)), ("x", mw.pubcomp(1))],
    })
    for level in ("will_delay_interval",):
        SCENES["v5-will-delay"] = [("s", other + sub(1, [("w", 0)])), ("x", mw.connect("x", properties=[("session_expiry_interval", 100)],
                                   will=mw.Will("w", b"g", properties=[(level, 100)]))), ("x", None), ("s", b""), ("x", mw.connect("x", clean=False)),
                                   ("x", mw.disconnect(V5, 4)), ("s", b"")]


connects()
packets()
sessions()
