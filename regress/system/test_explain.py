"""smtpctl gate explain with no server: every fact that a rule can ask for is found out, shown with its evidence, and
what would lead past the rule that decides is said."""
import json
import subprocess

import pytest

from dnsserver import DnsServer
from genkan import BUILD, as_user

RECORDS = [
    "25.2.0.192.bl.example A 127.0.0.2", "25.2.0.192.other.example A 127.0.0.9", "26.2.0.192.white.example A 127.0.0.1",
    "mail.small.example A 192.0.2.20", "small.example MX 10 mail.small.example",
    'small.example TXT "v=spf1 ip4:192.0.2.20 -all"', 'all.example TXT "v=spf1 +all"', "null.example MX 0 .",
]
PASSES = ["client=192.0.2.20", "name=mail.small.example", "helo=mail.small.example", "from=a@small.example",
          "to=alice@example.org", "size=1K"]


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    with DnsServer(tmp_path_factory.mktemp("explain"), RECORDS, front=True) as server:
        yield server


@pytest.fixture
def explain(place, names):
    """A function that explains a caller to these rules."""
    def run(rules, *words, code=0, json_lines=True):
        conf = place / "smtpd.conf"
        conf.write_text(f'host mx.example.org\nspool "{place}/spool"\nresolver 127.0.0.1 port {names.port}\n'
                        f'listen on 127.0.0.1 port 2525\ngate {{\n{rules}\n}}\n'
                        f'domain "example.org" {{\n\tusers {{ "alice" }}\n\tdeliver maildir "{place}/%{{user}}"\n}}\n')
        done = subprocess.run([BUILD / "smtpctl", "-f", conf, *(["-j"] if json_lines else []), "gate", "explain", *words],
                              capture_output=True, text=True, timeout=60, **as_user())
        assert done.returncode == code, done.stderr
        if code != 0 or not json_lines:
            return done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]
    yield run


def fact(found, name):
    [record] = [o for o in found if o["part"] == "fact" and o["fact"] == name]
    return record["value"]


def outcome(found, number=1):
    [record] = [o for o in found if o["part"] == "rule" and o["rule"] == number]
    return record["outcome"]


def texts(found, part):
    return [o["text"] for o in found if o["part"] == part]


# --- each fact ---

LISTED = "client=192.0.2.25"


@pytest.mark.parametrize("rule, words, expected", [
    ('reject when dnsbl "bl.example"', [LISTED], "decides"),
    ('reject when dnsbl "bl.example"', ["client=192.0.2.30"], "no"),
    ('reject when dnsbl "other.example=127.0.0.2"', [LISTED], "no"),
    ('trust when dnswl "white.example"', ["client=192.0.2.26"], "decides"),
    ("reject when sender-domain none", ["from=a@nowhere.example"], "decides"),
    ("reject when sender-domain nullmx", ["from=a@null.example"], "decides"),
    ("reject when sender-domain none", ["from=a@small.example"], "no"),
    ("reject when sender-domain none", ["from=<>"], "no"),
    ("reject when spf fail", ["from=a@small.example"], "decides"),
    ("reject when spf pass", ["from=a@small.example", "client=192.0.2.20"], "decides"),
    ("reject when spf fail", ["from=<>", "helo=small.example"], "decides"),
    ("reject when spf none", ["from=a@null.example"], "decides"),
    ("reject at helo when helo resolves-to-client", ["helo=mail.small.example", "client=192.0.2.20"], "decides"),
    ("reject at helo when helo resolves-to-client", ["helo=mail.small.example"], "no"),
    ("reject at helo when helo own-name", ["helo=MX.example.org"], "decides"),
    ("reject at helo when helo own-name", ["helo=example.org"], "decides"),
    ("reject at helo when helo own-name", ["helo=[127.0.0.1]"], "decides"),
    ("reject at helo when helo own-name", ["helo=mx.example.net"], "no"),
    ("reject at helo when helo invalid", ["helo=localhost"], "decides"),
    ("reject when rate > 5 per 1h", ["rate=6"], "decides"),
    ("reject when rate > 5 per 1h", ["rate=5"], "no"),
    ("reject when rate > 5 per 1h", [], "no"),
    ("reject when rate from network > 5 per 1h", ["rate=6"], "decides"),
    ("reject when connections > 2", ["connections=3"], "decides"),
    ("reject when connections from network > 2", ["connections=3"], "decides"),
    ("reject when connections > 2", [], "no"),
    ("reject when unknown-recipients > 3", ["unknown-recipients=4"], "decides"),
    ("reject when unknown-recipients > 3", [], "no"),
    ("reject when time 22:00-06:00", ["time=23:15"], "decides"),
    ("reject when time 22:00-06:00", ["time=06:00"], "no"),
    ("reject at message when size > 1K", ["size=2K"], "decides"),
    ("pass when known-correspondent", ["known-correspondent"], "decides"),
], ids=lambda v: " ".join(v) if isinstance(v, list) else v)
def test_fact(explain, rule, words, expected):
    client = [] if any(w.startswith("client=") for w in words) else ["client=192.0.2.30"]
    found = explain(rule, *client, "name=", *words)
    assert outcome(found) == expected, found


def test_nothing_is_open_when_all_is_given(explain):
    rules = """
	reject when dnsbl "bl.example"
	reject when sender-domain none or spf fail
	reject at helo when not helo resolves-to-client
	reject when rate > 50 per 1m or connections > 9 or unknown-recipients > 9
	reject at message when size > 1M
	greylist when not rdns pass
"""
    found = explain(rules, *PASSES)
    assert {o["outcome"] for o in found if o["part"] == "rule"} == {"no"}
    assert not texts(found, "uncertain") and texts(found, "verdict") == ["let in: no rule stops this caller"]


@pytest.mark.parametrize("rule, words, missing", [
    ("reject when sender-domain none or spf fail", [], "from="),
    ("reject at helo when helo resolves-to-client or helo invalid", [], "helo="),
    ("reject when spf fail", ["from=<>"], "helo="),
    ("reject at message when size > 1K", [], "size="),
])
def test_says_which_word_is_missing(explain, rule, words, missing):
    found = explain(rule, "client=192.0.2.30", "name=", *words)
    assert outcome(found) == "open"
    assert texts(found, "uncertain") == [f"some rules are open; give {missing}"]


# --- evidence ---

def test_evidence(explain):
    rules = 'reject when dnsbl { "bl.example", "other.example=127.0.0.2" } >= 2'
    found = explain(rules, LISTED, "name=", "helo=mail.small.example", "from=a@small.example")
    assert fact(found, "list bl.example") == "listed"
    assert fact(found, "list other.example=127.0.0.2") == "not listed"
    [list_] = [o for o in found if o.get("fact") == "list bl.example"]
    assert list_["why"] == "25.2.0.192.bl.example"
    assert fact(found, "helo resolves-to-client") == "no" and fact(found, "sender-domain") == "resolves"
    assert fact(found, "spf") == "fail"
    assert [o for o in found if o.get("fact") == "spf"][0]["why"].endswith('"-all"')
    assert {o["fact"] for o in found if o.get("why") == "assumed"} == {
        "early-talker", "pipelining", "trapped", "known-correspondent", "authenticated", "tls", "time", "rate",
        "connections", "unknown-recipients"}
    text = explain(rules, LISTED, "name=", json_lines=False)
    assert "list bl.example      listed (25.2.0.192.bl.example)\n" in text


def test_what_did_not_answer_is_no_reason(explain, names):
    names.servfail("bl.example")
    try:
        found = explain('reject when dnsbl "bl.example"', LISTED, "name=")
    finally:
        names.heal()
    assert fact(found, "list bl.example") == "not known"
    assert outcome(found) == "no"


def test_a_reject_that_leans_on_silence_is_softened(explain, names):
    names.servfail("small.example")
    try:
        found = explain("reject when sender-domain temperror", "client=192.0.2.30", "name=", "from=a@small.example")
    finally:
        names.heal()
    assert texts(found, "verdict") == ["reject at rcpt, by rule 1 (line 6)"]
    assert texts(found, "softened") == ["carried out as tempfail: DNS gave no answer"]


def test_spf_names_whom_the_greylist_takes_him_for(explain):
    found = explain("greylist", *PASSES)
    assert 'identity "spf:small.example"' in texts(found, "greylist")[0]


# --- what would lead past ---

@pytest.mark.parametrize("rule, words, ways", [
    ('reject when dnsbl "bl.example" or dnsbl "other.example"', [LISTED], [
        "be taken off bl.example, and be taken off other.example"]),
    ('reject when dnsbl { "bl.example", "other.example" } >= 2', [LISTED], ["be taken off bl.example, other.example"]),
    ('reject when dnsbl "bl.example" and not rdns pass', [LISTED], [
        "be taken off bl.example", "a PTR name that leads back to the address"]),
    ('reject when not dnswl "white.example"', ["client=192.0.2.30"], ["be listed by white.example"]),
    ('drop when helo invalid or dnsbl "bl.example"', ["client=192.0.2.30", "helo=x"], ["a full host name in HELO"]),
    ('reject when not (tls or authenticated)', ["client=192.0.2.30"], ["authenticate", "TLS"]),
    ("tempfail when time 00:00-23:59", ["client=192.0.2.30", "time=12:00"], ["that it is not time 00:00-23:59"]),
    ("reject", ["client=192.0.2.30"], ["a trust rule above line 6: this one is for everybody"]),
])
def test_to_pass(explain, rule, words, ways):
    found = explain(rule, "name=", *words)
    assert outcome(found) == "decides"
    assert sorted(texts(found, "to pass")) == sorted(ways)


def test_to_pass_a_greylist(explain):
    first, *others = texts(explain("greylist when not rdns pass", "client=192.0.2.30", "name="), "to pass")
    assert first.startswith("come back 2m later") or first.startswith("come back 120s later"), first
    assert others == ["a PTR name that leads back to the address"]


@pytest.mark.parametrize("rule", ["reject", "tempfail", "greylist"])
@pytest.mark.parametrize("to, excused", [("postmaster@example.org", True), ("Abuse@mx.example.org", True),
                                         ("postmaster@example.net", False), ("alice@example.org", False)])
def test_the_postmaster_is_excused(explain, rule, to, excused):
    found = explain(f"{rule} when not rdns pass", "client=192.0.2.30", "name=", f"to={to}")
    assert outcome(found) == ("excused" if excused else "decides")
    assert texts(found, "verdict")[0].startswith("let in" if excused else rule)
    assert bool(texts(found, "excused")) == excused
    assert outcome(explain(rule, "client=192.0.2.30", "name=", f"to={to}", "early-talker")) == "decides"


def test_spf_of_everybody_is_neutral(explain):
    found = explain("pass when spf pass\nreject when spf neutral", "client=192.0.2.30", "name=", "from=a@all.example")
    assert fact(found, "spf") == "pass"
    assert [outcome(found, n) for n in (1, 2)] == ["no", "decides"]


def test_pass_ends_its_phase_and_nothing_else(explain):
    rules = 'pass when known-correspondent\ngreylist\nreject at message when size > 1K'
    found = explain(rules, "client=192.0.2.30", "name=", "known-correspondent", "size=2K")
    assert [outcome(found, n) for n in (1, 2, 3)] == ["decides", "not reached", "decides"]
    assert texts(found, "verdict")[0].startswith("reject at message")


@pytest.mark.parametrize("word", ["rate=x", "rate=1K", "connections=", "unknown-recipients=-1", "time=24:00", "time=1",
                                  "time=12:30x", "rate=99999999999"])
def test_bad_words(explain, word):
    assert word.split("=")[0] + "=" in explain("reject", "client=192.0.2.30", "name=", word, code=2)
