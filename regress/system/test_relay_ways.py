"""What the next server offers is used, and what it does not offer is done without: RFC 6152, 3030, 6531, 9422; servers that
are dead, or want a PTR."""
import email
import email.policy

from genkan import Client, Genkan, wait_for
from smtppeer import SmtpPeer

MIME = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
CAFE = f"Subject: test\r\n{MIME}\r\nthe first caf\u00e9 of the morning \r\n.\r\n"


def relaying(tmp_path, *peers, conf="", **options):
    hops = ", ".join(f'"[{peer.address}]:{peer.port}"' for peer in peers)
    return Genkan(tmp_path / "mx", f"""
        {conf}
        relay {{
            route "*" to {hops}
        }}
    """, **options)


def send(mx, text, recipients="bob@partner.example", parameters="", sender="alice@example.org"):
    with Client(mx.port) as c:
        c.say("EHLO client.example")
        assert c.say(f"MAIL FROM:<{sender}>{parameters}").code == 250
        for recipient in [recipients] if isinstance(recipients, str) else recipients:
            assert c.say(f"RCPT TO:<{recipient}>").code == 250
        assert c.say("DATA").code == 354
        stuffed = "".join("." + line if line.startswith(".") else line for line in text.splitlines(keepends=True))
        c.send(stuffed.encode() + b".\r\n")
        assert c.reply().code == 250


def chunk(mx, content):
    with Client(mx.port) as c:
        c.say("EHLO client.example")
        assert c.say("MAIL FROM:<alice@example.org> BODY=BINARYMIME").code == 250
        assert c.say("RCPT TO:<bob@partner.example>").code == 250
        c.send(b"BDAT %d LAST\r\n" % len(content) + content)
        assert c.reply().code == 250


def parsed(message):
    return email.message_from_bytes(message.text.encode("latin-1"), policy=email.policy.default)


def failed(mx):
    return wait_for(lambda: mx.log("queue.failed"), "a failure: " + mx.log_text()[-2000:])[0]


# --- what the server does not offer ---

def test_8bit_text_is_converted(tmp_path):
    with SmtpPeer() as peer, relaying(tmp_path, peer) as mx:
        send(mx, CAFE, parameters=" BODY=8BITMIME")
        message = peer.await_messages(1)[0]
        assert message.text.isascii() and "BODY" not in message.sender
        assert parsed(message)["Content-Transfer-Encoding"] == "quoted-printable"
        assert parsed(message).get_content() == "the first caf\u00e9 of the morning \n."


def test_8bit_text_stays_where_it_is_welcome(tmp_path):
    with SmtpPeer(offers=("PIPELINING", "8BITMIME")) as peer, relaying(tmp_path, peer) as mx:
        send(mx, CAFE, parameters=" BODY=8BITMIME")
        message = peer.await_messages(1)[0]
        assert message.sender.endswith(" BODY=8BITMIME")
        assert "caf\u00e9".encode().decode("latin-1") in message.text


def test_large_text_is_converted_from_its_file(tmp_path):
    with SmtpPeer() as peer, relaying(tmp_path, peer) as mx:
        line = "a line with \u00e9 in it, and some more words\r\n"
        send(mx, f"Subject: test\r\n{MIME}\r\n" + line * 100000, parameters=" BODY=8BITMIME")
        message = peer.await_messages(1)[0]
        assert message.text.isascii()
        assert parsed(message).get_content() + "\n" == line.replace("\r\n", "\n") * 100000


def test_what_is_signed_is_not_converted(tmp_path):
    text = ("MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
            "caf\u00e9\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n")
    with SmtpPeer() as peer, relaying(tmp_path, peer) as mx:
        send(mx, text, parameters=" BODY=8BITMIME", sender="")
        assert "5.6.3" in failed(mx)["reply"] and "signed" in failed(mx)["reply"]
        assert not peer.messages


def test_binary_goes_in_a_chunk_or_as_base64(tmp_path):
    content = b"MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\na\n\r\0\xff."
    with SmtpPeer(offers=("PIPELINING", "8BITMIME", "BINARYMIME", "CHUNKING")) as peer, relaying(tmp_path / "a", peer) as mx:
        chunk(mx, content)
        message = peer.await_messages(1)[0]
        assert message.sender.endswith(" BODY=BINARYMIME")
        assert message.text.encode("latin-1").endswith(content)
    with SmtpPeer(offers=("PIPELINING", "8BITMIME")) as peer, relaying(tmp_path / "b", peer) as mx:
        chunk(mx, content)
        message = peer.await_messages(1)[0]
        assert message.text.isascii() and parsed(message).get_content() == b"a\n\r\0\xff."


def test_smtputf8_only_where_it_is_needed(tmp_path):
    with SmtpPeer() as peer, relaying(tmp_path, peer) as mx:
        send(mx, "Subject: test\r\n\r\nhello\r\n", parameters=" SMTPUTF8")
        assert "SMTPUTF8" not in peer.await_messages(1)[0].sender
        send(mx, "Subject: caf\u00e9\r\n\r\nhello\r\n", parameters=" SMTPUTF8", sender="")
        assert "5.6.7" in failed(mx)["reply"]
        assert len(peer.messages) == 1


# --- what it offers ---

def test_limits(tmp_path):
    offers = ("PIPELINING", "LIMITS RCPTMAX=2 MAILMAX=2")
    with SmtpPeer(offers=offers) as peer, relaying(tmp_path, peer) as mx:
        send(mx, "Subject: test\r\n\r\nhello\r\n", [f"r{i}@partner.example" for i in range(9)])
        peer.await_messages(5)
        mx.await_empty_queue()
        assert sorted(len(m.recipients) for m in peer.messages) == [1, 2, 2, 2, 2]
        assert sum(c.startswith("RCPT") for s in peer.sessions for c in s.commands) == 9
        for session in peer.sessions:
            assert sum(c.startswith("MAIL") for c in session.commands) <= 2
        assert len(peer.sessions) == 3
        assert not mx.log("queue.deferred")


# --- routes ---

def test_routes_by_sender(tmp_path):
    with SmtpPeer() as lists, SmtpPeer() as own, SmtpPeer() as others, Genkan(tmp_path / "mx", f"""
        relay {{
            route from "*.list.example" to "[127.0.0.1]:{lists.port}"
            route from "news@shop.example" to "[127.0.0.1]:{own.port}"
            route "*" to "[127.0.0.1]:{others.port}"
        }}
    """) as mx:
        senders = ["a-bounces@ml.list.example", "a@list.example", "News@Shop.example", "a@shop.example", ""]
        for sender in senders:
            send(mx, f"Subject: {sender}\r\n\r\nhello\r\n", sender=sender)
        mx.await_empty_queue()
        def subjects(peer):
            return sorted(parsed(m)["Subject"] for m in peer.messages)
        assert subjects(lists) == senders[:1]
        assert subjects(own) == senders[2:3]
        assert subjects(others) == sorted([senders[1], *senders[3:]])


def test_source_and_name_by_route(tmp_path):
    with SmtpPeer() as peer, Genkan(tmp_path / "mx", f"""
        relay {{
            route from "list.example" to "[127.0.0.1]:{peer.port}" source 127.0.0.9 as "lists.example.org"
            route from "gone.example" to "[127.0.0.1]:{peer.port}" source 192.0.2.9
            route "*" to "[127.0.0.1]:{peer.port}"
        }}
    """) as mx:
        for sender in ["a@list.example", "a@shop.example", "b@list.example", "b@shop.example"]:
            send(mx, "Subject: test\r\n\r\nhello\r\n", sender=sender)
            mx.await_empty_queue()
        # each over a connection of its own kind, also where one was kept
        assert {(s.client, s.commands[0]) for s in peer.sessions} == {
            ("127.0.0.1", "EHLO mx.example.org"), ("127.0.0.9", "EHLO lists.example.org")}
        for message in peer.messages:
            assert ("list" in message.sender) == (message.session.client == "127.0.0.9")
        # an address that is not ours is not replaced by another
        send(mx, "Subject: test\r\n\r\nhello\r\n", sender="a@gone.example")
        line = wait_for(lambda: mx.log("queue.deferred"), "a deferral")[0]
        assert "4.3.5 cannot call from 192.0.2.9: " in line["reply"]


# --- servers that are dead, or want a PTR ---

PTR = "550-5.7.1 [2001:db8::1] Our system has detected that this message does not\n550 5.7.1 meet IPv6 guidelines regarding PTR records"


def test_ipv6_without_ptr_falls_back(tmp_path):
    for step in ["CONNECT", "MAIL", "RCPT", "."]:
        with SmtpPeer("::1", replies={step: PTR}) as newer, SmtpPeer() as older, \
             relaying(tmp_path / step.replace(".", "dot"), newer, older) as mx:
            send(mx, "Subject: test\r\n\r\nhello\r\n")
            older.await_messages(1)
            mx.await_empty_queue()
            assert len(newer.sessions) == 1
            assert mx.log("queue.delivered")[0]["host"].startswith("[127.0.0.1]")
            assert not mx.log("queue.failed") and not mx.log("queue.deferred")


def test_another_refusal_over_ipv6_is_the_last_word(tmp_path):
    with SmtpPeer("::1", replies={"RCPT": "550 5.1.1 who"}) as newer, SmtpPeer() as older, \
         relaying(tmp_path, newer, older) as mx:
        send(mx, "Subject: test\r\n\r\nhello\r\n", sender="")
        assert failed(mx)["reply"] == "550 5.1.1 who"
        assert not older.sessions


def test_dead_destination_costs_few_attempts(tmp_path):
    replies = {"CONNECT": "421 4.3.2 too busy"}
    with SmtpPeer(replies=replies) as peer, relaying(tmp_path, peer) as mx:
        for i in range(60):
            send(mx, f"Subject: {i}\r\n\r\nhello\r\n")
        wait_for(lambda: len(mx.log("queue.deferred")) >= 60, "all put off")
        assert any(line["state"] == "dead" for line in mx.log("queue.destination"))
        before = len(peer.sessions)
        assert before <= 4
        # one asks whether it is back, for all
        mx.advance(3600)
        wait_for(lambda: len(mx.log("queue.destination")) >= 2, "the next attempt: " + mx.log_text()[-3000:])
        assert len(peer.sessions) - before == 1
        # one that is put off after the clock was set waits longer than this test
        wait_for(lambda: all(message["state"] == "deferred" for message in mx.queue()), "all put off again")
        replies.clear()
        mx.advance(8 * 3600)
        peer.await_messages(60)
        mx.await_empty_queue()
