"""A history checker for deliveries: what was acknowledged, what arrived, and whether that fits.

Publishers note each message when it is first sent and when the broker acknowledged it (PUBACK,
PUBCOMP); receivers note each message that their MQTT state machine hands to the application. A
*party* is one subscriber, or the members of one shared subscription together. `check` says what
contradicts the promise (docs/durability.md):

  lost        acknowledged, and a party that was subscribed all the time did not get it
  doubled     a party with QoS 2 got a QoS 2 message more than once
  disordered  two messages of one publisher, topic and QoS arrived in the wrong order
  invented    it was never sent

The same checker serves restarts, kill rounds, and later the cluster: it knows nothing of how the
messages travelled."""
import collections


class Message:
    __slots__ = ("publisher", "number", "topic", "qos", "is_acked")

    def __init__(self, publisher, number, topic, qos):
        self.publisher, self.number, self.topic, self.qos = publisher, number, topic, qos
        self.is_acked = False


class DeliveryHistory:
    """One thread. `parties`: name → highest QoS it receives with."""

    def __init__(self, parties, ordered=None):
        self.parties = dict(parties)
        self.ordered = set(self.parties if ordered is None else ordered)
        self.messages = {}
        self.arrived = {party: collections.defaultdict(list) for party in self.parties}
        self.clock = 0
        self.finished = set()  # acknowledged, and checked before

    # -- what happens ------------------------------------------------------------------------

    def sent(self, publisher, number, topic, qos):
        self.messages[publisher, number] = Message(publisher, number, topic, qos)

    def acked(self, publisher, number):
        self.messages[publisher, number].is_acked = True

    def received(self, party, publisher, number):
        self.clock += 1
        self.arrived[party][publisher, number].append(self.clock)

    # -- what has to be true -----------------------------------------------------------------

    def missing(self, party):
        """Acknowledged messages that the party has not got (yet)."""
        got = self.arrived[party]
        return [key for key, message in self.messages.items()
                if message.is_acked and message.qos and key not in got]

    def is_complete(self):
        return not any(self.missing(party) for party in self.parties)

    def check(self):
        out = []
        for party, qos in self.parties.items():
            out += [f"lost: {party} never got {name(key)}" for key in self.missing(party)]
            out += self._check_arrivals(party, qos)
        return out

    def _check_arrivals(self, party, qos):
        out, last = [], {}
        firsts = []
        for key, times in self.arrived[party].items():
            message = self.messages.get(key)
            if message is None:
                out.append(f"invented: {party} got {name(key)}, which nobody sent")
                continue
            if len(times) > 1 and min(qos, message.qos) == 2:
                out.append(f"doubled: {party} got {name(key)} {len(times)} times at QoS 2")
            firsts.append((times[0], message))
        if party not in self.ordered:
            return out
        for _, message in sorted(firsts, key=lambda first: first[0]):
            stream = message.publisher, message.topic, message.qos
            if last.get(stream, -1) > message.number:
                out.append(f"disordered: {party} got {name((message.publisher, message.number))} "
                           f"after number {last[stream]} of {message.topic}")
            last[stream] = max(last.get(stream, -1), message.number)
        return out

    def forget_finished(self):
        """For long runs: what was acknowledged and checked twice matters no more. Once is not enough:
        a receiver's PUBACK may still have been on its way when the broker ended, and then its
        message comes again."""
        for key in self.finished:
            self.messages.pop(key, None)
        for got in self.arrived.values():
            for key in [k for k in got if k in self.finished or k not in self.messages]:
                del got[key]
        self.finished = {k for k, m in self.messages.items() if m.is_acked}

    def counts(self):
        """(sent, acknowledged, received), without what was checked before."""
        fresh = {k: m for k, m in self.messages.items() if k not in self.finished}
        got = sum(len(times) for party in self.arrived.values()
                  for key, times in party.items() if key in fresh)
        return len(fresh), sum(m.is_acked for m in fresh.values()), got

    def summary(self):
        acked = sum(m.is_acked for m in self.messages.values())
        got = sum(len(t) for party in self.arrived.values() for t in party.values())
        return f"{len(self.messages)} sent, {acked} acknowledged, {got} received"


def name(key):
    return f"{key[0]}:{key[1]}"
