"""A new configuration, and a new binary, while the server runs."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading

import pytest

import watched
from genkan import BUILD, Client, Genkan, free_port, own, unread, wait_for

DOMAIN = """
gate { }
domain "example.org" {
	users { %s }
	deliver maildir "$mail/%%{user}"
}
"""


@pytest.fixture
def mx(tmp_path, dns):
    with Genkan(tmp_path, DOMAIN % '"alice"', dns=dns) as g:
        yield g


def change(g, old, new):
    text = g.conf_path.read_text()
    assert old in text
    g.conf_path.write_text(text.replace(old, new))


def reloads(g):
    return len(g.log("reload.done"))


def test_new_words_are_in_force_and_the_old_session_stays(mx):
    with Client(mx.port) as old:
        old.say("EHLO client.example")
        change(mx, '{ "alice" }', '{ "alice", "bob" }')
        assert mx.run_ctl("reload").returncode == 0
        with Client(mx.port) as new:
            assert new.mail("a@client.example", "bob@example.org").code == 250
        mx.deliveries("bob", 1)
        assert old.mail("a@client.example", "alice@example.org", helo=None).code == 250
        mx.deliveries("alice", 1)


def test_the_session_may_be_inside_its_text(mx):
    with Client(mx.port) as c:
        for line in "EHLO client.example", "MAIL FROM:<a@client.example>", "RCPT TO:<alice@example.org>", "DATA":
            assert c.say(line).code in (250, 354)
        c.send("Subject: long\r\n\r\n")
        for _ in range(3):
            assert mx.run_ctl("reload").returncode == 0
        c.send("text\r\n.\r\n")
        assert c.reply().code == 250
    assert b"text" in mx.deliveries("alice", 1)[0]


def test_a_pause_survives(tmp_path, dns):
    conf = DOMAIN.replace("gate { }", "gate { pause 2s }") % '"alice"'
    with Genkan(tmp_path, conf, dns=dns) as g:
        with Client(g.port, greet=False) as c:
            wait_for(lambda: any(s.get("sessions", 0) for s in g.ctl("stats")), "the session")
            change(g, "pause 2s", "")
            assert g.run_ctl("reload").returncode == 0
            assert c.reply().code == 220
            assert c.mail("a@client.example", "alice@example.org").code == 250


def test_signal(mx):
    change(mx, '{ "alice" }', '{ "carol" }')
    mx.process.send_signal(signal.SIGHUP)
    mx.await_log("reload.done")
    with Client(mx.port) as c:
        assert c.mail("a@client.example", "carol@example.org").code == 250
    with Client(mx.port) as c:
        assert c.mail("a@client.example", "alice@example.org").code == 550


def test_signals_by_the_hundred(mx):
    """They are one wish, or two: mail goes on meanwhile, and the last configuration is the one in force."""
    for n in range(300):
        mx.process.send_signal(signal.SIGHUP)
    change(mx, '{ "alice" }', '{ "carol" }')
    mx.process.send_signal(signal.SIGHUP)

    def carol_is_known():
        with Client(mx.port) as c:
            return c.mail("a@client.example", "carol@example.org").code == 250
    wait_for(carol_is_known, "the new configuration")
    assert reloads(mx) < 20


def test_who_rings_after_it_meets_the_new_one(mx):
    rounds = 5 if watched.BY == "valgrind" else 30
    users = ["alice", *(f"user{n}" for n in range(rounds))]
    for old, new in zip(users, users[1:]):
        change(mx, f'{{ "{old}" }}', f'{{ "{new}" }}')
        wait_for(lambda: mx.run_ctl("reload").returncode == 0, "room for the processes of one more")
        with Client(mx.port) as c:
            assert c.mail("a@client.example", f"{new}@example.org").code == 250


@pytest.mark.parametrize("old, new, says", [
    ("gate { }", "gaet { }", "gaet"),
    ('users { "alice" }', "users <nobody>", "nobody"),
    ("spool ", 'spool "/var/spool/other" #', "spool"),
])
def test_mistakes_change_nothing(mx, old, new, says):
    change(mx, old, new)
    done = mx.run_ctl("reload")
    assert done.returncode == 1
    assert says in done.stderr
    assert reloads(mx) == 0
    with Client(mx.port) as c:
        assert c.mail("a@client.example", "alice@example.org").code == 250
    mx.deliveries("alice", 1)


def test_listeners_come_and_go(mx):
    port = free_port()
    first = f"listen on 127.0.0.1 port {mx.port}"
    change(mx, first, f"listen on 127.0.0.1 port {port}\n{first}")
    assert mx.run_ctl("reload").returncode == 0
    with Client(port) as c:
        assert c.greeting.code == 220
    change(mx, f"listen on 127.0.0.1 port {port}\n", "")
    assert mx.run_ctl("reload").returncode == 0
    wait_for(lambda: refused(port), "the port to close")
    with Client(mx.port) as c:
        assert c.greeting.code == 220


def refused(port):
    try:
        Client(port, greet=False).close()
        return False
    except OSError:
        return True


def test_an_address_that_is_taken_changes_nothing(mx):
    with Genkan(mx.dir / "other", DOMAIN % '"alice"') as other:
        first = f"listen on 127.0.0.1 port {mx.port}"
        change(mx, first, f"listen on 127.0.0.1 port {other.port}\n{first}")
        done = mx.run_ctl("reload")
        assert done.returncode == 1 and "another mail server" in done.stderr
    with Client(mx.port) as c:
        assert c.greeting.code == 220


def test_retired_processes_end(mx):
    before = set(mx.pids().values())
    assert mx.run_ctl("reload").returncode == 0
    sessions = set(mx.pids("session"))
    wait_for(lambda: not set(mx.pids("session")) & before, "the old session processes to end")
    assert sessions - before
    assert set(mx.pids("queue")) <= before and set(mx.pids("ledger")) <= before


class Load(threading.Thread):
    """Sends one message after the other, each on a connection of its own, until told to stop."""

    def __init__(self, port):
        super().__init__()
        self.port, self.sent, self.trouble, self.over = port, 0, [], False

    def run(self):
        while not self.over:
            try:
                with Client(self.port) as c:
                    reply = c.mail("a@client.example", "alice@example.org")
                    if reply.code == 250:
                        self.sent += 1
                    elif reply.code != 421:  # an upgrade asks those who are in to come back
                        self.trouble.append(repr(reply))
            except OSError as error:
                self.trouble.append(repr(error))


def under_load(g, act, loads=4):
    threads = [Load(g.port) for _ in range(loads)]
    for t in threads:
        t.start()
    try:
        act()
    finally:
        for t in threads:
            t.over = True
        for t in threads:
            t.join()
    assert [x for t in threads for x in t.trouble] == []
    return sum(t.sent for t in threads)


def test_nobody_is_turned_away_while_it_reloads(mx):
    def act():
        for _ in range(5):
            assert mx.run_ctl("reload").returncode == 0
    sent = under_load(mx, act)
    assert sent > 0
    mx.deliveries("alice", sent)


@watched.by_valgrind
def test_upgrade(tmp_path, dns):
    """The file is another one; the process stays the same, and nobody is refused."""
    binary = tmp_path / "smtpd"
    shutil.copy(BUILD / "smtpd", binary)
    own(binary)
    with Genkan(tmp_path / "mx", DOMAIN % '"alice"', dns=dns, binary=binary) as g:
        pid, roles = g.process.pid, set(g.pids().values())

        def act():
            new = tmp_path / "smtpd.new"
            shutil.copy(BUILD / "smtpd", new)
            own(new)
            os.rename(new, binary)
            assert g.run_ctl("upgrade").returncode == 0
            assert g.run_ctl("queue", "list").returncode == 0  # who asks next, asks the new one
            wait_for(lambda: g.process.poll() is None and len(g.log("master.started")) == 2, "the new binary")
        sent = under_load(g, act)
        assert g.process.pid == pid and not set(g.pids().values()) & roles
        assert os.path.samefile(f"/proc/{pid}/exe", binary)
        assert sent > 0
        g.deliveries("alice", sent)


@watched.by_valgrind
def test_an_upgrade_that_cannot_run_is_none(tmp_path, dns):
    binary = tmp_path / "smtpd"
    shutil.copy(BUILD / "smtpd", binary)
    own(binary)
    with Genkan(tmp_path / "mx", DOMAIN % '"alice"', dns=dns, binary=binary) as g:
        os.unlink(binary)
        binary.write_text("no program\n")
        binary.chmod(0o755)
        done = g.run_ctl("upgrade")
        assert done.returncode == 1 and "new binary" in done.stderr
        with Client(g.port) as c:
            assert c.mail("a@client.example", "alice@example.org").code == 250
        g.deliveries("alice", 1)


@pytest.mark.parametrize("line", ["MAIL FROM:<a@client.example>", "RCPT TO:<alice@example.org>"])
def test_an_answer_that_comes_after_the_good_bye(tmp_path, dns, line):
    """The address book is slow; who asked it is told to come back, and then it answers."""
    conf = DOMAIN % '"alice"' + 'relay { from { 192.0.2.1 } }\naccounts { "alice" = "{PLAIN}x" }\n'
    with Genkan(tmp_path, conf, dns=dns, listen="submission xclient from { 127.0.0.0/8 }") as g:
        lookup, = g.pids("lookup")
        with Client(g.port) as c:
            c.say("EHLO client.example")
            assert c.say("XCLIENT LOGIN=alice").code == 220
            c.say("EHLO client.example")
            if line.startswith("RCPT"):
                assert c.say("MAIL FROM:<alice@example.org>").code == 250
            os.kill(lookup, signal.SIGSTOP)
            c.send(line.replace("a@client.example", "alice@example.org") + "\r\n")
            wait_for(lambda: not unread(c), "the command to be read")
            g.process.send_signal(signal.SIGTERM)
            assert c.reply().code == 421
            os.kill(lookup, signal.SIGCONT)
            g.process.wait()  # the client stays, and so does his session, for a moment
        assert not g.log("process.fatal")


def test_the_log_changes_for_everybody(mx):
    """The queue and the ledger, which a reload does not renew, change with the others, and so does who retires."""
    def said_by(role, form):
        """Events of ROLE since the last call, in that form."""
        text = mx.log_text()[said_by.at:]
        if form == "json":
            lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
            return {line["event"] for line in lines if line["role"] == role}
        return set(re.findall(rf"^\S+ {role}\[\d+\] \w+ (\S+)", text, re.M))

    def use(number):
        with Client(mx.port) as c:
            assert c.mail("a@client.example", "alice@example.org").code == 250
        mx.deliveries("alice", number)
        assert mx.run_ctl("grey", "allow", f"192.0.2.{number}").returncode == 0

    with Client(mx.port) as old:
        for number, (before, after, form, other) in enumerate((("log stderr json", "log stderr", "text", "json"),
                                                               ("log stderr", "log stderr json", "json", "text")), 1):
            change(mx, before, after)
            assert mx.run_ctl("reload").returncode == 0
            said_by.at = len(mx.log_text())
            use(number)
            if number == 1:
                old.say("QUIT")
            for role, event in (("queue", "queue.delivered"), ("session", "session.closed")):
                wait_for(lambda: event in said_by(role, form), f"{event} as {form}: " + mx.log_text()[said_by.at:])
            wait_for(lambda: said_by("ledger", form), f"the ledger as {form}: " + mx.log_text()[said_by.at:])
            assert not any(said_by(role, other) for role in ("master", "queue", "ledger", "session", "local"))
