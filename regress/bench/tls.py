#!/usr/bin/python3
"""regress/bench/tls.py [SECONDS [N]]: full handshakes beside `openssl s_server`, and memory of N idle TLS connections beside
Postfix and Exim.  (Debian 12's OpenSMTPD, unpacked, answers every ClientHello with an internal error.)

Handshakes: `openssl s_time -new` against each server in turn, three rounds, the server on the first processor of this machine and
the client on the second; the same certificate.  Rate, and user and system time of the server's processes for one handshake; ours
says its banner besides, and keeps a log.  Memory: PSS of all processes of a server less what it was before, divided.  Last, how
long others wait under a flood of handshakes.
"""
import contextlib
import multiprocessing
import os
import pathlib
import re
import resource
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from genkan import Client, Genkan, certificate, free_port, remove_tree, trusting, wait_for  # noqa: E402
from peers import Exim  # noqa: E402
from reject import cpu_us, processes, session_of  # noqa: E402
from testssl import TlsPostfix  # noqa: E402

CONF = """
limit connections off
limit connections-per-address off
limit connections-per-network off
gate { }
certificate "mx.example.org" chain "$dir/mx.example.org.pem" key "$dir/mx.example.org.key"
listen on 127.0.0.1 port %d implicit-tls "mx.example.org"
"""
SERVER, CLIENT = "0", str(min(1, os.cpu_count() - 1))
ROUNDS = 3


class Ours(Genkan):
    def __init__(self, directory, pair=None):
        self.implicit = free_port()
        super().__init__(directory, CONF % self.implicit, listen='tls "mx.example.org"', wrapper=["taskset", "-c", SERVER])

    def all_pids(self):
        return [self.process.pid, *self.pids().values()]


class OpenSSL:
    def __init__(self, directory, pair):
        self.pair, self.implicit = pair, free_port()

    def __enter__(self):
        chain, key = self.pair
        self.process = subprocess.Popen(
            ["taskset", "-c", SERVER, "openssl", "s_server", "-accept", f"127.0.0.1:{self.implicit}", "-cert", chain, "-key", key,
             "-quiet", "-num_tickets", "1"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.answers, "s_server to answer")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def answers(self):
        try:
            with Client(self.implicit, tls=trusting(), greet=False):
                return True
        except OSError:
            return False

    def all_pids(self):
        return [self.process.pid]


class Theirs:
    """All processes of a peer."""
    def all_pids(self):
        return [pid for pid in processes() if session_of(pid) == self.process.pid]


class OurPostfix(Theirs, TlsPostfix):
    pass


class OurExim(Theirs, Exim):
    def __init__(self, directory, pair):
        super().__init__(directory, free_port(), route="[127.0.0.1]:9", domain="example.org", users=["alice"], certificate=pair)

    def configure(self):
        super().configure()
        conf = self.work / "etc/exim4/exim4.conf"
        conf.write_text("smtp_accept_max = 0\n" + conf.read_text())


def handshakes(server, version, seconds, reuse):
    """Per second, and microseconds of the server for each."""
    before = sum(map(cpu_us, server.all_pids()))
    out = subprocess.run(["taskset", "-c", CLIENT, "openssl", "s_time", "-connect", f"127.0.0.1:{server.implicit}",
                          "-reuse" if reuse else "-new", "-time", str(seconds), version], capture_output=True, text=True).stdout
    n, real = re.search(r"(\d+) connections in (\d+) real seconds", out).groups()
    return int(n) / seconds, (sum(map(cpu_us, server.all_pids())) - before) / int(n)


def rates(seconds):
    print("| key | TLS | Genkan /s | s_server /s | ratio | Genkan us | s_server us | ratio |\n|---|---|---|---|---|---|---|---|")
    for key in ("rsa:2048", "ec"):
        directory = fresh()
        try:
            pair = certificate(directory, key=key)
            with Ours(directory) as ours, OpenSSL(directory, pair) as theirs:
                for version, reuse in (("-tls1_3", False), ("-tls1_2", False), ("-tls1_2", True)):
                    figures = [(handshakes(ours, version, seconds, reuse), handshakes(theirs, version, seconds, reuse))
                               for _ in range(ROUNDS)]
                    rate, their_rate, us, their_us = (statistics.median(f[who][i] for f in figures)
                                                      for i in (0, 1) for who in (0, 1))
                    print(f"| {key} | {version[4:]}{' resumed' if reuse else ''} | {rate:.0f} | {their_rate:.0f} | "
                          f"{rate / their_rate:.2f} | {us:.0f} | {their_us:.0f} | {us / their_us:.2f} |", flush=True)
        finally:
            remove_tree(directory)


def pss(server):
    total = 0
    for pid in server.all_pids():
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))
    return total


def memory(name, kind, n):
    directory = fresh()
    try:
        with kind(directory, certificate(directory)) as server:
            held = [hold(server) for _ in range(3)]
            time.sleep(1)
            before = pss(server)
            held += [hold(server) for _ in range(n)]
            time.sleep(1)
            after = pss(server)
            for c in held:
                c.close()
        print(f"{name}: {n} idle TLS connections, {(after - before) / n:.1f} KiB each", flush=True)
    finally:
        remove_tree(directory)


def hold(server):
    if hasattr(server, "implicit"):
        c = Client(server.implicit, tls=trusting())
    else:
        c = Client(server.port)
        c.say("EHLO client.example")
        assert c.starttls().code == 220
    assert c.say("EHLO client.example").code == 250
    return c


def client_hello():
    outs = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        trusting().wrap_bio(ssl.MemoryBIO(), outs).do_handshake()
    return outs.read()


def half_open(n):
    """Memory of N that sent half a ClientHello and wait."""
    directory = fresh()
    try:
        certificate(directory, key="rsa:2048")
        with Ours(directory) as server:
            hold(server).close()
            time.sleep(1)
            before, hello, held = pss(server), client_hello(), []
            for _ in range(n):
                held.append(Client(server.implicit, greet=False))
                held[-1].send(hello[:200])
            time.sleep(1)
            print(f"Genkan: {n} half of a ClientHello, {(pss(server) - before) / n:.1f} KiB each", flush=True)
            for c in held:
                c.close()
    finally:
        remove_tree(directory)


def flooding(port, number):
    """For ever: 50 connections at once that send a ClientHello made before, which costs them nothing, and wait for the answer."""
    hello = client_hello()
    os.sched_setaffinity(0, {int(CLIENT)})
    while True:
        held = []
        for _ in range(50):
            s = socket.create_connection(("127.0.0.1", port), source_address=(f"127.0.4.{number + 1}", 0))
            s.sendall(hello)
            held.append(s)
        for s in held:
            s.recv(1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()


def latency(port, seconds):
    """Milliseconds of a session in the clear: half of them, and 99 of 100, take less."""
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        with Client(port) as c:
            c.say("EHLO client.example")
            c.say("QUIT")
        took.append((time.monotonic() - began) * 1000)
    took.sort()
    return took[len(took) // 2], took[len(took) * 99 // 100]


def flood(seconds):
    directory = fresh()
    try:
        certificate(directory, key="rsa:2048")
        with Ours(directory) as server:
            calm = latency(server.port, seconds)
            attackers = [multiprocessing.Process(target=flooding, args=(server.implicit, i), daemon=True) for i in range(4)]
            for a in attackers:
                a.start()
            time.sleep(1)
            stormy = latency(server.port, seconds)
            for a in attackers:
                a.kill()
            print("a session in the clear takes %.1f ms (99 %%: %.1f), " % calm +
                  "and under a flood of 200 handshakes at once %.1f ms (99 %%: %.1f)" % stormy, flush=True)
    finally:
        remove_tree(directory)


def fresh():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="genkan-tls-"))
    directory.chmod(0o755)
    return directory


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    resource.setrlimit(resource.RLIMIT_NOFILE, (n + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    rates(seconds)
    memory("Genkan", Ours, n)
    for name, peer in (("Postfix", OurPostfix), ("Exim", OurExim)):
        memory(name, peer, min(n, 100))
    half_open(n)
    flood(seconds)


if __name__ == "__main__":
    main()
