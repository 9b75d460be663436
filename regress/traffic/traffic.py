"""Mixed traffic for a gate: bots, and honest servers of all sorts, from hundreds of addresses, always the same for a seed.

world(seed) makes the actors and their DNS.  An actor is asked for its next attempt and plays it as a real SMTP session; it
is told nothing about the gate.  Waits inside a session are real seconds, with the actor's own patience; between
sessions the test clock moves.  The numbers in BOT and HONEST are the mix, each with where it comes from; docs/gate.md says
what that means for the results.
"""
import asyncio
import random
import re
from dataclasses import dataclass, field

import names

DAY = 86400
BOTS = 450           # not so many that a home line's name were needed twice
WAVES = 2            # days on which everybody comes
SPREAD = 240         # seconds in which all of a day come first
SESSION = 150        # seconds that most sessions do not last
SETTLED = 3          # real seconds after which who is still in a session is kept waiting
PACE = 4             # all waits inside a session, the gate's and the callers', are so many times shorter than they say
OUR_DOMAIN = "example.org"
OUR_HOST = "mx.example.org"
USERS = [f"{first}{last}" for first in ("akira", "emi", "ken", "mari") for last in ("", ".sato", ".ito", ".abe", ".mori")]
BLOCKLISTS = {"zen.example.net": 0.75, "bl.example.com": 0.45}  # the part of the bots that each knows
ALLOWLIST = "list.example.org"

# What a bot is like: each line drawn by itself, so that a bot is rarely bad at everything, as real ones often are.
BOT = {
    # refused clients of a university, 2007: 44 % without a verified name (s25r-lineage, corpora README)
    "name": (("dynamic", 42), ("spam", 14), ("none", 32), ("mismatch", 6), ("localhost", 4), ("servfail", 2)),
    # "a pause of 10 s works on 40 %" (Maeno); pregreet stops "over half" (postscreen)
    "talk": (("early", 30), ("soon", 10), ("wait", 60)),
    # how long he waits for us: of what 180 s gets rid of, 65 s gets 65 % (Wakayama 2007)
    "patience": ((3, 12), (8, 13), (15, 13), (30, 12), (60, 10), (120, 25), (300, 15)),
    # 10,616 greylisted addresses (Levine): none 36, under a minute 32, one 11, other mail 15, later 6
    "retry": (("never", 36), ("at-once", 32), ("once", 11), ("change", 15), ("patient", 6)),
    # judgement
    "helo": (("invalid", 25), ("forged", 20), ("none-such", 20), ("own-ptr", 15), ("literal", 10), ("ours", 10)),
    "sender": (("open", 22), ("throwaway", 5), ("hard", 20), ("soft", 20), ("none-such", 15), ("ours", 10), ("null", 5),
               ("blanket", 3)),
    "aim": (("one", 45), ("several", 20), ("many", 20), ("dictionary", 15)),
    "pipeline": ((True, 25), (False, 75)),
}

# What an honest sender is like, apart from the providers with measured schedules.
HONEST = {
    # accepted clients, 2007: 3 of 66 without a name; today the large receivers refuse these
    "dns": (("good", 960), ("none", 10), ("generic", 20), ("broken", 10)),
    "software": (("postfix", 40), ("exim", 20), ("sendmail", 12), ("qmail", 8), ("exchange", 20)),
    "spf": (("pass", 80), ("none", 17), ("forwarder", 3)),
    "helo": (("resolves", 85), ("other", 10), ("invalid", 5)),
    "sender": (("resolves", 98), ("none-such", 2)),
    "patience": ((300, 95), (30, 5)),  # "some senders' greeting timeout is 30 s or less" (qpsmtpd)
    "kind": (("person", 80), ("callout", 6), ("list", 8), ("bounces", 6)),
}
# Honest servers that are set up as badly as some are, in equal parts: how many of them there are nobody has counted, so they
# are no part of the 1 % that may wait, but none of them may lose a message.
ILL_KEPT = {
    "bare": "no reverse name, a bare word in HELO, a sender whose domain does not exist",
    "generic": "its provider's name for the line, a HELO that leads nowhere, no SPF",
    "numbered": "a name that S25R matches, a bare word in HELO, no SPF",
    "pool": "four hosts in four networks with names of lines, no SPF; any of them tries again",
    "moved": "a name of the line, and the SPF record, which ends in -all, knows only the old address",
    "hasty": "a good name, no SPF, a HELO that leads nowhere; gives every reply 15 s",
    "stale": "a list without SPF, half of whose subscribers are gone",
    "echo": "forwards mail of domains that forbid it in SPF, from a line with a name of its own",
}
ILL_KEPT_EACH = 5
MINUTE = 60
HOURS = [h * 3600 for h in range(1, 49)]
SOFTWARE = {  # seconds after the first attempt
    "postfix": [m * MINUTE for m in (5, 10, 20, 40, 80, 147, 214, 281, 348)] + HOURS[6:],
    "exim": [m * MINUTE for m in range(15, 121, 15)] + [10800, 16200, 24300, 36450, 54675] + HOURS[20::6],
    "sendmail": [m * MINUTE for m in range(30, 12 * 60, 30)] + HOURS[12::2],
    "qmail": [400 * n * n for n in range(1, 20)],
    "exchange": [m * MINUTE for m in (5, 10, 15, 20, 25, 30, 40, 50, 60)] + HOURS[1:],
    "half-hourly": [m * MINUTE for m in range(30, 48 * 60, 30)],
    "hourly": HOURS,
}


def draw(rng, table):
    return rng.choices([value for value, _ in table], [weight for _, weight in table])[0]


@dataclass
class Host:
    address: str
    name: str = ""        # its PTR; "" for none
    helo: str = ""


@dataclass
class Attempt:
    """One session to be: what is asked for, and what came of it."""
    host: Host
    helo: str
    mail: list            # (sender, [recipients])
    patience: float = 300    # for one reply
    in_all: float = 7200     # for the session
    talk: str = "wait"
    pipeline: bool = False
    callout: bool = False
    reached_data: bool = False
    accepted: list = field(default_factory=list)   # (sender, recipient)
    refused: list = field(default_factory=list)    # the same, for good
    held: float = 0
    last: str = ""


class Zone:
    """Records as regress/system/dnsserver.py takes them."""

    def __init__(self):
        self.records = {}

    def add(self, record):
        self.records[record] = None

    def host(self, host, *, forward=True):
        if host.name:
            self.ptr(host.address, host.name)
            if forward:
                self.add(f"{host.name} A {host.address}")

    def text(self, name, text):
        self.add(f"{name} TXT " + " ".join(f'"{text[i:i + 250]}"' for i in range(0, len(text), 250)))

    def ptr(self, address, name):
        self.add(f"{reverse(address)}.in-addr.arpa PTR {name}")


def reverse(address):
    return ".".join(reversed(address.split(".")))


class World:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.names, self.source = names.load(self.rng)
        self.addresses = names.Addresses(self.rng)
        self.zone = Zone()
        self.servfail = []       # names that never answer
        self.healing = []        # (seconds, name): no answer until then
        self.actors = []
        self.forged_domains()
        self.providers()
        self.small_senders()
        self.bots()
        self.ill_kept()

    def forged_domains(self):
        add = self.zone.add
        add(f"{OUR_DOMAIN} MX 10 {OUR_HOST}")
        add(f"{OUR_HOST} A 127.0.0.1")
        add(f'{OUR_DOMAIN} TXT "v=spf1 a:{OUR_HOST} -all"')
        for domain, policy in (("bank.example", "-all"), ("auction.example", "-all"), ("freemail.example", "~all"),
                               ("webmail.example", "?all")):
            add(f"{domain} MX 10 mx.{domain}")
            add(f"mx.{domain} A {self.addresses.fresh()}")
            add(f'{domain} TXT "v=spf1 mx {policy}"')
        add('blanket.example TXT "v=spf1 +all"')
        add("blanket.example MX 10 mx.freemail.example")
        for zone in (*BLOCKLISTS, ALLOWLIST):
            add(f"2.0.0.127.{zone} A 127.0.0.2")    # by which a list shows that it is alive (RFC 5782 5)
        for i in range(40):
            add(f"open{i}.example MX 10 mx.open{i}.example")
            add(f"mx.open{i}.example A {self.addresses.fresh()}")

    # --- the honest ---

    def providers(self):
        """The ten whose schedules were measured, with as many outgoing hosts as were seen."""
        pools = pools_of(self.names["legit"])
        for provider, (hosts, times) in names.schedules().items():
            known = [n for pool in pools.values() for n in pool if family(n) == provider.split(".")[0]]
            known = (known + [f"out{i}-{i * 7}.mail.{provider}" for i in range(1, hosts + 1)])[:hosts]
            pool = [self.honest_host(name) for name in known]
            self.publish(provider, pool, "pass")
            for i in range(2):
                self.actors.append(Honest(self, f"{provider}/{i}", pool, provider, times, kind="person"))

    def small_senders(self):
        taken = {h.name for a in self.actors for h in a.hosts}
        for pool_name, pool in pools_of(self.names["legit"]).items():
            pool = [n for n in pool if n not in taken]
            if pool:
                self.small_sender(pool_name, pool)

    def small_sender(self, pool_name, pool):
        draws = {key: draw(self.rng, table) for key, table in HONEST.items()}
        domain = f"{pool_name}" if len(pool_name.split(".")) > 1 else f"{pool_name}.example"
        if draws["dns"] == "generic":
            pool = [f"static-{pool_name.replace('.', '-')}.host.example"]
        hosts = [self.honest_host(name, draws["dns"]) for name in pool]
        for host in hosts:
            self.name_himself(host, draws["helo"], domain)
        self.publish(domain, hosts, draws["spf"], draws["sender"])
        if draws["dns"] == "broken":
            self.healing += [(1200, f"{reverse(h.address)}.in-addr.arpa") for h in hosts]
        self.actors.append(Honest(self, pool_name, hosts, domain, SOFTWARE[draws["software"]], kind=draws["kind"],
                                  patience=draws["patience"]))

    def honest_host(self, name, dns="good"):
        if dns == "generic":   # the provider's name for the address, and a name of its own that leads to it
            address = self.addresses.fresh()
            host = Host(address, f"{address.replace('.', '-')}.static.host.example", name)
            self.zone.add(f"{name} A {address}")
        else:
            host = Host(self.addresses.of_name(name), name if dns != "none" else "", name)
            if dns == "none":
                self.zone.add(f"{name} A {host.address}")
        self.zone.host(host)
        if self.rng.random() < 0.3:
            self.zone.add(f"{reverse(host.address)}.{ALLOWLIST} A 127.0.5.2")
        return host

    def name_himself(self, host, how, domain):
        if how == "other":
            host.helo = f"gateway.{domain}"
        elif how == "invalid":
            host.helo = "SERVER01"

    def publish(self, domain, hosts, spf, sender="resolves"):
        if sender != "resolves":
            return
        self.zone.add(f"{domain} MX 10 mx.{domain}")
        self.zone.add(f"mx.{domain} A {hosts[0].address}")
        networks = " ".join(sorted({f"ip4:{h.address}" for h in hosts}))
        if spf == "pass":
            self.zone.text(domain, f"v=spf1 {networks} ~all")
        elif spf == "forwarder":   # carries other people's mail on with their reverse-path
            self.zone.add(f'{domain} TXT "v=spf1 ip4:192.0.2.1 -all"')

    # --- the ill-kept ---

    def ill_kept(self):
        for kind in ILL_KEPT:
            for i in range(ILL_KEPT_EACH):
                self.ill_kept_sender(kind, f"{kind}{i}.example", self.rng.choice(list(SOFTWARE)))

    def ill_kept_sender(self, kind, domain, software):
        hosts = [self.ill_kept_host(kind, domain) for _ in range(4 if kind == "pool" else 1)]
        sender = domain
        if kind == "bare":
            sender = "server01.local"
        elif kind == "echo":
            sender = self.rng.choice(("bank.example", "auction.example"))
        elif kind == "moved":
            self.zone.add(f"mx.{domain} A {self.addresses.fresh()}")
            self.publish(domain, hosts, "forwarder")
        else:
            self.publish(domain, hosts, "none")
        self.actors.append(Honest(self, domain, hosts, sender, SOFTWARE[software], kind="list" if kind == "stale" else "person",
                                  patience=15 if kind == "hasty" else 300, ill_kept=kind))

    def ill_kept_host(self, kind, domain):
        address = self.addresses.fresh()
        line = f"{address.replace('.', '-')}.line.host.example"
        name = {"bare": "", "numbered": f"srv2-cust11.{domain}", "hasty": f"mail.{domain}", "stale": f"mail.{domain}"}.get(kind, line)
        helo = {"bare": "server01", "numbered": "MAIL", "moved": f"mx.{domain}", "echo": f"home.{domain}",
                "stale": f"mail.{domain}"}.get(kind, f"gateway.{domain}")
        host = Host(address, name, helo)
        self.zone.host(host)
        if kind == "echo":
            self.zone.add(f"{helo} A {address}")
        return host

    # --- bots ---

    def bots(self):
        self.unused = {kind: self.rng.sample(self.names[kind], len(self.names[kind])) for kind in ("dynamic", "spam")}
        for i in range(BOTS):
            self.actors.append(Bot(self, f"bot{i}"))

    def bot_host(self, kind):
        address = self.addresses.fresh()
        if kind in self.unused:
            name = self.unused[kind].pop()
            host = Host(self.addresses.of_name(name, line=True), name)
            self.zone.host(host)
        elif kind == "mismatch":
            host = Host(address, self.rng.choice(self.names["legit"]))
            self.zone.host(host, forward=False)
        elif kind == "localhost":
            host = Host(address, "localhost")
            self.zone.host(host, forward=False)
        else:
            host = Host(address)
            if kind == "servfail":
                self.servfail.append(f"{reverse(address)}.in-addr.arpa")
        for zone, part in BLOCKLISTS.items():
            if self.rng.random() < part:
                self.zone.add(f"{reverse(host.address)}.{zone} A 127.0.0.4")
        return host


def family(name):
    """The word of a provider in a name: "google" is gmail's, "outlook" hotmail's."""
    labels = name.split(".")
    word = labels[-3] if len(labels) > 2 and len(labels[-2]) <= 3 else labels[-2]
    return {"google": "gmail", "outlook": "hotmail"}.get(word, word)


def pools_of(hosts):
    """Hosts that share all but the first label (three labels and more) are one sender's."""
    pools = {}
    for name in hosts:
        labels = name.split(".")
        below = 3 if len(labels[-1]) == 2 and len(labels[-2]) <= 3 else 2
        key = ".".join(labels[1:]) if len(labels) > below else name
        pools.setdefault(key, []).append(name)
    return pools


class Actor:
    """TIME: when the next attempt is due, None when nothing is left."""
    honest = False

    def __init__(self, world, name, hosts):
        self.rng = random.Random(f"{world.rng.random()}")
        self.name, self.hosts = name, hosts
        self.attempts = []
        self.time = self.rng.uniform(0, SPREAD) / PACE

    def attempt(self):
        raise NotImplementedError

    def soonest(self):
        """No later than what after() will give, asked while the attempt runs."""
        raise NotImplementedError

    def after(self, attempt, now):
        """Takes the outcome; the time of the next, or None."""
        raise NotImplementedError


@dataclass
class Message:
    sender: str
    recipient: str
    first: float = None
    waited: float = None      # when it was taken
    lost: str = ""


class Honest(Actor):
    honest = True

    def __init__(self, world, name, hosts, domain, schedule, *, kind, patience=300, ill_kept=None):
        super().__init__(world, name, hosts)
        self.ill_kept = ill_kept
        self.kind, self.domain, self.schedule, self.patience = kind, domain, schedule, patience
        self.wave, self.tries = 0, 0
        self.first, self.messages, self.open = self.time, [], []
        self.new_messages()

    def new_messages(self):
        who = self.rng.sample(USERS, 12 if self.kind == "list" else self.rng.choice((1, 1, 2)))
        sender = {"person": lambda u: f"{self.rng.choice('abcdef')}@{self.domain}",
                  "list": lambda u: f"bounces+{self.rng.randrange(9999)}-{u}=example.org@{self.domain}"}
        make = sender.get(self.kind, lambda u: "")
        self.open = [Message(make(u), f"{u}@{OUR_DOMAIN}") for u in who]
        self.messages += self.open

    def attempt(self):
        host = self.rng.choice(self.hosts)
        for message in self.open:
            message.first = self.time if message.first is None else message.first
        if self.tries == 0:
            self.first = self.time
        mail = [(m.sender, [m.recipient]) for m in self.open]
        if self.ill_kept == "stale" and self.tries == 0:
            mail = [m for i, one in enumerate(mail) for m in (one, (one[0], [f"gone{i}@{OUR_DOMAIN}"]))]
        return Attempt(host, host.helo, mail, patience=self.patience,
                       callout=self.kind == "callout")

    def soonest(self):
        return self.first + self.schedule[self.tries] if self.tries < len(self.schedule) else self.next_wave()

    def next_wave(self):
        return (self.wave + 1) * DAY

    def after(self, attempt, now):
        for message in self.open:
            triplet = (message.sender, message.recipient)
            if triplet in attempt.accepted:
                message.waited = self.time - self.first + attempt.held
            elif triplet in attempt.refused:
                message.lost = attempt.last
        self.open = [m for m in self.open if m.waited is None and not m.lost]
        if self.open and self.tries < len(self.schedule):
            self.tries += 1
            return max(self.first + self.schedule[self.tries - 1], now + 1)
        for message in self.open:
            message.lost = "gave up: " + attempt.last
        self.wave += 1
        if self.wave >= WAVES:
            return None
        self.tries = 0
        self.new_messages()
        return max(self.next_wave() - DAY + self.rng.uniform(0, SPREAD) / PACE, now + 1)


class Bot(Actor):
    def __init__(self, world, name):
        self.is_like = {key: draw(world.rng, table) for key, table in BOT.items()}
        super().__init__(world, name, [world.bot_host(self.is_like["name"])])
        self.throwaway = f"{name}.example"  # a domain of his own for a day, whose SPF names him
        if self.is_like["sender"] == "throwaway":
            world.publish(self.throwaway, self.hosts, "pass")
        self.wave, self.tries = 0, 0
        self.mail = self.new_mail()

    def new_mail(self):
        return [(self.sender(), self.recipients())]

    def sender(self):
        domain = {"open": f"open{self.rng.randrange(40)}.example", "hard": self.rng.choice(("bank.example", "auction.example")),
                  "soft": self.rng.choice(("freemail.example", "webmail.example")), "ours": OUR_DOMAIN,
                  "blanket": "blanket.example", "throwaway": self.throwaway,
                  "none-such": f"x{self.rng.randrange(10 ** 6)}.invalid"}.get(self.is_like["sender"])
        return f"{self.rng.choice('klmnop')}{self.rng.randrange(1000)}@{domain}" if domain else ""

    def recipients(self):
        def stranger():
            return f"{self.rng.choice(('info', 'sales', 'john', 'mary', 'admin'))}{self.rng.randrange(10 ** 4)}@{OUR_DOMAIN}"
        known = [f"{u}@{OUR_DOMAIN}" for u in self.rng.sample(USERS, 8)]
        aim = self.is_like["aim"]
        if aim == "one":
            return known[:1]
        if aim == "several":
            return known[:5]
        mixed = known[:6] + [stranger() for _ in range(14)] if aim == "many" else known[:2] + [stranger() for _ in range(28)]
        self.rng.shuffle(mixed)
        return mixed

    def helo(self):
        host = self.hosts[0]
        return {"invalid": self.rng.choice(("localhost", "User-PC", "friend")), "literal": f"[{host.address}]",
                "forged": self.rng.choice(("mx.freemail.example", "mx.bank.example")), "ours": OUR_HOST,
                "none-such": f"h{self.rng.randrange(10 ** 6)}.invalid", "own-ptr": host.name or "mail.invalid"}[self.is_like["helo"]]

    def attempt(self):
        return Attempt(self.hosts[0], self.helo(), self.mail, patience=self.is_like["patience"],
                       in_all=2 * self.is_like["patience"] + 60, talk=self.is_like["talk"],
                       pipeline=self.is_like["pipeline"])

    DELAYS = {"never": [], "at-once": [2, 10, 20], "once": [900], "change": [5, 900], "patient": [900, 2700]}

    def delay(self):
        """Until he comes again for the same; None: he does not.  What is under a minute belongs to the session."""
        delays = self.DELAYS[self.is_like["retry"]]
        if self.tries >= len(delays):
            return None
        return delays[self.tries] / (PACE if delays[self.tries] < 60 else 1)

    def soonest(self):
        return self.time + (self.delay() or DAY / 2)

    def after(self, attempt, now):
        done = attempt.accepted or attempt.refused and self.rng.random() < 0.7
        delay = self.delay()
        if not done and delay is not None:
            self.tries += 1
            if self.is_like["retry"] == "change":
                self.mail = self.new_mail()
            return now + delay
        self.wave += 1
        if self.wave >= WAVES:
            return None
        self.tries, self.mail = 0, self.new_mail()
        return max(self.wave * DAY + self.rng.uniform(0, SPREAD) / PACE, now + 1)


# --- a session ---

class Gone(Exception):
    """The server closed, or the client has no more patience."""


class Session:
    def __init__(self, port, attempt):
        self.port, self.attempt = port, attempt
        self.said = ""

    async def play(self):
        started = asyncio.get_running_loop().time()
        try:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                await self.reply(300)      # the proxy's banner; he himself begins with XCLIENT
                await asyncio.wait_for(self.dialogue(), self.attempt.in_all / PACE)
            finally:
                self.writer.close()
        except (Gone, OSError, asyncio.TimeoutError) as why:
            self.attempt.last = self.attempt.last or str(why) or type(why).__name__
        self.attempt.held = PACE * (asyncio.get_running_loop().time() - started)

    async def reply(self, patience=None):
        """The code; the whole reply is in said."""
        lines = []
        async def read():
            while True:
                line = (await self.reader.readline()).decode("ascii", "replace").rstrip()
                if not line:
                    raise Gone("closed")
                lines.append(line)
                if line[3:4] != "-":
                    return
        try:
            await asyncio.wait_for(read(), (patience or self.attempt.patience) / PACE)
        except asyncio.TimeoutError:
            raise Gone("no patience") from None
        self.said = lines[-1]
        return int(lines[-1][:3])

    def send(self, *lines):
        self.writer.write("".join(line + "\r\n" for line in lines).encode())

    async def say(self, line):
        self.send(line)
        return await self.reply()

    async def dialogue(self):
        a = self.attempt
        hello = f"EHLO {a.helo}"
        said = a.talk == "early"
        self.send(f"XCLIENT ADDR={a.host.address}", *([hello] if said else []))
        banner = asyncio.create_task(self.reply())
        if a.talk == "soon":
            said = not (await asyncio.wait({banner}, timeout=2 / PACE))[0]
            if said:
                self.send(hello)
        if await banner != 220:
            return self.all_failed()
        if not said:
            self.send(hello)
        if a.pipeline:
            return await self.pipelined()
        if await self.reply() != 250:
            return self.all_failed()
        for sender, recipients in a.mail:
            await self.transaction(sender, recipients)
        self.send("QUIT")

    def all_failed(self):
        self.fail([(s, r) for s, rs in self.attempt.mail for r in rs])

    def fail(self, triplets):
        self.attempt.last = self.said
        if self.said[:1] == "5":
            self.attempt.refused += triplets

    async def transaction(self, sender, recipients):
        if await self.say(f"MAIL FROM:<{sender}>") != 250:
            return self.fail([(sender, r) for r in recipients])
        taken = []
        for recipient in recipients:
            code = await self.say(f"RCPT TO:<{recipient}>")
            if code == 250:
                taken.append((sender, recipient))
            else:
                self.fail([(sender, recipient)])
            if code == 421:
                return
        if self.attempt.callout:
            self.attempt.accepted += taken
        elif taken:
            if await self.say("DATA") == 354:
                await self.text(taken)
                return
            self.fail(taken)
        await self.say("RSET")

    async def text(self, taken):
        self.attempt.reached_data = True
        self.send(f"From: <{taken[0][0]}>", "Subject: traffic", "", "one line", ".")
        if await self.reply() == 250:
            self.attempt.accepted += taken
        else:
            self.fail(taken)

    async def pipelined(self):
        """All in one piece, as programs do that do not read what a server says."""
        sender, recipients = self.attempt.mail[0]
        self.send(f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{r}>" for r in recipients), "DATA")
        await self.reply()      # EHLO
        if await self.reply() != 250:
            return self.fail([(sender, r) for r in recipients])
        taken = []
        for recipient in recipients:
            if await self.reply() == 250:
                taken.append((sender, recipient))
            else:
                self.fail([(sender, recipient)])
        if await self.reply() == 354:
            await self.text(taken)


# --- time ---

class Player:
    """Plays all actors in the order of the test clock.  It jumps only over time in which nobody who is in a session now
    could come again, so that nobody is late, and leaves him the time between that a session may take, so that a greylist that
    is asked at its end has seen him early enough.  And not while somebody has just begun: who is sent away for coming too soon
    must not find two minutes gone when he says RCPT."""

    def __init__(self, world, server, *, dns, most=1500):
        self.world, self.server, self.dns, self.most = world, server, dns, most
        self.offset = 0
        self.healing = sorted(world.healing)

    async def run(self):
        self.loop = asyncio.get_running_loop()
        self.start = self.loop.time()
        waiting = sorted(((a.time, i, a) for i, a in enumerate(self.world.actors)), reverse=True)
        flying = {}
        while waiting or flying:
            while waiting and len(flying) < self.most and self.may_start(waiting[-1][0], flying):
                _, _, actor = waiting.pop()
                actor.began = self.loop.time()
                flying[asyncio.create_task(self.one(actor))] = actor
            delay = self.until(waiting[-1][0]) if waiting and not self.is_bound(flying, waiting[-1][0]) else SETTLED
            done, _ = await asyncio.wait(flying, timeout=delay, return_when=asyncio.FIRST_COMPLETED) if flying \
                else (set(), await asyncio.sleep(delay or 0))
            for task in done:
                actor = flying.pop(task)
                if task.result() is not None:
                    actor.time = task.result()
                    waiting.append((actor.time, id(actor), actor))
            if done:
                waiting.sort(key=lambda w: w[0], reverse=True)

    def now(self):
        return self.loop.time() - self.start + self.offset

    def until(self, when):
        return max(0.01, when - self.now())

    def may_start(self, when, flying):
        """At the time, or when the clock may be moved to it.  Within a minute time passes by itself, for the many."""
        if when <= self.now():
            return True
        if self.is_bound(flying, when) or when - self.now() < 5 and flying:
            return False
        self.reach(when)
        return True

    def reach(self, when):
        jump = int(when - self.now()) + 1
        self.offset += jump
        self.server.advance(jump)
        while self.healing and self.healing[0][0] < self.now():
            self.dns.front.rules.pop(self.healing.pop(0)[1] + ".", None)

    def is_bound(self, flying, when):
        """Somebody in a session could be due before WHEN, or soon after, or is not yet kept waiting."""
        young = self.loop.time() - SETTLED
        return any(actor.began > young or actor.soonest() - SESSION < when for actor in flying.values())

    async def one(self, actor):
        actor.time = max(actor.time, 0)
        attempt = actor.attempt()
        actor.attempts.append(attempt)
        await Session(self.server.port, attempt).play()
        return actor.after(attempt, self.now())
