#!/usr/bin/python3
"""regress/bench/reject.py [N]: what a refused session and a greylist decision cost, beside Postfix with postscreen and postgrey.

Three ways to say no, N sessions each from as many networks of 127/8, the servers in turn in the same run:
    refused   a listed network: 5xx at RCPT                       Postfix: smtpd, check_client_access; OpenSMTPD: filter
    early     the client talks in a pause of one second           Postfix: postscreen, pregreet drop
    greylist  a new triplet: 450 at RCPT                          Postfix: smtpd, postgrey
Microseconds are user and system time of all processes of a server, with those that ended, to a hundredth of a second each:
take N large.  Sessions a second share the machine with the callers (callers.c).  OpenSMTPD listens with a backlog of 5, so four
call it at once; its answers wait for acknowledgements all the same, so it is asked less often.  No DNS on any side.
`BENCH=reject make bench`.  Root, for the peers' namespaces; Debian's packages are unpacked once, not installed.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from genkan import BUILD, Genkan, free_port, remove_tree  # noqa: E402
from peers import OpenSMTPD, Postfix  # noqa: E402

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


class PostfixDoor(Postfix):
    """With one of the three ways."""
    enough = 1_000_000
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
        return of_session(self.process.pid)


class OpenSMTPDDoor(OpenSMTPD):
    """Refuses by address, where it can ask: at RCPT."""
    enough = 500

    def __init__(self, directory, _way):
        super().__init__(directory, free_port(), route="[127.0.0.1]:9", domain="example.org", users=["alice"])

    def configure(self):
        super().configure()
        conf = self.work / "etc/smtpd.conf"
        text = conf.read_text().replace("hostname mx.example.org", 'filter "door" hostname mx.example.org')
        conf.write_text('table listed { 127.0.0.0/8 }\n'
                        'filter "door" phase rcpt-to match src <listed> reject "550 not here"\n' + text)

    def cpu_us(self):
        return of_session(self.process.pid)


class Ours(Genkan):
    enough = 1_000_000

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


def of_session(leader):
    return sum(cpu_us(pid) for pid in processes() if int(stat(pid)[3]) == leader)


def cpu_us(pid):
    """With those of its children that ended."""
    return sum(map(int, stat(pid)[11:15])) * 1_000_000 // os.sysconf("SC_CLK_TCK")


def load(port, n, at_once, way):
    """Seconds, and what was answered how often."""
    words = subprocess.run([BUILD / "bench/callers", str(port), str(n), str(at_once), "early" if way == "early" else "polite"],
                           stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return float(words[0]), " ".join(words[1:])


def measure(server, n, at_once, way):
    with server:
        load(server.port, 50, min(at_once, 50), way)     # processes are there, files are open
        before = server.cpu_us()
        seconds, answers = load(server.port, n, at_once, way)
        return (server.cpu_us() - before) / n, n / seconds, answers


ROWS = (("refused", 50, (Ours, PostfixDoor)), ("refused", 4, (Ours, PostfixDoor, OpenSMTPDDoor)),
        ("early", 1000, (Ours, PostfixDoor)), ("greylist", 50, (Ours, PostfixDoor)))


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    print(f"{n} sessions each\n\n| way | at once | server | CPU us | times ours | sessions/s | ours | answers |\n" + "|---" * 8 + "|")
    for way, at_once, kinds in ROWS:
        for kind in kinds:
            directory = pathlib.Path(tempfile.mkdtemp(prefix="genkan-reject-"))
            directory.chmod(0o755)
            try:
                us, rate, answers = measure(kind(directory, way), min(n, kind.enough), at_once, way)
            finally:
                remove_tree(directory)
            if kind is Ours:
                our_us, our_rate = us, rate
            print(f"| {way} | {at_once} | {kind.__name__.removesuffix('Door')} | {us:.0f} | {us / our_us:.1f} | {rate:.0f} | "
                  f"{our_rate / rate:.1f} times | {answers} |", flush=True)


if __name__ == "__main__":
    main()
