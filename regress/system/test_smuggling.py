"""Nothing that Genkan takes can be read as two messages: every published end-of-data look-alike ($CORPORA/smuggling), inbound by
DATA and BDAT, in one piece and cut at its octets, and outbound to real receivers: Postfix, Exim, OpenSMTPD, Dovecot's LMTP server."""
import os
import pathlib
import re

import pytest

from genkan import ROOT, Client, Genkan, free_port, wait_for
from peers import Dovecot, Exim, OpenSMTPD, Postfix

CORPUS = pathlib.Path(os.environ.get("CORPORA", ROOT.parent / "shared/corpora")) / "smuggling/sequences.tsv"
BUILT_IN = [("lf-dot-lf", b"\n.\n", "reject-or-literal"), ("lf-dot-crlf", b"\n.\r\n", "reject-or-literal"),
            ("crlf-dot-lf", b"\r\n.\n", "reject-or-literal"), ("cr-dot-cr", b"\r.\r", "reject-or-literal"),
            ("crlf-dotdot-crlf", b"\r\n..\r\n", "literal"), ("crlf-dot-crlf", b"\r\n.\r\n", "end")]
CONF = """
gate { }
limit errors off
limit commands off
listen on 127.0.0.1 port $mended normalize from { 127.0.0.0/8 }
relay {
	from { 127.0.0.0/8 }
	route "*" to "[127.0.0.1]:$next"
}
domain "example.org" {
	users { "alice" }
	deliver maildir "$$mail/%{user}"
}
domain "lmtp.example" {
	users { "dora", "victim" }
	deliver lmtp "[127.0.0.1]:$lmtp"
}
"""


def sequences():
    if not CORPUS.exists():
        return BUILT_IN
    escapes = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
    found = []
    for line in CORPUS.read_text().splitlines():
        if line.startswith("#") or not line:
            continue
        name, escaped, _, expected = line.split("\t")[:4]
        octets = b"".join(bytes([int(part[2:], 16)]) if part.startswith("\\x") else escapes[part[1:]] if part.startswith("\\")
                          else part.encode() for part in re.findall(r"\\x[0-9a-f]{2}|\\.|[^\\]+", escaped))
        found.append((name, octets, expected))
    return found


SEQUENCES = sequences()


def smuggled(domain):
    return (f"MAIL FROM:<smuggled@attacker.example>\r\nRCPT TO:<victim@{domain}>\r\nDATA\r\n"
            "Subject: smuggled\r\n\r\nhidden").encode()


def text(name, octets, domain="example.org"):
    return b"Subject: " + name.encode() + b"\r\n\r\nbefore" + octets + smuggled(domain) + b"\r\n"


def envelope(port, to, body=""):
    c = Client(port)
    c.say("EHLO client.example")
    assert c.say(f"MAIL FROM:<alice@example.org>{body}").code == 250
    assert c.say(f"RCPT TO:<{to}>").code == 250
    return c


def by_data(port, to, octets, pieces=()):
    """The codes of the replies that come, up to the end or to that of VRFY."""
    with envelope(port, to) as c:
        assert c.say("DATA").code == 354
        at = 0
        for cut in [*pieces, len(octets)]:
            c.send(octets[at:cut])
            at = cut
        c.send(b".\r\nVRFY marker\r\n")
        replies = []
        while True:
            reply = c.reply()
            if not reply:
                return replies
            replies.append(reply.code)
            if reply.code == 252:
                return replies


def by_bdat(port, to, octets, cut=None):
    with envelope(port, to) as c:
        cut = len(octets) // 2 if cut is None else cut
        c.send(b"BDAT %d\r\n%sBDAT %d LAST\r\n%s" % (cut, octets[:cut], len(octets) - cut, octets[cut:]))
        assert c.reply().code == 250
        reply = c.reply()
        assert c.say("NOOP").code == 250
        return reply.code


@pytest.fixture(scope="module")
def mx(tmp_path_factory):
    ports = {"next": free_port(), "lmtp": free_port(), "mended": free_port()}
    conf = CONF
    for name, port in ports.items():
        conf = conf.replace(f"${name}", str(port))
    with Genkan(tmp_path_factory.mktemp("smuggling"), conf.replace("$$", "$")) as server:
        server.next, server.lmtp, server.mended = ports["next"], ports["lmtp"], ports["mended"]
        yield server


# --- inbound ---

@pytest.mark.parametrize("name, octets, expected", SEQUENCES, ids=[s[0] for s in SEQUENCES])
def test_by_data(mx, name, octets, expected):
    whole = text(name, octets)
    at = whole.index(b"before") + 6
    for pieces in ((), range(at, at + len(octets) + 1)):
        replies = by_data(mx.port, "alice@example.org", whole, pieces)
        if expected == "end":  # what is behind it is commands, by the RFC
            assert replies[0] == 250 and replies[1:4] == [250, 550, 554]
        elif expected == "literal":
            assert replies == [250, 252]
        else:  # read to the true end, refused, and nothing believed any more
            assert replies == [550]


@pytest.mark.parametrize("name, octets, expected", SEQUENCES, ids=[s[0] for s in SEQUENCES])
def test_by_bdat(mx, name, octets, expected):  # the count is the end, and nothing else
    bare = re.search(rb"\r(?!\n)|(?<!\r)\n|\0", octets)
    whole = text(name, octets)
    at = whole.index(b"before") + 6
    for cut in range(at, at + len(octets) + 1):
        assert by_bdat(mx.port, "alice@example.org", whole, cut) == (550 if bare else 250)


@pytest.mark.parametrize("name, octets, expected", SEQUENCES, ids=[s[0] for s in SEQUENCES])
def test_from_who_is_mended(mx, name, octets, expected):
    replies = by_data(mx.mended, "alice@example.org", text(name, octets))
    if b"\0" in octets:
        assert replies == [550]
    elif expected == "end" or name == "crcrlf-dot-crlf":
        assert replies[0] == 250 and replies[1:4] == [250, 550, 554]
    else:
        assert replies == [250, 252]


def test_what_mending_makes(mx):
    assert by_data(mx.mended, "alice@example.org", b"Subject: mended\n\none\ntwo\rthree\r\r\nfour\n.\nfive\r\n") == [250, 252]
    wanted = b"Subject: mended\n\none\ntwo three \nfour\n.\nfive\n"
    wait_for(lambda: any(m.endswith(wanted) for m in mx.messages("alice")), "the message as it should be")


def test_nobody_was_smuggled_to(mx):
    mx.await_empty_queue()
    for message in mx.messages("alice"):
        assert b"smuggled@attacker.example>\nDelivered-To" not in message and not message.startswith(b"Return-Path: <smuggled")


# --- outbound ---

def send_all(mx, to, domain):
    """Whatever is taken goes to TO; the names of what was."""
    taken = []
    for name, octets, _ in SEQUENCES:
        true_end = b"\r\n.\r\n" in octets  # then what is behind it is commands, and rightly so
        for way, port, deliver in (("data", mx.port, by_data), ("bdat", mx.port, by_bdat), ("mended", mx.mended, by_data),
                                   ("mended-bdat", mx.mended, by_bdat)):
            if true_end and deliver is by_data:
                continue
            reply = deliver(port, to, text(f"{way}/{name}", octets, domain))
            if 250 in ([reply] if isinstance(reply, int) else reply[:1]):
                taken.append(f"{way}/{name}")
    return taken


def check_received(messages, taken):
    subjects = sorted(re.search(rb"^Subject: (.*)$", m, re.M).group(1).decode() for m in messages)
    assert subjects == sorted(taken)
    for message in messages:
        assert message.lower().startswith(b"return-path: <alice@example.org>")
        head, _, body = message.partition(b"\n\n")
        assert body.startswith(b"before"), message


@pytest.mark.parametrize("kind", [Postfix, Exim, OpenSMTPD], ids=lambda k: k.name)
def test_to_the_next_server(mx, place, kind):
    with kind(place, mx.next, route="[127.0.0.1]:9", domain="peer.example", users=["dora", "victim"]) as peer:
        taken = send_all(mx, "dora@peer.example", "peer.example")
        assert len(taken) > 60
        wait_for(lambda: len(peer.messages("dora")) >= len(taken), f"{len(taken)} messages", 60)
        mx.await_empty_queue()
        check_received(peer.messages("dora"), taken)
        assert not peer.messages("victim")


@pytest.mark.parametrize("kind", [Postfix, Exim, OpenSMTPD], ids=lambda k: k.name)
def test_notices(mx, place, kind):
    """A header of somebody else's comes back in a notice: to the next server, too."""
    with kind(place, mx.next, route="[127.0.0.1]:9", domain="peer.example", users=["dora", "victim"]) as peer:
        with Client(mx.port) as c:
            c.say("EHLO client.example")
            c.say("MAIL FROM:<dora@peer.example>")
            c.say("RCPT TO:<nobody@lmtp.example>")
            assert c.say("RCPT TO:<alice@example.org> NOTIFY=SUCCESS").code == 250
            octets = b"Subject: header\r\n.\r\n..\r\n" + smuggled("peer.example") + b"\r\n\r\n.\r\nbody\r\n"
            c.send(b"BDAT %d LAST\r\n%s" % (len(octets), octets))
            assert c.reply().code == 250
        wait_for(lambda: peer.messages("dora"), "the notice")
        mx.await_empty_queue()
        assert len(peer.messages("dora")) == 1 and not peer.messages("victim")


def test_to_dovecot_by_lmtp(mx, place):
    with Dovecot(place, mx.lmtp, domain="lmtp.example", users=["dora", "victim"]) as peer:
        taken = send_all(mx, "dora@lmtp.example", "lmtp.example")
        assert len(taken) > 60
        wait_for(lambda: len(peer.messages("dora")) >= len(taken), f"{len(taken)} messages", 60)
        mx.await_empty_queue()
        check_received(peer.messages("dora"), taken)
        assert not peer.messages("victim")
