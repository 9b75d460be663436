"""Whatever dies, no acknowledged message is lost and none is delivered to the wrong place."""
import collections
import os
import random
import re
import signal
import threading
import time

import pytest

from genkan import Client, Genkan, wait_for

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
	deliver maildir "$mail/%%{user}"
}
"""
BEHIND = """
gate { }
relay { from { 127.0.0.0/8 } }
limit connections-per-address off
domain "behind.example" {
	users { %s }
	deliver maildir "$mail/%%{user}"
}
""" % ", ".join(f'"{u}"' for u in USERS)


class Load(threading.Thread):
    """Sends numbered messages, one after the other, and remembers which were acknowledged, to whom."""

    def __init__(self, port, number, domains):
        super().__init__(daemon=True)
        self.port, self.number, self.domains = port, number, domains
        self.acknowledged, self.attempts, self.stopping = {}, 0, False

    def run(self):
        chance = random.Random(self.number)
        while not self.stopping:
            self.attempts += 1
            token = f"token-{self.number}-{self.attempts}"
            to = {f"{u}@{d}" for d in self.domains for u in chance.sample(USERS, 2)}
            try:
                with Client(self.port, timeout=20) as c:
                    if c.greeting.code != 220:
                        continue
                    size = chance.choice([10, 4000, 300000 if self.attempts % 20 == 0 else 1000])
                    reply = c.mail("load@example.org", sorted(to), f"Subject: {token}\r\n\r\n" + "x" * 70 + "\r\n" * 1 +
                                   ("y" * 70 + "\r\n") * (size // 72))
                    if reply.code == 250:
                        self.acknowledged[token] = to
            except OSError:
                time.sleep(0.05)


def found(server, domain):
    """{token: [address, ...]} of what is in the Maildirs."""
    tokens = collections.defaultdict(list)
    for user in USERS:
        for content in server.messages(user):
            token = re.search(rb"^Subject: (\S+)$", content, re.M)
            assert token, "a delivered message without its subject: " + repr(content[:300])
            tokens[token.group(1).decode()].append(f"{user}@{domain}")
    return tokens


def load_on(mx, domains, during):
    loads = [Load(mx.port, n, domains) for n in range(4)]
    for load in loads:
        load.start()
    during()
    for load in loads:
        load.stopping = True
    for load in loads:
        load.join(60)
    acknowledged = {token: to for load in loads for token, to in load.acknowledged.items()}
    assert len(acknowledged) > 20, "the load did not get through: " + mx.log_text()[-3000:]
    return acknowledged


def settle(*servers):
    """Deferred recipients are due by the clock; let it run, not so far that anything expires, until nothing waits."""
    def empty():
        for server in servers:
            server.advance(2)
        return not any(server.queue() for server in servers)
    wait_for(empty, "empty queues", 60)


def check(acknowledged, tokens):
    for token, to in acknowledged.items():
        got = tokens.get(token, [])
        assert set(got) == to, f"{token}: acknowledged for {sorted(to)}, found in {sorted(got)}"
    duplicates = sum(len(got) - len(set(got)) for got in tokens.values())
    print(f"{len(acknowledged)} acknowledged, {duplicates} delivered twice")
    return duplicates


@pytest.mark.parametrize("role", ["session", "queue", "lookup", "ledger", "resolver", "local", "control"])
def test_a_role_dies_under_load(place, role):
    conf = CONF % (9, ", ".join(f'"{u}"' for u in USERS))

    def murder():
        kills = 0
        end = time.monotonic() + 6
        while time.monotonic() < end and kills < 8:
            victims = mx.pids(role)
            if victims:
                os.kill(random.choice(victims), signal.SIGKILL)
                kills += 1
            time.sleep(random.uniform(0.1, 0.5))
        assert kills > 0

    with Genkan(place, conf) as mx:
        acknowledged = load_on(mx, ["example.org"], murder)
        wait_for(lambda: len(mx.pids("queue")) == 1 and mx.run_ctl("queue", "list").returncode == 0, "the roles to return")
        settle(mx)
        duplicates = check(acknowledged, found(mx, "example.org"))
        if role not in ("queue", "local"):
            assert duplicates == 0


def test_relay_dies_under_load(place):
    with Genkan(place / "behind", BEHIND, host="mx.behind.example") as behind:
        conf = CONF % (behind.port, ", ".join(f'"{u}"' for u in USERS))
        with Genkan(place / "front", conf) as mx:
            def murder():
                for _ in range(6):
                    time.sleep(random.uniform(0.2, 0.5))
                    for pid in mx.pids("relay")[:1]:
                        os.kill(pid, signal.SIGKILL)
            acknowledged = load_on(mx, ["behind.example"], murder)
            settle(mx, behind)
            check(acknowledged, found(behind, "behind.example"))


def test_all_die_at_once(place):
    """kill -9 of everything, several times; the journal is what remains."""
    conf = CONF % (9, ", ".join(f'"{u}"' for u in USERS))
    mx = Genkan(place, conf).start()
    try:
        acknowledged = {}
        for n in range(5):
            acknowledged.update({f"{k}/{n}": v for k, v in load_on_until_killed(mx, n).items()})
            mx.start()
        settle(mx)
        check({k.split("/")[0]: v for k, v in acknowledged.items()}, found(mx, "example.org"))
    finally:
        mx.stop()


def load_on_until_killed(mx, number):
    loads = [Load(mx.port, 100 * (number + 1) + n, ["example.org"]) for n in range(4)]
    for load in loads:
        load.start()
    time.sleep(random.uniform(0.3, 1.0))
    mx.kill()
    for load in loads:
        load.stopping = True
    for load in loads:
        load.join(30)
    return {token: to for load in loads for token, to in load.acknowledged.items()}


def test_restart_keeps_queue_and_greylist(place, dns):
    dns.host("p127-0-3-1.dyn.isp.example", "127.0.3.1")
    dns.reload()
    conf = """
gate { greylist delay 60s when s25r }
relay {
	from { 127.0.0.9 }
	route "*" to "[127.0.0.1]:9"
}
domain "example.org" {
	users { "alice" }
	deliver maildir "$mail/%{user}"
}
"""
    mx = Genkan(place, conf, dns=dns).start()
    try:
        with Client(mx.port, source="127.0.3.1") as c:
            assert c.mail("a@b.example", "alice@example.org").code == 450
        with Client(mx.port, source="127.0.0.9") as c:
            assert c.mail("alice@example.org", "x@elsewhere.example").code == 250
        mx.kill()
        mx.start()
        waiting = mx.queue()
        assert len(waiting) == 1
        mx.advance(61)
        with Client(mx.port, source="127.0.3.1") as c:
            assert c.mail("a@b.example", "alice@example.org").code == 250
        mx.deliveries("alice", 1)
        mx.stop()
        mx.start()
        assert [m["message"] for m in mx.queue()] == [m["message"] for m in waiting]
    finally:
        mx.stop()
