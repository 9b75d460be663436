"""Every gate of etc/gates is what its users know: it parses as it stands, and one caller each shows how it behaves.

The files are used as they are, but for what a test cannot have: networks become those of 127/8, and waits for which nobody
has the patience become one or two seconds.  The greylist's times are not changed; the test clock moves.
"""
import itertools
import re
import subprocess

import pytest

from genkan import BUILD, ROOT, Client, Genkan, as_user, wait_for

GATES = ROOT / "etc" / "gates"
BASE = """
relay {
	from { 127.0.0.1 }
	route "*" to "[127.0.0.1]:9"
}
domain "example.org" {
	users { "alice", "bob", "archive" }
	deliver maildir "$mail/%{user}"
}
"""
NETWORKS = {"192.0.2.": "127.0.2.", "203.0.113.": "127.0.113.", "198.51.100.": "127.0.51.", "::1": "2001:db8::1"}

tokens = itertools.count()

HOME = "127.0.40.7"          # ppp7.access.example: S25R rule 6, and not its own address
NAMELESS = "127.0.41.7"
LIAR = "127.0.42.7"          # says localhost
SERVER = "127.0.43.25"       # mail.server.example
POOL = "127.0.44.1"          # mail-a1-f1.pool.example: rule 1
HONEST = "127.0.45.7"        # ppp7.isp.example, and mx.small.example leads to it as well


@pytest.fixture(scope="module")
def names(dns):
    dns.host("ppp7.access.example", HOME)
    dns.ptr(LIAR, "localhost")
    dns.host("mail.server.example", SERVER)
    dns.host("mail-a1-f1.pool.example", POOL)
    dns.host("mail-a1-f2.pool.example", "127.0.44.2")
    dns.host("ppp7.isp.example", HONEST)
    dns.add(f"mx.small.example A {HONEST}")
    dns.host("a.dialup.example", "127.0.46.1")
    dns.host("mx.spammer.example", "127.0.47.1")
    for rule, name in enumerate(("mail-io0-f178.one.example", "web10902.two.example", "1.three.pool.example.net",
                                 "n2.59-106-41-68.four.example", "mta12.m2.five.example.jp", "adsl-44.six.example"), 1):
        dns.host(name, f"127.0.48.{rule}")
    # RFC 5782 5: a list without its test entry is out of order
    dns.add(*(f"2.0.0.127.{zone} A 127.0.0.2" for zone in ("zen.example.net", "bl.example.com", "list.example.org")))
    dns.add("1.43.0.127.zen.example.net A 127.0.0.2", "2.43.0.127.bl.example.com A 127.0.0.2",
            "3.43.0.127.zen.example.net A 127.0.0.2", "3.43.0.127.list.example.org A 127.0.5.2")
    dns.reload()
    return dns


def gate_text(name):
    text = (GATES / f"{name}.gate").read_text()
    for network, ours in NETWORKS.items():
        text = text.replace(network, ours)

    def shorten(match):
        seconds = int(match[3]) * {"s": 1, "m": 60}[match[4]]
        return f"{match[1]}{match[2]}{1 if seconds <= 6 else 2}s"
    return re.sub(r"(?m)^(\s*(?:pause|tarpit))(\s+)(\d+)([sm])\b", shorten, text)


@pytest.fixture
def open_gate(place, names):
    servers = []

    def start(name, **more):
        server = Genkan(place, gate_text(name).replace("$", "$$") + BASE, dns=names, **more)
        servers.append(server)
        return server.start()
    yield start
    for server in servers:
        server.stop()


def call(mx, source, sender="a@sender.example", to="alice@example.org", helo="client.example", subject="test"):
    """One message from SOURCE; the reply that decided it."""
    with Client(mx.port, source=source) as c:
        if c.greeting.code != 220:
            return c.greeting
        reply = c.mail(sender, to, helo=helo, text=f"Subject: {subject}\r\n\r\nhello\r\n")
        c.send("QUIT\r\n")
        c.closed()
        return reply


def waits(mx, source, **mail):
    """How many seconds SOURCE had to sit through to bring its message."""
    subject = f"token-{next(tokens)}"
    reply = call(mx, source, subject=subject, **mail)
    assert reply.code == 250, reply

    def arrived():
        return [m for m in mx.messages("alice") if subject.encode() in m]
    head = wait_for(arrived, "the message").pop().decode()
    match = re.search(r"waited=(\d+)s", head)
    return int(match[1]) if match else 0


def comes_again(mx, source, delay, **mail):
    """Refused now, refused too early, let in after DELAY."""
    assert call(mx, source, **mail).code == 450
    mx.advance(delay // 2)
    assert call(mx, source, **mail).code == 450
    mx.advance(delay)
    reply = call(mx, source, **mail)
    assert reply.code == 250, reply


# --- all of them ---

@pytest.mark.parametrize("gate", sorted(GATES.glob("*.gate")), ids=lambda p: p.stem)
def test_parses(gate, place):
    conf = place / "smtpd.conf"
    conf.write_text(f'host mx.example.org\nspool "{place}/spool"\n' + gate.read_text())
    done = subprocess.run([BUILD / "smtpd", "-n", "-f", conf], capture_output=True, text=True, **as_user())
    assert (done.returncode, done.stderr) == (0, "configuration OK\n") or (done.returncode, done.stderr) == (0, ""), \
        done.stderr
    assert "warning" not in done.stdout + done.stderr


@pytest.mark.parametrize("gate", sorted(GATES.glob("*.gate")), ids=lambda p: p.stem)
def test_is_explained_and_behaves(gate):
    """A file without a comment or without a test of its behaviour is no example."""
    assert gate.read_text().startswith("# ")
    name = "test_" + gate.stem.replace("-", "_")
    assert any(n == name or n.startswith(name + "_") for n in globals()), f"no {name} here"


# --- each of them ---

def test_greet_pause(open_gate):
    mx = open_gate("greet-pause")
    assert waits(mx, "127.0.2.9") == 0        # GreetPause:192.0.2 0
    assert waits(mx, SERVER) == 1             # the default
    assert waits(mx, "127.0.113.9") == 2      # the longer of two
    assert waits(mx, "127.0.46.1") == 2       # by name
    with Client(mx.port, source=NAMELESS, greet=False) as c:
        c.send("EHLO spam.example\r\n")
        assert c.reply().code == 554
        assert c.reply().code == 503
        assert c.say("MAIL FROM:<a@b.example>").code == 503
        assert c.say("QUIT").code == 221


def test_greet_pause_hanging_up_is_no_talk(open_gate):
    mx = open_gate("greet-pause")
    Client(mx.port, source=NAMELESS, greet=False).close()
    assert call(mx, NAMELESS).code == 250
    assert not mx.log("gate.early_talker")


def test_postscreen(open_gate):
    mx = open_gate("postscreen")
    with Client(mx.port, source=NAMELESS, greet=False) as c:
        c.send("EHLO spam.example\r\n")
        assert c.reply().code == 220
        c.reply()
        assert c.say("MAIL FROM:<a@b.example>").code == 250
        refused = c.say("RCPT TO:<alice@example.org>")
        assert refused.code == 550 and "Protocol error" in refused.text
    assert waits(mx, SERVER) == 1


def test_postscreen_scores(open_gate):
    mx = open_gate("postscreen")
    assert call(mx, "127.0.43.1").code == 550      # 3
    assert call(mx, "127.0.43.2").code == 250      # 2
    assert call(mx, "127.0.43.3").code == 250      # 3 - 2


def test_s25r(open_gate):
    mx = open_gate("s25r")
    for source, rule in [(NAMELESS, 0), (LIAR, 0)] + [(f"127.0.48.{r}", r) for r in range(1, 7)]:
        reply = call(mx, source)
        assert reply.code == 450 and "be patient" in reply.text, (source, reply)
        assert f"[r{rule}]" in reply.text
        assert f"[{source}]>: Client host rejected" in reply.text
        assert ("reverse lookup failure" in reply.text) == (rule == 0)
        mx.advance(3600)
        assert call(mx, source).code == 450        # coming again does not help
    assert call(mx, SERVER).code == 250


def test_s25r_white_list(open_gate):
    mx = open_gate("s25r")
    assert call(mx, "127.0.2.25").code == 250


def test_rgrey(open_gate):
    mx = open_gate("rgrey")
    assert call(mx, SERVER).code == 250
    comes_again(mx, HOME, 300)


def test_starpit(open_gate):
    mx = open_gate("starpit")
    assert waits(mx, SERVER) == 0
    assert waits(mx, HOME) == 2


def test_targrey(open_gate):
    mx = open_gate("targrey")
    assert waits(mx, HOME) == 2
    with Client(mx.port, source=POOL) as c:
        c.say("EHLO client.example")
        c.say("MAIL FROM:<a@sender.example>")
        c.send("RCPT TO:<alice@example.org>\r\n")
    mx.await_log("gate.verdict", what="hung up")
    assert call(mx, POOL).code == 450
    mx.advance(3600)
    assert call(mx, POOL).code == 250


def test_qgreylist(open_gate):
    mx = open_gate("qgreylist")
    assert call(mx, SERVER).code == 450
    mx.advance(301)
    assert call(mx, SERVER, sender="other@else.example", to="bob@example.org").code == 250


def test_qgrey(open_gate):
    mx = open_gate("qgrey")
    assert call(mx, SERVER).code == 250
    assert call(mx, LIAR).code == 450
    assert call(mx, HOME).code == 450
    mx.advance(301)
    assert call(mx, HOME, sender="other@else.example", to="bob@example.org").code == 250


def test_postgrey(open_gate):
    mx = open_gate("postgrey")
    comes_again(mx, SERVER, 300)
    # the network is the key
    assert call(mx, "127.0.43.26").code == 250
    assert call(mx, "127.0.99.26").code == 450
    # numbers in the sender do not matter
    comes_again(mx, SERVER, 300, sender="bounce-17@list.example")
    assert call(mx, SERVER, sender="bounce-18@list.example").code == 250
    # not for everybody
    assert call(mx, NAMELESS, to="postmaster@example.org").code == 250


def test_postgrey_white_list(open_gate):
    mx = open_gate("postgrey")
    for n in range(5):
        assert call(mx, SERVER, sender=f"{'abcde'[n]}@s.example").code == 450
    mx.advance(301)
    for n in range(5):
        assert call(mx, SERVER, sender=f"{'abcde'[n]}@s.example").code == 250
    assert call(mx, SERVER, sender="new@s.example").code == 250


def test_fastmail(open_gate):
    mx = open_gate("fastmail")
    assert call(mx, SERVER).code == 250
    assert call(mx, HONEST, helo="mx.small.example").code == 250
    assert call(mx, HONEST, helo="else.example").code == 450
    assert call(mx, HOME, sender="a@s.example").code == 450
    assert call(mx, HOME, sender="b@s.example").code == 450
    mx.advance(301)
    assert call(mx, HOME, sender="a@s.example").code == 250
    assert call(mx, HOME, sender="b@s.example").code == 250
    assert call(mx, HOME, sender="c@s.example").code == 250     # known now, for a day
    mx.advance(25 * 3600)
    assert call(mx, HOME, sender="d@s.example").code == 450


def test_spamd(open_gate):
    mx = open_gate("spamd")
    comes_again(mx, SERVER, 1500)
    assert call(mx, SERVER, sender="new@s.example").code == 250   # the address is white
    # greytrapping
    assert call(mx, NAMELESS, to="archive@example.org").code == 450
    mx.advance(1800)
    reply = call(mx, NAMELESS)
    assert reply.code == 450 and "Temporary failure" in reply.text
    mx.advance(25 * 3600)
    assert "Temporary failure" not in call(mx, NAMELESS).text      # grey again, trapped no more


def test_spamthrottle(open_gate):
    mx = open_gate("spamthrottle")
    for _ in range(4):
        assert waits(mx, HOME) == 0
    assert call(mx, HOME).code == 250
    assert waits(mx, HOME) > 0
    assert waits(mx, "127.0.2.9") == 0
    with Client(mx.port, source=SERVER) as c:
        c.say("EHLO client.example")
        c.say("MAIL FROM:<a@b.example>")
        codes = [c.say(f"RCPT TO:<nobody{n}@example.org>").code for n in range(11)]
        assert codes == [550] * 11
        assert c.say("RCPT TO:<alice@example.org>").code == 450


def test_paranoid(open_gate):
    mx = open_gate("paranoid")
    with Client(mx.port, source=LIAR) as c:
        assert c.greeting.code == 421
        assert c.closed()
    assert call(mx, NAMELESS).code == 250
    assert call(mx, SERVER).code == 250


def test_delayed_rejection(open_gate):
    mx = open_gate("delayed-rejection")
    with Client(mx.port, source="127.0.113.9") as c:
        assert c.greeting.code == 220
        c.say("EHLO client.example")
        assert c.say("MAIL FROM:<a@b.example>").code == 250
        assert c.say("RCPT TO:<alice@example.org>").code == 550
        assert c.say("RCPT TO:<postmaster@example.org>").code == 250
    refused = mx.await_log("gate.verdict", client="127.0.113.9")
    assert refused["from"] == "a@b.example" and refused["to"] == "alice@example.org"
    assert call(mx, "127.0.47.1").code == 550                      # by name
    assert call(mx, SERVER, helo="localhost").code == 550
    with Client(mx.port, source="127.0.51.9") as c:
        assert c.greeting.code == 421
    assert call(mx, SERVER).code == 250
