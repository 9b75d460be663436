"""SMTPUTF8, DSN, FUTURERELEASE, DELIVERBY, LIMITS: RFC 6531, 3461, 4865, 2852, 9422."""
import re

import pytest

from genkan import Client, Genkan, free_port, wait_for
from smtppeer import SmtpPeer

NAME = "田中@例え.jp"
CONF = """
gate { }
limit errors 20
limit lifetime 2d
listen on 127.0.0.1 port $submission submission
relay {
	from { 127.0.0.9 }
	route "*" to "[127.0.0.1]:9"
}
domain "example.org" {
	users { "alice", "田中" }
	deliver maildir "$$mail/%{user}"
}
domain "xn--r8jz45g.jp" {
	users { "田中" }
	deliver maildir "$$mail/%{user}"
}
"""


@pytest.fixture(scope="module")
def mx(tmp_path_factory):
    port = free_port()
    conf = CONF.replace("$submission", str(port)).replace("$$", "$")
    with Genkan(tmp_path_factory.mktemp("extensions"), conf) as server:
        server.submission = port
        yield server


@pytest.fixture
def c(mx):
    with Client(mx.port) as client:
        client.offered = set(client.say("EHLO client.example").text.splitlines()[1:])
        yield client


@pytest.fixture
def member(mx):
    """At the submission port, from where relaying is allowed."""
    with Client(mx.submission, source="127.0.0.9") as client:
        client.offered = set(client.say("EHLO client.example").text.splitlines()[1:])
        yield client


def words(offered):
    return {line.split()[0] for line in offered}


# --- what is offered ---

def test_limits(c):  # RFC 9422 4
    assert "LIMITS MAILMAX=1000 RCPTMAX=1000" in c.offered


def test_only_submitters_may_hold(c, member):  # RFC 4865 4.2 2); RFC 2852
    assert not words(c.offered) & {"FUTURERELEASE", "DELIVERBY"}
    assert words(member.offered) >= {"FUTURERELEASE", "DELIVERBY"}
    for parameter in ("HOLDFOR=60", "HOLDUNTIL=2099-01-01T00:00:00Z", "BY=60;N"):
        assert c.say(f"MAIL FROM:<a@b.example> {parameter}").code == 555


# --- SMTPUTF8 ---

def test_unannounced_letters_are_refused(c):  # RFC 6531 3.4, 3.5
    for line in (f"MAIL FROM:<{NAME}>", f"MAIL FROM:<a@例え.jp>"):
        reply = c.say(line)
        assert (reply.code, reply.text.split()[0]) == (553, "5.6.7")
    assert c.say("MAIL FROM:<a@b.example>").code == 250
    reply = c.say(f"RCPT TO:<{NAME}>")
    assert (reply.code, reply.text.split()[0]) == (553, "5.6.7")


@pytest.mark.parametrize("line, code", [
    (f"MAIL FROM:<{NAME}> SMTPUTF8", 250), ("MAIL FROM:<a@b.example> SMTPUTF8", 250), ("MAIL FROM:<> SMTPUTF8", 250),
    ("MAIL FROM:<a@b.example> SMTPUTF8=yes", 501), (b"MAIL FROM:<\xff@b.example> SMTPUTF8", 501),
    (b"MAIL FROM:<\xed\xa0\x80@b.example> SMTPUTF8", 501), (b"MAIL FROM:<\xc2\x85@b.example> SMTPUTF8", 501),
    (b"EHLO \xe4\xbe\x8b.jp", 501), (b"M\xc3\xa4IL FROM:<a@b.example>", 500), ("VRFY alice SMTPUTF8", 252),
])
def test_utf8_in_commands(c, line, code):
    c.send(line if isinstance(line, bytes) else line.encode())
    c.send(b"\r\n")
    assert c.reply().code == code


def test_helo_has_no_smtputf8(mx):  # 3.1
    with Client(mx.port) as c:
        c.say("HELO client.example")
        assert c.say("MAIL FROM:<a@b.example> SMTPUTF8").code == 555


def test_utf8_to_the_maildir(mx, c):
    text = "From: 田中 <田中@例え.jp>\r\nSubject: 件名\r\n\r\n本文\r\n"
    assert c.say(f"MAIL FROM:<{NAME}> SMTPUTF8").code == 250
    assert c.say(f"RCPT TO:<{NAME}>").code == 250
    assert c.say("DATA").code == 354
    c.send(text + ".\r\n")
    assert c.reply().code == 250
    message, = mx.deliveries("田中", 1)
    assert message.endswith(text.replace("\r\n", "\n").encode())
    assert b" with UTF8SMTP id " in message  # RFC 6531 4.3


def test_unknown_utf8_recipient(c):  # 3.7.4: replies stay ASCII
    assert c.say("MAIL FROM:<a@b.example> SMTPUTF8").code == 250
    assert c.say("RCPT TO:<鈴木@example.org>").code == 550


class TestNextHop:
    CONF = """
gate { }
relay {
	from { 127.0.0.1 }
	route "*" to "[127.0.0.1]:$next"
}
domain "example.org" {
	users { "alice" }
	deliver maildir "$$mail/%{user}"
}
"""

    def test_goes_on_as_it_is(self, place, mx):
        with Genkan(place, self.CONF.replace("$next", str(mx.port)).replace("$$", "$")) as first:
            before = len(mx.messages("田中"))
            with Client(first.port) as c:
                c.say("EHLO client.example")
                assert c.say("MAIL FROM:<alice@example.org> SMTPUTF8").code == 250
                assert c.say(f"RCPT TO:<{NAME}>").code == 250
                assert c.say("DATA").code == 354
                c.send("Subject: 件名\r\n\r\n本文\r\n.\r\n")
                assert c.reply().code == 250
            message = mx.deliveries("田中", before + 1)[-1]
            assert "Subject: 件名\n\n本文\n".encode() in message
            assert message.count(b" with UTF8SMTP id ") == 2


# --- DSN ---

@pytest.mark.parametrize("parameter, code", [
    ("RET=FULL", 250), ("RET=hdrs", 250), ("RET=", 501), ("RET", 501), ("RET=BODY", 501), ("ENVID=QQ+2B314159", 250),
    ("ENVID=", 501), ("ENVID=a+0Ab", 501), ("ENVID=a+b", 501), ("ENVID=" + "x" * 100, 250), ("ENVID=" + "x" * 101, 501),
    ("RET=FULL RET=FULL", 501), ("RET=FULL ENVID=x SIZE=10 BODY=7BIT", 250), ("NOTIFY=NEVER", 555),
])
def test_dsn_of_mail(c, parameter, code):  # RFC 3461 4.3 to 4.5
    assert c.say(f"MAIL FROM:<a@b.example> {parameter}").code == code


@pytest.mark.parametrize("parameter, code", [
    ("NOTIFY=NEVER", 250), ("NOTIFY=success,FAILURE,Delay", 250), ("NOTIFY=NEVER,SUCCESS", 501), ("NOTIFY=", 501),
    ("NOTIFY", 501), ("NOTIFY=SUCCESS NOTIFY=DELAY", 501), ("ORCPT=rfc822;bob+2Btag@b.example", 250), ("ORCPT=rfc822;", 501),
    ("ORCPT=bob@b.example", 501), ("ORCPT=rfc822;a+0D+0AX", 501), ("ORCPT=x400;/S+3Dx/", 250), ("RET=FULL", 555),
    ("ORCPT=rfc822;" + "x" * 494, 501), ("NOTIFY=DELAY ORCPT=rfc822;bob@b.example", 250),
])
def test_dsn_of_rcpt(c, parameter, code):  # RFC 3461 4.1, 4.2
    c.say("MAIL FROM:<a@b.example>")
    assert c.say(f"RCPT TO:<alice@example.org> {parameter}").code == code


def test_one_recipients_wishes_are_not_anothers(mx, member):
    member.say("MAIL FROM:<a@b.example> ENVID=wishes RET=HDRS")
    assert member.say("RCPT TO:<x@next.example> NOTIFY=NEVER ORCPT=rfc822;old@b.example").code == 250
    assert member.say("RCPT TO:<y@next.example>").code == 250
    assert member.say("DATA").code == 354
    member.send("From: <a@b.example>\r\nSubject: x\r\n\r\n.\r\n")
    queued = re.search(r"queued as (\w+)", member.reply().text).group(1)
    message, x, y = mx.ctl("queue", "show", queued)[:3]
    assert message["envid"] == "wishes"
    assert (x["original"], y.get("original")) == ("rfc822;old@b.example", None)
    mx.ctl("queue", "remove", queued)


# --- FUTURERELEASE ---

@pytest.mark.parametrize("parameter, code", [
    ("HOLDFOR=60", 250), ("HOLDFOR=172800", 250), ("HOLDFOR=172801", 501), ("HOLDFOR=0", 501), ("HOLDFOR=x", 501),
    ("HOLDFOR=60 HOLDFOR=60", 501), ("HOLDFOR=60 HOLDUNTIL=2099-01-01T00:00:00Z", 501), ("HOLDUNTIL=2099-01-01T00:00:00Z", 501),
    ("HOLDUNTIL=2001-01-01T00:00:00Z", 501), ("HOLDUNTIL=tomorrow", 501), ("HOLDFOR=600 BY=60;R", 501), ("HOLDFOR=60 BY=600;R", 250),
])
def test_hold(member, parameter, code):  # RFC 4865 4.2 7) to 11), 5.2.2
    reply = member.say(f"MAIL FROM:<a@b.example> {parameter}")
    assert reply.code == code
    if code == 501:
        assert reply.text.startswith("5.5.4")


def test_held_until_its_time(place):  # RFC 4865 4.2 5)
    port = free_port()
    with Genkan(place, CONF.replace("$submission", str(port)).replace("$$", "$")) as mx, Client(port, source="127.0.0.9") as c:
        c.say("EHLO client.example")
        assert c.say("MAIL FROM:<a@b.example> HOLDFOR=3600").code == 250
        c.say("RCPT TO:<alice@example.org>")
        c.say("DATA")
        c.send("From: <a@b.example>\r\nSubject: later\r\n\r\n.\r\n")
        queued = re.search(r"queued as (\w+)", c.reply().text).group(1)
        show = mx.ctl("queue", "show", queued)
        assert show[0]["hold"] == "for;3600"
        assert 3590 <= show[1]["due"] - show[0]["time"] <= 3600
        mx.advance(3500)
        assert c.mail("a@b.example", "alice@example.org", text="From: <a@b.example>\r\nSubject: now\r\n\r\n").code == 250
        assert b"Subject: now" in mx.deliveries("alice", 1)[0]
        mx.advance(110)
        assert len(mx.deliveries("alice", 2)) == 2
        wait_for(lambda: not mx.queue(), "an empty queue")


# --- DELIVERBY ---

def notices(mx, about):
    return [m for m in mx.messages("alice") if about in m and b"multipart/report" in m]


def send_by(c, by, subject, rcpt="", to="somebody@far.example"):
    assert c.say(f"MAIL FROM:<alice@example.org> BY={by}").code == 250
    assert c.say(f"RCPT TO:<{to}> {rcpt}").code == 250
    c.say("DATA")
    c.send(f"From: <alice@example.org>\r\nSubject: {subject}\r\n\r\n.\r\n")
    assert c.reply().code == 250


def test_time_is_over(place):  # RFC 2852 4.1.3
    port = free_port()
    with Genkan(place, CONF.replace("$submission", str(port)).replace("$$", "$")) as mx, Client(port, source="127.0.0.9") as c:
        c.say("EHLO client.example")
        for by, subject, rcpt in (("60;R", "mark-return", ""), ("60;N", "mark-notify", ""), ("60;R", "mark-never", "NOTIFY=NEVER"),
                                  ("60;N", "mark-failure", "NOTIFY=FAILURE"), ("90000;N", "mark-later", "NOTIFY=DELAY")):
            send_by(c, by, subject, rcpt)
        wait_for(lambda: len(mx.log("queue.deferred")) >= 5, "the first attempts")
        mx.advance(70)
        failed = wait_for(lambda: notices(mx, b"mark-return"), "the notice of failure")[0]
        assert b"\nAction: failed\n" in failed and b"\nStatus: 5.4.7\n" in failed and b"\nDeliver-By-Date: " in failed
        delayed = wait_for(lambda: notices(mx, b"mark-notify"), "the notice of delay")[0]
        assert b"\nAction: delayed\n" in delayed and b"\nStatus: 4.4.7\n" in delayed
        mx.advance(20000)  # the usual notice of delay is nobody's who said when
        mx.ctl("queue", "flush", "all")
        mx.advance(80000)
        later = wait_for(lambda: notices(mx, b"mark-later"), "the other notice of delay")[0]
        assert b"\nStatus: 4.4.7\n" in later
        assert [len(notices(mx, m)) for m in (b"mark-return", b"mark-notify", b"mark-never", b"mark-failure", b"mark-later")] == \
            [1, 1, 0, 0, 1]


def test_who_does_not_know_by_when_is_asked_to_tell(place):  # RFC 2852 4.1.4.2
    port = free_port()
    with SmtpPeer(offers=("DSN",)) as peer:
        conf = CONF.replace("$submission", str(port)).replace("]:9", f"]:{peer.port}").replace("$$", "$")
        with Genkan(place, conf) as mx, Client(port, source="127.0.0.9") as c:
            c.say("EHLO client.example")
            for by, rcpt in (("60;N", ""), ("60;N", "NOTIFY=SUCCESS"), ("60;N", "NOTIFY=NEVER"), ("-60;N", "")):
                send_by(c, by, "by", rcpt)
            peer.await_messages(4)
            asked = sorted(line.partition("NOTIFY=")[2] for s in peer.sessions for line in s.commands if line.startswith("RCPT"))
            assert asked == ["", "FAILURE,DELAY", "NEVER", "SUCCESS,DELAY"]
            wait_for(lambda: len(notices(mx, b"relayed")) == 3, "the notices that it was relayed")


@pytest.mark.parametrize("parameter, code", [
    ("BY=120;R", 250), ("BY=-120;N", 250), ("BY=0;R", 501), ("BY=-1;R", 501), ("BY=120", 501), ("BY=120;RT", 250), ("BY", 501),
])
def test_by(member, parameter, code):  # RFC 2852 4
    assert member.say(f"MAIL FROM:<a@b.example> {parameter}").code == code


# --- ETRN ---

CUSTOMER = """
gate { }
domain "example.org" {
	users { "alice" }
	deliver maildir "$mail/%{user}"
}
domain "customer.example" { relay to "[127.0.0.1]:$port2" }
"""


def test_etrn(tmp_path_factory):  # RFC 1985 5
    port = free_port()
    own = 'gate { }\ndomain "customer.example" {\n\tusers { "dora" }\n\tdeliver maildir "$mail/%{user}"\n}\n'
    with Genkan(tmp_path_factory.mktemp("etrn"), CUSTOMER.replace("$port2", str(port))) as mx, Client(mx.port) as c:
        assert "ETRN" in c.say("EHLO client.example").text.splitlines()
        assert c.mail("a@b.example", "dora@customer.example", helo=None).code == 250
        mx.await_log("queue.deferred", to="dora@customer.example")
        for node, code in (("example.org", 459), ("elsewhere.example", 459), ("#uucp", 459), ("not a node", 501), ("[127.0.0.1]", 501)):
            assert c.say(f"ETRN {node}").code == code
        assert c.say("ETRN").code == 501
        with Genkan(tmp_path_factory.mktemp("customer"), own, host="mx.customer.example", port=port) as customer:
            assert c.say("ETRN CUSTOMER.example").code == 250
            assert b"Subject: test" in customer.deliveries("dora", 1)[0]
            assert c.say("ETRN @example").code == 458  # a moment ago
            c.say("MAIL FROM:<a@b.example>")
            assert c.say("ETRN customer.example").code == 503


def test_help_names_what_is_there(c):  # RFC 5321 4.1.1.8
    assert "ETRN" not in c.say("HELP").text and " BDAT " in c.say("HELP").text and "XCLIENT" not in c.say("HELP").text


def test_etrn_is_not_for_submission(tmp_path):  # RFC 6409 7
    with Genkan(tmp_path, CUSTOMER.replace("$port2", "9"), listen="submission") as mx, Client(mx.port) as c:
        assert "ETRN" not in c.say("EHLO client.example").text
        assert c.say("ETRN customer.example").code == 502


def test_etrn_is_for_servers_with_customers(c):
    assert "ETRN" not in words(c.offered)
    assert c.say("ETRN example.org").code == 502
