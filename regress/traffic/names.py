"""The names of the traffic: of home lines, of hosts that sent spam, and of mail servers, with addresses that fit them.

They are read where $CORPORA/s25r lies (../shared/corpora beside the checkout); a checkout by itself has the few below, of
the same shapes.  A name that spells an address gets that address, in both classes alike, for a gate may ask whether it
does; all others get one by lot.  Nothing is ever sent to these addresses: they come by XCLIENT.
"""
import os
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPORA = pathlib.Path(os.environ.get("CORPORA", ROOT.parent / "shared" / "corpora"))

OWN = {
    "dynamic": ["ppp{n}.tokyo.access.example", "{a}-{b}-{c}-{d}.dsl.isp.example", "host{a}x{b}.pool{c}.cable.example",
                "c-{a}-{b}-{c}-{d}.client.net.example", "adsl{n}.line.example", "catv-{c}-{d}.city.example"],
    "spam": ["mail.offers{n}.example", "server{n}.hosting.example", "{a}-{b}-{c}-{d}.rev.vps.example", "www.shop{n}.example"],
    "legit": ["mail.club{n}.example", "mx{n}.society.example", "mail-a{n}-f{n}.cloud.example", "smtp.u{n}.ac.example",
              "lists.guild{n}.example", "relay.firm{n}.example", "mx.paper{n}.example", "out.school{n}.example"],
}
OWN_EACH = 40


def corpus(file):
    path = CORPORA / "s25r" / file
    if not path.is_file():
        return None
    return [line.split("\t")[0] for line in path.read_text().splitlines() if line and not line.startswith("#")]


def own(kind, rng):
    return [shape.format(n=i, a=rng.randrange(60, 90), b=rng.randrange(256), c=rng.randrange(256), d=rng.randrange(1, 255))
            for i in range(1, OWN_EACH) for shape in OWN[kind]]


def load(rng):
    """{"dynamic": [...], "spam": [...], "legit": [...]} and where they come from, for the report."""
    found = {kind: corpus(file) for kind, file in
             (("dynamic", "dynamic.txt"), ("spam", "spam-sources.txt"), ("legit", "legit.txt"))}
    if all(found.values()):
        return {kind: sorted({n.lower() for n in names}) for kind, names in found.items()}, str(CORPORA / "s25r")
    return {kind: own(kind, rng) for kind in OWN}, \
        f"the built-in few, because {CORPORA / 's25r'} is absent (set CORPORA)"


def schedules():
    """{provider: (hosts, [seconds after the first attempt])}"""
    path = CORPORA / "s25r" / "provider-retry-schedules.tsv"
    found = {}
    lines = path.read_text().splitlines() if path.is_file() else []
    for line in lines:
        if line.startswith("#") or not line:
            continue
        provider, _, hosts, _, _, delays = line.split("\t")
        times, words = [], delays.split()
        for i, word in enumerate(words):
            every = re.match(r"then-every-(\d+):(\d+)", word)
            if every:
                step, end = seconds(every[1], every[2]), seconds(*words[i + 1].split(":"))
                while times[-1] + step < end:
                    times.append(times[-1] + step)
            else:
                times.append(seconds(*word.split(":")))
        found[provider] = (int(hosts), times)
    return found


def seconds(minutes, rest):
    return int(minutes) * 60 + int(rest)


class Addresses:
    """Hands out addresses, each once."""

    def __init__(self, rng):
        self.rng = rng
        self.taken = set()

    def fresh(self, template=(None,) * 4):
        """Some octets given, the others by lot."""
        while True:
            first = self.rng.choice([n for n in range(12, 200) if n not in (100, 127, 169, 172, 192, 198)])
            octets = [first, *(self.rng.randrange(1, 255) for _ in range(3))]
            octets = [own if given is None else given for own, given in zip(octets, template)]
            address = ".".join(map(str, octets))
            if address not in self.taken:
                self.taken.add(address)
                return address
            if None not in template:
                template = (None,) * 4

    def network(self):
        """Three octets."""
        return tuple(map(int, self.fresh().split(".")[:3])) + (None,)

    def of_name(self, name, line=False):
        return self.fresh(spelt(name, line or bool(re.match(r"a\d+-\d+\.smtp-out\.", name))))


def spelt(name, pairs):
    """The octets that NAME spells, or None for each that it does not.  Two numbers alone are the last octets in the names of
    lines (PAIRS); a mail server's are counted, but for Amazon's."""
    digits = re.search(r"(?<!\d)(\d{3})(\d{3})(\d{3})(\d{3})(?!\d)", name)
    groups = [digits.groups()] if digits else []
    groups += re.findall(r"(?<!\d)(\d{1,3})[-.x_](\d{1,3})[-.x_](\d{1,3})[-.x_](\d{1,3})(?!\d)", name)
    for group in groups:
        octets = tuple(map(int, group))
        if max(octets) < 256 and 0 < octets[0] < 224:
            return octets
    hexed = re.search(r"(?<![0-9a-f])(?:0x)?([0-9a-f]{8})(?![0-9a-f])", name.split(".")[0])
    if hexed and re.search(r"\d", hexed[1]):
        octets = tuple(bytes.fromhex(hexed[1]))
        if 0 < octets[0] < 224:
            return octets
    pair = re.search(r"(?<!\d)(\d{1,3})[-.x](\d{1,3})(?!\d)", name)
    if pairs and pair and max(map(int, pair.groups())) < 256:
        return (None, None, *map(int, pair.groups()))
    return (None,) * 4
