#!/usr/bin/python3
"""A queue of a million: how long a start takes, what it needs, what it costs the mail that comes in, and how long an
operator waits for an answer.

    regress/bench/queue.py BUILD [MESSAGES [OCTETS]]

The store is filled directly (regress/bench/store.c), with messages of one recipient that were deferred once; then the real
server runs on it.  It accepts mail with the queue empty and full in turn, five times each, and the medians are compared.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "regress" / "system"))

from genkan import Client, Genkan, as_user, own, wait_for  # noqa: E402

SOURCE = pathlib.Path(os.environ.get("PEERS_ROOT", "/tmp/peers")) / "postfix/usr/sbin/smtp-source"
CONF = """
gate { }
limit connections-per-address off
relay {
	from { 127.0.0.0/8 }
	route "*" to "[127.0.0.1]:9"
}
"""
BATCH = 5000


def resident(mx):
    """Of the queue role, in octets."""
    [pid] = wait_for(lambda: mx.pids("queue"), "the queue role")
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024


def cpu_seconds(mx):
    """Of the queue role since its start: what a start costs also where others want the processor."""
    [pid] = wait_for(lambda: mx.pids("queue"), "the queue role")
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def accept(mx):
    """Messages a second, and milliseconds of the queue role's processor for a thousand; 10 connections, 4 KiB each, into a queue that sends nothing."""
    begun, used = time.monotonic(), cpu_seconds(mx)
    subprocess.run([SOURCE, "-d", "-s", "10", "-m", str(BATCH), "-l", "4096", "-f", "a@bench.example", "-t",
                    "x@elsewhere.example", f"inet:127.0.0.1:{mx.port}"], check=True, env=environment())
    return BATCH / (time.monotonic() - begun), (cpu_seconds(mx) - used) * 1000 / BATCH * 1000


def environment():
    return dict(os.environ, LD_LIBRARY_PATH=str(SOURCE.parents[2] / "usr/lib/postfix"), MAIL_CONFIG="/nonexistent")


def first_accept(mx):
    """Seconds from the start of the program to the first "250" for a message."""
    begun = time.monotonic()
    mx.start()

    def taken():
        try:
            with Client(mx.port, timeout=20) as c:
                return c.greeting.code == 220 and c.mail("a@bench.example", "x@elsewhere.example").code == 250
        except OSError:
            return False
    wait_for(taken, "the first 250", 120)
    return time.monotonic() - begun


def cold():
    subprocess.run(["sync"], check=True)
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        return True
    except OSError:
        return False


def asked(mx, *words):
    begun = time.monotonic()
    done = mx.run_ctl("queue", *words, json_lines=True)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - begun, done.stdout.count("\n")


def say(what, value, unit=""):
    print(f"  {what:<58} {value:>12} {unit}", flush=True)


def main():
    build = pathlib.Path(sys.argv[1])
    messages = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    octets = int(sys.argv[3]) if len(sys.argv) > 3 else 1024
    place = pathlib.Path(tempfile.mkdtemp(prefix="genkan-bench-"))
    place.chmod(0o755)
    own(place)
    try:
        full = Genkan(place / "full", CONF)
        full.start()
        full.ctl("pause", "out")
        full.stop()
        filled = subprocess.run([build / "bench" / "store", "fill", full.dir / "spool" / "queue", str(messages), str(octets)],
                                capture_output=True, text=True, check=True, **as_user())
        print(f"A queue of {messages} messages of {octets} octets")
        full.env.pop("GENKAN_CLOCK")  # whoever has a test clock looks at it all the time
        first_accept(full)
        wait_for(lambda: indexed(full), "indexes of all segments", 600)
        full.stop()
        say("start to first accept, cold" if cold() else "start to first accept", f"{first_accept(full):.2f}", "s")
        say("  of which the queue role computed", f"{cpu_seconds(full):.2f}", "s")
        say("memory of the queue role, each message", f"{(resident(full) - base_memory(place)) / messages:.0f}", "octets")
        lists(full, messages)
        with Genkan(place / "empty", CONF) as empty:
            empty.env.pop("GENKAN_CLOCK")
            compare(full, empty)
        full.stop()
    finally:
        shutil.rmtree(place, ignore_errors=True)


def indexed(mx):
    names = os.listdir(mx.dir / "spool" / "queue" / "journal")
    segments = [n for n in names if n.isdigit()]
    return len([n for n in names if n.endswith(".index")]) >= len(segments) - 2


def base_memory(place):
    with Genkan(place / "base", CONF) as mx:
        mx.ctl("queue", "list")
        return resident(mx)


def lists(mx, messages):
    for words in (["list"], ["list", "to=recipient7@example.net"], ["list", "older=1h"], ["summary"],
                  ["hold", "-n", "domain=example.net", "size=<100"]):
        seconds, lines = asked(mx, *words)
        say("queue " + " ".join(words) + f": {lines} lines", f"{seconds:.2f}", "s")
    # mail goes on meanwhile
    listing = subprocess.Popen([mx_ctl(mx), "-j", "-f", mx.conf_path, "queue", "list"], stdout=subprocess.DEVNULL,
                               env=mx.env, **as_user())
    slowest = 0
    while listing.poll() is None:
        begun = time.monotonic()
        with Client(mx.port) as c:
            assert c.mail("a@bench.example", "x@elsewhere.example").code == 250
        slowest = max(slowest, time.monotonic() - begun)
    say("slowest message in while all are listed", f"{slowest:.2f}", "s")


def mx_ctl(mx):
    from genkan import BUILD
    return BUILD / "smtpctl"


def compare(full, empty):
    if not SOURCE.exists():
        print(f"  no smtp-source at {SOURCE}: accept rates are left out")
        return
    for mx in (full, empty):
        mx.ctl("pause", "out")
        accept(mx)
    runs = {"full": [], "empty": []}
    for _ in range(5):
        runs["empty"].append(accept(empty))
        runs["full"].append(accept(full))
    rate, cpu = ({k: statistics.median(r[i] for r in v) for k, v in runs.items()} for i in (0, 1))
    for which in ("empty", "full"):
        say(f"accepted with the queue {which}", f"{rate[which]:.0f}", "messages/s")
        say("  processor of the queue role for 1000 of them", f"{cpu[which]:.0f}", "ms")
    say("full to empty", f"{rate['full'] / rate['empty']:.2f}")


if __name__ == "__main__":
    main()
