#!/usr/bin/python3
"""regress/bench/flood.py [N [SECONDS]]: does mail get through while others attack?

Eight senders of ordinary mail, each message on a connection of its own, in calm and in each kind of weather for SECONDS;
the attackers come from other addresses of 127/8 and are N connections, or four processes that do nothing else.  Prints
messages a second, the slowest twentieth's time, what the roles hold in memory, and what was lost (which must be none).
"""
import multiprocessing
import pathlib
import random
import resource
import selectors
import socket
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from genkan import Client, Genkan, remove_tree  # noqa: E402
from idle import pss  # noqa: E402

CONF = """
limit connections %d
relay { from { 10.255.255.255 } }
gate { }
domain "example.org" {
	users { "alice" }
	deliver maildir "$mail/%%{user}"
}
"""
SENDERS = 8
ATTACKERS = 4


# --- ordinary mail ---

def send_mail(port, number, seconds, answers):
    sent, times, refused = 0, [], 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            with Client(port, source=f"127.0.3.{number + 1}") as c:
                ok = c.greeting.code == 220 and c.mail("a@client.example", "alice@example.org").code == 250
                c.say("QUIT")
        except OSError:
            ok = False
        sent += ok
        refused += not ok
        times.append(time.monotonic() - begun)
    answers.put((sent, refused, times))


def mail(port, seconds):
    answers = multiprocessing.Queue()
    senders = [multiprocessing.Process(target=send_mail, args=(port, i, seconds, answers)) for i in range(SENDERS)]
    for s in senders:
        s.start()
    got = [answers.get() for _ in senders]
    for s in senders:
        s.join()
    times = sorted(t for g in got for t in g[2])
    return sum(g[0] for g in got), sum(g[1] for g in got), times[len(times) * 95 // 100] if times else 0


# --- weather ---

def connect(port, number):
    """Fifty from an address, as many as `limit connections-per-address` lets in, and five addresses of a /24."""
    host = number // 50
    s = socket.socket()
    s.setblocking(False)
    s.bind((f"127.{1 + host // 5 // 250}.{host // 5 % 250}.{1 + host % 5}", 0))
    s.connect_ex(("127.0.0.1", port))
    return s


def hold(port, n, begin, speak):
    """N connections; SPEAK(socket) for one after the other, again and again."""
    held, turn = [], 0
    for i in range(n):
        try:
            held.append(connect(port, i))
        except OSError:
            break
        if i % 200 == 199:
            time.sleep(0.01)
    begin.set()
    while True:
        if speak is None:
            time.sleep(1)
            continue
        for s in held[turn::10]:
            try:
                speak(s)
            except OSError:
                pass
        turn = (turn + 1) % 10
        time.sleep(0.1)


def drip(s):
    s.send(b"N")


def half_a_text(s):
    """A transaction, then text that never ends."""
    s.send(b"EHLO a\r\nMAIL FROM:<a@client.example>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n" if random.random() < .1
           else b"x" * 998 + b"\r\n")


def storm(port, begin, line):
    """Connects, says LINE until it is closed, and begins again."""
    begin.set()
    source = random.randrange(1, 250)
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5,
                                          source_address=(f"127.0.{random.randrange(10, 250)}.{source}", 0)) as s:
                s.recv(500)
                while line:
                    s.sendall(line)
                    if not s.recv(65536):
                        break
        except OSError:
            pass


def harvest(port, begin):
    begin.set()
    while True:
        try:
            with Client(port, source=f"127.0.{random.randrange(10, 250)}.{random.randrange(1, 250)}") as c:
                c.say("EHLO a")
                c.say("MAIL FROM:<a@client.example>")
                while c.say(f"RCPT TO:<{random.randrange(10 ** 9)}@example.org>").code not in (421, 0):
                    pass
        except OSError:
            pass


def weathers(n):
    return [
        ("calm", 0, None, ()),
        (f"{n} idle connections", 1, hold, (n,), None),
        (f"{n} that drip octets", 1, hold, (n,), drip),
        (f"{n // 4} with half a text", 1, hold, (n // 4,), half_a_text),
        ("connection storm", ATTACKERS, storm, (), b""),
        ("command flood", ATTACKERS, storm, (), b"NOOP\r\n" * 100),
        ("long lines", ATTACKERS, storm, (), b"x" * 60000),
        ("address harvest", ATTACKERS, harvest, ()),
    ]


def measure(server, seconds, name, processes, target, head, *tail):
    begin = multiprocessing.Event()
    attackers = [multiprocessing.Process(target=target, args=(server.port, *head, begin, *tail), daemon=True)
                 for _ in range(processes)]
    for a in attackers:
        a.start()
    if attackers:
        begin.wait(120)
    sent, refused, slow = mail(server.port, seconds)
    memory = pss(server)
    for a in attackers:
        a.kill()
        a.join()
    print(f"| {name} | {sent / seconds:.0f} | {refused} | {slow * 1000:.0f} | {memory / 1024:.1f} |", flush=True)
    return sent


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * n + 1000), hard))
    directory = pathlib.Path(tempfile.mkdtemp(prefix="genkan-flood-"))
    directory.chmod(0o755)
    try:
        with Genkan(directory, CONF % n) as server:
            print("| weather | messages/s | turned away | slowest 5 % ms | all roles MiB |\n|---|---|---|---|---|")
            sent = sum(measure(server, seconds, *weather) for weather in weathers(n))
            server.await_empty_queue()
            arrived = sum(1 for _ in (server.mail / "alice" / "new").iterdir())
            print(f"acknowledged {sent}, arrived {arrived}, lost {max(0, sent - arrived)}")
            return sent > arrived
    finally:
        remove_tree(directory)


if __name__ == "__main__":
    sys.exit(main())
