"""TLS and logins on the way out, as the configuration's words ask for them: RFC 3207, 8314, 4954."""
import os
import pathlib
import ssl

import pytest

from certs import Authority
from genkan import Client, Genkan, own, wait_for
from smtppeer import SmtpPeer

ADDRESS = "127.0.0.1"


@pytest.fixture
def ca(tmp_path):
    return Authority(tmp_path / "ca")


def send(mx, recipient="bob@partner.example", text="Subject: test\r\n\r\nhello\r\n", sender="alice@example.org"):
    with Client(mx.port) as c:
        assert c.mail(sender, recipient, text).code == 250


def relaying(tmp_path, peer, words="", ca=None, relay=""):
    trust = f'trust "{ca.path}"' if ca else ""
    return Genkan(tmp_path / "mx", f"""
        relay {{
            {trust}
            {relay}
            route "*" to "[{peer.address}]:{peer.port}" {words}
        }}
    """)


def delivered(mx, peer, count=1):
    peer.await_messages(count)
    return wait_for(lambda: len(mx.log("queue.delivered")) >= count and mx.log("queue.delivered"), "the log line")[-1]


def deferred(mx):
    return wait_for(lambda: mx.log("queue.deferred"), "a deferral: " + mx.log_text()[-2000:])[-1]


# --- opportunistic ---

def test_tls_when_offered(tmp_path, ca):
    with SmtpPeer(context=ca.context("mx.peer.example")) as peer, relaying(tmp_path, peer) as mx:
        send(mx)
        line = delivered(mx, peer)
        assert peer.messages[0].tls == "TLSv1.3"
        assert line["detail"].startswith("TLSv1.3 TLS_AES_") and line["detail"].endswith(" opportunistic")
        # RFC 3207 4.2: all that was known is forgotten
        commands = [c.split(" ")[0] for c in peer.sessions[0].commands]
        assert commands[:4] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]


def test_clear_when_not_offered(tmp_path):
    with SmtpPeer() as peer, relaying(tmp_path, peer) as mx:
        send(mx)
        assert delivered(mx, peer)["detail"] == "in the clear"


def test_refused_starttls_goes_on_in_the_clear(tmp_path, ca):
    with SmtpPeer(context=ca.context("x.example"), attack="refuse") as peer, relaying(tmp_path, peer) as mx:
        send(mx)
        assert delivered(mx, peer)["detail"] == "in the clear"
        assert len(peer.sessions) == 1


@pytest.mark.parametrize("attack", ["garbage", "silent"])
def test_failed_handshake_is_tried_in_the_clear_by_a_new_connection(tmp_path, ca, attack):
    with SmtpPeer(context=ca.context("x.example"), attack=attack) as peer, relaying(tmp_path, peer) as mx:
        send(mx)
        assert delivered(mx, peer)["detail"] == "in the clear"
        assert len(peer.sessions) == 2 and "STARTTLS" not in peer.sessions[1].commands
        assert mx.log("relay.clear")


def test_old_protocol_is_tried_in_the_clear(tmp_path, ca):
    context = ca.context("x.example")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with SmtpPeer(context=context) as peer, relaying(tmp_path, peer) as mx:
        send(mx)
        assert delivered(mx, peer)["detail"] == "in the clear"


def test_connection_is_used_again(tmp_path, ca):
    with SmtpPeer(context=ca.context("mx.peer.example")) as peer, relaying(tmp_path, peer) as mx:
        send(mx)
        delivered(mx, peer)
        send(mx)
        delivered(mx, peer, 2)
        assert len({id(m.session) for m in peer.messages}) <= len(peer.sessions) <= os.cpu_count()


# --- required ---

@pytest.mark.parametrize("attack, words", [
    ("strip", "does not offer STARTTLS"), ("refuse", "454 4.7.0 not now"), ("garbage", "cannot be had"), ("silent", "cannot be had")])
def test_required_is_never_lowered(tmp_path, ca, attack, words):
    with SmtpPeer(context=ca.context("x.example"), attack=attack) as peer, \
            relaying(tmp_path, peer, "tls required") as mx:
        send(mx)
        line = deferred(mx)
        assert line["reply"].startswith("451 4.7.5 TLS is needed (route)") and words in line["reply"]
        assert not peer.messages and not any(c.startswith("MAIL") for s in peer.sessions for c in s.commands)


def test_required_takes_any_certificate(tmp_path, ca):
    with SmtpPeer(context=ca.context("who.example", days=-1)) as peer, relaying(tmp_path, peer, "tls required") as mx:
        send(mx)
        assert delivered(mx, peer)["detail"].endswith(" unverified (route)")


def test_off(tmp_path, ca):
    with SmtpPeer(context=ca.context("x.example")) as peer, relaying(tmp_path, peer, "tls off") as mx:
        send(mx)
        assert delivered(mx, peer)["detail"] == "in the clear"
        assert "STARTTLS" not in peer.sessions[0].commands


@pytest.mark.parametrize("words", ["", "tls required", "tls verify"])
def test_text_behind_starttls_is_an_attack(tmp_path, ca, words):
    """RFC 3207 6, CVE-2011-0411: whoever put it there is not who speaks TLS."""
    with SmtpPeer(context=ca.context("x.example"), attack="inject") as peer, \
            relaying(tmp_path, peer, words, ca) as mx:
        send(mx)
        assert "behind the reply to STARTTLS" in deferred(mx)["reply"]
        assert not peer.messages


# --- verified ---

def test_verify(tmp_path, ca):
    with SmtpPeer(context=ca.context("mx.peer.example", ADDRESS)) as peer, relaying(tmp_path, peer, "tls verify", ca) as mx:
        send(mx)
        assert delivered(mx, peer)["detail"].endswith(" verified")


@pytest.mark.parametrize("names, days, trusted, words", [
    (("127.0.0.2",), 30, True, "IP address mismatch"), ((ADDRESS,), -1, True, "expired"),
    ((ADDRESS,), 30, False, "unable to get local issuer certificate")])
def test_verify_refuses(tmp_path, ca, names, days, trusted, words):
    other = ca if trusted else Authority(tmp_path / "other", "Another Authority")
    with SmtpPeer(context=ca.context(*names, days=days)) as peer, relaying(tmp_path, peer, "tls verify", other) as mx:
        send(mx)
        reply = deferred(mx)["reply"]
        assert reply.startswith("451 4.7.5 TLS is needed (route)") and (words in reply or "self-signed" in reply)
        assert not peer.messages


# --- from the first octet ---

def test_implicit(tmp_path, ca):
    with SmtpPeer(context=ca.context(ADDRESS), implicit=True) as peer, \
            relaying(tmp_path, peer, "implicit-tls verify", ca) as mx:
        send(mx)
        assert delivered(mx, peer)["detail"].endswith(" verified")
        assert "STARTTLS" not in peer.sessions[0].commands


@pytest.mark.skipif(os.geteuid() != 0, reason="port 465 needs root")
def test_port_465_is_implicit(tmp_path, ca):
    with SmtpPeer("127.0.9.1", 465, context=ca.context("127.0.9.1"), implicit=True) as peer, \
            relaying(tmp_path, peer, "", ca) as mx:
        send(mx)
        assert delivered(mx, peer)["detail"].endswith(" opportunistic")


def test_implicit_is_never_lowered(tmp_path):
    with SmtpPeer() as peer, relaying(tmp_path, peer, "implicit-tls required") as mx:
        send(mx)
        assert "TLS is needed (route)" in deferred(mx)["reply"]
        assert not peer.messages


# --- logins ---

def account(tmp_path, peer, line=None):
    path = tmp_path / "account"
    path.write_text(f"# ours\n{line or f'[{peer.address}]:{peer.port} alice:open sesame: really'}\n")
    path.chmod(0o600)
    own(path)
    return f'login "{path}"'


PASSWORD = "open sesame: really"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"])
def test_login(tmp_path, ca, mechanism):
    with SmtpPeer(context=ca.context(ADDRESS), accounts={"alice": PASSWORD}, mechanisms=[mechanism, "X-OTHER"]) as peer, \
            relaying(tmp_path, peer, account(tmp_path, peer), ca) as mx:
        send(mx)
        assert delivered(mx, peer)["detail"].endswith(" verified")
        assert peer.sessions[0].user == "alice"
        assert any(c.startswith(f"AUTH {mechanism}") for c in peer.sessions[0].commands)


def test_login_prefers_what_does_not_show_the_password(tmp_path, ca):
    with SmtpPeer(context=ca.context(ADDRESS), accounts={"alice": PASSWORD},
                  mechanisms=["CRAM-MD5", "LOGIN", "PLAIN", "SCRAM-SHA-256"]) as peer, \
            relaying(tmp_path, peer, account(tmp_path, peer), ca) as mx:
        send(mx)
        delivered(mx, peer)
        assert any(c.startswith("AUTH SCRAM-SHA-256 ") for c in peer.sessions[0].commands)


def test_wrong_password_waits(tmp_path, ca):
    with SmtpPeer(context=ca.context(ADDRESS), accounts={"alice": "another"}) as peer, \
            relaying(tmp_path, peer, account(tmp_path, peer), ca) as mx:
        send(mx)
        assert deferred(mx)["reply"] == "451 4.7.8 no login as alice: by PLAIN: 535 5.7.8 no such account"
        assert not peer.messages


def test_server_without_the_password_is_not_believed(tmp_path, ca):
    """RFC 5802 3: SCRAM is proof in both directions."""
    with SmtpPeer(context=ca.context(ADDRESS), accounts={"alice": "x"}, mechanisms=["SCRAM-SHA-256"]) as peer:
        from smtppeer import Dialogue
        Dialogue.liar = True
        try:
            with relaying(tmp_path, peer, account(tmp_path, peer), ca) as mx:
                send(mx)
                assert "did not prove that it knows the password" in deferred(mx)["reply"]
                assert not peer.messages
        finally:
            Dialogue.liar = False


def test_password_does_not_travel_in_the_clear(tmp_path):
    with SmtpPeer(accounts={"alice": PASSWORD}, mechanisms=["PLAIN", "LOGIN"]) as peer, \
            relaying(tmp_path, peer, account(tmp_path, peer) + " tls off") as mx:
        send(mx)
        assert "no mechanism that can be used in the clear (PLAIN LOGIN)" in deferred(mx)["reply"]
        assert not any(c.startswith("AUTH") for s in peer.sessions for c in s.commands)


def test_stripped_tls_shows_no_password(tmp_path, ca):
    with SmtpPeer(context=ca.context(ADDRESS), attack="strip", accounts={"alice": PASSWORD}) as peer, \
            relaying(tmp_path, peer, account(tmp_path, peer), ca) as mx:
        send(mx)
        assert "does not offer STARTTLS" in deferred(mx)["reply"]
        assert not any(c.startswith("AUTH") for s in peer.sessions for c in s.commands)


def test_scram_in_the_clear(tmp_path):
    with SmtpPeer(accounts={"alice": PASSWORD}, mechanisms=["PLAIN", "SCRAM-SHA-256"]) as peer, \
            relaying(tmp_path, peer, account(tmp_path, peer) + " tls off") as mx:
        send(mx)
        delivered(mx, peer)
        assert peer.sessions[0].user == "alice"


def test_account_is_missing(tmp_path, ca):
    with SmtpPeer(context=ca.context(ADDRESS), accounts={"alice": PASSWORD}) as peer, \
            relaying(tmp_path, peer, account(tmp_path, peer, "elsewhere.example a:b"), ca) as mx:
        send(mx)
        assert "there is no account for it in that file" in deferred(mx)["reply"]
        assert not peer.sessions


@pytest.mark.parametrize("text, mode, words", [
    ("x a:b\n", 0o640, "others may read or write it"), ("x a\n", 0o600, ":1: expected HOST USER:PASSWORD"),
    (None, 0o600, "No such file")])
def test_bad_account_files_are_told_at_the_start(tmp_path, text, mode, words):
    path = tmp_path / "account"
    if text:
        path.write_text(text)
        path.chmod(mode)
        own(path)
    mx = Genkan(tmp_path / "mx", f'relay {{ route "*" to "mx.example:587" login "{path}" }}')
    with pytest.raises(AssertionError) as error:
        mx.start()
    assert words in str(error.value)


def test_passwords_are_in_no_log(tmp_path, ca):
    with SmtpPeer(context=ca.context(ADDRESS), accounts={"alice": PASSWORD}) as peer:
        mx = relaying(tmp_path, peer, account(tmp_path, peer), ca)
        mx.verbose = True
        with mx:
            send(mx)
            delivered(mx, peer)
            assert PASSWORD not in mx.log_text() and PASSWORD not in pathlib.Path(mx.conf_path).read_text()


@pytest.mark.parametrize("words", ["tls off", "tls required"])
def test_large_message(tmp_path, ca, words):
    """More than fits any buffer on the way, from a file of the queue's."""
    line = "0123456789" * 7 + "\r\n"
    text = "Subject: large\r\n\r\n" + line * 60000 + ".dot\r\n"
    context = None if words == "tls off" else ca.context("x.example")
    with SmtpPeer(context=context) as peer, relaying(tmp_path, peer, words) as mx:
        with Client(mx.port) as c:
            assert c.mail("alice@example.org", "bob@partner.example", text.replace("\r\n.", "\r\n..")).code == 250
        delivered(mx, peer)
        body = peer.messages[0].text.split("\n\n", 1)[1]
        assert body == (line.replace("\r\n", "\n") * 60000) + ".dot"
