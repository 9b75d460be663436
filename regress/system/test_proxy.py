"""Connections that a proxy makes for its clients (PROXY protocol, versions 1 and 2)."""
import socket
import ssl
import struct

import pytest

from genkan import Client, Genkan, certificate, free_port

CONF = """
gate {
	reject when early-talker
	reject when client in { 203.0.113.0/24 }
	pause 1s
}
limit connections-per-address 3
certificate "mx" chain "$dir/mx.pem" key "$dir/mx.key"
listen on 127.0.0.1 port $secure implicit-tls "mx" proxy from { 127.0.0.7 }
domain "example.org" {
	users { "alice" }
	deliver maildir "$$mail/%{user}"
}
"""


def v1(client="192.0.2.1", server="198.51.100.2"):
    return f"PROXY TCP4 {client} {server} 4711 25\r\n".encode()


def v2(client="192.0.2.1", server="198.51.100.2", command=0x21, more=b""):
    body = socket.inet_aton(client) + socket.inet_aton(server) + struct.pack(">HH", 4711, 25) + more
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([command, 0x11]) + struct.pack(">H", len(body)) + body


@pytest.fixture(scope="module")
def mx(tmp_path_factory):
    directory, secure = tmp_path_factory.mktemp("proxy"), free_port()
    certificate(directory, file="mx")
    conf = CONF.replace("$secure", str(secure)).replace("$$", "$")
    with Genkan(directory, conf, listen="proxy from { 127.0.0.7 }") as server:
        server.secure = secure
        yield server


def connect(mx, header=b"", port=None):
    c = Client(port or mx.port, source="127.0.0.7", greet=False)
    c.send(header)
    return c


@pytest.mark.parametrize("header", [v1(), v2(), v2(more=b"\x04\x00\x03abc")])
def test_the_client_is_who_the_proxy_says(mx, header):
    with connect(mx, header) as c:
        assert c.reply().code == 220
        queued = c.mail("a@b.example", "alice@example.org").text.split()[-1]
    assert mx.await_log("queue.accepted", message=queued)["origin"].endswith("[192.0.2.1]")


def test_octet_by_octet(mx):
    with connect(mx) as c:
        for octet in v1("192.0.2.20"):
            c.send(bytes([octet]))
        assert c.reply().code == 220


@pytest.mark.parametrize("header", [v1("203.0.113.5"), v2("203.0.113.5")])
def test_the_gate_judges_the_client(mx, header):
    with connect(mx, header) as c:
        assert c.reply().code == 220
        assert c.mail("a@b.example", "alice@example.org").code == 550


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", v2(command=0x20)])
def test_the_proxys_own_connections(mx, header):
    with connect(mx, header) as c:
        assert c.reply().code == 220
        assert c.say("QUIT").code == 221


def test_words_behind_the_header_are_early(mx):
    with connect(mx, v1("192.0.2.30") + b"EHLO client.example\r\n") as c:
        assert c.reply().code == 220
        assert c.reply().code == 250
        assert c.mail("a@b.example", "alice@example.org", helo=None).code == 550


@pytest.mark.parametrize("octets", [b"EHLO client.example\r\n", b"PROXY TCP4 192.0.2.1\r\n", b"\r\n\r\n\0\r\nQUIT\nxxxxxxxx"])
def test_no_header_no_service(mx, octets):
    with connect(mx, octets) as c:
        assert c.closed()
    mx.await_log("session.proxy", peer="127.0.0.7")


def test_strangers_headers_are_words(mx):
    with Client(mx.port, source="127.0.0.8", greet=False) as c:
        c.send(v1("192.0.2.1"))
        assert c.reply().code == 220
        assert c.reply().code == 500


def test_limits_are_the_clients(mx):
    held = [connect(mx, v1("192.0.2.40")) for _ in range(3)]
    for c in held:
        assert c.reply().code == 220
    with connect(mx, v1("192.0.2.40")) as c, connect(mx, v1("192.0.2.41")) as other:
        assert c.reply().code == 421
        assert other.reply().code == 220
    for c in held:
        c.close()


def test_tls_comes_behind_the_header(mx):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", mx.secure), source_address=("127.0.0.7", 0), timeout=30) as raw:
        raw.sendall(v2("192.0.2.50"))
        with context.wrap_socket(raw) as secure:
            assert secure.makefile("rb").readline().startswith(b"220 ")
    assert mx.await_log("session.tls", client="192.0.2.50")
