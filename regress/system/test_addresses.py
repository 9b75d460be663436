"""Where addresses lead: aliases with programs, files and owners, .forward, tables of every kind, return addresses (SRS)."""
import contextlib
import os
import pathlib
import pwd
import re
import subprocess

import pytest

import watched
from genkan import BUILD, Client, Genkan, free_port, own, wait_for

OTHER = """
gate { }
relay {
	from { 127.0.0.0/8 }
	route "*" to "[127.0.0.1]:9"
}
domain "other.example" {
	users { "*" }
	deliver maildir "$mail/%{user}"
}
"""

CONF = """
gate {{ }}
table aliases file "$dir/aliases"
relay {{
	from {{ 127.0.0.0/8 }}
	route "other.example" to "[127.0.0.1]:{other}"
	route "*" to "[127.0.0.1]:9"
}}
domain "example.org" {{
	aliases <aliases>
	users {{ "alice", "bob" }}
	deliver maildir "$mail/%{{user}}"
}}
"""


def write(path, text, mode=0o644):
    """In one step, with another time than before."""
    new = pathlib.Path(f"{path}.new")
    new.write_text(text)
    new.chmod(mode)
    own(new)
    new.rename(path)


def send(mx, sender, recipient, text="Subject: test\r\n\r\nhello\r\n"):
    with Client(mx.port) as c:
        reply = c.mail(sender, recipient, text)
        assert reply.code == 250, reply


@contextlib.contextmanager
def pair(place, aliases, conf=CONF):
    """The server under test, and another one that takes everything for other.example."""
    with Genkan(place / "other", OTHER, host="mx.other.example") as other:
        (place / "mx").mkdir()
        own(place / "mx")
        write(place / "mx" / "aliases", aliases.replace("$dir", str(place / "mx")))
        with Genkan(place / "mx", conf.format(other=other.port)) as mx:
            yield mx, other


@watched.by_valgrind
def test_aliases_file(place):
    """sendmail's format whole: comments, continuation, quotes, nesting, :include:, programs, files, /dev/null."""
    script = place / "program"
    write(script, '#!/bin/sh\n{ echo "args:$# $1"; echo "$USER $RECIPIENT"; cat; } > ' + f"{place}/mx/program.out\n", 0o755)
    write(place / "team", "# the team\nbob, alice\n")
    text = f"""\
# comment
staff: alice,
\tbob   # continued
Nested: staff, "bob"
prog: "|{script} 'one word'"
both: \\bob, |{script} x
file: $dir/box
team: :include:{place}/team
void: /dev/null
"""
    with pair(place, text) as (mx, _):
        send(mx, "s@x.example", "nested@example.org")
        mx.deliveries("alice", 1)
        mx.deliveries("bob", 1)
        send(mx, "s@x.example", "prog@example.org")
        wait_for((mx.dir / "program.out").exists, "the program to have run: " + mx.log_text()[-2000:])
        mx.await_empty_queue()
        assert (mx.dir / "program.out").read_text().startswith(
            "args:1 one word\nnobody prog@example.org\nReturn-Path: <s@x.example>\nDelivered-To: prog@example.org\n")
        send(mx, "s@x.example", "file@example.org")
        wait_for(lambda: (mx.dir / "box").exists() and (mx.dir / "box").read_text().endswith("hello\n\n"), "the file")
        assert (mx.dir / "box").read_text().startswith("From s@x.example ")
        send(mx, "s@x.example", "void@example.org")
        mx.await_log("queue.delivered", to="\\void@example.org/dev/null")
        send(mx, "s@x.example", "team@example.org")
        mx.deliveries("alice", 2)
        send(mx, "s@x.example", "both@example.org")
        mx.deliveries("bob", 3)
        mx.await_empty_queue()


def test_edited_and_broken(place):
    """An edited file counts for the next recipient; a line that makes no sense is reported, and only its own mail waits."""
    with pair(place, "info: alice\n") as (mx, _):
        send(mx, "s@x.example", "info@example.org")
        mx.deliveries("alice", 1)
        write(mx.dir / "aliases", "info: bob\n")
        wait_for(lambda: mx.run_ctl("address", "info@example.org").stdout.count("bob"), "smtpctl to see it")

        def moved():
            send(mx, "s@x.example", "info@example.org")
            mx.await_empty_queue()
            return mx.messages("bob")
        wait_for(moved, "the new alias to count")
        before = len(mx.messages("bob"))
        write(mx.dir / "aliases", f"info: bob\nlater: :include:{place}/none\n")

        def accepted():
            with Client(mx.port) as c:
                return c.mail("s@x.example", "later@example.org", "Subject: later\r\n\r\nx\r\n").code == 250
        wait_for(accepted, "the new name to be known")
        mx.await_log("queue.deferred", to="later@example.org")
        write(mx.dir / "aliases", "info: bob\n\nlater: \"|/bin/cat\n")

        def reported():
            send(mx, "s@x.example", "info@example.org")
            return mx.log("table.line")
        line = wait_for(reported, "the complaint about the line")[0]
        assert f"{mx.dir}/aliases:3: a quote (\") is not closed" in line["why"]
        wrong = 'alias "later@example.org": a quote (") is not closed'
        assert wrong in refused(mx, "later@example.org")
        mx.ctl("queue", "flush")
        wait_for(lambda: any("a quote" in str(line) for line in mx.log("queue.deferred")), "its mail to wait for that reason")
        wait_for(lambda: len(mx.messages("bob")) > before, "whom the other lines name to get his mail")
        assert len(mx.log("table.line")) == 1
        write(mx.dir / "aliases", "info: bob\nlater: bob\n")
        wait_for(lambda: accepted(), "the mended line to count")
        mx.ctl("queue", "flush")
        mx.await_empty_queue()
        assert sum(b"Subject: later" in m for m in mx.messages("bob")) == 2


BROKEN = """\
info: alice
twice: alice
good: bob
Twice: bob
"lost: alice
shell: |/bin/cat > /tmp/x
"""


def refused(mx, recipient):
    with Client(mx.port) as c:
        reply = c.mail("s@x.example", recipient)
    assert reply.code == 451, reply
    return reply.text


def test_started_with_broken_lines(place):
    """Slips of the pen in the file of aliases are told by -n, by a reload and by newaliases, and the house opens: whom a bad
    line is about waits, and so does a name that may be in a line that cannot be read; nobody else does, and nothing is lost."""
    with pair(place, BROKEN) as (mx, _):
        send(mx, "s@x.example", "info@example.org")
        send(mx, "s@x.example", "good@example.org")
        send(mx, "s@x.example", "alice@example.org")
        mx.deliveries("alice", 2)
        mx.deliveries("bob", 1)
        assert '"Twice" has different values in lines 2 and 4' in refused(mx, "twice@example.org")
        assert "mx/aliases:5: the string is not closed" in refused(mx, "lost@example.org")
        assert "shell" in refused(mx, "shell@example.org")
        assert "in lines 2 and 4" in mx.await_log("session.lookup", to="twice@example.org")["why"]
        wanted = [":4: \"Twice\" is there already, in line 2, with another value", ":5: the string is not closed", ":6: "]
        looked = mx.run_ctl("sendmail", "-bi")
        assert looked.returncode == os.EX_DATAERR
        checked = subprocess.run([BUILD / "smtpd", "-n", "-f", mx.conf_path], capture_output=True, text=True, env=mx.env, **mx.ids)
        assert checked.returncode == 0
        for said in (checked.stderr, mx.run_ctl("reload").stdout, looked.stderr):
            for line in wanted:
                assert f"mx/aliases{line}" in said, said
        write(mx.dir / "aliases", "info: alice\ntwice: bob\n")

        def mended():
            with Client(mx.port) as c:
                return c.mail("s@x.example", "twice@example.org", "Subject: x\r\n\r\nx\r\n").code == 250
        wait_for(mended, "the mended file to count")
        with Client(mx.port) as c:
            assert c.mail("s@x.example", "lost@example.org").code == 550
        mx.await_empty_queue()


def test_owner(place):
    """owner-NAME sends what NAME's alias sends on: failures go to the owner and not to who wrote."""
    with pair(place, "list: alice, x@other.example, gone@example.org\nowner-list: bob\n") as (mx, other):
        send(mx, "s@other.example", "list@example.org")
        assert b"Return-Path: <owner-list@example.org>" in other.deliveries("x", 1)[0]
        assert b"Return-Path: <owner-list@example.org>" in mx.deliveries("alice", 1)[0]
        notice = mx.deliveries("bob", 1)[0]
        assert b"Return-Path: <>" in notice and b"gone@example.org" in notice and b"\nTo: <owner-list@example.org>" in notice
        mx.await_empty_queue()
        assert not other.messages("s")


def test_loop(place):
    """An alias that leads back to itself by way of others is told, and nothing goes round."""
    with pair(place, "a: b\nb: c, alice\nc: a\n") as (mx, _):
        with Client(mx.port) as c:
            reply = c.mail("s@x.example", "a@example.org")
        assert reply.code == 451 and "alias loop: a@example.org -> b@example.org -> c@example.org" in reply.text
        assert mx.run_ctl("address", "a@example.org").returncode == 1


def test_mail_for_the_host(place):
    """What cron sends to root, and what old aliases send to localhost, stays in the house."""
    with pair(place, "root: alice\nold: bob@localhost\n") as (mx, _):
        done = mx.run_ctl("sendmail", "-i", "root", stdin="Subject: from cron\n\nx\n")
        assert done.returncode == 0, done.stderr
        assert b"Delivered-To: alice@example.org" in mx.deliveries("alice", 1)[0]
        send(mx, "s@x.example", "old@example.org")
        send(mx, "s@x.example", "bob@mx.example.org")
        mx.deliveries("bob", 2)
        with Client(mx.port) as c:
            assert c.mail("s@x.example", "nobody@mx.example.org").code == 550


def test_strangers_hear_no_reasons(place):
    """What is wrong with an alias is told to our own clients and in the log, not to everybody."""
    with pair(place, "a: b\nb: a\n", CONF.replace("127.0.0.0/8", "127.0.0.1")) as (mx, _):
        for source, told in (("127.0.0.1", True), ("127.0.3.1", False)):
            with Client(mx.port, source=source) as c:
                reply = c.mail("s@x.example", "a@example.org")
            assert reply.code == 451 and ("alias loop" in reply.text) == told, reply
        assert "alias loop" in mx.await_log("session.lookup", to="a@example.org")["why"]


TABLES = """
gate {{ }}
table members db "$dir/members.db"
table odd regex "$dir/odd"
table clients regex {{ "^127\\\\.0\\\\.7\\\\." }}
relay {{
	from {{ 127.0.0.0/8 }}
	route "*" to "[127.0.0.1]:9"
}}
domain "example.org" {{
	aliases <odd>
	users <members>
	delimiter "-"
	deliver maildir "$mail/%{{user}}"
}}
domain "moved.example" {{ aliases {{ "*" = "@example.org", "kept" = "alice@example.org" }} }}
domain "all.example" {{
	users {{ "bob" = "bob@example.org", "@all.example" = "alice@example.org" }}
	deliver maildir "$mail/%{{user}}"
}}
"""


def test_tables(place):
    """A DB that smtpctl builds, patterns, catch-all, a domain written anew, another delimiter."""
    (place / "mx").mkdir()
    own(place / "mx")
    write(place / "mx" / "members", "alice\nbob\n")
    write(place / "mx" / "odd", "/^sales-(east|west)@/ $1@example.org, bob\n/^east@/ alice\n")
    built = subprocess.run([Genkan.__init__.__globals__["BUILD"] / "smtpctl", "table", "build", place / "mx" / "members"],
                           capture_output=True, text=True)
    assert built.returncode == 0 and built.stdout == f"{place}/mx/members.db: 2 rows\n", built.stderr
    (place / "mx" / "members.db").chmod(0o644)
    with Genkan(place / "mx", TABLES.format()) as mx:
        send(mx, "s@x.example", "alice-lists@example.org")
        mx.deliveries("alice", 1)
        with Client(mx.port) as c:
            for nobody in ("carol@example.org", "alice+x@example.org", "carol@moved.example"):
                assert c.mail("s@x.example", nobody).code == 550, nobody
                c.say("RSET")
        send(mx, "s@x.example", "sales-east@example.org")
        mx.deliveries("alice", 2)
        mx.deliveries("bob", 1)
        send(mx, "s@x.example", "alice@moved.example")
        mx.deliveries("alice", 3)
        send(mx, "s@x.example", "whoever@all.example")
        mx.deliveries("alice", 4)
        # built anew beside the open one
        write(mx.dir / "members", "alice\nbob\ncarol\n")
        subprocess.run([mx.smtpctl()[0], "table", "build", mx.dir / "members"], check=True, capture_output=True)
        (mx.dir / "members.db").chmod(0o644)

        def known():
            with Client(mx.port) as c:
                return c.mail("s@x.example", "carol@example.org").code == 250
        wait_for(known, "the new row")
        mx.deliveries("carol", 1)
        tree = mx.run_ctl("address", "sales-west@example.org").stdout
        assert f'"sales-west@example.org" in {mx.dir}/odd:1' in tree and "west@example.org  fails 550 5.1.1" in tree


def test_srs(place):
    """A stranger's mail that an alias sends on carries a return address of ours, a bounce to that finds its way back, and a
    forged one finds none."""
    with pair(place, "fwd: x@other.example\n") as (mx, other):
        send(mx, "s@other.example", "fwd@example.org")
        path = re.search(rb"Return-Path: <(SRS0=[^>]+)@example.org>", other.deliveries("x", 1)[0])
        assert path and path.group(1).endswith(b"=other.example=s")
        back = path.group(1).decode() + "@example.org"
        # only when it is needed: ours, and mail without a sender, go as they are
        send(mx, "alice@example.org", "fwd@example.org")
        send(mx, "", "fwd@example.org")
        wait_for(lambda: len(other.messages("x")) == 3, "the others")
        paths = [re.search(rb"Return-Path: <([^>]*)>", m).group(1) for m in other.messages("x")]
        assert sorted(paths)[0] == b"" and b"alice@example.org" in paths
        send(mx, "", back)
        assert b"Delivered-To: s@other.example" in other.deliveries("s", 1)[0]
        with Client(mx.port) as c:
            forged = c.mail("", back.replace("SRS0=", "SRS0=Z").replace("=Z", "=Q", 1))
            assert forged.code == 550 and "no return address that we have made" in forged.text
            c.say("RSET")
            mx.advance(30 * 86400)
            old = c.mail("", back, helo=None)
            assert old.code == 550 and "too old" in old.text, old
        assert os.stat(mx.dir / "spool" / "srs-secret").st_mode & 0o777 == 0o600
        tree = mx.run_ctl("address", "fwd@example.org", "from=s@other.example").stdout
        assert "from SRS0=" in tree


REWRITE = """
gate {{ }}
rewrite {{ "root@host7.example.org" = "admin@example.org", "@.example.org" = "@example.org" }}
listen on 127.0.0.1 port {port} submission
relay {{
	from {{ 127.0.0.0/8 }}
	route "*" to "[127.0.0.1]:{other}"
}}
domain "example.org" {{
	users {{ "alice" }}
	deliver maildir "$mail/%{{user}}"
}}
"""


def test_rewrite(place):
    """What our own send is from whom the table says, in the envelope and in From, Sender and Reply-To; what passes by is not."""
    port = free_port()
    with Genkan(place / "other", OTHER, host="mx.other.example") as other, \
            Genkan(place / "mx", REWRITE.format(port=port, other=other.port), host="host7.example.org") as mx:
        text = "From: Root <root@host7.example.org>\r\nReply-To: a@x.example,\r\n bob@lab.example.org (Bob)\r\n" \
               "To: alice@host7.example.org\r\nSubject: s\r\n\r\nFrom: root@host7.example.org\r\n"
        with Client(port) as c:
            assert c.mail("carol@lab.example.org", "x@other.example", text).code == 250
        got = other.deliveries("x", 1)[0].decode()
        assert "Return-Path: <carol@example.org>" in got
        assert "\nFrom: Root <admin@example.org>\n" in got and "\nReply-To: a@x.example,\n bob@example.org (Bob)\n" in got
        assert "\nTo: alice@host7.example.org\n" in got and got.endswith("\n\nFrom: root@host7.example.org\n")
        done = mx.run_ctl("sendmail", "-i", "-f", "root@host7.example.org", "y@other.example", stdin="Subject: s\n\nhello\n")
        assert done.returncode == 0, done.stderr
        got = other.deliveries("y", 1)[0].decode()
        assert "Return-Path: <admin@example.org>" in got and "admin@example.org" in re.search(r"\nFrom: (.*)", got).group(1)
        send(mx, "carol@lab.example.org", "z@other.example", text)
        got = other.deliveries("z", 1)[0].decode()
        assert "Return-Path: <carol@lab.example.org>" in got and "\nFrom: Root <root@host7.example.org>\n" in got


# --- accounts of this machine ---

ACCOUNTS = """
gate {{ }}
relay {{
	from {{ 127.0.0.0/8 }}
	route "*" to "[127.0.0.1]:9"
}}
domain "example.org" {{
	users system
	{aliases}
	deliver {deliver}
}}
"""
ALICE, BOB = "_genkan_alice", "_genkan_bob"


@pytest.fixture
def homes(place):
    """Two accounts with homes that nobody else can look into."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for account in ("_smtpd", "_smtpq"):
        try:
            pwd.getpwnam(account)
        except KeyError:
            pytest.skip(f"no account {account}; etc/make-accounts makes it")
    made = []
    try:
        for account in (ALICE, BOB):
            done = subprocess.run(["useradd", "--system", "--user-group", "--badname", "--home-dir", place / account, account],
                                  capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            made.append(account)
            (place / account).mkdir()
            entry = pwd.getpwnam(account)
            os.chown(place / account, entry.pw_uid, entry.pw_gid)
            (place / account).chmod(0o700)
        yield place
    finally:
        for account in made:
            subprocess.run(["userdel", account], capture_output=True)


def put(place, account, text, name=".forward", mode=0o600):
    entry = pwd.getpwnam(account)
    path = place / account / name
    path.write_text(text)
    path.chmod(mode)
    os.chown(path, entry.pw_uid, entry.pw_gid)
    return path


def box(place, account, folder="Maildir"):
    new = place / account / folder / "new"
    return [p.read_bytes() for p in sorted(new.iterdir())] if new.is_dir() else []


def accounts(place, deliver='maildir "%{{home}}/Maildir"', aliases=""):
    return Genkan(place / "server", ACCOUNTS.format(deliver=deliver.replace("{{", "{").replace("}}", "}"), aliases=aliases),
                  as_root=True)


@watched.by_valgrind
def test_forward(homes):
    r"""\user, addresses, a program and a file, all as the user, out of a home that only he can look into."""
    script = put(homes, ALICE, f"#!/bin/sh\n{{ id -un; cat; }} > {homes}/{ALICE}/program.out\n", "program", 0o700)
    put(homes, ALICE, f'# mine\n\\{ALICE}, {BOB}\n"|{script} x"\n{homes}/{ALICE}/box\n/dev/null\n')
    with accounts(homes) as mx:
        send(mx, "s@x.example", f"{ALICE}@example.org")
        wait_for(lambda: box(homes, ALICE) and box(homes, BOB), "both mailboxes: " + mx.log_text()[-2000:])
        mx.await_empty_queue()
        assert (homes / ALICE / "program.out").read_text().startswith(f"{ALICE}\nReturn-Path: <s@x.example>\n")
        assert (homes / ALICE / "box").read_text().startswith("From s@x.example ")
        assert os.stat(homes / ALICE / "box").st_uid == pwd.getpwnam(ALICE).pw_uid
        assert len(box(homes, ALICE)) == len(box(homes, BOB)) == 1
        tree = subprocess.run([*mx.smtpctl(), "address", f"{ALICE}@example.org"], capture_output=True, text=True).stdout
        assert f"forwards  ({homes}/{ALICE}/.forward)" in tree and f"runs {script} x as {ALICE}" in tree
        assert "there is no .forward" in subprocess.run([*mx.smtpctl(), "address", f"{BOB}@example.org"], capture_output=True,
                                                        text=True).stdout


def test_forward_of_an_extension(homes):
    """user+ext: ~/.forward+ext, else ~/.forward; `smtpctl address` names the file."""
    put(homes, ALICE, f"{BOB}\n")
    put(homes, ALICE, f"{homes}/{ALICE}/lists\n", ".forward+lists")
    with accounts(homes) as mx:
        send(mx, "s@x.example", f"{ALICE}+lists@example.org")
        wait_for(lambda: (homes / ALICE / "lists").exists(), "the file: " + mx.log_text()[-2000:])
        send(mx, "s@x.example", f"{ALICE}+other@example.org")
        wait_for(lambda: box(homes, BOB), "the other's mailbox")
        (homes / ALICE / ".forward").unlink()
        send(mx, "s@x.example", f"{ALICE}+other@example.org")
        wait_for(lambda: box(homes, ALICE), "his own mailbox")
        for extension, said in (("lists", f"forwards  ({homes}/{ALICE}/.forward+lists)"), ("other", "there is no .forward")):
            assert said in subprocess.run([*mx.smtpctl(), "address", f"{ALICE}+{extension}@example.org"], capture_output=True,
                                          text=True).stdout


def test_forward_that_is_not_believed(homes):
    """What others could have written does nothing; the mailbox gets the mail, and the log says why."""
    put(homes, ALICE, f"{BOB}\n", mode=0o620)
    with accounts(homes) as mx:
        send(mx, "s@x.example", f"{ALICE}@example.org")
        line = mx.await_log("local.forward", to=f"{ALICE}@example.org")
        assert "may be written by its group" in line["why"]
        wait_for(lambda: box(homes, ALICE), "the mailbox")
        os.chown(put(homes, ALICE, f"{BOB}\n"), pwd.getpwnam(BOB).pw_uid, 0)
        (homes / ALICE / ".forward").chmod(0o644)
        send(mx, "s@x.example", f"{ALICE}@example.org")
        wait_for(lambda: len(box(homes, ALICE)) == 2, "the mailbox again")
        # and what makes no sense waits
        put(homes, ALICE, '"|/bin/cat\n')
        send(mx, "s@x.example", f"{ALICE}@example.org")
        assert "line 1: a quote" in mx.await_log("queue.deferred")["reply"]
        assert not box(homes, BOB)


def test_forward_loop(homes):
    """Two who forward to each other: the sender is told, nothing goes round."""
    put(homes, ALICE, f"{BOB}\n")
    put(homes, BOB, f"{ALICE}\n")
    with accounts(homes) as mx:
        send(mx, "", f"{ALICE}@example.org")
        assert "circle" in mx.await_log("queue.failed", to=f"{BOB}@example.org")["reply"]
        assert not box(homes, ALICE) and not box(homes, BOB)


@watched.by_valgrind
def test_alias_program_as_account(homes):
    """The aliases of root name programs of an account that the configuration names; without it mail waits, and nothing ever
    runs as root."""
    script = homes / "program"
    write(script, f"#!/bin/sh\nid -un > {homes}/{BOB}/who\ncat > /dev/null\n", 0o755)
    aliases = homes / "aliases"
    aliases.write_text(f'prog: "|{script}"\n')
    clause = f'aliases <a> as "{BOB}"'
    conf = f'table a file "{aliases}"\n' + ACCOUNTS
    with Genkan(homes / "server", conf.format(deliver='maildir "%{home}/Maildir"', aliases=clause), as_root=True) as mx:
        send(mx, "s@x.example", "prog@example.org")
        mx.await_log("queue.delivered", to=f"\\prog@example.org|{script}")
        assert (homes / BOB / "who").read_text() == BOB + "\n"
    with Genkan(homes / "server2", conf.format(deliver='maildir "%{home}/Maildir"', aliases="aliases <a>"), as_root=True) as mx:
        send(mx, "s@x.example", "prog@example.org")
        assert "as root" in mx.await_log("queue.deferred")["reply"]


def test_lmtp_users_forward(homes):
    """Where another server keeps the mailboxes, the account's .forward counts all the same."""
    put(homes, ALICE, f"{BOB}\n")
    with accounts(homes, deliver='lmtp "[127.0.0.1]:9"') as mx:
        send(mx, "s@x.example", f"{ALICE}@example.org")
        mx.await_log("queue.expanded", to=f"{ALICE}@example.org")
        assert mx.await_log("queue.deferred")["to"] in (f"{BOB}@example.org", f"\\{BOB}@example.org")


def test_root_is_somebody_else(homes):
    """Nothing is delivered as root: postmaster and root lead to who is named, and mail waits while nobody is."""
    with Genkan(homes / "server", ACCOUNTS.format(deliver='maildir "%{home}/Maildir"', aliases=""), as_root=True) as mx:
        with Client(mx.port) as c:
            assert c.mail("s@x.example", "postmaster@example.org").code == 451
    conf = f'postmaster "{ALICE}@example.org"\n' + ACCOUNTS
    with Genkan(homes / "server", conf.format(deliver='maildir "%{home}/Maildir"', aliases=""), as_root=True) as mx:
        for name in ("postmaster@example.org", "abuse@example.org", "root@example.org", "postmaster"):
            send(mx, "s@x.example", name)
        wait_for(lambda: len(box(homes, ALICE)) == 4, "the mail of root: " + mx.log_text()[-2000:])


def test_missing_home(homes):
    """A home that is not there, perhaps not mounted, is a reason to wait and to say so."""
    (homes / BOB).rmdir()
    with accounts(homes) as mx:
        with Client(mx.port) as c:
            reply = c.mail("s@x.example", f"{BOB}@example.org")
        assert reply.code == 451 and f"the home directory {homes}/{BOB} of {BOB} is missing" in reply.text
        assert not (homes / BOB).exists()
