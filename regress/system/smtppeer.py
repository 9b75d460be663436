"""An SMTP server in a thread, for what real ones do not do on request: to refuse STARTTLS, to lose a handshake, to be
attacked on the way.

    with SmtpPeer(context=ca.context("mx.example.net")) as peer:
        peer.port, peer.sessions, peer.messages
        peer.await_messages(1)

ATTACK: "strip" (STARTTLS is not offered), "refuse" (454), "garbage" (answers 220 and speaks no TLS), "inject" (text in the
clear behind the 220), "silent" (closes after the 220).  ACCOUNTS: {user: password}, asked for by MECHANISMS.
REPLIES: {verb: text, or a function of the line that returns it}, said instead of the usual; None: the usual.  "CONNECT" is
the banner and "." the reply to the data; 421 closes.
"""
import base64
import contextlib
import hashlib
import hmac
import os
import socket
import threading

from genkan import wait_for


class Session:
    def __init__(self):
        self.commands = []
        self.tls = None        # "TLSv1.3"
        self.sni = None
        self.user = None
        self.client = None     # "127.0.0.1"


class Message:
    def __init__(self, session, sender, recipients, text):
        self.session, self.sender, self.recipients, self.text = session, sender, recipients, text
        self.tls = session.tls


class SmtpPeer:
    def __init__(self, address="127.0.0.1", port=0, *, context=None, implicit=False, attack=None, offers=("PIPELINING",),
                 accounts=None, mechanisms=("PLAIN",), name="mx.peer.example", replies=None):
        self.replies = replies or {}
        self.context, self.implicit, self.attack = context, implicit, attack
        self.offers, self.accounts, self.mechanisms, self.name = offers, accounts or {}, mechanisms, name
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, port), family=family)
        self.address, self.port = self.listener.getsockname()[:2]
        self.sessions, self.messages, self.failures = [], [], []
        if context:
            context.sni_callback = self.note_sni
        self.sni = {}

    def note_sni(self, sock, name, _):
        self.sni[sock] = name

    def __enter__(self):
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        # a listener in accept() does not notice that it is closed
        self.stopping = True
        with contextlib.suppress(OSError):
            socket.create_connection((self.address, self.port)).close()
        self.thread.join()
        self.listener.close()

    stopping = False

    def run(self):
        while True:
            connection, client = self.listener.accept()
            if self.stopping:
                connection.close()
                return
            threading.Thread(target=self.serve, args=(connection, client[0]), daemon=True).start()

    def await_messages(self, count):
        wait_for(lambda: len(self.messages) >= count, f"{count} message(s) at the peer")
        return self.messages

    # one session

    def serve(self, connection, client):
        session = Session()
        session.client = client
        self.sessions.append(session)
        connection.settimeout(30)
        try:
            Dialogue(self, session, connection).run()
        except (OSError, EOFError) as error:
            self.failures.append(error)
        finally:
            connection.close()


class Dialogue:
    def __init__(self, peer, session, connection):
        self.peer, self.session, self.socket = peer, session, connection
        self.file = None

    def say(self, *lines):
        for i, line in enumerate(lines):
            self.socket.sendall((line if i == len(lines) - 1 else line[:3] + "-" + line[4:]).encode() + b"\r\n")

    def hear(self):
        line = self.file.readline()
        if not line:
            raise EOFError
        return line.rstrip(b"\r\n").decode("latin-1")

    def start_tls(self):
        self.socket = self.peer.context.wrap_socket(self.socket, server_side=True)
        self.session.tls = self.socket.version()
        self.session.sni = self.peer.sni.pop(self.socket, None)
        self.file = self.socket.makefile("rb")

    def run(self):
        # what comes behind STARTTLS must not be read ahead
        self.file = self.socket.makefile("rb", buffering=0 if self.peer.context else -1)
        if self.peer.implicit:
            self.start_tls()
        if self.scripted("CONNECT", ""):
            return
        self.say(f"220 {self.peer.name} ESMTP")
        self.sender, self.recipients = None, []
        while True:
            line = self.hear()
            self.session.commands.append(line)
            verb = line.split(" ")[0].upper()
            if scripted := self.scripted(verb, line):
                if scripted.startswith("421"):
                    return
                continue
            handler = getattr(self, "on_" + verb.lower(), None)
            if handler:
                if handler(line) is False:
                    return
            else:
                self.say("250 2.0.0 ok")

    def scripted(self, verb, line):
        reply = self.peer.replies.get(verb)
        reply = reply(line) if callable(reply) else reply
        if reply:
            self.say(*reply.split("\n"))
        return reply

    def on_ehlo(self, line):
        offers = list(self.peer.offers)
        if self.peer.context and not self.session.tls and self.peer.attack != "strip":
            offers.append("STARTTLS")
        if self.peer.accounts:
            offers.append("AUTH " + " ".join(self.peer.mechanisms))
        self.say(f"250 {self.peer.name}", *(f"250 {offer}" for offer in offers))

    def on_starttls(self, line):
        attack = self.peer.attack
        if attack == "refuse":
            self.say("454 4.7.0 not now")
            return True
        if attack == "inject":
            self.socket.sendall(b"220 2.0.0 go\r\n250 injected\r\n")
            self.start_tls()
            return True
        self.say("220 2.0.0 go")
        if attack == "garbage":
            self.file.read(1)  # the client's first octet: sooner it would be an injection
            self.socket.sendall(b"this is no TLS at all, whatever it is\r\n" * 4)
            return False
        if attack == "silent":
            return False
        self.start_tls()
        return True

    def on_mail(self, line):
        self.sender, self.recipients = line, []
        self.say("250 2.1.0 ok")

    def on_rcpt(self, line):
        self.recipients.append(line)
        self.say("250 2.1.5 ok")

    def on_data(self, line):
        if not self.recipients:
            self.say("503 5.5.1 for whom?")
            return
        self.say("354 go")
        text = []
        while (line := self.hear()) != ".":
            text.append(line[1:] if line.startswith(".") else line)
        if self.scripted(".", ""):
            return
        self.peer.messages.append(Message(self.session, self.sender, self.recipients, "\n".join(text)))
        self.say("250 2.0.0 taken")

    def on_bdat(self, line):
        _, octets, last = line.split(" ")
        assert last == "LAST"
        text = self.file.read(int(octets)).decode("latin-1")
        self.peer.messages.append(Message(self.session, self.sender, self.recipients, text))
        self.say("250 2.0.0 taken")

    def on_quit(self, line):
        self.say("221 2.0.0 bye")
        return False

    # login

    def challenge(self, data):
        self.say("334 " + base64.b64encode(data).decode())
        return base64.b64decode(self.hear())

    def on_auth(self, line):
        words = line.split(" ")
        first = None if len(words) < 3 else b"" if words[2] == "=" else base64.b64decode(words[2])
        handler = getattr(self, "auth_" + words[1].replace("-", "_").lower())
        user = handler(first)
        if user is None:
            self.say("535 5.7.8 no such account")
        else:
            self.session.user = user
            self.say("235 2.7.0 welcome")

    def auth_plain(self, first):
        _, user, password = (self.challenge(b"") if first is None else first).decode().split("\0")
        return user if self.peer.accounts.get(user) == password else None

    def auth_login(self, first):
        user = (self.challenge(b"Username:") if first is None else first).decode()
        password = self.challenge(b"Password:").decode()
        return user if self.peer.accounts.get(user) == password else None

    def auth_cram_md5(self, first):
        question = b"<%s@peer>" % os.urandom(8).hex().encode()
        user, digest = self.challenge(question).decode().split(" ")
        right = hmac.new(self.peer.accounts.get(user, "").encode(), question, hashlib.md5).hexdigest()
        return user if digest == right else None

    liar = False  # a server that does not know the password says yes all the same

    def auth_scram_sha_256(self, first):
        fields = dict(f.split("=", 1) for f in first.decode().split(",")[2:])
        bare = first.decode().split(",", 2)[2]
        user, nonce = fields["n"], fields["r"] + os.urandom(8).hex()
        salt, rounds = os.urandom(16), 4096
        server_first = f"r={nonce},s={base64.b64encode(salt).decode()},i={rounds}"
        final = self.challenge(server_first.encode()).decode()
        without, proof = final.rsplit(",p=", 1)
        salted = hashlib.pbkdf2_hmac("sha256", self.peer.accounts.get(user, "").encode(), salt, rounds)
        message = ",".join((bare, server_first, without)).encode()
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
        right = bytes(a ^ b for a, b in zip(client_key, signature))
        if self.liar:
            return user
        if right != base64.b64decode(proof):
            return None
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        self.challenge(b"v=" + base64.b64encode(hmac.digest(server_key, message, "sha256")))
        return user
