"""TLS and logins on the way out, with Debian's own Postfix and Cyrus SASL at the other end."""
import os
import subprocess

import pytest

from certs import Authority
from genkan import Client, Genkan, free_port, own, trusting, wait_for
from peers import Postfix

PASSWORD = "open sesame: really"


class TlsPostfix(Postfix):
    """With a certificate, and accounts in sasldb that it asks for."""

    def __init__(self, *args, chain, mechanisms=None, implicit=False, **options):
        self.chain, self.mechanisms, self.implicit = chain, mechanisms, implicit
        super().__init__(*args, **options)

    def configure(self):
        super().configure()
        etc = self.work / "etc"
        for source, name in zip(self.chain, ("chain.pem", "key.pem")):
            (etc / name).write_bytes(source.read_bytes())
            (etc / name).chmod(0o600)
        lines = ["smtpd_tls_security_level = may", "smtpd_tls_received_header = yes",
                 "smtpd_tls_chain_files = /etc/key.pem, /etc/chain.pem"]
        if self.implicit:
            lines += ["smtpd_tls_wrappermode = yes"]
        if self.mechanisms:
            lines += ["smtpd_sasl_auth_enable = yes", "smtpd_tls_auth_only = yes", "cyrus_sasl_config_path = /etc/postfix/sasl",
                      f"smtpd_sasl_local_domain = {self.domain}",
                      "smtpd_recipient_restrictions = permit_sasl_authenticated, reject"]
            (etc / "postfix/sasl").mkdir()
            (etc / "postfix/sasl/smtpd.conf").write_text(
                f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: {self.mechanisms}\n")
            subprocess.run(["saslpasswd2", "-p", "-c", "-f", etc / "sasldb2", "-u", self.domain, "alice"],
                           input=PASSWORD, text=True, check=True)
            os.chown(etc / "sasldb2", self.uid("postfix"), 0)
        with open(etc / "postfix/main.cf", "a") as f:
            f.write("\n".join(lines) + "\n")

    def answers(self):
        if not self.implicit:
            return super().answers()
        try:
            with Client(self.port, tls=trusting()) as c:
                return c.greeting.code == 220
        except OSError:
            return False


@pytest.fixture
def ca(tmp_path):
    return Authority(tmp_path / "ca")


def deliver(tmp_path, ca, port, words):
    with Genkan(tmp_path / "mx", f"""
        relay {{
            trust "{ca.path}"
            route "*" to "[127.0.0.1]:{port}" {words}
        }}
    """) as mx:
        with Client(mx.port) as c:
            assert c.mail("alice@example.org", "dora@postfix.example").code == 250
        def outcome():
            return mx.log("queue.delivered") or mx.log("queue.deferred") or mx.log("queue.failed")
        return wait_for(outcome, "an outcome: " + mx.log_text()[-2000:])[0]


def test_verified(tmp_path, ca):
    port = free_port()
    with TlsPostfix(tmp_path / "peer", port, route="[127.0.0.1]:9", domain="postfix.example", users=["dora"],
                    chain=ca.issue("127.0.0.1")) as peer:
        line = deliver(tmp_path, ca, port, "tls verify")
        assert line["event"] == "queue.delivered" and line["detail"].endswith(" verified")
        message = wait_for(lambda: peer.messages("dora"), "the mailbox")[0].decode()
        assert "using TLSv1.3" in message


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_login(tmp_path, ca, mechanism):
    port, account = free_port(), tmp_path / "account"
    account.write_text(f"[127.0.0.1]:{port} alice@postfix.example:{PASSWORD}\n")
    account.chmod(0o600)
    own(account)
    with TlsPostfix(tmp_path / "peer", port, route="[127.0.0.1]:9", domain="postfix.example", users=["dora"],
                    chain=ca.issue("127.0.0.1"), mechanisms=mechanism) as peer:
        line = deliver(tmp_path, ca, port, f'login "{account}"')
        assert line["event"] == "queue.delivered", line
        wait_for(lambda: peer.messages("dora"), "the mailbox")
        log = (peer.work / "var/log/mail.log").read_text()
        assert f"sasl_method={mechanism}" in log and "sasl_username=alice@postfix.example" in log


def write_account(tmp_path, port, password):
    account = tmp_path / "account"
    account.write_text(f"[127.0.0.1]:{port} alice@postfix.example:{password}\n")
    account.chmod(0o600)
    own(account)
    return account


@pytest.mark.parametrize("tls", ["", "implicit-tls verify "])
def test_society_behind_its_provider(tmp_path, ca, tls):
    """Everything goes out by the provider's submission server, by STARTTLS and as on port 465.  A wrong password defers, says
    why in log and queue, and for hours bounces nothing; the right one and a reload send it all at once."""
    port = free_port()
    account = write_account(tmp_path, port, "not the password")
    with TlsPostfix(tmp_path / "peer", port, route="[127.0.0.1]:9", domain="postfix.example", users=["dora"],
                    chain=ca.issue("127.0.0.1"), mechanisms="PLAIN LOGIN", implicit=bool(tls)) as peer, Genkan(tmp_path / "mx", f"""
        relay {{
            trust "{ca.path}"
            route "*" to "[127.0.0.1]:{port}" {tls}login "{account}"
        }}
        domain "example.org" {{ users {{ "alice" }}; deliver maildir "$mail/%{{user}}" }}
    """.replace("; ", "\n")) as mx:
        def send(number):
            with Client(mx.port) as c:
                assert c.mail("alice@example.org", "dora@postfix.example", f"Subject: {number}\r\n\r\nx\r\n").code == 250
        send(1)
        assert "no login as alice@postfix.example: by PLAIN: 535 5.7.8" in mx.await_log("queue.deferred")["reply"]
        for number in range(2, 6):
            send(number)
        for hours in (1, 2, 4):
            tried = len(mx.log("queue.destination"))
            mx.advance(hours * 3600)
            wait_for(lambda: len(mx.log("queue.destination")) > tried, "another try: " + mx.log_text()[-2000:])
        [dead] = [o for o in mx.ctl("queue", "summary") if o.get("state") == "dead"]
        assert "535 5.7.8" in dead["reason"] and dead["next"] > 0
        assert len(mx.queue()) >= 5 and not mx.log("queue.failed") and not peer.messages("dora")
        write_account(tmp_path, port, PASSWORD)
        assert mx.run_ctl("reload").returncode == 0
        mx.await_empty_queue()
        assert len(wait_for(lambda: len(peer.messages("dora")) == 5 and peer.messages("dora"), "the mailbox")) == 5
        assert all(e["detail"].endswith(" verified") for e in mx.log("queue.delivered") if e["to"] == "dora@postfix.example")
        log = (peer.work / "var/log/mail.log").read_text()
        assert "not the password" not in log and "not the password" not in mx.log_text() and PASSWORD not in mx.log_text()
