"""A DNS server for the zone data of the SPF test suite (corpora/spf/README.md), over UDP on loopback.

    with SpfZone(scenario["zonedata"]) as zone:
        ... resolver 127.0.0.1 port {zone.port} ...
        zone.seen                            # [("example.org", "TXT"), ...] as they came

It answers as an authoritative server for everything and can do what a real one cannot: be silent about one type of one name,
have names with spaces, and the same record twice.  A bare SERVFAIL is our own addition.
"""
import socket
import struct
import threading

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.PTR
import dns.rdtypes.ANY.TXT
import dns.rrset

SILENT = object()
BROKEN = object()
TTL = 60
CHUNK = 255


def wire_name(text):
    """A name as it stands in the suite: dots divide labels, nothing is an escape.  None when DNS cannot hold it."""
    labels = [label.encode("latin-1") for label in text.rstrip(".").split(".")] if text.rstrip(".") else []
    try:
        return dns.name.Name(labels + [b""])
    except (dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel):
        return None


def strings(value):
    """The character-strings of a TXT record."""
    found = []
    for text in [value] if isinstance(value, str) else value:
        octets = text.encode("latin-1")
        found += [octets[i:i + CHUNK] for i in range(0, len(octets), CHUNK)] or [b""]
    return found or [b""]


def rdata(kind, value):
    cls, rdtype = dns.rdataclass.IN, dns.rdatatype.from_text(kind)
    if kind == "TXT":
        return dns.rdtypes.ANY.TXT.TXT(cls, rdtype, strings(value))
    if kind == "MX":
        return dns.rdtypes.ANY.MX.MX(cls, rdtype, value[0], wire_name(value[1]))
    if kind == "PTR":
        return dns.rdtypes.ANY.PTR.PTR(cls, rdtype, wire_name(value))
    if kind == "CNAME":
        return dns.rdtypes.ANY.CNAME.CNAME(cls, rdtype, wire_name(value))
    return dns.rdata.from_text(cls, rdtype, value)


def read_name(records):
    """{type: SILENT or [rdata, ...]} of one name; "*" says what holds for types that are not given."""
    found, texts, has_txt = {}, [], False
    for record in records:
        if record == "TIMEOUT":
            found["*"] = SILENT
            continue
        if record == "SERVFAIL":
            found["*"] = BROKEN
            continue
        (kind, value), = record.items()
        if value == "TIMEOUT":
            found[kind] = SILENT
        elif kind == "SPF":
            texts.append(rdata("TXT", value))
        elif kind == "TXT":
            has_txt = True
            if value != "NONE":
                found.setdefault("TXT", []).append(rdata("TXT", value))
        else:
            found.setdefault(kind, []).append(rdata(kind, value))
    if texts and not has_txt:
        found["TXT"] = texts
    return found


class SpfZone:
    def __init__(self, zonedata, address="127.0.0.1"):
        self.names = {}
        for text, records in zonedata.items():
            name = wire_name(text)
            if name is not None:
                self.names[name.canonicalize()] = read_name(records)
        self.address = address
        self.seen = []

    def __enter__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.address, 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        # an empty packet to ourselves is the end
        self.socket.sendto(b"", (self.address, self.port))
        self.thread.join()
        self.socket.close()

    def run(self):
        while True:
            packet, client = self.socket.recvfrom(4096)
            if not packet:
                return
            answer = self.answer(packet)
            if answer is not None:
                self.socket.sendto(answer, client)

    def answer(self, packet):
        question = dns.message.from_wire(packet)
        name, kind = question.question[0].name, dns.rdatatype.to_text(question.question[0].rdtype)
        self.seen.append((name.to_text(omit_final_dot=True).lower(), kind))
        known = self.names.get(name.canonicalize())
        if known is None and name.labels[0].lower() == b"error":
            return None
        response = dns.message.make_response(question, recursion_available=True)
        response.flags |= dns.flags.AA
        records = []
        if known is None and len(name.labels) > 1:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif known is not None:
            records = known.get(kind, known.get("*", known.get("CNAME", [])))
        if records is SILENT:
            return None
        if records is BROKEN:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response.to_wire()
        if not records:
            soa = "ns. root. 1 3600 600 86400 60"
            response.authority.append(dns.rrset.from_text(dns.name.root, TTL, "IN", "SOA", soa))
        return self.with_records(response.to_wire(), name, records)

    @staticmethod
    def with_records(packet, name, records):
        """The answer section is written by hand: a message object would keep one of two equal records."""
        question_end = 12 + len(name.to_wire()) + 4
        section = b""
        for record in records:
            data = record.to_wire()
            section += b"\xc0\x0c" + struct.pack("!HHIH", record.rdtype, record.rdclass, TTL, len(data)) + data
        counts = packet[:6] + struct.pack("!H", len(records)) + packet[8:12]
        return counts + packet[12:question_end] + section + packet[question_end:]
