"""kill -9, again and again, of every role and of all at once, at random moments under load.  What was acknowledged is
delivered; what arrives twice is counted by who was killed."""
import os
import random
import signal
import time

import load
from genkan import Genkan, wait_for
from load import rounds

ROLES = ["session", "queue", "lookup", "ledger", "resolver", "relay", "local", "control", "all"]
# whoever is between a delivery and the record of it can make it happen twice, and nobody else
TWICE = {"queue", "local", "relay", "all"}


def kill_one(mx, role, chance):
    """A delivery process may end by itself before it is hit: then it is another's turn."""
    while True:
        victims = wait_for(lambda: mx.pids(role), f"{role} to be there")
        try:
            return os.kill(chance.choice(victims), signal.SIGKILL)
        except ProcessLookupError:
            pass


def kill_rounds(mx, role, count, chance):
    loads = load.begin(mx, ["example.org", "later.example"] if role == "relay" else ["example.org"],
                       first=1000 * (1 + ROLES.index(role)), large_each=10)
    for n in range(count):
        if n % 4 == 3:  # a role that dies again and again is started later and later: a new life
            mx.stop()
            mx.start()
        time.sleep(chance.uniform(0.05, 0.5))
        if role == "all":
            mx.kill()
            mx.start()
        else:
            kill_one(mx, role, chance)
    return load.end(loads)


def have_arrived(mx, here):
    found = load.found(mx, "example.org")
    return all(to <= set(found.get(token, [])) for token, to in here.items())


def test_rounds(place):
    each = max(1, rounds(9, 360) // len(ROLES))
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    total = kills = 0
    print(f"seed {seed}")
    with Genkan(place / "mx", load.conf()) as mx:
        for role in ROLES:
            acknowledged = kill_rounds(mx, role, each, chance)
            wait_for(lambda: mx.run_ctl("queue", "list").returncode == 0, "the roles to return")
            here = {t: {a for a in to if a.endswith("@example.org")} for t, to in acknowledged.items()}
            if role == "relay":  # what is removed is removed for all its recipients: those here come first
                wait_for(lambda: mx.advance(2) or have_arrived(mx, here), "the mailboxes to have theirs", 120)
                mx.ctl("queue", "remove", "domain=later.example")
            load.settle(mx, seconds=120)
            mine = {t: got for t, got in load.found(mx, "example.org").items() if t in acknowledged}
            print(f"{role}: {each} kills, ", end="")
            duplicates = load.check(here, mine)
            assert duplicates == 0 or role in TWICE, f"{role} delivers nothing, and {duplicates} were delivered twice"
            total += len(acknowledged)
            kills += each
    print(f"{kills} kills, {total} messages acknowledged, none lost")
    assert total > 10
