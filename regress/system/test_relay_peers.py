"""TLS and logins on the way out, with Debian's own Postfix and Cyrus SASL at the other end."""
import os
import subprocess

import pytest

from certs import Authority
from genkan import Client, Genkan, free_port, own, wait_for
from peers import Postfix

PASSWORD = "open sesame: really"


class TlsPostfix(Postfix):
    """With a certificate, and accounts in sasldb that it asks for."""

    def __init__(self, *args, chain, mechanisms=None, **options):
        self.chain, self.mechanisms = chain, mechanisms
        super().__init__(*args, **options)

    def configure(self):
        super().configure()
        etc = self.work / "etc"
        for source, name in zip(self.chain, ("chain.pem", "key.pem")):
            (etc / name).write_bytes(source.read_bytes())
            (etc / name).chmod(0o600)
        lines = ["smtpd_tls_security_level = may", "smtpd_tls_received_header = yes",
                 "smtpd_tls_chain_files = /etc/key.pem, /etc/chain.pem"]
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
