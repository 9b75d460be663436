"""A return path of its own for each recipient (XVERP, as Postfix's VERP_README has it): asked for by SMTP and by sendmail, kept
through crashes and exports, seen by the next server and in mailboxes, and told of failures."""
import email
import email.policy
import itertools
import os
import signal
import subprocess
import threading

from genkan import BUILD, Client, Genkan, as_user, wait_for
from smtppeer import SmtpPeer

CONF = """
table aliases { "away" = "carol@partner.example" }
gate { }
relay {
	from { 127.0.0.1 }
	route "*" to "[127.0.0.1]:%d"
}
domain "example.org" {
	aliases <aliases>
	users { "owner", "alice" }
	deliver maildir "$mail/%%{user}"
}
"""


def start(tmp_path, peer):
    return Genkan(tmp_path / "mx", CONF % peer.port)


def post(mx, recipients, parameter="XVERP", sender="owner@example.org"):
    with Client(mx.port) as c:
        assert "XVERP" in c.say("EHLO client.example").text.split()
        assert c.say(f"MAIL FROM:<{sender}> {parameter}").code == 250
        for recipient in recipients:
            assert c.say(f"RCPT TO:<{recipient}>").code == 250
        assert c.say("DATA").code == 354
        c.send("Subject: post\r\n\r\n..hello\r\n.\r\n")
        assert c.reply().code == 250


def seen(peer):
    """{recipient: sender} at the peer; each has a transaction of his own."""
    found = {}
    for message in peer.messages:
        [recipient] = message.recipients
        assert "\n.hello" in message.text
        found[recipient[9:-1]] = message.sender.split()[1][6:-1]
    return found


def test_everywhere(tmp_path):
    with SmtpPeer(replies={"RCPT": lambda line: "550 5.1.1 who" if "nobody" in line else None}) as peer:
        with start(tmp_path, peer) as mx:
            names = [f"u{i}@partner.example" for i in range(5)]
            post(mx, [*names, "alice@example.org", "away@example.org", "nobody@partner.example"])
            peer.await_messages(6)
            assert seen(peer) == {**{n: f"owner+{n.replace('@', '=')}@example.org" for n in names},
                                  "carol@partner.example": "owner+away=example.org@example.org"}
            # one connection for all, but for what an alias adds
            assert len(peer.sessions) <= 2
            [text] = mx.deliveries("alice", 1)
            assert b"Return-Path: <owner+alice=example.org@example.org>" in text
            # who bounced is told to his own path, and the mailbox behind it hears of it
            [text] = mx.deliveries("owner", 1)
            notice = email.message_from_bytes(text, policy=email.policy.default)
            assert notice["Delivered-To"] == "owner+nobody=partner.example@example.org"
            assert notice["To"] == "owner+nobody=partner.example@example.org"
            assert notice["Return-Path"] == "<>"
            mx.await_empty_queue()


def test_formula(tmp_path):
    with SmtpPeer() as peer, start(tmp_path, peer) as mx:
        post(mx, ["bob@partner.example"], "SIZE=100 XVERP=-=", sender="list-return-7@example.org")
        peer.await_messages(1)
        assert seen(peer) == {"bob@partner.example": "list-return-7-bob=partner.example@example.org"}
        with Client(mx.port) as c:
            c.say("EHLO client.example")
            for parameter in ("XVERP=ab", "XVERP=+", "XVERP=+=-", "XVERP XVERP"):
                assert c.say(f"MAIL FROM:<owner@example.org> {parameter}").code == 501
            assert c.say("MAIL FROM:<> XVERP").code == 501


def test_not_for_strangers(tmp_path):
    with SmtpPeer() as peer, start(tmp_path, peer) as mx:
        with Client(mx.port, source="127.0.1.5") as c:
            assert "XVERP" not in c.say("EHLO client.example").text
            assert c.say("MAIL FROM:<owner@example.org> XVERP").code == 555


def test_kept(tmp_path):
    """Through a crash, and through an export and import; what shows the message says so."""
    with SmtpPeer() as peer, start(tmp_path, peer) as mx:
        mx.ctl("pause", "out")
        names = [f"u{i}@partner.example" for i in range(300)]
        post(mx, names)
        mx.ctl("queue", "hold", "all")
        mx.kill()
        mx.start()
        [line] = mx.queue()
        assert line["state"] == "held" and line["waiting"] == 300 and line["sender"] == "owner@example.org"
        assert mx.ctl("queue", "show", line["message"])[0]["verp"] == "+="
        folder = mx.dir / "export"
        mx.ctl("queue", "export", folder, "all")
        mx.ctl("queue", "remove", "all")
        mx.ctl("queue", "import", folder)
        assert {mx.ctl("queue", "show", entry["message"])[0]["verp"] for entry in mx.queue()} == {"+="}
        mx.ctl("queue", "release", "all")
        mx.ctl("resume", "out")
        peer.await_messages(300)
        assert seen(peer) == {n: f"owner+{n.replace('@', '=')}@example.org" for n in names}
        mx.await_empty_queue()


def test_sendmail(tmp_path):
    with SmtpPeer() as peer, start(tmp_path, peer) as mx:
        for option, sender in (("-XV", "owner+bob=partner.example@example.org"),
                               ("-XV-=", "owner-bob=partner.example@example.org")):
            subprocess.run([BUILD / "smtpctl", "-f", mx.conf_path, "sendmail", option, "-f", "owner@example.org",
                            "bob@partner.example"], input="Subject: x\n\n.hello\n", text=True, check=True, env=mx.env, **as_user())
            wait_for(lambda: seen(peer).get("bob@partner.example") == sender, f"mail from {sender}")


def test_servers_that_have_enough(tmp_path):
    """A server that takes some of the recipients and says 421 is called again at once for the others; and no connection has more
    than a hundred transactions."""
    mails = itertools.count(1)
    with SmtpPeer(replies={"MAIL": lambda _: "421 4.7.0 enough for now" if next(mails) % 7 == 0 else None}) as peer, \
            start(tmp_path, peer) as mx:
        names = [f"u{i}@partner.example" for i in range(40)]
        post(mx, names)
        peer.await_messages(40)
        mx.await_empty_queue()
        assert sorted(seen(peer)) == sorted(names) and len(peer.messages) == 40
        assert not mx.log("queue.deferred")
        peer.replies.clear()
        names = [f"many{i}@partner.example" for i in range(450)]
        post(mx, names)
        peer.await_messages(490)
        assert max(sum(c.startswith("MAIL") for c in session.commands) for session in peer.sessions) <= 100
        mx.await_empty_queue()
        assert not mx.log("queue.deferred")


def test_a_queue_that_dies(tmp_path):
    """Who has no result when the queue goes away is sent to again by the next one, and by nobody else meanwhile: with a hundred
    transactions in a job only those under way can arrive twice."""
    go_on, dots = threading.Event(), itertools.count()

    def dot(_):
        if next(dots) >= 10:
            go_on.wait(30)

    with SmtpPeer(replies={".": dot}) as peer, start(tmp_path, peer) as mx:
        names = [f"u{i}@partner.example" for i in range(250)]
        post(mx, names)
        peer.await_messages(10)
        [pid] = mx.pids("queue")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: mx.pids("queue") not in ([], [pid]), "another queue")
        under_way = len(peer.sessions)
        go_on.set()
        mx.await_empty_queue()
        assert seen(peer) == {n: f"owner+{n.replace('@', '=')}@example.org" for n in names}
        assert len(peer.messages) - len(names) <= 2 * under_way
