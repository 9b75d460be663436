"""Submission (RFC 6409): who may send, as whom, and what is done to a message."""
import email.utils
import re
import time

import pytest

from genkan import Client, Genkan, certificate, wait_for
from test_auth import BASE, LISTEN, PLAIN, connect, mechanisms, plain, server

SENDERS = PLAIN.rstrip("\n") + ' senders { "bob" = "news@list.example, partner.example", "carol" = "*" }\n'
SENDERS = SENDERS.replace('"bob" = "{PLAIN}builder"', '"bob" = "{PLAIN}builder", "carol" = "{PLAIN}x"')


@pytest.fixture(scope="module")
def mx(tmp_path_factory):
    with server(tmp_path_factory.mktemp("submission"), SENDERS) as mx:
        wait_for(lambda: mechanisms(mx, tls=True), "the vault's offer")
        yield mx


def log_in(mx, user="alice", password="wonder land", source=None):
    c = connect(mx, source=source)
    assert c.say("AUTH PLAIN " + plain(user, password)).code == 235
    return c


def submit(mx, text, sender="alice@example.org", user="alice", password="wonder land"):
    """The reply, and the header and body as they were delivered (None: refused)."""
    with log_in(mx, user, password) as c:
        reply = c.mail(sender, "alice@example.org", text, helo=None)
    if reply.code != 250:
        return reply, None, None
    number = reply.text.split()[-1].encode()
    found = wait_for(lambda: [m for m in mx.messages("alice") if number in m], "the delivery")[0]
    header, body = found.split(b"\r\n\r\n" if b"\r\n\r\n" in found else b"\n\n", 1)
    return reply, header.decode().replace("\r\n", "\n"), body.decode().replace("\r\n", "\n")


FROM = "From: Alice <alice@example.org>\r\n"
DATE = "Date: Sun, 22 Nov 2026 10:00:00 +0900\r\n"
ID = "Message-ID: <1@example.org>\r\n"


# --- who ---

def test_strangers_may_not_send(mx):  # RFC 6409 4.3
    for tls in (False, True):
        with connect(mx, tls) as c:
            reply = c.say("MAIL FROM:<alice@example.org>")
            assert reply.code == 530 and reply.text.startswith("5.7.0")
            assert ("STARTTLS" in reply.text) is not tls
            assert c.say("RCPT TO:<alice@example.org>").code == 503


def test_clients_of_relay_from_may(tmp_path):
    conf = PLAIN
    with server(tmp_path, conf) as mx:
        mx.conf_path.write_text(mx.conf_path.read_text().replace("192.0.2.1", "127.0.0.1"))
        mx.stop()
        mx.start()
        with connect(mx, tls=False) as c:
            assert c.mail("anybody@else.example", "alice@example.org", "From: x@y.example\r\n\r\nhello\r\n",
                          helo=None).code == 250
        with connect(mx, tls=False, source="127.0.0.2") as c:
            assert c.say("MAIL FROM:<anybody@else.example>").code == 530


def test_a_member_may_send_to_anybody(mx):
    with log_in(mx) as c:
        assert c.say("MAIL FROM:<alice@example.org>").code == 250
        assert c.say("RCPT TO:<someone@far.example>").code == 250
        assert c.say("RCPT TO:<nobody@example.org>").code == 550
        assert c.say("RSET").code == 250


# --- as whom ---

@pytest.mark.parametrize("user, password, sender, code", [
    ("alice", "wonder land", "alice@example.org", 250),
    ("alice", "wonder land", "Alice@Example.ORG", 250),
    ("alice", "wonder land", "alice+lists@example.org", 250),
    ("alice", "wonder land", "info@example.org", 250),   # an alias that leads to her
    ("alice", "wonder land", "", 250),                   # receipts
    ("alice", "wonder land", "bob@example.org", 550),
    ("alice", "wonder land", "nobody@example.org", 550),
    ("alice", "wonder land", "alice@far.example", 550),
    ("bob", "builder", "info@example.org", 550),
    ("bob", "builder", "news@list.example", 250),        # by the table
    ("bob", "builder", "other@list.example", 550),
    ("bob", "builder", "anybody@partner.example", 250),
    ("bob", "builder", "bob@example.org", 250),          # the table adds
    ("carol", "x", "anybody@anywhere.example", 250),
])
def test_envelope_sender(mx, user, password, sender, code):
    with log_in(mx, user, password) as c:
        reply = c.say(f"MAIL FROM:<{sender}>")
        assert reply.code == code
        if code == 550:
            assert user in reply.text and "5.7.1" in reply.text


@pytest.mark.parametrize("header, code", [
    ("From: info@example.org\r\n", 250),
    ("From: bob@example.org\r\n", 550),
    ("From: Alice <alice@example.org>, Bob <bob@example.org>\r\n", 550),
    ("From: alice@example.org\r\nSender: bob@example.org\r\n", 550),
    ("From: alice@example.org\r\nSender: info@example.org\r\n", 250),
    ("From: \"alice@example.org\" <mallory@far.example>\r\n", 550),
    ("From: alice@example.org (mallory@far.example)\r\n", 250),
])
def test_authors(mx, header, code):
    reply, _, _ = submit(mx, header + DATE + ID + "\r\nhello\r\n")
    assert reply.code == code
    if code == 550:
        assert "5.7.1" in reply.text and "alice" in reply.text


def test_a_refusal_ends_only_the_transaction(mx):
    with log_in(mx) as c:
        assert c.mail("alice@example.org", "alice@example.org", "From: bob@example.org\r\n\r\nx\r\n", helo=None).code == 550
        assert c.mail("alice@example.org", "alice@example.org", FROM + "\r\nx\r\n", helo=None).code == 250


# --- what is done to a message ---

def test_what_is_missing_is_added(mx):  # RFC 6409 8.2, 8.3
    _, header, body = submit(mx, FROM + "Subject: x\r\n\r\nhello\r\n\r\nagain\r\n")
    date = email.utils.parsedate_to_datetime(re.search(r"^Date: (.*)$", header, re.M).group(1))
    assert abs(date.timestamp() - time.time()) < 300
    assert re.search(r"^Message-ID: <[^<>@]+@mx\.example\.org>$", header, re.M)
    assert "\nFrom: Alice <alice@example.org>\nSubject: x\n" in header
    assert body == "hello\n\nagain\n"


def test_what_is_there_stays(mx):
    fields = FROM + DATE + ID + "Subject: =?UTF-8?B?w6k=?=\r\n folded\r\nX-Odd : blank before the colon\r\n"
    _, header, _ = submit(mx, fields + "\r\nhello\r\n")
    assert header.endswith(fields.replace("\r\n", "\n").rstrip("\n"))
    assert header.count("Date:") == header.count("Message-ID:") == 1


@pytest.mark.parametrize("field", ["Date: yesterday", "Date: 22.11.2026", "Date:"])
def test_a_date_that_is_none_is_replaced(mx, field):
    _, header, _ = submit(mx, FROM + field + "\r\n" + ID + "\r\nhello\r\n")
    assert header.count("Date:") == 1
    assert email.utils.parsedate_to_datetime(re.search(r"^Date: (.*)$", header, re.M).group(1))


@pytest.mark.parametrize("field", ["Message-ID: 1@example.org", "Message-ID: <1>", "Message-ID: <a@b> <c@d>"])
def test_an_id_that_is_none_is_replaced(mx, field):
    _, header, _ = submit(mx, FROM + DATE + field + "\r\n\r\nhello\r\n")
    assert re.findall(r"^Message-ID: (.*)$", header, re.M) != [field[12:]]
    assert header.count("Message-ID:") == 1


def test_bcc_does_not_go_out(mx):
    _, header, _ = submit(mx, FROM + "Bcc: secret@far.example,\r\n other@far.example\r\nTo: bob@example.org\r\n"
                          "bcc:again@far.example\r\nResent-Bcc: third@far.example\r\nReturn-Path: <x@y.example>\r\n\r\nx\r\n")
    assert "far.example" not in header and "y.example" not in header
    assert "\nTo: bob@example.org\n" in header


def test_addresses_get_a_domain(mx):
    _, header, _ = submit(mx, "From: Alice <alice@example.org>\r\nTo: bob, Carol <carol>,\r\n dora@far.example\r\n"
                          "Cc: erin (the cat)\r\n\r\nx\r\n")
    assert "To: bob@mx.example.org, Carol <carol@mx.example.org>,\n dora@far.example\n" in header
    assert "Cc: erin@mx.example.org (the cat)" in header


def test_a_sender_for_several_authors(mx):  # RFC 5322 3.6.2
    _, header, _ = submit(mx, "From: alice@example.org, info@example.org\r\n\r\nx\r\n")
    assert "\nSender: alice@example.org" in header


@pytest.mark.parametrize("text, what", [
    ("Subject: x\r\n\r\nhello\r\n", "no From"),
    ("\r\nhello\r\n", "no From"),
    ("hello\r\n", "no header field"),
    (FROM + FROM + "\r\nx\r\n", "From is there twice"),
    (FROM + DATE + DATE + "\r\nx\r\n", "Date is there twice"),
    (FROM + ID + ID + "\r\nx\r\n", "Message-ID is there twice"),
    (FROM + "Subject: a\r\nsubject: b\r\n\r\nx\r\n", "Subject is there twice"),
    (FROM + "To: a@b.example\r\nTo: b@b.example\r\n\r\nx\r\n", "To is there twice"),
    (FROM + "Cc: a@b.example\r\nCC: b@b.example\r\n\r\nx\r\n", "Cc is there twice"),
    (FROM + "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx\r\n", "Content-Type is there twice"),
    ("From: undisclosed:;\r\n\r\nx\r\n", "names nobody"),
    ("From:\r\n\r\nx\r\n", "names nobody"),
    ("From: <alice@example.org\r\n\r\nx\r\n", "cannot be read"),
    ("From: a b@@example.org\r\n\r\nx\r\n", "From"),
    ("From alice Sun Nov 22\r\n" + FROM + "\r\nx\r\n", "line 1 is no header field"),
    (FROM + "no colon here\r\n\r\nx\r\n", "line 2 is no header field"),
    (FROM + "Subject: " + "x" * 990 + "\r\n\r\nx\r\n", "line 2, in the header, is longer"),
    (FROM + "\r\nok\r\n" + "x" * 999 + "\r\n", "line 4 is longer"),
])
def test_what_receivers_refuse(mx, text, what):  # RFC 5322 3.6, 2.1.1
    reply, _, _ = submit(mx, text)
    assert reply.code == 554 and "5.6.0" in reply.text
    assert what in reply.text


def test_whole_domains_only(mx):  # RFC 6409 4.2
    with log_in(mx, "carol", "x") as c:
        for sender, code in (("carol@sales", 554), ("carol@localhost", 554), ("carol@[192.0.2.1]", 250), ("c@far.example", 250)):
            assert c.say(f"MAIL FROM:<{sender}>").code == code
            c.say("RSET")
        c.say("MAIL FROM:<c@far.example>")
        for to, code in (("bob@sales", 554), ("postmaster", 250), ("alice@localhost", 250), ("x@[192.0.2.1]", 250), ("x@a.b", 250)):
            reply = c.say(f"RCPT TO:<{to}>")
            assert reply.code == code and (code == 250 or reply.text.startswith("5.1.2 "))


def test_lines_that_just_fit(mx):
    line = "x" * 998 + "\r\n"
    reply, _, body = submit(mx, FROM + "Subject: " + "y" * 989 + "\r\n\r\n" + line + line)
    assert reply.code == 250 and body == line.replace("\r\n", "\n") * 2


def test_bare_line_feeds_are_mended(mx):  # RFC 6409 8; curl -T sends files so
    text = (FROM + "Bcc: secret@far.example,\r\n more@far.example\r\n" + ID + "\r\nhello\r\nend\r\n").replace("\r\n", "\n")
    for wanted in (text, text.replace("hello\n", "hello\r\n"), text.replace("hello\n", "hel\rlo\n")):
        reply, header, body = submit(mx, wanted + "\r\n")
        assert reply.code == 250 and body.replace("hel lo", "hello").startswith("hello\nend\n")
        assert "Bcc" not in header and "far.example" not in header and "\nDate: " in header and ID.strip() in header


@pytest.mark.parametrize("end", ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r\r\n.\r\r\n"])
def test_mended_text_has_one_end(mx, end):
    evil = "MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nsmuggled\r\n"
    with log_in(mx) as c:
        reply = c.mail("alice@example.org", "alice@example.org", FROM + "\r\nbefore" + end + evil, helo=None)
        assert reply.code == 250
        assert c.say("NOOP").code == 250
    found = wait_for(lambda: [m for m in mx.messages("alice") if reply.text.split()[-1].encode() in m], "the delivery")[0]
    assert b"RCPT TO:<bob@example.org>" in found and b"smuggled" in found
    assert not [m for m in mx.messages("bob") if b"smuggled" in m]


def test_any_split_and_bdat(mx):
    text = (FROM + "Bcc: secret@far.example\r\nSubject: x\r\n\r\nhello\r\n").encode()
    with log_in(mx) as c:
        for size in (1, 2, 3, 7, 50):
            assert c.say("MAIL FROM:<alice@example.org>").code == 250
            assert c.say("RCPT TO:<bob@example.org>").code == 250
            for at in range(0, len(text), size):
                c.send(b"BDAT %d%s\r\n" % (len(text[at:at + size]), b" LAST" if at + size >= len(text) else b"") +
                       text[at:at + size])
                assert c.reply().code == 250
    for message in mx.deliveries("bob", 5):
        header, body = re.split(rb"\r?\n\r?\n", message, maxsplit=1)
        assert b"secret" not in header and b"Message-ID:" in header and body.split() == [b"hello"]


def test_other_listeners_change_nothing(tmp_path):
    with Genkan(tmp_path, 'gate { }\ndomain "example.org" {\n users { "alice" }\n deliver maildir "$mail/%{user}"\n}\n') as mx:
        with Client(mx.port) as c:
            assert c.mail("a@b.example", "alice@example.org", "Bcc: x@y.example\r\n\r\n" + "z" * 2000 + "\r\n").code == 250
        assert b"Bcc: x@y.example" in mx.deliveries("alice", 1)[0]


# --- how much ---

def test_an_account_has_so_many_recipients_an_hour(tmp_path):
    with server(tmp_path, PLAIN + "limit account-recipients 5\n") as mx:
        wait_for(lambda: mechanisms(mx, tls=True), "the vault's offer")
        for source in ("127.0.0.1", "127.0.0.2"):  # whatever worker it meets
            with log_in(mx, source=source) as c:
                codes = []
                c.say("MAIL FROM:<alice@example.org>")
                for n in range(4):
                    codes.append(c.say(f"RCPT TO:<x{n}@far.example>").code)
            assert codes == ([250] * 4 if source == "127.0.0.1" else [250, 450, 450, 450])
        with log_in(mx, "bob", "builder") as c:
            c.say("MAIL FROM:<bob@example.org>")
            assert c.say("RCPT TO:<x@far.example>").code == 250
        assert mx.await_log("account.limit", account="alice")


def test_the_gate_waits_for_nobody_here(tmp_path):
    """What keeps strangers waiting for minutes is not meant for one of ours, who comes from a home line."""
    certificate(tmp_path)
    conf = BASE.replace("gate { }", "gate {\n pause 4m\n tarpit 4m at rcpt\n}") + SENDERS
    with Genkan(tmp_path, conf, listen=LISTEN) as mx:
        text = "From: alice@example.org\r\n\r\nhello\r\n"
        with log_in(mx) as c:
            assert c.mail("alice@example.org", "bob@example.org", text, helo=None).code == 250
        with connect(mx) as c:
            assert c.say("MAIL FROM:<alice@example.org>").code == 530
