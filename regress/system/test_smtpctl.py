"""smtpctl and sendmail with a running server, and without one."""
import base64
import json
import os
import pathlib
import re
import subprocess
import time

import pytest

from genkan import BUILD, Client, Genkan, as_user, certificate, wait_for

CONF = """
table aliases {
	"team" = "alice, bob, far@elsewhere.example",
	"here" = "there",
	"there" = "here"
}
gate {
	trust when client in { 127.0.0.9 }
	pause 1s when s25r
	greylist when s25r or not rdns pass
	reject "not you" at helo when helo in { "bad.example" }
	observe reject when sender in { "odd.example" }
}
limit size 200K
relay {
	from { 127.0.0.9 }
	route "*" to "[127.0.0.1]:9"
}
domain "example.org" {
	aliases <aliases>
	users { "alice", "bob" }
	deliver maildir "$mail/%{user}"
}
"""


@pytest.fixture(scope="module")
def mx(tmp_path_factory, dns):
    dns.host("mail.good.example", "127.0.2.1")
    dns.host("ppp-127-0-2-2.home.example", "127.0.2.2")
    dns.reload()
    with Genkan(tmp_path_factory.mktemp("ctl"), CONF, dns=dns) as server:
        yield server


@pytest.fixture
def paused(mx):
    """Nothing leaves the queue meanwhile, and nothing is left in it after."""
    mx.ctl("pause", "out")
    yield mx
    mx.ctl("resume", "out")
    mx.ctl("queue", "remove", "all")


def sendmail(mx, *words, stdin="", name="sendmail"):
    link = mx.dir / name
    if not link.exists():
        link.symlink_to(BUILD / "smtpctl")
    command = [BUILD / "smtpctl", "-f", mx.conf_path, "sendmail", *words]
    return subprocess.run(command, capture_output=True, text=True, input=stdin, env=mx.env, timeout=60, **as_user())


def send(mx, *words, stdin="Subject: x\n\nhello\n"):
    done = sendmail(mx, "-v", *words, stdin=stdin)
    assert done.returncode == os.EX_OK, done.stderr
    return re.match(r"queued as (\w{13}) ", done.stdout).group(1)


def both(mx, *words):
    """In both forms: text for people, a list of objects."""
    text = mx.run_ctl(*words)
    assert text.returncode == 0, text.stderr
    return text.stdout, mx.ctl(*words)


# --- the command itself ---

def test_without_words_prints_the_table(mx):
    done = mx.run_ctl()
    assert done.returncode == 2
    for word in ("queue export", "gate explain", "grey forget", "s25r", "address", "config show", "stats", "pause"):
        assert word in done.stdout
    assert mx.run_ctl("-h").returncode == 0


@pytest.mark.parametrize("words, hint", [
    (["quue", "list"], '"queue"'), (["queue", "lst"], '"list"'), (["queue"], "list"), (["queue", "show"], "usage"),
    (["queue", "show", "a", "b"], "usage"), (["s25r"], "usage"), (["pause", "now"], "usage"),
    (["gate", "explain", "client=x"], "client=x"), (["gate", "explain", "frob"], "frob"),
    (["queue", "list", "frob=x"], "frob"), (["queue", "remove"], "all"), (["grey", "list", "frob"], "frob"),
    (["gate", "report", "since=x"], "since"), (["-q"], "invalid"),
])
def test_usage_is_2(mx, words, hint):
    done = mx.run_ctl(*words)
    assert done.returncode == 2
    assert hint in done.stderr
    assert done.stdout == ""


def test_version(mx):
    text, objects = both(mx, "version")
    assert text.startswith("Genkan ")
    assert objects[0]["server"] == objects[0]["version"]


# --- the queue ---

def test_queue_list_and_summary(paused):
    first, second = send(paused, "-f", "a@b.example", "x@elsewhere.example"), send(paused, "-f", "<>", "y@other.example")
    text, objects = both(paused, "queue", "list")
    assert [o["message"] for o in objects] == [first, second]
    assert objects[0]["sender"] == "a@b.example" and objects[1]["sender"] == ""
    assert text.splitlines()[0].split()[:3] == ["MESSAGE", "AGE", "SIZE"]
    assert re.search(rf"^{second} .* <> +y@other.example ", text, re.M)
    text, objects = both(paused, "queue", "summary")
    assert objects[0]["messages"] == 2
    assert {o["domain"] for o in objects[1:] if "domain" in o} == {"elsewhere.example", "other.example"}
    assert "elsewhere.example" in text
    assert {"out"} == {o["destination"] for o in objects if o.get("state") == "paused"}
    assert re.search(r"^out +paused ", text, re.M)


def test_queue_selectors(paused):
    ids = [send(paused, "-f", "a@b.example", "x@elsewhere.example"), send(paused, "-f", "c@b.example", "y@other.example")]
    select = lambda *words: [o["message"] for o in paused.ctl("queue", "list", *words)]
    assert select("from=a@b.example") == ids[:1]
    assert select("domain=other.example") == ids[1:]
    assert select("from=b.example") == ids
    assert select("older=1h") == []
    paused.advance(7200)
    assert select("older=1h") == ids
    assert select("state=held") == []
    assert select(ids[1]) == ids[1:]


def test_queue_show_cat_log(paused):
    message = send(paused, "-f", "a@b.example", "alice@elsewhere.example", stdin="Subject: show\n\nbody\n")
    text, objects = both(paused, "queue", "show", message)
    assert objects[0]["message"] == message and objects[0]["sender"] == "a@b.example"
    assert objects[1]["recipient"] == "alice@elsewhere.example"
    assert f"message:    {message}\n" in text
    done = paused.run_ctl("queue", "cat", message)
    assert done.returncode == 0
    assert "Subject: show\n" in done.stdout and done.stdout.endswith("\nbody\n")
    [whole] = paused.ctl("queue", "cat", message)
    assert base64.b64decode(whole["base64"]).endswith(b"\r\n\r\nbody\r\n")
    text, objects = both(paused, "queue", "log", message)
    assert objects[0]["event"] == "accepted" and message in text


def test_queue_verbs(paused):
    message = send(paused, "-f", "", "x@elsewhere.example")
    state = lambda: paused.ctl("queue", "list", message)[0]["state"]
    assert paused.run_ctl("queue", "hold", "-n", message).returncode == 0
    assert state() != "held"
    assert paused.ctl("queue", "hold", message) == [{"message": message, "result": "held"}]
    assert state() == "held"
    paused.ctl("queue", "release", message)
    assert state() != "held"
    paused.ctl("queue", "flush", message)
    assert "removed" in paused.run_ctl("queue", "remove", message).stdout
    assert paused.queue() == []
    done = paused.run_ctl("queue", "show", message)
    assert done.returncode == 1 and "no such message" in done.stderr


@pytest.mark.parametrize("verb, result", [("remove", "removed"), ("bounce", "returned")])
def test_queue_verbs_mean_recipients(paused, verb, result):
    """What is done to a domain is not done to the other recipients of the same message."""
    names = ["a@gone.example", "b@other.example", "c@sub.gone.example", "d@other.example"]
    message = send(paused, "-f", "alice@example.org", *names)
    waiting = lambda: paused.ctl("queue", "list", message)[0]["recipients"].split(",")
    [shown] = paused.ctl("queue", verb, "-n", "domain=gone.example")
    assert (shown["recipients"], shown["waiting"]) == ("a@gone.example,c@sub.gone.example", 2)
    assert waiting() == names
    assert paused.ctl("queue", verb, "domain=gone.example") == [{"message": message, "result": result, "recipients": 2}]
    wait_for(lambda: waiting() == ["b@other.example", "d@other.example"], "the others to stay")
    assert paused.ctl("queue", verb, "domain=gone.example") == []
    assert paused.ctl("queue", verb, "to=*@other.example") == [{"message": message, "result": result, "recipients": 2}]
    wait_for(lambda: not paused.queue(), "an empty queue")
    if verb == "bounce":
        for about in paused.deliveries("alice", 2):
            assert about.count(b"Final-Recipient:") == 2


def test_queue_verbs_say_what_is_done(paused):
    held, other = (send(paused, "-f", "bob@example.org", name) for name in ("x@elsewhere.example", "y@elsewhere.example"))
    paused.ctl("queue", "hold", held)
    assert [line["message"] for line in paused.ctl("queue", "release", "-n", "all")] == [held]
    assert [line["message"] for line in paused.ctl("queue", "release", "all")] == [held]
    assert [line["result"] for line in paused.ctl("queue", "flush", "at=2h", "all")] == ["scheduled", "scheduled"]


def test_queue_bounce_tells_the_sender(paused):
    send(paused, "-f", "bob@example.org", "x@elsewhere.example", stdin="Subject: come back\n\nx\n")
    paused.ctl("queue", "bounce", "to=x@elsewhere.example")
    [notice] = paused.deliveries("bob", 1)
    assert b"x@elsewhere.example" in notice and b"come back" in notice


def test_queue_export(paused, tmp_path):
    large = "Subject: large\n\n" + "x" * 70 + "\n" + ("0123456789" * 7 + "\n") * 2500
    ids = [send(paused, "-f", "a@b.example", "x@elsewhere.example", "y@elsewhere.example"),
           send(paused, "-f", "<>", "z@elsewhere.example", stdin=large)]
    folder = paused.dir / "export"
    done = paused.run_ctl("queue", "export", folder)
    assert done.returncode == 0, done.stderr
    assert folder.stat().st_mode & 0o777 == 0o700
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"{i}.{s}" for i in ids for s in ("eml", "envelope", "json", "restore"))
    assert (folder / f"{ids[0]}.envelope").read_text() == "a@b.example\nx@elsewhere.example\ny@elsewhere.example\n"
    assert (folder / f"{ids[1]}.envelope").read_text() == "<>\nz@elsewhere.example\n"
    content = (folder / f"{ids[1]}.eml").read_bytes()
    assert content.endswith(large.split("\n\n")[1].replace("\n", "\r\n").encode())
    assert json.loads((folder / f"{ids[0]}.json").read_text().splitlines()[0])["message"] == ids[0]
    for file in folder.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
    # a second time nothing is overwritten, and nothing half written stays
    (folder / f"{ids[0]}.eml").unlink()
    (folder / f"{ids[0]}.envelope").unlink()
    before = content
    done = paused.run_ctl("queue", "export", folder)
    assert done.returncode == 1 and "exists" in done.stderr
    assert (folder / f"{ids[1]}.eml").read_bytes() == before
    assert not (folder / f"{ids[0]}.eml").exists()
    assert [o["message"] for o in paused.queue()] == ids


def essence(server):
    """What must survive a way out and back: {(sender, time, expires, ...): (content, recipients)}"""
    kept = {}
    for line in server.queue():
        message, *recipients = server.ctl("queue", "show", line["message"])
        content = base64.b64decode(server.ctl("queue", "cat", line["message"])[0]["base64"])
        about = (message.get(k) for k in ("sender", "time", "expires", "envid", "ret", "size", "verp", "body", "smtputf8",
                                          "requiretls", "hold", "release", "deliver_by", "by"))
        kept[(*about, message["state"] == "held")] = (
            content, [tuple(r.get(k) for k in ("recipient", "original", "notify")) for r in recipients])
    return kept


def test_queue_comes_back(paused):
    """export, remove, import: the same messages wait for the same people as long as before."""
    large = "Subject: large\n\n" + ("0123456789" * 7 + "\n") * 2500
    send(paused, "-f", "a@b.example", "-V", "weird\\id", "-R", "hdrs", "-N", "success,delay", "x@elsewhere.example",
         *(f"r{n}@elsewhere.example" for n in range(130)))
    held = send(paused, "-f", "<>", "z@elsewhere.example", stdin=large)
    paused.ctl("queue", "hold", held)
    before, folder = essence(paused), paused.dir / "away"
    assert paused.run_ctl("queue", "export", folder).returncode == 0
    paused.ctl("queue", "remove", "all")
    paused.advance(3600)
    assert paused.ctl("queue", "import", "-n", folder)[0] == {"messages": 2, "failed": 0}
    assert not paused.queue()
    assert paused.ctl("queue", "import", folder)[0] == {"messages": 2, "failed": 0}
    after = essence(paused)
    assert sorted(after, key=str) == sorted(before, key=str)
    assert after == before
    # what is in the queue is not taken in again
    assert paused.ctl("queue", "import", folder)[0] == {"messages": 0, "failed": 0}
    assert (folder / f"{held}.imported").exists()


def test_all_that_was_asked_for_comes_back(tmp_path):
    """What SMTP can ask for: thousands of recipients, SMTPUTF8, a binary text, REQUIRETLS, a time to be released and one to be there."""
    certificate(tmp_path)
    with Genkan(tmp_path / "mx", f"""
        certificate "mx.example.org" chain "{tmp_path}/mx.example.org.pem" key "{tmp_path}/mx.example.org.key"
        gate {{ }}
        limit recipients off
        relay {{
            from {{ 127.0.0.0/8 }}
            route "*" to "[127.0.0.1]:9"
        }}
    """, listen='submission tls "mx.example.org"') as mx:
        mx.ctl("pause", "out")
        names = [f"a-name-of-some-length-{i}@elsewhere.example" for i in range(8000)]
        for asked, recipients, text in (
                ("XVERP=-= ENVID=x RET=FULL", names, b"From: a@b.example\r\nSubject: many\r\n\r\n"),
                ("SMTPUTF8", ["\u7384\u95a2@\u4f8b.example"], "From: a@b.example\r\nSubject: \u7384\r\n\r\n".encode()),
                ("BODY=BINARYMIME REQUIRETLS", ["x@elsewhere.example"], b"From: a@b.example\r\nContent-Type: x/y\r\n\r\na\0\nb"),
                ("HOLDFOR=7200 BY=9000;NT", ["y@elsewhere.example"], b"From: a@b.example\r\nSubject: later\r\n\r\n")):
            with Client(mx.port) as c:
                c.say("EHLO client.example")
                c.starttls()
                c.say("EHLO client.example")
                assert c.say(f"MAIL FROM:<a@b.example> {asked}").code == 250
                for some in range(0, len(recipients), 500):
                    c.send("".join(f"RCPT TO:<{name}>\r\n" for name in recipients[some:some + 500]))
                    assert all(c.reply().code == 250 for _ in recipients[some:some + 500])
                c.send(b"BDAT %d LAST\r\n" % len(text) + text)
                assert c.reply().code == 250
        before, folder = essence(mx), mx.dir / "away"
        assert len(before) == 4
        mx.ctl("queue", "export", folder)
        mx.ctl("queue", "remove", "all")
        assert mx.ctl("queue", "import", folder)[0] == {"messages": 4, "failed": 0}
        assert essence(mx) == before
        # what waits for its release still does
        [later] = [line["message"] for line in mx.queue() if "y@" in line["recipients"]]
        message, recipient = mx.ctl("queue", "show", later)
        assert recipient["due"] == message["release"]


def test_queue_import_of_others(paused):
    """Plain files of another server: an envelope and a content."""
    folder = paused.dir / "others"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "1.eml").write_bytes(b"Subject: from far\r\n\r\nhello\r\n")
    (folder / "1.envelope").write_text("<>\nx@elsewhere.example\n")
    (folder / "2.envelope").write_text("a@b.example\nx@elsewhere.example\n")
    (folder / "3.eml").write_bytes(b"Subject: bare\n\n")
    (folder / "3.envelope").write_text("a@b.example\nx@elsewhere.example\n")
    done = paused.run_ctl("queue", "import", folder)
    assert done.returncode == 1 and "2: it has no content" in done.stderr and "3: 554 5.6.0" in done.stderr
    [line] = paused.queue()
    assert line["sender"] == "" and line["recipients"] == "x@elsewhere.example"


def test_queue_at_no_time(paused):
    assert paused.run_ctl("queue", "flush", "at=teatime", "all").returncode == 2
    assert paused.run_ctl("queue", "flush", "-n", "at=23:59", "all").returncode == 0


def test_queue_export_follows_no_link(paused):
    message = send(paused, "-f", "a@b.example", "x@elsewhere.example")
    folder, victim = paused.dir / "links", paused.dir / "victim"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    (folder / f"{message}.eml").symlink_to(victim)
    assert paused.run_ctl("queue", "export", folder).returncode == 1
    assert not victim.exists()


# --- pause ---

def test_pause_in(mx):
    both(mx, "pause", "in")
    try:
        stats = [o for o in mx.ctl("stats") if o["role"] == "session" and "paused" in o]
        assert stats and all(o["paused"] for o in stats)
    finally:
        both(mx, "resume", "in")
    with Client(mx.port) as c:
        assert c.greeting.code == 220


def test_stats(mx):
    text, objects = both(mx, "stats")
    assert {"master", "session", "queue", "control", "resolver", "ledger", "lookup"} <= {o["role"] for o in objects}
    assert {o["process"] for o in objects if o["role"] == "master"} >= {"session", "queue", "control"}
    assert "\nqueue 0\n" in text
    both(mx, "stats")  # asking costs no role its connection


def test_stats_of_ledger_and_lookup(mx):
    def counted():
        [ledger] = [o for o in mx.ctl("stats") if o["role"] == "ledger" and "open" in o]
        [lookup] = [o for o in mx.ctl("stats") if o["role"] == "lookup"]
        return ledger, lookup
    ledger, lookup = counted()
    assert ledger["open"] is True and ledger["flush_failures"] == ledger["sync_failures"] == 0
    assert lookup["domains"] == 1 and lookup["tables"] == 2 and lookup["table_errors"] == 0
    with Client(mx.port, source="127.0.2.9") as c:
        assert c.mail("a@stats.example", "alice@example.org").code == 450
    now = wait_for(lambda: [both for both in [counted()] if both[0]["decisions"] > ledger["decisions"]], "a decision")
    assert now[0][0]["held"] == ledger["held"] + 1
    assert now[0][1]["recipients"] == lookup["recipients"] + 1


# --- what the ledger knows ---

def test_grey(mx):
    with Client(mx.port, source="127.0.2.3") as c:
        assert c.mail("a@grey.example", "alice@example.org").code == 450
    [entry] = [o for o in mx.ctl("grey", "list") if o.get("from") == "a@grey.example"]
    assert entry["state"] == "waiting" and entry["to"] == "alice@example.org"
    text, objects = both(mx, "grey", "list", "from=a@grey.example")
    assert objects[0]["identity"] in text
    text, objects = both(mx, "grey", "show", "from=a@grey.example")
    assert "from:" in text and "rule" in objects[0]
    both(mx, "grey", "pass", "from=a@grey.example")
    with Client(mx.port, source="127.0.2.3") as c:
        assert c.mail("a@grey.example", "alice@example.org").code == 250
    both(mx, "grey", "deny", "client=127.0.2.4", "for=1h", "note=a test")
    assert mx.ctl("grey", "list", "client=127.0.2.4")[0]["note"] == "a test"
    both(mx, "grey", "forget", "-n", "client=127.0.2.4")
    mx.ctl("grey", "forget", "client=127.0.2.4")
    assert mx.ctl("grey", "list", "client=127.0.2.4") == []
    mx.ctl("grey", "allow", "client=127.0.2.5")
    done = mx.run_ctl("grey", "forget", "client=127.0.99.1")
    assert done.returncode == 1 and done.stderr


def test_gate_report(mx):
    with Client(mx.port, source="127.0.2.6") as c:
        c.mail("a@report.example", "alice@example.org")
    text, objects = both(mx, "gate", "report", "since=1d")
    assert [o for o in objects if o.get("part") == "rule" and o["action"] == "greylist"]
    assert "let in: " in text and "greylist" in text


def test_gate_explain_session(mx):
    with Client(mx.port, source="127.0.2.7") as c:
        reply = c.mail("a@session.example", "alice@example.org")
    session = re.search(r"\b(\w{13})\)", reply.text).group(1)
    text, objects = both(mx, "gate", "explain", f"session={session}")
    assert objects[0]["session"] == session and objects[0]["client"] == "127.0.2.7"
    assert "verdict:" in text


# --- gate explain: no server is needed ---

def explain(mx, *words):
    done = mx.run_ctl("gate", "explain", *words, json_lines=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def facts(objects):
    return {o["fact"]: o["value"] for o in objects if o["part"] == "fact"}


def outcomes(objects):
    return [o["outcome"] for o in sorted((o for o in objects if o["part"] == "rule"), key=lambda o: o["rule"])]


def verdict(objects):
    [found] = [o["text"] for o in objects if o["part"] == "verdict"]
    return found


def test_explain_a_good_caller(mx):
    found = explain(mx, "client=127.0.2.1", "helo=mail.good.example", "from=a@b.example", "to=alice@example.org")
    assert facts(found)["rdns"] == "pass" and facts(found)["s25r"] == "pass"
    assert outcomes(found) == ["no"] * 5
    assert verdict(found).startswith("let in")


def test_explain_a_home_line(mx):
    found = explain(mx, "client=127.0.2.2", "helo=x.example", "from=a@odd.example", "to=alice@example.org")
    assert facts(found)["s25r own-address"] == "yes"
    assert outcomes(found) == ["no", "waits", "decides", "no", "not reached"]
    assert verdict(found).startswith("greylist at rcpt")
    [asked] = [o["text"] for o in found if o["part"] == "greylist"]
    assert '"net:127.0.2.0/24"' in asked
    assert [o for o in found if o["part"] == "to pass"]


def test_explain_says_what_is_open(mx):
    found = explain(mx, "client=127.0.2.1")
    assert outcomes(found) == ["no", "no", "no", "open", "open"]
    assert [o["text"] for o in found if o["part"] == "uncertain"] == ["some rules are open; give helo= from="]


def test_explain_ends_where_the_gate_ends(mx):
    found = explain(mx, "client=127.0.0.9", "name=")
    assert outcomes(found)[0] == "decides" and set(outcomes(found)[1:]) == {"not reached"}
    found = explain(mx, "client=127.0.2.1", "helo=bad.example")
    assert verdict(found).startswith("reject at helo")
    assert outcomes(found)[2] == "not reached"


def test_explain_observes(mx):
    found = explain(mx, "client=127.0.2.1", "helo=a.example", "from=a@odd.example", "to=alice@example.org")
    assert outcomes(found)[4] == "observes"
    assert verdict(found).startswith("let in")


def test_explain_agrees_with_the_server(mx):
    for source, expected in (("127.0.2.1", 250), ("127.0.2.8", 450)):
        found = explain(mx, f"client={source}", "helo=h.example", "from=a@agree.example", "to=alice@example.org")
        with Client(mx.port, source=source) as c:
            assert c.mail("a@agree.example", "alice@example.org", helo="h.example").code == expected
        assert verdict(found).startswith("let in" if expected == 250 else "greylist")


def test_explain_asks_the_ledger_whom_the_recipient_wrote_to(mx):
    words = ["client=127.0.2.1", "from=friend@far.example", "to=alice@example.org"]
    assert facts(explain(mx, *words))["known-correspondent"] == "no"
    assert not [o for o in explain(mx, *words) if o.get("fact") == "known-correspondent" and o.get("why")]


# --- addresses, names, configuration ---

def test_address(mx):
    text, objects = both(mx, "address", "alice@example.org")
    assert objects[0]["route"] == "maildir" and objects[0]["path"] == f"{mx.mail}/alice"
    assert text.startswith("alice@example.org  maildir ")
    text, objects = both(mx, "address", "team@example.org")
    assert [(o["depth"], o["address"]) for o in objects] == [
        (0, "team@example.org"), (1, "alice@example.org"), (1, "bob@example.org"), (1, "far@elsewhere.example")]
    assert objects[3]["destination"] == "[127.0.0.1]:9"
    assert "\n  far@elsewhere.example  relay [127.0.0.1]:9  (route \"*\")\n" in text


def test_address_that_leads_nowhere(mx):
    assert mx.run_ctl("address", "nobody@example.org").returncode == 1
    assert mx.run_ctl("address", "here@example.org").returncode == 1  # a loop
    assert mx.run_ctl("address", "a b@example.org").returncode == 2


def test_s25r(mx):
    done = mx.run_ctl("s25r", "mail.example.org", "1-2-3-4.example.net")
    assert done.stdout == "mail.example.org\tpass\n1-2-3-4.example.net\trule 1\n"
    done = mx.run_ctl("s25r", "-", stdin="unknown\n\n  mail.example.org \r\n")
    assert done.stdout == "unknown\trule 0\nmail.example.org\tpass\n"
    assert mx.ctl("s25r", "1-2-3-4.example.net")[0]["rule"] == 1


def test_config(mx, tmp_path):
    assert "OK" in mx.run_ctl("config", "check").stdout
    assert mx.ctl("config", "check") == [{"configuration": "ok"}]
    shown = mx.run_ctl("config", "show").stdout
    assert shown == mx.ctl("config", "show")[0]["text"]
    again = mx.dir / "again.conf"
    again.write_text(shown)
    done = subprocess.run([BUILD / "smtpctl", "-f", again, "config", "show"], capture_output=True, text=True)
    assert done.stdout == shown
    again.write_text("hots \"x\"\n")
    done = subprocess.run([BUILD / "smtpctl", "-f", again, "config", "check"], capture_output=True, text=True)
    assert done.returncode == 1 and f"{again}:1:1" in done.stderr


# --- sendmail ---

def test_sendmail_delivers(mx):
    alice, bob = len(mx.messages("alice")), len(mx.messages("bob"))
    done = sendmail(mx, "-oi", "-t", "-f", "me@b.example", "-F", "Me, Myself",
                    stdin="To: Alice <alice@example.org>\nBcc: bob@example.org\nSubject: y\n\n.\nend\n")
    assert done.returncode == os.EX_OK, done.stderr
    for user, before in (("alice", alice), ("bob", bob)):
        [mail] = wait_for(lambda: mx.messages(user)[before:], f"mail for {user}")
        mail = mail.replace(b"\r\n", b"\n")
        assert b"Return-Path: <me@b.example>\n" in mail
        assert b'\nFrom: "Me, Myself" <me@b.example>\n' in mail
        assert re.search(rb"\nReceived: from \S+ \(uid \d+\)\n\tby mx.example.org with local id \w{13};\n", mail)
        assert b"Bcc" not in mail
        assert mail.endswith(b"\n\n.\nend\n")


def test_sendmail_from_cron(mx):
    before = len(mx.messages("alice"))
    text = ("From: root (Cron Daemon)\nTo: alice@example.org\nSubject: Cron <root@x> job\n"
            "Content-Type: text/plain; charset=UTF-8\nAuto-Submitted: auto-generated\n\nprogress 1%\rprogress 100%\n")
    done = sendmail(mx, "-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", stdin=text)
    assert done.returncode == os.EX_OK, done.stderr
    [mail] = wait_for(lambda: mx.messages("alice")[before:], "mail for alice")
    assert b"From: root@mx.example.org (Cron Daemon)" in mail


@pytest.mark.parametrize("words, stdin, code", [
    pytest.param([], "x\n", os.EX_USAGE, id="no recipients"),
    pytest.param(["-t"], "Subject: x\n\nx\n", os.EX_USAGE, id="none in the header"),
    pytest.param(["-t"], 'To: "a@b\n\nx\n', os.EX_DATAERR, id="a header that cannot be read"),
    pytest.param(["a b@c.example"], "x\n", os.EX_USAGE, id="no address"),
    pytest.param(["-f", "a b", "c@d.example"], "x\n", os.EX_USAGE, id="no sender"),
    pytest.param(["-bd"], "", os.EX_USAGE, id="-bd"),
    pytest.param(["-N", "sometimes", "a@b.example"], "x\n", os.EX_USAGE, id="-N"),
    pytest.param(["alice@example.org"], "Subject: x\n\n" + "x" * 300000 + "\n", os.EX_DATAERR, id="too large"),
    pytest.param(["alice@example.org"], "Received: x\n" * 200 + "\nx\n", os.EX_UNAVAILABLE, id="a loop"),
])
def test_sendmail_refuses(mx, words, stdin, code):
    before = mx.queue()
    done = sendmail(mx, *words, stdin=stdin)
    assert done.returncode == code, done.stderr
    assert "sendmail: " in done.stderr
    assert mx.queue() == before


def speak(mx, *lines, end="\r\n"):
    """sendmail -bs: its replies, a list of lines."""
    done = sendmail(mx, "-bs", stdin="".join(line + end for line in lines))
    assert done.returncode == os.EX_OK, done.stderr
    return done.stdout.split("\n")[:-1]


def test_sendmail_speaks(mx):
    """-bs, as Symfony's Mailer and Alpine call it."""
    before = len(mx.messages("alice"))
    replies = speak(mx, "EHLO [127.0.0.1]", "MAIL FROM:<me@b.example> SIZE=100", "rcpt to: <alice@example.org>",
                    "RCPT TO:<alice@example.org>", "DATA", "Subject: spoken", "", "..", "end", ".", "QUIT", "NOOP")
    assert [r[:3] for r in replies] == ["220", *["250"] * 5, "250", "250", "250", "354", "250", "221"]
    [mail] = wait_for(lambda: mx.messages("alice")[before:], "mail for alice")
    assert b"Return-Path: <me@b.example>\n" in mail and mail.endswith(b"\n\n.\nend\n")
    assert re.search(rb"\nReceived: from \S+ \(uid \d+\)\n", mail) and b"\nFrom: me@b.example\n" in mail


def test_sendmail_speaks_and_refuses(mx):
    before, count = mx.queue(), len(mx.messages("alice"))
    data = ("DATA", "Subject: x", "", "x", ".")
    replies = speak(mx, "RCPT TO:<alice@example.org>", "DATA", "MAIL FROM:<a b@c>", "MAIL FROM:me@b.example",
                    "MAIL FROM:<me@b.example> BODY=SMOKESIGNS", "MAIL FROM:<me@b.example>", "MAIL FROM:<me@b.example>",
                    "RCPT TO:<>", "DATA", "RSET", "RCPT TO:<alice@example.org>", "WIZ", "",
                    "MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA", "Subject: x", "", "x" * 300000, ".",
                    "MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA", *["Received: x"] * 200, "", "x", ".", *data, end="\n")
    assert [r[:7] for r in replies[1:]] == [
        "503 5.5", "503 5.5", "553 5.1", "553 5.1", "555 5.5", "250 2.1", "503 5.5", "553 5.1", "503 5.5", "250 2.0",
        "503 5.5", "500 5.5", "500 5.5", "250 2.1", "250 2.1", "354 go ", "552 5.3", "250 2.1", "250 2.1", "354 go ",
        "554 5.4", "503 5.5", "500 5.5", "500 5.5", "500 5.5", "500 5.5"]
    # an input that ends before the dot is no message
    assert len(speak(mx, "MAIL FROM:<>", "RCPT TO:<alice@example.org>", "DATA", "Subject: half", "", "x")) == 4
    assert mx.queue() == before and len(mx.messages("alice")) == count


def test_mailq_says_that_there_is_nothing(paused):
    assert sendmail(paused, "-bp").stdout == "Mail queue is empty\n"


def test_sendmail_by_its_names(mx):
    env = dict(mx.env)
    for name, code in (("newaliases", os.EX_OK), ("mailq", None), ("sendmail", os.EX_USAGE)):
        link = mx.dir / name
        if not link.is_symlink():
            link.symlink_to(BUILD / "smtpctl")
        done = subprocess.run([link], capture_output=True, text=True, input="x\n", env=env, timeout=30, **as_user())
        if code is not None:
            assert done.returncode == code, (name, done.stderr)


def test_newaliases(place):
    """What is wrong with a file is said where it was changed, and a table of many rows is made anew."""
    text, rows = place / "aliases", place / "rows"
    text.write_text("root: bob\n")
    rows.write_text("info: bob\n")
    build = subprocess.run([BUILD / "smtpctl", "table", "build", rows], capture_output=True, text=True)
    assert build.returncode == 0, build.stderr
    mx = Genkan(place / "mx", f"""
table aliases file "{text}"
table rows db "{rows}.db"
domain "example.org" {{
	aliases <aliases>
	users {{ "bob" }}
}}
domain "example.net" {{
	aliases <rows>
	users {{ "bob" }}
	deliver maildir "{place}/%{{user}}"
}}
""")
    call = lambda: subprocess.run([*mx.smtpctl(), "sendmail", "-bi"], capture_output=True, text=True, env=mx.env)
    assert (call().returncode, call().stdout) == (os.EX_OK, "")
    text.write_text("root: bob\ninfo: |/bin/cat >/dev/null\n")
    done = call()
    assert done.returncode == os.EX_DATAERR and f"{text}:2: " in done.stderr
    text.write_text("root: bob\n")
    rows.write_text("info: bob\nnews: bob\n")
    os.utime(rows, ns=(time.time_ns(), time.time_ns() + 10**9))
    done = call()
    assert (done.returncode, done.stdout) == (os.EX_OK, f"{rows}.db: 2 rows\n"), done.stderr
    assert mx.run_ctl("address", "news@example.net").returncode == 0
    rows.write_text('"open\n')
    os.utime(rows, ns=(time.time_ns(), time.time_ns() + 10**10))
    done = call()
    assert done.returncode == os.EX_DATAERR and f"{rows}:1: " in done.stderr
    assert mx.run_ctl("address", "news@example.net").returncode == 0


def test_bp_lists_the_queue(paused):
    message = send(paused, "-f", "a@b.example", "x@elsewhere.example")
    assert message in sendmail(paused, "-bp").stdout


def test_sendmail_without_a_server(place):
    mx = Genkan(place, CONF)
    done = sendmail(mx, "alice@example.org", stdin="x\n")
    assert done.returncode == os.EX_TEMPFAIL
    assert "does not run" in done.stderr
    done = mx.run_ctl("queue", "list")
    assert done.returncode == 1 and "does not run" in done.stderr
    assert mx.run_ctl("version").returncode == 0


def test_large_message_arrives_whole(mx):
    before = len(mx.messages("bob"))
    text = "Subject: large\nTo: bob@example.org\n\n" + "".join(f"line {i}\n" for i in range(15000))
    send(mx, "-f", "a@b.example", "bob@example.org", stdin=text)
    [mail] = [m for m in wait_for(lambda: mx.messages("bob")[before:], "mail for bob")]
    assert mail.replace(b"\r\n", b"\n").endswith(text.split("\n\n", 1)[1].encode())


# --- who may ask ---

@pytest.mark.skipif(os.geteuid() != 0, reason="another user can be had by the superuser only")
def test_strangers_may_only_hand_in_mail(place):
    with Genkan(place, CONF) as mx:
        strangers(mx)


def strangers(mx):
    stranger = {"user": 1, "group": 1, "extra_groups": []}
    ctl = lambda *words, **more: subprocess.run([BUILD / "smtpctl", "-f", mx.conf_path, *words], capture_output=True,
                                                text=True, timeout=60, env=mx.env, **stranger, **more)
    for words in (["queue", "list"], ["queue", "remove", "all"], ["stats"], ["grey", "list"], ["pause"]):
        done = ctl(*words)
        assert done.returncode == 1 and "only the superuser" in done.stderr, done.stderr
    assert ctl("version").returncode == 0
    assert ctl("sendmail", "alice@example.org", input="Subject: stranger\n\nx\n").returncode == 0
    [mail] = mx.deliveries("alice", 1)
    assert b"(uid 1)" in mail
    for role in ("session", "queue"):
        assert [o for o in mx.ctl("stats") if o["role"] == role]


def test_a_broken_configuration_stops_no_queue_list(place):
    with Genkan(place, CONF) as mx:
        whole = mx.conf_path.read_text()
        mx.conf_path.write_text(whole + "frob\n")
        done = mx.run_ctl("queue", "list")
        assert done.returncode == 0 and "cannot be used" in done.stderr
        mx.conf_path.write_text("frob\n")
        done = mx.run_ctl("queue", "list")
        assert done.returncode == 1 and "/var/spool/genkan" in done.stderr
        mx.conf_path.write_text(whole)


def test_the_manual_names_every_verb(mx):
    manual = (pathlib.Path(__file__).parents[2] / "man" / "smtpctl.8").read_text()
    table = mx.run_ctl("-h").stdout.split("\nqueue SELECTOR")[0]
    commands = re.findall(r"^  ([a-z0-9]+(?: [a-z]+(?![a-z=]))?)", table, re.M)
    assert len(commands) > 25
    for command in commands:
        assert re.search(rf"^\.It Cm {command}\b", manual, re.M), command


def test_the_server_goes_away(place):
    mx = Genkan(place, CONF).start()
    mx.ctl("queue", "list")
    mx.stop()
    assert mx.run_ctl("queue", "list").returncode == 1
    with mx:  # the socket that was left behind is replaced
        assert mx.ctl("queue", "list") == []
