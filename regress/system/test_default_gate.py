"""The built-in gate, played by smtpctl gate simulate: what it promises to whom.  What comes of it is measured in docs/gate.md."""
import json
import subprocess

import pytest

from genkan import BUILD, ROOT, Client, Genkan

CONF = """
domain "example.org" {
	users { "alice", "bob" }
	deliver maildir "$mail/%{user}"
}
"""
ZONE = """
7.2.0.192.in-addr.arpa PTR mail.server.example
mail.server.example A 192.0.2.7
server.example MX 10 mail.server.example
server.example TXT "v=spf1 ip4:192.0.2.7 -all"
9.2.0.192.in-addr.arpa PTR 192-0-2-9.host.example
192-0-2-9.host.example A 192.0.2.9
mx.small.example A 192.0.2.9
small.example MX 10 mx.small.example
10.2.0.192.in-addr.arpa PTR ppp-192-0-2-10.access.example
ppp-192-0-2-10.access.example A 192.0.2.10
11.2.0.192.in-addr.arpa PTR mail.good.example
mail.good.example A 192.0.2.11
good.example MX 10 mail.good.example
12.2.0.192.in-addr.arpa SERVFAIL
bank.example MX 10 mx.bank.example
bank.example TXT "v=spf1 -all"
soft.example MX 10 mx.bank.example
soft.example TXT "v=spf1 ~all"
all.example MX 10 mx.bank.example
all.example TXT "v=spf1 +all"
"""
PAUSE, LINE_PAUSE, TARPIT = 12, 20, 125

SERVER = "client=192.0.2.7 helo=mail.server.example from=a@server.example"
SMALL = "client=192.0.2.9 helo=mx.small.example"           # its provider chose the name of the address
LINE = "client=192.0.2.10 helo=gateway.small.example"
NAMELESS = "client=192.0.2.200 helo=gateway.small.example"
GOOD = "client=192.0.2.11 helo=gateway.good.example"
NO_DNS = "client=192.0.2.12 helo=gateway.good.example"


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    ctl = Genkan(tmp_path_factory.mktemp("default"), CONF)

    def run(*lines):
        """Each session: how it ended, and how long it lasted, pauses and tarpits."""
        text = "".join(f"dns {record}\n" for record in ZONE.strip().splitlines())
        text += "".join(line.replace("call ", "call to=alice@example.org ") + "\n" for line in lines)
        done = ctl.run_ctl("gate", "simulate", "-", stdin=text, json_lines=True)
        assert done.returncode == 0, done.stderr
        sessions = []
        for record in map(json.loads, done.stdout.splitlines()):
            if record["part"] == "caller":
                sessions.append(["", 0])
            elif record["part"] == "reply":
                sessions[-1][1] += record.get("waited", 0)
            elif record["part"] == "end":
                sessions[-1][0] = record["end"]
        return [tuple(s) for s in sessions]
    return run


def test_who_shows_who_he_is_waits_for_the_banner_only(play):
    assert play(f"call {SERVER}", "wait 1h", "again", "wait 2d", "again") == [
        ("let in", PAUSE), ("let in", 0), ("let in", PAUSE)]
    assert play(f"call {SMALL} from=a@small.example") == [("let in", LINE_PAUSE)]


def test_a_domain_for_a_day_does_not_vouch_for_a_line(play):
    """SPF that names the line, and nothing else: he has to wait, and without a name that leads back to come again."""
    spf = '"txt=v=spf1 ip4:192.0.2.0/24 -all" "mx=10 mx.bank.example"'
    assert play(f"call {LINE} from=a@day.example {spf}", "again") == [("let in", LINE_PAUSE + TARPIT), ("let in", 0)]
    assert play(f"call {LINE} from=a@day.example patience=30s {spf}", "again") == [("hung up", LINE_PAUSE + 30), ("greylisted", 0)]
    assert play(f"call {NAMELESS} from=a@day.example {spf}", "again", "wait 5m", "again") == [
        ("greylisted", LINE_PAUSE + TARPIT), ("greylisted", 0), ("let in", 0)]
    # a HELO that leads back, or a good name, and SPF: who he says he is
    assert play(f"call {SMALL} from=a@day.example {spf}") == [("let in", LINE_PAUSE)]
    assert play(f"call {GOOD} from=a@day.example {spf}") == [("let in", PAUSE)]


def test_whom_one_of_ours_wrote_to_is_not_kept(play):
    assert play(f"call {LINE} from=a@small.example known-correspondent") == [("let in", LINE_PAUSE)]
    # unless the address is not his
    assert play(f"call {LINE} from=a@bank.example known-correspondent") == [("greylisted", LINE_PAUSE + TARPIT)]


@pytest.mark.parametrize("sender", ["a@bank.example", "a@soft.example", "root@server01.local"])
def test_a_forwarder_with_a_name_of_its_own_waits_in_the_tarpit(play, sender):
    assert play(f"call {SMALL} from={sender}", "again") == [("let in", LINE_PAUSE + TARPIT), ("let in", 0)]


def test_a_good_name_alone_waits_in_the_tarpit(play):
    assert play(f"call {GOOD} from=a@good.example") == [("let in", PAUSE + TARPIT)]
    assert play(f"call {GOOD} from=a@all.example") == [("let in", PAUSE + TARPIT)] # SPF of everybody vouches for nobody


def test_who_has_no_patience_for_the_tarpit_comes_back_once(play):
    assert play(f"call {GOOD} from=a@good.example patience=30s", "wait 5m", "again") == [("hung up", PAUSE + 30), ("let in", 0)]
    assert play(f"call {GOOD} from=a@good.example patience=15s", "again", "wait 5m", "again") == [
        ("hung up", PAUSE + 15), ("greylisted", 0), ("let in", 0)]


def test_a_name_of_his_own_does_not_spare_the_greylist(play):
    """To whom hung up in the tarpit above that rule, and comes again at once."""
    assert play(f"call {SMALL} from=a@soft.example patience=30s", "again", "wait 5m", "again") == [
        ("hung up", LINE_PAUSE + 30), ("greylisted", 0), ("let in", 0)]


@pytest.mark.parametrize("who", [LINE, NAMELESS, NO_DNS])
def test_a_line_comes_back(play, who):
    assert play(f"call {who} from=a@small.example", "wait 5m", "again", "wait 2d", f"call {who} from=a@small.example") == [
        ("greylisted", LINE_PAUSE + TARPIT), ("let in", 0), ("let in", LINE_PAUSE + TARPIT)]
    # a day later is not again
    assert [end for end, _ in play(f"call {who} from=a@small.example", "wait 24h", "again")] == ["greylisted"] * 2


@pytest.mark.parametrize("who", [LINE, NAMELESS])
@pytest.mark.parametrize("sign", ["helo=server01 from=a@small.example", "helo=[192.0.2.10] from=a@small.example",
                                  "from=root@server01.local", "from=a@bank.example", "from=a@soft.example",
                                  "from=a@all.example"])
def test_a_line_with_another_sign_comes_back_later(play, who, sign):
    who = who.split(" helo=")[0] + (" helo=gateway.small.example" if "helo=" not in sign else "")
    assert play(f"call {who} {sign}", "wait 1h", "again", "wait 3h", "again") == [
        ("greylisted", LINE_PAUSE + TARPIT), ("greylisted", 0), ("let in", 0)]


def test_records_that_a_caller_brings_again_are_not_twice_there(play):
    who = f'call {LINE} from=a@new.example "txt=v=spf1 -all" "mx=10 mx.bank.example"'
    assert [end for end, _ in play(who, "wait 1h", "again")] == [
        "greylisted"] * 2


def test_a_good_name_with_two_signs_comes_back(play):
    who = f"call {GOOD} from=a@soft.example".replace("gateway.good.example", "SERVER01")
    assert play(who, "wait 5m", "again") == [("greylisted", PAUSE + TARPIT), ("let in", 0)]


@pytest.mark.parametrize("who", [SERVER, f"{SMALL} from=a@small.example", f"{LINE} from=a@small.example"])
def test_talking_out_of_turn_is_refused(play, who):
    assert [end for end, _ in play(f"call {who} early-talker")] == ["refused"]
    assert [end for end, _ in play(f"call {SERVER} pipelining")] == ["refused"]


def test_nobody_else_has_our_name(play):
    for name in ("mx.example.org", "example.org", "EXAMPLE.org"):
        assert [end for end, _ in play(f"call client=192.0.2.11 from=a@good.example helo={name}")] == ["refused"]


def test_guessing_addresses_costs_an_hour(play):
    assert play(f"call {GOOD} from=a@good.example unknown-recipients=6", "wait 5m", "again", "wait 1h",
                "again unknown-recipients=0") == [("greylisted", PAUSE), ("greylisted", 0), ("let in", 0)]
    assert play(f"call {SERVER} unknown-recipients=60") == [("let in", PAUSE)]


def test_the_whole_gate_observes(tmp_path, dns):
    """Nobody is kept or refused, and the report tells what would have become of them."""
    conf = """gate observe
relay { from { 192.0.2.250 } }
domain "example.org" {
	users { "alice" }
	deliver maildir "$mail/%{user}"
}
"""
    with Genkan(tmp_path / "mx", conf, dns=dns) as mx:
        with Client(mx.port, source="127.0.66.1") as c:     # no name, our name in HELO
            assert c.mail("a@nowhere.example", "alice@example.org", helo="mx.example.org").code == 250
            assert c.mail("a@nowhere.example", "alice@example.org", helo="desk").code == 250
        mx.deliveries("alice", 2)
        assert {e["rule"].split("#")[0] for e in mx.log("gate.verdict") if e["observe"]} == \
            {"pause", "reject", "tarpit", "greylist"}
        rules = {r["action"]: r for r in mx.ctl("gate", "report") if r["part"] == "rule"}
        assert all(r["observe"] for r in rules.values()) and rules["reject"]["stopped"] == 1
        assert mx.ctl("grey", "list") == []


def rules_of(conf):
    """As `gate explain` tells them, which spells out all that was left to defaults."""
    done = subprocess.run([BUILD / "smtpctl", "-j", "-f", conf, "gate", "explain", "client=192.0.2.1", "name="],
                          capture_output=True, text=True, check=True)
    return [r["text"] for r in map(json.loads, done.stdout.splitlines()) if r["part"] == "rule"]


def test_the_example_has_the_same_rules(tmp_path):
    conf = tmp_path / "smtpd.conf"
    conf.write_text('host "mx.example.or.jp"\n')
    installed = tmp_path / "example.conf"
    installed.write_text((ROOT / "etc" / "smtpd.conf").read_text().replace("/etc/genkan/", f"{ROOT}/etc/"))
    built_in, example = rules_of(conf), rules_of(installed)
    assert [r for r in example if not r.startswith(("trust", "observe"))] == built_in
    assert len(built_in) == 15
