"""DANE on the way out (RFC 7672): a signed root of our own, TLSA records of every kind, and servers to deliver to."""
import contextlib
import os

import pytest

from certs import Authority, tlsa
from dnsserver import DnsServer
from genkan import Client, Genkan, wait_for
from httpspeer import PolicyServer
from smtppeer import SmtpPeer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="port 25 needs root")

MX1, MX2, MX3 = "127.0.8.12", "127.0.8.13", "127.0.8.15"
RECORDS = ["partner.example MX 10 mx1.partner.example", f"mx1.partner.example A {MX1}"]
BASE = "_25._tcp.mx1.partner.example"


class World:
    """The authority, the server's certificate, DNS with one TLSA record about it."""

    def __init__(self, tmp_path, *, names=("mx1.partner.example",), days=30, **dns):
        self.path = tmp_path
        self.ca = Authority(tmp_path / "ca")
        self.chain, self.key = self.ca.issue(*names, days=days)
        self.dns = DnsServer(tmp_path / "dns", RECORDS, signed=True, **dns)

    def tlsa(self, usage, selector, matching, base=BASE, chain=None):
        self.dns.add(f"{base} TLSA {tlsa(chain or self.chain, usage, selector, matching)}")

    def server(self, address=MX1, **options):
        import ssl
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return SmtpPeer(address, 25, context=context, **options)

    def genkan(self, relay=""):
        return Genkan(self.path / "mx", f"relay {{ {relay} }}\n" if relay else "", dns=self.dns)

    def send(self, mx, text="Subject: test\r\n\r\nhello\r\n"):
        wait_for(lambda: self.validating(mx), "DNSSEC")
        with Client(mx.port) as c:
            assert c.mail("alice@example.org", "bob@partner.example", text).code == 250

    @staticmethod
    def validating(mx):
        """The resolver has seen that its anchor's keys come and are right."""
        return '"validating":true' in mx.run_ctl("stats", json_lines=True).stdout


def outcome(mx):
    def found():
        return mx.log("queue.delivered") or mx.log("queue.deferred") or mx.log("queue.failed")
    return wait_for(found, "an outcome: " + mx.log_text()[-2000:])[-1]


@pytest.mark.parametrize("usage, selector, matching", [(3, 1, 1), (3, 0, 1), (3, 1, 2), (3, 1, 0), (3, 0, 0), (2, 0, 1), (2, 1, 2)])
def test_usable(tmp_path, usage, selector, matching):
    w = World(tmp_path)
    w.tlsa(usage, selector, matching)
    with w.dns, w.server() as server, w.genkan() as mx:
        w.send(mx)
        assert outcome(mx)["detail"].endswith(" dane")
        assert server.sessions[0].sni == "mx1.partner.example" and server.messages


def test_own_key_needs_neither_name_nor_time(tmp_path):
    """RFC 7672 3.1.1: DANE-EE is the key and nothing else."""
    w = World(tmp_path, names=["who.example"], days=-1)
    w.tlsa(3, 1, 1)
    with w.dns, w.server(), w.genkan() as mx:
        w.send(mx)
        assert outcome(mx)["detail"].endswith(" dane")


@pytest.mark.parametrize("name, fits", [("mx1.partner.example", True), ("partner.example", True), ("who.example", False)])
def test_anchor_needs_a_name(tmp_path, name, fits):
    """RFC 7672 3.2.2: the server's, or the domain's that the mail is for."""
    w = World(tmp_path, names=[name])
    w.tlsa(2, 0, 1)
    with w.dns, w.server() as server, w.genkan() as mx:
        w.send(mx)
        line = outcome(mx)
        if fits:
            assert line["detail"].endswith(" dane")
        else:
            assert line["reply"].startswith("451 4.7.5 TLS is needed (dane)") and "hostname mismatch" in line["reply"]
            assert not server.messages


def test_other_certificate(tmp_path):
    w = World(tmp_path)
    other, _ = w.ca.issue("mx1.partner.example")
    w.tlsa(3, 1, 1, chain=other)
    with w.dns, w.server() as server, w.genkan() as mx:
        w.send(mx)
        assert outcome(mx)["reply"].startswith("451 4.7.5 TLS is needed (dane)")
        assert not server.messages


def test_one_of_several_records_is_enough(tmp_path):
    """RFC 7671 8: a key that is to come stands beside the one in use."""
    w = World(tmp_path)
    other, _ = w.ca.issue("mx1.partner.example")
    w.tlsa(3, 1, 1, chain=other)
    w.tlsa(3, 1, 1)
    w.dns.add(f"{BASE} TLSA 1 1 1 {'00' * 32}")
    with w.dns, w.server(), w.genkan() as mx:
        w.send(mx)
        assert outcome(mx)["detail"].endswith(" dane")


@pytest.mark.parametrize("attack", ["strip", "refuse", "garbage"])
def test_no_step_down(tmp_path, attack):
    w = World(tmp_path)
    w.tlsa(3, 1, 1)
    with w.dns, w.server(attack=attack) as server, w.genkan() as mx:
        w.send(mx)
        assert outcome(mx)["reply"].startswith("451 4.7.5 TLS is needed (dane)")
        assert not server.messages


@pytest.mark.parametrize("record", [f"1 1 1 {'00' * 32}", f"0 0 1 {'00' * 32}", f"3 1 1 {'00' * 31}", f"3 1 9 {'00' * 32}"])
@pytest.mark.parametrize("attack", [None, "strip"])
def test_unusable_records_ask_for_encryption(tmp_path, record, attack):
    """RFC 7672 2.2.3, 3.1.3"""
    w = World(tmp_path, names=["who.example"])
    w.dns.add(f"{BASE} TLSA {record}")
    with w.dns, w.server(attack=attack) as server, w.genkan() as mx:
        w.send(mx)
        line = outcome(mx)
        if attack:
            assert line["reply"].startswith("451 4.7.5 TLS is needed (dane)") and not server.messages
        else:
            assert line["detail"].endswith(" unverified (dane)")


def test_forged_records_make_the_server_unreachable(tmp_path):
    """RFC 7672 2.1.2; the next server is not concerned."""
    w = World(tmp_path)
    w.tlsa(3, 1, 1)
    w.dns.forge(BASE, "TLSA")
    with w.dns, w.server() as server, w.genkan() as mx:
        w.send(mx)
        assert outcome(mx)["reply"] == (
            "451 4.7.5 mx1.partner.example is not used (dane): its TLSA records cannot be had from DNS, or are forged")
        assert not server.sessions
        w.dns.add("partner.example MX 20 mx2.partner.example", f"mx2.partner.example A {MX2}")
        w.dns.reload()
        with w.server(MX2) as second:
            def flushed():
                mx.ctl("queue", "flush")
                return mx.log("queue.delivered")
            assert wait_for(flushed, "the second server")[0]["host"].startswith("mx2.partner.example[")
            assert second.messages and not server.sessions


def test_tlsa_that_gets_no_answer(tmp_path):
    w = World(tmp_path, front=True)
    w.tlsa(3, 1, 1)
    with w.dns, w.server() as server, w.genkan() as mx:
        w.dns.servfail(BASE)
        w.send(mx)
        assert "(dane)" in outcome(mx)["reply"]
        assert not server.sessions


def test_unsigned_zone_is_not_asked(tmp_path):
    """RFC 7672 2.2.2: name servers of unsigned zones may fail on TLSA."""
    w = World(tmp_path, front=True, unsigned=["partner.example"])
    w.tlsa(3, 1, 1)
    with w.dns, w.server(), w.genkan() as mx:
        w.dns.servfail(BASE)
        w.send(mx)
        assert outcome(mx)["detail"].endswith(" opportunistic")
        assert not [q for q in w.dns.seen if q[1] == "TLSA"]


def test_no_records(tmp_path):
    w = World(tmp_path)
    with w.dns, w.server(attack="strip"), w.genkan() as mx:
        w.send(mx)
        assert outcome(mx)["detail"] == "in the clear"


def test_alias_has_its_records_at_the_end(tmp_path):
    """RFC 7672 2.2.2: the expanded name first."""
    w = World(tmp_path, names=["real.host.example"])
    w.dns.remove("mx1.partner.example")
    w.dns.add("mx1.partner.example CNAME real.host.example", f"real.host.example A {MX1}")
    w.tlsa(2, 0, 1, "_25._tcp.real.host.example")
    with w.dns, w.server() as server, w.genkan() as mx:
        w.send(mx)
        assert outcome(mx)["detail"].endswith(" dane")
        assert server.sessions[0].sni == "real.host.example"


@pytest.mark.parametrize("unsigned", [[], ["host.example"]])
def test_alias_has_its_records_at_its_own_name(tmp_path, unsigned):
    """... and the unexpanded one when there are none, or the end is not signed."""
    w = World(tmp_path, unsigned=unsigned)
    w.dns.remove("mx1.partner.example")
    w.dns.add("mx1.partner.example CNAME real.host.example", f"real.host.example A {MX1}")
    w.tlsa(2, 0, 1)
    with w.dns, w.server() as server, w.genkan() as mx:
        w.send(mx)
        assert outcome(mx)["detail"].endswith(" dane")
        assert server.sessions[0].sni == "mx1.partner.example"


def test_smarthost(tmp_path):
    """RFC 7672 2.2.2: a host that is named counts as well, with the port in the record's name."""
    w = World(tmp_path)
    with w.dns, w.server() as server, w.genkan('route "*" to "mx1.partner.example" tls verify') as mx:
        w.tlsa(3, 1, 1)
        w.dns.reload()
        w.send(mx)
        assert outcome(mx)["detail"].endswith(" dane") and server.messages


def test_operator_may_lift_it(tmp_path):
    w = World(tmp_path)
    w.dns.add(f"{BASE} TLSA 3 1 1 {'00' * 32}")
    with w.dns, w.server(), w.genkan('route "partner.example" to mx tls off') as mx:
        w.send(mx)
        assert outcome(mx)["detail"] == "in the clear"


# --- beside MTA-STS (RFC 8461 2): DANE goes first, whatever the policy says ---

WEB = "127.0.8.14"


class Both(World):
    """The domain publishes a policy, too; the authority is trusted, so that the certificate alone would do for it."""

    def __init__(self, tmp_path, names, **dns):
        super().__init__(tmp_path, **dns)
        self.dns.add(f"mta-sts.partner.example A {WEB}", '_mta-sts.partner.example TXT "v=STSv1; id=one;"')
        self.web = PolicyServer(WEB, self.ca.context("mta-sts.partner.example"))
        self.web.policy("enforce", names)

    def genkan(self, relay=""):
        return super().genkan(f'trust "{self.ca.path}"')


def test_a_policy_that_names_another_server_does_not_hinder(tmp_path):
    w = Both(tmp_path, ["mx2.partner.example"])
    w.tlsa(3, 1, 1)
    with w.dns, w.web, w.server() as server, w.genkan() as mx:
        w.send(mx)
        line = outcome(mx)
        assert line["detail"].endswith(" dane") and line["host"].startswith("mx1.partner.example[")
        assert server.messages


@pytest.mark.parametrize("forged", [True, False])
def test_a_policy_that_fits_does_not_heal(tmp_path, forged):
    """Forged TLSA records, or right ones about another certificate, while PKIX and the policy would be content."""
    w = Both(tmp_path, ["mx1.partner.example"])
    w.tlsa(3, 1, 1, chain=w.chain if forged else w.ca.issue("mx1.partner.example")[0])
    if forged:
        w.dns.forge(BASE, "TLSA")
    with w.dns, w.web, w.server() as server, w.genkan() as mx:
        w.send(mx)
        reply = outcome(mx)["reply"]
        assert ("forged" if forged else "TLS is needed (dane)") in reply and "(dane)" in reply
        assert not server.messages


@pytest.mark.parametrize("up", [True, False])
def test_each_server_by_what_is_said_of_it(tmp_path, up):
    """The first has TLSA and is not named, the second is named and has none: both get mail, in their order; one before them
    that has neither gets none."""
    w = Both(tmp_path, ["mx2.partner.example"])
    w.chain, w.key = w.ca.issue("mx1.partner.example", "mx2.partner.example", "mx3.partner.example")
    w.dns.add("partner.example MX 20 mx2.partner.example", f"mx2.partner.example A {MX2}",
              "partner.example MX 5 mx3.partner.example", f"mx3.partner.example A {MX3}")
    w.tlsa(3, 1, 1)
    first = w.server() if up else contextlib.nullcontext()
    with w.dns, w.web, first, w.server(MX2) as second, w.server(MX3) as third, w.genkan() as mx:
        w.send(mx)
        line = outcome(mx)
        assert line["host"].startswith(f"mx{1 if up else 2}.partner.example[")
        assert line["detail"].endswith(" dane" if up else " mta-sts")
        assert bool(second.messages) != up and not third.sessions


def test_records_of_no_use_leave_it_to_the_policy(tmp_path):
    """RFC 7672 2.2: what cannot be used is no DANE, so that the policy counts."""
    w = Both(tmp_path, ["mx2.partner.example"])
    w.dns.add(f"{BASE} TLSA 1 1 1 {'00' * 32}")
    with w.dns, w.web, w.server() as server, w.genkan() as mx:
        w.send(mx)
        assert outcome(mx)["reply"] == (
            "451 4.7.5 mx1.partner.example is not used (mta-sts): the domain's MTA-STS policy does not name this server")
        assert not server.sessions
