"""Numbered messages from many clients, and where each must be found afterwards."""
import collections
import os
import random
import re
import threading
import time

from genkan import Client, wait_for

USERS = [f"u{n}" for n in range(6)]
CONF = """
gate { }
limit retry-first 1s
limit connections-per-address off
relay {
	from { 127.0.0.0/8 }
	route "*" to "[127.0.0.1]:%d"
}
domain "example.org" {
	users { %s }
	deliver %s
}
"""
MAILDIR, MBOX = 'maildir "$mail/%{user}"', 'mbox "$mail/%{user}"'
NOBODY = 9  # a port that no server listens on: what goes there waits in the queue


def conf(port=NOBODY, deliver=MAILDIR):
    return CONF % (port, ", ".join(f'"{u}"' for u in USERS), deliver)


class Load(threading.Thread):
    """Sends numbered messages, one after the other, and remembers which were acknowledged, to whom."""

    def __init__(self, port, number, domains, large_each=20, most=None, now=lambda: 0):
        super().__init__(daemon=True)
        self.port, self.number, self.domains = port, number, domains
        self.large_each, self.most, self.now = large_each, most, now
        self.acknowledged, self.attempts, self.stopping = {}, 0, False
        self.acknowledged_at = {}   # NOW() when the "250" was read
        self.replies = collections.Counter()
        self.last = None            # the last reply that was not 250

    def run(self):
        chance = random.Random(self.number)
        while not self.stopping and self.attempts != self.most:
            self.attempts += 1
            token = f"token-{self.number}-{self.attempts}"
            to = {f"{u}@{d}" for d in self.domains for u in chance.sample(USERS, 2)}
            size = chance.choice([10, 4000, 300000 if self.attempts % self.large_each == 0 else 1000])
            self.send(token, to, size)

    def send(self, token, to, size):
        try:
            with Client(self.port, timeout=20) as c:
                reply = c.greeting
                if reply.code == 220:
                    reply = c.mail(f"{token}@load.example", sorted(to), text(token, size))
                self.replies[reply.code] += 1
                if reply.code == 250:
                    self.acknowledged_at[token] = self.now()
                    self.acknowledged[token] = to
                elif reply.code != 0:
                    self.last = repr(reply)
        except OSError:
            self.replies[0] += 1
        if token not in self.acknowledged:
            time.sleep(0.02)


def text(token, size):
    return f"Subject: {token}\r\n\r\n" + ("y" * 70 + "\r\n") * (size // 72) + f"end of {token}\r\n"


def found(server, domain):
    """{token: [address, ...]} of what is in the Maildirs; a message that is not whole is a failure."""
    tokens = collections.defaultdict(list)
    for user in USERS:
        for content in server.messages(user):
            token = re.search(rb"^Subject: (\S+)$", content, re.M)
            assert token, "a delivered message without its subject: " + repr(content[:300])
            assert content.endswith(b"end of %s\n" % token.group(1)), "not whole: " + repr(content[:300])
            tokens[token.group(1).decode()].append(f"{user}@{domain}")
    return tokens


def found_in_mbox(server, domain):
    """The same of mbox files, where a crash may leave a piece of a message that nobody was promised."""
    tokens = collections.defaultdict(list)
    for user in USERS:
        path = server.mail / user
        content = b"\n" + path.read_bytes() if path.exists() else b""
        for message in content.split(b"\nFrom ")[1:]:
            token = re.search(rb"^Subject: (\S+)$", message, re.M)
            if token and b"\nend of %s\n" % token.group(1) in message:
                tokens[token.group(1).decode()].append(f"{user}@{domain}")
    return tokens


def begin(mx, domains, first=0, threads=4, **options):
    loads = [Load(mx.port, first + n, domains, **options) for n in range(threads)]
    for load in loads:
        load.start()
    return loads


def end(loads):
    for load in loads:
        load.stopping = True
    for load in loads:
        load.join(60)
    return {token: to for load in loads for token, to in load.acknowledged.items()}


def load_on(mx, domains, during, first=0):
    loads = begin(mx, domains, first)
    during()
    acknowledged = end(loads)
    assert len(acknowledged) > 20, "the load did not get through: " + mx.log_text()[-3000:]
    return acknowledged


def settle(*servers, seconds=60):
    """Deferred recipients are due by the clock; let it run, not so far that anything expires, until nothing waits."""
    def empty():
        for server in servers:
            server.advance(2)
        return not any(server.queue() for server in servers)
    wait_for(empty, "empty queues", seconds)


def check(acknowledged, tokens):
    """Every one is there, for everybody it is for; how many are there twice."""
    for token, to in acknowledged.items():
        got = tokens.get(token, [])
        assert set(got) == to, f"{token}: acknowledged for {sorted(to)}, found in {sorted(got)}"
    duplicates = sum(len(got) - len(set(got)) for got in tokens.values())
    print(f"{len(acknowledged)} acknowledged, {duplicates} delivered twice")
    return duplicates


def rounds(short, full):
    """`make crash` is slow and sees much, `make check` sees a little of it each time."""
    return int(os.environ.get("CRASH_ROUNDS", full)) if os.environ.get("CRASH") == "full" else short
