#!/usr/bin/python3
"""regress/traffic/run.py [--seed N] [--jobs N] [--only NAME,...] [--json FILE]: every gate against the same mixed traffic.

The gates are those of etc/gates, the built-in default, and the candidates in regress/traffic/candidates.  Each has a server,
a name server and a test clock of its own; pauses are real, so several run at once.  Prints a table in Markdown, and which aims
the built-in default reaches; ends with 1 when it misses one: no message of an honest sender is lost, the ill-kept ones
included, fewer than 1 % of the others wait longer than ten minutes, and 99 % of the bots' sessions do not get to DATA.
"""
import argparse
import asyncio
import concurrent.futures
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]
import traffic  # noqa: E402
from dnsserver import DnsServer  # noqa: E402
from genkan import BUILD, ROOT, Genkan, remove_tree  # noqa: E402

CONF = """
limit connections off
limit connections-per-address off
limit connections-per-network off
relay {
	from { 127.0.0.1 }
	route "*" to "[127.0.0.1]:9"
}
domain "example.org" {
	users { %s }
	deliver maildir "$mail/%%{user}"
}
"""
LONG = 600  # seconds that an honest sender should not have to wait
COLUMNS = (("gate", "gate"), ("stopped", "bots' sessions stopped before DATA %"), ("bots_in", "bots that got mail in %"),
           ("leaked", "messages leaked"), ("lost", "honest lost"), ("long", "honest senders > 10 min %"),
           ("ugly", "ill-kept > 10 min %"), ("median", "wait median s"), ("p90", "90 % s"), ("connections", "connections"), ("held", "held s each"),
           ("cpu", "CPU us each"))


def gates():
    """{name: text}"""
    found = {"(built-in)": built_in(), "(no gate)": "gate { }\n"}
    for folder in (ROOT / "etc" / "gates", HERE / "candidates"):
        for path in sorted(folder.glob("*.gate")):
            found[path.stem] = path.read_text()
    return found


def paced(text):
    """The gate with its waits PACE times shorter."""
    def shorter(match):
        seconds = int(match[2]) * {"s": 1, "m": 60}[match[3]]
        return f"{match[1]}{max(1, round(seconds / traffic.PACE))}s"
    return re.sub(r"(?m)^(\s*(?:observe\s+)?(?:pause|tarpit)\s+)(\d+)([sm])\b", shorter, text)


def built_in():
    """The gate that a file without one gets."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
        conf.write('host "mx.example.org"\n')
        conf.flush()
        shown = subprocess.run([BUILD / "smtpctl", "-f", conf.name, "config", "show"], capture_output=True, text=True, check=True)
    return re.search(r"(?ms)^gate \{.*?^\}\n", shown.stdout)[0]


def cpu_us(pid):
    """Microseconds of a process and of those of its children that ended."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15])) * 1_000_000 // os.sysconf("SC_CLK_TCK")


def server_cpu_us(server):
    return sum(map(cpu_us, {server.process.pid, *server.pids().values()}))


def play(name, text, seed):
    """One gate against the mix, in a process of its own."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    directory = pathlib.Path(tempfile.mkdtemp(prefix="genkan-traffic-"))
    directory.chmod(0o755)
    world = traffic.World(seed)
    conf = CONF % ", ".join(f'"{u}"' for u in traffic.USERS) + paced(text).replace("$", "$$")
    try:
        with DnsServer(directory / "dns", world.zone.records, front=True, ttl=3600) as dns:
            for bad in world.servfail + [bad for _, bad in world.healing]:
                dns.servfail(bad)
            with Genkan(directory / "mx", conf, dns=dns, listen="xclient from { 127.0.0.1 }", host=traffic.OUR_HOST) as mx:
                before = server_cpu_us(mx)
                asyncio.run(traffic.Player(world, mx, dns=dns).run())
                cpu = server_cpu_us(mx) - before
                return measure(name, world, cpu)
    finally:
        remove_tree(directory)


def measure(name, world, cpu):
    bots = [a for a in world.actors if not a.honest]
    honest = [a for a in world.actors if a.honest]
    tries = [t for a in bots for t in a.attempts]
    messages = [(a, m) for a in honest for m in a.messages]
    waits = sorted(m.waited for a, m in messages if m.waited is not None and not a.ill_kept)
    kept = [a for a in honest if not a.ill_kept]
    ugly = [a for a in honest if a.ill_kept]
    late = {a.name for a, m in messages if m.lost or m.waited > LONG}
    all_tries = tries + [t for a in honest for t in a.attempts]
    return {"gate": name, "stopped": 100 * (1 - sum(t.reached_data for t in tries) / len(tries)),
            "bots_in": 100 * sum(any(t.accepted for t in a.attempts) for a in bots) / len(bots),
            "leaked": sum(len({s for s, _ in t.accepted}) for t in tries), "lost": sum(bool(m.lost) for _, m in messages),
            "long": 100 * sum(a.name in late for a in kept) / len(kept),
            "ugly": 100 * sum(a.name in late for a in ugly) / len(ugly), "median": statistics.median(waits) if waits else 0,
            "p90": waits[int(len(waits) * 0.9)] if waits else 0, "connections": len(all_tries),
            "held": sum(t.held for t in all_tries) / len(all_tries), "cpu": cpu / len(all_tries),
            "bots": len(bots), "senders": len(kept), "ill_kept": len(ugly), "messages": len(messages), "bot_sessions": len(tries),
            "source": world.source,
            "why_lost": sorted({f"{a.name} ({a.kind}): {m.lost}" for a, m in messages if m.lost}),
            "why_late": sorted({f"{a.name} ({a.kind}, {a.hosts[0].name or 'no name'}): {m.waited:.0f} s" for a, m in messages
                                if m.waited and m.waited > LONG}),
            "leaks": [f"{a.name} {a.hosts[0].name or 'no name'} {a.is_like}" for a in bots if any(t.accepted for t in a.attempts)]}


def cell(value):
    return value if isinstance(value, str) else f"{value:.1f}" if isinstance(value, float) else str(value)


def table(rows):
    yield "| " + " | ".join(title for _, title in COLUMNS) + " |"
    yield "|---" * len(COLUMNS) + "|"
    for row in rows:
        yield "| " + " | ".join(cell(row[key]) for key, _ in COLUMNS) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=25)
    parser.add_argument("--jobs", type=int, default=6)
    parser.add_argument("--only", help="names of gates, with commas")
    parser.add_argument("--json", type=pathlib.Path, help="all figures, and who was lost, late and let in")
    options = parser.parse_args()
    wanted = {n: t for n, t in gates().items() if not options.only or n in options.only.split(",")}
    rows = []
    with concurrent.futures.ProcessPoolExecutor(options.jobs, max_tasks_per_child=None) as pool:
        running = {pool.submit(play, name, text, options.seed): name for name, text in wanted.items()}
        for done in concurrent.futures.as_completed(running):
            try:
                rows.append(done.result())
            except (AssertionError, RuntimeError, OSError) as why:
                print(f"{running[done]}: not measured: {str(why)[:300]}", file=sys.stderr)
                continue
            print(f"{len(rows)} of {len(wanted)}: {list(table(rows[-1:]))[-1]}", file=sys.stderr, flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1))
    rows.sort(key=lambda row: (row["lost"] > 0, row["long"] >= 1, -row["stopped"]))
    if rows:
        print("{bots} bots, {senders} honest senders and {ill_kept} ill-kept ones with {messages} messages, seed {}; "
              "names: {source}\n".format(
            options.seed, **rows[0]))
    print("\n".join(table(rows)))
    return verdict(rows)


def verdict(rows):
    missed = 0
    for row in rows:
        if row["gate"] != "(built-in)":
            continue
        for aim, reached, found in (
                ("99 % of the bots' sessions are stopped before DATA", row["stopped"] >= 99, f"{row['stopped']:.2f} %"),
                ("no honest message is lost", not row["lost"], "; ".join(row["why_lost"]) or "none"),
                ("fewer than 1 % of the honest senders wait longer than ten minutes", row["long"] < 1, f"{row['long']:.2f} %")):
            print(f"{'reached' if reached else 'MISSED'}: {aim}: {found}")
            missed += not reached
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
