"""TLS: STARTTLS (RFC 3207), implicit TLS (RFC 8314), certificates by name, reread, tickets, clients' certificates."""
import re

import pytest

from genkan import Client, Genkan, certificate, free_port, trusting

CONF = """
gate { }
domain "example.org" {
	users { "alice" }
	deliver maildir "$mail/%{user}"
}
certificate "mx.example.org" chain "$dir/mx.example.org.pem" key "$dir/mx.example.org.key"
"""


@pytest.fixture(scope="module")
def mx(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tls")
    certificate(directory)
    port = free_port()
    server = Genkan(directory, CONF + f'listen on 127.0.0.1 port {port} implicit-tls "mx.example.org"\n', listen='tls "mx.example.org"')
    server.implicit = port
    with server:
        yield server


@pytest.fixture
def trust(mx):
    return trusting(mx.dir / "mx.example.org.pem")


def features(reply):
    return {line[4:].split()[0] for line in reply.lines[1:]}


def test_starttls_is_offered_until_it_is_used(mx, trust):  # RFC 3207 4.2
    with Client(mx.port) as c:
        assert "STARTTLS" in features(c.say("EHLO client.example"))
        assert c.starttls(trust, "mx.example.org").code == 220
        assert "STARTTLS" not in features(c.say("EHLO client.example"))
        assert c.say("STARTTLS").code == 503
        assert c.say("QUIT").code == 221
        assert c.closed()


def test_a_message_under_tls(mx, trust):
    with Client(mx.port) as c:
        c.say("EHLO client.example")
        c.starttls(trust, "mx.example.org")
        assert c.mail("a@b.example", "alice@example.org").code == 250
        name, version, _ = c.socket.cipher()
    text = mx.deliveries("alice", 1)[0].decode()
    received = " ".join(re.search(r"^Received: (.*?)^\S", text, re.M | re.S).group(1).split())
    assert "with ESMTPS (TLSv1.3) id" in received       # RFC 3848
    assert f"for <alice@example.org> tls {name};" in received  # RFC 8314 4.3
    line = mx.await_log("session.tls", sni="mx.example.org")
    assert line["tls"] == f"TLSv1.3 {name}" and line["resumed"] is False


def test_implicit_tls(mx, trust):  # RFC 8314 3.3
    with Client(mx.implicit, tls=trust, name="mx.example.org") as c:
        assert c.greeting.code == 220
        assert "STARTTLS" not in features(c.say("EHLO client.example"))
        assert c.say("QUIT").code == 221
