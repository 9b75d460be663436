"""Final deliveries other than Maildir, by the running server: mbox, LMTP and programs."""
import fcntl
import json
import os
import pwd
import socket
import threading

import pytest

import watched
from genkan import Client, Genkan, own, wait_for

MBOX = """
gate { }
domain "example.org" {
	users { "alice" }
	deliver mbox "$mail/%{user}"
}
"""


@pytest.fixture(params=[False, True], ids=["unprivileged", "root"])
def as_root(request):
    """Also with ids of their own and the master's check of what the queue asks for."""
    if request.param and os.geteuid() != 0:
        pytest.skip("needs root")
    for account in ("_smtpd", "_smtpq") if request.param else ():
        try:
            pwd.getpwnam(account)
        except KeyError:
            pytest.skip(f"no account {account}; etc/make-accounts makes it")
    return request.param


def send(mx, recipients, text="Subject: t\r\n\r\nFrom here\r\n"):
    with Client(mx.port) as c:
        assert c.mail("s@b.example", recipients, text).code == 250


def test_mbox(place, as_root):
    with Genkan(place, MBOX, as_root=as_root) as mx:
        send(mx, "alice@example.org")
        send(mx, "alice@example.org")
        mx.await_empty_queue()
        text = (mx.mail / "alice").read_text()
        assert text.count("\nFrom s@b.example ") == 1 and text.startswith("From s@b.example ")
        assert text.count("\n>From here\n\n") == 2
        assert text.count("Delivered-To: alice@example.org\n") == 2
        assert not (mx.mail / "alice.lock").exists()


def test_mbox_locked_by_another_process(place, as_root):
    with Genkan(place, MBOX, as_root=as_root) as mx:
        box = mx.mail / "alice"
        box.touch()
        own(box)
        with open(box, "r+b") as f:
            fcntl.lockf(f, fcntl.LOCK_EX)
            send(mx, "alice@example.org")
            wait_for(lambda: mx.pids("local"), "the delivery process")
            assert box.stat().st_size == 0
        mx.await_log("queue.delivered", to="alice@example.org")
        assert box.stat().st_size > 0


class LmtpServer(threading.Thread):
    """Answers after the dot by the local part: "full" gets 4xx, "gone" is refused, "never" gets 5xx, others are taken."""

    def __init__(self, listener):
        super().__init__(daemon=True)
        self.listener, self.connections, self.messages = listener, 0, []
        self.start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection, connection.makefile("rb") as lines:
                try:
                    self.serve(connection, lines)
                except ConnectionError:
                    pass  # QUIT, and gone before our answer

    def serve(self, connection, lines):
        connection.sendall(b"220 lmtp.example LMTP\r\n")
        accepted = []
        for line in lines:
            verb = line[:4].upper()
            if verb == b"LHLO":
                connection.sendall(b"250-lmtp.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
            elif verb == b"RCPT" and b"<gone@" in line:
                connection.sendall(b"550 5.1.1 gone\r\n")
            elif verb == b"RCPT":
                accepted.append(line)
                connection.sendall(b"250 ok\r\n")
            elif verb == b"DATA":
                connection.sendall(b"354 go\r\n")
                text = b""
                for part in lines:
                    if part == b".\r\n":
                        break
                    text += part
                self.messages.append(text)
                for name in accepted:
                    connection.sendall(b"452 4.2.2 full\r\n" if b"<full@" in name else
                                       b"552 5.2.2 never\r\n" if b"<never@" in name else b"250 2.0.0 taken\r\n")
                accepted = []
            else:
                connection.sendall(b"250 ok\r\n")


LMTP = """
gate {{ }}
domain "example.org" {{
	users {{ "alice" "full" "gone" "never" }}
	deliver lmtp "{}"
}}
"""


@watched.by_valgrind  # the connection is kept for as long as a client usually takes
@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_lmtp(place, as_root, family):
    listener = socket.socket(socket.AF_UNIX if family == "unix" else socket.AF_INET)
    if family == "unix":
        place.mkdir(exist_ok=True)
        path = str(place / "lmtp")
        listener.bind(path)
        os.chmod(path, 0o777)
    else:
        listener.bind(("127.0.0.1", 0))
        path = f"[127.0.0.1]:{listener.getsockname()[1]}"
    listener.listen()
    server = LmtpServer(listener)
    try:
        with Genkan(place, LMTP.format(path), as_root=as_root) as mx:
            send(mx, [f"{name}@example.org" for name in ("alice", "full", "gone", "never")])
            mx.await_log("queue.delivered", to="alice@example.org")
            wait_for(lambda: len(mx.log("queue.failed")) == 2, "two failures")
            assert {q["to"] for q in mx.log("queue.failed")} == {"gone@example.org", "never@example.org"}
            wait_for(lambda: "4.2.2 full" in json.dumps(mx.queue()), "the deferred recipient")
            send(mx, "alice@example.org", "Subject: dot\r\n\r\n..x\r\n")
            wait_for(lambda: len(mx.log("queue.delivered")) >= 2, "the second message")
            assert server.connections == 1
            assert b"\r\n\r\n..x\r\n" in server.messages[1]
    finally:
        listener.close()


PIPE = """
gate { }
domain "example.org" {
	users { "alice" "user" "later" }
	deliver pipe "$dir/take" "%{user}" "%{extension}" "two words; $$(id)"
}
"""
PROGRAM = """#!/bin/sh
case $1 in
user) echo "who is $1?"; exit 67;;
later) echo "not now" >&2; exit 75;;
esac
{ printf '%s|' "$@"; echo "$SENDER $RECIPIENT $DOMAIN $USER $EXTENSION"; cat; } > "DIR/got"
"""


@watched.by_valgrind
def test_programs_have_the_limit_that_we_were_given(place, as_root):
    """Not the one that we have for our connections; also after an upgrade."""
    place.mkdir(exist_ok=True)
    program = place / "take"
    program.write_text(f'#!/bin/bash\necho "$(ulimit -Sn) $(ulimit -Hn)" >> "{place}/got"\n')
    program.chmod(0o755)
    own(program)
    with Genkan(place, PIPE, as_root=as_root, wrapper=["prlimit", "--nofile=500:4000"]) as mx:
        send(mx, ["alice@example.org"])
        mx.await_log("queue.delivered", to="alice@example.org")
        assert mx.run_ctl("upgrade").returncode == 0
        wait_for(lambda: len(mx.log("master.started")) == 2, "the new binary")
        send(mx, ["user@example.org"])
        mx.await_log("queue.delivered", to="user@example.org")
        assert (place / "got").read_text() == "500 4000\n" * 2


@watched.by_valgrind
def test_pipe(place, as_root):
    place.mkdir(exist_ok=True)
    program = place / "take"
    program.write_text(PROGRAM.replace("DIR", str(place)))
    program.chmod(0o755)
    own(program)
    with Genkan(place, PIPE, as_root=as_root) as mx:
        send(mx, ["alice+x@example.org", "user@example.org", "later@example.org"])
        mx.await_log("queue.delivered", to="alice+x@example.org")
        lines = (place / "got").read_text().splitlines()
        assert lines[0] == "alice|x|two words; $(id)|s@b.example alice+x@example.org example.org alice x"
        assert lines[1:3] == ["Return-Path: <s@b.example>", "Delivered-To: alice+x@example.org"]
        assert lines[-1] == "From here"
        failed = mx.await_log("queue.failed", to="user@example.org")
        assert "550 5.1.1" in json.dumps(failed) and "who is user?" in json.dumps(failed)
        wait_for(lambda: "not now" in json.dumps(mx.queue()), "the deferred recipient")
