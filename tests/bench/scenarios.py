"""The scenarios that decide about speed, with their targets. A ratio is nightjar's CPU per
delivered message divided by the peer's of the same round; the median of the rounds counts."""
import os
import subprocess
from typing import Callable, NamedTuple, Optional

import table

USERS = 2000
RULES = 1000


class Scenario(NamedTuple):
    id: str
    title: str
    args: list
    target: str
    limit: float
    judge: Callable
    variants: Optional[list] = None  # (label, side, more arguments); None = each side as it is
    conf: Optional[Callable] = None
    fresh: bool = False  # a new process each round: memory is measured
    timed: bool = True
    rounds: int = 0  # 0 = as asked for
    durable: bool = False  # with persistence; only the variant "volatile" is without


def ratio(name, title, args, limit):
    return Scenario(name, title, args, f"≤ {limit:g}× peer", limit, table.judge_ratio)


def password_file(bench, users):
    """Everybody has the same password and the same hash: making 2,000 hashes takes minutes, and a
    broker cannot profit, because it remembers a credential with its user name."""
    path = os.path.join(bench.workdir, f"passwords-{len(users)}")
    if not os.path.exists(path):
        subprocess.run([bench.options.nj, "passwd", "-c", "-b", path, "someone", "a secret"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(path, encoding="ascii") as file:
            stored = file.readline().strip().split(":", 1)[1]
        with open(path, "w", encoding="ascii") as file:
            file.writelines(f"{user}:{stored}\n" for user in users)
        os.chmod(path, 0o600)
    return path


def acl_conf(bench, label):
    lines = ["allow_anonymous false", f"password_file {password_file(bench, ['bench'])}"]
    if label == "no rules":
        return lines + ["acl_default allow"]
    path = os.path.join(bench.workdir, "acl")
    with open(path, "w", encoding="ascii") as file:
        file.write("user bench\n")
        file.writelines(f"topic readwrite site/{i}/+/state\n" for i in range(RULES - 1))
        file.write("topic readwrite nj/bench/#\n")
    os.chmod(path, 0o600)
    return lines + [f"acl_file {path}"]


def storm_conf(bench, _label):
    users = ["steady"] + [f"user{i}" for i in range(USERS)]
    logins = os.path.join(bench.workdir, "logins")  # where the generator runs
    with open(logins, "w", encoding="ascii") as file:
        file.writelines(f"{user}:a secret\n" for user in users[1:])
    return ["allow_anonymous false", f"password_file {password_file(bench, users)}",
            "acl_default allow"]


WHO = ["-u", "bench", "-P", "a secret"]

SCENARIOS = [
    ratio("fanout-50", "fan-out 1→50, QoS 0, 16 B", ["fanout"], 0.4),
    ratio("fanout-500", "fan-out 1→500, QoS 0, 16 B", ["fanout", "--subscribers", "500"], 0.4),
    ratio("pairs-q0", "50 pairs, QoS 0", ["pairs"], 0.45),
    ratio("pairs-q1", "50 pairs, QoS 1", ["pairs", "-q", "1"], 0.45),
    ratio("pairs-q2", "50 pairs, QoS 2", ["pairs", "-q", "2"], 0.45),
    ratio("pairs-rate", "50 pairs, QoS 0 at 5,000/s", ["pairs", "-r", "5000"], 0.95),
    ratio("fanin-q0", "fan-in 100→1, QoS 0", ["fanin"], 0.4),
    ratio("fanin-q1", "fan-in 100→1, QoS 1", ["fanin", "-q", "1"], 0.4),
    Scenario("acl", f"50 pairs, ACL file of {RULES:,} rules (last one matches) against none",
             ["pairs", *WHO], "≤ 1.1× no rules", 1.1, table.judge_variants,
             [("rules", "nightjar", []), ("no rules", "nightjar", [])], acl_conf),
    Scenario("subs", "publish into 100,000 subscriptions (literal, +, #, one shared) against 100",
             ["subs"], "≤ 2× 100", 2, table.judge_variants,
             [("100,000", "nightjar", ["--subscriptions", "100000"]),
              ("100", "nightjar", ["--subscriptions", "100"])]),
    Scenario("subs-peer", "publish into 100,000 subscriptions against the peer",
             ["subs", "--subscriptions", "100000"], "–", 0, table.judge_ratio, rounds=2),
    Scenario("durable-rate", "50 pairs with stored sessions, QoS 1: synced to the disk against the "
             "peer's persistence, which is not", ["pairs", "-q", "1", "--stored"],
             "rate ≥ peer", 1, table.judge_rate, fresh=True, durable=True),
    Scenario("durable-p99", "what the disk adds to a PUBACK at 10,000 msg/s, 50 pairs with stored "
             "sessions", ["pairs", "-q", "1", "--stored", "-r", "10000"],
             "p99 ≤ 3× fdatasync + 1 ms", 1, table.judge_added,
             [("durable", "nightjar", []), ("volatile", "nightjar", [])], fresh=True, durable=True),
    Scenario("connect", "connect and disconnect, CPU per connection", ["connect"], "–",
             0, table.judge_ratio),
    Scenario("idle", "memory per idle connection, 10,000 held",
             ["idle", "--connections", "10000"], "≤ 1,536 B", 1536, table.judge_memory,
             fresh=True, timed=False, rounds=1),
    Scenario("storm", f"storm of {USERS:,} argon2id logins, one attempt each, beside 1,000 msg/s",
             ["storm", "--login-file", "logins", "-u", "steady", "-P", "a secret", "-t", "5", "-T", "2"],
             "all in ≤ 2× hash ÷ threads, p99 ≤ 3× quiet", 0, table.judge_storm,
             [("nightjar", "nightjar", [])], storm_conf, timed=False, rounds=1),
]
