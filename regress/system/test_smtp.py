"""The SMTP server, octet by octet: RFC 5321, 2920, 1870, 2034, 6152."""
import socket

import pytest

from genkan import Client, Genkan

CONF = """
gate { }
limit size 100K
limit recipients 100
limit errors 5
relay {
	from { 127.0.0.9 }
	route "*" to "[127.0.0.1]:9"
}
domain "example.org" {
	users { "alice", "bob", "a.b" }
	deliver maildir "$mail/%{user}"
}
"""


@pytest.fixture(scope="module")
def mx(tmp_path_factory):
    directory = tmp_path_factory.mktemp("smtp")
    with Genkan(directory, CONF) as server:
        yield server


@pytest.fixture
def c(mx):
    with Client(mx.port) as client:
        yield client


def test_greeting_begins_with_our_name(c):  # RFC 5321 4.2, 4.3.1
    assert c.greeting.code == 220
    assert c.greeting.text.split()[0] == "mx.example.org"


def test_ehlo_names_what_is_offered(c):  # 4.1.1.1
    reply = c.say("EHLO client.example")
    assert reply.code == 250
    assert reply.lines[0][4:].split()[0] == "mx.example.org"
    offered = {line[4:] for line in reply.lines[1:]}
    assert offered == {"PIPELINING", "SIZE 102400", "8BITMIME", "CHUNKING", "BINARYMIME", "SMTPUTF8", "DSN",
                       "LIMITS MAILMAX=1000 RCPTMAX=100", "ENHANCEDSTATUSCODES"}


def test_helo_has_one_line(c):  # 4.1.1.1
    assert len(c.say("HELO client.example").lines) == 1


@pytest.mark.parametrize("argument, code", [
    ("client.example", 250), ("[192.0.2.1]", 250), ("[IPv6:2001:db8::1]", 250), ("under_score.example", 250),
    ("client.example.", 250), ("[2001:db8::1]", 250),  # wrong, and meant well
    ("", 501), ("two words", 501), ("[300.1.1.1]", 501), ("[2001:db8::g]", 501), (".", 501), ("a..", 501), ("[:]", 501),
])
def test_helo_argument(c, argument, code):  # 4.1.3, 4.1.4
    assert c.say(f"EHLO {argument}".rstrip()).code == code


def test_verbs_fold_case_and_local_parts_do_not(c):  # 2.4
    assert c.say("eHlO client.example").code == 250
    assert c.say("mail from:<A@B.EXAMPLE>").code == 250
    assert c.say("rCPT tO:<alice@EXAMPLE.org>").code == 250


@pytest.mark.parametrize("line, code, status", [
    ("FOO", 500, "5.5.2"), ("EXPN list", 502, "5.5.1"), ("STARTTLS", 502, "5.5.1"), ("MAIL FROM:<a@b.example>", 503, "5.5.1"),
    ("RCPT TO:<alice@example.org>", 503, "5.5.1"), ("DATA", 503, "5.5.1"), ("NOOP", 250, "2.0.0"), ("NOOP with words", 250, "2.0.0"),
    ("RSET", 250, "2.0.0"), ("RSET x", 501, "5.5.4"), ("HELP", 214, "2.0.0"), ("HELP MAIL", 214, "2.0.0"), ("VRFY alice", 252, "2.5.0"),
    ("VRFY", 501, "5.5.4"), ("QUIT x", 501, "5.5.4"),
])
def test_before_helo(c, line, code, status):  # 4.1.4, 4.2.4, 3.5.3
    reply = c.say(line)
    assert (reply.code, reply.text.split()[0]) == (code, status)


@pytest.mark.parametrize("line, code", [
    ("MAIL FROM:<>", 250), ("MAIL FROM:<a@b.example>", 250), ("MAIL FROM: <a@b.example>", 250),
    ("MAIL FROM:<\"a b\"@b.example>", 250), ("MAIL FROM:<a@[192.0.2.1]>", 250), ("MAIL FROM:<@x.example,@y.example:a@b.example>", 250),
    ("MAIL FROM:<a@b.example> SIZE=1000", 250), ("MAIL FROM:<a@b.example> SIZE=102400 BODY=8BITMIME", 250),
    ("MAIL FROM:<a@b.example> size=1 body=7bit", 250), ("MAIL FROM:<a@b.example> SIZE=102401", 552),
    ("MAIL FROM:<a@b.example> SIZE=", 501), ("MAIL FROM:<a@b.example> SIZE=x", 501), ("MAIL FROM:<a@b.example> SIZE=1 SIZE=1", 501),
    ("MAIL FROM:<a@b.example> BODY=BINARYMIME", 250), ("MAIL FROM:<a@b.example> BODY=9BIT", 501), ("MAIL FROM:<a@b.example> FOO=bar", 555), ("MAIL FROM:<a@b.example>SIZE=1", 501),
    ("MAIL FROM:a@b.example", 501), ("MAIL FROM:<a@b.example", 501), ("MAIL FROM:<a>", 501), ("MAIL FROM:<a@>", 501),
    ("MAIL FROM:<@b.example>", 501), ("MAIL TO:<a@b.example>", 501), ("MAIL", 501), ("MAIL FROM:<a@b..example>", 501),
    ("MAIL FROM:<a b@c.example>", 501), ("MAIL FROM:<" + "x" * 300 + "@b.example>", 501),
])
def test_mail(c, line, code):  # 4.1.1.2, 4.1.2; RFC 1870 6; RFC 6152
    c.say("EHLO client.example")
    assert c.say(line).code == code


def test_parameters_need_ehlo(c):  # 4.1.1.11
    c.say("HELO client.example")
    assert c.say("MAIL FROM:<a@b.example> SIZE=10").code == 555


@pytest.mark.parametrize("to, code", [
    ("<alice@example.org>", 250), ("<Alice@Example.ORG>", 250), ("<\"alice\"@example.org>", 250), ("<@relay.example:alice@example.org>", 250),
    ("<postmaster>", 250), ("<PostMaster>", 250), ("<postmaster@example.org>", 250), ("<alice+tag@example.org>", 250),
    ("<carol@example.org>", 550), ("<alice@elsewhere.example>", 550), ("<alice%elsewhere.example@example.org>", 550),
    ("<elsewhere.example!alice@example.org>", 550), ("<\"alice@elsewhere.example\"@example.org>", 550),
    ("<@example.org:alice@elsewhere.example>", 550), ("<alice@elsewhere.example@example.org>", 501),
    ("<alice@[127.0.0.1]>", 250), ("<alice@[192.0.2.1]>", 550), ("<alice@example.org.>", 501), ("<>", 501), ("alice@example.org", 501), ("<alice>", 501),
    ("<alice@example.org> FOO", 555), ("<alice@example.org> NOTIFY=NEVER", 250), ("<alice@example.org> NOTIFY=ALWAYS", 501),
])
def test_rcpt_and_no_open_relay(c, to, code):  # 4.1.1.3, 4.5.1, 3.6; RFC 2505 2.1
    c.say("EHLO client.example")
    c.say("MAIL FROM:<a@b.example>")
    assert c.say(f"RCPT TO:{to}").code == code


def test_relay_clients_may_relay(mx):
    with Client(mx.port, source="127.0.0.9") as c:
        c.say("EHLO client.example")
        c.say("MAIL FROM:<a@example.org>")
        assert c.say("RCPT TO:<x@elsewhere.example>").code == 250


def test_order_of_a_transaction(c):  # 4.1.4
    c.say("EHLO client.example")
    assert c.say("RCPT TO:<alice@example.org>").code == 503
    assert c.say("MAIL FROM:<a@b.example>").code == 250
    assert c.say("MAIL FROM:<a@b.example>").code == 503
    assert c.say("DATA").code in (503, 554)
    assert c.say("RCPT TO:<alice@example.org>").code == 250
    assert c.say("EHLO client.example").code == 250  # begins anew
    assert c.say("RCPT TO:<alice@example.org>").code == 503


def test_recipient_limit(c):  # 4.5.3.1.8, 4.5.3.1.10
    c.say("EHLO client.example")
    c.say("MAIL FROM:<a@b.example>")
    for _ in range(100):
        assert c.say("RCPT TO:<alice@example.org>").code == 250
    reply = c.say("RCPT TO:<bob@example.org>")
    assert (reply.code, reply.text.split()[0]) == (452, "4.5.3")


def test_every_reply_but_banner_and_helo_has_a_status(c):  # RFC 2034 3
    c.say("EHLO client.example")
    for line in ("MAIL FROM:<a@b.example>", "RCPT TO:<alice@example.org>", "RCPT TO:<carol@example.org>", "NOOP", "FOO", "QUIT"):
        reply = c.say(line)
        status = reply.text.split()[0]
        assert status.count(".") == 2 and status[0] == str(reply.code)[0], line


def test_delivery(mx, c):  # 4.4
    text = "From: <a@b.example>\r\nSubject: delivery\r\n\r\n..dot\r\n...\r\nlast\r\n"
    reply = c.mail("a@b.example", ["bob@example.org"], text)
    assert reply.code == 250
    c.say("QUIT")
    content = mx.deliveries("bob", 1)[0].decode()
    head, _, body = content.partition("\n\n")
    assert body == ".dot\n..\nlast\n"
    fields = head.split("\n")
    assert fields[0] == "Return-Path: <a@b.example>"
    assert fields[1] == "Delivered-To: bob@example.org"
    assert fields[2].startswith("Received: from client.example (unknown [127.0.0.1])")
    assert "with ESMTP id" in head and "for <bob@example.org>;" in head
    assert "\r" not in content


def test_null_sender_and_postmaster(mx, c):  # 4.5.5, 4.5.1
    assert c.mail("", "postmaster@example.org").code == 250
    assert mx.deliveries("postmaster", 1)[0].startswith(b"Return-Path: <>\n")


def test_two_messages_in_one_session(mx, c):
    assert c.mail("a@b.example", "a.b@example.org").code == 250
    assert c.mail("a@b.example", "a.b@example.org", helo=None).code == 250
    assert len(mx.deliveries("a.b", 2)) == 2


def test_pipelining_replies_in_order(c):  # RFC 2920 3.2
    c.say("EHLO client.example")
    c.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<carol@example.org>\r\nRCPT TO:<alice@example.org>\r\nNOOP\r\nRSET\r\nFOO\r\nQUIT\r\n")
    assert [c.reply().code for _ in range(7)] == [250, 550, 250, 250, 250, 500, 221]
    assert c.closed()


def test_pipelined_data_without_recipients(c):  # RFC 2920 3.1
    c.say("EHLO client.example")
    c.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<carol@example.org>\r\nDATA\r\n")
    assert [c.reply().code for _ in range(3)] == [250, 550, 554]
    assert c.say("NOOP").code == 250


def test_commands_octet_by_octet(c):
    for octet in "EHLO client.example\r\nNOOP\r\n":
        c.send(octet)
    assert [c.reply().code for _ in range(2)] == [250, 250]


@pytest.mark.parametrize("line", ["NOOP\nQUIT\r\n", "NOOP\nQUIT\n\r\n", "NO\rOP\r\n", "NOOP\0\r\n", "NOOP\r\r\n"])
def test_only_crlf_ends_a_command(c, line):  # 2.3.8
    c.send(line)
    assert c.reply().code == 500
    assert c.say("NOOP").code == 250


def test_who_waits_behind_a_bare_line_feed_hears_of_it(c):
    for line in ("NOOP\n", "\n", "x" * 5000 + "\n"):
        c.send(line)
        assert c.reply().code == 500
    assert c.say("NOOP").code == 250
    c.send("MAIL FROM:<a@b.example>\n")
    assert c.reply().code == 500
    assert c.say("RCPT TO:<alice@example.org>").code == 503


def test_long_command_line(c):  # 4.5.3.1.4, 4.5.3.1.11
    assert c.say("NOOP " + "x" * 500).code == 250
    assert c.say("NOOP " + "x" * 100000).code == 500
    assert c.say("NOOP").code == 250


def test_long_text_lines(mx, c):  # 4.5.3.1.6: at least 1000 octets
    line = "x" * 20000
    assert c.mail("a@b.example", "alice@example.org", f"Subject: long\r\n\r\n{line}\r\n").code == 250


@pytest.mark.parametrize("text", [b"bare\nline\r\n", b"bare\rreturn\r\n", b"nul\0octet\r\n", b"\n.\n\r\n", b"\r\n.\nsmuggled\r\n",
                                  b"\n.\r\nMAIL FROM:<x@y>\r\n", b"\r.\r\nx\r\n"])
def test_defective_text_is_read_to_its_end_and_refused(mx, text):  # 2.3.8, 4.1.1.4
    mx.await_empty_queue()
    before = len(mx.messages("alice"))
    with Client(mx.port) as c:
        c.say("EHLO client.example")
        c.say("MAIL FROM:<a@b.example>")
        c.say("RCPT TO:<alice@example.org>")
        assert c.say("DATA").code == 354
        c.send(b"Subject: x\r\n\r\n" + text + b"\r\n.\r\nNOOP\r\n")
        assert c.reply().code == 550
        assert not c.reply()  # and nothing after it is read as a command
    mx.await_empty_queue()
    assert len(mx.messages("alice")) == before


def test_too_large_text(c):  # RFC 1870 6.1
    reply = c.mail("a@b.example", "alice@example.org", "Subject: big\r\n\r\n" + "x" * 70 + "\r\n" + ("y" * 78 + "\r\n") * 1400)
    assert (reply.code, reply.text.split()[0]) == (552, "5.3.4")
    assert c.say("NOOP").code == 250


def test_loop_limit(c):  # 6.3
    reply = c.mail("a@b.example", "alice@example.org", "Received: x\r\n" * 101 + "\r\n")
    assert (reply.code, reply.text.split()[0]) == (554, "5.4.6")
    assert c.mail("a@b.example", "alice@example.org", "Received: x\r\n" * 90 + "\r\n" + "Received: y\r\n" * 50, helo=None).code == 250


def test_half_a_message_is_no_message(mx):  # 4.1.1.10
    mx.await_empty_queue()
    before = len(mx.messages("alice"))
    with Client(mx.port) as c:
        c.say("EHLO client.example")
        c.say("MAIL FROM:<a@b.example>")
        c.say("RCPT TO:<alice@example.org>")
        c.say("DATA")
        c.send("Subject: half\r\n\r\nand then")
    mx.await_log("session.closed", why="the client left")
    mx.await_empty_queue()
    assert len(mx.messages("alice")) == before


def test_quit(c):  # 4.1.1.10
    assert c.say("QUIT").code == 221
    assert c.closed()


def test_errors_are_counted(c):
    for _ in range(5):
        assert c.say("FOO").code == 500
    assert c.say("FOO").code == 500
    assert c.reply().code == 421
    assert c.closed()


def test_half_closed_client_gets_its_answers(mx):
    with Client(mx.port) as c:
        c.send("EHLO client.example\r\nNOOP\r\n")
        c.socket.shutdown(socket.SHUT_WR)
        assert [c.reply().code for _ in range(2)] == [250, 250]
        assert c.closed()


def test_big_message_by_file(mx, place):
    """Above the threshold the content is a file of its own."""
    conf = 'gate { }\ndomain "example.org" {\n users { "alice" }\n deliver maildir "$mail/%{user}"\n}\n'
    body = ("0123456789" * 7 + "\r\n") * 20000
    with Genkan(place, conf) as big:
        with Client(big.port) as c:
            assert c.mail("a@b.example", "alice@example.org", "Subject: big\r\n\r\n" + body).code == 250
        text = big.deliveries("alice", 1)[0]
        assert text.count(b"0123456789" * 7 + b"\n") == 20000


def test_limits_on_connections(place):
    conf = 'limit connections-per-address 2\ngate { }\nrelay { from { 10.0.0.1 } }\n'
    with Genkan(place, conf) as mx:
        mx.await_log("session.closed")  # the one that saw whether the port answers
        three_at_once(mx)


def three_at_once(mx):
    with Client(mx.port) as one, Client(mx.port) as two:
        assert one.greeting.code == two.greeting.code == 220
        with Client(mx.port) as three:
            assert three.greeting.code == 421
            assert three.closed()
        with Client(mx.port, source="127.0.0.77") as other:
            assert other.greeting.code == 220


def test_idle_timeout(place):  # 4.5.3.2.7
    with Genkan(place, "limit idle 1s\ngate { }\n") as mx, Client(mx.port) as c:
        assert c.reply().code == 421
        assert c.closed()


def test_recipients_at_once_and_one_by_one(tmp_path):
    """RFC 2920 3.1: a group of RCPTs gets the replies, and the message the recipients, that it would have one after the other."""
    with Genkan(tmp_path / "mx", """
        gate { }
        limit recipients 230
        limit errors off
        relay {
            from { 127.0.0.1 }
            route "*" to "[127.0.0.1]:9"
        }
        domain "example.org" {
            users { "alice" }
            deliver maildir "$mail/%{user}"
        }
    """) as mx:
        mx.ctl("pause", "out")
        some = ["RCPT TO:<u1@far.example>", "RCPT TO:<alice@example.org>", "RCPT TO:<nobody@example.org>", "rcpt to: <postmaster>",
                "RCPT TO:<u2@far.example> NOTIFY=NEVER", "RCPT TO:bad", "RCPT TO:<u3@far.example> X=1", "NOOP", "RCPT TO:<u4@far.example>",
                "RCPT TO:<\u00e9@far.example>", "RCPT TO:<u5@far.example>  ", "MAIL FROM:<a@b.example>", "RCPT", "RCPT TO:<u6@far.example>",
                "RCPT TO:<u8@far.example> X=1", "RCPT TO:<nobody@example.org>", "RCPT TO:<alice@example.org>"]
        commands = ["MAIL FROM:<s@x.example>", *some, "RSET", "RCPT TO:<u7@far.example>", "MAIL FROM:<s@x.example>", *some,
                    *(f"RCPT TO:<many{i}@far.example>" for i in range(240)), "RCPT TO:<alice@example.org>", "DATA"]
        heard, named = [], []
        for source in ("127.0.0.1", "127.0.1.5"):
            for at_once in (False, True):
                with Client(mx.port, source=source) as c:
                    c.say("EHLO client.example")
                    if at_once:
                        c.send("".join(command + "\r\n" for command in commands))
                        heard.append([str(c.reply()) for _ in commands])
                    else:
                        heard.append([str(c.say(command)) for command in commands])
                    assert heard[-1][-1].startswith("354")
                    c.send("Subject: x\r\n\r\n.\r\n")
                    id = c.reply().text.split()[-1]
                named.append(sorted(mx.ctl("queue", "show", id), key=str) if source == "127.0.0.1" else None)
        assert heard[0] == heard[1] and heard[2] == heard[3]
        assert [r["recipient"] for r in named[0] if "recipient" in r] == [r["recipient"] for r in named[1] if "recipient" in r]
        assert sum(reply.startswith("452") for reply in heard[0]) > 5
