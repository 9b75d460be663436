"""Plays dialogues against a server, and says which it passed (dialogue.py has the language)."""
import base64
import pathlib
import re
import socket
import ssl
import threading
import time

from dialogue import octets

PATIENCE = 15
SHORT = 3  # for who need not say anything


class Failed(Exception):
    pass


class Gone(Exception):
    """It ended where it may."""


def plain(name, password):
    return base64.b64encode(f"\0{name}\0{password}".encode()).decode()


class Server:
    """A server under test: where it is, what is there, where its mail arrives."""

    def __init__(self, address, port, *, host="mx.example.org", domain="example.org", user="alice", unknown="nobody-here",
                 foreign="next.example", member="127.0.0.2", stranger="127.0.0.1", mailbox=None, next_port=None,
                 submission=None, login=None):
        self.address, self.port, self.host, self.domain = address, port, host, domain
        self.member, self.stranger, self.mailbox, self.next_port = member, stranger, mailbox, next_port
        self.names = {"host": host, "domain": domain, "rcpt": f"{user}@{domain}", "unknown": f"{unknown}@{domain}",
                      "user": user, "foreign": f"somebody@{foreign}", "address": address}
        self.submission, self.login, self.listener = submission, login, None
        self.leftover = lambda: False  # throws away what waits for the next server; true while it is not all gone
        if login:
            name, _, password = login.partition(":")
            self.names["plain"], self.names["wrong"] = (plain(name, word) for word in (password, password + "x"))
        if next_port:
            self.listener = socket.create_server(("127.0.0.1", next_port))

    def forget_callers(self):
        """Who came to the next server when nobody waited for him, with what an earlier dialogue left behind."""
        while self.leftover():
            self.hang_up()
        self.hang_up()

    def hang_up(self):
        self.listener.settimeout(0)
        try:
            while True:
                self.listener.accept()[0].close()
        except BlockingIOError:
            self.listener.settimeout(PATIENCE)

    def connect(self, member=False, submission=False):
        local = self.address in ("127.0.0.1", "localhost")
        source = (self.member if member else self.stranger, 0) if local else None
        return Line(socket.create_connection((self.address, self.submission if submission else self.port), PATIENCE,
                                             source_address=source))

    def offered(self, dialogue):
        """Keywords of EHLO."""
        with self.connect(dialogue.member, dialogue.submission) as line:
            line.reply()
            line.send(b"EHLO client.example\r\n")
            return {text.split()[0].upper() for text in line.reply()[1].split("\n")[1:] if text.split()}

    def messages(self):
        found = []
        for path in sorted(pathlib.Path(self.mailbox).glob("new/*")):
            try:
                found.append(path.read_bytes())
            except FileNotFoundError:
                continue
        return found

    def fence(self, mark):
        """A message that is accepted now arrives: whatever was accepted before had its chance."""
        with self.connect(member=True) as line:
            for words, code in ((b"", 220), (b"EHLO client.example\r\n", 250), (b"MAIL FROM:<%s>\r\n" % self.names["rcpt"].encode(), 250),
                                (b"RCPT TO:<%s>\r\n" % self.names["rcpt"].encode(), 250), (b"DATA\r\n", 354),
                                (b"Subject: fence %s\r\n\r\n.\r\n" % mark, 250)):
                line.send(words)
                if line.reply()[0] != code:
                    raise Failed("the server takes no mail at all")
        self.wait(lambda: any(b"fence " + mark in m for m in self.messages()), "mail arrives at all")

    def wait(self, condition, what, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > end:
                raise Failed(f"waited in vain: {what}")
            time.sleep(0.05)


class Line:
    """One connection."""

    def __init__(self, sock):
        self.socket = sock
        self.file = sock.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            pass  # the reply that is missing says it

    def line(self):
        try:
            return self.file.readline(100000)
        except (ConnectionResetError, BrokenPipeError):
            return b""
        except TimeoutError:
            raise Failed("no answer") from None

    def reply(self):
        """(code, text with \\n between lines); (0, "") at the end."""
        texts, code = [], None
        while True:
            line = self.line()
            if not line:
                return 0, ""
            if not re.fullmatch(rb"[2-5]\d\d[ -][^\r\n]*\r\n|[2-5]\d\d\r\n", line):
                raise Failed(f"this is no reply: {line!r}")
            if len(line) > 512:
                raise Failed(f"a reply line of {len(line)} octets (RFC 5321 4.5.3.1.5)")
            if code not in (None, line[:3]):
                raise Failed(f"a reply with two codes: {code} and {line!r}")
            code = line[:3]
            texts.append(line[4:].decode("utf-8", "replace").rstrip("\r\n"))
            if line[3:4] != b"-":
                return int(code), "\n".join(texts)

    def start_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.file.close()
        try:
            self.socket = context.wrap_socket(self.socket)
        except OSError as e:
            raise Failed(f"TLS: {e}") from None
        self.file = self.socket.makefile("rb")


def check_reply(reply, wanted):
    match = re.fullmatch(r"([\dx,]+)(?: (\d\.\d+\.\d+))?(?: /(.*)/)?", wanted)
    codes = match.group(1).split(",")
    if not any(re.fullmatch(code.replace("x", r"\d"), f"{reply[0]}") for code in codes):
        raise Failed(f"expected {match.group(1)}, got " + (f"{reply[0]} {reply[1]}" if reply[0] else "the end of the connection"))
    if match.group(2) and reply[1].split(" ")[0] != match.group(2):
        raise Failed(f"expected status {match.group(2)}, got {reply[0]} {reply[1]}")
    if match.group(3) and not re.search(match.group(3), reply[1]):
        raise Failed(f"{reply[0]} {reply[1]!r} is not /{match.group(3)}/")


class NextServer(threading.Thread):
    """We are the server that it hands mail on to."""

    def __init__(self, server, steps, names):
        super().__init__(daemon=True)
        self.server, self.steps, self.names = server, steps, names
        self.may_end, self.problem = False, None
        server.forget_callers()
        self.start()

    def run(self):
        try:
            with Line(self.server.listener.accept()[0]) as line:
                line.socket.settimeout(PATIENCE)
                for step in self.steps:
                    if step[1] == "may end":
                        line.socket.settimeout(SHORT)
                        self.may_end = True
                        continue
                    self.play(line, *step)
        except Gone:
            pass
        except (Failed, OSError) as e:
            self.problem = f"as the next server: {e}"

    def said(self, line):
        try:
            said = line.line()
        except Failed:
            said = b""
        if self.may_end and (not said or said.startswith((b"QUIT", b"RSET"))):
            raise Gone
        self.may_end = False
        line.socket.settimeout(PATIENCE)
        return said

    def play(self, line, number, kind, times, text):
        if kind == "S:":
            line.send(octets(text, self.names) + b"\r\n")
        elif kind == "S>":
            line.send(octets(text, self.names))
        elif kind == "hang up":
            line.socket.shutdown(socket.SHUT_RDWR)
        elif kind == "C:":
            said = self.said(line)
            if not re.fullmatch(octets_pattern(text, self.names), said.rstrip(b"\r\n"), re.S) or not said.endswith(b"\r\n"):
                raise Failed(f"line {number}: it says {said!r}")
        elif kind == "C>":
            data = b""
            while not data.endswith(b"\r\n.\r\n"):
                more = line.line()
                if not more:
                    raise Failed(f"line {number}: it left inside the text")
                data += more
            if not re.search(octets_pattern(text, self.names), data, re.S):
                raise Failed(f"line {number}: its text is {data!r}")

    def call_off(self):
        """Nobody will come: we call ourselves."""
        socket.create_connection(self.server.listener.getsockname()).close()
        self.join()

    def end(self):
        self.join(2 * PATIENCE)
        if self.is_alive():
            raise Failed("as the next server: nobody came, or nobody left")
        if self.problem:
            raise Failed(self.problem)


def octets_pattern(text, names):
    """A pattern over octets: names are letters in it, escapes are re's own."""
    for name, value in names.items():
        text = text.replace(f"${name}", re.escape(value))
    return text.encode()


class Player:
    def __init__(self, server, dialogue):
        self.server, self.dialogue = server, dialogue
        self.last = 0
        self.names = dict(server.names, id=f"mark{time.time_ns():020}")

    def play(self):
        """None: passed; "not offered"; or why it failed."""
        d = self.dialogue
        if (any(kind[0] in "MN" for _, kind, _, _ in d.steps + d.next) and not self.server.mailbox) or \
                (d.next and not self.server.next_port) or (d.submission and not self.server.submission) or \
                (d.asks_for_login() and not self.server.login):
            return "not offered"
        try:
            if d.needs and not set(d.needs) <= self.server.offered(d):
                return "not offered"
            following = NextServer(self.server, [s for s in d.next if s[1][0] not in "MN"], self.names) if d.next else None
            with self.server.connect(d.member, d.submission) as line:
                for step in self.one_by_one(d.steps):
                    if step[1] == "stop unless accepted" and self.last >= 400:
                        if following:
                            following.call_off()
                        return None
                    if step[1][0] not in "MN":
                        self.step(line, *step)
            if following:
                following.end()
            for number, kind, _, text in d.steps + d.next:
                if kind[0] in "MN":
                    self.message(number, kind, text)
        except (Failed, OSError) as e:
            return str(e)
        return None

    @staticmethod
    def one_by_one(steps):
        """A hundred times "C:" and a hundred times "S:" are a hundred times both: not everybody takes them together."""
        steps = list(steps)
        while steps:
            step = steps.pop(0)
            if step[1] == "C:" and step[2] > 1 and steps and steps[0][1] == "S:" and steps[0][2] == step[2]:
                answer = steps.pop(0)
                for _ in range(step[2]):
                    yield step[0], "C:", 1, step[3]
                    yield answer[0], "S:", 1, answer[3]
            else:
                yield step

    def step(self, line, number, kind, times, text):
        try:
            if kind == "C:":
                line.send((octets(text, self.names) + b"\r\n") * times)
            elif kind == "C>":
                line.send(octets(text, self.names) * times)
            elif kind == "S:":
                for _ in range(times):
                    reply = line.reply()
                    self.last = reply[0] or 999
                    check_reply(reply, text.replace("$host", re.escape(self.server.host)))
            elif kind == "tls":
                line.start_tls()
            elif kind == "closed":
                rest = line.line()
                if rest:
                    raise Failed(f"expected the end of the connection, got {rest!r}")
            elif kind == "hang up":
                line.close()
        except (Failed, OSError) as e:
            raise Failed(f"line {number}: {e}") from None

    def wanted(self, kind):
        mark = self.names["id"].encode()
        return [m for m in self.server.messages() if mark in m and b"Subject: fence" not in m and
                (b"multipart/report" in m.split(b"\n\n")[0]) == (kind[0] == "N")]

    def message(self, number, kind, text):
        if text == "none":
            self.server.fence(self.names["id"].encode())
            if self.wanted(kind):
                raise Failed(f"line {number}: it arrived")
            return
        try:
            message = self.server.wait(lambda: self.wanted(kind), "a message arrives")[0]
        except Failed as e:
            raise Failed(f"line {number}: {e}") from None
        message = message.replace(b"\r\n", b"\n")
        match = re.fullmatch(r'(not )?/(.*)/|body "(.*)"', text)
        if match.group(2) is None:
            body, wanted = message.partition(b"\n\n")[2], octets(match.group(3), self.names)
            if body != wanted:
                raise Failed(f"line {number}: the body is {body!r}")
        elif bool(re.search(octets_pattern(match.group(2), self.names), message, re.M | re.I)) == bool(match.group(1)):
            raise Failed(f"line {number}: {text} of {message!r}")
