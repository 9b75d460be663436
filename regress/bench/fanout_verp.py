#!/usr/bin/python3
"""regress/bench/fanout_verp.py [ROUNDS [RECIPIENTS ...]]: one message to many recipients with an envelope sender each, beside
Postfix (XVERP) and Exim (return_path of its transport), in turn in one run, with the parts of the harness in ../shared/bench.

One client says MAIL with XVERP, all RCPTs in groups, and a text of 4 KiB; smtp-sink counts what comes out, one transaction for
each recipient.  Rate: recipients by the time from the connection to the last arrival.  A pass of its own for each server, before
the timed ones, has the sink keep what it got: as many different senders as recipients, or the row says so.
"""
import os
import pathlib
import re
import shutil
import socket
import statistics
import sys
import tempfile
import time
import types

ROOT = pathlib.Path(__file__).resolve().parents[2]
HARNESS = pathlib.Path(os.environ.get("BENCH_HARNESS", ROOT.parent / "shared" / "bench"))
NAME = "owner-list@bench.test"
TEXT = b"Subject: post\r\n\r\n" + b"0123456789012345678901234567890123456789012345678901234567890\r\n" * 65 + b".\r\n"

# what each needs for this load, at the end of what the harness wrote for it
ADDED = {
    "postfix": ("etc/postfix/main.cf", "smtpd_authorized_verp_clients = 127.0.0.0/8\nsmtpd_recipient_limit = 100000\n"),
    "genkan": ("etc/smtpd.conf", "limit recipients off\n"),
}
EXIM = ("etc/exim4/exim4.conf", "  hosts_avoid_tls = *\n",
        "  hosts_avoid_tls = *\n  max_rcpt = 1\n  return_path = owner-list+${local_part}=${domain}@bench.test\n")


def harness():
    """Its driver without its last line, which would run it."""
    source = (HARNESS / "run").read_text()
    body, last = source.rstrip().rsplit("\n", 1)
    assert last == "main()", "the harness has changed"
    module = types.ModuleType("harness")
    module.__file__ = str(HARNESS / "run")
    exec(compile(body, module.__file__, "exec"), module.__dict__)
    return module


def fit(peer):
    path, text = ADDED.get(peer.name, (None, None))
    if path:
        with open(os.path.join(peer.work, path), "a") as f:
            f.write(text)
    else:
        path = pathlib.Path(peer.work, EXIM[0])
        before = path.read_text()
        assert EXIM[1] in before
        path.write_text(before.replace(EXIM[1], EXIM[2]).replace("begin routers", "recipients_max = 0\nbegin routers", 1))


def post(peer, recipients):
    """Hands one message in."""
    parameter = "" if peer.name == "exim" else " XVERP"
    with socket.create_connection(("127.0.0.1", peer.port), 60) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        heard = s.makefile("rb")

        def reply(code):
            line = heard.readline()
            while line[3:4] == b"-":
                line = heard.readline()
            assert line.startswith(code), line

        reply(b"220")
        s.sendall(b"EHLO client.test\r\n")
        reply(b"250")
        s.sendall(f"MAIL FROM:<{NAME}>{parameter}\r\n".encode())
        reply(b"250")
        for first in range(0, recipients, 500):
            group = range(first, min(first + 500, recipients))
            s.sendall(b"".join(b"RCPT TO:<user%d@sink.test>\r\n" % i for i in group))
            for _ in group:
                reply(b"250")
        s.sendall(b"DATA\r\n")
        reply(b"354")
        s.sendall(TEXT)
        reply(b"250")


def send_and_wait(peer, sink, recipients):
    """Seconds until it was taken, and until the last arrived (None: they did not)."""
    base, begun = sink.mesg, time.time()
    post(peer, recipients)
    accepted, moved, before = time.time() - begun, time.time(), 0
    while sink.mesg - base < recipients:
        if sink.mesg - base != before:
            moved, before = time.time(), sink.mesg - base
        if time.time() - moved > 20:
            return accepted, None
        time.sleep(0.005)
    return accepted, sink.when - begun


def prove(h, peer, tools, port, recipients):
    """How many senders the sink saw."""
    folder = tempfile.mkdtemp(prefix="benchsink.", dir="/dev/shm")
    sink = h.Sink(port, tools, folder)
    try:
        send_and_wait(peer, sink, recipients)
        time.sleep(0.5)
        seen = set()
        for entry in os.scandir(folder):
            seen |= set(re.findall(rb"X-Mail-Args: <([^>]*)>", pathlib.Path(entry.path).read_bytes()))
        return len(seen)
    finally:
        sink.stop()
        shutil.rmtree(folder, ignore_errors=True)


def timed(h, peer, sink, tools, recipients):
    before, ours, busy, begun = sum(peer.group.cpu()), sum(tools.cpu()), h.busy(), time.time()
    accepted, done = send_and_wait(peer, sink, recipients)
    time.sleep(0.3)
    cpu, other = sum(peer.group.cpu()) - before, sum(tools.cpu()) - ours
    mine = time.process_time()
    noise = max(0, h.busy() - busy - cpu - other - (mine - timed.spent)) / ((time.time() - begun) * os.cpu_count())
    timed.spent = mine
    return accepted, done, cpu, noise


timed.spent = time.process_time()


def run(h, args, tmp, tools, recipients, rounds):
    peers = []
    for name in args.peers:
        peer = h.Peer(name, args, tmp, os.path.join(tmp, "tools"), args.port, args.sinkport, "relay")
        why = peer.conf()
        if why:
            print(f"{name}: {why}")
            continue
        fit(peer)
        peers.append(peer)
    found, senders = {p.name: [] for p in peers}, {}
    for turn in range(rounds + 1):
        for peer in peers[turn % len(peers):] + peers[:turn % len(peers)]:
            why = peer.start()
            assert why is None, f"{peer.name}: {why}"
            try:
                if turn == 0:
                    senders[peer.name] = prove(h, peer, tools, args.sinkport, recipients)
                    continue
                sink = h.Sink(args.sinkport, tools)
                try:
                    send_and_wait(peer, sink, 20)
                    for _ in range(3):
                        result = timed(h, peer, sink, tools, recipients)
                        if result[3] < 0.25 or result[1] is None:
                            break
                    found[peer.name].append(result)
                    h.say(f"fanout-verp {peer.name} {recipients} round {turn}: accepted in {result[0]:.2f} s, all there in "
                          f"{result[1]} s, cpu {result[2]:.2f} s, other {result[3] * 100:.0f}%")
                finally:
                    sink.stop()
            finally:
                peer.stop()
    show(h, found, senders, recipients)


def show(h, found, senders, recipients):
    whole = {name: [r for r in runs if r[1]] for name, runs in found.items()}
    rates = {name: statistics.median(recipients / r[1] for r in runs) for name, runs in whole.items() if runs}
    others = [rate for name, rate in rates.items() if name != "genkan"]
    rows = []
    for name, runs in whole.items():
        rate = [recipients / r[1] for r in runs]
        verdict = "all" if len(runs) == len(found[name]) else "INCOMPLETE"
        rows.append([name, verdict, senders[name], h.f(rates.get(name), 0), f"{min(rate):.0f}-{max(rate):.0f}" if rate else "-",
                     h.f(rates.get(name, 0) / max(others), 2) if others else "-",
                     h.f(statistics.median(r[0] for r in found[name]) * 1000, 0),
                     h.f(statistics.median(r[2] for r in found[name]) * 1000 / recipients * 1000, 0)])
    h.table(f"### fanout-verp: one message to {recipients} recipients with a sender each",
            ["server", "arrived", "senders seen", "recipients/s", "min-max", "to the best other", "accepted after ms",
             "CPU ms for 1000 recipients"], rows)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    sizes = [int(n) for n in sys.argv[2:]] or [1000, 10000]
    os.environ.setdefault("GENKAN", str(ROOT))
    h = harness()
    args = types.SimpleNamespace(users=1, rcpts=0, flush_ms=0, port=20035, sinkport=20036,
                                 peers=os.environ.get("PEERS", "postfix,exim,genkan").split(","))
    tmp = tempfile.mkdtemp(prefix="bench.", dir=os.environ.get("BENCH_TMP", "/tmp"))
    os.chmod(tmp, 0o755)
    os.mkdir(os.path.join(tmp, "tools"))
    os.system(f"cc -O2 -o {tmp}/tools/logsink {HARNESS}/src/logsink.c")
    tools = h.Group(f"bench.{os.getpid()}.tools")
    try:
        for recipients in sizes:
            run(h, args, tmp, tools, recipients, rounds)
    finally:
        for peer in list(h.Peer.running):
            peer.stop()
        tools.close()
        shutil.rmtree(tmp, ignore_errors=True)


if __name__ == "__main__":
    main()
