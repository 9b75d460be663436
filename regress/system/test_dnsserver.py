"""The tests' own name server: what it serves, how it changes, how it misbehaves."""
import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from dnsserver import DnsServer


def ask(server, name, kind, timeout=5, tcp=False):
    """The status and the records, sorted, as text."""
    question = dns.message.make_query(name, kind)
    way = dns.query.tcp if tcp else dns.query.udp
    answer = way(question, server.address, port=server.port, timeout=timeout)
    records = [r.to_text() for rrset in answer.answer for r in rrset if rrset.rdtype == question.question[0].rdtype]
    return dns.rcode.to_text(answer.rcode()), sorted(records)


RECORDS = [
    "mail.example.org A 127.0.0.5",
    "5.0.0.127.in-addr.arpa PTR mail.example.org",
    "example.org 300 MX 10 mail.example.org.",
    'example.org TXT "v=spf1 " "-all"',
    "null.example.org MX 0 .",
    "alias.example.org CNAME mail.example.org",
]


@pytest.mark.parametrize("front", [False, True])
def test_serves_and_changes(tmp_path, front):
    with DnsServer(tmp_path, RECORDS, front=front) as server:
        assert ask(server, "mail.example.org", "A") == ("NOERROR", ["127.0.0.5"])
        assert ask(server, "alias.example.org", "A") == ("NOERROR", ["127.0.0.5"])
        assert ask(server, "5.0.0.127.in-addr.arpa", "PTR") == ("NOERROR", ["mail.example.org."])
        assert ask(server, "example.org", "MX") == ("NOERROR", ["10 mail.example.org."])
        assert ask(server, "example.org", "TXT") == ("NOERROR", ['"v=spf1 " "-all"'])
        assert ask(server, "null.example.org", "MX") == ("NOERROR", ["0 ."])
        assert ask(server, "example.org", "A") == ("NOERROR", [])
        assert ask(server, "nowhere.example.com", "A") == ("NXDOMAIN", [])
        assert ask(server, "mail.example.org", "A", tcp=True) == ("NOERROR", ["127.0.0.5"])

        server.host("six.example.org", "::6")
        server.remove("mail.example.org")
        server.remove("example.org", "TXT")
        server.reload()
        assert ask(server, "six.example.org", "AAAA") == ("NOERROR", ["::6"])
        assert ask(server, "6" + ".0" * 31 + ".ip6.arpa", "PTR") == ("NOERROR", ["six.example.org."])
        assert ask(server, "mail.example.org", "A") == ("NXDOMAIN", [])
        assert ask(server, "example.org", "TXT") == ("NOERROR", [])
        assert ask(server, "example.org", "MX") == ("NOERROR", ["10 mail.example.org."])


def test_misbehaves(tmp_path):
    with DnsServer(tmp_path, RECORDS, front=True) as server:
        server.servfail("mail.example.org")
        server.silent("slow.example.org")
        server.delay("late.example.org", 0.1)
        assert ask(server, "mail.example.org", "A") == ("SERVFAIL", [])
        assert ask(server, "x.mail.example.org", "A") == ("SERVFAIL", [])
        assert ask(server, "late.example.org", "A") == ("NXDOMAIN", [])
        with pytest.raises(dns.exception.Timeout):
            ask(server, "x.slow.example.org", "A", timeout=0.2)
        assert ("x.slow.example.org", "A") in server.seen
        server.heal()
        assert ask(server, "mail.example.org", "A") == ("NOERROR", ["127.0.0.5"])


def test_comes_back_on_its_port(tmp_path):
    with DnsServer(tmp_path, RECORDS, front=True) as server:
        port = server.port
        server.stop()
        with pytest.raises((OSError, dns.exception.DNSException)):
            ask(server, "mail.example.org", "A", timeout=0.2)
        server.start()
        assert server.port == port
        assert ask(server, "mail.example.org", "A") == ("NOERROR", ["127.0.0.5"])


def test_says_what_is_wrong(tmp_path):
    with pytest.raises(RuntimeError, match="CNAME and other data"):
        with DnsServer(tmp_path, RECORDS + ["alias.example.org A 127.0.0.5"]):
            pass
