"""Mail that was put off and comes back: proposals, what an operator or a rule makes of them, and who was rescued.

The gate is plain S25R: who matches is refused until he stands in the white list, so the proposal is all that saves honest
mail.  Time is the test clock's."""
import re

import pytest

from genkan import Client, Genkan, wait_for

CONF = """
relay {
	from { 127.0.0.1 }
	route "*" to "[127.0.0.1]:9"
}
gate {
	tempfail "be patient" when s25r
}
domain "example.org" {
	users { "alice", "bob" }
	deliver maildir "$mail/%{user}"
}
"""
HOSTS = {"mail-a1-f1.pool.example": "127.0.44.1", "mail-a1-f2.pool.example": "127.0.44.2",
         "mail-a1-f3.pool.example": "127.0.44.3", "ppp7.access.example": "127.0.40.7"}
POOL = [HOSTS[f"mail-a1-f{i}.pool.example"] for i in (1, 2, 3)]


@pytest.fixture(scope="module")
def names(dns):
    for name, address in HOSTS.items():
        dns.host(name, address)
    dns.add('sender.example TXT "v=spf1 ip4:127.0.50.0/24 -all"')
    dns.reload()
    return dns


@pytest.fixture
def start(place, names):
    servers = []

    def run(conf=CONF):
        server = Genkan(place, conf, dns=names, verbose=True)
        servers.append(server)
        return server.start()
    yield run
    for server in servers:
        server.stop()


def send(mx, source, sender="news@pool.example", to="alice@example.org", **more):
    with Client(mx.port, source=source) as c:
        return c.mail(sender, to, **more)


def test_a_proposal_is_made_and_taken(start):
    mx = start()
    assert send(mx, POOL[0]).code == 450
    assert mx.ctl("grey", "list")[0]["state"] == "refused"
    for source in POOL[1:]:
        mx.advance(600)
        assert send(mx, source).code == 450
    [proposal] = mx.ctl("grey", "list", "state=proposed")
    assert proposal["identity"] == "name:pool.example" and proposal["allow"] == "identity=name:pool.example"
    assert proposal["tries"] == 3 and proposal["waited"] >= 1200
    assert "127.0.44.1 (mail-a1-f1.pool.example) HELO client.example, +10m 127.0.44.2" in proposal["evidence"]
    assert mx.await_log("ledger.proposed", entry="name:pool.example")
    # its word, as it is shown
    mx.ctl("grey", "allow", proposal["allow"])
    assert mx.ctl("grey", "list", "state=proposed") == []
    mx.advance(600)
    assert send(mx, POOL[0]).code == 250
    assert send(mx, POOL[1], "other@pool.example", "bob@example.org").code == 250
    mx.deliveries("alice", 1)
    [rescued] = mx.ctl("gate", "rescued")
    assert rescued["from"] == "news@pool.example" and rescued["waited"] >= 1800 and rescued["tries"] == 4
    assert rescued["action"] == "tempfail"
    text = mx.run_ctl("gate", "rescued", "since=1h").stdout
    assert "news@pool.example" in text and "evidence" in text
    mx.advance(7200)
    assert mx.ctl("gate", "rescued", "since=1h") == []
    [waits] = [r for r in mx.ctl("gate", "report") if r["part"] == "wait"]
    assert waits["count"] == 1 and waits["max"] >= 1800


def test_bots_make_no_proposal(start):
    mx = start()
    for _ in range(4):
        assert send(mx, HOSTS["ppp7.access.example"]).code == 450
    mx.advance(900)
    assert send(mx, HOSTS["ppp7.access.example"]).code == 450
    for i in range(4):      # another sender each time
        mx.advance(600)
        assert send(mx, HOSTS["ppp7.access.example"], f"{'abcd'[i]}@bot.example").code == 450
    assert mx.ctl("grey", "list", "state=proposed") == []
    assert len(mx.ctl("grey", "list", "state=refused")) == 5


def test_a_proposal_is_denied_for_good(start):
    mx = start()
    for _ in range(3):
        assert send(mx, HOSTS["ppp7.access.example"]).code == 450
        mx.advance(600)
    [proposal] = mx.ctl("grey", "list", "state=proposed")
    assert proposal["allow"] == "client=127.0.40.7/32"     # a line: its neighbours are strangers
    mx.ctl("grey", "deny", proposal["allow"])
    assert mx.ctl("grey", "list", "state=proposed") == []
    reply = send(mx, HOSTS["ppp7.access.example"])
    assert reply.code == 550 and "operator" in reply.text


def test_a_rule_rescues(start):
    mx = start(CONF.replace("tempfail", "tempfail rescue 30d"))
    assert send(mx, POOL[0]).code == 450
    mx.advance(300)
    assert send(mx, POOL[1]).code == 450
    mx.advance(600)
    assert send(mx, POOL[2]).code == 250        # the very try that shows it
    mx.deliveries("alice", 1)
    assert mx.await_log("ledger.rescued", entry="name:pool.example")
    [entry] = mx.ctl("grey", "list", "state=allowed")
    assert entry["identity"] == "name:pool.example" and entry["rescued"] is True
    assert entry["note"].startswith("3 tries in 15m")
    mx.advance(20 * 86400)
    assert send(mx, POOL[0], "other@pool.example").code == 250      # used, so it lives on
    mx.advance(20 * 86400)
    assert send(mx, POOL[0], "third@pool.example").code == 250
    mx.advance(31 * 86400)
    assert send(mx, POOL[0], "fourth@pool.example").code == 450


def test_spf_makes_hosts_one_sender(start):
    mx = start(CONF.replace("when s25r", "when rdns none"))
    for i in (1, 2, 3):
        assert send(mx, f"127.0.50.{i}", "a@sender.example").code == 450
        mx.advance(600)
    [proposal] = mx.ctl("grey", "list", "state=proposed")
    assert proposal["allow"] == "identity=spf:sender.example"


def test_the_greylist_tells_who_came_back(start):
    mx = start(CONF.replace('tempfail "be patient"', "greylist"))
    assert send(mx, POOL[0]).code == 450
    mx.advance(60)
    assert send(mx, POOL[1]).code == 450
    mx.advance(600)
    assert send(mx, POOL[2]).code == 250
    [rescued] = mx.ctl("gate", "rescued")
    assert rescued["action"] == "greylist" and rescued["waited"] >= 660
    assert re.search(r"\+[6-9]\ds 127\.0\.44\.2 \(mail-a1-f2\.pool\.example\)", rescued["evidence"])
    assert mx.ctl("grey", "list", "state=proposed") == []


def test_who_leaves_a_tarpit_and_stays_later(start):
    mx = start(CONF.replace('tempfail "be patient"', "tarpit 1s at rcpt"))
    with Client(mx.port, source=POOL[0]) as c:
        c.say("EHLO client.example")
        c.say("MAIL FROM:<news@pool.example>")
        c.send("RCPT TO:<alice@example.org>\r\n")
        mx.await_log("gate.wait", phase="rcpt")
    mx.await_log("gate.verdict", what="hung up")
    mx.advance(600)
    assert send(mx, POOL[1]).code == 250
    [rescued] = wait_for(lambda: mx.ctl("gate", "rescued"), "the ledger to hear of it")
    assert rescued["action"] == "tarpit" and rescued["tries"] == 2


@pytest.mark.parametrize("rule", ["greylist", 'tempfail "no"', 'tempfail "no" at mail', "tarpit 20s at rcpt", "pause 20s"])
def test_whom_the_operator_allows_nobody_puts_off(start, rule):
    mx = start(CONF.replace('tempfail "be patient" when s25r', f"{rule} when s25r"))
    mx.ctl("grey", "allow", "client=127.0.40.7")
    assert send(mx, HOSTS["ppp7.access.example"]).code == 250
    mx.ctl("grey", "allow", "name=pool.example")
    assert send(mx, POOL[0]).code == 250
    words = ["gate", "explain", "client=127.0.40.7", "helo=x.example", "from=a@b.example", "to=alice@example.org"]
    [found] = [r for r in mx.ctl(*words) if r["part"] == "rule"]
    assert found["outcome"] == "allowed"
    words[2] = f"client={POOL[0]}"      # by his name
    [found] = [r for r in mx.ctl(*words) if r["part"] == "rule"]
    assert found["outcome"] == "allowed"


def test_explain_knows_the_word_on_the_mail(start):
    """Which is known at rcpt: the pause is for him, and the greylist is not."""
    mx = start(CONF.replace('tempfail "be patient" when s25r', "pause 1s\n\tgreylist"))
    mx.ctl("grey", "allow", "from=friend@far.example")
    words = ["gate", "explain", f"client={POOL[0]}", "helo=x.example", "to=alice@example.org"]
    outcomes = [r["outcome"] for r in mx.ctl(*words, "from=friend@far.example") if r["part"] == "rule"]
    assert outcomes == ["waits", "allowed"]
    outcomes = [r["outcome"] for r in mx.ctl(*words, "from=other@far.example") if r["part"] == "rule"]
    assert outcomes == ["waits", "decides"]


def test_the_more_exact_word_holds(start):
    mx = start()
    mx.ctl("grey", "allow", "name=pool.example")
    mx.ctl("grey", "deny", "client=127.0.44.1")
    assert send(mx, POOL[0]).code == 550
    assert send(mx, POOL[1]).code == 250


@pytest.mark.parametrize("whom", ["from=pool.example", "to=Alice@example.org", "identity=spf:sender.example"])
def test_whom_the_operator_denies_no_rule_lets_in(start, whom):
    """Whatever the rules say, and whether or not one of them asks the ledger; but the postmaster can be asked why."""
    mx = start(CONF.replace('tempfail "be patient" when s25r', "pass when sender in { \"nobody.example\" }"))
    sender, source = ("a@sender.example", "127.0.50.1") if "spf" in whom else ("news@pool.example", POOL[0])
    assert send(mx, source, sender).code == 250
    mx.ctl("grey", "deny", whom)
    reply = send(mx, source, sender)
    assert reply.code == 550 and "operator" in reply.text
    assert mx.await_log("gate.denied", to="alice@example.org")
    assert send(mx, source, sender, "postmaster@example.org").code == 250
    assert send(mx, "127.0.51.1", "else@where.example", "bob@example.org").code == 250
    found = mx.ctl("gate", "explain", f"client={source}", f"from={sender}", "to=alice@example.org", "helo=x.example")
    assert any("denied by the operator" in r.get("text", "") for r in found if r["part"] == "verdict"), found
    mx.ctl("grey", "forget", whom)
    assert send(mx, source, sender).code == 250


def test_whose_mail_the_operator_allows_waits_in_no_tarpit(start):
    mx = start(CONF.replace('tempfail "be patient" when s25r', "tarpit 5m else greylist"))
    mx.ctl("grey", "allow", "from=friend@far.example")
    assert send(mx, POOL[0], "friend@far.example").code == 250
    words = ["gate", "explain", f"client={POOL[0]}", "helo=x.example", "to=alice@example.org"]
    outcomes = [r["outcome"] for r in mx.ctl(*words, "from=friend@far.example") if r["part"] == "rule"]
    assert outcomes == ["allowed"]


def test_explain_tells_the_way(start):
    mx = start(CONF.replace("tempfail", "tempfail rescue 30d"))
    send(mx, POOL[0])
    words = ["client=127.0.44.1", "helo=client.example", "from=news@pool.example", "to=alice@example.org"]
    found = mx.ctl("gate", "explain", *words)
    ways = [r["text"] for r in found if r.get("part") == "to pass"]
    assert any("then let in for 30d" in w for w in ways), ways
    assert any(r.get("state") == "refused" and r["tries"] == 1 for r in found)
