"""Many domains with the same servers are one destination to those servers, and so they are to us: one window, one death, one
pause.  Rules for providers hold for all their domains.  The mail of one destination goes out of several processes, and a
slow one holds up nobody else."""
import os
import threading

import pytest

from dnsserver import DnsServer
from genkan import Client, Genkan, own, wait_for
from smtppeer import SmtpPeer

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="port 25 needs root")
ADDRESS = "127.0.41.1"
TEXT = "Subject: test\r\n\r\nhello\r\n"


def send(mx, *recipients):
    with Client(mx.port) as c:
        c.mail("alice@example.org", recipients, TEXT)


def domains(count, server="in1.big.example"):
    """Customers of one provider, each with a name of its own for the server, or all with the same."""
    records = []
    for i in range(count):
        name = server.replace("*", f"d{i}")
        records += [f"d{i}.example MX 10 {name}", f"{name} A {ADDRESS}"]
    return sorted(set(records))


def provider(rules):
    quoted = rules.replace('"', '\\"')
    return f'relay {{ providers {{ "big.example" = "{quoted}" }} }}'


class Hold:
    """A reply that comes when it is let go; counts who waits for it."""

    def __init__(self):
        self.lock, self.free = threading.Condition(), False
        self.waiting = self.most = 0

    def __call__(self, line):
        with self.lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            self.lock.wait_for(lambda: self.free, 30)
            self.waiting -= 1

    def let_go(self):
        with self.lock:
            self.free = True
            self.lock.notify_all()


# --- one window for the same servers ---

@needs_root
@pytest.mark.parametrize("server", ["in1.big.example", "*.in.big.example"])
def test_dead_servers_cost_one_attempt_for_all_domains(tmp_path, server):
    rules = provider("messages 50") if "*" in server else ""
    replies = {"CONNECT": "421 4.3.2 too busy"}
    with DnsServer(tmp_path / "dns", domains(60, server)) as dns, SmtpPeer(ADDRESS, 25, replies=replies) as peer, \
            Genkan(tmp_path / "mx", rules, dns=dns) as mx:
        send(mx, "bob@d0.example")
        send(mx, "bob@d0.example")
        wait_for(lambda: [e for e in mx.log("queue.destination") if e["state"] == "dead"], "the end of that server")
        before = len(peer.sessions)
        assert before <= 3
        for i in range(1, 60):
            send(mx, f"bob@d{i}.example")
        wait_for(lambda: len(mx.log("queue.deferred")) >= 61, "all put off: " + mx.log_text()[-2000:])
        assert len(peer.sessions) == before
        assert all("too busy" in e["reply"] for e in mx.log("queue.deferred"))
        # one asks whether it is back, for all sixty
        mx.advance(3600)
        wait_for(lambda: len(mx.log("queue.destination")) >= 2, "the next attempt: " + mx.log_text()[-2000:])
        assert len(peer.sessions) - before == 1
        replies.clear()
        mx.advance(8 * 3600)
        peer.await_messages(61)
        mx.await_empty_queue()


@needs_root
def test_concurrency_of_a_provider(tmp_path):
    hold = Hold()
    with DnsServer(tmp_path / "dns", domains(10, "*.in.big.example")) as dns, \
            SmtpPeer(ADDRESS, 25, replies={".": hold}) as peer, \
            Genkan(tmp_path / "mx", provider("concurrency 2"), dns=dns) as mx:
        for i in range(10):
            send(mx, f"bob@d{i}.example")
        wait_for(lambda: hold.waiting == 2, "two at once")
        hold.let_go()
        peer.await_messages(10)
        mx.await_empty_queue()
        assert hold.most == 2


@needs_root
def test_recipients_and_messages(tmp_path):
    rules = provider("recipients 3 messages 2")
    with DnsServer(tmp_path / "dns", domains(2, "*.in.big.example")) as dns, SmtpPeer(ADDRESS, 25) as peer, \
            Genkan(tmp_path / "mx", rules, dns=dns) as mx:
        send(mx, *(f"r{i}@d0.example" for i in range(10)))
        peer.await_messages(4)
        mx.await_empty_queue()
        assert sorted(len(m.recipients) for m in peer.messages) == [1, 3, 3, 3]
        assert [sum(c.startswith("MAIL") for c in s.commands) for s in peer.sessions] == [2, 2]
        assert not mx.log("queue.deferred")


@needs_root
def test_pause_after_a_text(tmp_path):
    answers = iter(["421-4.7.28 [192.0.2.1] Our system has detected an unusual\n421 4.7.28 rate of unsolicited mail"])
    rules = provider('concurrency 5 pause 30m "4.7.28"')
    with DnsServer(tmp_path / "dns", domains(20, "*.in.big.example")) as dns, \
            SmtpPeer(ADDRESS, 25, replies={".": lambda line: next(answers, None)}) as peer, \
            Genkan(tmp_path / "mx", rules, dns=dns) as mx:
        send(mx, "bob@d0.example")
        line = mx.await_log("queue.destination")
        assert (line["state"], line["site"], line["retry_in"]) == ("rests", "big.example", 1800)
        for i in range(1, 20):
            send(mx, f"bob@d{i}.example")
        wait_for(lambda: len(mx.log("queue.deferred")) == 20, "all put off: " + mx.log_text()[-2000:])
        mx.advance(1500)
        assert len(peer.sessions) == 1 and not peer.messages
        assert mx.queue()[0]["reason"].startswith("421 4.7.28")
        mx.advance(400)
        peer.await_messages(20)
        mx.await_empty_queue()


# --- the file ---

@needs_root
def test_reload_of_rules(tmp_path):
    rules = tmp_path / "providers"
    rules.write_text("# ours\nbig.example\trecipients 2\n")
    with DnsServer(tmp_path / "dns", domains(1, "*.in.big.example")) as dns, SmtpPeer(ADDRESS, 25) as peer, \
            Genkan(tmp_path / "mx", f'table providers file "{rules}"\nrelay {{ providers <providers> }}', dns=dns) as mx:
        own(rules)

        def transactions():
            peer.messages.clear()
            send(mx, *(f"r{i}@d0.example" for i in range(6)))
            wait_for(lambda: sum(len(m.recipients) for m in peer.messages) == 6, "six recipients")
            return len(peer.messages)

        assert transactions() == 3
        rules.write_text("# ours\nbig.example\trecipients 2\n\tmesages 4\n")
        done = mx.run_ctl("reload")
        assert done.returncode == 1 and f"{rules}:2: \"mesages\" is no rule for a provider" in done.stderr
        assert transactions() == 3
        rules.write_text("big.example\trecipients 6\n")
        mx.ctl("reload")
        assert transactions() == 1


# --- processes, and who waits for whom ---

def relays_with_jobs(mx):
    return [row["jobs"] for row in mx.ctl("stats") if row.get("role") == "relay" and row["jobs"] > 0]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: one relay process")
def test_one_destination_is_spread_over_the_processes(tmp_path):
    hold = Hold()
    replies = {".": None}
    with SmtpPeer(replies=replies) as peer, \
            Genkan(tmp_path / "mx", f'relay {{ route "*" to "[127.0.0.1]:{peer.port}" }}') as mx:
        for i in range(30):
            send(mx, f"bob@d{i}.example")
        peer.await_messages(30)
        mx.await_empty_queue()
        replies["."] = hold
        for i in range(30):
            send(mx, f"bob@d{i}.example")
        # the window is open wide now, and more than one process has a share
        wait_for(lambda: hold.waiting >= 16, f"many at once, not {hold.waiting}")
        jobs = relays_with_jobs(mx)
        assert len(jobs) >= 2 and max(jobs) <= 12, jobs
        hold.let_go()
        peer.await_messages(60)
        mx.await_empty_queue()


def test_slow_destination_holds_up_nobody(tmp_path):
    silent, late = Hold(), Hold()
    with SmtpPeer(replies={"CONNECT": silent}) as mute, SmtpPeer(replies={".": late}) as slow, SmtpPeer() as quick, \
            Genkan(tmp_path / "mx", f"""
                relay {{
                    route "mute.example" to "[127.0.0.1]:{mute.port}"
                    route "slow.example" to "[127.0.0.1]:{slow.port}"
                    route "*" to "[127.0.0.1]:{quick.port}"
                }}
            """) as mx:
        for i in range(40):
            send(mx, *(f"r{k}-{i}@{name}.example" for k in range(10) for name in ("mute", "slow")))
        wait_for(lambda: silent.waiting and late.waiting, "both to be busy")
        for i in range(40):
            send(mx, f"r{i}@quick.example")
        quick.await_messages(40)
        assert not slow.messages and not mute.messages
        silent.let_go()
        late.let_go()
        mx.await_empty_queue()
        assert len(slow.messages) == len(mute.messages) == 40
