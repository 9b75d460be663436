"""The way to a domain as RFC 5321 5.1 and RFC 7505 have it: a real DNS server, and servers at port 25 of addresses of 127/8."""
import contextlib
import os

import pytest

from dnsserver import DnsServer
from genkan import Client, Genkan, wait_for
from smtppeer import SmtpPeer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="port 25 needs root")

MX1, MX2, MX3 = "127.0.18.1", "127.0.18.2", "127.0.18.3"
HOSTS = [f"mx1.partner.example A {MX1}", f"mx2.partner.example A {MX2}", f"mx3.partner.example A {MX3}"]
CONF = """
gate { reject "no answer could reach you" when sender-domain nullmx }
relay { from { 127.0.0.1 } }
domain "example.org" {
	users { "alice" }
	deliver maildir "$mail/%{user}"
}
"""


class World(contextlib.ExitStack):
    """RECORDS about partner.example, our server, and servers at port 25 of ADDRESSES."""

    def __init__(self, tmp_path, records, *addresses, replies=None, **options):
        super().__init__()
        self.dns = self.enter_context(DnsServer(tmp_path / "dns", [*HOSTS, *records]))
        self.mx = self.enter_context(Genkan(tmp_path / "mx", CONF, dns=self.dns, **options))
        self.peers = {a: self.enter_context(SmtpPeer(a, 25, replies=(replies or {}).get(a))) for a in addresses}

    def send(self, recipient="bob@partner.example"):
        with Client(self.mx.port) as c:
            assert c.mail("alice@example.org", recipient).code == 250

    def arrived(self, address):
        return self.peers[address].await_messages(1)[0]

    def notice(self):
        return self.mx.deliveries("alice", 1)[0].decode()

    def was_called(self, address):
        return bool(self.peers[address].sessions)


def test_by_preference(tmp_path):
    """What is down or has no time is passed over, in one attempt and in order."""
    with World(tmp_path, ["partner.example MX 30 mx3.partner.example", "partner.example MX 10 mx1.partner.example",
                          "partner.example MX 20 mx2.partner.example"], MX2, MX3,
               replies={MX2: {"CONNECT": "421 4.3.2 not now"}}) as w:
        w.send()
        w.arrived(MX3)
        assert w.was_called(MX2)


def test_every_address_of_a_host(tmp_path):
    with World(tmp_path, ["partner.example MX 10 two.partner.example", f"two.partner.example A {MX1}",
                          f"two.partner.example A {MX2}"], MX2) as w:
        w.send()
        w.arrived(MX2)


def test_equal_ones_share(tmp_path):
    """Both are used: thirty messages to thirty domains all at one of them happen once in five hundred million times."""
    domains = [f"d{n}.example" for n in range(30)]
    with World(tmp_path, [f"{d} MX 10 mx{n}.partner.example" for d in domains for n in (1, 2)], MX1, MX2) as w:
        for domain in domains:
            w.send(f"bob@{domain}")
        wait_for(lambda: sum(len(p.messages) for p in w.peers.values()) == 30, "all messages")
        assert w.was_called(MX1) and w.was_called(MX2)


def test_without_mx_the_address(tmp_path):
    with World(tmp_path, [f"partner.example A {MX1}"], MX1) as w:
        w.send()
        w.arrived(MX1)


def test_with_mx_never_the_address(tmp_path):
    with World(tmp_path, ["partner.example MX 10 nobody.partner.example", f"partner.example A {MX1}"], MX1) as w:
        w.send()
        assert "5.4.4" in w.notice()
        assert not w.was_called(MX1)


def test_alias_of_the_domain(tmp_path):
    """RFC 5321 5.1: the name at its end is asked about; the address stays as it was written."""
    with World(tmp_path, ["partner.example CNAME real.example", "real.example MX 10 mx1.partner.example"], MX1) as w:
        w.send()
        assert w.arrived(MX1).recipients == ["RCPT TO:<bob@partner.example>"]


def test_alias_as_mx(tmp_path):
    with World(tmp_path, ["partner.example MX 10 alias.partner.example", "alias.partner.example CNAME mx1.partner.example"],
               MX1) as w:
        w.send()
        w.arrived(MX1)


def test_null_mx(tmp_path):
    """RFC 7505 3: back at once, with the status for it."""
    with World(tmp_path, ["partner.example MX 0 .", f"partner.example A {MX1}"], MX1) as w:
        w.send()
        notice = w.notice()
        assert "Status: 5.1.10" in notice and "556" in notice
        assert not w.was_called(MX1)


def test_null_mx_of_a_sender(tmp_path):
    """RFC 7505 4.2: who cannot be answered is refused with the status for it, where the gate says so."""
    with World(tmp_path, ["silent.example MX 0 ."]) as w, Client(w.mx.port, source="127.0.18.9") as c:
        c.say("EHLO client.example")
        c.say("MAIL FROM:<news@silent.example>")
        reply = c.say("RCPT TO:<alice@example.org>")
        assert reply.code == 550 and reply.text.startswith("5.7.27 "), reply


def test_no_better_than_ourselves(tmp_path):
    """We are MX 20: what is as good or worse is not tried."""
    with World(tmp_path, ["partner.example MX 10 mx1.partner.example", "partner.example MX 20 mx.example.org",
                          "partner.example MX 20 mx2.partner.example", "partner.example MX 30 mx3.partner.example"],
               MX2, MX3) as w:
        w.send()
        wait_for(lambda: w.mx.log("queue.deferred"), "a deferral")
        assert not w.was_called(MX2) and not w.was_called(MX3)


def test_ourselves_first_is_a_loop(tmp_path):
    with World(tmp_path, ["partner.example MX 10 mx.example.org", "partner.example MX 20 mx2.partner.example"], MX2) as w:
        w.send()
        assert "Status: 5.4.6" in w.notice()
        assert not w.was_called(MX2)
