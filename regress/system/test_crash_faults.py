"""What a role asks of the system fails for a while: full disk, broken disk, no descriptors, no memory (regress/crash/seam.c).
Clients hear 250 or 4xx or nothing, never that their mail is refused for good; what was acknowledged is delivered; and when
the fault is over the service is back, without anybody's help."""
import errno
import time

import load
from genkan import Client, Genkan, wait_for
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
            while time.monotonic() < end:  # those who die of it are succeeded by others who meet it too
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
