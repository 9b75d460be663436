"""Other people's mail servers, to talk to: Debian's Postfix and Exim, unpacked and not installed.

    with Postfix(place, port, route="[127.0.0.1]:2525", domain="postfix.example", users=["dora"]) as peer:
        peer.inject("a@postfix.example", "alice@example.org", "Subject: x\\n\\nhello\\n")
        peer.messages("dora")

Each runs in a mount namespace of its own, where its unpacked package lies over /usr and /etc and a scratch tree is /var,
/run and /home; nothing of the host is changed.  That needs root; without it the tests that want a peer are skipped.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import textwrap

import pytest

from genkan import BUILD, wait_for

PEERS = BUILD.resolve() / "peers"
UID = 30100

ENTER = textwrap.dedent("""\
    set -e
    root=$1 work=$2; shift 2
    mount -t overlay peer -o "lowerdir=$root/usr:/usr" /usr
    etc=$work/etc; [ -d "$root/etc" ] && etc=$etc:$root/etc
    mount -t overlay peer -o "lowerdir=$etc:/etc" /etc
    for d in var run home; do mount --bind "$work/$d" "/$d"; done
    exec "$@"
""")


def unpacked(name, packages):
    """The folder with the packages' files; downloaded once a build folder."""
    root = PEERS / name
    if root.is_dir():
        return root
    if os.geteuid() != 0:
        pytest.skip("peers need root (mount namespaces)")
    debs = PEERS / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    half = PEERS / f"{name}.tmp"
    shutil.rmtree(half, ignore_errors=True)
    for package in packages:
        if not list(debs.glob(f"{package}_*.deb")):
            subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", package], cwd=debs, check=True)
        subprocess.run(["dpkg", "-x", next(debs.glob(f"{package}_*.deb")), half], check=True)
    half.rename(root)
    return root


class Peer:
    name, packages, accounts = "", (), ()

    def __init__(self, directory, port, *, route, domain, users, members="127.0.0.0/8", certificate=None):
        """MEMBERS may relay; CERTIFICATE is (chain, key) for STARTTLS."""
        if os.geteuid() != 0:
            pytest.skip("peers need root (mount namespaces)")
        self.root = unpacked(self.name, self.packages)
        self.work = pathlib.Path(directory) / self.name
        self.port, self.route, self.domain, self.users = port, route, domain, users
        self.members, self.certificate = members, certificate
        for folder in ("etc", "run", "home", "var/spool", "var/lib", "var/log", "var/mail", "var/tmp"):
            (self.work / folder).mkdir(parents=True, exist_ok=True)
        self.work.parent.chmod(0o755)
        (self.work / "var/run").symlink_to("/run")
        self.add_accounts()
        self.configure()
        self.process = None

    def add_accounts(self):
        passwd, group = (self.others(path) for path in ("/etc/passwd", "/etc/group"))
        for n, account in enumerate([*self.accounts, *self.users]):
            uid = UID + n
            home = f"/home/{account}"
            passwd += f"{account}:x:{uid}:{uid}::{home}:/bin/sh\n"
            group += f"{account}:x:{uid}:\n"
            if account in self.users:
                (self.work / home[1:]).mkdir()
                os.chown(self.work / home[1:], uid, uid)
        self.write("etc/passwd", passwd)
        self.write("etc/group", group)
        self.write("etc/hosts", f"127.0.0.1 localhost mx.{self.domain}\n")
        self.write("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
        self.write("etc/mailname", f"mx.{self.domain}\n")

    def others(self, path):
        """The host's accounts but for those that we make: it may have the package itself."""
        ours = (*self.accounts, *self.users)
        return "".join(line for line in open(path) if line.split(":")[0] not in ours)

    def uid(self, account):
        return UID + [*self.accounts, *self.users].index(account)

    def take_certificate(self):
        """Files of ours that everybody there can read, or None."""
        if not self.certificate:
            return None
        for source, name in zip(self.certificate, ("chain.pem", "key.pem")):
            target = self.work / "etc" / name
            target.write_bytes(pathlib.Path(source).read_bytes())
            target.chmod(0o644 if name == "chain.pem" else self.key_mode)
        return "/etc/chain.pem", "/etc/key.pem"

    key_mode = 0o600

    def write(self, path, text):
        path = self.work / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def command(self, *words):
        return ["unshare", "-m", "--propagation", "private", "sh", "-c", ENTER, "enter", self.root, self.work, *words]

    def run(self, *words, **options):
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=60, **options)

    def __enter__(self):
        log = open(self.work / "output", "wb")
        self.process = subprocess.Popen(self.command(*self.daemon), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        start_new_session=True)
        log.close()
        wait_for(self.answers, f"{self.name} to answer")
        return self

    def answers(self):
        from genkan import Client
        assert self.process.poll() is None, (self.work / "output").read_text()
        try:
            with Client(self.port) as c:
                return c.greeting.code == 220
        except OSError:
            return False

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def inject(self, sender, recipient, text):
        done = self.run("/usr/sbin/sendmail", "-i", "-f", sender, recipient, input=text)
        assert done.returncode == 0, done.stderr

    def messages(self, user):
        folder = self.work / "home" / user / "Maildir/new"
        return [p.read_bytes() for p in sorted(folder.iterdir())] if folder.is_dir() else []


class Postfix(Peer):
    name, packages, accounts = "postfix", ("postfix",), ("postfix", "postdrop")
    daemon = ("/usr/lib/postfix/sbin/master", "-d")
    SERVICES = """\
        pickup unix n - n 60 1 pickup
        cleanup unix n - n - 0 cleanup
        qmgr unix n - n 300 1 qmgr
        tlsmgr unix - - n 1000? 1 tlsmgr
        rewrite unix - - n - - trivial-rewrite
        bounce unix - - n - 0 bounce
        defer unix - - n - 0 bounce
        trace unix - - n - 0 bounce
        verify unix - - n - 1 verify
        proxymap unix - - n - - proxymap
        proxywrite unix - - n - 1 proxymap
        smtp unix - - n - - smtp
        showq unix n - n - - showq
        error unix - - n - - error
        retry unix - - n - - error
        local unix - n n - - local
        anvil unix - - n - 1 anvil
        scache unix - - n - 1 scache
        postlog unix-dgram n - n - 1 postlogd
    """

    def configure(self):
        spool = self.work / "var/spool/postfix"
        owner, drop = self.uid("postfix"), self.uid("postdrop")
        for folder in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"):
            (spool / folder).mkdir(parents=True, mode=0o700)
            os.chown(spool / folder, owner, 0)
        for folder, mode, group in (("public", 0o710, drop), ("maildrop", 0o1730, drop), ("pid", 0o755, 0)):
            (spool / folder).mkdir()
            os.chown(spool / folder, owner if folder != "pid" else 0, group)
            (spool / folder).chmod(mode)
        (self.work / "var/lib/postfix").mkdir()
        os.chown(self.work / "var/lib/postfix", owner, owner)
        self.write("etc/postfix/main.cf", f"""\
            compatibility_level = 3.6
            myhostname = mx.{self.domain}
            mydestination = {self.domain}
            inet_interfaces = 127.0.0.1
            inet_protocols = ipv4
            mynetworks = {self.members}
            smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination
            home_mailbox = Maildir/
            biff = no
            alias_maps =
            alias_database =
            smtpd_peername_lookup = no
            smtp_dns_support_level = disabled
            smtp_host_lookup = native
            relayhost = {self.route}
            maillog_file = /var/log/mail.log
            """)
        tls = self.take_certificate()
        if tls:
            with open(self.work / "etc/postfix/main.cf", "a") as f:
                f.write(f"smtpd_tls_security_level = may\nsmtpd_tls_chain_files = {tls[1]}, {tls[0]}\n")
        self.write("etc/postfix/master.cf",
                   f"127.0.0.1:{self.port} inet n - n - - smtpd\n" + textwrap.dedent(self.SERVICES))


class Exim(Peer):
    name, packages, accounts = "exim", ("exim4-base", "exim4-daemon-light"), ("Debian-exim",)
    daemon = ("/usr/sbin/exim4", "-bdf", "-q1m")

    def configure(self):
        owner = self.uid("Debian-exim")
        for folder in ("var/spool/exim4", "var/log/exim4", "var/lib/exim4", "run/exim4"):
            (self.work / folder).mkdir(parents=True)
            os.chown(self.work / folder, owner, owner)
        host, _, port = self.route.rpartition(":")
        self.key_mode = 0o644
        tls = self.take_certificate()
        self.write("etc/exim4/exim4.conf", f"""\
            primary_hostname = mx.{self.domain}
            local_interfaces = 127.0.0.1
            daemon_smtp_ports = {self.port}
            tls_advertise_hosts = {"*" if tls else ""}
            {f"tls_certificate = {tls[0]}" if tls else ""}
            {f"tls_privatekey = {tls[1]}" if tls else ""}
            dsn_advertise_hosts = *
            acl_smtp_rcpt = check_rcpt
            host_lookup =
            rfc1413_query_timeout = 0s
            dns_again_means_nonexist = *
            log_file_path = /var/log/exim4/%slog
            trusted_users = root
            keep_environment =
            add_environment =
            begin acl
            check_rcpt:
              accept hosts = {self.members}
              accept local_parts = postmaster
                     domains = {self.domain} :
              require message = relay not permitted
                      domains = {self.domain}
              require verify = recipient
              accept
            begin routers
            postmaster:
              driver = redirect
              local_parts = postmaster
              data = {self.users[0]}@{self.domain}
            ours:
              driver = accept
              domains = {self.domain}
              check_local_user
              transport = maildir
            other:
              driver = manualroute
              domains = ! {self.domain}
              transport = remote
              route_list = * {host.strip('[]')}
              self = send
            begin transports
            maildir:
              driver = appendfile
              directory = $home/Maildir
              maildir_format
              delivery_date_add
              return_path_add
            remote:
              driver = smtp
              port = {port}
              allow_localhost
              hosts_avoid_tls = *
              hosts_try_dane =
            begin retry
            * * F,1h,10s
            """)
        (self.work / "etc/exim4/exim4.conf").chmod(0o644)

    def inject(self, sender, recipient, text):
        done = self.run("/usr/sbin/exim4", "-i", "-f", sender, recipient, input=text)
        assert done.returncode == 0, done.stderr


class OpenSMTPD(Peer):
    name, packages, accounts = "opensmtpd", ("opensmtpd",), ("opensmtpd", "opensmtpq")
    daemon = ("/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf")

    def configure(self):
        host, _, port = self.route.rpartition(":")
        tls = self.take_certificate()
        self.write("etc/smtpd.conf", f"""\
            {f'pki ours cert "{tls[0]}"' if tls else ""}
            {f'pki ours key "{tls[1]}"' if tls else ""}
            listen on 127.0.0.1 port {self.port} hostname mx.{self.domain} {"tls pki ours" if tls else ""}
            table aliases {{ postmaster = {self.users[0]} }}
            action "local" maildir "/home/%{{user.username}}/Maildir" alias <aliases>
            action "relay" relay host "smtp://{host.strip('[]')}:{port}"
            match from any for domain "{self.domain}" action "local"
            match from src {{ {self.members} }} for any action "relay"
            {'match from local for any action "relay"' if self.members == "127.0.0.0/8" else ""}
            """)
        for folder in ("var/empty", "var/lib/opensmtpd/empty", "run/opensmtpd"):
            (self.work / folder).mkdir(parents=True, exist_ok=True)

    def inject(self, sender, recipient, text):
        done = self.run("/usr/sbin/smtpctl", "sendmail", "-i", "-f", sender, recipient, input=text)
        assert done.returncode == 0, done.stderr


class Dovecot(Peer):
    """An LMTP server: every user has a Maildir; one called "full" has a quota of a thousand octets, which is exceeded for good,
    or for now when TEMPFAIL."""
    name, packages, accounts = "dovecot", ("dovecot-core", "dovecot-lmtpd", "libexttextcat-data", "libexttextcat-2.0-0",
                                           "libapparmor1", "liblua5.4-0", "libsodium23", "libstemmer0d",
                                           "libwrap0"), ("dovecot", "dovenull")
    daemon = ("/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot/test.conf")

    def __init__(self, directory, port, *, domain, users, tempfail=False):
        self.tempfail = tempfail
        super().__init__(directory, port, route=None, domain=domain, users=users)

    def configure(self):
        (self.work / "run/dovecot").mkdir()
        (self.work / "var/lib/dovecot").mkdir()
        self.write("etc/dovecot/users", "".join(
            f"{user}@{self.domain}:{{PLAIN}}x:{self.uid(user)}:{self.uid(user)}::/home/{user}::"
            f"{'userdb_quota_rule=*:storage=1000B' if user == 'full' else ''}\n" for user in self.users))
        self.write("etc/dovecot/test.conf", f"""\
            protocols = lmtp
            ssl = no
            log_path = /var/log/dovecot.log
            mail_location = maildir:~/Maildir
            mail_plugins = quota
            first_valid_uid = 1
            plugin {{
              quota = maildir:quota
            }}
            quota_full_tempfail = {'yes' if self.tempfail else 'no'}
            passdb {{
              driver = passwd-file
              args = /etc/dovecot/users
            }}
            userdb {{
              driver = passwd-file
              args = /etc/dovecot/users
            }}
            service lmtp {{
              inet_listener lmtp {{
                address = 127.0.0.1
                port = {self.port}
              }}
            }}
            """)


class DovecotAuth(Peer):
    """Its auth service only; users are name = stored password.  SOCKET is where auth-client listens, seen from outside."""
    name, accounts = "dovecot-auth", ("dovecot", "dovenull")
    packages = ("dovecot-core", "libexttextcat-2.0-0", "libstemmer0d", "liblua5.4-0", "libsodium23")
    daemon = ("/usr/sbin/dovecot", "-F", "-c", "/etc/dovecot.conf")

    def __init__(self, directory, users, mechanisms="plain login scram-sha-256"):
        self.passwords, self.mechanisms = users, mechanisms
        super().__init__(directory, 0, route="", domain="dovecot.example", users=[])
        self.socket = self.work / "run/auth-client"

    def configure(self):
        self.write("etc/users", "".join(f"{name}:{password}\n" for name, password in self.passwords.items()))
        self.write("etc/dovecot.conf", f"""\
            protocols =
            log_path = /dev/stderr
            ssl = no
            base_dir = /run/dovecot
            auth_mechanisms = {self.mechanisms}
            auth_failure_delay = 0
            auth_cache_size = 0
            passdb {{
              driver = passwd-file
              args = scheme=plain username_format=%u /etc/users
            }}
            service auth {{
              unix_listener /run/auth-client {{
                mode = 0666
              }}
            }}
            service stats {{
              unix_listener stats-writer {{
                mode = 0666
              }}
            }}
            """)

    def answers(self):
        assert self.process.poll() is None, (self.work / "output").read_text()
        return self.socket.exists()
