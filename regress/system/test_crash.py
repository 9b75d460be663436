"""Whatever dies, no acknowledged message is lost and none is delivered to the wrong place."""
import os
import random
import signal
import time

import pytest

import load
from genkan import Client, Genkan, wait_for
from load import USERS, check, found, load_on, settle
from smtppeer import SmtpPeer

BEHIND = """
gate { }
relay { from { 127.0.0.0/8 } }
limit connections-per-address off
domain "behind.example" {
	users { %s }
	deliver maildir "$mail/%%{user}"
}
""" % ", ".join(f'"{u}"' for u in USERS)


@pytest.mark.parametrize("role", ["session", "queue", "lookup", "ledger", "resolver", "local", "control"])
def test_a_role_dies_under_load(place, role):
    conf = load.conf()

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
        conf = load.conf(behind.port)
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
    conf = load.conf()
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
    loads = load.begin(mx, ["example.org"], 100 * (number + 1))
    time.sleep(random.uniform(0.3, 1.0))
    mx.kill()
    return load.end(loads)


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


def test_a_damaged_journal(place):
    """Octets of a message that waits go bad on the disk: it is told whose it was, and all others are delivered."""
    with Genkan(place, load.conf()) as mx:
        mx.ctl("pause", "local")
        with Client(mx.port) as c:
            for n in range(30):
                assert c.mail("a@b.example", f"{USERS[0]}@example.org", f"Subject: message {n}\r\n\r\n{n}\r\n" + "x" * 900 + "\r\n",
                              helo=None if n else "c.example").code == 250
        mx.kill()
        journal = [p for p in (mx.dir / "spool/queue/journal").iterdir() if b"Subject: message 7" in p.read_bytes()]
        assert len(journal) == 1
        data = bytearray(journal[0].read_bytes())
        data[data.index(b"Subject: message 7") + 300] ^= 4
        journal[0].write_bytes(data)
        mx.start()
        mx.ctl("resume", "local")
        told = mx.await_log("queue.message_damaged")
        assert (told["from"], told["to"]) == ("a@b.example", f"{USERS[0]}@example.org")
        texts = mx.deliveries(USERS[0], 29)
        assert not any(b"Subject: message 7\n" in text for text in texts)


def test_what_is_paused_stays_paused(place):
    """Until it is resumed: over kill -9 of the queue role, and of all at once."""
    with SmtpPeer() as one, SmtpPeer() as other, Genkan(place, f"""
        relay {{
            route "one.example" to "[127.0.0.1]:{one.port}"
            route "*" to "[127.0.0.1]:{other.port}"
        }}
    """) as mx:
        def send(subject):
            with Client(mx.port) as c:
                assert c.mail("alice@example.org", ["a@one.example", "a@other.example"],
                              f"Subject: {subject}\r\n\r\nhello\r\n").code == 250
            wait_for(lambda: any(f"Subject: {subject}" in m.text for m in other.messages), f"{subject} elsewhere")
            assert not one.messages

        mx.ctl("pause", "out", f"[127.0.0.1]:{one.port}")
        send("before")
        before = mx.pids("queue")
        os.kill(before[0], signal.SIGKILL)
        mx.await_log("queue.paused", destination=f"[127.0.0.1]:{one.port}")
        wait_for(lambda: mx.pids("queue") not in ([], before), "another queue process")
        send("after kill -9 of the queue role")
        mx.kill()
        mx.start()
        send("after kill -9 of all")
        mx.ctl("resume", "out", f"[127.0.0.1]:{one.port}")
        one.await_messages(3)
        mx.await_empty_queue()
        mx.kill()
        mx.start()
        assert not any("destination_paused" in row for row in mx.ctl("resume", "local"))
