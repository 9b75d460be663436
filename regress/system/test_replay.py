"""smtpctl gate replay: old logs of six kinds of mail servers, judged by a gate that is not in use yet."""
import gzip
import json
import subprocess

import pytest

from genkan import Genkan, own

GATE = """
table white { "friend.example" }
gate {
	trust when client in <white>
	pause 20s when s25r or not rdns pass
	reject when early-talker
	reject "no" when helo in { "mx.example.org" }
	tempfail "slow" when rate > 20 per 1h
	reject when dnsbl "zen.example.net"
	greylist when (s25r or not rdns pass) and not known-correspondent
	observe reject when sender in { "bulk.example" }
}
relay {
	from { 127.0.0.1, 10.0.0.0/8 }
	route "*" to "[127.0.0.1]:9"
}
domain "example.org" {
	users { "alice", "bob" }
	deliver maildir "$mail/%{user}"
}
"""


def at(minute, second=0):
    return f"Jul 24 {10 + minute // 60:02}:{minute % 60:02}:{second:02} mx "


def postfix_mail(minute, client, sender, to, key):
    return [at(minute) + f"postfix/smtpd[1]: {key}: client={client}",
            at(minute) + f"postfix/qmgr[2]: {key}: from=<{sender}>, size=1, nrcpt=1 (queue active)",
            at(minute, 1) + f"postfix/local[3]: {key}: to=<{to}>, relay=local, delay=0.1, dsn=2.0.0, status=sent (ok)",
            at(minute, 1) + f"postfix/qmgr[2]: {key}: removed"]


def postfix_refusal(minute, client, sender, to, code=450, helo="h"):
    return [at(minute) + f"postfix/smtpd[1]: NOQUEUE: reject: RCPT from {client}: {code} 4.7.1 no; "
            f"from=<{sender}> to=<{to}> proto=ESMTP helo=<{helo}>"]


SERVER = "mail.server.example[192.0.2.1]"
POOL = "mail-a1-b2.pool.example[192.0.2.8]"
HOME = "ppp7.access.example[192.0.2.9]"
NOBODY = "unknown[192.0.2.66]"


class Replay:
    def __init__(self, records):
        self.records = records

    def part(self, name):
        return [r for r in self.records if r["part"] == name]

    def one(self, name):
        return self.part(name)[0]

    def rule(self, words):
        return next(r for r in self.part("rule") if words in r["text"])


@pytest.fixture
def mx(place, dns):
    return Genkan(place / "x", GATE, dns=dns)


def write(mx, lines, name="mail.log"):
    path = mx.dir / name
    path.write_text("\n".join(lines) + "\n")
    own(path)
    return path


def replay(mx, *words, lines=None):
    if lines is not None:
        words = (*words, write(mx, lines))
    return Replay(mx.ctl("gate", "replay", *words))


def test_accepted_and_refused(mx):
    r = replay(mx, lines=[
        *postfix_mail(0, SERVER, "a@server.example", "alice@example.org", "A1"),
        *postfix_refusal(1, NOBODY, "s@spam.example", "alice@example.org"),
        *postfix_mail(2, POOL, "p@pool.example", "alice@example.org", "A2"),
        *postfix_refusal(3, SERVER, "x@spam.example", "alice@example.org", 554),
    ])
    assert r.one("file")["format"] == "Postfix"
    assert r.one("accepted") == {"part": "accepted", "recipients": 2, "let_in": 1, "greylisted": 1, "put_off": 0,
                                 "refused": 0}
    assert r.one("refused") == {"part": "refused", "recipients": 2, "let_in": 1, "greylisted": 1, "put_off": 0,
                                "refused": 0}
    assert r.rule("greylist")["of_accepted"] == 1 and r.rule("greylist")["of_refused"] == 1
    assert r.rule("pause")["made_wait"] == 2
    caller = r.one("caller")
    assert caller["identity"] == "name:pool.example" and caller["greylisted"] == 1
    assert r.one("waits")["unknown"] == 1 and r.one("waits")["unknown_at_least"] == 120


def test_retries_are_measured(mx):
    """The old server put them off itself, so the log shows when they come again."""
    r = replay(mx, lines=[
        *postfix_refusal(0, HOME, "a@home.example", "alice@example.org"),
        *postfix_refusal(1, HOME, "a@home.example", "alice@example.org"),
        *postfix_mail(10, HOME, "a@home.example", "alice@example.org", "A1"),
    ])
    assert r.one("accepted")["let_in"] == 1
    assert r.one("refused")["recipients"] == 0
    assert r.one("doubts")["retries"] == 2
    waits = r.one("waits")
    assert waits["measured"] == 1 and waits["max"] == 600
    assert not r.part("caller")


def test_a_pool_waits_three_times_at_most(mx):
    lines = []
    for n in range(20):
        lines += postfix_mail(5 * n, f"mail-a{n}-b2.pool.example[192.0.2.{n + 10}]", f"{'abcdefghijklmnopqrst'[n]}@pool.example",
                              "alice@example.org", f"A{n}")
    r = replay(mx, lines=lines)
    assert r.one("accepted")["greylisted"] == 3
    assert r.one("accepted")["let_in"] == 17


def test_early_talkers_helo_rate_and_observe(mx):
    lines = [
        at(0) + "postfix/postscreen[5]: PREGREET 11 after 0.1 from [192.0.2.50]:3456: EHLO x\\r\\n",
        at(0) + "postfix/postscreen[5]: NOQUEUE: reject: RCPT from [192.0.2.50]:3456: 550 5.5.1 Protocol error; "
        "from=<q@w.example>, to=<alice@example.org>, proto=ESMTP, helo=<x>",
        *postfix_refusal(1, SERVER, "a@server.example", "alice@example.org", 550, "mx.example.org"),
        *postfix_mail(2, SERVER, "x@bulk.example", "alice@example.org", "A1"),
    ]
    for n in range(30):
        lines += postfix_mail(3, "mx.rate.example[192.0.2.70]", "a@rate.example", "alice@example.org", f"B{n}")
    r = replay(mx, lines=lines)
    assert r.rule("early-talker")["of_refused"] == 1
    assert r.rule("helo in")["of_refused"] == 1
    assert r.rule("observe")["observed"] == 1
    assert r.rule("rate >")["of_accepted"] == 10
    assert r.one("accepted")["put_off"] == 10
    assert "dnsbl" in r.one("doubts")["unknown_facts"]


def test_own_mail_teaches(mx):
    r = replay(mx, lines=[
        *postfix_mail(0, "localhost[127.0.0.1]", "alice@example.org", "p@pool.example", "A1"),
        *postfix_mail(1, "pc.example.org[192.0.2.200], sasl_method=PLAIN, sasl_username=bob", "bob@example.org",
                      "q@elsewhere.example", "A2"),
        *postfix_mail(2, POOL, "p@pool.example", "alice@example.org", "A3"),
        *postfix_mail(3, POOL, "p@pool.example", "bob@example.org", "A4"),
    ])
    assert r.one("doubts")["own"] == 2
    assert r.one("accepted")["let_in"] == 1 and r.one("accepted")["greylisted"] == 1


def test_trusted(mx):
    r = replay(mx, lines=postfix_mail(0, "a1-2.friend.example[192.0.2.77]", "a@friend.example", "alice@example.org", "A1"))
    assert r.one("accepted")["let_in"] == 1
    assert r.rule("trust")["of_accepted"] == 1


LOGS = {
    "Sendmail": [
        at(0) + "sm-mta[1]: k6OA00aa000001: from=<a@server.example>, size=1, class=0, nrcpts=1, msgid=<m>, proto=ESMTP, "
        "daemon=MTA, relay=mail.server.example [192.0.2.1]",
        at(0) + "sm-mta[2]: k6OA00aa000001: to=<alice@example.org>, delay=00:00:01, mailer=local, stat=Sent",
        at(1) + "sm-mta[3]: k6OA00aa000002: ruleset=check_rcpt, arg1=<alice@example.org>, relay=[192.0.2.66], "
        "reject=450 4.7.1 later",
        at(1) + "sm-mta[3]: k6OA00aa000002: from=<s@spam.example>, size=0, class=0, nrcpts=0, proto=SMTP, daemon=MTA, "
        "relay=[192.0.2.66]",
    ],
    "Exim": [
        "2026-07-24 10:00:00 1abcDE-0000xy-Ab <= a@server.example H=mail.server.example [192.0.2.1]:3456 P=esmtps S=1",
        "2026-07-24 10:00:01 1abcDE-0000xy-Ab => alice <alice@example.org> R=local T=maildir",
        "2026-07-24 10:00:01 1abcDE-0000xy-Ab Completed",
        "2026-07-24 10:01:00 H=(h) [192.0.2.66]:3755 F=<s@spam.example> temporarily rejected RCPT <alice@example.org>: later",
    ],
    "qmail": [
        "@400000006a6337aa00000000 tcpserver: ok 100 mx.example.org:192.0.2.99:25 mail.server.example:192.0.2.1::1",
        "@400000006a6337aa00000000 info msg 7: bytes 1 from <a@server.example> qp 105 uid 89",
        "@400000006a6337aa00000000 starting delivery 1: msg 7 to local alice@example.org",
        "@400000006a6337aa00000000 end msg 7",
        "@400000006a6337aa00000000 tcpserver: end 100 status 0",
        "2026-07-24 10:00:00.000000500 spamdyke[9]: DENIED_GRAYLISTED from: s@spam.example to: alice@example.org "
        "origin_ip: 192.0.2.66 origin_rdns: (unknown) auth: (unknown) encryption: (none)",
    ],
    "OpenSMTPD": [
        at(0) + "smtpd[1]: 1a2b3c4d5e6f7a8b smtp connected address=192.0.2.1 host=mail.server.example",
        at(0) + "smtpd[1]: 1a2b3c4d5e6f7a8b smtp envelope evpid=1 from=<a@server.example> to=<alice@example.org>",
        at(0) + "smtpd[1]: 1a2b3c4d5e6f7a8b smtp disconnected reason=quit",
        at(1) + "smtpd[1]: 2a2b3c4d5e6f7a8b smtp connected address=192.0.2.66 host=<unknown>",
        at(1) + 'smtpd[1]: 2a2b3c4d5e6f7a8b smtp failed-command command="RCPT TO:<alice@example.org>" result="451 later"',
        at(1) + "smtpd[1]: 2a2b3c4d5e6f7a8b smtp disconnected reason=quit",
    ],
    "postgrey": [
        at(0) + "postgrey[1]: action=pass, reason=client whitelist, client_name=mail.server.example, "
        "client_address=192.0.2.1/32, sender=a@server.example, recipient=alice@example.org",
        at(1) + "postgrey[1]: action=greylist, reason=new, client_name=unknown, client_address=192.0.2.66/32, "
        "sender=s@spam.example, recipient=alice@example.org",
    ],
}


@pytest.mark.parametrize("kind", sorted(LOGS))
def test_other_servers(mx, kind):
    r = replay(mx, lines=["Jul 24 09:00:00 mx kernel: nothing to do with mail", *LOGS[kind]] if kind != "Exim" else LOGS[kind])
    assert r.one("file")["format"] == kind
    assert (r.one("accepted")["let_in"], r.one("accepted")["recipients"]) == (1, 1)
    assert (r.one("refused")["greylisted"], r.one("refused")["recipients"]) == (1, 1)
    unverified = r.one("doubts")["unverified_names"]
    assert (unverified > 0) == (kind in ("qmail", "OpenSMTPD"))


def test_files_are_read_oldest_first(mx):
    new = write(mx, postfix_mail(10, HOME, "a@home.example", "alice@example.org", "A1"), "mail.log")
    old = write(mx, postfix_refusal(0, HOME, "a@home.example", "alice@example.org"), "mail.log.1")
    r = replay(mx, new, old)
    assert [f["file"] for f in r.part("file")] == [str(old), str(new)]
    assert r.one("waits")["max"] == 600


def test_two_logs_side_by_side(mx):
    """As qmail has them: who called is in one, who wrote to whom in the other; packed or not, in any order."""
    def t(second):
        return f"@400000006a6337{second:02x}00000000 "
    smtpd = write(mx, [t(1) + "tcpserver: ok 100 mx.example.org:192.0.2.99:25 mail.server.example:192.0.2.1::1",
                       t(3) + "tcpserver: end 100 status 0",
                       t(4) + "tcpserver: ok 110 mx.example.org:192.0.2.99:25 mail.other.example:192.0.2.3::1",
                       t(6) + "tcpserver: end 110 status 0"], "smtpd")
    send = mx.dir / "send.gz"
    send.write_bytes(gzip.compress("\n".join([
        t(2) + "info msg 7: bytes 1 from <a@server.example> qp 115 uid 89",
        t(2) + "starting delivery 1: msg 7 to local alice@example.org",
        t(5) + "info msg 7: bytes 1 from <a@other.example> qp 116 uid 89",
        t(5) + "starting delivery 1: msg 7 to local bob@example.org\n"]).encode()))
    own(send)
    for files in (smtpd, send), (send, smtpd):
        r = replay(mx, *files)
        assert r.one("accepted")["recipients"] == 2 and r.one("callers")["identities"] == 2


def test_standard_input_and_packed_files(mx):
    lines = "\n".join(postfix_mail(0, SERVER, "a@server.example", "alice@example.org", "A1")) + "\n"
    packed = mx.dir / "mail.log.1.gz"
    packed.write_bytes(gzip.compress(lines.encode()))
    own(packed)
    assert replay(mx, packed).one("accepted")["let_in"] == 1
    cut = mx.dir / "mail.log.2.gz"
    cut.write_bytes(packed.read_bytes()[:-20])
    own(cut)
    done = mx.run_ctl("gate", "replay", cut)
    assert done.returncode == 1 and "could not unpack" in done.stderr
    with open(packed, "rb") as stdin:
        done = subprocess.run([*mx.smtpctl(), "gate", "replay", "-"], stdin=stdin, capture_output=True, text=True)
    assert done.returncode == 1 and "zcat" in done.stderr
    done = mx.run_ctl("gate", "replay", "-", stdin=lines, json_lines=True)
    assert done.returncode == 0, done.stderr
    assert Replay([json.loads(line) for line in done.stdout.splitlines()]).one("accepted")["let_in"] == 1


def test_lookup(mx, place, dns):
    """Names that nobody verified are asked of DNS: one leads back, one does not, one has none."""
    dns.host("mail.true.example", "127.0.80.1")
    dns.ptr("127.0.80.2", "mail.liar.example")
    dns.reload()
    lines = []
    for n, host in ((1, "mail.true.example"), (2, "mail.liar.example"), (3, "mail.gone.example")):
        key = f"{n}a2b3c4d5e6f7a8b"
        lines += [at(n) + f"smtpd[1]: {key} smtp connected address=127.0.80.{n} host={host}",
                  at(n) + f"smtpd[1]: {key} smtp envelope evpid={n} from=<a@x{n}.example> to=<alice@example.org>",
                  at(n) + f"smtpd[1]: {key} smtp disconnected reason=quit"]
    assert replay(mx, lines=lines).one("accepted")["let_in"] == 3
    r = replay(mx, "lookup", lines=lines)
    assert (r.one("accepted")["let_in"], r.one("accepted")["greylisted"]) == (1, 2)
    assert r.one("doubts")["unverified_names"] == 0


def test_limit_and_text(mx):
    lines = []
    for n in range(30):
        lines += postfix_mail(n, f"mail-a1-b2.pool{n}.example[192.0.{n}.8]", f"p@pool{n}.example", "alice@example.org", f"A{n}")
    assert len(replay(mx, lines=lines).part("caller")) == 20
    assert len(replay(mx, "limit=5", lines=lines).part("caller")) == 5
    assert len(replay(mx, "limit=0", lines=lines).part("caller")) == 30
    assert mx.run_ctl("gate", "replay", "limit=few", write(mx, lines)).returncode == 2
    text = mx.run_ctl("gate", "replay", write(mx, lines)).stdout
    assert "30 callers in all" in text and "and 10 more; limit=30 shows them" in text


def test_mistakes(mx):
    nothing = write(mx, ["hello", "world"])
    assert "no log of Postfix" in mx.run_ctl("gate", "replay", nothing).stderr
    assert mx.run_ctl("gate", "replay", nothing).returncode == 1
    assert mx.run_ctl("gate", "replay", "format=exchange", nothing).returncode == 2
    assert mx.run_ctl("gate", "replay", "lookup").returncode == 2
    assert "No such file" in mx.run_ctl("gate", "replay", mx.dir / "none").stderr
    empty = write(mx, [])
    empty.write_text("")
    assert mx.run_ctl("gate", "replay", empty).returncode == 0
    # a line without an end, one that is longer than any, and octets that are no text
    odd = mx.dir / "odd"
    odd.write_bytes("\n".join(postfix_mail(0, SERVER, "a@server.example", "alice@example.org", "A1")).encode() +
                    b"\n" + b"\xff\x00" * 2_000_000 + b"\n" + at(1).encode() + b"postfix/smtpd[1]: A2: client=")
    own(odd)
    assert replay(mx, odd).one("accepted")["let_in"] == 1
