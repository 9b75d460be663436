"""Going over to Genkan and back: another greylist's database, another server's tables."""
import pytest

from genkan import Client, Genkan

CONF = """
gate {
	greylist by network delay 5m trust-after 5
}
relay {
	from { 127.0.0.1 }
	route "*" to "[127.0.0.1]:9"
}
domain "example.org" {
	users { "alice", "bob" }
	deliver maildir "$mail/%{user}"
}
"""


def dump(pairs):
    """What db_dump -p writes of these."""
    return "VERSION=3\nformat=print\ntype=btree\nHEADER=END\n" + \
        "".join(f" {k}\n {v}\n" for k, v in pairs) + "DATA=END\n"


def call(mx, source, sender, to="alice@example.org"):
    with Client(mx.port, source=source) as c:
        return c.mail(sender, to).code


@pytest.fixture
def mx(place, dns):
    with Genkan(place / "a", CONF, dns=dns) as server:
        yield server


def now(mx):
    return int(mx.ctl("gate", "report")[0]["until"])


def test_postgrey_database(mx, place):
    t = now(mx)
    passed, waiting, old = f"{t - 86400},{t - 80000}", f"{t - 100},{t - 100}", f"{t - 50 * 86400},{t - 49 * 86400}"
    mine = place / "a" / "dump"
    mine.write_text(dump([
        ("127.0.50.0/old-friend@x.example/alice@example.org", passed),
        ("127.0.50.0/new@x.example/alice@example.org", waiting),
        ("127.0.50.0/forgotten@x.example/alice@example.org", old),
        ("127.0.51.0//alice@example.org", passed + ",2"),
        ("127.0.52.9", f"7,{t - 1000}"),
        ("127.0.52.10", f"1,{t - 1000}"),
        ("da39a3ee5e6b4b0d3255bfef95601890afd80709", passed),
        ("garbage", "garbage"),
    ]))
    told = mx.ctl("grey", "import", "postgrey", "-n", mine)[0]
    assert (told["found"], told["taken"]) == (6, 0)
    told = mx.ctl("grey", "import", "postgrey", mine)[0]
    assert told == {"found": 6, "taken": 5, "known": 0, "expired": 1, "hashed": 1, "not_understood": 1}
    assert call(mx, "127.0.50.77", "old-friend@x.example") == 250
    assert call(mx, "127.0.51.1", "") == 250
    assert call(mx, "127.0.52.9", "whoever@z.example") == 250
    assert call(mx, "127.0.52.10", "whoever@z.example") == 450
    assert call(mx, "127.0.50.77", "new@x.example") == 450
    assert call(mx, "127.0.50.77", "forgotten@x.example") == 450
    mx.advance(201)                                     # 100 s had gone before
    assert call(mx, "127.0.50.77", "new@x.example") == 250
    # a second time nothing is lost
    assert mx.ctl("grey", "import", "postgrey", mine)[0]["known"] >= 4


def test_odd_records_do_not_keep_out_the_others(mx, place):
    """An address longer than any, and a clock that was ahead."""
    t = now(mx)
    passed = f"{t - 86400},{t - 80000}"
    mine = place / "a" / "dump"
    mine.write_text(dump([
        (f"127.0.53.0/{'x' * 2000}@x.example/alice@example.org", passed),
        ("127.0.53.0/ahead@x.example/alice@example.org", f"{t + 86400},{t + 87000}"),
        ("127.0.53.0/friend@x.example/alice@example.org", passed),
        ("127.0.54.9", f"7,{t + 1000}"),
    ]))
    told = mx.ctl("grey", "import", "postgrey", mine)[0]
    assert (told["found"], told["taken"], told["not_understood"]) == (4, 3, 1)
    assert call(mx, "127.0.53.1", "friend@x.example") == 250
    assert call(mx, "127.0.54.9", "whoever@z.example") == 250


def test_recipients_in_any_spelling(mx, place):
    """postgrey's keys are in lower case, whatever the client says."""
    t = now(mx)
    mine = place / "a" / "dump"
    mine.write_text(dump([("127.0.55.0/friend@x.example/alice@example.org", f"{t - 86400},{t - 80000}")]))
    assert mx.ctl("grey", "import", "postgrey", mine)[0]["taken"] == 1
    assert call(mx, "127.0.55.1", "Friend@X.example", "Alice@Example.ORG") == 250


def test_many(mx, place):
    t = now(mx)
    mine = place / "a" / "dump"
    mine.write_text(dump((f"10.{n >> 8}.{n & 255}.0/s{n}@x.example/alice@example.org", f"{t - 9000},{t - 8000}")
                         for n in range(20000)))
    assert mx.ctl("grey", "import", "postgrey", mine)[0]["taken"] == 20000
    assert mx.ctl("grey", "list", "identity=net:10.77.77.0/24")[0]["state"] == "passed"


def test_there_and_back(mx, place, dns):
    assert call(mx, "127.0.60.1", "a@x.example") == 450
    mx.advance(301)
    assert call(mx, "127.0.60.1", "a@x.example") == 250
    assert call(mx, "127.0.61.1", "b@x.example") == 450
    mx.ctl("grey", "allow", "name=friend.example")
    out = place / "a" / "postgrey"
    told = mx.ctl("grey", "export", "postgrey", out)[0]
    assert told == {"triplets": 2, "clients": 0, "white_list": 1, "left_out": 0}
    assert (out / "whitelist_clients.local").read_text().splitlines()[1:] == ["friend.example"]
    assert mx.run_ctl("grey", "export", "postgrey", out).returncode == 1     # never over what is there
    with Genkan(place / "b", CONF, dns=dns) as other:
        other.advance(302)
        assert other.ctl("grey", "import", "postgrey", out)[0]["taken"] == 2
        assert call(other, "127.0.60.2", "a@x.example") == 250
        assert call(other, "127.0.61.2", "b@x.example") == 450


def test_no_database(mx, place):
    other = place / "a" / "text"
    other.write_text("no database")
    done = mx.run_ctl("grey", "import", "postgrey", other)
    assert done.returncode == 1 and "no Berkeley DB file" in done.stderr
    assert mx.run_ctl("grey", "import", "postgrey", place / "nothing").returncode == 1
    assert mx.run_ctl("grey", "import", "sqlgrey", other).returncode == 2
    assert mx.run_ctl("grey", "import", "postgrey").returncode == 2


def test_imported_tables_are_used(place, dns):
    """What `config import` prints goes into a configuration as it is."""
    access = place / "access"
    place.chmod(0o777)
    access.write_text("Connect:127.0.70\tREJECT\nConnect:127.0.70.25\tOK\nFrom:bad@x.example\t550 enough\n")
    server = Genkan(place / "c", "gate { }\n", dns=dns)
    printed = server.run_ctl("config", "import", "access", access)
    assert printed.returncode == 0
    server.write_conf(f"resolver 127.0.0.1 port {dns.port}\n" + printed.stdout.replace("$", "$$") +
                      CONF.split("}", 1)[1])
    with server as mx:
        assert call(mx, "127.0.70.1", "a@x.example") == 550
        assert call(mx, "127.0.70.25", "a@x.example") == 250
        assert call(mx, "127.0.71.1", "bad@x.example") == 550
        assert call(mx, "127.0.71.1", "good@x.example") == 250
