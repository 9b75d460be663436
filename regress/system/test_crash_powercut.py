"""The power goes while the whole server runs: what the real smtpd wrote and flushed is recorded (regress/crash/seam.c), and
a server is started on what a disk may hold after each flush and between them.  Every message that a client had its "250"
for must be whole in a mailbox, or in the queue, for each of its recipients."""
import collections
import os
import random
import shutil

import pytest

import load
from disk import ALL, NOTHING, SOME, Disk
from genkan import Genkan, own
from load import rounds
from seam import SYNC_END, SYNCFS_END, Recorder

DOMAINS = ["example.org", "later.example"]  # the second is relayed, to a port where nobody is: it stays in the queue


def record(place, conf):
    """A server under load; what the disk saw, and what was acknowledged when."""
    recorder = Recorder(place / "record")
    with Genkan(place / "life", conf, env=recorder.env) as mx:
        loads = load.begin(mx, DOMAINS, large_each=7, now=recorder.position, most=40)
        for one in loads:
            one.join(60)
        mx.advance(2)
        load.end(loads)
        acknowledged = {t: (loads[i].acknowledged_at[t], to) for i in range(len(loads))
                        for t, to in loads[i].acknowledged.items()}
        mx.kill()
    assert len(acknowledged) > 20, mx.log_text()[-3000:]
    events = recorder.events()
    recorder.close()
    # the record says of directories only which there were made: their inode numbers are those of the run
    return mx, events, acknowledged


def choose(events, acknowledged, count, chance):
    """Places to cut: behind flushes, and anywhere between them, from the first acknowledgement on."""
    first = min(at for at, _ in acknowledged.values())
    flushes = [i for i, (at, e) in enumerate(events) if at >= first and e.op in (SYNC_END, SYNCFS_END)]
    others = [i for i, (at, e) in enumerate(events) if at >= first and e.op not in (SYNC_END, SYNCFS_END)]
    chosen = set(chance.sample(flushes, min(len(flushes), count // 2)))
    chosen |= set(chance.sample(others, min(len(others), count - len(chosen))))
    return sorted(chosen)


def in_queue(mx):
    """{token: {address, ...}}"""
    waiting = collections.defaultdict(set)
    for message in mx.queue():
        waiting[message["sender"].split("@")[0]] |= set(message["recipients"].split(","))
    return waiting


def check_cut(place, life, disk, leave, chance, promised, number, conf, found):
    """Starts a server on what is left.  Returns how many were delivered twice."""
    mx = Genkan(place / f"cut{number}", conf)
    disk.leave(lambda path: path.replace(str(life.dir), str(mx.dir)), leave, chance)
    for path in mx.dir.rglob("*"):
        own(path)
        if path.suffix == ".lock":  # of a mailbox: forgotten, which is known by its age
            os.utime(path, (0, 0))
    with mx:
        load.wait_for(lambda: mx.run_ctl("queue", "list").returncode == 0, "the control socket")
        # those for later.example stay; the others are delivered
        def settled():
            mx.advance(2)
            return all("@example.org" not in m["recipients"] for m in mx.queue())
        load.wait_for(settled, "deliveries: " + mx.log_text()[-2000:])
        waiting = in_queue(mx)
        tokens = found(mx, "example.org")
        mx.kill()
    assert not mx.log("queue.segment_damaged"), "a power cut is no damage: " + mx.log_text()
    for token, to in promised.items():
        got = set(tokens.get(token, [])) | waiting.get(token, set())
        assert got == to, f"cut {number} ({leave}): {token} was acknowledged for {sorted(to)}, is left for {sorted(got)}"
    shutil.rmtree(mx.dir)
    return sum(len(got) - len(set(got)) for got in tokens.values())


@pytest.mark.parametrize("method", ["maildir", "mbox"])
def test_power_cut(place, method):
    conf = load.conf(deliver=load.MAILDIR if method == "maildir" else load.MBOX)
    found = load.found if method == "maildir" else load.found_in_mbox
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    life, events, acknowledged = record(place, conf)
    cuts = choose(events, acknowledged, rounds(6, 200), chance)
    disk = Disk({str(life.dir): False, str(life.mail): True}, others=("ledger",))
    duplicates = done = promised_most = 0
    for i, (at, event) in enumerate(events):
        disk.apply(event)
        if i not in cuts:
            continue
        promised = {t: to for t, (when, to) in acknowledged.items() if when <= at}
        promised_most = max(promised_most, len(promised))
        leave = chance.choice([NOTHING, SOME, SOME, ALL])
        try:
            duplicates += check_cut(place, life, disk, leave, chance, promised, i, conf, found)
        except AssertionError:
            print(f"seed {seed}, cut at event {i} of {len(events)}: {event._replace(data=len(event.data))}")
            raise
        done += 1
    print(f"{method}: {len(events)} events, {done} cuts, up to {promised_most} messages acknowledged, "
          f"{duplicates} recipients got a message twice")
    assert done == len(cuts) and promised_most > 10
