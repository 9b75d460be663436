"""A real DNS server for tests and the demo: Debian's nsd on loopback.

    with DnsServer(tmp_path, ["mail.example.org A 127.0.0.5",
                              "5.0.0.127.in-addr.arpa PTR mail.example.org"]) as dns:
        dns.host("relay.example.org", "127.0.0.6")          # address and PTR, either family
        dns.add("example.org MX 10 mail.example.org", 'example.org TXT "v=spf1 -all"')
        dns.reload()                                        # visible when this returns
        write_conf(f"resolver 127.0.0.1 port {dns.port}\n")

Records are "NAME TYPE DATA" or "NAME TTL TYPE DATA"; names are absolute, with or without a last dot, also those in the
data of A AAAA PTR MX NS CNAME DNAME SRV; TXT is written as in a zone file.  The server is authoritative for the root, so every
name that was not given is NXDOMAIN at once, and nothing leaves this host.  TTLs are short (default 1 second), of denials too.

With front=True a small proxy stands before it, and names can be made to misbehave at any moment:

        dns.servfail("broken.example.org")                  # that name and all below it
        dns.silent("slow.example.org")                      # no answer ever; "." silences everything
        dns.delay("late.example.org", 1.5)                  # seconds
        dns.heal()                                          # all behave again
        dns.seen                                            # [("mail.example.org", "A"), ...] as they came

With signed=True the root is signed by a key of its own, whose file dns.anchor is for `resolver ... anchor "FILE"`; names in
UNSIGNED, and all below them, are zones without DNSSEC.  forge() makes the signature of one name's records wrong:

        DnsServer(tmp_path, records, signed=True, unsigned=["plain.example"])
        dns.forge("_25._tcp.mx.example.org", "TLSA")        # visible after reload()

stop() ends it (so does leaving the with block); start() after stop() takes the same port again, for tests of an outage.
"""
import heapq
import pathlib
import re
import selectors
import signal
import socket
import struct
import subprocess
import threading
import time

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.reversename

NSD = "/usr/sbin/nsd"
NAMES_IN_DATA = {"PTR", "MX", "NS", "CNAME", "DNAME", "SRV"}
START_SECONDS = 10

CONF = """\
server:
    ip-address: {address}@{port}
    server-count: 1
    tcp-count: 100
    username: ""
    chroot: ""
    database: ""
    zonesdir: "{dir}"
    pidfile: "{dir}/nsd.pid"
    xfrdfile: "{dir}/xfrd.state"
    xfrdir: "{dir}"
    zonelistfile: "{dir}/zone.list"
    logfile: "{dir}/nsd.log"
    # all questions of a test come from one address
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: "."
    zonefile: "{root}"
"""
ZONE = """\
zone:
    name: "{name}"
    zonefile: "{name}zone"
"""


def free_port(address="127.0.0.1"):
    """A port that is free for UDP and TCP just now."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind((address, 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return tcp.getsockname()[1]


def absolute(name):
    return name if name.endswith(".") else name + "."


def zone_line(record, ttl):
    """One line of a zone file from "NAME [TTL] TYPE DATA"."""
    name, rest = record.split(None, 1)
    first, after = rest.split(None, 1)
    if first.isdigit():
        ttl, rest = first, after
    kind, data = rest.split(None, 1)
    if kind.upper() in NAMES_IN_DATA:
        words = data.split()
        data = " ".join(words[:-1] + [absolute(words[-1])])
    return f"{absolute(name)} {ttl} IN {kind} {data}\n"


class DnsServer:
    def __init__(self, directory, records=(), *, port=None, front=False, ttl=1, address="127.0.0.1", signed=False,
                 unsigned=()):
        self.directory = pathlib.Path(directory)
        self.address = address
        self.port = port or free_port(address)
        self.ttl = ttl
        self.records = list(records)
        self.serial = int(time.time())
        self.signed = signed
        self.unsigned = [absolute(name) for name in unsigned]
        self.forged = []
        self.key = None
        self.process = None
        self.nsd_port = free_port(address) if front else self.port
        self.front = Front(address, self.port, self.nsd_port) if front else None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    # what it knows

    def add(self, *records):
        self.records.extend(records)

    def remove(self, name, kind=None):
        """Forgets the records of NAME, all or those of one type."""
        def wanted(record):
            words = record.split()
            its_kind = words[2] if words[1].isdigit() else words[1]
            return absolute(words[0]) != absolute(name) or (kind is not None and its_kind != kind)
        self.records = [r for r in self.records if wanted(r)]

    def host(self, name, ip):
        """An honest host: NAME has the address IP, and IP leads back to NAME."""
        self.add(f"{name} {'AAAA' if ':' in ip else 'A'} {ip}")
        self.ptr(ip, name)

    def ptr(self, ip, name):
        self.add(f"{dns.reversename.from_address(ip)} PTR {name}")

    def forge(self, name, kind):
        self.forged.append((absolute(name), kind))

    def zone_of(self, record):
        """The zone in which it stands: "." or one of UNSIGNED."""
        name = absolute(record.split()[0]).lower()
        return next((z for z in self.unsigned if name == z or name.endswith("." + z)), ".")

    def write_zone(self):
        self.serial += 1
        for zone in [*self.unsigned, "."]:
            soa = f"{zone} {self.ttl} IN SOA ns. root. {self.serial} 3600 600 86400 {self.ttl}\n"
            lines = [soa, f"{zone} {self.ttl} IN NS ns.\n"]
            if zone == ".":
                lines += [f"ns. {self.ttl} IN A {self.address}\n"]
                lines += [f"{z} {self.ttl} IN NS ns.\n" for z in self.unsigned]
            lines += [zone_line(record, self.ttl) for record in self.records if self.zone_of(record) == zone]
            file = "root.zone" if zone == "." else f"{zone}zone"
            new = self.directory / (file + ".new")
            new.write_text("".join(lines))
            new.rename(self.directory / file)
        if self.signed:
            self.sign()
        self.log_read = len(self.log())

    def sign(self):
        """root.zone becomes root.zone.signed, by ldns."""
        def ldns(*words):
            return subprocess.run(words, cwd=self.directory, check=True, capture_output=True, text=True).stdout.strip()
        if not self.key:
            self.key = ldns("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", ".")
            self.anchor = self.directory / "anchor"
            self.anchor.write_text((self.directory / (self.key + ".key")).read_text())
        ldns("ldns-signzone", "-o", ".", "-f", "root.zone.half", "root.zone", self.key)
        half = self.directory / "root.zone.half"
        text = half.read_text()
        for name, kind in self.forged:
            signature = re.compile(rf"^({re.escape(name)}\s.*\sRRSIG\s+{kind}\s.*\s)(\S{{10}})(\S+==)", re.M)
            text, count = signature.subn(lambda m: m[1] + m[2].swapcase() + m[3], text)
            assert count == 1, f"no signature of {name} {kind}:\n{text}"
        half.write_text(text)
        half.rename(self.directory / "root.zone.signed")

    # its life

    def start(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        conf = self.directory / "nsd.conf"
        conf.write_text(CONF.format(address=self.address, port=self.nsd_port, dir=self.directory.resolve(),
                                    root="root.zone.signed" if self.signed else "root.zone") +
                        "".join(ZONE.format(name=zone) for zone in self.unsigned))
        self.write_zone()
        # it ends with us, however we end
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", NSD, "-d", "-c", str(conf)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.wait_for_serial()
            if self.front:
                self.front.start()
        except BaseException:
            self.stop()
            raise

    def reload(self):
        """What was added or removed is answered when this returns."""
        self.write_zone()
        self.process.send_signal(signal.SIGHUP)
        self.wait_for_serial()

    def stop(self):
        if self.front:
            self.front.stop()
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def wait_for_serial(self):
        question = dns.message.make_query(".", "SOA")
        until = time.monotonic() + START_SECONDS
        right = 0  # the process before a reload goes on answering for a moment, beside its successor
        while time.monotonic() < until and not self.zone_refused():
            if self.process.poll() is not None:
                break
            try:
                answer = dns.query.udp(question, self.address, port=self.nsd_port, timeout=0.1)
            except (OSError, dns.exception.DNSException):
                self.nap(0.01)
                continue
            right = right + 1 if answer.answer and answer.answer[0][0].serial == self.serial else 0
            if right == 5:
                return
            self.nap(0.01)
        raise RuntimeError("nsd does not answer as it should:\n" + self.log())

    def log(self):
        log = self.directory / "nsd.log"
        return log.read_text() if log.exists() else ""

    def zone_refused(self):
        return f"zone . file root.zone{'.signed' if self.signed else ''} read with" in self.log()[self.log_read:]

    def nap(self, seconds):
        """Between two looks at a server that has no way to call us."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass

    # misbehaviour, with front=True

    def servfail(self, name):
        self.front.rules[absolute(name).lower()] = ("servfail", 0)

    def silent(self, name):
        self.front.rules[absolute(name).lower()] = ("silent", 0)

    def delay(self, name, seconds):
        self.front.rules[absolute(name).lower()] = ("delay", seconds)

    def heal(self):
        self.front.rules.clear()

    @property
    def seen(self):
        return self.front.seen


class Front:
    """A UDP proxy in a thread; TCP is passed on as it is, one connection after the other."""

    def __init__(self, address, port, behind):
        self.here = (address, port)
        self.behind = (address, behind)
        self.rules = {}
        self.seen = []
        self.thread = None

    def start(self):
        self.selector = selectors.DefaultSelector()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(self.here)
        self.up = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.up.connect(self.behind)
        self.tcp = socket.create_server(self.here)
        self.wake, self.woken = socket.socketpair()
        for readable, handler in ((self.udp, self.question), (self.up, self.answer), (self.tcp, self.stream)):
            readable.setblocking(False)
            self.selector.register(readable, selectors.EVENT_READ, handler)
        self.selector.register(self.woken, selectors.EVENT_READ, None)
        self.next_id = 0
        self.asked = {}
        self.later = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def stop(self):
        if self.thread is None:
            return
        self.wake.send(b"x")
        self.thread.join()
        self.thread = None
        self.selector.close()
        for s in (self.udp, self.up, self.tcp, self.wake, self.woken):
            s.close()

    def run(self):
        while True:
            timeout = max(0, self.later[0][0] - time.monotonic()) if self.later else None
            for key, _ in self.selector.select(timeout):
                if key.data is None:
                    return
                try:
                    key.data()
                except (OSError, dns.exception.DNSException):
                    continue
            while self.later and self.later[0][0] <= time.monotonic():
                _, _, packet, client = heapq.heappop(self.later)
                self.forward(packet, client)

    def rule_for(self, name):
        labels = name.lower().rstrip(".").split(".")
        for i in range(len(labels)):
            rule = self.rules.get(".".join(labels[i:]) + ".")
            if rule:
                return rule
        return self.rules.get(".", ("pass", 0))

    def question(self):
        packet, client = self.udp.recvfrom(4096)
        message = dns.message.from_wire(packet)
        name = message.question[0].name.to_text()
        kind = dns.rdatatype.to_text(message.question[0].rdtype)
        self.seen.append((name.rstrip(".").lower() or ".", kind))
        what, seconds = self.rule_for(name)
        if what == "servfail":
            answer = dns.message.make_response(message)
            answer.set_rcode(dns.rcode.SERVFAIL)
            self.udp.sendto(answer.to_wire(), client)
        elif what == "delay":
            heapq.heappush(self.later, (time.monotonic() + seconds, len(self.seen), packet, client))
        elif what == "pass":
            self.forward(packet, client)

    def forward(self, packet, client):
        self.next_id = (self.next_id + 1) % 65536
        self.asked[self.next_id] = (client, packet[:2])
        self.up.send(struct.pack("!H", self.next_id) + packet[2:])

    def answer(self):
        packet = self.up.recv(65535)
        client, its_id = self.asked.pop(struct.unpack("!H", packet[:2])[0], (None, None))
        if client:
            self.udp.sendto(its_id + packet[2:], client)

    def stream(self):
        """Long answers; nsd answers at once, so the wait is short."""
        client, _ = self.tcp.accept()
        with client, socket.create_connection(self.behind, timeout=2) as up:
            client.settimeout(2)
            for source, target in ((client, up), (up, client)):
                head = source.recv(2, socket.MSG_WAITALL)
                if len(head) < 2:
                    return
                target.sendall(head + source.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL))
