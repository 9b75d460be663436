"""Genkan passes all dialogues of regress/conform, and they say what the RFCs say."""
import os
import pathlib
import re
import sys

import pytest

from genkan import ROOT, Genkan, certificate, free_port

sys.path.insert(0, str(ROOT / "regress/conform"))
from dialogue import all_dialogues  # noqa: E402
from player import Player, Server  # noqa: E402

RFCS = pathlib.Path(os.environ.get("CORPORA", ROOT.parent / "shared/corpora")).parent / "reference/rfc"
CONF = """
gate { }
listen on 127.0.0.1 port $submission submission tls "mx"
certificate "mx" chain "$dir/mx.pem" key "$dir/mx.key"
relay {
	from { 127.0.0.2 }
	route "*" to "[127.0.0.1]:$next"
}
domain "customer.example" { relay to "[127.0.0.1]:$next" }
domain "example.org" {
	users { "alice" }
	deliver maildir "$$mail/%{user}"
}
"""
"""Each keyword with the dialogues that need it: nobody would miss what is skipped everywhere."""
OFFERED = {"SIZE", "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES", "CHUNKING", "BINARYMIME", "SMTPUTF8", "DSN", "LIMITS",
           "STARTTLS", "ETRN", "FUTURERELEASE", "DELIVERBY"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory, following = tmp_path_factory.mktemp("conform"), free_port()
    certificate(directory, file="mx")
    submission = free_port()
    conf = CONF.replace("$submission", str(submission)).replace("$next", str(following)).replace("$$", "$")
    with Genkan(directory, conf, listen='tls "mx"') as mx:
        yield Server("127.0.0.1", mx.port, mailbox=mx.mail / "alice", next_port=following,
                     submission=submission)


@pytest.mark.parametrize("dialogue", all_dialogues(), ids=lambda d: d.name)
def test_dialogue(server, dialogue):
    assert Player(server, dialogue).play() is None


@pytest.mark.parametrize("dialogue", all_dialogues(), ids=lambda d: d.name)
def test_section(dialogue):
    text = RFCS / f"rfc{dialogue.rfc}.txt"
    if not text.exists():
        pytest.skip(f"{text} is not there")
    for section in dialogue.sections:
        assert re.search(rf"^ *{re.escape(section)}\.? +\S", text.read_text(errors="replace"), re.M), section


def test_all_offers_are_played():
    assert {need for d in all_dialogues() for need in d.needs} <= OFFERED
