"""What the gate did, told: figures of several days on the test clock as table, JSON and page."""
import html.parser
import re

import pytest

from genkan import Client, Genkan, own, wait_for

CONF = """
relay {
	from { 127.0.0.1 }
	route "*" to "[127.0.0.1]:9"
}
gate {
	pause 1s when rdns in { "slow.example" }
	reject "no entry, <b>%{name}</b>" when rdns in { "spam.example" }
	tempfail when rdns in { "put.example" }
	greylist when rdns in { "grey.example" }
	observe reject when sender in { "watched.example" }
}
domain "example.org" {
	users { "alice" }
	deliver maildir "$mail/%{user}"
}
"""
HOSTS = {"mx.slow.example": "127.0.61.1", "mx.spam.example": "127.0.61.2", "mx.put.example": "127.0.61.3",
         "mx.grey.example": "127.0.61.4", "mx.good.example": "127.0.61.5", "mx.honest.example": "192.0.2.63"}
DAY = 86400


@pytest.fixture(scope="module")
def mx(tmp_path_factory, dns):
    """Three days of mail.  Nothing is asked of it before all is sent."""
    for name, address in HOSTS.items():
        dns.host(name, address)
    dns.reload()
    directory = tmp_path_factory.mktemp("report")
    directory.chmod(0o755)
    with Genkan(directory, CONF, dns=dns, verbose=True) as server:
        def send(name, sender="a@x.example", code=250):
            with Client(server.port, source=HOSTS[f"mx.{name}.example"]) as c:
                reply = c.mail(sender, "alice@example.org")
                assert reply.code == code, reply

        for day in range(3):
            send("good")
            send("good", f"{'abc'[day]}@watched.example")
            send("spam", code=550)
            send("spam", code=550)
            send("put", f"{'abc'[day]}@x.example", code=450)
            send("grey", f"never{'abc'[day]}@x.example", code=450)
            send("grey", f"back{'abc'[day]}@x.example", code=450)
            server.advance(600)
            send("grey", f"back{'abc'[day]}@x.example")
            if day == 0:
                send("slow")
                with Client(server.port, source=HOSTS["mx.slow.example"], greet=False):
                    pass    # he passed a moment ago and does not wait again
            server.advance(DAY - 600)
        with Client(server.port, source=HOSTS["mx.slow.example"], greet=False) as c:
            server.await_log("gate.wait", client=HOSTS["mx.slow.example"])
            wait_for(lambda: len([e for e in server.log("gate.wait")]) == 2, "his second pause")
            c.close()
        server.await_log("gate.verdict", what="hung up")
        yield server


def rules(mx, *words):
    return {(r["action"], r.get("observe", False)): r for r in mx.ctl("gate", "report", *words) if r["part"] == "rule"}


def effect(rule):
    return {k: rule[k] for k in ("stopped", "delayed", "waiting", "let_in") if rule[k]}


def test_each_rule_has_its_figures(mx):
    found = rules(mx, "since=4d")
    assert effect(found["reject", False]) == {"stopped": 6}
    assert effect(found["reject", True]) == {"stopped": 3}      # would have
    # two days are the time to come back: two of the first day did not
    assert effect(found["greylist", False]) == {"stopped": 1, "delayed": 3, "waiting": 2}
    assert effect(found["tempfail", False]) == {"stopped": 1, "waiting": 2}
    assert effect(found["pause", False]) == {"stopped": 1, "delayed": 1}
    parts = {r["part"]: r for r in mx.ctl("gate", "report", "since=4d")}
    assert parts["let-in"]["messages"] == 10 and parts["let-in"]["after_waiting"] == 3
    assert parts["wait"]["count"] == 3 and 600 <= parts["wait"]["max"] < 660
    assert parts["came-back"]["rescued"] == 3


def test_a_part_of_the_time(mx):
    assert effect(rules(mx, "since=25h", "until=2h")["reject", False]) == {"stopped": 2}
    assert ("reject", False) not in rules(mx, "since=2h")
    text = mx.run_ctl("gate", "report", "since=25h").stdout
    assert re.search(r"^RULE +LINE +ACTION .*STOPPED +DELAYED +WAITING", text, re.M) and "let in: 3 messages" in text


class Reader(html.parser.HTMLParser):
    """What a browser would see: the tags, the text, and the tables."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.tables, self.cell, self.text = [], [], None, ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not {"src", "href", "onload", "onclick"} & set(dict(attrs))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.cell = self.tables[-1][-1]

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.cell = None

    def handle_data(self, data):
        self.text += data
        if self.cell is not None:
            self.cell[-1] += data


def test_the_page(mx):
    page = mx.run_ctl("gate", "report", "html", "-", "lang=en", "since=4d")
    assert page.returncode == 0, page.stderr
    seen = Reader(page.stdout)
    assert "script" not in seen.tags and "b>" not in page.stdout.split("no entry")[1][:20]
    assert 'reject "no entry, <b>%{name}</b>" at rcpt when' in seen.text
    assert seen.tags.count("svg") == seen.tags.count("desc") == seen.tags.count("details")
    days = seen.tables[0][1:]
    assert len(days) in (4, 5) and sum(int(row[4]) for row in days) == 6 + 1 + 1 + 1    # stopped
    assert sum(int(row[2]) for row in days) == 3 and sum(int(row[1]) for row in days) == 7
    assert "would have stopped" in seen.text and "Who came back" in seen.text


def test_the_page_in_japanese(mx):
    page = mx.run_ctl("gate", "report", "html", "-", "lang=ja").stdout
    assert '<html lang="ja">' in page and "玄関の記録" in page and "would have" not in page


def test_the_file_is_whole_or_not_there(mx):
    path = mx.dir / "page.html"
    own(mx.dir)
    assert mx.run_ctl("gate", "report", "html", path, "lang=en").returncode == 0
    assert path.read_text().endswith("</html>\n") and not path.with_suffix(".html.new").exists()
    done = mx.run_ctl("gate", "report", "html", mx.dir / "nowhere" / "page.html")
    assert done.returncode == 1 and "nowhere" in done.stderr


@pytest.mark.parametrize("words", [[], ["-", "lang=xx"], ["-", "since=x"], ["-", "page.html"], ["-", "since=1d", "until=2d"]])
def test_words_that_are_none(mx, words):
    done = mx.run_ctl("gate", "report", "html", *words)
    assert done.returncode == 2 and "usage: smtpctl gate report" in done.stderr and not done.stdout


def test_the_word_that_is_none_is_named(mx):
    for words in (["gate", "report", "since=soon"], ["gate", "report", "since=1d", "often"], ["gate", "rescued", "since=soon"],
                  ["stats", "often"]):
        done = mx.run_ctl(*words)
        assert done.returncode == 2 and words[-1] in done.stderr.splitlines()[0], done.stderr


# --- one session of the past ---

SESSION = """
gate {
	reject when early-talker
	reject "no home lines" when s25r and not spf pass
	observe tempfail when rdns pass
}
domain "example.org" {
	users { "alice" }
	deliver maildir "$mail/%{user}"
}
"""


@pytest.fixture
def past(place, dns):
    """A server, and a session that it refused: by a name that DNS knows nothing of."""
    dns.host("mx.honest.example", HOSTS["mx.honest.example"])
    dns.reload()
    with Genkan(place, SESSION, dns=dns, listen="xclient from { 127.0.0.0/8 }") as server:
        with Client(server.port, source="127.0.62.1") as c:
            c.say("EHLO proxy.example")
            assert c.say("XCLIENT ADDR=192.0.2.62 NAME=ppp62-1.home.example").code == 220
            reply = c.mail("a@home.example", "alice@example.org", helo="desk")
        assert reply.code == 550
        server.session = re.search(r"\b(\w{13})\)", reply.text).group(1)
        yield server


def test_a_session_is_explained(past):
    found = past.ctl("gate", "explain", f"session={past.session}")
    events = [o for o in found if "part" not in o]
    assert [(e["verdict"], e.get("observe", False)) for e in events] == [("reject", False)]
    assert events[0]["identity"] == "net:192.0.2.0/24" and events[0]["from"] == "a@home.example"
    outcomes = {o["rule"]: (o["line"], o["outcome"]) for o in found if o.get("part") == "rule"}
    assert len({line for line, _ in outcomes.values()}) == 3
    assert outcomes[1][1] == "no" and outcomes[2][1] == "decides" and outcomes[3][1] == "not reached"
    facts = {o["fact"]: o["value"] for o in found if o.get("part") == "fact"}
    assert facts["rdns"] == "pass" and facts["s25r"] == "rule 1" and facts["helo"] == "desk"
    ways = [o["text"] for o in found if o.get("part") == "to pass"]
    assert any("spf" in w.lower() for w in ways), ways
    text = past.run_ctl("gate", "explain", f"session={past.session}").stdout
    assert "with what was known then" in text and re.search(r"rcpt +line \d+ +decides +reject", text)


def test_what_was_known_then_holds(past):
    """He has a good name in DNS, and had none when he called."""
    with Client(past.port, source="127.0.62.1") as c:
        c.say("EHLO proxy.example")
        c.say("XCLIENT ADDR=192.0.2.63 NAME=[UNAVAILABLE]")
        reply = c.mail("a@home.example", "alice@example.org", helo="desk")
    assert reply.code == 550
    session = re.search(r"\b(\w{13})\)", reply.text).group(1)
    outcomes = {o["rule"]: o["outcome"] for o in past.ctl("gate", "explain", f"session={session}")
                if o.get("part") == "rule"}
    assert outcomes[2] == "decides"
    words = ["client=192.0.2.63", "helo=desk", "from=a@home.example", "to=alice@example.org"]
    outcomes = {o["rule"]: o["outcome"] for o in past.ctl("gate", "explain", *words) if o.get("part") == "rule"}
    assert outcomes[2] == "no"


def test_a_session_that_is_not_kept(past):
    done = past.run_ctl("gate", "explain", "session=0000000000001")
    assert done.returncode == 1 and "the log has older ones" in done.stderr
