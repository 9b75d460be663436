#!/usr/bin/python3
"""regress/bench/reject.py [N]: CPU of a refused session and of a greylist decision, beside Postfix with postscreen and postgrey.

Three ways to say no, N sessions each from as many networks of 127/8, both servers in turn in the same run:
    refused   a listed network: 5xx at RCPT                       Postfix: smtpd, check_client_access
    early     the client talks in a pause of one second           Postfix: postscreen, pregreet drop
    greylist  a new triplet: 450 at RCPT                          Postfix: smtpd, postgrey
Microseconds are user and system time of all processes of a server, with those that ended.  No DNS on either side.
Root, for the peer's namespaces; Debian's packages are unpacked once, not installed.
"""
import asyncio
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from genkan import Genkan, free_port, remove_tree  # noqa: E402
from peers import Postfix  # noqa: E402

AT_ONCE = 50
GENKAN = """
limit connections off
limit connections-per-address off
limit connections-per-network off
relay { from { 127.0.0.1 } }
domain "example.org" {
	users { "alice" }
	deliver maildir "$mail/%%{user}"
}
gate { %s }
"""
RULES = {
    "refused": 'reject when client in { 127.0.0.0/8 }',
    "early": 'pause 1s\n reject at greeting when early-talker\n',
    "greylist": 'greylist by network delay 5m',
}


class Peer(Postfix):
    """Postfix with one of the three ways."""
    name = "postgrey"
    packages = ("postfix", "postgrey", "libberkeleydb-perl", "libnet-server-perl", "libio-multiplex-perl", "libnetaddr-ip-perl")
    accounts = ("postfix", "postdrop", "postgrey")

    def __init__(self, directory, way):
        self.way, self.policy = way, free_port()
        super().__init__(directory, free_port(), route="[127.0.0.1]:9", domain="example.org", users=["alice"])

    def configure(self):
        super().configure()
        restrictions = {"refused": "check_client_access cidr:/etc/postfix/refused, permit",
                        "greylist": f"reject_unauth_destination, check_policy_service inet:127.0.0.1:{self.policy}"}
        main = self.work / "etc/postfix/main.cf"
        main.write_text(main.read_text().replace("mynetworks = 127.0.0.0/8", "mynetworks = 127.0.0.1/32") + f"""
smtpd_recipient_restrictions = permit_mynetworks, {restrictions.get(self.way, "permit")}
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
postscreen_greet_action = drop
postscreen_greet_wait = 1s
postscreen_pre_queue_limit = 5000
postscreen_post_queue_limit = 5000
postscreen_cache_map =
postscreen_access_list =
""")
        self.write("etc/postfix/refused", "127.0.0.0/8 REJECT not here\n")
        if self.way == "early":
            master = self.work / "etc/postfix/master.cf"
            master.write_text(master.read_text().replace("inet n - n - - smtpd", "inet n - n - 1 postscreen")
                              + "smtpd pass - - n - - smtpd\ndnsblog unix - - n - 0 dnsblog\ntlsproxy unix - - n - 0 tlsproxy\n")
        if self.way == "greylist":
            database = self.work / "var/lib/postgrey"
            database.mkdir()
            os.chown(database, self.uid("postgrey"), self.uid("postgrey"))
            start = f"/usr/sbin/postgrey --inet=127.0.0.1:{self.policy} & exec {' '.join(Postfix.daemon)}"
            self.daemon = ("/bin/sh", "-c", start)

    def cpu_us(self):
        return sum(cpu_us(pid) for pid in processes() if session_of(pid) == self.process.pid)


class Ours(Genkan):
    def __init__(self, directory, way):
        super().__init__(pathlib.Path(directory) / "genkan", GENKAN % RULES[way])

    def cpu_us(self):
        return sum(map(cpu_us, {self.process.pid, *self.pids().values()}))


def processes():
    return [int(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit()]


def stat(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return ["0"] * 20


def session_of(pid):
    return int(stat(pid)[3])


def cpu_us(pid):
    """With those of its children that ended."""
    return sum(map(int, stat(pid)[11:15])) * 1_000_000 // os.sysconf("SC_CLK_TCK")


async def session(port, i, way, codes):
    source = f"127.{1 + i // 250 // 250}.{i // 250 % 250 + 1}.{i % 250 + 1}" if way != "greylist" \
        else f"127.{1 + i // 62500}.{i // 250 % 250 + 1}.{i % 250 + 1}"
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    lines = ("EHLO client.example", f"MAIL FROM:<s{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}@sender.example>",
             "RCPT TO:<alice@example.org>", "QUIT")
    last = b""
    try:
        if way == "early":
            writer.write((lines[0] + "\r\n").encode())
            while line := await reader.readline():
                last = line
                if line[:3] != b"220":
                    break
        else:
            await reader.readline()
            for line in lines:
                writer.write((line + "\r\n").encode())
                while True:
                    reply = await reader.readline()
                    if reply[3:4] != b"-":
                        break
                last = reply if line.startswith("RCPT") else last
    except ConnectionError:
        pass
    finally:
        writer.close()
    codes[last[:3].decode()] = codes.get(last[:3].decode(), 0) + 1


async def load(port, n, way):
    """Seconds, and what was answered."""
    codes, numbers = {}, iter(range(n))

    async def worker():
        for i in numbers:
            await session(port, i, way, codes)
    began = time.monotonic()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE * (8 if way == "early" else 1))))
    return time.monotonic() - began, codes


def measure(server, n, way):
    with server:
        asyncio.run(load(server.port, 50, way))     # processes are there, files are open
        before = server.cpu_us()
        seconds, codes = asyncio.run(load(server.port, n, way))
        return (server.cpu_us() - before) / n, n / seconds, codes


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    print(f"{n} sessions each\n\n| way | Genkan us | Postfix us | ratio | Genkan /s | Postfix /s | answers |\n|---|---|---|---|---|---|---|")
    for way in RULES:
        figures = {}
        for kind in (Ours, Peer):
            directory = pathlib.Path(tempfile.mkdtemp(prefix="genkan-reject-"))
            directory.chmod(0o755)
            try:
                figures[kind] = measure(kind(directory, way), n, way)
            finally:
                remove_tree(directory)
        (us, rate, codes), (their_us, their_rate, their_codes) = figures[Ours], figures[Peer]
        print(f"| {way} | {us:.0f} | {their_us:.0f} | {their_us / max(us, 1):.1f} | {rate:.0f} | {their_rate:.0f} | "
              f"{codes} {their_codes} |", flush=True)


if __name__ == "__main__":
    main()
