"""From results to verdicts, and the Markdown table."""
import datetime
import os
import pathlib
import platform
import re
import shlex
import statistics
import tempfile
import time
from typing import NamedTuple

BEGIN = "<!-- measured: begin -->"
END = "<!-- measured: end -->"


class Row(NamedTuple):
    title: str
    ours: str
    theirs: str
    figure: str
    target: str
    verdict: str
    results: dict


def is_disturbed(result):
    """At a fixed rate, more than one message in twenty left late: they came in bursts then."""
    return result.get("good", False) and result.get("late_share", 0) > 0.05


def brief(result):
    """One measurement in a line."""
    if not result.get("good"):
        wrongs = {key: result[key] for key in ("lost", "duplicates", "reordered", "corrupt",
                                               "strange", "stray_acks", "unacked", "logins_broken")
                  if result.get(key)}
        return f"WRONG: {result.get('problem', '')} {wrongs or ''}"
    if "bytes_per_connection" in result:
        return f"{result['bytes_per_connection']:.0f} B per connection"
    if "connections" in result:
        return f"{result['cpu_us']:.2f} us CPU each, {result['connection_rate']:.0f}/s"
    text = (f"{result['cpu_us']:.2f} us CPU each, {result['throughput']:.0f}/s, "
            f"p50 {result['latency']['p50_us']:.0f} us, p99 {result['latency']['p99_us']:.0f} us")
    if "ack" in result:
        text += (f", answered p50 {result['ack']['p50_us']:.0f} us, "
                 f"p99 {result['ack']['p99_us']:.0f} us")
    if result.get("sync_p99_us"):
        text += f"; fdatasync alone p99 {result['sync_p99_us']:.0f} us"
    if "storm" in result:
        text += (f"; storm: {result['logins_in']} in, {result['logins_refused']} refused in "
                 f"{result['storm_seconds']:.1f} s, p99 {result['storm']['p99_us']:.0f} us, "
                 f"one alone {result['login_ms']:.1f} ms")
    if is_disturbed(result):
        text += f"; DISTURBED, {result['late_share']:.0%} left late: does not count"
    return text


def figures(got, label):
    return [result.get("cpu_us", 0) for result in got.get(label, [])]


def all_good(got):
    return all(result.get("good") for results in got.values() for result in results)


def spread(ours, theirs):
    ratios = [a / b for a, b in zip(ours, theirs) if a > 0 and b > 0]
    return (min(ratios), statistics.median(ratios), max(ratios)) if ratios else None


def verdict_of(got, value, limit):
    if not all_good(got):
        return "wrong"
    if value is None:
        return "disturbed"
    if limit == 0:
        return "–"
    return "met" if value <= limit else "missed"


def judge_pair(scenario, got, ours, theirs):
    left, right = figures(got, ours), figures(got, theirs)
    found = spread(left, right)
    text = "{:.2f} / {:.2f} / {:.2f}".format(*found) if found else "–"
    return Row(scenario.title, f"{statistics.median(left):.2f} µs" if left else "–",
               f"{statistics.median(right):.2f} µs" if right else "–", text, scenario.target,
               verdict_of(got, found and found[1], scenario.limit), got)


def judge_ratio(scenario, got):
    return judge_pair(scenario, got, "nightjar", "peer")


def judge_variants(scenario, got):
    return judge_pair(scenario, got, *got)


def judge_memory(scenario, got):
    value = {label: statistics.median(result.get("bytes_per_connection", 0) for result in results)
             if results else None
             for label, results in got.items()}
    ours, theirs = value["nightjar"], value.get("peer")
    text = f"{ours:,.0f} B" if ours is not None else "–"
    return Row(scenario.title, text, f"{theirs:,.0f} B" if theirs else "–",
               f"{ours / theirs:.2f}" if ours is not None and theirs else text, scenario.target,
               verdict_of(got, ours, scenario.limit), got)


def judge_rate(scenario, got):
    """Messages a second; more is better, so the peer's go above the line."""
    rates = {label: [result.get("throughput", 0) for result in results]
             for label, results in got.items()}
    ours, theirs = rates["nightjar"], rates.get("peer", [])
    found = spread(theirs, ours)
    text = "{:.2f} / {:.2f} / {:.2f}".format(*sorted(1 / one for one in found)) if found else "–"
    return Row(scenario.title, f"{statistics.median(ours):,.0f}/s" if ours else "–",
               f"{statistics.median(theirs):,.0f}/s" if theirs else "–", text, scenario.target,
               verdict_of(got, found and found[1], scenario.limit if theirs else 0), got)


def sync_p99_us(folder, count=300):
    """What a bare fdatasync after a write of 4 KiB takes there, one after the other."""
    took = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(count):
            began = time.perf_counter()
            os.write(file.fileno(), bytes(4096))
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return sorted(took)[count * 99 // 100] * 1e6


def judge_added(scenario, got):
    """Each round is compared with what the disk did in it."""
    pairs = [(a, b) for a, b in zip(got["durable"], got["volatile"]) if "ack" in a and "ack" in b]
    if not pairs:
        return Row(scenario.title, "–", "–", "–", scenario.target,
                   "disturbed" if all_good(got) else "wrong", got)
    shares, texts = [], []
    for durable, volatile in pairs:
        added = durable["ack"]["p99_us"] - volatile["ack"]["p99_us"]
        sync = (durable["sync_p99_us"] + volatile["sync_p99_us"]) / 2
        shares.append(added / (3 * sync + 1000))
        texts.append((added, sync))
    added, sync = (statistics.median(column) for column in zip(*texts))
    return Row(scenario.title, f"{added / 1e3:.2f} ms more", f"fdatasync {sync / 1e3:.2f} ms",
               "{:.2f} / {:.2f} / {:.2f} of it".format(min(shares), statistics.median(shares),
                                                       max(shares)),
               scenario.target, verdict_of(got, statistics.median(shares), scenario.limit), got)


def hash_threads():
    """As the broker counts them: half the processors, at least one."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def judge_storm(scenario, got):
    if not got["nightjar"]:
        return Row(scenario.title, "–", "–", "–", scenario.target, "disturbed", got)
    result = got["nightjar"][0]
    if not result.get("good"):
        return Row(scenario.title, "–", "–", "–", scenario.target, "wrong", got)
    count = result["logins_in"] + result["logins_refused"]
    ideal = result["login_ms"] / 1e3 * count / hash_threads()
    slow = result["storm_seconds"] / ideal if ideal else float("inf")
    quiet, storm = result["latency"]["p99_us"], result["storm"]["p99_us"]
    worse = storm / quiet if quiet else float("inf")
    is_met = result["logins_refused"] == 0 and slow <= 2 and worse <= 3
    return Row(scenario.title, f"{result['logins_in']:,} in {result['storm_seconds']:.1f} s, "
               f"p99 {quiet:.0f} → {storm:.0f} µs (generator late with "
               f"{result.get('late_share', 0):.1%} → {result.get('storm_late_share', 0):.1%})", "–",
               f"{slow:.2f}× of {ideal:.1f} s, p99 {worse:.2f}×", scenario.target,
               "met" if is_met else "missed", got)


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = re.search(r"^model name\s*:\s*(.+)$", file.read(), re.M)
        model = found.group(1).strip() if found else model
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(re.search(r"\d+", file.readline()).group()) / 2**20
    return (f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux "
            f"{platform.release().split('-')[0]}")


def markdown(rows, sides, options):
    """The table with what is needed to repeat it."""
    names = ", ".join(f"{side.name} {side.version}" for side in sides.values())
    command = f"./dev bench --rounds {options.rounds} --time {options.time:g}"
    if options.only:
        command += f" --only {shlex.quote(options.only)}"
    if options.peer:
        command += f" --peer {pathlib.PurePath(options.peer).name}"
    load = os.getloadavg()[0]
    lines = [
        f"- Date: {datetime.date.today().isoformat()}",
        f"- Versions: {names}",
        f"- Machine: {machine()}; brokers and generator share it; load average at the end "
        f"{load:.1f}",
        f"- Command: `{command}`",
        "",
        "| scenario | nightjar | compared with | ratio min / median / max | target | |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(f"| {row.title} | {row.ours} | {row.theirs} | {row.figure} | {row.target} | "
                     f"{row.verdict} |")
    return "\n".join(lines) + "\n"


def write(path, text):
    """Replaces what stands between the two marks, or appends it with marks."""
    block = f"{BEGIN}\n{text}{END}"
    old = path.read_text(encoding="utf-8") if path.exists() else "# Performance\n\n"
    marked = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.S)
    new = marked.sub(lambda _: block, old) if marked.search(old) else old + block + "\n"
    path.write_text(new, encoding="utf-8")
