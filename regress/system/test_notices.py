"""What senders are told, end to end: RFC 3461 asked for over SMTP and by sendmail, RFC 3464 answered into their mailboxes."""
import email
import email.policy
import pathlib
import shutil
import tempfile

import pytest

from genkan import Client, Genkan, own, wait_for

FRONT = """
table aliases {
	"team" = "alice, carol",
	"carol" = "alice"
}
gate { }
limit retry-first 1s
relay {
	from { 127.0.0.0/8 }
	route "behind.example" to "[127.0.0.1]:%d"
	route "*" to "[127.0.0.1]:9"
}
domain "example.org" {
	aliases <aliases>
	users { "alice", "bob", "root" }
	deliver maildir "$mail/%%{user}"
}
domain "mx.example.org" {
	users { "root", "postmaster" }
	deliver maildir "$mail/%%{user}"
}
"""
BEHIND = """
gate { }
relay { from { 127.0.0.0/8 } }
domain "behind.example" {
	users { "dora" }
	deliver maildir "$mail/%{user}"
}
"""


@pytest.fixture(scope="module")
def servers():
    place = pathlib.Path(tempfile.mkdtemp(prefix="genkan-"))
    place.chmod(0o755)
    own(place)
    with Genkan(place / "behind", BEHIND, host="mx.behind.example") as behind:
        with Genkan(place / "front", FRONT % behind.port) as front:
            yield front, behind
    shutil.rmtree(place, ignore_errors=True)


def send(mx, recipients, mail="", sender="bob@example.org"):
    """RECIPIENTS: {address: parameters}"""
    with Client(mx.port) as c:
        assert c.say("EHLO client.example").code == 250
        assert c.say(f"MAIL FROM:<{sender}> {mail}".rstrip()).code == 250
        for address, parameters in recipients.items():
            reply = c.say(f"RCPT TO:<{address}> {parameters}".rstrip())
            assert reply.code == 250, reply
        assert c.say("DATA").code == 354
        c.send("From: bob@example.org\r\nSubject: tea\r\n\r\nsecret\r\n.\r\n")
        assert c.reply().code == 250


def told(mx, user="bob"):
    """The next notice to USER, as [(final recipient, action, status)], and all of it."""
    def look():
        found = mx.messages(user)
        return found[told.seen.get(user, 0):] or None
    new = wait_for(look, f"a notice to {user}: " + mx.log_text()[-3000:])
    told.seen[user] = told.seen.get(user, 0) + len(new)
    assert len(new) == 1
    notice = email.message_from_bytes(new[0], policy=email.policy.default)
    assert notice.get_content_type() == "multipart/report"
    assert notice["Auto-Submitted"] == "auto-replied" and notice["Return-Path"] == "<>"
    words, status, original = notice.iter_parts()
    assert words.get_content_type() == "text/plain"
    return [(b["Final-Recipient"].split(";")[1].strip(), b["Action"], b["Status"]) for b in status.get_payload()[1:]], new[0]


told.seen = {}


def has_dsn(mx):
    with Client(mx.port) as c:
        return "DSN" in c.say("EHLO client.example").text.split()


def test_delivered(servers):
    front, _ = servers
    if not has_dsn(front):
        pytest.skip("this server does not offer DSN")
    send(front, {"alice@example.org": "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Alice@example.org"}, "RET=HDRS ENVID=QQ1")
    reports, text = told(front)
    assert reports == [("alice@example.org", "delivered", "2.0.0")]
    assert b"Original-Recipient: rfc822; Alice@example.org" in text and b"Original-Envelope-Id: QQ1" in text
    assert b"Subject: tea" in text and b"secret" not in text


def test_expanded(servers):
    front, _ = servers
    if not has_dsn(front):
        pytest.skip("this server does not offer DSN")
    send(front, {"team@example.org": "NOTIFY=SUCCESS"})
    assert told(front)[0] == [("team@example.org", "expanded", "2.0.0")]


def test_the_next_server_tells(servers):
    """It offers DSN: the notice is its own, and there is one only."""
    front, behind = servers
    if not has_dsn(behind):
        pytest.skip("this server does not offer DSN")
    send(front, {"dora@behind.example": "NOTIFY=SUCCESS"})
    wait_for(lambda: behind.messages("dora"), "the delivery")
    notice = wait_for(lambda: behind.log("queue.notice"), "its notice: " + behind.log_text()[-2000:])[0]
    assert notice["kind"] == "success" and notice["to"] == "bob@example.org"
    front.await_empty_queue()
    assert not [n for n in front.log("queue.notice") if n["message"] == notice["message"]]


def test_never(servers):
    front, _ = servers
    if not has_dsn(front):
        pytest.skip("this server does not offer DSN")
    send(front, {"nobody@behind.example": "NOTIFY=NEVER"})
    failed = front.await_log("queue.failed", to="nobody@behind.example")
    front.await_empty_queue()
    assert not [n for n in front.log("queue.notice") if n["message"] == failed["message"]]


def test_failure_and_nobody_to_tell(servers):
    front, _ = servers
    send(front, {"nobody@behind.example": ""})
    reports, text = told(front)
    assert reports[0][:2] == ("nobody@behind.example", "failed") and reports[0][2].startswith("5.")
    assert b"Diagnostic-Code: smtp; 550" in text and b"Remote-MTA: dns;" in text
    send(front, {"nobody@behind.example": ""}, sender="")
    front.await_log("queue.double_bounce", to="nobody@behind.example")
    front.await_empty_queue()
    found = front.messages("postmaster") + front.messages("root")
    assert len(found) == 1 and b"nobody@behind.example" in found[0] and b"secret" in found[0]


def test_delay_once(servers):
    front, _ = servers
    send(front, {"x@elsewhere.example": ""})
    wait_for(lambda: front.queue() and front.queue()[0]["reason"], "the first attempt")
    front.advance(5 * 3600)
    reports, _ = told(front)
    assert reports == [("x@elsewhere.example", "delayed", "4.4.1")]
    front.advance(5 * 3600)
    front.ctl("queue", "flush", "all")
    front.advance(6 * 86400)
    reports, text = told(front)  # the next one is the last
    assert reports == [("x@elsewhere.example", "failed", "4.4.7")]
