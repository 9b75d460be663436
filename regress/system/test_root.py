"""Started as root: every role under its own ids, in its own root directory, behind the sandbox; mail under its owner's."""
import os
import pwd
import subprocess

import pytest

import watched
from genkan import Client, Genkan, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

CONF = """
gate { }
domain "example.org" {
	users { "alice" }
	deliver maildir "$mail/%{user}"
}
"""

# role: account, folder of the spool that is its root directory (None: no chroot)
ROLES = {
    "resolver": ("_smtpd", "empty"), "ledger": ("_smtpd", "ledger"), "lookup": ("_smtpd", None), "relay": ("_smtpd", "empty"),
    "queue": ("_smtpq", "queue"), "session": ("_smtpd", "empty"), "control": ("_smtpd", None),
    "vault": ("_smtpd", None),
}


def status(pid):
    fields = {}
    for line in open(f"/proc/{pid}/status"):
        key, _, value = line.partition(":")
        fields[key] = value.split()
    return fields


@pytest.fixture
def mx(place):
    for account in ("_smtpd", "_smtpq"):
        try:
            pwd.getpwnam(account)
        except KeyError:
            pytest.skip(f"no account {account}; etc/make-accounts makes it")
    with Genkan(place, CONF, as_root=True) as server:
        yield server


@watched.by_any
def test_ids_roots_and_filters(mx):
    wait_for(lambda: {name.rstrip("0123456789") for name in mx.pids()} >= set(ROLES), "all roles to be what they are")
    # a role reads what it needs, and only then gives up its rights
    wait_for(lambda: all(status(pid)["Seccomp"] == ["2"] for pid in mx.pids().values()), "all roles to be confined")
    seen = set()
    for name, pid in mx.pids().items():
        role = name.rstrip("0123456789")
        account, folder = ROLES[role]
        entry, fields = pwd.getpwnam(account), status(pid)
        assert fields["Uid"] == [str(entry.pw_uid)] * 4, role
        assert fields["Gid"] == [str(entry.pw_gid)] * 4, role
        assert fields["Groups"] in ([], [str(entry.pw_gid)]), role
        assert fields["Seccomp"] == ["2"] and fields["NoNewPrivs"] == ["1"], role
        assert int(fields["CapEff"][0], 16) == 0, role
        root = os.readlink(f"/proc/{pid}/root")
        assert root == (str(mx.dir / "spool" / folder) if folder else "/"), role
        seen.add(role)
    assert seen == set(ROLES)


def test_mail_is_written_by_its_owner(mx):
    nobody = pwd.getpwnam("nobody")
    assert os.stat(mx.mail).st_uid == nobody.pw_uid
    with Client(mx.port) as c:
        assert c.mail("a@b.example", "alice@example.org").code == 250
    mx.deliveries("alice", 1)
    for folder, _, files in os.walk(mx.mail / "alice"):
        for path in [folder, *(os.path.join(folder, f) for f in files)]:
            assert os.stat(path).st_uid == nobody.pw_uid, path
            assert os.stat(path).st_mode & 0o077 == 0, path
    local = mx.pids("local")
    assert local and status(local[0])["Uid"] == [str(nobody.pw_uid)] * 4


def test_accounts_of_the_host(place):
    """users system: the mailbox is in the home of the account, and its process runs as that account."""
    account, home = "_genkan_test", place / "home"
    home.mkdir()
    made = subprocess.run(["useradd", "--system", "--home-dir", str(home), "--badname", account], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    try:
        entry = pwd.getpwnam(account)
        os.chown(home, entry.pw_uid, entry.pw_gid)
        home.chmod(0o700)
        conf = 'gate { }\ndomain "example.org" {\n users system\n deliver maildir "%{home}/Maildir"\n}\n'
        with Genkan(place / "server", conf, as_root=True) as mx:
            with Client(mx.port) as c:
                assert c.mail("a@b.example", f"{account}@example.org").code == 250
            entry_log = mx.await_log("queue.delivered", to=f"{account}@example.org")
            assert str(home / "Maildir/new") in entry_log["detail"]
            assert os.stat(entry_log["detail"]).st_uid == entry.pw_uid
    finally:
        subprocess.run(["userdel", account], capture_output=True)


def test_anybody_may_send_and_nobody_else_may_look(mx):
    """The control socket is open to all, but only the superuser and the server's account may ask."""
    nobody = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    look = subprocess.run([*mx.smtpctl(), "queue", "list"], capture_output=True, text=True, **nobody)
    assert look.returncode == 1 and look.stderr
    send = subprocess.run([*mx.smtpctl(), "sendmail", "-i", "alice@example.org"], input="Subject: from nobody\n\nhello\n",
                          capture_output=True, text=True, **nobody)
    assert send.returncode == 0, send.stderr
    assert b"from nobody" in mx.deliveries("alice", 1)[0]


def test_relay_needs_no_file(place, tmp_path):
    """From its empty root directory the relay verifies, logs in and fetches a policy: all that it reads was read before."""
    from certs import Authority
    from dnsserver import DnsServer
    from httpspeer import PolicyServer
    from smtppeer import SmtpPeer

    ca = Authority(place / "ca")
    account = place / "account"
    account.write_text("smart.example alice:open sesame\n")
    account.chmod(0o600)
    records = ["partner.example MX 10 mx.partner.example", "mx.partner.example A 127.0.8.32",
               "smart.example A 127.0.8.33", "mta-sts.partner.example A 127.0.8.31",
               '_mta-sts.partner.example TXT "v=STSv1; id=one;"']
    conf = f"""
        relay {{
            trust "{ca.path}"
            route "partner.example" to mx
            route "*" to "smart.example" login "{account}"
        }}
    """
    with DnsServer(tmp_path / "dns", records) as dns, \
            PolicyServer("127.0.8.31", ca.context("mta-sts.partner.example")) as web, \
            SmtpPeer("127.0.8.32", 25, context=ca.context("mx.partner.example")) as partner, \
            SmtpPeer("127.0.8.33", 25, context=ca.context("smart.example"), accounts={"alice": "open sesame"},
                     mechanisms=["SCRAM-SHA-256"]) as smarthost, \
            Genkan(place / "mx", conf, dns=dns, as_root=True) as mx:
        web.policy("enforce", ["mx.partner.example"])
        for domain in ("partner.example", "other.example"):
            with Client(mx.port) as c:
                assert c.mail("a@example.org", f"b@{domain}").code == 250
        wait_for(lambda: len(mx.log("queue.delivered")) == 2, "both: " + mx.log_text()[-3000:])
        assert sorted(e["detail"].split()[-1] for e in mx.log("queue.delivered")) == ["mta-sts", "verified"]
        assert smarthost.sessions[0].user == "alice" and partner.messages
        relay = status(mx.pids("relay")[0])
        assert watched.BY or relay["Seccomp"] == ["2"]
        assert int(relay["CapEff"][0], 16) == 0


SLOW = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

struct passwd *
getpwnam(const char *name)
{
	struct passwd *(*real)(const char *) = (struct passwd *(*)(const char *))dlsym(RTLD_NEXT, "getpwnam");

	while (access(getenv("SLOW"), F_OK) == 0)
		usleep(10000);
	return real(name);
}
"""


@watched.by_any
def test_a_directory_server_that_does_not_answer(place):
    """Who the account is takes long to tell: this delivery waits for it, and the master hears everybody."""
    (place / "slow.c").write_text(SLOW)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", place / "slow.so", place / "slow.c", "-ldl"], check=True)
    slow = place / "answers-slowly"
    env = {"LD_PRELOAD": str(place / "slow.so"), "SLOW": str(slow)}
    with Genkan(place, CONF, as_root=True, env=env) as mx:
        slow.touch()
        with Client(mx.port) as c:
            assert c.mail("a@client.example", "alice@example.org").code == 250
        wait_for(lambda: any(role == "local" or role is None for role, _ in mx.children() or [(None, 0)]), "the process")
        assert mx.run_ctl("reload").returncode == 0
        with Client(mx.port) as c:
            assert c.mail("b@client.example", "alice@example.org").code == 250
        assert mx.messages("alice") == []
        slow.unlink()
        mx.deliveries("alice", 2)
