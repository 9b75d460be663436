#!/usr/bin/python3
"""regress/bench/testssl.py: what testssl.sh (Debian) says of our STARTTLS, beside a Postfix that offers it as it comes.

Both with the same certificate.  Prints each finding that differs, and last how many are worse with us.  Some minutes; root,
for the peer's namespaces.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from genkan import Genkan, certificate, free_port, remove_tree  # noqa: E402
from peers import Postfix  # noqa: E402

CONF = """
limit connections-per-address off
limit connections-per-network off
gate { }
certificate "mx.example.org" chain "$dir/mx.example.org.pem" key "$dir/mx.example.org.key"
"""
SEVERITY = ("INFO", "LOW", "WARN", "MEDIUM", "HIGH", "CRITICAL")  # and OK, which is no worse than INFO


class TlsPostfix(Postfix):
    """Offers STARTTLS, and on port IMPLICIT TLS at once, as Debian's package does it but for the certificate."""

    def __init__(self, directory, pair):
        self.pair, self.implicit = pair, free_port()
        super().__init__(directory, free_port(), route="[127.0.0.1]:9", domain="example.org", users=["alice"])

    def configure(self):
        super().configure()
        main = self.work / "etc/postfix/main.cf"
        for name, path in zip(("chain", "key"), self.pair):
            self.write(f"etc/postfix/{name}.pem", path.read_text())
        main.write_text(main.read_text() + """
smtpd_tls_cert_file = /etc/postfix/chain.pem
smtpd_tls_key_file = /etc/postfix/key.pem
smtpd_tls_security_level = may
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
""")
        master = self.work / "etc/postfix/master.cf"
        master.write_text(master.read_text().replace("inet n - n - - smtpd", "inet n - n - 1000 smtpd")
                          + f"127.0.0.1:{self.implicit} inet n - n - 1000 smtpd -o smtpd_tls_wrappermode=yes\n")


def findings(port, directory):
    out = pathlib.Path(directory) / "testssl.json"
    out.unlink(missing_ok=True)  # it overwrites none
    subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "off", "--jsonfile", out, "--starttls", "smtp",
                    f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
    return {f["id"].split(" ")[0]: (f["severity"], f["finding"]) for f in json.loads(out.read_text())}


def rank(finding):
    return SEVERITY.index(finding[0]) if finding[0] in SEVERITY else 0


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="genkan-testssl-"))
    directory.chmod(0o755)
    try:
        pair = certificate(directory, key="rsa:2048")
        with Genkan(directory, CONF, listen='tls "mx.example.org"') as ours:
            us = findings(ours.port, directory)
        with TlsPostfix(directory, pair) as peer:
            them = findings(peer.port, directory)
    finally:
        remove_tree(directory)
    worse = [i for i in us if rank(us[i]) > rank(them.get(i, ("OK", "")))]
    for i in [*us, *(i for i in them if i not in us)]:
        ours, theirs = us.get(i, ("OK", "(none)")), them.get(i, ("OK", "(none)"))
        if ours != theirs:
            print(f"{'WORSE' if i in worse else ' '} {i}: Genkan {ours[0]} {ours[1][:110]} | Postfix {theirs[0]} {theirs[1][:110]}")
    print(f"{len(us)} findings of Genkan, {len(them)} of Postfix; worse with Genkan: {len(worse)}")


if __name__ == "__main__":
    main()
