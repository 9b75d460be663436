"""What a role asks of the system fails for a while: full disk, broken disk, no descriptors, no memory (regress/crash/seam.c).
Clients hear 250 or 4xx or nothing, never that their mail is refused for good; what was acknowledged is delivered; and when
the fault is over the service is back, without anybody's help."""
import errno
import time

import load
from genkan import PATIENCE, Client, Genkan, wait_for
from load import rounds
from seam import ALLOC, OPEN, SYNC, WRITE, Faults

FAULTS = {
    "disk full": (WRITE, errno.ENOSPC),
    "disk broken": (WRITE, errno.EIO),
    "flush fails": (SYNC, errno.EIO),
    "no descriptors": (OPEN, errno.EMFILE),
    "no memory": (ALLOC, errno.ENOMEM),
}
# the master's memory is everybody's: without it nothing is left that could start anything again
ROLES = ["session", "queue", "local", "relay", "ledger", "lookup", "resolver", "control"]
CASES = [(role, fault) for role in ROLES for fault in FAULTS] + [("master", "no descriptors"), ("all", "disk full"),
                                                                ("all", "flush fails"), ("all", "no descriptors")]

SHORT = [case for case in CASES if case[0] == "queue"] + [
    ("session", "no memory"), ("session", "no descriptors"), ("local", "disk full"), ("all", "disk full")]


def victims(mx, role):
    if role == "master":
        return [mx.process.pid]
    return list(mx.pids().values()) if role == "all" else mx.pids(role)


def works(mx, number):
    """One message goes in and arrives."""
    token = f"after-{number}"
    try:
        with Client(mx.port, timeout=5) as c:
            if c.greeting.code != 220 or c.mail("x@load.example", "u0@example.org", load.text(token, 300000)).code != 250:
                return False
    except OSError:
        return False
    wait_for(lambda: mx.advance(2) or any(token.encode() in m for m in mx.messages("u0")), "the message to arrive")
    return True


def test_faults(place):
    acknowledged, hits, refused, number = {}, {}, 0, 0
    cases, seconds = (SHORT, 0.4) if rounds(1, 2) == 1 else (CASES, 2)
    with Faults(place / "faults") as faults, Genkan(place / "mx", load.conf(), env=faults.env) as mx:
        for role, fault in cases:
            number += 1
            loads = load.begin(mx, ["example.org"], first=100 * number, large_each=4)
            end = time.monotonic() + seconds
            before = faults.hits()
            while time.monotonic() < end or (  # on a busy machine it may take a while until somebody meets it
                    (role, fault) in SHORT and faults.hits() == before and time.monotonic() < end + PATIENCE):
                # those who die of it are succeeded by others who meet it too
                faults.set(victims(mx, role)[:60], *FAULTS[fault])
                time.sleep(0.1)
            hits[role, fault] = faults.hits() - before
            faults.clear()
            acknowledged |= load.end(loads)
            for one in loads:
                wrong = {code for code in one.replies if code not in (0, 250) and not 400 <= code < 500}
                assert not wrong, f"{fault} in {role}: {one.last}"
                refused += sum(n for code, n in one.replies.items() if 400 <= code < 500)
            wait_for(lambda: works(mx, number), f"the service after {fault} in {role}: " + mx.log_text()[-3000:], 60)
        load.settle(mx, seconds=120)
        tokens = load.found(mx, "example.org")
        duplicates = load.check(acknowledged, {t: to for t, to in tokens.items() if t.startswith("token")})
    print(f"{len(cases)} faults, {sum(hits.values())} calls failed, {len(acknowledged)} acknowledged, {refused} refused for "
          f"now, {duplicates} delivered twice")
    for role, fault in cases:
        print(f"    {role}: {fault}: {hits[role, fault]} calls failed")
    for needed in SHORT:
        assert hits[needed] > 0, f"{needed} never happened"


QUOTA = """
gate { }
limit delay-notice 4h
limit lifetime 1d
domain "example.org" {
	users { "alice", "bob" }
	deliver maildir "$mail/%{user}"
}
domain "box.example" {
	users { "alice" }
	deliver mbox "$dir/box-%{user}"
}
"""


def test_quota_of_a_mailbox(place):
    """EDQUOT is the mailbox's matter: it waits, the sender is told after a while and at the end, in words, and mail comes in
    when there is room again."""
    with Faults(place / "faults") as faults, Genkan(place / "mx", QUOTA, env=faults.env) as mx:
        def send(to, subject):
            with Client(mx.port) as c:
                reply = c.mail("bob@example.org", to, f"Subject: {subject}\r\n\r\nx\r\n")
                assert reply.code == 250, reply

        def deferred(to):
            # the process that delivers ends when it has had nothing to do for a while
            def tried():
                faults.set(mx.pids("local"), WRITE, errno.EDQUOT)
                return [e for e in mx.log("queue.deferred") if e["to"] == to and "4.2.2 the mailbox is full" in str(e)]
            send(to, "goes in")
            wait_for(lambda: not mx.queue(), "the first to be delivered")
            faults.set(mx.pids("local"), WRITE, errno.EDQUOT)
            send(to, "must wait")
            wait_for(tried, "it to wait because of the quota: " + mx.log_text()[-2000:])

        for to in ("alice@example.org", "alice@box.example"):
            deferred(to)
            faults.clear()
            wait_for(lambda: mx.ctl("queue", "flush") is not None and not mx.queue(), "it to come when there is room")
        assert sum(b"must wait" in m for m in mx.messages("alice")) == 1
        assert (mx.dir / "box-alice").read_text().count("must wait") == 1

        for number, (hours, action) in enumerate(((5, "delayed"), (30, "failed")), 1):
            deferred("alice@box.example")
            mx.advance(hours * 3600)
            wait_for(lambda: len(mx.log("queue.notice")) == number, "a notice")
            faults.clear()
            wait_for(lambda: mx.ctl("queue", "flush") is not None and not mx.queue(), "all of it to come")
            mx.deliveries("bob", number)
            [notice] = [m.decode() for m in mx.messages("bob") if f"Action: {action}".encode() in m]
            words, report = notice.split("Content-Type: message/", 1)
            for part in (words, report):
                assert "452 4.2.2 the mailbox is full: the quota of" in " ".join(part.split()), notice


def test_quota_of_the_queue(place):
    """EDQUOT is a full disk to those who send: 452 4.3.1, small or large, and 250 as soon as there is room."""
    with Faults(place / "faults") as faults, Genkan(place / "mx", QUOTA, env=faults.env) as mx:
        for role, calls, size in (("queue", WRITE, 100), ("queue", OPEN, 300000), ("session", WRITE, 300000)):
            faults.set(mx.pids(role), calls, errno.EDQUOT)
            text = "Subject: x\r\n\r\n" + ("x" * 70 + "\r\n") * (size // 70)

            def reply():
                with Client(mx.port) as c:
                    return c.mail("s@x.example", "alice@example.org", text)
            refused = reply()
            assert refused.code == 452 and "4.3.1" in refused.text, (role, calls, refused)
            faults.clear()
            wait_for(lambda: reply().code == 250, "the service to be back")
        mx.deliveries("alice", 3)
