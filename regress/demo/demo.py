#!/usr/bin/python3
"""make demo: a morning at the door, on loopback.

Starts a real name server (nsd) that names many addresses of 127/8, a second mail server, and Genkan in front of it; then
callers come, each from an address of its own, with its own name and manners.  Prints what becomes of each, the gate's
report, and where the mail is.  Everything lives in one temporary directory and ends with this program.
"""
import pathlib
import socket
import string
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from dnsserver import DnsServer  # noqa: E402
from genkan import Client, Genkan, free_port, remove_tree  # noqa: E402

GREY_DELAY = 5
PAUSE = 2
TARPIT = 4

GATE = """
# The waits are short, so that nobody watching falls asleep: greylist ${delay}s (default 2m), pauses ${pause}s and 1s (20s and
# 4s), tarpit ${tarpit}s.
table friends { 127.0.7.0/24, "office.example.org" }
table suspects { "bulk.example" }
gate {
	trust    when client in <friends>
	pause    ${pause}s when s25r or not rdns pass
	pause    1s
	reject   "you talk before you are greeted" when early-talker
	tarpit   ${tarpit}s when rdns in <suspects>
	greylist delay ${delay}s when s25r or not rdns pass
}
relay {
	from { 127.0.7.0/24 }
	route "partner.example" to "[127.0.0.1]:$partner"
	route "*" to mx
}
domain "example.org" {
	users { "alice", "bob" }
	deliver maildir "$mail/%{user}"
}
"""

PARTNER = """
gate { }
relay { from { 127.0.0.0/8 } }
domain "partner.example" {
	users { "carol" }
	deliver maildir "$mail/%{user}"
}
"""

NAMES = {
    "127.0.1.1": "mail.university.example",
    "127.0.1.2": "gw.office-park.example",
    "127.0.1.3": "p127-0-1-3.dyn.isp.example",
    "127.0.1.5": "p127-0-1-5.dyn.isp.example",
    "127.0.2.10": "mail-io0-f178.post.example",
    "127.0.3.77": "mail-qt1-f99.post.example",
    "127.0.1.6": "mx1.bulk.example",
    "127.0.1.8": "mx2.bulk.example",
    "127.0.7.1": "office.example.org",
}

printing = threading.Lock()
began = time.monotonic()


def tell(who, what):
    with printing:
        print(f"{time.monotonic() - began:6.1f} s  {who:<28} {what}", flush=True)


def short(reply):
    return (reply.lines[-1] if reply else "(connection closed)")[:110]


class Caller(threading.Thread):
    """Comes from SOURCE as HELO and brings one message; MANNERS decide how."""

    def __init__(self, who, port, source, helo, sender, recipient="alice@example.org"):
        super().__init__(daemon=True)
        self.who, self.port, self.source, self.helo = who, port, source, helo
        self.sender, self.recipient = sender, recipient
        self.start_at = time.monotonic()

    def attempt(self, source=None):
        began_at = time.monotonic()
        with Client(self.port, source=source or self.source) as c:
            waited = time.monotonic() - began_at
            reply = c.mail(self.sender, self.recipient, helo=self.helo,
                           text=f"From: <{self.sender}>\r\nTo: <{self.recipient}>\r\nSubject: from {self.who}\r\n\r\nhello\r\n")
            c.send("QUIT\r\n")
        tell(self.who, f"banner after {waited:.1f} s; {short(reply)}")
        return reply

    def run(self):
        try:
            self.manners()
        except OSError as error:
            tell(self.who, f"gave up: {error}")

    def manners(self):
        self.attempt()


class EarlyTalker(Caller):
    def manners(self):
        with Client(self.port, source=self.source, greet=False) as c:
            c.send(f"EHLO {self.helo}\r\nMAIL FROM:<{self.sender}>\r\nRCPT TO:<{self.recipient}>\r\n")
            for _ in range(4):
                reply = c.reply()
        tell(self.who, f"spoke first; {short(reply)}")


class Persistent(Caller):
    """Comes back as a mail server does, if need be from another address of its pool."""

    def __init__(self, *args, pool=()):
        super().__init__(*args)
        self.pool = list(pool)

    def manners(self):
        reply = self.attempt()
        while reply.code // 100 == 4:
            wait = GREY_DELAY + 1
            source = self.pool.pop(0) if self.pool else self.source
            tell(self.who, f"will try again in {wait} s" + (f" from {source}" if source != self.source else ""))
            time.sleep(wait)
            reply = self.attempt(source)
        if reply.code == 250:
            tell(self.who, f"delivered {time.monotonic() - self.start_at:.1f} s after the first try")


class Impatient(Caller):
    """Hangs up when an answer takes more than a moment."""

    def manners(self):
        with Client(self.port, source=self.source) as c:
            c.say(f"EHLO {self.helo}")
            c.say(f"MAIL FROM:<{self.sender}>")
            c.socket.settimeout(1.5)
            try:
                c.send(f"RCPT TO:<{self.recipient}>\r\n")
                tell(self.who, short(c.reply()))
            except (socket.timeout, TimeoutError):
                tell(self.who, "no answer to RCPT within 1.5 s; hung up")


def callers(port):
    return [
        Caller("ordinary server", port, "127.0.1.1", "mail.university.example", "prof@university.example"),
        Caller("a friend in the table", port, "127.0.7.1", "office.example.org", "office@example.org"),
        EarlyTalker("talks before the banner", port, "127.0.1.2", "gw", "win@lottery.example"),
        Caller("home line, never retries", port, "127.0.1.3", "pc", "pills@cheap.example"),
        Caller("the \"localhost\" liar", port, "127.0.1.4", "localhost", "root@localhost.example"),
        Persistent("home line, honest", port, "127.0.1.5", "home.dyn.isp.example", "kenji@home.example"),
        Persistent("provider's pool", port, "127.0.2.10", "mail-io0-f178.post.example", "friend@post.example",
                   pool=["127.0.3.77"]),
        Caller("bulk mailer, patient", port, "127.0.1.6", "mx1.bulk.example", "news@bulk.example", "bob@example.org"),
        Impatient("bulk mailer, hangs up", port, "127.0.1.8", "mx2.bulk.example", "offers@bulk.example", "bob@example.org"),
        Caller("our own, going out", port, "127.0.7.1", "office.example.org", "alice@example.org", "carol@partner.example"),
    ]


def heading(text):
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def names(directory):
    dns = DnsServer(directory)
    for ip, name in NAMES.items():
        dns.host(name, ip)
    dns.ptr("127.0.1.4", "localhost")
    dns.add("example.org MX 10 mx.example.org")
    return dns


def show_mail(*servers):
    for server, users in servers:
        for user in users:
            for text in server.messages(user):
                subject = next(line for line in text.decode().splitlines() if line.startswith("Subject:"))
                print(f"  {server.mail}/{user}: {subject[9:]}")


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="genkan-demo-"))
    directory.chmod(0o755)
    partner_port = free_port()
    try:
        (directory / "dns").mkdir()
        with names(directory / "dns") as dns, \
                Genkan(directory / "partner", PARTNER, host="mx.partner.example", dns=dns, port=partner_port) as partner, \
                Genkan(directory / "door", string.Template(GATE).safe_substitute(
                    delay=GREY_DELAY, pause=PAUSE, tarpit=TARPIT, partner=partner_port), dns=dns) as door:
            heading(f"Genkan at 127.0.0.1:{door.port}, nsd at port {dns.port}, another server behind at port {partner_port}")
            print(door.run_ctl("config", "show").stdout.partition("gate {")[2].partition("\n}")[0].join(["gate {", "\n}"]))
            heading("The callers")
            everybody = callers(door.port)
            for caller in everybody:
                caller.start()
                time.sleep(0.2)
            for caller in everybody:
                caller.join(60)
            partner.deliveries("carol", 1)
            door.await_empty_queue()
            heading("smtpctl gate report")
            print(door.run_ctl("gate", "report").stdout)
            heading("smtpctl grey list")
            print(door.run_ctl("grey", "list").stdout)
            heading("smtpctl gate explain client=127.0.1.3")
            print(door.run_ctl("gate", "explain", "client=127.0.1.3").stdout)
            heading("What was delivered where")
            show_mail((door, ["alice", "bob"]), (partner, ["carol"]))
            heading("smtpctl queue list")
            print(door.run_ctl("queue", "list").stdout or "(empty)")
            return verdict(door, partner)
    finally:
        remove_tree(directory)


def verdict(door, partner):
    """The demo is also a promise: these and only these came in."""
    want = {"alice": 4, "bob": 1}
    got = {user: len(door.messages(user)) for user in want}
    ok = got == want and len(partner.messages("carol")) == 1
    heading("As promised" if ok else "NOT as promised")
    print(f"  in: {got}, out: {len(partner.messages('carol'))}; stopped: the early talker, the silent home line, the liar and "
          "the one who hung up" if ok else f"  wanted {want} and 1, got {got} and {len(partner.messages('carol'))}")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
