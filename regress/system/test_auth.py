"""AUTH (RFC 4954): mechanisms, order, replies; where accounts come from; guessing."""
import base64
import hashlib
import hmac
import os
import re
import select
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import threading
import time

import pytest

import watched
from genkan import PATIENCE, Client, Genkan, as_user, certificate, own, trusting, unread, wait_for
from peers import DovecotAuth

BASE = """
gate { }
relay { from { 192.0.2.1 } }
certificate "mx.example.org" chain "$dir/mx.example.org.pem" key "$dir/mx.example.org.key"
domain "example.org" {
	aliases { "info" = "alice" }
	users { "alice", "bob" }
	deliver maildir "$mail/%{user}"
}
"""
PLAIN = 'accounts { "alice" = "{PLAIN}wonder land", "bob" = "{PLAIN}builder" }\n'
LISTEN = 'submission tls "mx.example.org" xclient from { 127.0.0.0/8 }'


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def plain(user, password, as_whom=""):
    return b64(f"{as_whom}\0{user}\0{password}")


def server(directory, conf, listen=LISTEN, **more):
    certificate(directory)
    return Genkan(directory, BASE + conf, listen=listen, **more)


@pytest.fixture(scope="module")
def mx(tmp_path_factory):
    with server(tmp_path_factory.mktemp("auth"), PLAIN) as mx:
        wait_for(lambda: mechanisms(mx), "the vault's offer")
        yield mx


def trust_of(mx):
    return trusting(mx.dir / "mx.example.org.pem")


def mechanisms(mx, tls=False):
    """What EHLO names behind AUTH."""
    with connect(mx, tls) as c:
        for line in c.features.lines:
            if line[4:].startswith("AUTH "):
                return line[4:].split()[1:]
    return []


def connect(mx, tls=True, source=None):
    c = Client(mx.port, source=source)
    c.features = c.say("EHLO client.example")
    if tls:
        assert c.starttls(trust_of(mx), "mx.example.org").code == 220
        c.features = c.say("EHLO client.example")
    return c


class Scram:
    """A client's half of RFC 5802."""

    def __init__(self, user, password, hash="sha256", binding=None):
        self.password, self.hash = password.encode(), hash
        self.binding = binding  # (type, data)
        self.header = f"p={binding[0]},," if binding else "n,,"
        self.bare = f"n={user},r=rOprNGfwEbeRWgbNEkqO"

    def first(self):
        return b64(self.header + self.bare)

    def final(self, challenge):
        server_first = base64.b64decode(challenge).decode()
        fields = dict(part.split("=", 1) for part in server_first.split(","))
        salted = hashlib.pbkdf2_hmac(self.hash, self.password, base64.b64decode(fields["s"]), int(fields["i"]))
        digest = lambda key, text: hmac.new(key, text.encode() if isinstance(text, str) else text, self.hash).digest()
        key = digest(salted, "Client Key")
        channel = self.header.encode() + (self.binding[1] if self.binding else b"")
        without = f"c={b64(channel)},r={fields['r']}"
        message = f"{self.bare},{server_first},{without}"
        signature = digest(hashlib.new(self.hash, key).digest(), message)
        self.expected = b64(digest(digest(salted, "Server Key"), message))
        return b64(without + ",p=" + b64(bytes(a ^ b for a, b in zip(key, signature))))


def log_in_scram(c, scram, mechanism="SCRAM-SHA-256"):
    reply = c.say(f"AUTH {mechanism} {scram.first()}")
    if reply.code != 334:
        return reply
    reply = c.say(scram.final(reply.text))
    if reply.code != 334:
        return reply
    assert base64.b64decode(reply.text).decode() == "v=" + scram.expected
    return c.say("")


# --- what is offered ---

def test_passwords_are_offered_under_tls_only(mx):  # RFC 4954 4
    clear, secret = mechanisms(mx), mechanisms(mx, tls=True)
    assert clear == ["SCRAM-SHA-256", "SCRAM-SHA-1"]
    assert secret == ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN"]
    with connect(mx, tls=False) as c:
        assert c.say("AUTH PLAIN " + plain("alice", "wonder land")).code == 538
        assert c.say("AUTH LOGIN").code == 538
        assert c.say("AUTH CRAM-MD5").code == 504
        assert c.say("AUTH SCRAM-SHA-256-PLUS").code == 504


def test_nothing_is_offered_where_nobody_submits(tmp_path):
    with server(tmp_path, PLAIN, listen='tls "mx.example.org"') as mx:
        with connect(mx) as c:
            assert not any("AUTH" in line for line in c.features.lines)
            assert c.say("AUTH PLAIN " + plain("alice", "wonder land")).code == 502
            assert c.say("MAIL FROM:<a@b.example> AUTH=<>").code == 555


# --- mechanisms ---

def test_plain(mx):  # RFC 4616
    with connect(mx) as c:
        assert c.say("MAIL FROM:<alice@example.org>").code == 530
        reply = c.say("AUTH PLAIN " + plain("alice", "wonder land"))
        assert reply.code == 235 and reply.text.startswith("2.7.0")
        assert c.say("AUTH PLAIN " + plain("alice", "wonder land")).code == 503
        assert not any("AUTH" in line for line in c.say("EHLO client.example").lines)
        assert c.mail("alice@example.org", "bob@example.org", helo=None,
                      text="From: alice@example.org\r\nSubject: hi\r\n\r\nhello\r\n").code == 250
    assert b"with ESMTPSA" in mx.deliveries("bob", 1)[0]  # RFC 3848
    entry = mx.await_log("auth.passed", mechanism="PLAIN")
    assert entry["account"] == "alice" and entry["tls"] is True


def test_plain_after_a_challenge_and_as_oneself(mx):
    with connect(mx) as c:
        reply = c.say("AUTH PLAIN")
        assert reply.lines == ["334 "]
        assert c.say(plain("alice", "wonder land", as_whom="alice")).code == 235


def test_login(mx):
    for first in (True, False):
        with connect(mx) as c:
            if first:
                reply = c.say("AUTH LOGIN " + b64("bob"))
            else:
                assert base64.b64decode(c.say("auth login").text) == b"Username:"
                reply = c.say(b64("bob"))
            assert reply.code == 334 and base64.b64decode(reply.text) == b"Password:"
            assert c.say(b64("builder")).code == 235


@pytest.mark.parametrize("hash", ["sha256", "sha1"])
@pytest.mark.parametrize("tls", [False, True])
def test_scram(mx, hash, tls):  # RFC 5802, RFC 7677
    name = {"sha256": "SCRAM-SHA-256", "sha1": "SCRAM-SHA-1"}[hash]
    with connect(mx, tls) as c:
        assert log_in_scram(c, Scram("alice", "wonder land", hash), name).code == 235


def test_scram_refuses(mx):
    replies = []
    for user, password in (("alice", "wonder"), ("nobody", "wonder land")):
        with connect(mx, tls=False, source=f"127.1.{len(replies)}.1") as c:
            reply = c.say("AUTH SCRAM-SHA-256 " + (scram := Scram(user, password)).first())
            assert reply.code == 334  # who does not exist looks like who does
            replies.append(c.say(scram.final(reply.text)).lines)
    assert replies[0] == replies[1] and replies[0][0].startswith("535 5.7.8")


@pytest.mark.parametrize("message, code", [
    ("n,,n=,r=abc", 501),
    ("nonsense", 501),
    ("n,a=bob,n=alice,r=abcdefgh", 501),
    ("n,,n=al=ice,r=abcdefgh", 501),
    ("n,,n=alice", 501),
])
def test_scram_nonsense(mx, message, code):
    with connect(mx, tls=False) as c:
        assert c.say("AUTH SCRAM-SHA-256 " + b64(message)).code == code
        assert c.say("NOOP").code == 250


# --- RFC 4954 4: order, cancelling, base 64, lengths ---

def test_cancel(mx):
    with connect(mx) as c:
        assert c.say("AUTH PLAIN").code == 334
        assert c.say("*").code == 501
        assert c.say("AUTH PLAIN").code == 334
        assert c.say(plain("alice", "wonder land")).code == 235


@pytest.mark.parametrize("argument, code", [
    ("PLAIN !!!!", 501),
    ("PLAIN AGFsaWNlAHdvbmRlciBsYW5k====", 501),
    ("PLAIN AGFsaWNl AHdvbmRlciBsYW5k", 501),
    ("PLAIN =", 501),               # an empty message is no message of PLAIN
    ("PLAIN " + b64("alice"), 501),
    ("PLAIN " + b64("\0alice\0"), 501),
    ("PLAIN " + b64("\0\0x"), 501),
    ("PLAIN " + b64("\0alice\0a\0b"), 501),
    ("PLAIN " + b64("\0al\nice\0a"), 501),
    ("PLAIN " + b64(b"\0al\xff\xfeice\0a"), 501),
    ("PLAIN " + plain("a" * 256, "x"), 501),
    ("PLAIN " + plain("alice", "wonder land", as_whom="bob"), 535),
    ("PLAIN " + plain("alice", "wonder"), 535),
    ("PLAIN " + plain("carol", "wonder land"), 535),
    ("X-UNKNOWN", 504),
    ("", 501),
])
def test_refused(mx, argument, code):
    with connect(mx, source="127.2.0.1") as c:
        assert c.say(f"AUTH {argument}").code == code
        assert c.say("NOOP").code == 250
    if code == 535:
        mx.ctl("auth", "forget", "all")


def test_order(mx):
    with Client(mx.port) as c:
        assert c.say("AUTH SCRAM-SHA-256").code == 503  # before EHLO
        assert c.say("HELO client.example").code == 250
        assert c.say("AUTH SCRAM-SHA-256").code == 503  # HELO has no extensions
    with connect(mx) as c:
        assert c.say("AUTH PLAIN " + plain("alice", "wonder land")).code == 235
        assert c.say("MAIL FROM:<alice@example.org> AUTH=alice+40example.org").code == 250
        assert c.say("AUTH PLAIN " + plain("alice", "wonder land")).code == 503  # in a transaction
        assert c.say("RSET").code == 250
        assert c.say("MAIL FROM:<alice@example.org> AUTH=<>").code == 250
        assert c.say("RSET").code == 250
        assert c.say("MAIL FROM:<alice@example.org> AUTH=nobody").code == 501
        assert c.say("MAIL FROM:<alice@example.org> AUTH=").code == 501


def test_line_lengths(mx):
    with connect(mx) as c:
        c.say("AUTH PLAIN")
        assert c.say("A" * 12288).code == 501   # taken, and no message of PLAIN
        c.say("AUTH PLAIN")
        reply = c.say("A" * 12292)
        assert reply.code == 500 and reply.text.startswith("5.5.6 ")  # RFC 4954 4
        assert c.say("NOOP").code == 250        # the dialogue is over
        c.say("AUTH PLAIN")
        c.send("AAAA\nNOOP\r\n")
        assert c.reply().code == 500
        assert c.say("NOOP").code == 250


def test_login_is_forgotten_with_starttls(mx):  # RFC 3207 4.2
    with connect(mx, tls=False) as c:
        assert log_in_scram(c, Scram("alice", "wonder land")).code == 235
        c.starttls(trust_of(mx), "mx.example.org")
        c.say("EHLO client.example")
        assert c.say("MAIL FROM:<alice@example.org>").code == 530


def test_secrets_are_not_logged(mx):
    with connect(mx) as c:
        assert c.say("AUTH PLAIN " + plain("alice", "wonder land")).code == 235
    text = mx.log_text()
    assert "wonder" not in text and plain("alice", "wonder land") not in text


def test_leaving_in_the_middle(mx):
    for line in ("AUTH PLAIN", "AUTH LOGIN", "AUTH SCRAM-SHA-256 " + Scram("alice", "x").first()):
        with connect(mx) as c:
            assert c.say(line).code == 334
    assert mechanisms(mx)


# --- where accounts come from ---

def works(mx, user, password, tls=True, source=None):
    with connect(mx, tls, source) as c:
        return c.say("AUTH PLAIN " + plain(user, password)).code


def hashed(password, method="-6"):
    return subprocess.run(["openssl", "passwd", method, "-salt", "saltsalt", password], capture_output=True, text=True,
                          check=True).stdout.strip()


def scram_verifier(password, hash="sha256", name="SCRAM-SHA-256"):  # as doveadm pw writes it
    salt = b"0123456789abcdef"
    salted = hashlib.pbkdf2_hmac(hash, password.encode(), salt, 4096)
    client = hmac.new(salted, b"Client Key", hash).digest()
    server_key = hmac.new(salted, b"Server Key", hash).digest()
    return f"{{{name}}}4096,{b64(salt)},{b64(hashlib.new(hash, client).digest())},{b64(server_key)}"


def test_hashes_in_a_file(tmp_path):
    path = tmp_path / "passwd"
    path.write_text(f"# who may send\nalice:{hashed('one')}\nbob:{{SHA512-CRYPT}}{hashed('two')}:1000:1000::/home/bob\n"
                    f"carol:{hashed('three', '-5')}:19000:0:99999:7:::\nlocked:!{hashed('four')}\nempty:\n"
                    f"dora@example.org:{{PLAIN}}five: six\n")
    path.chmod(0o644)
    with server(tmp_path, f'accounts file "{path}"\n') as mx:
        wait_for(lambda: mechanisms(mx, tls=True), "the vault's offer")
        assert mechanisms(mx, tls=True) == ["PLAIN", "LOGIN"]  # a hash is no good for SCRAM
        assert mechanisms(mx) == []
        for user, password in (("alice", "one"), ("bob", "two"), ("carol", "three"), ("ALICE", "one"),
                               ("dora@example.org", "five: six")):
            assert works(mx, user, password) == 235, user
        for n, (user, password) in enumerate((("alice", "two"), ("locked", "four"), ("empty", ""), ("empty", "x"),
                                              ("nobody", "one"))):
            assert works(mx, user, password, source=f"127.3.{n}.1") in (535, 501), user
        replacement = tmp_path / "passwd.new"
        replacement.write_text(f"alice:{hashed('other')}\n")
        replacement.chmod(0o644)
        replacement.rename(path)  # as editors do
        wait_for(lambda: works(mx, "alice", "other", source="127.3.9.1") == 235, "the new password")
        assert works(mx, "bob", "two", source="127.3.10.1") == 535


def test_scram_verifiers_in_a_table(tmp_path):
    table = f'accounts {{ "alice" = "{scram_verifier("wonder land")}" }}\n'
    with server(tmp_path, table) as mx:
        wait_for(lambda: mechanisms(mx, tls=True), "the vault's offer")
        assert mechanisms(mx) == ["SCRAM-SHA-256"]
        assert works(mx, "alice", "wonder land") == 235
        assert works(mx, "alice", "wonder", source="127.3.0.1") == 535
        with connect(mx) as c:
            assert log_in_scram(c, Scram("alice", "wonder land")).code == 235
        with connect(mx, source="127.3.1.1") as c:
            assert log_in_scram(c, Scram("alice", "wonder")).code == 535


def test_sasldb(tmp_path):
    if shutil.which("saslpasswd2") is None:
        pytest.skip("no saslpasswd2 (sasl2-bin)")
    path = tmp_path / "sasldb2"
    for user, realm, password in (("alice", "mx.example.org", "one"), ("bob", "example.org", "two")):
        subprocess.run(["saslpasswd2", "-p", "-c", "-f", path, "-u", realm, user], input=password, text=True, check=True)
    path.chmod(0o644)
    with server(tmp_path, f'accounts sasldb "{path}"\n') as mx:
        wait_for(lambda: mechanisms(mx), "the vault's offer")
        assert works(mx, "alice", "one") == 235
        assert works(mx, "bob@example.org", "two") == 235
        assert works(mx, "alice", "two", source="127.3.0.1") == 535
        assert works(mx, "bob", "two", source="127.3.1.1") == 535  # another realm
        assert works(mx, "nobody", "two", source="127.3.2.1") == 535
        for hash, name in (("sha256", "SCRAM-SHA-256"), ("sha1", "SCRAM-SHA-1")):
            with connect(mx, tls=False) as c:
                assert log_in_scram(c, Scram("alice", "one", hash), name).code == 235
        with connect(mx, tls=False, source="127.3.3.1") as c:
            assert log_in_scram(c, Scram("nobody", "one")).code == 535
        path.unlink()
        assert works(mx, "alice", "one") == 454  # not the client's fault


def test_dovecot(tmp_path):
    users = {"alice": "{PLAIN}one", "bob@example.org": "{PLAIN}two"}
    with DovecotAuth(tmp_path / "peer", users) as dovecot, \
            server(tmp_path, f'accounts dovecot "{dovecot.socket}"\n') as mx:
        wait_for(lambda: mechanisms(mx), "the vault's offer")
        assert mechanisms(mx) == ["SCRAM-SHA-256"]
        assert mechanisms(mx, tls=True) == ["SCRAM-SHA-256", "PLAIN", "LOGIN"]
        assert works(mx, "alice", "one") == 235
        assert works(mx, "bob@example.org", "two") == 235
        assert works(mx, "alice", "two", source="127.3.0.1") == 535
        with connect(mx) as c:
            c.say("AUTH LOGIN")
            c.say(b64("alice"))
            assert c.say(b64("one")).code == 235
        with connect(mx, tls=False) as c:
            assert log_in_scram(c, Scram("alice", "one")).code == 235
        with connect(mx, tls=False, source="127.3.1.1") as c:
            assert log_in_scram(c, Scram("alice", "two")).code == 535
        dovecot.__exit__()
        assert works(mx, "alice", "one") == 454
        dovecot.__enter__()
        wait_for(lambda: works(mx, "alice", "one") == 235, "Dovecot's return")


class Socket:
    """A server at a unix socket: each connection goes to SERVE in a thread of its own."""

    def __init__(self, path, serve):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        os.chmod(path, 0o666)
        self.listener.listen(16)
        self.serve, self.open = serve, []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            connection.close()


def test_saslauthd(tmp_path):
    if shutil.which("saslauthd") is None:
        pytest.skip("no saslauthd (sasl2-bin)")
    if os.geteuid() != 0:
        pytest.skip("saslauthd -a sasldb reads /etc/sasldb2, as root")
    run = tmp_path / "run"
    run.mkdir()
    user = f"genkan{os.getpid()}"
    subprocess.run(["saslpasswd2", "-p", "-c", "-u", "mx.example.org", user], input="one", text=True, check=True)
    daemon = subprocess.Popen(["saslauthd", "-d", "-a", "sasldb", "-m", run, "-n", "2"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(lambda: (run / "mux").exists(), "saslauthd's socket")
        run.chmod(0o755)
        with server(tmp_path, f'accounts saslauthd "{run}/mux"\n') as mx:
            wait_for(lambda: mechanisms(mx, tls=True), "the vault's offer")
            assert mechanisms(mx, tls=True) == ["PLAIN", "LOGIN"]
            assert works(mx, f"{user}@mx.example.org", "one") == 235
            assert works(mx, f"{user}@mx.example.org", "two", source="127.3.0.1") == 535
            os.killpg(daemon.pid, signal.SIGKILL)  # when told to end it can wait for a child for ever
            daemon.wait()
            assert works(mx, f"{user}@mx.example.org", "one") == 454
    finally:
        daemon.kill()
        subprocess.run(["saslpasswd2", "-d", "-u", "mx.example.org", user])


def test_saslauthd_that_talks_nonsense(tmp_path):
    answers = [b"\0\5maybe", b"", b"\0\2OK", b"\0\3NO\0"]

    def serve(connection):
        connection.recv(4096)
        connection.sendall(answers.pop(0))
        connection.close()

    peer = Socket(tmp_path / "mux", serve)
    with server(tmp_path, f'accounts saslauthd "{tmp_path}/mux"\n') as mx:
        wait_for(lambda: mechanisms(mx, tls=True), "the vault's offer")
        assert [works(mx, "alice", "one") for _ in range(4)] == [454, 454, 235, 535]
    peer.close()


def test_a_slow_check_holds_nobody_up(tmp_path):
    release = threading.Event()

    def serve(connection):
        request = connection.recv(4096)
        if b"slow" in request:
            release.wait(30)
        connection.sendall(b"\0\2OK")
        connection.close()

    peer = Socket(tmp_path / "mux", serve)
    with server(tmp_path, f'accounts saslauthd "{tmp_path}/mux"\n') as mx:
        wait_for(lambda: mechanisms(mx, tls=True), "the vault's offer")
        with connect(mx) as slow:
            slow.send("AUTH PLAIN " + plain("slow", "x") + "\r\n")
            assert works(mx, "quick", "x") == 235
            release.set()
            assert slow.reply().code == 235
    peer.close()


def test_the_vault_dies(tmp_path):
    waiting = threading.Event()

    def serve(connection):
        connection.recv(4096)
        waiting.set()
        connection.recv(1)

    peer = Socket(tmp_path / "mux", serve)
    with server(tmp_path, f'accounts saslauthd "{tmp_path}/mux"\n') as mx:
        wait_for(lambda: mechanisms(mx, tls=True), "the vault's offer")
        with connect(mx) as c:
            c.send("AUTH PLAIN " + plain("alice", "x") + "\r\n")
            assert waiting.wait(30)
            old = mx.pids("vault")
            os.kill(old[0], 9)
            reply = c.reply()
            assert reply.code == 454 and reply.text.startswith("4.7.0")
            wait_for(lambda: mx.pids("vault") not in ([], old), "another vault")
            peer.serve = lambda connection: (connection.recv(4096), connection.sendall(b"\0\2OK"))
            wait_for(lambda: c.say("AUTH PLAIN " + plain("alice", "x")).code == 235, "the new vault")
    peer.close()


# --- certificates and channels ---

def test_channel_binding(mx):  # RFC 5802 6
    trust = trusting(mx.dir / "mx.example.org.pem")
    trust.maximum_version = ssl.TLSVersion.TLSv1_2  # this client knows no RFC 9266
    for hash, name in (("sha256", "SCRAM-SHA-256-PLUS"), ("sha1", "SCRAM-SHA-1-PLUS")):
        for right in (True, False):
            with Client(mx.port) as c:
                c.say("EHLO client.example")
                c.starttls(trust, "mx.example.org")
                assert f" {name} " in str(c.say("EHLO client.example"))
                data = c.socket.get_channel_binding("tls-unique") if right else b"another channel"
                reply = log_in_scram(c, Scram("alice", "wonder land", hash, ("tls-unique", data)), name)
                assert reply.code == 235 if right else reply.code in (501, 535), reply


@pytest.mark.parametrize("extended", [True, False])
def test_channel_binding_of_a_resumed_session(mx, extended):  # RFC 7677 4, RFC 7627
    trust = trusting(mx.dir / "mx.example.org.pem")
    trust.maximum_version = ssl.TLSVersion.TLSv1_2
    if not extended:
        trust.options |= 1  # SSL_OP_NO_EXTENDED_MASTER_SECRET
    session = None
    for resumed in (False, True):
        with Client(mx.port) as c:
            c.say("EHLO client.example")
            c.starttls(trust, "mx.example.org", session)
            session = c.socket.session
            assert c.socket.session_reused is resumed
            assert ("-PLUS" in str(c.say("EHLO client.example"))) is (extended or not resumed)
            if extended:
                data = c.socket.get_channel_binding("tls-unique")
                scram = Scram("alice", "wonder land", "sha256", ("tls-unique", data))
                assert log_in_scram(c, scram, "SCRAM-SHA-256-PLUS").code == 235


def test_external(tmp_path):  # RFC 4422 A
    ours = certificate(tmp_path, "ca.example.org")
    member = certificate(tmp_path, "alice", issuer=ours)
    stranger = certificate(tmp_path, "mallory")
    listen = LISTEN.replace("xclient", f'client-ca "{ours[0]}" xclient')
    with server(tmp_path, PLAIN, listen=listen) as mx:
        wait_for(lambda: mechanisms(mx), "the vault's offer")
        assert "EXTERNAL" not in mechanisms(mx, tls=True)
        for pair, response, code in ((member, "=", 235), (member, b64("alice"), 235), (member, b64("bob"), 535),
                                     (stranger, "=", 504)):
            context = trust_of(mx)
            context.load_cert_chain(*pair)
            with Client(mx.port, source="127.4.0.1") as c:
                c.say("EHLO client.example")
                c.starttls(context, "mx.example.org")
                assert ("EXTERNAL" in str(c.say("EHLO client.example"))) == (pair == member)
                assert c.say("AUTH EXTERNAL " + response).code == code


# --- guessing ---

def guess(mx, c, user):
    """A wrong password: for how many seconds its answer is held back."""
    before = len(mx.log("vault.held_back"))
    c.send("AUTH PLAIN " + plain(user, "wrong") + "\r\n")
    wait_for(lambda: len(mx.log("vault.held_back")) > before or comes(c), "the vault to judge")
    held = mx.log("vault.held_back")[before:]
    return held[0]["seconds"] if held else 0


def comes(c, seconds=0):
    return c.socket.pending() or select.select([c.socket], [], [], seconds)[0]


def fails(mx, user, source):
    """One wrong password; the answer is held back until the test's clock has moved."""
    with connect(mx, source=source) as c:
        mx.advance(guess(mx, c, user))
        return c.reply().code


def test_an_address_is_banned(tmp_path):
    with server(tmp_path, PLAIN, verbose=True) as mx:
        wait_for(lambda: mechanisms(mx), "the vault's offer")
        assert works(mx, "bob", "builder", source="127.5.0.1") == 235  # bob is known there
        assert [fails(mx, f"user{n}", "127.5.0.1") for n in range(10)] == [535] * 10
        assert works(mx, "alice", "wonder land", source="127.5.0.1") == 454
        assert works(mx, "alice", "wonder land", source="127.5.0.2") == 235
        assert works(mx, "bob", "builder", source="127.5.0.1") == 235
        assert mx.await_log("login.banned", what="address")["client"] == "127.5.0.1"
        banned = mx.ctl("auth", "list", "state=banned")
        assert [(b["what"], b["client"]) for b in banned] == [("address", "127.5.0.1")]
        assert 0 < banned[0]["left"] <= 600
        assert {(k["account"], k["client"]) for k in mx.ctl("auth", "list", "state=known")} == {
            ("bob", "127.5.0.1"), ("alice", "127.5.0.2")}
        mx.stop()
        mx.start()  # it is in the ledger
        wait_for(lambda: mechanisms(mx), "the vault's offer")
        assert works(mx, "alice", "wonder land", source="127.5.0.1") == 454
        mx.advance(700)
        assert works(mx, "alice", "wonder land", source="127.5.0.1") == 235


def test_a_ban_is_lifted(tmp_path):
    with server(tmp_path, PLAIN, verbose=True) as mx:
        wait_for(lambda: mechanisms(mx), "the vault's offer")
        for n in range(10):
            fails(mx, "x", "127.5.0.1")
        assert works(mx, "alice", "wonder land", source="127.5.0.1") == 454
        assert mx.run_ctl("auth", "forget").returncode == 2
        assert mx.run_ctl("auth", "forget", "client=127.99.0.1").returncode == 1
        assert mx.ctl("auth", "forget", "-n", "client=127.5.0.1")
        assert works(mx, "alice", "wonder land", source="127.5.0.1") == 454
        assert mx.ctl("auth", "forget", "client=127.5.0.1")
        assert works(mx, "alice", "wonder land", source="127.5.0.1") == 235


def test_an_account_is_banned_but_not_where_it_is_known(tmp_path):
    with server(tmp_path, PLAIN, verbose=True) as mx:
        wait_for(lambda: mechanisms(mx), "the vault's offer")
        assert works(mx, "alice", "wonder land", source="127.6.0.1") == 235
        for n in range(30):
            assert fails(mx, "Alice", f"127.7.{n}.1") == 535
        assert works(mx, "alice", "wonder land", source="127.8.0.1") == 454  # the right password, too
        assert works(mx, "alice", "wonder land", source="127.6.0.1") == 235
        assert works(mx, "bob", "builder", source="127.8.0.1") == 235
        assert mx.await_log("login.banned", what="account")["account"] == "alice"


def test_a_network_is_banned(tmp_path):
    with server(tmp_path, PLAIN, verbose=True) as mx:
        wait_for(lambda: mechanisms(mx), "the vault's offer")
        for n in range(50):
            assert fails(mx, f"user{n}", f"127.9.0.{n + 1}") == 535
        assert works(mx, "alice", "wonder land", source="127.9.0.200") == 454
        assert works(mx, "alice", "wonder land", source="127.9.1.1") == 235


def test_the_answer_is_held_back_longer_each_time(tmp_path):
    with server(tmp_path, PLAIN, verbose=True) as mx:
        wait_for(lambda: mechanisms(mx), "the vault's offer")
        for seconds in (1, 2, 4, 8, 16, 30, 30):
            with connect(mx, source="127.5.0.1") as c:
                asked = time.monotonic()
                assert guess(mx, c, "x") == seconds
                moved = max(0, seconds - 2)
                mx.advance(moved)
                assert not comes(c, 0.3) or time.monotonic() - asked + moved >= seconds - 1  # clocks of whole seconds
                mx.advance(seconds - moved)
                assert c.reply().code == 535


# --- what members use ---

TEXT = "From: alice@example.org\r\nTo: bob@example.org\r\nSubject: by {}\r\n\r\nhello\r\n"


def has(name):
    if shutil.which(name) is None:
        pytest.skip(f"no {name}")
    return name


def sent(mx, how, *command, stdin=None, env=None):
    """Runs a program; its message is delivered, and it logged in by the mechanism HOW."""
    before = len(mx.messages("bob"))
    done = subprocess.run([str(word) for word in command], input=stdin, text=True, capture_output=True, timeout=60,
                          env=dict(os.environ, **(env or {})))
    assert done.returncode == 0, done.stdout + done.stderr
    wait_for(lambda: len(mx.messages("bob")) > before, "the message")
    assert mx.log("auth.passed")[-1]["mechanism"] == how


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks(mx, mechanism):
    sent(mx, mechanism, has("swaks"), "--server", "127.0.0.1", "--port", mx.port, "--tls", "--auth", mechanism,
         "--auth-user", "alice", "--auth-password", "wonder land", "--from", "alice@example.org", "--to", "bob@example.org")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-1"])
def test_curl(mx, tmp_path, mechanism):
    (tmp_path / "text").write_bytes(TEXT.format("curl").encode())
    version = subprocess.run([has("curl"), "--version"], capture_output=True, text=True).stdout
    if mechanism.startswith("SCRAM") and "gsasl" not in version.lower():
        pytest.skip("this curl has no SCRAM (GNU SASL)")
    sent(mx, mechanism, "curl", "-sS", "--ssl-reqd", "-k", "--url", f"smtp://127.0.0.1:{mx.port}", "--user",
         "alice:wonder land", "--login-options", f"AUTH={mechanism}", "--mail-from", "alice@example.org", "--mail-rcpt",
         "bob@example.org", "-T", tmp_path / "text")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_smtplib(mx, mechanism):
    before = len(mx.messages("bob"))
    with smtplib.SMTP("127.0.0.1", mx.port) as client:
        client.starttls(context=trusting())
        client.ehlo()
        client.user, client.password = "alice", "wonder land"
        client.auth(mechanism, {"PLAIN": client.auth_plain, "LOGIN": client.auth_login}[mechanism])
        client.sendmail("alice@example.org", "bob@example.org", TEXT.format("smtplib"))
    wait_for(lambda: len(mx.messages("bob")) > before, "the message")
    assert mx.log("auth.passed")[-1]["mechanism"] == mechanism


@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-1", "scram-sha-256"])
def test_msmtp(mx, mechanism):
    sent(mx, mechanism.upper(), has("msmtp"), "--host=127.0.0.1", f"--port={mx.port}", "--tls=on", "--tls-certcheck=off",
         f"--auth={mechanism}", "--user=alice", "--passwordeval=echo wonder land", "--from=alice@example.org",
         "--domain=client.example", "bob@example.org", stdin=TEXT.format("msmtp"))


def test_s_nail(mx, tmp_path):
    sent(mx, "PLAIN", has("s-nail"), "-:/", "-Sv15-compat", "-Ssmtp-use-starttls", "-Stls-verify=ignore",
         f"-Smta=smtp://alice:wonder%20land@127.0.0.1:{mx.port}", "-Ssmtp-auth=plain", "-Ssmtp-hostname=example.org",
         "-Sfrom=alice@example.org", "-Shostname=example.org", "-ssubject", "bob@example.org", stdin="hello\n",
         env={"HOME": str(tmp_path)})


def test_mutt(mx, tmp_path):
    (tmp_path / "muttrc").write_text("\n".join([
        f'set smtp_url="smtp://alice@127.0.0.1:{mx.port}"', 'set smtp_pass="wonder land"', "set ssl_force_tls=yes",
        "set ssl_verify_host=no", "set ssl_verify_dates=no", f'set certificate_file="{mx.dir}/mx.example.org.pem"',
        'set from="alice@example.org"', "set use_from=yes", "set envelope_from_address=alice@example.org", "set copy=no",
        'set hostname="client.example"', ""]))
    sent(mx, "SCRAM-SHA-256", has("mutt"), "-F", tmp_path / "muttrc", "-s", "subject", "bob@example.org", stdin="hello\n",
         env={"HOME": str(tmp_path), "TERM": "dumb"})



@watched.by_valgrind  # they wait for two seconds
def test_who_comes_right_after_a_reload_can_log_in(tmp_path):
    """The new vault has a large file to read; until it has, the new workers take nobody in."""
    accounts, others = tmp_path / "accounts", 20000 if watched.BY else 200000
    accounts.write_text("alice\t{PLAIN}wonder land\n" + "".join(f"user{n}\t{{PLAIN}}{n}\n" for n in range(others)))
    own(accounts)
    with server(tmp_path, f'accounts file "{accounts}"\n') as mx:
        for _ in range(3):
            assert mx.run_ctl("reload").returncode == 0
            with connect(mx) as c:
                assert c.say("AUTH PLAIN " + plain("alice", "wonder land")).code == 235


def test_a_vault_that_does_not_come_keeps_nobody_waiting(tmp_path):
    with server(tmp_path, PLAIN) as mx:
        vault, = mx.pids("vault")
        os.kill(vault, signal.SIGSTOP)
        for worker in mx.pids("session"):
            os.kill(worker, signal.SIGKILL)
        with connect(mx, tls=False) as c:
            assert c.features.code == 250
        os.kill(vault, signal.SIGCONT)


SLOW = "$$2b$$11$$abcdefghijklmnopqrstuuqyPi0lWdxbegndbjRztv8/KnpSuhMDO"  # wonder land; the better part of a second


def test_who_leaves_before_the_answer_is_counted(tmp_path):
    """A guesser who does not wait is banned like others, and does not keep those waiting who are known."""
    with server(tmp_path, f'accounts {{ "alice" = "{{CRYPT}}{SLOW}" }}\n') as mx:
        wait_for(lambda: mechanisms(mx, tls=True), "the vault's offer")
        with connect(mx, source="127.0.5.1") as c:
            assert c.say("AUTH PLAIN " + plain("alice", "wonder land")).code == 235

        def guess():
            with connect(mx, source="127.0.6.1") as c:
                c.send("AUTH PLAIN " + plain("alice", "guessed") + "\r\n")
                wait_for(lambda: not unread(c), "the command to be read")
            return mx.run_ctl("auth", "list", "client=127.0.6.1", "state=banned").returncode == 0 and \
                mx.ctl("auth", "list", "client=127.0.6.1", "state=banned")
        wait_for(guess, "a ban", 2 * PATIENCE)
        with connect(mx, source="127.0.6.1") as c:
            assert c.say("AUTH PLAIN " + plain("alice", "wonder land")).code == 454
        with connect(mx, source="127.0.5.1") as c:
            assert c.say("AUTH PLAIN " + plain("alice", "wonder land")).code == 235
