"""The process behind crowd.Pulse: round trips of one client to itself, one after the other."""
import select
import sys
import time

import mqttwire as mw
from mqttwire import Conn, Endpoint


def main():
    port, topic, username, password = sys.argv[1:]
    conn = Conn(Endpoint("tcp", port=int(port)), mw.V5)
    login = {"username": username, "password": password} if username else {}
    conn.connect(f"pulse-{topic}", **login)
    conn.subscribe(topic, qos=1)
    print("ready", flush=True)
    trips = []
    while True:
        began = time.monotonic()
        conn.send(mw.publish(topic, b"beat", 1, 1))
        got = {one.name: one for one in (conn.packet(60), conn.packet(60))}
        assert set(got) == {"PUBACK", "PUBLISH"}, got
        trips.append(time.monotonic() - began)
        conn.send(mw.puback(got["PUBLISH"].packet_id))
        if select.select([sys.stdin], [], [], 0)[0]:
            if not sys.stdin.readline():
                return
            print(" ".join(f"{t:.6f}" for t in trips), flush=True)
            trips = []


if __name__ == "__main__":
    main()
