"""Debian's Dovecot as the keeper of the mailboxes, by LMTP."""
import re

import pytest

from genkan import Client, Genkan, free_port, wait_for
from peers import Dovecot

CONF = """
gate {{ }}
relay {{
	from {{ 127.0.0.0/8 }}
	route "*" to "[127.0.0.1]:9"
}}
domain "example.org" {{
	users {{ "dora", "emil", "full", "gone" }}
	deliver lmtp "[127.0.0.1]:{port}"
}}
"""


@pytest.mark.parametrize("tempfail", [False, True], ids=["for-good", "for-now"])
def test_recipients_of_one_transaction(place, tempfail):
    """Several recipients at once: two mailboxes, one that Dovecot does not know (5xx), one over its quota (5xx or 4xx, as Dovecot
    says); the connection is kept for the next message."""
    port = free_port()
    with Dovecot(place, port, domain="example.org", users=["dora", "emil", "full"], tempfail=tempfail) as peer, \
            Genkan(place / "genkan", CONF.format(port=port)) as mx:
        everybody = [f"{name}@example.org" for name in ("dora", "emil", "full", "gone")]
        with Client(mx.port) as c:
            assert c.mail("s@x.example", everybody, "Subject: all\r\n\r\n..dot\r\n" + ("x" * 70 + "\r\n") * 100).code == 250
        unknown = mx.await_log("queue.failed", to="gone@example.org")
        assert re.match("550 5.1.1 ", unknown["reply"]), unknown
        over = mx.await_log("queue.deferred" if tempfail else "queue.failed", to="full@example.org")
        assert re.match("452 4.2.2 " if tempfail else "552 5.2.2 ", over["reply"]), over
        for user in ("dora", "emil"):
            mx.await_log("queue.delivered", to=f"{user}@example.org")
            assert b"\n\n.dot\n" in peer.messages(user)[0].replace(b"\r\n", b"\n")
            assert peer.messages(user)[0].startswith(b"Return-Path: <s@x.example>")
        with Client(mx.port) as c:
            assert c.mail("s@x.example", "dora@example.org").code == 250
        wait_for(lambda: len(peer.messages("dora")) == 2, "the second message")
        log = (peer.work / "var/log/dovecot.log").read_text()
        # one session for the transaction and the next message, besides the test's own look at the port
        sessions = re.findall(r"lmtp\(\d+\): Info: Connect from 127\.0\.0\.1", log)
        assert len(sessions) == 2, log
