"""TLS: STARTTLS (RFC 3207), implicit TLS (RFC 8314), certificates by name, reread, tickets, clients' certificates."""
import base64
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

import watched
from genkan import BUILD, Client, Genkan, as_user, certificate, free_port, own, trusting, wait_for

CONF = """
gate { }
domain "example.org" {
	users { "alice" }
	deliver maildir "$mail/%{user}"
}
certificate "mx.example.org" chain "$dir/mx.example.org.pem" key "$dir/mx.example.org.key"
"""
NOBODYS_RELAY = "relay { from { 10.255.255.255 } }\n"
IMPLICIT = 'listen on 127.0.0.1 port %d implicit-tls "mx.example.org"\n'


def tls_server(directory, conf=CONF, **options):
    """STARTTLS on .port, TLS at once on .implicit."""
    directory.mkdir(exist_ok=True)
    certificate(directory)
    port = free_port()
    server = Genkan(directory, conf + IMPLICIT % port, listen='tls "mx.example.org"', **options)
    server.implicit = port
    return server


@pytest.fixture(scope="module")
def mx(tmp_path_factory):
    with tls_server(tmp_path_factory.mktemp("tls")) as server:
        yield server


@pytest.fixture
def trust(mx):
    return trusting(mx.dir / "mx.example.org.pem")


def features(reply):
    return {line[4:].split()[0] for line in reply.lines[1:]}


def shown(port, name="mx.example.org"):
    """The certificate that a client gets, as DER."""
    with Client(port, tls=trusting(), name=name) as c:
        return c.socket.getpeercert(binary_form=True)


def der(chain):
    return ssl.PEM_cert_to_DER_cert(chain.read_text())


# --- STARTTLS ---

def test_starttls_is_offered_until_it_is_used(mx, trust):  # RFC 3207 4.2
    with Client(mx.port) as c:
        assert c.say("STARTTLS").code == 503
        assert "STARTTLS" in features(c.say("EHLO client.example"))
        assert c.say("STARTTLS now").code == 501
        assert c.starttls(trust, "mx.example.org").code == 220
        assert "STARTTLS" not in features(c.say("EHLO client.example"))
        assert c.say("STARTTLS").code == 503
        assert c.say("QUIT").code == 221
        assert c.closed()


def test_not_inside_a_transaction(mx):
    with Client(mx.port) as c:
        c.say("EHLO client.example")
        c.say("MAIL FROM:<a@b.example>")
        assert c.say("STARTTLS").code == 503
        c.say("RSET")
        assert c.starttls().code == 220


def test_what_was_said_before_is_forgotten(mx, trust):  # 4.2
    with Client(mx.port) as c:
        c.say("EHLO before.example")
        c.starttls(trust, "mx.example.org")
        assert c.say("MAIL FROM:<a@b.example>").code == 503
        c.say("EHLO after.example")
        assert c.mail("a@b.example", "alice@example.org", "Subject: forgotten\r\n\r\n", helo=None).code == 250
    text = wait_for(lambda: [m for m in mx.messages("alice") if b"Subject: forgotten" in m], "the message")[0]
    assert b"from after.example" in text and b"before.example" not in text


def test_a_message_under_tls(mx, trust):
    with Client(mx.port) as c:
        c.say("EHLO client.example")
        c.starttls(trust, "mx.example.org")
        assert c.mail("a@b.example", "alice@example.org", "Subject: traced\r\n\r\n").code == 250
        cipher = c.socket.cipher()[0]
    text = wait_for(lambda: [m for m in mx.messages("alice") if b"Subject: traced" in m], "the message")[0].decode()
    received = " ".join(re.search(r"^Received: (.*?)^\S", text, re.M | re.S).group(1).split())
    assert "with ESMTPS (TLSv1.3) id" in received                # RFC 3848
    assert f"for <alice@example.org> tls {cipher};" in received  # RFC 8314 4.3
    line = mx.await_log("session.tls", sni="mx.example.org")
    assert line["tls"] == f"TLSv1.3 {cipher}" and line["resumed"] is False


def test_much_text_under_tls(mx, trust):
    """Records, commands and replies do not begin and end together."""
    body = "".join(f"{i:06} " + "x" * (i % 300) + "\r\n" for i in range(8000))
    with Client(mx.port) as c:
        c.say("EHLO client.example")
        c.starttls(trust, "mx.example.org")
        c.say("EHLO client.example")
        c.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n")
        assert [c.reply().code for _ in range(3)] == [250, 250, 354]
        c.send("Subject: much\r\n\r\n" + body + ".\r\nNOOP\r\nQUIT\r\n")
        assert [c.reply().code for _ in range(3)] == [250, 250, 221]
    text = wait_for(lambda: [m for m in mx.messages("alice") if b"Subject: much" in m], "the message")[0]
    assert text.endswith(body.replace("\r\n", "\n").encode())


def test_client_that_does_not_read(place):
    """Its replies wait under TLS as they do in the clear, and it gets them all."""
    with tls_server(place, CONF + "limit commands off\n") as mx, Client(mx.implicit, tls=trusting()) as c:
        c.say("EHLO client.example")
        lines, at_once = 0, 300
        c.socket.settimeout(0.5)
        try:
            while True:
                c.socket.send(b"VRFY alice\r\n" * at_once)
                lines += at_once
                assert lines < 5_000_000, "the server reads on for ever"
        except TimeoutError:
            pass  # this last record stays half sent
        c.socket.settimeout(30)
        for _ in range(lines):
            assert c.reply().code == 252


# --- commands in the clear that pretend to be under TLS (CVE-2011-0411) ---

INJECTED = b"STARTTLS\r\nEHLO injected.example\r\nMAIL FROM:<a@injected.example>\r\n"


@pytest.mark.parametrize("split", range(1, len(INJECTED) + 1))
def test_injected_commands(mx, split):
    with Client(mx.port) as c:
        c.say("EHLO client.example")
        c.send(INJECTED[:split])
        if split == INJECTED.index(b"\n") + 1:  # the rest comes when we have gone over to TLS
            assert c.reply().code == 220
        c.send(INJECTED[split:])
        first = c.file.readline()
        assert first[:3] in (b"554", b"220") or first[:1] in (b"", b"\x15")  # refused; or begun, and then no TLS: an alert
        rest = c.file.read()
        assert b"250" not in rest and b"injected" not in rest


def test_injection_is_told(mx):
    with Client(mx.port, source="127.0.3.9") as c:
        c.say("EHLO client.example")
        assert c.say("STARTTLS\r\nNOOP").code == 554
        assert c.closed()
    assert mx.await_log("session.injection", client="127.0.3.9")["octets"] == 6


# --- handshakes ---

class Slow:
    """A TLS client whose octets go one by one."""

    def __init__(self, sock, context, name=None):
        self.socket, self.ins, self.outs = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = context.wrap_bio(self.ins, self.outs, server_hostname=name)
        self.do(self.tls.do_handshake)

    def push(self):
        for octet in self.outs.read():
            self.socket.send(bytes([octet]))

    def do(self, action, *args):
        while True:
            try:
                result = action(*args)
                self.push()
                return result
            except ssl.SSLWantReadError:
                self.push()
                data = self.socket.recv(1)
                if not data:
                    return b""
                self.ins.write(data)

    def read_all(self):
        got = b""
        while data := self.do(self.tls.read, 4096):
            got += data
        return got


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_octet_by_octet(mx, version):
    context = trusting(minimum_version=getattr(ssl.TLSVersion, version), maximum_version=getattr(ssl.TLSVersion, version))
    with Client(mx.port) as c:
        c.say("EHLO client.example")
        c.say("STARTTLS")
        slow = Slow(c.socket, context, "mx.example.org")
        slow.do(slow.tls.write, b"EHLO client.example\r\nQUIT\r\n")
        assert slow.read_all().splitlines()[-1].startswith(b"221")


def test_half_closed_under_tls(mx):
    """The client says that it sends no more, by TLS or by TCP, and gets its answers."""
    for how in ("close_notify", "shutdown"):
        with Client(mx.implicit, greet=False) as c:
            slow = Slow(c.socket, trusting(), "mx.example.org")
            slow.do(slow.tls.write, b"EHLO client.example\r\nNOOP\r\n")
            if how == "shutdown":
                c.socket.shutdown(socket.SHUT_WR)
            else:
                with pytest.raises(ssl.SSLWantReadError):
                    slow.tls.unwrap()
                slow.push()
            c.socket.settimeout(30)
            data = b""
            while octets := c.socket.recv(65536):
                data += octets
            slow.ins.write(data)
            slow.ins.write_eof()
            text = b""
            try:
                while piece := slow.tls.read(65536):
                    text += piece
            except ssl.SSLError:
                pass
            assert [line[:3] for line in text.splitlines() if line[3:4] == b" "] == [b"220", b"250", b"250"], how


@pytest.mark.parametrize("octets, why", [
    (b"EHLO client.example\r\n", "the client sent something that is no TLS"),
    (b"\0" * 600, "the client sent something that is no TLS"),
    (b"GET / HTTP/1.1\r\n\r\n", "the client speaks HTTP, not TLS"),
    (b"\x16\x03\x01\x02\x00\x01\x00", "the client left"),
    (b"", "the client left"),
])
def test_no_client_hello(mx, octets, why):
    with Client(mx.implicit, greet=False, source="127.0.3.10") as c:
        before = len(mx.log("session.tls_failed"))
        c.send(octets)
        c.socket.shutdown(socket.SHUT_WR)
        assert b"220" not in c.file.read()
    line = wait_for(lambda: mx.log("session.tls_failed")[before:], "the log")[0]
    assert (line["client"], line["why"]) == ("127.0.3.10", why)


def test_old_client(mx):
    context = trusting(minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="(?i)protocol.version"), Client(mx.implicit, tls=context):
        pass
    mx.await_log("session.tls_failed", why="the client speaks only TLS 1.1 or older; 1.2 is the least that we take")


def test_distrusting_client(mx):
    with pytest.raises(ssl.SSLError), Client(mx.implicit, tls=ssl.create_default_context(), name="mx.example.org"):
        pass
    mx.await_log("session.tls_failed", why="the client does not know who signed our certificate (alert unknown_ca)")


def test_handshake_takes_too_long(place):
    with tls_server(place, CONF + "limit idle 1s\n") as mx, Client(mx.implicit, greet=False) as c:
        c.send(b"\x16\x03\x01\x02\x00")
        assert c.closed()
        mx.await_log("session.tls_failed", why="the client did not finish the handshake in time")


def test_others_do_not_wait_for_handshakes(place):
    """Hundreds that begin one and do not go on are hundreds of sockets, nothing more."""
    with tls_server(place, CONF + "limit connections-per-address off\nlimit connections-per-network off\n") as mx:
        held = [Client(mx.implicit, greet=False) for _ in range(300)]
        for c in held:
            c.send(b"\x16\x03\x01\x02\x00\x01")
        with Client(mx.port) as c:
            assert c.mail("a@b.example", "alice@example.org").code == 250
        assert der(mx.dir / "mx.example.org.pem") == shown(mx.implicit)
        for c in held:
            c.close()


def test_no_banner_for_a_crowd(place):
    """There is nobody to read "421" before TLS is agreed on."""
    with tls_server(place, CONF + "limit connections-per-address 2\n") as mx:
        mx.await_log("session.closed")
        with Client(mx.implicit, tls=trusting()), Client(mx.port), Client(mx.implicit, greet=False) as third:
            assert third.closed()


def test_ending(place):
    """Who is in is told so under TLS; who is on the way there is not told in the clear."""
    with tls_server(place) as mx:
        with Client(mx.implicit, tls=trusting()) as inside, Client(mx.implicit, greet=False) as outside, Client(mx.port) as c:
            inside.say("EHLO client.example")
            c.say("EHLO client.example")
            assert c.say("STARTTLS").code == 220
            mx.process.send_signal(signal.SIGTERM)
            assert inside.reply().code == 421
            assert inside.closed() and outside.closed() and c.closed()


# --- the gate ---

def test_client_hello_is_not_early_talking(place):
    conf = CONF.replace("gate { }", NOBODYS_RELAY + "gate {\n pause 1s\n reject at greeting when early-talker\n}")
    with tls_server(place, conf) as mx:
        with Client(mx.implicit, tls=trusting()) as c:
            assert c.greeting.code == 220
        with Client(mx.implicit, tls=trusting(), greet=False, source="127.0.3.11") as c:
            c.send("EHLO client.example\r\n")
            assert c.reply().code == 554


def test_the_fact_tls(place):
    conf = CONF.replace("gate { }", NOBODYS_RELAY + 'gate {\n reject "TLS only" at mail when not tls\n}')
    with tls_server(place, conf) as mx, Client(mx.port) as c:
        c.say("EHLO client.example")
        assert c.say("MAIL FROM:<a@b.example>").code == 550
        c.starttls()
        c.say("EHLO client.example")
        assert c.say("MAIL FROM:<a@b.example>").code == 250


def test_xclient_under_tls(place):
    port = free_port()
    conf = CONF + f'listen on 127.0.0.1 port {port} tls "mx.example.org" xclient from {{ 127.0.0.1 }}\n'
    with tls_server(place, conf) as mx, Client(port) as c:
        c.say("EHLO proxy.example")
        c.starttls()
        c.say("EHLO proxy.example")
        assert c.say("XCLIENT ADDR=192.0.2.7 NAME=client.example LOGIN=alice").code == 220
        assert "STARTTLS" not in features(c.say("EHLO client.example"))
        assert c.mail("a@b.example", "alice@example.org", helo=None).code == 250
        assert b"with ESMTPSA (TLSv1.3)" in mx.deliveries("alice", 1)[0]


# --- certificates ---

def test_certificate_by_name(place):
    other = place / "other.example.net.pem"
    conf = CONF + f'certificate "other" chain "{other}" key "{other.with_suffix(".key")}"\n'
    certificate(place, "other.example.net")
    with tls_server(place, conf) as mx:
        assert shown(mx.implicit, "other.example.net") == der(other)
        assert shown(mx.implicit, "mx.example.org") == shown(mx.implicit, "nobody.example") == der(mx.dir / "mx.example.org.pem")
        with Client(mx.port) as c:
            c.say("EHLO client.example")
            c.starttls(trusting(other), "other.example.net")
            assert c.say("NOOP").code == 250


def put(new, chain, owner=True):
    """NEW, a pair, in the place of CHAIN and its key: the key first."""
    for source, target in zip(reversed(new), (chain.with_suffix(".key"), chain)):
        shutil.copy(source, f"{target}.new")
        if owner:
            own(f"{target}.new")
        os.rename(f"{target}.new", target)


def test_renewed_certificate(place):
    with tls_server(place) as mx:
        chain = mx.dir / "mx.example.org.pem"
        with Client(mx.implicit, tls=trusting()) as c:
            before = der(chain)
            put(certificate(place, file="renewed"), chain)
            assert der(chain) != before
            wait_for(lambda: all(shown(mx.implicit) == der(chain) for _ in range(10)), "the new certificate")
            assert c.say("EHLO client.example").code == 250
        assert mx.log("tls.reread")[0]["certificate"] == "mx.example.org"


@pytest.mark.parametrize("what, why", [("key", "does not fit the certificate"), ("expired", "has expired, and the one before has not"),
                                       ("empty", "holds no certificate"), ("gone", "cannot be read")])
def test_bad_renewal(place, what, why):
    with tls_server(place) as mx:
        chain = mx.dir / "mx.example.org.pem"
        before = der(chain)
        if what == "key":
            certificate(place, file="other")
            os.rename(place / "other.key", chain.with_suffix(".key"))
        elif what == "expired":
            mx.advance(10 * 86400)
            put(certificate(place, file="expired", days=5), chain)
        elif what == "empty":
            chain.write_text("")
        else:
            os.rename(chain, place / "away.pem")
        line = wait_for(lambda: [e for e in mx.log("tls.refused") if why in e["why"]], "the log: " + mx.log_text()[-2000:])[0]
        assert str(place) in line["why"]
        assert shown(mx.implicit) == before
        for pid in mx.pids("session"):  # who is born now serves it too
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: shown(mx.implicit) == before if mx.pids("session") else None, "new workers")


def test_reload_reads_certificates(place):
    with tls_server(place) as mx:
        chain = mx.dir / "mx.example.org.pem"
        put(certificate(place, file="renewed"), chain)
        assert mx.run_ctl("reload").returncode == 0
        wait_for(lambda: shown(mx.implicit) == der(chain), "the new certificate")
        chain.write_text("broken")
        done = mx.run_ctl("reload")
        assert done.returncode == 1 and "holds no certificate" in done.stderr + done.stdout


def check(place, conf):
    """smtpd -n: its exit code and what it says."""
    path = place / "smtpd.conf"
    path.write_text(f'host "mx.example.org"\nspool "{place}/spool"\n' + conf)
    done = subprocess.run([BUILD / "smtpd", "-n", "-f", path], capture_output=True, text=True, **as_user())
    return done.returncode, done.stderr


def test_check_names_files(place):
    chain, key = certificate(place)
    line = f'certificate "mx.example.org" chain "{chain}" key "{key}"\n'
    assert check(place, line) == (0, "configuration OK\n")
    code, said = check(place, line.replace(str(key), f"{place}/nothing.key"))
    assert code == 1 and f'smtpd.conf:3: certificate "mx.example.org": {place}/nothing.key cannot be read: No such file' in said
    key.chmod(0)
    code, said = check(place, line)
    assert code == 1 and f"{key} cannot be read: Permission denied" in said and "root" in said
    key.chmod(0o644)
    code, said = check(place, line)
    assert code == 0 and f"{key} can be read by everybody" in said
    key.chmod(0o600)
    code, said = check(place, line + line.replace('"mx.example.org"', '"other.example.org"'))
    assert code == 0 and "is not made out to the name" in said
    code, said = check(place, line.rstrip() + line.split('"mx.example.org"')[1])
    assert code == 1 and "is of the same kind as the key before it" in said
    code, said = check(place, line.rstrip() + f' ocsp "{chain}"\n')
    assert code == 0 and "is no OCSP response" in said
    code, said = check(place, line + f'listen on 127.0.0.1 tls "mx.example.org" client-ca "{key}"\n')
    assert code == 1 and f"client-ca: {key} holds no certificate" in said


# --- tickets ---

def session_of(port, session=None):
    """A connection that ends in order; its session, and whether it was resumed.  TLS 1.2: the ticket comes with the handshake."""
    context = session_of.context
    with Client(port, tls=context, name="mx.example.org", session=session) as c:
        c.say("QUIT")
        return c.socket.session, c.socket.session_reused


def test_tickets_are_every_workers(place):
    session_of.context = trusting(maximum_version=ssl.TLSVersion.TLSv1_2)
    with tls_server(place) as mx:
        if os.cpu_count() < 2:
            pytest.skip("one processor, one worker")
        wait_for(lambda: len(mx.pids("session")) >= 2, "the workers")
        workers = mx.pids("session")
        one, two = workers[:2]
        others = workers[2:]
        for pid in (two, *others):
            os.kill(pid, signal.SIGSTOP)
        session, reused = session_of(mx.implicit)
        assert not reused
        os.kill(two, signal.SIGCONT)
        os.kill(one, signal.SIGSTOP)
        session, reused = session_of(mx.implicit, session)
        assert reused
        assert mx.log("session.tls")[-1]["resumed"] is True and mx.log("session.tls")[-1]["pid"] == two
        for pid in (one, *others):
            os.kill(pid, signal.SIGCONT)
        # a worker that was born meanwhile knows them too
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: set(mx.pids("session")) - set(workers), "new workers")
        assert session_of(mx.implicit, session)[1]
        counts = [line for line in mx.ctl("stats") if "tls_handshakes" in line]
        assert sum(line["resumed"] for line in counts) == 1


def test_keys_of_tickets_wear_out(place):
    session_of.context = trusting(maximum_version=ssl.TLSVersion.TLSv1_2)
    with tls_server(place, verbose=True) as mx:
        first = session_of(mx.implicit)[0]
        for hours, resumed in ((1, True), (2, False)):
            mx.advance(3600)
            wait_for(lambda: len(mx.log("tls.tickets")) == hours, "a new key")
            wait_for(lambda: session_of(mx.implicit, first)[1] == resumed, f"the ticket to be {'' if resumed else 'no '}good")


# --- clients' certificates ---

def test_client_certificate(place):
    issuer = certificate(place, "Our Own", extra=["-addext", "basicConstraints=critical,CA:TRUE"])
    stranger = certificate(place, "stranger")
    alice = certificate(place, "alice", issuer=None)
    port = free_port()
    request = place / "alice.csr"
    subprocess.run(["openssl", "req", "-new", "-key", alice[1], "-out", request, "-subj", "/CN=alice"], check=True)
    subprocess.run(["openssl", "x509", "-req", "-in", request, "-CA", issuer[0], "-CAkey", issuer[1], "-out", alice[0],
                    "-days", "30"], check=True, capture_output=True)
    conf = CONF + f'listen on 127.0.0.1 port {port} implicit-tls "mx.example.org" client-ca "{issuer[0]}"\n'
    with tls_server(place, conf) as mx:
        for who, verified in ((alice, "ok"), (stranger, "self-signed certificate"), (None, None)):
            context = trusting()
            if who:
                context.load_cert_chain(*who)
            before = len(mx.log("session.tls"))
            with Client(port, tls=context) as c:
                assert c.say("EHLO client.example").code == 250
            line = wait_for(lambda: mx.log("session.tls")[before:], "the log")[0]
            assert line.get("verified") == verified
            assert line.get("certificate") == (f"/CN={who[0].stem}" if who else None)


# --- where the connection comes from ---

def test_behind_a_proxy(place):
    """The header, then TLS, in one piece: each is read by whom it is for."""
    port = free_port()
    conf = CONF + f'listen on 127.0.0.1 port {port} implicit-tls "mx.example.org" proxy from {{ 127.0.0.1 }}\n'
    with tls_server(place, conf) as mx, Client(port, greet=False) as c:
        ins, outs = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting().wrap_bio(ins, outs)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        c.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 465\r\n" + outs.read())
        ins.write(c.socket.recv(65536))
        tls.do_handshake()
        c.send(outs.read())
        mx.await_log("session.tls", client="192.0.2.7")


# --- secrets ---

@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_roots_key(place):
    """Read while there is root, and served by processes that are not."""
    with tls_server(place, as_root=True) as mx:
        key = mx.dir / "mx.example.org.key"
        for new in (None, certificate(place, file="renewed")):
            if new:
                os.chown(new[1], 0, 0)
                put(new, key.with_suffix(".pem"), owner=False)
            os.chown(key, 0, 0)
            assert key.stat().st_mode & 0o777 == 0o600
            wait_for(lambda: shown(mx.implicit) == der(key.with_suffix(".pem")), "the certificate")
        assert mx.log("tls.reread") and not mx.log("tls.refused")


@pytest.mark.skipif(os.geteuid() != 0, reason="reads the memory of other processes")
@watched.by_any
def test_keys_are_where_they_are_used_only(place):
    """In no process but the master and the session workers is there any of a key, as text or as octets."""
    with tls_server(place) as mx:
        shown(mx.implicit)
        key = mx.dir / "mx.example.org.key"
        put(certificate(place, file="renewed"), key.with_suffix(".pem"))
        wait_for(lambda: mx.log("tls.reread"), "the new key")
        for pid in [p for name, p in mx.pids().items() if name.startswith("relay")]:  # born when the master had both
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len(mx.pids("relay")) > 0, "another relay")
        text = key.read_text().splitlines()[1:-1]
        octets = base64.b64decode("".join(text))
        number = octets[36:68]  # RFC 5915 in RFC 5208
        needles = [text[1].encode(), number, number[::-1]]
        assert len(number) == 32
        found = {name: [needle in memory for needle in needles] for name, pid in mx.pids().items()
                 for memory in [memory_of(pid)]}
        for name, hits in found.items():
            if not name.startswith("session"):
                assert not any(hits), (name, hits)
        assert any(hits[2] for name, hits in found.items() if name.startswith("session"))  # the needle can be found


def memory_of(pid):
    """All that it may write."""
    pieces = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, rights = line.split()[:2]
            if "w" not in rights or "[vvar" in line:
                continue
            begin, end = (int(x, 16) for x in span.split("-"))
            try:
                mem.seek(begin)
                pieces.append(mem.read(end - begin))
            except OSError:
                pass
    return b"".join(pieces)


# --- handshakes that are begun and not finished ---

HALF = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # of a ClientHello


def test_half_handshakes_are_not_gathered(tmp_path):
    """Above a thousand in a worker the oldest has to go, and who is quick gets through."""
    conf = CONF + "limit connections off\nlimit connections-per-address off\nlimit connections-per-network off\n"
    with tls_server(tmp_path / "mx", conf) as g:
        n = 1000 * len(g.pids("session")) + 1
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < n + 100:
            pytest.skip(f"{n} connections need more descriptors than we may have")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        held = []
        try:
            for _ in range(n):
                held.append(socket.create_connection(("127.0.0.1", g.implicit)))
                held[-1].sendall(HALF)
            g.await_log("session.tls_failed", why="too many handshakes were begun and not finished")
            with Client(g.implicit, tls=trusting(), name="mx.example.org") as c:
                assert c.mail("a@client.example", "alice@example.org").code == 250
        finally:
            for s in held:
                s.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
