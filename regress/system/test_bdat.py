"""BDAT, octet by octet: RFC 3030, CHUNKING and BINARYMIME."""
import pytest

from genkan import Client, Genkan, wait_for

CONF = """
gate { }
limit size 100K
limit errors 10
limit commands 20
domain "example.org" {
	users { "alice" }
	deliver maildir "$mail/%{user}"
}
domain "box.example" {
	users { "carl" }
	deliver mbox "$mail/%{user}.mbox"
}
"""
TEXT = b"Subject: chunks\r\n\r\nfirst\r\n"


@pytest.fixture(scope="module")
def mx(tmp_path_factory):
    with Genkan(tmp_path_factory.mktemp("bdat"), CONF) as server:
        yield server


@pytest.fixture
def c(mx):
    with Client(mx.port) as client:
        client.say("EHLO client.example")
        yield client


def envelope(c, body="", to="alice@example.org"):
    assert c.say(f"MAIL FROM:<a@b.example>{body}").code == 250
    assert c.say(f"RCPT TO:<{to}>").code == 250


def chunk(c, data, last=False):
    c.send(f"BDAT {len(data)}{' LAST' if last else ''}\r\n".encode() + data)
    return c.reply()


def arrived(mx, reply, user="alice"):
    """What was delivered of the message that REPLY accepted, without what we put on top."""
    assert reply.code == 250, reply
    mark = f" id {reply.text.split()[-1]}".encode()
    message = wait_for(lambda: next((m for m in mx.messages(user) if mark in m), None), f"{mark} in the mailbox")
    return message[message.index(b"Subject:"):]


def count(mx):
    return len(mx.messages("alice"))


def test_offered(c):
    offered = c.say("EHLO client.example").text.splitlines()
    assert "CHUNKING" in offered and "BINARYMIME" in offered


def test_one_chunk(mx, c):  # 2
    envelope(c)
    reply = chunk(c, TEXT, last=True)
    assert arrived(mx, reply) == TEXT.replace(b"\r\n", b"\n")


def test_chunks_end_anywhere(mx, c):  # 2: each is answered; a CRLF may be cut
    envelope(c)
    cut = TEXT.index(b"\r\n\r\n") + 1
    assert chunk(c, TEXT[:cut]).code == 250
    assert chunk(c, TEXT[cut:cut + 2]).code == 250
    assert chunk(c, TEXT[cut + 2:]).code == 250
    reply = chunk(c, b"", last=True)
    assert arrived(mx, reply) == TEXT.replace(b"\r\n", b"\n")


def test_dots_are_text(mx, c):  # 2: no transparency, no end but the count
    text = TEXT + b".\r\n..\r\n.x\r\nQUIT\r\n.\r\n"
    envelope(c)
    reply = chunk(c, text, last=True)
    assert c.say("NOOP").code == 250
    assert arrived(mx, reply) == text.replace(b"\r\n", b"\n")


def test_all_in_one_write(mx, c):  # RFC 2920 3.1
    c.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\nBDAT %d\r\n%sBDAT 4 LAST\r\nxy\r\nNOOP\r\n"
           % (len(TEXT), TEXT))
    replies = [c.reply() for _ in range(5)]
    assert [r.code for r in replies] == [250] * 5
    assert arrived(mx, replies[3]) == TEXT.replace(b"\r\n", b"\n") + b"xy\n"


def test_a_text_without_an_octet_has_its_answer_first(mx, c):
    """What is sent behind the one empty chunk waits until the queue has the message."""
    envelope(c)
    c.send("BDAT 0 LAST\r\nBDAT 0x0\r\n")
    assert c.reply().code == 250
    assert c.reply().code == 501
    assert c.closed()
    assert not mx.log("process.fatal")


def test_octet_by_octet(mx, c):
    envelope(c)
    for octet in b"bdat %d last\r\n%s" % (len(TEXT), TEXT):
        c.send(bytes([octet]))
    assert arrived(mx, c.reply()) == TEXT.replace(b"\r\n", b"\n")


def test_data_behind_bdat(mx, c):  # 2: MUST be 503
    n = count(mx)
    envelope(c)
    assert chunk(c, TEXT).code == 250
    assert c.say("DATA").code == 503
    assert c.say("MAIL FROM:<a@b.example>").code == 503
    assert c.say("RCPT TO:<alice@example.org>").code == 503
    assert c.say("RSET").code == 250
    assert chunk(c, TEXT, last=True).code == 503
    assert count(mx) == n


def test_both_in_one_session(mx, c):  # 2: only not in one transaction
    envelope(c)
    arrived(mx, chunk(c, TEXT, last=True))
    arrived(mx, c.mail("a@b.example", "alice@example.org", helo=None))


def test_bdat_behind_last(c):  # 2: 503, and its octets are no commands
    envelope(c)
    assert chunk(c, TEXT, last=True).code == 250
    assert chunk(c, b"QUIT\r\n", last=True).code == 503
    assert c.say("NOOP").code == 250


@pytest.mark.parametrize("before", [(), ("MAIL FROM:<a@b.example>",), ("MAIL FROM:<a@b.example>", "RCPT TO:<nobody@example.org>")])
def test_chunk_that_nobody_waits_for(c, before):  # 2: read, and refused then
    for line in before:
        c.say(line)
    c.send(b"BDAT 6\r\nQUIT")
    c.send(b"\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
    assert c.reply().code in (503, 554)
    assert c.reply().code in (503, 554)
    assert c.reply().code == 250


def test_before_ehlo(mx):
    with Client(mx.port) as c:
        assert chunk(c, b"QUIT\r\n").code == 503
        c.say("HELO client.example")
        envelope(c)
        assert chunk(c, TEXT, last=True).code == 503


@pytest.mark.parametrize("argument", ["", " x", " -1", " 1x", " 18446744073709551616", " 99999999999999999999999"])
def test_size_that_cannot_be_read(c, argument):  # what follows is nobody's commands
    envelope(c)
    c.send(f"BDAT{argument}\r\nNOOP\r\n")
    assert c.reply().code == 501
    assert c.closed()


@pytest.mark.parametrize("argument", [" 6 FIRST", " 6 LAST 2", " 6 6"])
def test_wrong_behind_the_size(mx, c, argument):  # the chunk is read, and refused then
    n = count(mx)
    envelope(c)
    c.send(f"BDAT{argument}\r\nNOOP\r\n")
    assert c.reply().code == 501
    assert chunk(c, TEXT, last=True).code == 503
    assert c.say("NOOP").code == 250
    assert count(mx) == n


@pytest.mark.parametrize("argument", ["", " ", " LAST", " many"])
def test_no_size_and_nothing_behind(c, argument):  # RFC 5321 3.8: no reason to close
    envelope(c)
    assert c.say(f"BDAT{argument}").code == 501
    assert chunk(c, TEXT, last=True).code == 250


def test_too_large(c):  # RFC 1870 6.1; RFC 3030 2: discarded first
    envelope(c)
    assert chunk(c, TEXT).code == 250
    c.send("BDAT 102400 LAST\r\n" + "x" * 102400)
    reply = c.reply()
    assert (reply.code, reply.text.split()[0]) == (552, "5.3.4")
    assert chunk(c, TEXT, last=True).code == 503
    assert c.say("NOOP").code == 250


def test_largest_size_there_is(c):
    envelope(c)
    c.send("BDAT 18446744073709551615 LAST\r\nNOOP\r\nNOOP\r\n")
    c.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        c.file.readline()


@pytest.mark.parametrize("text", [b"a\nb\r\n", b"a\rb\r\n", b"a\0b\r\n", b"a\r"])
def test_text_is_lines(c, text):  # 2: canonical form
    envelope(c)
    assert chunk(c, TEXT).code == 250
    assert chunk(c, text, last=True).code == 550
    assert c.say("NOOP").code == 250


def test_half_a_chunk_is_no_message(mx):
    n = count(mx)
    with Client(mx.port) as c:
        c.say("EHLO half.example")
        envelope(c)
        c.send(b"BDAT %d LAST\r\n%s" % (len(TEXT) + 1, TEXT))
    mx.await_log("session.closed", helo="half.example")
    assert count(mx) == n


def test_empty_chunks_are_counted(c):
    envelope(c)
    # EHLO was one
    for _ in range(19):
        assert chunk(c, b"").code == 250
    assert chunk(c, b"").code == 421


def test_binary_keeps_every_octet(mx, c):  # 3
    body = bytes(range(256)) + b"\r\n.\r\n\n.\n\r.\r" + b"\0" * 10
    envelope(c, " BODY=BINARYMIME")
    reply = chunk(c, b"Subject: binary\r\n\r\n" + body, last=True)
    assert arrived(mx, reply) == b"Subject: binary\n\n" + body


def test_large_binary_by_file(place):
    with Genkan(place, CONF.replace("100K", "2M")) as mx, Client(mx.port) as c:
        c.say("EHLO client.example")
        body = bytes(range(256)) * 4000
        envelope(c, " BODY=BINARYMIME")
        for at in range(0, len(body), 100000):
            assert chunk(c, (b"Subject: binary\r\n\r\n" if at == 0 else b"") + body[at:at + 100000]).code == 250
        assert arrived(mx, chunk(c, b"", last=True)) == b"Subject: binary\n\n" + body


def test_binary_header_is_lines(c):
    envelope(c, " BODY=BINARYMIME")
    assert chunk(c, b"Subject: a\nb\r\n\r\n", last=True).code == 550


def test_binary_by_data(c):  # 3: MUST be 503
    envelope(c, " BODY=BINARYMIME")
    assert c.say("DATA").code == 503


def test_binary_and_mbox(mx, c):  # 3: all octets, or a notice
    envelope(c, " BODY=BINARYMIME", to="carl@box.example")
    assert chunk(c, b"Subject: binary\r\n\r\n\nFrom me\n", last=True).code == 250
    assert mx.await_log("queue.failed", to="carl@box.example")["reply"].startswith("554 5.6.3")
