"""Clients that hold connections, drip octets, do not read, or flood: each costs little, and mail goes on."""
import os
import re
import signal
import socket
import time

import pytest

from genkan import Client, Genkan, wait_for

CONF = """
gate { }
limit idle 2s
limit data-rate 1K
domain "example.org" {
	users { "alice" }
	deliver maildir "$mail/%{user}"
}
"""


@pytest.fixture
def mx(tmp_path, dns):
    with Genkan(tmp_path, CONF, dns=dns) as g:
        yield g


def drip(client, text):
    """An octet now and then, each well within `limit idle`, until the server has had enough."""
    client.socket.settimeout(0.2)
    for octet in text:
        try:
            client.send(bytes([octet]))
            if client.socket.recv(1000):
                return True
        except socket.timeout:
            continue
        except OSError:
            return True
    return False


def test_a_command_in_drops_is_none(mx):
    with Client(mx.port) as c:
        assert drip(c, b"N" * 200)
    mx.await_log("session.closed", why="timeout")


def test_a_line_without_end_buys_no_time(mx):
    with Client(mx.port) as c:
        c.send("A" * 5000)
        assert c.reply().code == 500
        c.socket.settimeout(0.2)
        end = time.monotonic() + 10
        try:
            while time.monotonic() < end:
                c.send("A" * 3000)
                try:
                    assert c.socket.recv(1000).startswith(b"421 ")
                    break
                except socket.timeout:
                    continue
        except OSError:
            pass
    mx.await_log("session.closed", why="timeout")


def test_a_text_in_drops_is_none(mx):
    with Client(mx.port) as c:
        for line in "EHLO a", "MAIL FROM:<a@client.example>", "RCPT TO:<alice@example.org>", "DATA":
            c.say(line)
        assert drip(c, b"x" * 200)
    mx.await_log("session.closed", why="timeout")
    assert mx.messages("alice") == []


def test_a_slow_text_that_keeps_the_rate_is_taken(mx):
    """Longer than `limit idle` in all."""
    with Client(mx.port) as c:
        for line in "EHLO a", "MAIL FROM:<a@client.example>", "RCPT TO:<alice@example.org>", "DATA":
            c.say(line)
        c.send("Subject: slow\r\n\r\n")
        end = time.monotonic() + 4
        while time.monotonic() < end:
            c.send((b"x" * 70 + b"\r\n") * 10)
            with pytest.raises(socket.timeout):
                c.socket.settimeout(0.3)
                c.socket.recv(1)
        c.socket.settimeout(10)
        c.send(".\r\n")
        assert c.socket.recv(100).startswith(b"250 ")
    mx.deliveries("alice", 1)


def test_one_who_does_not_read(mx):
    """Replies fill his window; he reads an octet now and then."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.connect(("127.0.0.1", mx.port))
    s.settimeout(1)
    try:
        for _ in range(2000):
            s.sendall(b"MAIL FROM:<a@client.example>\r\n" * 100)
            s.recv(1)
    except OSError:
        pass
    wait_for(lambda: mx.log("session.closed"), "the session to end")
    s.close()


@pytest.mark.parametrize("line", ["NOOP", "RSET", "EHLO a", "HELO a", "VRFY alice", "HELP"])
def test_commands_that_bring_nothing(mx, line):
    with Client(mx.port) as c:
        c.say("EHLO a")
        for _ in range(101):
            reply = c.say(line)
            if reply.code == 421:
                break
        assert reply.code == 421
        assert c.closed()


@pytest.mark.parametrize("verb", ["GET", "POST", "put", "CONNECT"])
def test_what_a_browser_is_talked_into(mx, verb):
    """Mail in the body of an HTTP request is none, wherever it comes from."""
    with Client(mx.port) as c:
        c.send(f"{verb} / HTTP/1.1\r\nHost: mx.example.org\r\n\r\nEHLO a\r\nMAIL FROM:<a@client.example>\r\n"
               "RCPT TO:<alice@example.org>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n")
        assert c.reply().code == 421
        assert c.closed()
    mx.await_log("session.closed", why="HTTP")


def test_recipients_without_end(tmp_path, dns):
    """Each is refused for now, which is no mistake; a hundred thousand of them are."""
    with Genkan(tmp_path, CONF + "limit recipients 100\n", dns=dns) as g:
        with Client(g.port) as c:
            c.say("EHLO a")
            c.say("MAIL FROM:<a@client.example>")
            codes = [c.say("RCPT TO:<alice@example.org>").code for _ in range(200)]
            assert codes == [250] * 100 + [452] * 100
            for _ in range(30):
                reply = c.say("RCPT TO:<alice@example.org>")
                if reply.code == 421:
                    break
            assert reply.code == 421
            assert c.closed()


def test_mail_on_one_connection_for_long(mx):
    """An EHLO or RSET for each message is a habit, not a flood."""
    with Client(mx.port) as c:
        for _ in range(150):
            assert c.mail("a@client.example", "alice@example.org").code == 250
            assert c.say("RSET").code == 250
    mx.deliveries("alice", 150)


def test_a_full_house_makes_room(tmp_path, dns):
    """All places are taken by those who only hold them; mail still comes in."""
    conf = CONF.replace("limit idle 2s", "limit idle 5m\nlimit connections 40\nlimit connections-per-address off\n"
                        "limit connections-per-network off")
    with Genkan(tmp_path, conf, dns=dns) as g:
        wait_for(lambda: not any(s.get("sessions") for s in g.ctl("stats")), "an empty house")
        crowd = [Client(g.port, source=f"127.0.1.{i + 1}") for i in range(40)]
        try:
            time_to_settle(g)
            for _ in range(10):
                with Client(g.port, source="127.0.2.1") as c:
                    assert c.mail("a@client.example", "alice@example.org").code == 250
            g.deliveries("alice", 10)
            g.await_log("session.stress")
        finally:
            for c in crowd:
                c.close()


def test_who_is_refused_is_no_crowd(tmp_path, dns):
    """One address rings far more often than it may, and hangs up never: its neighbours, and others, are let in."""
    conf = CONF.replace("idle 2s", "idle 5m") + ("limit connections-per-address 3\nlimit connections-per-network 6\n"
                                                 "limit connections 12\n")
    with Genkan(tmp_path, conf, dns=dns) as g:
        held = [Client(g.port, source="127.0.4.1") for _ in range(3)]
        crowd = [Client(g.port, source="127.0.4.1") for _ in range(60)]
        assert {c.greeting.code for c in crowd} == {421}
        for source in "127.0.4.2", "127.0.5.1":
            with Client(g.port, source=source) as c:
                assert c.mail("a@client.example", "alice@example.org").code == 250
        assert all(c.say("NOOP").code == 250 for c in held)
        assert len(g.log("session.crowd")) <= len(g.pids("session"))  # the others are told in one number
        for c in held + crowd:
            c.close()


def test_connections_of_a_worker_that_is_killed_do_not_count(tmp_path, dns):
    """It had retired, so that nobody takes its place."""
    with Genkan(tmp_path, CONF.replace("idle 2s", "idle 5m") + "limit connections-per-address 10\n", dns=dns) as g:
        held = [Client(g.port, source="127.0.4.1") for _ in range(8)]
        retired = g.pids("session")
        assert g.run_ctl("reload").returncode == 0
        with Client(g.port, source="127.0.5.1") as c:
            assert c.greeting.code == 220  # it is the new ones' turn
        for pid in retired:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # nobody was with it
                pass
        wait_for(lambda: not set(retired) & set(g.pids().values()), "them to be gone")
        again = [Client(g.port, source="127.0.4.1") for _ in range(8)]
        assert [c.greeting.code for c in again] == [220] * 8
        for c in held + again:
            c.close()


def time_to_settle(g):
    """Who has just come may stay; wait until the newest of the crowd has been here for a second."""
    newest = time.monotonic()
    wait_for(lambda: time.monotonic() - newest > 1.2, "the crowd to settle")


def test_nobody_with_mail_has_to_go(tmp_path, dns):
    conf = CONF.replace("limit idle 2s", "limit idle 5m\nlimit connections 4\nlimit connections-per-address off\n"
                        "limit connections-per-network off")
    with Genkan(tmp_path, conf, dns=dns) as g:
        wait_for(lambda: not any(s.get("sessions") for s in g.ctl("stats")), "an empty house")
        busy = [Client(g.port, source=f"127.0.1.{i + 1}") for i in range(4)]
        try:
            for c in busy:
                c.say("EHLO a")
                assert c.say("MAIL FROM:<a@client.example>").code == 250
            time_to_settle(g)
            with Client(g.port, source="127.0.2.1") as c:
                assert c.greeting.code == 421 and re.search("too many", str(c.greeting.lines))
            for c in busy:
                assert c.say("RCPT TO:<alice@example.org>").code == 250
        finally:
            for c in busy:
                c.close()
