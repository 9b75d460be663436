"""50 MB go in, wait, and go out to a mailbox and to another server, and no role ever holds them in memory."""
import watched
from genkan import Client, Genkan, wait_for

SIZE = 50_000_000
MOST = 12 << 20  # octets that a role may need for it: pieces, and what the sockets hold
FRONT = """
gate { }
limit size 100M
relay {
	from { 127.0.0.0/8 }
	route "*" to "[127.0.0.1]:%d"
}
domain "example.org" {
	users { "alice" }
	deliver maildir "$mail/%%{user}"
}
"""
BEHIND = """
gate { }
limit size 100M
domain "behind.example" {
	users { "bob" }
	deliver maildir "$mail/%{user}"
}
"""


def peak(pid):
    """The most it ever had, in octets; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 0


def peaks(mx):
    return {name: peak(pid) for name, pid in mx.pids().items()}


@watched.by_any
def test_fifty_megabytes(place):
    line = b"0123456789" * 7 + b"12345678\r\n"
    with Genkan(place / "behind", BEHIND, host="mx.behind.example") as behind, \
            Genkan(place / "front", FRONT % behind.port) as front:
        before = {mx: peaks(mx) for mx in (front, behind)}
        with Client(front.port) as c:
            assert c.say("EHLO client.example").code == 250
            assert c.say(f"MAIL FROM:<a@b.example> SIZE={SIZE}").code == 250
            assert c.say("RCPT TO:<alice@example.org>").code == 250
            assert c.say("RCPT TO:<bob@behind.example>").code == 250
            assert c.say("DATA").code == 354
            c.send(b"Subject: large\r\n\r\n")
            for _ in range(SIZE // len(line) // 1000):
                c.send(line * 1000)
            c.send(b"the end\r\n.\r\n")
            assert c.reply().code == 250
        during = dict.fromkeys(before, {})

        def arrived():
            for mx in before:
                during[mx] = {**during[mx], **{k: max(v, during[mx].get(k, 0)) for k, v in peaks(mx).items()}}
            return list((behind.mail / "bob" / "new").glob("*")) and list((front.mail / "alice" / "new").glob("*"))
        wait_for(arrived, "both deliveries: " + front.log_text()[-2000:], 120)
        front.await_empty_queue()
        for path in [*(behind.mail / "bob" / "new").iterdir(), *(front.mail / "alice" / "new").iterdir()]:
            assert path.stat().st_size > SIZE * 79 // 80 - 1_000_000
            with open(path, "rb") as f:
                f.seek(-8, 2)
                assert f.read() == b"the end\n"
        for mx, known in during.items():
            for name, octets in known.items():
                if name.rstrip("0123456789") == "local":
                    base = max(before[mx].values())
                else:
                    base = before[mx].get(name, 0)
                assert octets - base < MOST, f"{name} of {mx.host} took {(octets - base) >> 20} MiB"
