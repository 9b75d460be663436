"""Real peers: Debian's Postfix and Exim deliver through Genkan and receive from it; swaks speaks to it."""
import subprocess

import pytest

from genkan import Client, Genkan, free_port, wait_for
from peers import Exim, Postfix

CONF = """
gate {{ }}
relay {{
	from {{ 127.0.0.0/8 }}
	route "peer.example" to "[127.0.0.1]:{port}"
	route "*" to "[127.0.0.1]:9"
}}
domain "example.org" {{
	users {{ "alice" }}
	deliver maildir "$mail/%{{user}}"
}}
"""

BODY = "Subject: interop\nFrom: <dora@peer.example>\n\n.leading dot\n" + "line of text\n" * 500 + "caf\u00e9 with 8 bits\nlast\n"


@pytest.mark.parametrize("kind", [Postfix, Exim], ids=["postfix", "exim"])
def test_there_and_back(place, kind):
    port = free_port()
    with Genkan(place / "genkan", CONF.format(port=port)) as mx, \
            kind(place, port, route=f"[127.0.0.1]:{mx.port}", domain="peer.example", users=["dora"]) as peer:
        peer.inject("dora@peer.example", "alice@example.org", BODY)
        received = mx.deliveries("alice", 1)[0].decode()
        assert received.partition("\n\n")[2] == BODY.partition("\n\n")[2]
        assert received.startswith("Return-Path: <dora@peer.example>\n")
        with Client(mx.port) as c:
            text = BODY.replace("\n.", "\n..").replace("\n", "\r\n").encode()
            c.say("EHLO client.example")
            c.say("MAIL FROM:<alice@example.org> BODY=8BITMIME")
            c.say("RCPT TO:<dora@peer.example>")
            c.say("DATA")
            c.send(text + b".\r\n")
            assert c.reply().code == 250
        wait_for(lambda: peer.messages("dora"), "the peer to deliver: " + mx.log_text()[-2000:])
        assert peer.messages("dora")[0].decode().partition("\n\n")[2] == BODY.partition("\n\n")[2]


@pytest.mark.parametrize("kind", [Postfix, Exim], ids=["postfix", "exim"])
def test_refused_recipients_come_back_as_notices(place, kind):
    port = free_port()
    with Genkan(place / "genkan", CONF.format(port=port)) as mx, \
            kind(place, port, route=f"[127.0.0.1]:{mx.port}", domain="peer.example", users=["dora"]) as peer:
        with Client(mx.port) as c:
            assert c.mail("alice@example.org", "nobody-here@peer.example").code == 250
        if kind is Postfix:  # refuses at RCPT; Exim takes all and sends a notice itself
            notice = mx.deliveries("alice", 1)[0].decode()
            assert "Content-Type: multipart/report" in notice and "Status: 5.1.1" in notice
        peer.inject("dora@peer.example", "nobody@example.org", BODY)
        wait_for(lambda: peer.messages("dora"), "the peer's own notice about our refusal")
        assert b"550" in peer.messages("dora")[0] or b"5.1.1" in peer.messages("dora")[0]


def test_swaks(place):
    with Genkan(place, CONF.format(port=9)) as mx:
        for extra in (["--pipeline"], ["--protocol", "SMTP"], ["--body", ".dot\n..two\n"]):
            done = subprocess.run(["swaks", "--server", f"127.0.0.1:{mx.port}", "--from", "a@b.example", "--to",
                                   "alice@example.org", "--helo", "client.example", *extra], capture_output=True, text=True,
                                  timeout=60)
            assert done.returncode == 0, done.stdout
        assert len(mx.deliveries("alice", 3)) == 3
