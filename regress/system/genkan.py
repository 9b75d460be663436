"""Genkan under test: a real smtpd in a directory of its own, and clients that speak SMTP to it octet by octet.

    conf = '''domain "example.org" {
        users { "alice" }
        deliver maildir "$mail/%{user}"
    }'''
    with Genkan(tmp_path, conf) as mx:
        with Client(mx.port, source="127.0.1.5") as c:
            assert c.greeting.code == 220
            c.say("EHLO client.example")
            assert c.say("MAIL FROM:<a@b.example>").code == 250
        mx.deliveries("alice", 1)            # waits for the Maildir
        mx.ctl("queue", "list")              # smtpctl -j: a list of dicts

The server does not run as root here unless a test says so: root's tests become `nobody` in a child first, so every role runs as
that user and its mailboxes are its own.  Extra statements go in CONF, with $dir, $mail and $port filled in.  TIME moves by
advance(), for the greylist and for retries; nothing sleeps for it.
"""
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import ssl
import string
import struct
import subprocess
import time

import watched

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build"))
USER = "nobody"
PATIENCE = int(os.environ.get("PATIENCE", 30))

CONF = """\
host "$host"
spool "$dir/spool"
listen on 127.0.0.1 port $port $listen
log stderr json
"""


def free_port(address="127.0.0.1"):
    with socket.socket() as s:
        s.bind((address, 0))
        return s.getsockname()[1]


def lives(pid):
    """There is such a process, and it is no zombie."""
    try:
        return "Z" not in pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition, what, seconds=PATIENCE):
    """Polls until CONDITION() is true; its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


def as_user():
    """For subprocesses: the unprivileged user, when we are root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(USER)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def own(path):
    if os.geteuid() == 0:
        entry = pwd.getpwnam(USER)
        os.chown(path, entry.pw_uid, entry.pw_gid)


class Genkan:
    def __init__(self, directory, conf="", *, host="mx.example.org", dns=None, listen="", port=None, verbose=False,
                 env=None, wrapper=(), as_root=False, binary=BUILD / "smtpd"):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.mail = self.dir / "mail"
        self.mail.mkdir(exist_ok=True)
        self.port = port or free_port()
        self.host = host
        self.verbose = verbose or watched.BY == "valgrind"
        self.binary = binary
        self.wrapper = list(wrapper)
        self.ids = {} if as_root else as_user()
        self.process = None
        self.log_path = self.dir / "log"
        self.conf_path = self.dir / "smtpd.conf"
        self.clock_path = self.dir / "clock"
        self.clock_path.write_bytes(struct.pack("<qq", 0, 0))
        self.env = watched.environment(dict(os.environ, GENKAN_CLOCK=str(self.clock_path), **(env or {})), as_root)
        resolver = f"resolver 127.0.0.1 port {dns.port if dns else 9}"
        resolver += f' anchor "{dns.anchor}"\n' if dns and getattr(dns, "signed", False) else "\n"
        self.write_conf(resolver + conf, listen)
        for path in (self.dir, self.mail, self.clock_path, self.conf_path):
            own(path)
        self.reach()

    def reach(self):
        """pytest's directories are their owner's alone; the user must get through to ours."""
        for parent in self.dir.parents:
            if os.stat(parent).st_uid == os.geteuid() and not os.stat(parent).st_mode & 0o001:
                os.chmod(parent, os.stat(parent).st_mode | 0o011)

    def write_conf(self, conf, listen=""):
        self.conf_path.write_text(string.Template(CONF + conf).substitute(
            host=self.host, dir=self.dir, mail=self.mail, port=self.port, listen=listen))

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # --- running ---

    def start(self):
        self.log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        log = open(self.log_path, "ab")
        command = [*self.wrapper, self.binary, "-d", *(["-v"] if self.verbose else []), "-f", self.conf_path]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
                                        cwd=self.dir, **self.ids)
        log.close()
        wait_for(self.answers, "the port to answer: " + self.log_text()[-2000:])
        wait_for(lambda: "master.started" in self.log_text()[self.log_start:], "all roles to be forked")
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError("smtpd ended: " + self.log_text()[-4000:])
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def stop(self, sig=signal.SIGTERM):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("smtpd does not end: " + self.log_text()[-4000:])
        self.process = None
        watched.look_through(self.log_text())

    def kill(self):
        """Power cut for the processes: master and all roles at once."""
        victims = [self.process.pid, *self.pids().values()]
        for pid in victims:
            os.kill(pid, signal.SIGSTOP)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        wait_for(lambda: not any(map(lives, victims)), "the processes to go")
        self.process = None

    def pids(self, role=None):
        """{"session0": pid, ...} of the living children; of one role a list."""
        found = {}
        for kind, pid in wait_for(lambda: [c for c in [self.children()] if c is not None], "all children to have names")[0]:
            found[f"{kind}{sum(k.rstrip('0123456789') == kind for k in found)}"] = pid
        if role is None:
            return found
        return [pid for name, pid in found.items() if name.rstrip("0123456789") == role]

    def children(self):
        """[(role, pid)], or None while one was forked and is not yet what it will be."""
        found = []
        # under valgrind the title that a process gives itself is not what ps sees
        started = {e["pid"]: e["role"] for e in self.log("role.started")} if watched.BY == "valgrind" else {}
        for line in subprocess.run(["ps", "-o", "pid=,stat=,args=", "--ppid", str(self.process.pid)],
                                   capture_output=True, text=True).stdout.splitlines():
            pid, state, name = line.split(None, 2)
            match = re.match(r"smtpd: (?!master)(\w+)", name)
            if match or int(pid) in started:
                found.append((match.group(1) if match else started[int(pid)], int(pid)))
            elif "Z" not in state and not self.wrapper:
                return None
        return found

    # --- time ---

    def advance(self, seconds):
        """So much time passes."""
        passed, by = struct.unpack("<qq", self.clock_path.read_bytes())
        self.clock_path_write(passed + int(seconds), by)

    def set_clock(self, seconds):
        """The wall clock is set by so much, in no time."""
        passed, by = struct.unpack("<qq", self.clock_path.read_bytes())
        self.clock_path_write(passed, by + int(seconds))

    def clock_path_write(self, passed, by):
        with open(self.clock_path, "r+b") as f:
            f.write(struct.pack("<qq", passed, by))

    # --- looking ---

    def log_text(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log(self, event=None):
        lines = []
        for line in self.log_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if event is None or entry.get("event") == event:
                lines.append(entry)
        return lines

    def await_log(self, event, **fields):
        def found():
            for entry in self.log(event):
                if all(entry.get(k) == v for k, v in fields.items()):
                    return entry
            return None
        return wait_for(found, f"log line {event} {fields}: " + self.log_text()[-3000:])

    def messages(self, user):
        """Contents of what was delivered to a Maildir, as bytes."""
        folder = self.mail / user / "new"
        return [p.read_bytes() for p in sorted(folder.iterdir())] if folder.is_dir() else []

    def deliveries(self, user, count):
        wait_for(lambda: len(self.messages(user)) >= count, f"{count} message(s) for {user}: " + self.log_text()[-3000:])
        found = self.messages(user)
        assert len(found) == count
        return found

    def smtpctl(self):
        return [BUILD / "smtpctl", "-f", self.conf_path]

    def run_ctl(self, *words, stdin=None, json_lines=False):
        command = [*self.smtpctl(), *(["-j"] if json_lines else []), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, input=stdin, env=self.env,
                              timeout=2 * PATIENCE, **self.ids)

    def ctl(self, *words, stdin=None):
        done = self.run_ctl(*words, stdin=stdin, json_lines=True)
        assert done.returncode == 0, done.stderr + done.stdout
        return [json.loads(line) for line in done.stdout.splitlines()]

    def queue(self):
        return self.ctl("queue", "list")

    def await_empty_queue(self):
        wait_for(lambda: not self.queue(), "an empty queue: " + self.log_text()[-3000:])


def certificate(directory, name="mx.example.org", *, file=None, key="ec", days=30, extra=(), issuer=None):
    """(chain, key) as files: a certificate for NAME, signed by itself or by ISSUER, another such pair."""
    base = pathlib.Path(directory) / (file or name)
    chain, secret = base.with_name(base.name + ".pem"), base.with_name(base.name + ".key")
    kind = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if key == "ec" else [key]
    command = ["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-keyout", secret, "-out", chain, "-days", str(days),
               "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", *extra]
    if issuer:
        command += ["-CA", issuer[0], "-CAkey", issuer[1]]
    subprocess.run(command, check=True, capture_output=True)
    secret.chmod(0o600)
    for path in (chain, secret):
        own(path)
    return chain, secret


def trusting(chain=None, **changes):
    """A client's TLS context: trusts CHAIN, or anybody."""
    context = ssl.create_default_context(cafile=chain)
    if chain is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, value in changes.items():
        setattr(context, name, value)
    return context


class Reply:
    def __init__(self, lines):
        self.lines = lines
        self.code = int(lines[-1][:3]) if lines else 0
        self.text = "\n".join(line[4:] for line in lines)

    def __repr__(self):
        return "\n".join(self.lines) if self.lines else "(connection closed)"

    def __bool__(self):
        return bool(self.lines)


class Client:
    """One connection.  send() writes octets as they are, say() a line, and reply() reads one whole reply."""

    def __init__(self, port, *, source=None, address="127.0.0.1", greet=True, timeout=PATIENCE, tls=None, name=None,
                 session=None):
        self.socket = socket.create_connection((address, port), timeout=timeout,
                                               source_address=(source, 0) if source else None)
        self.file = self.socket.makefile("rb")
        if tls:
            self.wrap(tls, name, session)
        self.greeting = self.reply() if greet else None

    def wrap(self, context, name=None, session=None):
        """TLS from here on."""
        self.file.close()
        self.socket = context.wrap_socket(self.socket, server_hostname=name, session=session, suppress_ragged_eofs=True)
        self.file = self.socket.makefile("rb")

    def starttls(self, context=None, name=None, session=None):
        reply = self.say("STARTTLS")
        if reply.code == 220:
            self.wrap(context or trusting(), name, session)
        return reply

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def reply(self):
        lines = []
        try:
            while True:
                line = self.file.readline().decode("ascii", "replace")
                if not line:
                    return Reply([])
                assert line.endswith("\r\n"), line
                lines.append(line[:-2])
                if line[3:4] != "-":
                    return Reply(lines)
        except (ConnectionResetError, BrokenPipeError):
            return Reply([])

    def say(self, line):
        self.send(line + "\r\n")
        return self.reply()

    def closed(self):
        """True when the server ended the connection."""
        try:
            return self.file.readline() == b""
        except ConnectionResetError:
            return True

    def mail(self, sender, recipients, text="Subject: test\r\n\r\nhello\r\n", helo="client.example"):
        """A whole transaction; the reply that decided it."""
        if helo:
            reply = self.say(f"EHLO {helo}")
            if reply.code != 250:
                return reply
        reply = self.say(f"MAIL FROM:<{sender}>")
        if reply.code != 250:
            return reply
        for recipient in [recipients] if isinstance(recipients, str) else recipients:
            reply = self.say(f"RCPT TO:<{recipient}>")
            if reply.code != 250:
                return reply
        reply = self.say("DATA")
        if reply.code != 354:
            return reply
        self.send(text + ".\r\n")
        return self.reply()


def unread(client):
    """Octets of the client's that lie in the server's socket."""
    mine = "%04X" % client.socket.getsockname()[1]
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[2].endswith(":" + mine):
            return int(fields[4].split(":")[1], 16)
    return 0


def remove_tree(path):
    shutil.rmtree(path, ignore_errors=True)
