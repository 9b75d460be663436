"""Dialogues: what a server must answer, in small files that any server can be played.

    RFC 5321 4.1.1.1 MUST                        where it is said, and how strongly
    The reply to EHLO begins with a domain.      in a person's words, up to the empty line

    needs SIZE                                   only of servers that offer it
    hello                                        "S: 220", "C: EHLO client.example", "S: 250"
    C: EHLO [192.0.2.1]                          we say this, and CRLF
    S: 250 /^\\S+/                                it answers that: a code ("2xx", "500,502", 0 for the end), perhaps a status (5.5.1),
                                                 perhaps a pattern that the text of the reply must match, lines joined by \\n
    C> DA                                        we send exactly these octets
    C*100: RCPT TO:<$rcpt>                       a hundred times
    S*100: 250
    envelope                                     MAIL and RCPT for $rcpt, both accepted
    text                                         DATA and a short message with the subject $id, accepted
    post                                         envelope and text for $foreign instead
    closed                                       it closes the connection
    hang up                                      we do
    tls                                          we begin TLS
    member                                       (before hello) we call from an address that may relay
    submission                                   (before hello) that, at the port for submission
    stranger                                     (before hello) at that port from an address that may not relay
    secure                                       STARTTLS, TLS, and EHLO again
    stop unless accepted                         all is well when the last reply was no
    M: /pattern/    M: not /pattern/             the message that arrived in $rcpt's mailbox, in any case of letters
    M: body "line\\n"                             its body, line ends as \\n
    M: none                                      there is none
    N: /pattern/                                 the notice about it in $rcpt's mailbox; also not, and none

    next                                         from here on we are the next server for $foreign
    S: 220 next.example ESMTP                    we say
    C: EHLO \\S+                                  it says, as a whole line
    C> pattern                                   octets up to the end of data, as they come
    may end                                      it need not go on
    hang up

Escapes: \\r \\n \\t \\0 \\\\ \\xHH, {x*1000} for a thousand of x, and $NAME: $host the server's name, $address its
address, $domain its domain, $rcpt a mailbox of it, $unknown one that it has not, $foreign one elsewhere, $id a word of 24
octets that is in no other message, $plain and $wrong the message of PLAIN (RFC 4616) of who may log in, with his password and another.
"""
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
HELLO = ["S: 220", "C: EHLO client.example", "S: 250"]
TEXT = ["C: DATA", "S: 354", "C> From: <$rcpt>\\r\\nDate: Sun, 22 Nov 2026 09:00:00 +0900\\r\\nMessage-ID: <$id@client.example>"
        "\\r\\nSubject: $id\\r\\n\\r\\ntext\\r\\n.\\r\\n", "S: 250"]
ENVELOPE = ["C: MAIL FROM:<$rcpt>", "S: 250", "C: RCPT TO:<$rcpt>", "S: 250"]
POST = ["C: MAIL FROM:<$rcpt>", "S: 250", "C: RCPT TO:<$foreign>", "S: 250", *TEXT]
SECURE = ["C: STARTTLS", "S: 220", "tls", *HELLO[1:]]
MACROS = {"hello": HELLO, "envelope": ENVELOPE, "text": TEXT, "post": POST, "secure": SECURE}


class Broken(Exception):
    """The file is no dialogue."""


def octets(text, names):
    """TEXT with names, repetitions and escapes replaced."""
    text = re.sub(r"\$([a-z]+)", lambda m: names[m.group(1)] if m.group(1) in names else m.group(0), text)
    text = re.sub(r"\{(.+?)\*(\d+)\}", lambda m: m.group(1) * int(m.group(2)), text)
    simple = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
    parts = re.split(r"(\\x[0-9a-fA-F]{2}|\\.)", text)
    out = b""
    for part in parts:
        if part.startswith("\\x") and len(part) == 4:
            out += bytes([int(part[2:], 16)])
        elif part.startswith("\\") and part[1:] in simple:
            out += simple[part[1:]].encode()
        else:
            out += part.encode()
    return out


class Dialogue:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.name = self.path.stem
        head, _, body = self.path.read_text().partition("\n\n")
        first, _, title = head.partition("\n")
        match = re.fullmatch(r"RFC (\d+) ([\d.A-Z]+(?:, [\d.A-Z]+)*) (MUST|SHOULD|MAY)(?: NOT)?", first)
        if not match or not title.strip():
            raise Broken(f"{path}: the first line is RFC NUMBER SECTIONS MUST|SHOULD, the next its words")
        self.rfc, self.sections, self.strength = match.group(1), match.group(2).split(", "), match.group(3)
        self.title = " ".join(title.split())
        self.needs, self.member, self.submission = [], False, False
        self.steps, self.next = [], []
        steps = self.steps
        for number, line in enumerate(body.splitlines(), head.count("\n") + 3):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if line == "next":
                steps = self.next
            elif line in ("member", "submission", "stranger"):
                self.member, self.submission = line != "stranger", line != "member"
            elif line.startswith("needs "):
                self.needs += line.split()[1:]
            elif line in MACROS:
                steps += [self.step(text, number) for text in MACROS[line]]
            else:
                steps.append(self.step(line, number))
        if not self.steps:
            raise Broken(f"{path}: says nothing")

    def asks_for_login(self):
        return any("$plain" in text or "$wrong" in text for _, _, _, text in self.steps)

    def step(self, line, number):
        if line in ("closed", "hang up", "tls", "stop unless accepted", "may end"):
            return number, line, 1, ""
        match = re.fullmatch(r"([CSMN])(?:\*(\d+))?([:>])(?: (.*))?", line)
        if not match:
            raise Broken(f"{self.path}:{number}: {line}")
        return number, match.group(1) + match.group(3), int(match.group(2) or 1), match.group(4) or ""


def all_dialogues(paths=()):
    return [Dialogue(path) for path in paths or sorted((HERE / "dialogues").glob("*.txt"))]
