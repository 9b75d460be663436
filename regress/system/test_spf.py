"""SPF: every case of the RFC 7208 test suite (corpora/spf), by `smtpctl spf -` and a DNS server with the suite's zones; the
command itself; and what the gate makes of it.

Six cases leave the verifier a choice; MAY says which one Genkan takes and why, and any other result fails.
"""
import json
import os
import pathlib
import subprocess

import pytest
import yaml

from genkan import BUILD, ROOT, Client, Genkan
from spfzone import SpfZone

SUITE = pathlib.Path(os.environ.get("CORPORA", ROOT.parent / "shared" / "corpora")) / "spf" / "rfc7208-tests.yml"
OUR_NAME = "mx.receiver.example"

MAY = {
    "multispf1": ("permerror", "4.5: two records are two, also when they are equal"),
    "invalid-domain-empty-label": ("fail", "4.8: a name that DNS cannot hold does not exist, so nothing matches"),
    "invalid-domain-long": ("fail", "4.8: likewise"),
    "invalid-domain-long-via-macro": ("fail", "4.8: likewise"),
    "p-macro-multiple": ("pass", "7.3: of several names one below the domain is preferred"),
    "ptr-limit": ("pass", "4.6.4: the ten names that are looked at are the first by the alphabet, not by chance"),
}


def quoted(value):
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def question(test):
    return f"ip={test['host']} helo={quoted(test['helo'])} from={quoted(test['mailfrom'])}\n"


def load():
    if not SUITE.exists():
        return []
    with open(SUITE, encoding="utf-8") as f:
        return [scenario for scenario in yaml.safe_load_all(f) if scenario]


SCENARIOS = load()
CASES = [pytest.param(scenario["description"], name, id=name) for scenario in SCENARIOS for name in scenario["tests"]]
NO_CASES = [pytest.param(None, None, marks=pytest.mark.skip(reason=f"no {SUITE} (set CORPORA)"))]


def write_conf(directory, port, more=""):
    path = directory / "smtpd.conf"
    path.write_text(f'host "{OUR_NAME}"\nspool "{directory}/spool"\nresolver 127.0.0.1 port {port} anchor none\n{more}')
    return path


def ask(conf, lines):
    """Starts smtpctl; its answers come by answers()."""
    process = subprocess.Popen([BUILD / "smtpctl", "-j", "-f", conf, "spf", "-"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdin.write("".join(lines))
    process.stdin.close()
    return process


def answers(process):
    with process:
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """{(scenario, test): answer} of the whole suite, all scenarios at once since the silent names take their time."""
    found, running = {}, []
    for number, scenario in enumerate(SCENARIOS):
        zone = SpfZone(scenario["zonedata"]).__enter__()
        conf = write_conf(tmp_path_factory.mktemp(f"spf{number}"), zone.port)
        running.append((scenario, zone, ask(conf, [question(test) for test in scenario["tests"].values()])))
    for scenario, zone, process in running:
        given = answers(process)
        zone.__exit__()
        assert len(given) == len(scenario["tests"])
        for name, answer in zip(scenario["tests"], given):
            found[scenario["description"], name] = answer
    return found


@pytest.mark.parametrize("scenario,name", CASES or NO_CASES)
def test_suite(results, scenario, name):
    test = next(s for s in SCENARIOS if s["description"] == scenario)["tests"][name]
    answer = results[scenario, name]
    expect = test["result"]
    if isinstance(expect, list):
        assert name in MAY and MAY[name][0] in expect
        print(f"{name}: the RFC allows {' or '.join(expect)}; {MAY[name][0]} ({MAY[name][1]})")
        expect = MAY[name][0]
    assert answer["result"] == expect, answer["why"]
    if "explanation" in test:
        # the receiver's own default is no explanation of the domain's
        assert answer.get("explanation", "DEFAULT") == test["explanation"]


# --- the command ---

ZONE = {
    "example.org": [{"TXT": "v=spf1 ip4:192.0.2.0/24 -all exp=why.example.org"}],
    "why.example.org": [{"TXT": "%{s} is not ours"}],
    "wrong.example.org": [{"TXT": "v=spf1 ip4:192.0.2.300 -all"}],
    "open.example.org": [{"TXT": "v=spf1 +all"}],
    "mail.example.org": [{"TXT": "v=spf1 a -all"}, {"A": "192.0.2.1"}],
}


@pytest.fixture
def spf(tmp_path):
    with SpfZone(ZONE) as zone:
        conf = write_conf(tmp_path, zone.port)

        def run(*words, stdin=None):
            return subprocess.run([BUILD / "smtpctl", "-f", conf, *words], input=stdin, capture_output=True, text=True,
                                  timeout=60)
        yield run


@pytest.mark.parametrize("words,line", [
    (["ip=192.0.2.7", "from=a@example.org"], 'pass example.org permits 192.0.2.7: "ip4:192.0.2.0/24"'),
    (["ip=198.51.100.1", "helo=x.example", "from=a@example.org"],
     'fail example.org does not permit 198.51.100.1: "-all"; the domain explains: a@example.org is not ours'),
    (["ip=192.0.2.1", "helo=mail.example.org", "from=<>"], 'pass mail.example.org permits 192.0.2.1: "a"'),
    (["ip=192.0.2.1", "helo=mail.example.org"], 'pass mail.example.org permits 192.0.2.1: "a"'),
    (["ip=2001:db8::1", "from=a@nothing.example.org"], "none nothing.example.org does not exist"),
    (["ip=192.0.2.1", "from=a@wrong.example.org"], 'permerror the record of wrong.example.org is wrong at '
     '"ip4:192.0.2.300", character 12: this is no IPv4 address'),
    (["ip=192.0.2.1", "from=a@open.example.org"], 'pass open.example.org permits 192.0.2.1: "+all"; nearly everybody '
     'would pass, so this is no statement of identity'),
])
def test_text(spf, words, line):
    done = spf("spf", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, line + "\n", "")


def test_json(spf):
    done = spf("-j", "spf", "ip=192.0.2.1", "helo=x", "from=a@Open.example.org")
    assert json.loads(done.stdout) == {
        "result": "pass", "domain": "open.example.org", "mechanism": "+all", "blanket": True, "ip": "192.0.2.1", "helo": "x",
        "from": "a@Open.example.org", "why": 'Open.example.org permits 192.0.2.1: "+all"; nearly everybody would pass, so '
        "this is no statement of identity"}


def test_lines_are_answered_in_their_order(spf):
    lines = [f"ip=192.0.2.{i % 256} from=a@{name}\n" for i in range(500)
             for name in (["example.org", "nothing.example.org"][i % 2],)]
    done = spf("spf", "-", stdin="\n".join(lines))
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["pass", "none"] * 250


@pytest.mark.parametrize("words,stdin,why", [
    ([], None, "something is missing"),
    (["from=a@example.org"], None, "ip=IP is missing"),
    (["ip=192.0.2.1"], None, "from=ADDRESS or helo=NAME is missing"),
    (["ip=192.0.2.1", "from="], None, "from=ADDRESS or helo=NAME is missing"),
    (["ip=192.0.2", "from=a@b.org"], None, "ip=192.0.2: that is no IP address"),
    (["ip=192.0.2.1", "from=a@b.org", "from=a@c.org"], None, "from= is there twice"),
    (["ip=192.0.2.1", "to=a@b.org"], None, '"to=a@b.org" is none of ip=, helo=, from='),
    (["-"], "ip=192.0.2.1 from=a@b.org\n\nip=192.0.2.1\n", "line 3: from=ADDRESS or helo=NAME is missing"),
    (["-"], 'ip=192.0.2.1 from="a@b.org\n', "line 1: "),
])
def test_usage(spf, words, stdin, why):
    done = spf("spf", *words, stdin=stdin)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("smtpctl: " + why)


@pytest.mark.parametrize("words,fact,verdict,identity", [
    (["client=192.0.2.7", "from=a@example.org", "to=b@x.example"], "pass", "greylist", "spf:example.org"),
    (["client=192.0.2.7", "from=a@open.example.org", "to=b@x.example"], "pass", "greylist", "net:192.0.2.0/24"),
    (["client=198.51.100.1", "from=a@example.org", "to=b@x.example"], "fail", "reject", None),
    (["client=192.0.2.1", "name=", "helo=mail.example.org", "from=<>"], "pass", "greylist", "spf:mail.example.org"),
    (["client=192.0.2.1"], "not asked", "greylist", "net:192.0.2.0/24"),
])
def test_explained(tmp_path, words, fact, verdict, identity):
    with SpfZone(ZONE) as zone:
        conf = write_conf(tmp_path, zone.port, "gate {\nreject when spf fail\ngreylist\n}\n")
        done = subprocess.run([BUILD / "smtpctl", "-j", "-f", conf, "gate", "explain", *words], capture_output=True,
                              text=True, timeout=60)
    parts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [p["value"] for p in parts if p.get("fact") == "spf"] == [fact], done.stderr
    assert [p["text"].split()[0] for p in parts if p["part"] == "verdict"] == [verdict]
    if identity:
        assert any(f'"{identity}"' in p["text"] for p in parts if p["part"] == "greylist")
    if fact == "not asked":
        assert any("from=" in p["text"] for p in parts if p["part"] == "uncertain")


# --- at the door ---

DOOR = {
    "pool.example": [{"TXT": "v=spf1 ip4:127.0.0.0/16 -all exp=why.pool.example"}],
    "why.pool.example": [{"TXT": "%{i} is none of ours"}],
    "open.example": [{"TXT": "v=spf1 +all"}],
    "broken.example": ["SERVFAIL"],
    "slow.example": ["TIMEOUT"],
}
MAILBOX = """
domain "example.org" {
    users { "alice" }
    deliver maildir "$mail/%{user}"
}
"""


@pytest.fixture
def door(place):
    """door(GATE): a server with that gate and the zone above."""
    with SpfZone(DOOR) as zone:
        running = []

        def start(gate):
            server = Genkan(place, MAILBOX + "gate {\n" + gate + "\n}\n", dns=zone, listen="gate").start()
            running.append(server)
            return server
        yield start
        for server in running:
            server.stop()


def send(server, source, sender, text="Subject: test\r\n\r\nhello\r\n"):
    with Client(server.port, source=source) as client:
        return client.mail(sender, "alice@example.org", text)


def test_rule(door):
    server = door("reject when spf fail")
    assert send(server, "127.0.1.5", "bob@pool.example").code == 250
    refused = send(server, "127.1.1.5", "bob@pool.example")
    assert refused.code == 550
    assert "the sender's domain explains: 127.1.1.5 is none of ours" in refused.text.replace("\n5.7.1 ", " ")
    assert send(server, "127.1.1.5", "bob@nothing.example").code == 250
    mails = server.deliveries("alice", 2)
    assert any(b"spf=pass\r\n" in m or b"spf=pass " in m or b"spf=pass\n" in m for m in mails)
    assert server.await_log("spf", result="fail")["domain"] == "pool.example"


def test_each_mail_has_its_own_answer(door):
    server = door("reject when spf fail")
    with Client(server.port, source="127.1.1.5") as client:
        client.say("EHLO client.example")
        for sender, code in (("a@pool.example", 550), ("a@open.example", 250), ("a@pool.example", 550), ("", 250)):
            assert client.say(f"MAIL FROM:<{sender}>").code == 250
            assert client.say("RCPT TO:<alice@example.org>").code == code
            assert client.say("RSET").code == 250


@pytest.mark.parametrize("gate", ["greylist", "greylist when not spf fail"])
def test_pool_is_one_caller(door, gate):
    """The retry comes from another host and network of the pool; a blanket record makes nobody a pool."""
    server = door(gate)
    for sender, again in (("bob@pool.example", 250), ("bob@open.example", 450)):
        assert send(server, "127.0.1.5", sender).code == 450
        server.advance(300)
        assert send(server, "127.0.77.6", sender).code == again
    identities = {entry["identity"] for entry in server.ctl("grey", "list") if "identity" in entry}
    assert "spf:pool.example" in identities
    assert not any("open.example" in identity for identity in identities)


def test_trouble_is_never_a_5xx(door):
    server = door("reject when not spf pass")
    assert send(server, "127.0.1.5", "bob@broken.example").code == 450
    assert send(server, "127.0.1.5", "bob@nothing.example").code == 550
    assert send(server, "127.0.1.5", "bob@pool.example").code == 250


def test_who_leaves_is_forgotten(door):
    """While SPF is asked: at RCPT, by the next MAIL, by the next EHLO."""
    server = door("reject when spf fail")
    with Client(server.port, source="127.0.1.5") as client:
        client.say("EHLO client.example")
        client.say("MAIL FROM:<bob@slow.example>")
        client.send("RCPT TO:<alice@example.org>\r\n")
    with Client(server.port, source="127.0.1.5") as client:
        client.say("EHLO client.example")
        for word in ("RSET", "EHLO client.example"):
            assert client.say("MAIL FROM:<bob@slow.example>").code == 250
            assert client.say(word).code == 250
        assert client.mail("bob@pool.example", "alice@example.org", helo=None).code == 250
    server.deliveries("alice", 1)


def test_trusted_callers_are_not_asked_about(door):
    server = door("trust when client in { 127.0.1.5 }\nreject when spf fail")
    assert send(server, "127.0.1.5", "bob@pool.example").code == 250
    assert not server.log("spf")
