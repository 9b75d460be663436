"""SPF: every case of the RFC 7208 test suite (corpora/spf), by `smtpctl spf -` and a DNS server with the suite's zones.

Six cases leave the verifier a choice; MAY says which one Genkan takes and why, and any other result fails.
"""
import json
import os
import pathlib
import subprocess

import pytest
import yaml

from genkan import BUILD, ROOT
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
CASES = [(scenario["description"], name) for scenario in SCENARIOS for name in scenario["tests"]]


def write_conf(directory, port):
    path = directory / "smtpd.conf"
    path.write_text(f'host "{OUR_NAME}"\nresolver 127.0.0.1 port {port} anchor none\n')
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


@pytest.mark.skipif(not SCENARIOS, reason=f"no {SUITE} (set CORPORA)")
@pytest.mark.parametrize("scenario,name", CASES, ids=[name for _, name in CASES])
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
