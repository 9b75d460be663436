"""A Genkan as the dialogues want it (dialogue.py): the mailbox alice, one address that may relay, submission, a certificate."""
import contextlib

from genkan import Genkan, certificate, free_port
from player import Server

CONF = """
gate { }
listen on 127.0.0.1 port %(submission)d submission tls "mx"
certificate "mx" chain "$dir/mx.pem" key "$dir/mx.key"
accounts { "alice" = "{PLAIN}wonder land" }
relay {
	from { 127.0.0.2 }
	route "*" to "[127.0.0.1]:%(next)d"
}
domain "customer.example" { relay to "[127.0.0.1]:%(next)d" }
domain "example.org" {
	users { "alice" }
	deliver maildir "$mail/%%{user}"
}
"""


@contextlib.contextmanager
def ours(directory):
    ports = {"submission": free_port(), "next": free_port()}
    certificate(directory, file="mx")
    with Genkan(directory, CONF % ports, listen='tls "mx"') as mx:
        server = Server("127.0.0.1", mx.port, mailbox=mx.mail / "alice", next_port=ports["next"], submission=ports["submission"],
                        login="alice:wonder land")
        server.leftover = lambda: mx.queue() and mx.run_ctl("queue", "remove", "all")
        yield server
