"""REQUIRETLS (RFC 8689): in by TLS, on by verified TLS to servers that do the same, or back without the text."""
import os

import pytest

from certs import Authority
from dnsserver import DnsServer
from genkan import Client, Genkan, certificate, trusting, wait_for
from smtppeer import SmtpPeer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="port 25 needs root")

MX1, MX2 = "127.0.8.22", "127.0.8.23"
RECORDS = ["partner.example MX 10 mx1.partner.example", "partner.example MX 20 mx2.partner.example",
           f"mx1.partner.example A {MX1}", f"mx2.partner.example A {MX2}"]
SECRET = "nobody else reads this"


@pytest.fixture
def ca(tmp_path):
    return Authority(tmp_path / "ca")


def genkan(tmp_path, ca, dns):
    (tmp_path / "mx").mkdir()
    certificate(tmp_path / "mx")
    return Genkan(tmp_path / "mx", f"""
        certificate "mx.example.org" chain "$dir/mx.example.org.pem" key "$dir/mx.example.org.key"
        domain "example.org" {{
            users {{ "alice" }}
            deliver maildir "$mail/%{{user}}"
        }}
        relay {{ trust "{ca.path}" }}
    """, dns=dns, listen='tls "mx.example.org"')


def peer(ca, address=MX1, name="mx1.partner.example", offers=("REQUIRETLS", "DSN")):
    return SmtpPeer(address, 25, context=ca.context(name), offers=offers)


def send(mx, parameters="REQUIRETLS", sender="alice@example.org"):
    wait_for(lambda: '"validating":true' in mx.run_ctl("stats", json_lines=True).stdout or not mx.signed, "DNSSEC")
    with Client(mx.port) as c:
        assert "REQUIRETLS" not in c.say("EHLO client.example").text
        assert c.say(f"MAIL FROM:<{sender}> REQUIRETLS").code == 555
        assert c.say("STARTTLS").code == 220
        c.socket = trusting().wrap_socket(c.socket, server_hostname="mx.example.org")
        c.file = c.socket.makefile("rb")
        assert "REQUIRETLS" in c.say("EHLO client.example").text
        assert c.say(f"MAIL FROM:<{sender}> {parameters}").code == 250
        assert c.say("RCPT TO:<bob@partner.example>").code == 250
        assert c.say("DATA").code == 354
        c.send(f"Subject: test\r\nTLS-Required: No\r\n\r\n{SECRET}\r\n.\r\n")
        assert c.reply().code == 250


def line(mx, event):
    return wait_for(lambda: mx.log(event), f"{event}: {mx.log_text()[-3000:]}")[-1]


@pytest.fixture
def signed(tmp_path):
    with DnsServer(tmp_path / "dns", RECORDS, signed=True) as dns:
        yield dns


def test_goes_on(tmp_path, ca, signed):
    """4.2.1; and 4.1: the header field does not count beside the parameter."""
    with peer(ca) as server, genkan(tmp_path, ca, signed) as mx:
        mx.signed = True
        send(mx)
        assert line(mx, "queue.delivered")["detail"].endswith(" verified")
        assert " REQUIRETLS" in server.messages[0].sender


def test_parameter_takes_no_value(tmp_path, ca, signed):
    with genkan(tmp_path, ca, signed) as mx, Client(mx.port) as c:
        c.say("EHLO client.example")
        c.say("STARTTLS")
        c.socket = trusting().wrap_socket(c.socket, server_hostname="mx.example.org")
        c.file = c.socket.makefile("rb")
        c.say("EHLO client.example")
        assert c.say("MAIL FROM:<a@b.example> REQUIRETLS=yes").code == 501


def test_second_server_does(tmp_path, ca, signed):
    with peer(ca, offers=()) as first, peer(ca, MX2, "mx2.partner.example") as second, genkan(tmp_path, ca, signed) as mx:
        mx.signed = True
        send(mx)
        assert line(mx, "queue.delivered")["host"].startswith("mx2.partner.example[")
        assert not first.messages and second.messages


@pytest.mark.parametrize("offers, name, code", [((), "mx1.partner.example", "5.7.30"), (("REQUIRETLS",), "who.example", "5.7.10")])
def test_goes_back_without_the_text(tmp_path, ca, signed, offers, name, code):
    """4.2.1, 5: a notice, which never has more than the header."""
    signed.remove("partner.example", "MX")
    signed.add("partner.example MX 10 mx1.partner.example")
    signed.reload()
    with peer(ca, name=name, offers=offers) as server, genkan(tmp_path, ca, signed) as mx:
        mx.signed = True
        send(mx, "REQUIRETLS RET=FULL")
        assert line(mx, "queue.failed")["reply"].startswith(f"550 {code} ")
        assert not server.messages
        notice = mx.deliveries("alice", 1)[0].decode()
        assert code in notice and SECRET not in notice and "Subject: test" in notice


def test_connection_that_waits_is_not_enough(tmp_path, ca, signed):
    """One that served mail without the wish, at a server that does not fulfil it."""
    with peer(ca, offers=()) as server, genkan(tmp_path, ca, signed) as mx:
        mx.signed = True
        wait_for(lambda: '"validating":true' in mx.run_ctl("stats", json_lines=True).stdout, "DNSSEC")
        with Client(mx.port) as c:
            assert c.mail("alice@example.org", "bob@partner.example").code == 250
        line(mx, "queue.delivered")
        send(mx)
        # the second server does not answer: the wish may still come true there
        assert wait_for(lambda: mx.log("queue.deferred") or mx.log("queue.failed"), "an end")
        assert len(server.messages) == 1


def test_unsigned_mx_is_no_way(tmp_path, ca):
    """4.2.1 step 2: whose server it is must be known."""
    with DnsServer(tmp_path / "dns", RECORDS) as dns, peer(ca) as server, genkan(tmp_path, ca, dns) as mx:
        mx.signed = False
        send(mx)
        assert line(mx, "queue.failed")["reply"].endswith(
            "is not used (requiretls): neither DNSSEC nor MTA-STS vouches for it")
        assert not server.sessions


def test_notice_goes_on_all_the_same(tmp_path, ca, signed):
    """5: without a sender it is not lost over it."""
    with peer(ca, offers=()) as server, genkan(tmp_path, ca, signed) as mx:
        mx.signed = True
        send(mx, sender="")
        line(mx, "queue.delivered")
        assert "REQUIRETLS" not in server.messages[0].sender
