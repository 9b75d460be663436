"""MTA-STS on the way out (RFC 8461): a real name server, a real HTTPS server, and servers to deliver to."""
import os

import pytest

from certs import Authority
from dnsserver import DnsServer
from genkan import Client, Genkan, wait_for
from httpspeer import PolicyServer
from smtppeer import SmtpPeer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="ports 25 and 443 need root")

WEB, MX1, MX2 = "127.0.8.1", "127.0.8.2", "127.0.8.3"
RECORDS = [f"partner.example MX 10 mx1.partner.example", f"mx1.partner.example A {MX1}", f"mx2.partner.example A {MX2}",
           f"mta-sts.partner.example A {WEB}", 'partner.example TXT "v=spf1 -all"']
STS = '_mta-sts.partner.example TXT "v=STSv1; id={};"'


@pytest.fixture
def ca(tmp_path):
    return Authority(tmp_path / "ca")


@pytest.fixture
def dns(tmp_path):
    with DnsServer(tmp_path / "dns", [*RECORDS, STS.format("one")], front=True) as server:
        yield server


@pytest.fixture
def web(ca):
    with PolicyServer(WEB, ca.context("mta-sts.partner.example")) as server:
        server.policy("enforce", ["mx1.partner.example"])
        yield server


def relaying(tmp_path, dns, ca):
    return Genkan(tmp_path / "mx", f'relay {{ trust "{ca.path}" }}\n', dns=dns)


def send(mx, text="Subject: test\r\n\r\nhello\r\n", recipient="bob@partner.example"):
    with Client(mx.port) as c:
        assert c.mail("alice@example.org", recipient, text).code == 250


def last(mx, event, count=1):
    return wait_for(lambda: len(mx.log(event)) >= count and mx.log(event), f"{count} {event}: {mx.log_text()[-3000:]}")[-1]


def peer(ca, *names, **options):
    return SmtpPeer(options.pop("address", MX1), 25, context=ca.context(*(names or ["mx1.partner.example"])), **options)


def test_enforced_and_fulfilled(tmp_path, dns, ca, web):
    with peer(ca) as server, relaying(tmp_path, dns, ca) as mx:
        send(mx)
        assert last(mx, "queue.delivered")["detail"].endswith(" mta-sts")
        assert web.requests == ["GET /.well-known/mta-sts.txt mta-sts.partner.example"]
        assert server.sessions[0].sni == "mx1.partner.example"


@pytest.mark.parametrize("attack", ["strip", "refuse", "garbage"])
def test_no_step_down(tmp_path, dns, ca, web, attack):
    """5: a server without TLS gets nothing while the policy is enforced."""
    with peer(ca, attack=attack) as server, relaying(tmp_path, dns, ca) as mx:
        send(mx)
        assert last(mx, "queue.deferred")["reply"].startswith("451 4.7.5 TLS is needed (mta-sts)")
        assert not server.messages


@pytest.mark.parametrize("names, days", [(["mx2.partner.example"], 30), (["mx1.partner.example"], -1)])
def test_certificate_must_fit(tmp_path, dns, ca, web, names, days):
    """4.2"""
    with SmtpPeer(MX1, 25, context=ca.context(*names, days=days)) as server, relaying(tmp_path, dns, ca) as mx:
        send(mx)
        reply = last(mx, "queue.deferred")["reply"]
        assert "(mta-sts)" in reply and ("hostname mismatch" in reply or "expired" in reply)
        assert not server.messages


def test_authority_must_be_known(tmp_path, dns, ca, web):
    stranger = Authority(tmp_path / "other", "Another Authority")
    with peer(stranger) as server, relaying(tmp_path, dns, ca) as mx:
        send(mx)
        assert "(mta-sts)" in last(mx, "queue.deferred")["reply"]
        assert not server.messages


def test_servers_not_named_are_passed_over(tmp_path, dns, ca, web):
    """4.1; the second one is named, and gets it."""
    dns.add("partner.example MX 20 mx2.partner.example")
    dns.reload()
    web.policy("enforce", ["mx2.partner.example"])
    with peer(ca) as first, peer(ca, "mx2.partner.example", address=MX2) as second, relaying(tmp_path, dns, ca) as mx:
        send(mx)
        assert last(mx, "queue.delivered")["host"].startswith("mx2.partner.example[")
        assert not first.sessions and second.messages


def test_no_server_is_named(tmp_path, dns, ca, web):
    web.policy("enforce", ["*.elsewhere.example"])
    with peer(ca) as server, relaying(tmp_path, dns, ca) as mx:
        send(mx)
        assert last(mx, "queue.deferred")["reply"] == (
            "451 4.7.5 mx1.partner.example is not used (mta-sts): the domain's MTA-STS policy does not name this server")
        assert not server.sessions


def test_testing_says_so_and_delivers(tmp_path, dns, ca, web):
    """5: mode testing."""
    web.policy("testing", ["mx1.partner.example"])
    with peer(ca, "other.example") as server, relaying(tmp_path, dns, ca) as mx:
        send(mx)
        assert last(mx, "queue.delivered")["detail"].endswith(" opportunistic")
        assert [e["what"] for e in mx.log("relay.mta-sts") if e.get("host")] == ["the certificate cannot be verified"]
        assert server.messages


def test_none(tmp_path, dns, ca, web):
    web.policy("none", [])
    with peer(ca, attack="strip") as server, relaying(tmp_path, dns, ca) as mx:
        send(mx)
        assert last(mx, "queue.delivered")["detail"] == "in the clear"


@pytest.mark.parametrize("wrong", ["certificate", "redirect", "html", "large", "missing", "syntax"])
def test_what_is_no_policy(tmp_path, dns, ca, wrong):
    """3.3: a certificate for the host, 200, text/plain, no redirect; else there is no policy, and mail goes on."""
    context = (Authority(tmp_path / "other", "Another Authority") if wrong == "certificate" else ca)
    with PolicyServer(WEB, context.context("mta-sts.partner.example")) as web, peer(ca, attack="strip"), \
            relaying(tmp_path, dns, ca) as mx:
        web.policy("enforce", ["mx1.partner.example"])
        if wrong == "redirect":
            web.status, web.location = 301, f"https://{WEB}/.well-known/mta-sts.txt"
        elif wrong == "html":
            web.content_type = "text/html"
        elif wrong == "large":
            web.body += b"x: y\r\n" * 20000
        elif wrong == "missing":
            web.status = 404
        elif wrong == "syntax":
            web.body = b"no policy\r\n"
        send(mx)
        assert last(mx, "queue.delivered")["detail"] == "in the clear"
        assert last(mx, "relay.mta-sts")["what"] == "the policy cannot be fetched; mail goes on without"
        # 3.3: not asked again for five minutes
        asked = len(web.requests)
        send(mx)
        last(mx, "queue.delivered", 2)
        relays = os.cpu_count()
        assert len(web.requests) <= asked * relays


def test_cache_survives_restart_and_suppression(tmp_path, dns, ca, web):
    """3.1, 5.1, 10.2: who can hide the record and the policy cannot undo one that was seen."""
    with peer(ca):
        mx = relaying(tmp_path, dns, ca)
        with mx:
            send(mx)
            last(mx, "queue.delivered")
        dns.remove("_mta-sts.partner.example")
        dns.reload()
        web.status = 404
    with peer(ca, attack="strip") as server, mx:
        send(mx)
        reply = last(mx, "queue.deferred")["reply"]
        assert reply.startswith("451 4.7.5 TLS is needed (mta-sts)")
        assert len(web.requests) == 1 and not server.messages


def test_policy_ends_at_its_age(tmp_path, dns, ca, web):
    """3.2: max_age"""
    web.policy("enforce", ["mx1.partner.example"], max_age=1000)
    with peer(ca):
        mx = relaying(tmp_path, dns, ca)
        with mx:
            send(mx)
            last(mx, "queue.delivered")
    dns.remove("_mta-sts.partner.example")
    dns.reload()
    mx.advance(1001)
    with peer(ca, attack="strip"), mx:
        send(mx)
        assert last(mx, "queue.delivered", 2)["detail"] == "in the clear"


def test_new_id_is_a_new_policy(tmp_path, dns, ca, web):
    """3.1: the id tells"""
    with peer(ca, attack="strip") as server:
        mx = relaying(tmp_path, dns, ca)
        with mx:
            send(mx)
            last(mx, "queue.deferred")
            web.policy("none", [])
            dns.remove("_mta-sts.partner.example")
            dns.add(STS.format("two"))
            dns.reload()

            def flushed():
                mx.ctl("queue", "flush")
                return mx.log("queue.delivered")
            assert wait_for(flushed, "what DNS said to be over")[0]["detail"] == "in the clear"
        assert server.messages


def test_one_question_while_mail_flows(tmp_path, ca, web):
    """Neither MX nor record nor policy is asked for anew by each message."""
    with DnsServer(tmp_path / "dns", [*RECORDS, STS.format("one")], front=True, ttl=300) as dns, peer(ca), \
            relaying(tmp_path, dns, ca) as mx:
        send(mx)
        last(mx, "queue.delivered")
        for n in range(2, 8):
            send(mx)
            last(mx, "queue.delivered", n)
        asked = [q for q in dns.seen if q[1] in ("MX", "TXT") and q[0].endswith("partner.example")]
        assert sorted(asked) == [("_mta-sts.partner.example", "TXT"), ("partner.example", "MX")]
        assert len(web.requests) <= os.cpu_count()


def test_tls_required_no(tmp_path, dns, ca, web):
    """RFC 8689 4.2.2: the sender would rather have it read than protected."""
    with peer(ca, attack="strip") as server, relaying(tmp_path, dns, ca) as mx:
        send(mx, "Subject: test\r\nTLS-Required: No\r\n\r\nhello\r\n")
        assert last(mx, "queue.delivered")["detail"] == "in the clear"
        send(mx, "Subject: test\r\nX: y\r\n\r\nTLS-Required: No\r\n")
        assert "(mta-sts)" in last(mx, "queue.deferred")["reply"]
        assert len(server.messages) == 1
