"""The same bytes to nightjar in compat mode and to Debian's Mosquitto 2.0.11, and the answers beside
each other. Needs the peer that `./dev bench` unpacks; else it is skipped.

DIFFERENCES is frozen: a scene that differs and is not on it fails, and so does an entry for which
nothing differs any more. No 2.1 was run. "2.1" marks what its source says (CONNACK 0x81 and 0x82 for a
malformed CONNECT, DISCONNECT with a reason for malformed packets) or what is known of it from
elsewhere; "2.1?" marks what is assumed of it and right by the standard in any case."""
import pathlib
import re
import sys

import pytest

import original
from brokerproc import Options

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from scenes_wire import SCENES  # noqa: E402

pytestmark = [pytest.mark.needs("nightjar"), pytest.mark.slow]

DIFFERENCES = {  # names → why
    r"connect-v5-(?!keepalive|twice|padded|level).*": "2.1: a malformed CONNECT gets a CONNACK",
    r"(connect|will)-prop-.*": "2.1: bad properties of CONNECT get a CONNACK; values out of range "
                               "and wildcards in response topics are errors (MQTT5 3.1.2.11, 3.1.3.2)",
    r"(publish|subscribe|unsubscribe|puback|pubrel|disconnect)-prop-.*":
        "2.1: DISCONNECT says why; values out of range are errors (MQTT5 3.3.2.3)",
    r"connect-v\d+-will-control": "refused here with a reason, which the original does later",
    r"connect-v31-(will-\w+-no-will|header-flag-\d|user-.*)":
        "MQTT 3.1 forbids them no less than 3.1.1; the original is lenient",
    r"connect-v5-twice": "2.1?: MQTT 5 is told",
    r"connect-v\d+-padded-length|v\d+-length-padded": "MQTT5 1.5.5-1, the original takes longer forms",
    r"connect-v5-keepalive-0": "2.1?: without max_keepalive a keep alive of 0 stays",
    r"connect-v5-level-131": "an unknown version gets its CONNACK (MQTT3 3.1.2-2)",
    r"v\d+-(suback|unsuback|pingresp|connack|second-connect|auth|auth-empty)":
        "2.1?: a server's packets and a second CONNECT are protocol errors, MQTT 5 is told",
    r"v\d+-(pingreq|puback|pubrec|pubrel|pubcomp|disconnect)-(body|flags|long|short|0|87|01|reason|"
    r"bad-reason)": "2.1?: flags, lengths and codes are checked, MQTT 5 is told",
    r"v\d+-publish-q0-dup": "MQTT5 3.3.1-2",
    r"v31-(un)?subscribe-(none|flags)": "MQTT 3.1 is held to the rules of 3.1.1",
    r"v5-subscribe-shared-options-.*": "2.1: no-local on a shared subscription is an error",
    r"v5-publish-(wild-.*|201-slashes|empty-topic.*)": "2.1: 0x81 (its issue 3631), not 0x82",
    r"v5-length-5-bytes": "2.1: MQTT 5 is told",
    r"v\d+-subscribe-.*SYS.*": "the version and what else is in $SYS",
    r"v\d+-subscribe-.*share.*": "malformed shared filters (MQTT5 4.8.2)",
    r"v5-offline-\d-[12]|v5-wrong-ack": "2.1?: PUBREC for a QoS 1 message: MQTT 5 is told why",
    r"v\d+-qos2-other-payload": "a packet id in use is a repetition, whatever it carries",
    r"v3\d*-overlap": "the original skips a packet id",
    r"v3\d*-shared-plain": "a shared and a plain subscription are two (MQTT5 4.8.2)",
    r"v\d+-window": "max_inflight_messages holds at every acknowledgement",
    r"v5-(deliver-\d-\d|qos2-again|takeover|takeover-will)": "2.1: DISCONNECT 0x82 and 0x8E",
    r"v\d+-takeover-resumed-will": "a will without delay is sent when its connection is closed (MQTT3 "
                                   "3.1.2-8, MQTT5 3.1.4); the original drops it, 2.1 as well",
    r"v5-disconnect-80": "only DISCONNECT 0x00 takes a will back (MQTT5 3.14.4-3)",
    r"v5-alias-out": "2.1: topic aliases towards clients",
    r"v5-too-many": "0x93, as MQTT5 3.3.4 says, not 0x97",
    r"v5-retain-as-published": "a subscription made again replaces its options (MQTT5 3.8.4-3)",
    r"v5-auth-data-alone": "MQTT5 3.1.2.11.10",
}


def comparable(story):
    """Assigned client ids are free."""
    return re.sub(r"61 75 74 6f 2d( [0-9a-f]{2}){36}", "auto", str(story))


def test_the_answers_are_those_of_mosquitto(broker, tmp_path):
    if not original.BINARY.exists():
        pytest.skip("the peer is not unpacked: ./dev bench does it")
    if Options.store == "chaos":
        pytest.skip("a will waits for a late store, and a later SUBSCRIBE finds it retained")
    ours = broker("workers 1\n", mode="compat")
    theirs = original.Original(tmp_path)
    unknown, seen = [], set()
    try:
        for name, scene in SCENES.items():
            here = original.play(ours.ports["port"], scene)
            there = original.play(theirs.port, scene)
            if comparable(here) == comparable(there):
                continue
            matching = {p for p in DIFFERENCES if re.fullmatch(p, name)}
            seen |= matching
            if not matching:
                unknown.append(f"{name}\n  nightjar  {here}\n  mosquitto {there}")
    finally:
        theirs.stop()
    assert not unknown, "\n".join(unknown)
    assert seen == set(DIFFERENCES), f"nothing differs: {set(DIFFERENCES) - seen}"
