"""What the gate's rules can ask: lists, names in HELO, senders' domains, rates, traps; each on the running server, with a
real name server, and clients of any address and name by XCLIENT."""
import datetime
import ipaddress
import os
import signal

import pytest

from dnsserver import DnsServer
from genkan import Client, Genkan, wait_for

BASE = """
limit errors 100
limit connections-per-address off
limit connections-per-network off
domain "example.org" {
	users { "alice", "bob" }
	deliver maildir "$mail/%{user}"
}
"""
TRUST_PROXY = "xclient from { 127.0.0.0/8 }"
# RFC 5782 5: every list has these
TEST_ENTRIES = "2.0.0.127.{zone} A 127.0.0.2"


def listed(zone, client, reply="127.0.0.2"):
    return ".".join(reversed(client.split("."))) + f".{zone} A {reply}"


def pointer(address):
    return ipaddress.ip_address(address).reverse_pointer


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    records = [TEST_ENTRIES.format(zone=zone) for zone in
               ("bl.example", "other.example", "white.example", "slow.example")]
    records += [
        listed("bl.example", "192.0.2.10"), listed("bl.example", "192.0.2.11", "127.0.0.3"),
        listed("bl.example", "192.0.2.12"), listed("other.example", "192.0.2.12", "127.0.0.9"),
        listed("bl.example", "192.0.2.13"), listed("other.example", "192.0.2.13", "127.0.0.9"),
        listed("white.example", "192.0.2.13"),
        "0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example A 127.0.0.2",
        "mail.small.example A 192.0.2.20",
        "mx.example MX 10 mail.mx.example", "null.example MX 0 .", "text.example TXT \"hello\"",
        "address.example A 192.0.2.1",
        f"{pointer('2001:db8:7::25')} PTR mail.six.example", "mail.six.example AAAA 2001:db8:7::25",
        "six.example MX 10 mail.six.example", 'six.example TXT "v=spf1 ip6:2001:db8:7::/48 -all"',
        f"{pointer('2001:db8:8::5')} PTR 2001-db8-8--5.line.example", "2001-db8-8--5.line.example AAAA 2001:db8:8::5",
        f"{pointer('2001:db8:9::5')} PTR mail.six.example",
    ]
    with DnsServer(tmp_path_factory.mktemp("facts"), records, front=True) as server:
        yield server


@pytest.fixture
def server(place, names):
    """A function that starts one with these rules."""
    running = []

    def start(rules, listen=TRUST_PROXY, base=BASE, **options):
        mx = Genkan(place / str(len(running)), base + "gate {\n" + rules + "\n}\n", dns=names, listen=listen, **options)
        running.append(mx)
        return mx.start()
    yield start
    for mx in running:
        mx.stop()


class Caller(Client):
    """A client that is another by XCLIENT: any address and any verified name."""

    def __init__(self, mx, ip, name=None, **options):
        super().__init__(mx.port, **options)
        literal = f"IPV6:{ip}" if ":" in ip else ip
        self.greeting = self.say(f"XCLIENT ADDR={literal} NAME={name or '[UNAVAILABLE]'}")

    def try_mail(self, sender="a@mx.example", recipient="alice@example.org", helo="mail.caller.example"):
        """The reply to RCPT, or the one before it that refused."""
        if helo:
            reply = self.say(f"EHLO {helo}")
            if reply.code != 250:
                return reply
        reply = self.say(f"MAIL FROM:<{sender}>")
        if reply.code != 250:
            return reply
        return self.say(f"RCPT TO:<{recipient}>")


def codes(mx, cases, **options):
    """{ip: code} of what each client gets at RCPT."""
    got = {}
    for ip in cases:
        with Caller(mx, ip) as c:
            got[ip] = c.try_mail(**options).code
    return got


# --- lists ---

def test_a_listed_client_is_refused(server):
    mx = server('reject "listed" when dnsbl "bl.example"')
    want = {"192.0.2.10": 550, "192.0.2.99": 250, "192.0.2.11": 550, "2001:db8::10": 550, "2001:db8::11": 250}
    assert codes(mx, want) == want
    assert "dnsbl=bl.example" in mx.await_log("gate.verdict", client="192.0.2.10")["evidence"]


def test_only_some_replies_count(server):
    mx = server('reject when dnsbl "bl.example=127.0.0.[2;4-11]"')
    want = {"192.0.2.10": 550, "192.0.2.11": 250}
    assert codes(mx, want) == want


def test_weights_are_summed(server):
    mx = server('reject when dnsbl { "bl.example" = 2, "other.example" = 1, "white.example" = -2 } >= 3')
    want = {"192.0.2.10": 250, "192.0.2.12": 550, "192.0.2.13": 250, "192.0.2.99": 250}
    assert codes(mx, want) == want


def test_a_table_of_lists(place, names):
    conf = BASE + 'table lists { "bl.example" = 2, "other.example" = 1 }\ngate { reject when dnsbl <lists> >= 3 }\n'
    with Genkan(place, conf, dns=names, listen=TRUST_PROXY) as mx:
        want = {"192.0.2.10": 250, "192.0.2.12": 550}
        assert codes(mx, want) == want


def test_an_allowlist_trusts(server):
    mx = server('trust when dnswl "white.example"\nreject')
    want = {"192.0.2.13": 250, "192.0.2.10": 550}
    assert codes(mx, want) == want


def test_a_list_that_does_not_answer_refuses_nobody(server, names):
    names.servfail("slow.example")
    try:
        mx = server('reject when dnsbl "slow.example"\nreject when not dnsbl "slow.example"\n'
                    'reject when dnsbl { "bl.example" = 2, "slow.example" = -1 } >= 2')
        want = {"192.0.2.10": 250, "192.0.2.99": 250}
        assert codes(mx, want) == want
    finally:
        names.heal()


def test_friends_are_not_asked_about(server, names):
    mx = server('trust when client in 192.0.2.10\nreject when dnsbl "bl.example"')
    names.seen.clear()
    want = {"192.0.2.10": 250, "192.0.2.12": 550}
    assert codes(mx, want) == want
    asked = {name for name, _ in names.seen}
    assert "10.2.0.192.bl.example" not in asked and "12.2.0.192.bl.example" in asked


# --- HELO ---

HELO = """
	reject "literal" at helo when helo literal
	reject "invalid" at helo when helo invalid
	reject "own" at helo when helo own-name
	reject "stranger" at helo when not helo resolves-to-client
"""


@pytest.mark.parametrize("helo, ip, want", [
    ("[192.0.2.20]", "192.0.2.20", "literal"), ("localhost", "192.0.2.20", "invalid"),
    ("192.0.2.20", "192.0.2.20", "invalid"), ("mx.example.org", "192.0.2.20", "own"), ("EXAMPLE.org", "192.0.2.20", "own"),
    ("mail.small.example", "192.0.2.20", "250"), ("mail.small.example", "192.0.2.21", "stranger"),
    ("ppp17.small.example", "192.0.2.20", "stranger"),
])
def test_helo(server, helo, ip, want):
    mx = server(HELO)
    with Caller(mx, ip) as c:
        reply = c.say(f"EHLO {helo}")
        assert want in str(reply)


def test_our_own_address_in_helo(server):
    mx = server('reject "own" at helo when helo own-name')
    with Caller(mx, "192.0.2.20") as c:
        assert c.say("EHLO [127.0.0.1]").code == 550
        assert c.say("EHLO [127.0.0.2]").code == 250


def test_another_helo_is_judged_anew(server):
    mx = server("reject at helo when not helo resolves-to-client")
    with Caller(mx, "192.0.2.20") as c:
        assert c.say("EHLO other.small.example").code == 550
        assert c.say("EHLO mail.small.example").code == 250


# --- the sender's domain ---

def test_sender_domain(server, names):
    names.servfail("broken.example")
    try:
        mx = server('reject "none" when sender-domain none\nreject "null" when sender-domain nullmx\n'
                    'tempfail "trouble" when sender-domain temperror\nreject "odd" when not sender-domain resolves')
        with Caller(mx, "192.0.2.30") as c:
            c.say("EHLO mail.caller.example")
            for sender, want in (("a@mx.example", "250"), ("a@address.example", "250"), ("", "250"),
                                 ("a@nowhere.example", "none"), ("a@text.example", "none"), ("a@null.example", "null"),
                                 ("a@mx.broken.example", "450"), ("a@mx.example", "250")):
                assert want in str(c.try_mail(sender, helo=None)), sender
                c.say("RSET")
    finally:
        names.heal()


# --- IPv6 ---

SERVER6, LINE6, LIAR6, NAMELESS6 = "2001:db8:7::25", "2001:db8:8::5", "2001:db8:9::5", "2001:db8:a::5"


def looked_up(mx, ip, **mail):
    """The reply to one whose name the server finds out itself."""
    with Client(mx.port) as c:
        assert c.say(f"XCLIENT ADDR=IPV6:{ip}").code == 220
        assert c.say(f"EHLO {mail.get('helo', 'mail.caller.example')}").code == 250
        assert c.say(f"MAIL FROM:<{mail.get('sender', 'a@mx.example')}>").code == 250
        return c.say("RCPT TO:<alice@example.org>").code


@pytest.mark.parametrize("rule, refused", [
    ("rdns pass", {SERVER6, LINE6}), ("rdns mismatch", {LIAR6}), ("rdns none", {NAMELESS6}), ("s25r own-address", {LINE6}),
    ('client in { "six.example" }', {SERVER6}), ("client in { 2001:db8:8::/48 }", {LINE6})])
def test_names_of_ipv6_clients(server, rule, refused):
    mx = server(f"reject when {rule}")
    assert {ip for ip in (SERVER6, LINE6, LIAR6, NAMELESS6) if looked_up(mx, ip) == 550} == refused


def test_what_ipv6_clients_say_of_themselves(server):
    mx = server("reject when not helo resolves-to-client\ntempfail when not spf pass")
    six = {"helo": "mail.six.example", "sender": "a@six.example"}
    assert looked_up(mx, SERVER6, **six) == 250
    assert looked_up(mx, "2001:db8:7::26", **six) == 550
    assert looked_up(mx, SERVER6, helo="mail.six.example") == 450


def test_an_ipv6_network_is_a_64(server):
    mx = server("tempfail when rate from network > 2 per 1h\ngreylist by network")
    assert codes(mx, ["2001:db8:b::1"]) == {"2001:db8:b::1": 450} # greylisted
    mx.advance(150)
    assert codes(mx, ["2001:db8:b::2"]) == {"2001:db8:b::2": 250} # so that was a retry
    assert codes(mx, ["2001:db8:b::3"]) == {"2001:db8:b::3": 450} # the third connection
    with Caller(mx, "2001:db8:b:1::3") as c:
        assert "greylisted" in c.try_mail().text


# --- counting ---

def test_rate(server):
    mx = server("tempfail when rate > 3 per 1h\nreject when rate from network > 5 per 1h")
    got = [codes(mx, [ip])[ip] for ip in ("192.0.2.40",) * 4]
    assert got == [250, 250, 250, 450]
    # the network has had four by now
    assert [codes(mx, [ip])[ip] for ip in ("192.0.2.41", "192.0.2.42", "192.0.3.40")] == [250, 550, 250]


def test_connections(server):
    mx = server("reject when connections > 2", listen="gate")
    clients = [Client(mx.port, source="127.0.7.1") for _ in range(3)]
    codes_now = [c.mail("a@mx.example", "alice@example.org").code for c in clients]
    for c in clients:
        c.close()
    assert codes_now == [250, 250, 550]
    with Client(mx.port, source="127.0.7.2") as c:
        assert c.mail("a@mx.example", "alice@example.org").code == 250


def test_connections_of_one_behind_a_proxy(server):
    mx = server("reject when connections > 2")
    clients = [Caller(mx, "192.0.2.45") for _ in range(3)]
    codes_now = [c.try_mail().code for c in clients]
    for c in clients:
        c.close()
    assert codes_now == [250, 250, 550]
    # the proxy has had four; who left is counted no more
    assert codes(mx, ["192.0.2.46"]) == {"192.0.2.46": 250}
    wait_for(lambda: codes(mx, ["192.0.2.45"]) == {"192.0.2.45": 250}, "the connections to be gone")


def test_a_crowd_behind_a_proxy_is_refused_as_one(server):
    mx = server("", base=BASE.replace("per-address off", "per-address 2"))
    clients = [Caller(mx, ip) for ip in ("192.0.2.47",) * 3 + ("192.0.2.48",)]
    assert [c.greeting.code for c in clients] == [220, 220, 421, 220]
    for c in clients:
        c.close()


def test_unknown_recipients_are_remembered_over_sessions(server):
    mx = server("drop at connect when unknown-recipients > 3 per 1h\ntempfail when unknown-recipients > 1 per 1h")
    with Caller(mx, "192.0.2.50") as c:
        assert c.try_mail(recipient="nobody1@example.org").code == 550
        assert c.say("RCPT TO:<alice@example.org>").code == 250
        assert c.say("RCPT TO:<nobody2@example.org>").code == 550
        assert c.say("RCPT TO:<alice@example.org>").code == 450
        assert c.say("RCPT TO:<nobody3@example.org>").code == 550
        assert c.say("RCPT TO:<nobody4@example.org>").code == 550
    with Caller(mx, "192.0.2.51") as c: # another host of the network
        assert c.greeting.code == 421
    with Caller(mx, "192.0.3.50") as c:
        assert c.greeting.code == 220


def test_an_address_that_never_existed_is_a_trap(server):
    mx = server('trap 1d when recipient in { "old@example.org" }\nreject "trapped" when trapped')
    with Caller(mx, "192.0.2.60") as c:
        reply = c.try_mail(recipient="old@example.org")
        assert reply.code == 550 and "5.1.1" in reply.text
    wait_for(lambda: codes(mx, ["192.0.2.60"]) == {"192.0.2.60": 550}, "the trap to close")
    assert codes(mx, ["192.0.2.61"]) == {"192.0.2.61": 250}


def test_time_of_day(server):
    now = datetime.datetime.now()
    around = f"{(now - datetime.timedelta(minutes=5)):%H:%M}-{(now + datetime.timedelta(minutes=5)):%H:%M}"
    later = f"{(now + datetime.timedelta(hours=5)):%H:%M}-{(now + datetime.timedelta(hours=6)):%H:%M}"
    mx = server(f"reject when time {later}\ntempfail when time {around}")
    assert codes(mx, ["192.0.2.70"]) == {"192.0.2.70": 450}


# --- actions ---

def test_pass_is_for_one_recipient(server):
    mx = server('pass when recipient in { "bob@example.org" }\nreject')
    with Caller(mx, "192.0.2.80") as c:
        assert c.try_mail(recipient="bob@example.org").code == 250
        assert c.say("RCPT TO:<alice@example.org>").code == 550
        assert c.say("RCPT TO:<bob@example.org>").code == 250


TARPIT = "tarpit 1s else greylist when client in 192.0.2.0/24"


def test_who_waits_in_the_tarpit_has_passed(server):
    mx = server(TARPIT)
    with Caller(mx, "192.0.2.90") as c:
        assert c.try_mail().code == 250
        assert c.say("RCPT TO:<bob@example.org>").code == 250
    assert [e["what"] for e in mx.log("gate.verdict")] == ["waited"] # once, not for each recipient
    with Caller(mx, "192.0.2.90") as c:
        assert c.try_mail().code == 250
    assert len(mx.log("gate.verdict")) == 1 # and not when he comes again
    assert {"client": "192.0.2.90", "state": "stayed"}.items() <= mx.ctl("grey", "list", "client=192.0.2.90", "state=stayed")[0].items()


def test_a_pause_does_not_pay_for_the_tarpit(server):
    mx = server("pause 1s\n" + TARPIT)
    with Caller(mx, "192.0.2.97") as c:
        c.say("EHLO mail.caller.example") # sat through the pause, and has to do nothing more with us
    with Caller(mx, "192.0.2.97") as c:
        assert c.try_mail().code == 250
    assert [e["what"] for e in mx.log("gate.verdict")] == ["waited"]
    states = [e["state"] for e in mx.ctl("grey", "list", "client=192.0.2.97")]
    assert sorted(states) == ["caller", "stayed"]
    assert explained(mx, "192.0.2.97") == ["not again", "not again"]


def explained(mx, ip, to="alice@example.org"):
    """What `gate explain` says of each rule, for one whom the ledger knows."""
    rows = mx.ctl("gate", "explain", f"client={ip}", "name=", "helo=mail.caller.example", "from=a@mx.example", f"to={to}")
    return [r["outcome"] for r in rows if r.get("part") == "rule"] + [r["text"] for r in rows if r.get("part") == "verdict"
                                                                  and "let in" not in r["text"]]


def test_a_pause_runs_while_the_world_is_asked(server, names):
    """Who has sat through it when the answer comes that asks for it has passed as everybody else."""
    names.delay("102.2.0.192.bl.example", 1.5)
    try:
        mx = server('pause 1s when not dnsbl "bl.example"')
        with Caller(mx, "192.0.2.102") as c:
            assert c.mail("a@mx.example", "alice@example.org").code == 250
    finally:
        names.heal()
    assert b"waited=1s" in mx.deliveries("alice", 1)[0]
    assert [e["state"] for e in mx.ctl("grey", "list", "client=192.0.2.102")] == ["caller"]


@pytest.mark.parametrize("rest", ["", "DATA\r\nx\r\n.\r\n"])
def test_who_is_gone_before_the_tarpit_begins_has_hung_up(server, rest):
    mx = server(TARPIT)
    with Caller(mx, "192.0.2.96") as c:
        c.send("EHLO a.example\r\nMAIL FROM:<a@mx.example>\r\nRCPT TO:<alice@example.org>\r\n" + rest)
        c.socket.shutdown(1)
    wait_for(lambda: [e for e in mx.log("gate.verdict") if e["what"] == "hung up"], "the tarpit to notice")


def hang_up(mx, ip, send="RCPT TO:<alice@example.org>\r\n"):
    before = len(mx.log("gate.verdict"))
    with Caller(mx, ip) as c:
        c.say("EHLO mail.caller.example")
        c.say("MAIL FROM:<a@mx.example>")
        c.send(send)
        mx.await_log("gate.wait", client=ip)
    wait_for(lambda: len(mx.log("gate.verdict")) > before, "the tarpit to notice")
    assert mx.log("gate.verdict")[-1]["what"] == "hung up"
    wait_for(lambda: [e for e in mx.ctl("grey", "list", f"client={ip}") if e["state"] == "left"], "the ledger to note it")


@pytest.mark.parametrize("send", ["RCPT TO:<alice@example.org>\r\n",
                                  "RCPT TO:<alice@example.org>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n"])
def test_who_hangs_up_in_the_tarpit_is_greylisted(server, send):
    mx = server(TARPIT, verbose=True)
    hang_up(mx, "192.0.2.91", send)
    assert explained(mx, "192.0.2.91") == ["owed", "greylist at rcpt, by rule 1 (line 15)"]
    assert explained(mx, "192.0.2.91", to="postmaster@example.org") == ["owed"]
    with Caller(mx, "192.0.2.91") as c:
        assert c.try_mail().code == 450
        reply = c.say("RCPT TO:<bob@example.org>")
        assert reply.code == 450 and "greylisted" in reply.text and "tarpit#1" in reply.text
    assert codes(mx, ["192.0.2.92"]) == {"192.0.2.92": 250} # his neighbour waits as everybody does
    mx.advance(150)
    with Caller(mx, "192.0.2.91") as c:
        assert c.mail("a@mx.example", "alice@example.org").code == 250
    # who came back as a mail server does may choose again
    wait_for(lambda: "left" not in [e["state"] for e in mx.ctl("grey", "list", "client=192.0.2.91")],
             "the ledger to forget that he left")
    rows = mx.ctl("gate", "report")
    assert any(r.get("action") == "greylist" for r in rows), rows


def test_hanging_up_at_rcpt_was_the_first_try(server):
    mx = server(TARPIT, verbose=True)
    hang_up(mx, "192.0.2.98")
    mx.advance(150)
    with Caller(mx, "192.0.2.98") as c:
        assert c.try_mail().code == 250
        assert c.say("RCPT TO:<bob@example.org>").code == 450 # he had not asked for that one


def test_a_pass_below_the_tarpit_is_no_way_round_its_greylist(server):
    """And one above it is."""
    mx = server('pass when recipient in { "bob@example.org" }\n' + TARPIT + "\npass when client in 192.0.2.0/24", verbose=True)
    hang_up(mx, "192.0.2.101")
    assert explained(mx, "192.0.2.101")[1] == "owed" and "greylist at rcpt" in explained(mx, "192.0.2.101")[-1]
    with Caller(mx, "192.0.2.101") as c:
        assert "tarpit#2" in c.try_mail().text
        assert c.say("RCPT TO:<bob@example.org>").code == 250
        assert c.say("RCPT TO:<postmaster@example.org>").code == 250
    mx.advance(150)
    with Caller(mx, "192.0.2.101") as c:        # hanging up was the first try
        assert c.try_mail().code == 250


def test_another_greylist_has_not_seen_who_hung_up(server):
    mx = server(TARPIT + "\ngreylist delay 2m when client in 192.0.2.0/24", verbose=True)
    hang_up(mx, "192.0.2.99")
    mx.advance(150)
    with Caller(mx, "192.0.2.99") as c:
        assert "greylist#2" in c.try_mail().text


def test_a_tarpit_at_helo_greylists_at_rcpt(server):
    mx = server("tarpit 1s else greylist at helo when client in 192.0.2.0/24", verbose=True)
    with Caller(mx, "192.0.2.93") as c:
        c.send("EHLO mail.caller.example\r\n")
        mx.await_log("gate.wait", client="192.0.2.93")
    wait_for(lambda: [e for e in mx.ctl("grey", "list", "client=192.0.2.93") if e["state"] == "left"],
             "the ledger to note it")
    with Caller(mx, "192.0.2.93") as c:
        assert c.say("EHLO mail.caller.example").code == 250
        assert c.try_mail(helo=None).code == 450


@pytest.mark.parametrize("rule", ["reject", "tempfail", "greylist"])
def test_the_postmaster_is_reached(server, rule):
    mx = server(f"{rule} when client in 192.0.2.0/24")
    with Caller(mx, "192.0.2.94") as c:
        assert c.try_mail(recipient="postmaster@example.org").code == 250
        assert c.say("RCPT TO:<Abuse@EXAMPLE.org>").code == 250
        assert c.say("RCPT TO:<postmaster>").code in (250, 550) # at our host, if it has users
        assert c.say("RCPT TO:<alice@example.org>").code >= 450


def test_an_early_talker_does_not_reach_the_postmaster(server):
    mx = server("pause 1s\nreject when early-talker", listen="gate")
    with Client(mx.port, source="127.0.7.3", greet=False) as c:
        c.send("EHLO mail.caller.example\r\n")
        c.reply(), c.reply()
        assert c.mail("a@mx.example", "postmaster@example.org", helo=None).code == 550


@pytest.mark.parametrize("rule", ["reject", "drop", "tempfail"])
def test_who_is_refused_for_talking_early_is_not_kept(server, rule):
    mx = server(f"pause 4m\n{rule} at greeting when early-talker", listen="gate")
    with Client(mx.port, source="127.0.7.4", greet=False) as c:
        c.send("EHLO mail.caller.example\r\n") # the answer is here long before the pause would be over
        assert c.reply().code == {"reject": 554, "drop": 421, "tempfail": 450}[rule]
    assert not mx.ctl("grey", "list", "client=127.0.7.4") # he has not sat through it


def test_texts_are_filled_in_and_sent_as_ascii(server):
    mx = server('reject "Für %{name} [%{client}]: être ou ne pas être – %{sender} → %{recipient}" when sender in "a@mx.example"\n'
                'greylist delay 5m "Bitte %{minutes} Minuten"')
    with Caller(mx, "192.0.2.95", "mail.caller.example") as c:
        reply = c.try_mail()
        assert "Fuer mail.caller.example [192.0.2.95]: etre ou ne pas etre - a@mx.example -> alice@example.org" in reply.text
        c.say("RSET")
        assert "Bitte 5 Minuten (greylist#2" in c.try_mail(sender="b@mx.example").text


# --- trouble of our own ---

@pytest.fixture
def trouble(place):
    """A name server that may be broken without harm to others."""
    with DnsServer(place / "dns", [TEST_ENTRIES.format(zone=zone) for zone in ("bl.example", "other.example")],
                   front=True) as server:
        yield server


def lists(mx):
    """{zone: state} as the first worker sees them."""
    return {r["list"]: r["state"] for r in mx.ctl("stats") if "list" in r and r["instance"] == 0}


@pytest.mark.parametrize("records, state", [
    ([], "lists-nobody"), (["*.dead.example A 192.0.2.99"], "odd-answers"), (["*.dead.example A 127.0.0.2"], "lists-everybody"),
    (["2.0.0.127.dead.example A 127.255.255.254", "1.0.0.127.dead.example A 127.255.255.254"], "odd-answers"),
])
def test_a_list_that_is_out_of_order_is_no_evidence(place, trouble, records, state):
    trouble.add(*records)
    trouble.add(listed("bl.example", "192.0.2.10"))
    trouble.reload()
    rules = 'gate {\nreject when dnsbl "dead.example"\nreject when not dnsbl "dead.example"\nreject when dnsbl "bl.example"\n}\n'
    with Genkan(place / "mx", BASE + rules, dns=trouble, listen=TRUST_PROXY) as mx:
        want = {"192.0.2.9": 250, "192.0.2.10": 550}
        assert codes(mx, want) == want
        assert lists(mx) == {"dead.example": state, "bl.example": "well"}
        assert len(mx.log("dnsbl.out_of_order")) == 1 # once, not for each caller and worker
        # the operator of the list mends it
        trouble.remove("*.dead.example")
        trouble.remove("1.0.0.127.dead.example")
        trouble.remove("2.0.0.127.dead.example")
        trouble.add(TEST_ENTRIES.format(zone="dead.example"), listed("dead.example", "192.0.2.9"))
        trouble.reload()

        def mended():
            mx.advance(301)
            return lists(mx)["dead.example"] == "well"
        wait_for(mended, "the list to be probed again")
        mx.await_log("dnsbl.well", list="dead.example")


def test_a_list_that_dies_is_noticed_by_its_answers(place, trouble):
    with Genkan(place / "mx", BASE + 'gate { reject when dnsbl "bl.example" }\n', dns=trouble, listen=TRUST_PROXY) as mx:
        assert codes(mx, ["192.0.2.10"]) == {"192.0.2.10": 250}
        trouble.servfail("bl.example")
        hosts = iter(range(20, 250))

        def noticed():
            for host in (next(hosts) for _ in range(4)):
                assert codes(mx, [f"192.0.2.{host}"]) == {f"192.0.2.{host}": 250}
            mx.advance(11) # a list is not probed oftener than every ten seconds
            return "silent" in [r["state"] for r in mx.ctl("stats") if "list" in r]
        wait_for(noticed, "a worker that was asked to probe, and finds no answer in the cache any more")
        trouble.heal()


def greylisted(mx, sources):
    """How many of them are asked to come back."""
    found = 0
    for source in sources:
        with Client(mx.port, source=source) as c:
            found += c.mail("a@mx.example", "alice@example.org").code == 450
    return found


NAMES_GATE = BASE + "gate {\n pause 1s when rdns mismatch\n greylist when s25r or not rdns pass\n tempfail when rdns temperror\n}\n"


def test_when_dns_fails_for_most_it_is_our_fault(place, trouble):
    with Genkan(place / "mx", NAMES_GATE, dns=trouble, listen="gate") as mx:
        assert greylisted(mx, ["127.0.9.1"]) == 1
        trouble.servfail(".")
        # one broken network is its own fault, however often it calls
        assert greylisted(mx, [f"127.0.10.{n}" for n in range(1, 40)]) == 39
        assert not mx.log("gate.dns_broken")

        def all_workers_know():
            greylisted(mx, [f"127.0.{n}.1" for n in range(20, 60)])
            return {r["dns"] for r in mx.ctl("stats") if "dns" in r} == {"broken"}
        wait_for(all_workers_know, "every worker to notice")
        assert greylisted(mx, [f"127.0.{n}.7" for n in range(60, 70)]) == 0
        assert mx.log("gate.dns_broken")
        trouble.heal()

        def all_are_well():
            greylisted(mx, [f"127.0.{n}.8" for n in range(70, 110)])
            return {r["dns"] for r in mx.ctl("stats") if "dns" in r} == {"well"}
        wait_for(all_are_well, "names to be judged again")
        assert greylisted(mx, ["127.0.9.2"]) == 1
        assert mx.log("gate.dns_mended")


def test_an_outage_punishes_nobody(place, trouble):
    with Genkan(place / "mx", NAMES_GATE, dns=trouble, listen="gate") as mx:
        assert greylisted(mx, ["127.0.9.1"]) == 1
        trouble.stop()
        greylisted(mx, ["127.0.11.1"]) # whose question finds it out
        mx.await_log("dns.down")
        assert greylisted(mx, [f"127.0.12.{n}" for n in range(1, 9)]) == 0
        assert len(mx.log("gate.dns_broken")) in (1, 2) # once for each worker that was asked


def test_a_clock_that_jumps_is_noticed_and_refuses_nobody(server):
    mx = server("greylist when client in 192.0.2.97")
    with Caller(mx, "192.0.2.97") as c:
        assert c.try_mail().code == 450
    mx.set_clock(400 * 86400)
    mx.await_log("clock.jumped")
    with Caller(mx, "192.0.2.97") as c:
        assert c.try_mail().code == 450 # his first try is too old to count
    mx.set_clock(-400 * 86400)
    wait_for(lambda: len(mx.log("clock.jumped")) == 2, "the second jump")
    mx.advance(150)
    with Caller(mx, "192.0.2.97") as c: # what is in the future counts as now, and he waits no longer than a delay
        assert c.try_mail().code == 450
    mx.advance(150)
    with Caller(mx, "192.0.2.97") as c:
        assert c.try_mail().code == 250
    assert {r["clock_jumps"] for r in mx.ctl("stats") if "clock_jumps" in r} != {0}


@pytest.fixture
def deaf(server):
    """A server that has nobody to ask: the roles that remember and look up say nothing."""
    stopped = []

    def start(rules, **options):
        mx = server(rules, **options)
        stopped.extend(mx.pids("ledger") + mx.pids("lookup") + mx.pids("resolver"))
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        return mx
    yield start
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)


def test_nobody_is_asked_about_who_is_refused_anyway(deaf):
    mx = deaf("reject when client in 192.0.2.96\n greylist when s25r or trapped")
    with Caller(mx, "192.0.2.96") as c:
        reply = c.try_mail("a@sender.example", "nobody@example.org")
        assert reply.code == 550 and "reject#1" in reply.text
    assert not mx.log("ledger.silent")


def test_nobody_is_asked_about_who_is_refused_for_talking_early(deaf):
    mx = deaf("pause 20s\n reject at greeting when early-talker", listen="gate")
    with Client(mx.port, source="127.0.96.2", greet=False) as c:
        c.send("EHLO spam.example\r\n")
        assert c.reply().code == 554
    verdict = mx.await_log("gate.verdict", client="127.0.96.2")
    assert "early-talker" in verdict["evidence"] and verdict["ms"] < 20000
    assert not mx.log("ledger.silent") and not mx.log("gate.early_talker")


def test_unknown_recipients_are_counted_although_the_gate_refuses(server):
    mx = server("trap 1d when unknown-recipients > 1\n reject when client in 192.0.2.98")
    with Caller(mx, "192.0.2.98") as c:
        for to in ("no-one@example.org", "nobody@example.org", "alice@example.org"):
            c.try_mail(recipient=to)
    mx.await_log("gate.verdict", what="trapped")
