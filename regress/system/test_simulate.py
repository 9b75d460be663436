"""smtpctl gate simulate: whole sessions without a server, without a network, on a clock of their own."""
import json

import pytest

from genkan import Genkan

GATE = """
table friends { 192.0.2.99 }
gate {
	trust at connect when client in <friends>
	pause 20s when s25r or not rdns pass
	pause 4s
	reject when early-talker
	tarpit 90s else greylist at rcpt when s25r own-address
	tempfail "slow down, %{client}" when rate > 3 per 1m
	reject when dnsbl "zen.example.net"
	reject "no" when spf fail
	trap 1d when recipient in { "trap@example.org" }
	tempfail "trapped" when trapped
	greylist when s25r or not rdns pass
	observe reject at data when pipelining
}
domain "example.org" {
	users { "alice", "bob", "trap" }
	deliver maildir "$mail/%{user}"
}
"""


@pytest.fixture(scope="module")
def ctl(tmp_path_factory):
    return Genkan(tmp_path_factory.mktemp("simulate"), GATE.replace("%{", "%{"))


def play(ctl, script):
    done = ctl.run_ctl("gate", "simulate", "-", stdin=script, json_lines=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def ends(records):
    return [r["end"] for r in records if r["part"] == "end"]


def replies(records, phase):
    return [r for r in records if r["part"] == "reply" and r["phase"] == phase]


SERVER = "client=192.0.2.7 ptr=mail.server.example a=192.0.2.7 helo=mail.server.example from=a@server.example "
POOL = "client=192.0.2.8 ptr=mail-a1-b2.pool.example a=192.0.2.8 helo=x.pool.example from=a@pool.example "
HOME = "client=192.0.2.9 ptr=ppp-192-0-2-9.access.example a=192.0.2.9 helo=home from=a@home.example "


def test_a_tempfail_rescues(place):
    """Once in the rhythm of a mail server, and whatever he sends from then on; hammering is none."""
    gate = 'gate {\n\ttempfail rescue 30d when s25r\n}\n' + GATE[GATE.index("domain"):]
    ctl = Genkan(place, gate)
    records = play(ctl, f"call {POOL} to=alice@example.org\nwait 5m\nagain\nwait 10m\nagain\n"
                   "again from=b@pool.example to=bob@example.org\n")
    assert ends(records) == ["put off", "put off", "let in", "let in"]
    assert [r["state"] for r in records if r["part"] == "greylist"] == ["new", "early", "trusted", "trusted"]
    records = play(ctl, f"call {POOL} to=alice@example.org\n" + "wait 1s\nagain\n" * 3 + "wait 15m\nagain\n")
    assert ends(records) == ["put off"] * 5


def test_a_server_passes(ctl):
    records = play(ctl, f"call {SERVER} to=alice@example.org\n")
    assert ends(records) == ["let in"]
    assert records[0]["evidence"].startswith("rdns pass mail.server.example")
    assert [r["code"] for r in records if r["part"] == "reply"] == [0, 220, 250, 250, 250, 354, 250]
    assert replies(records, "greeting")[0]["waited"] == 4


def test_greylist_and_retries(ctl):
    records = play(ctl, f"call {POOL} to=alice@example.org\nwait 1m\nagain\nwait 2m\nagain\nwait 40d\nagain\n")
    assert ends(records) == ["greylisted", "greylisted", "let in", "greylisted"]
    greylist = [r for r in records if r["part"] == "greylist"]
    assert [g["state"] for g in greylist] == ["new", "early", "pass", "new"]
    assert greylist[0]["identity"] == "name:pool.example"
    assert 120 < greylist[2]["waited"] < 300
    # who sat through the pause does not again
    assert [r["waited"] for r in replies(records, "greeting")] == [20, 0, 0, 20]


def test_a_pool_is_one_caller(ctl):
    records = play(ctl, f"call {POOL} to=alice@example.org\nwait 3m\n"
                        "again client=192.0.2.18 ptr=mail-c3-d4.pool.example a=192.0.2.18\n")
    assert ends(records) == ["greylisted", "let in"]


def test_tarpit_else_greylist(ctl):
    records = play(ctl, f"call {HOME} to=alice@example.org\nforget\ncall {HOME} to=alice@example.org patience=30s\n"
                        "again\nwait 5m\nagain\n")
    assert ends(records) == ["greylisted", "hung up", "greylisted", "let in"]
    # the pause is the longer wait of the banner, the tarpit that of RCPT
    assert replies(records, "rcpt")[0]["waited"] == 90
    assert replies(records, "rcpt")[1]["hung_up"]


def test_early_talker(ctl):
    records = play(ctl, f"call {SERVER} to=alice@example.org to=bob@example.org early-talker\n")
    assert ends(records) == ["refused"]
    assert [r["code"] for r in replies(records, "rcpt")] == [550, 550]


def test_dns_that_does_not_answer(ctl):
    records = play(ctl, "call client=192.0.2.7 ptr=SERVFAIL helo=x from=a@b.example to=alice@example.org\n")
    assert records[0]["evidence"].startswith("rdns temperror")
    assert ends(records) == ["greylisted"]


def test_a_lie(ctl):
    records = play(ctl, "call client=192.0.2.7 ptr=localhost helo=x from=a@b.example to=alice@example.org\n")
    assert records[0]["evidence"].startswith("rdns mismatch, claims localhost, s25r rule 0")


def test_records_of_all_kinds(ctl, tmp_path):
    (tmp_path / "zone").write_text("; a comment\n# another\n\n7.2.0.192.zen.example.net A 127.0.0.2\n")
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    assert ends(play(ctl, f"call {SERVER} to=alice@example.org dns={tmp_path}/zone\n")) == ["refused"]
    assert ends(play(ctl, f'call {SERVER} to=alice@example.org "txt=v=spf1 -all"\n')) == ["refused"]
    assert ends(play(ctl, f'call {SERVER} to=alice@example.org "txt=v=spf1 a:mail.server.example -all"\n')) == ["let in"]
    assert ends(play(ctl, f"dns server.example TXT v=spf1 mx -all\ncall {SERVER} to=alice@example.org "
                          '"mx=10 mail.server.example"\n')) == ["let in"]
    assert ends(play(ctl, f'call {SERVER} to=alice@example.org "record=*.zen.example.net A 127.0.0.3"\n')) == ["refused"]


def test_traps_and_rates(ctl):
    records = play(ctl, f"call {SERVER} to=trap@example.org\nwait 1h\nagain to=alice@example.org\nwait 25h\nagain\n")
    assert ends(records) == ["let in", "put off", "let in"]
    records = play(ctl, f"call {SERVER} to=alice@example.org\nagain\nagain\nagain\n")
    assert ends(records) == ["let in", "let in", "let in", "put off"]
    assert "slow down, 192.0.2.7 (tempfail#" in replies(records, "rcpt")[-1]["text"]


def test_trust_and_postmaster(ctl):
    records = play(ctl, "call client=192.0.2.99 from=a@b.example to=alice@example.org\n")
    assert ends(records) == ["let in"]
    assert replies(records, "greeting")[0]["waited"] == 0
    assert ends(play(ctl, "call client=192.0.2.50 from=a@b.example to=postmaster@example.org\n")) == ["let in"]


def test_rules_and_their_outcomes(ctl):
    records = play(ctl, f"call {POOL} to=alice@example.org pipelining\nwait 3m\nagain\n")
    outcomes = {r["line"]: r["outcome"] for r in records if r["part"] == "rule"}
    texts = {r["line"]: r["text"] for r in records if r["part"] == "rule"}
    by_text = {texts[line]: outcome for line, outcome in outcomes.items()}
    assert by_text["greylist at rcpt when s25r or not rdns pass"] == "decides"
    assert by_text["observe reject at data when pipelining"] == "observes"
    assert by_text["reject at rcpt when early-talker"] == "no"
    assert by_text["trust at connect when client in <friends>"] == "no"


def test_on_the_command_line(ctl):
    done = ctl.run_ctl("gate", "simulate", "client=192.0.2.8", "ptr=mail-a1-b2.pool.example", "a=192.0.2.8",
                       "from=a@pool.example", "to=alice@example.org", "again=1m,6m")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("0s: caller 1, 192.0.2.8")
    assert [line for line in lines if not line.startswith(" ") and line] == \
        ["0s: caller 1, 192.0.2.8", "60s: caller 2, 192.0.2.8", "6m: caller 3, 192.0.2.8"]
    assert lines[-1] == "  let in"


@pytest.mark.parametrize("times", ["soon", "6m,1m", "1m,", ""])
def test_times_are_read_before_anything_is_played(ctl, times):
    done = ctl.run_ctl("gate", "simulate", "client=192.0.2.8", f"again={times}")
    assert (done.returncode, done.stdout) == (2, "") and f"again={times}: " in done.stderr


def test_an_mx_needs_no_preference(ctl):
    done = ctl.run_ctl("gate", "simulate", "client=192.0.2.8", "from=a@pool.example", "mx=mail.pool.example", "to=alice@example.org")
    assert done.returncode == 0, done.stderr


def test_a_folder_is_no_script(ctl):
    done = ctl.run_ctl("gate", "simulate", "/tmp")
    assert done.returncode == 1 and "Is a directory" in done.stderr


@pytest.mark.parametrize("script, what", [
    ("again\n", ":1: nobody has called yet"),
    ("call from=a@b\n", "client=IP is missing"),
    ("\n\ncall client=192.0.2.1 frobnicate\n", ':3: "frobnicate" is none of'),
    ("jump\n", '"jump" is none of call'),
    ("wait forever\n", "a time is expected"),
    ("dns x\n", "a record is NAME TYPE DATA"),
    ("call client=192.0.2.1 to=@\n", "that is no address"),
    ('call "client=192.0.2.1\n', "a quote is not closed"),
    ("call client=192.0.2.1 a=192.0.2.1\n", "whose?"),
    ("call client=192.0.2.1 dns=/nowhere/at/all\n", "No such file"),
    ("call " + "x " * 300 + "\n", "too many words"),
])
def test_mistakes(ctl, script, what):
    done = ctl.run_ctl("gate", "simulate", "-", stdin=script)
    assert done.returncode == 1
    assert what in done.stderr
