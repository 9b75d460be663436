"""Genkan passes all dialogues of regress/conform, and they say what the RFCs say."""
import os
import pathlib
import re
import sys

import pytest

from genkan import ROOT

sys.path.insert(0, str(ROOT / "regress/conform"))
from dialogue import all_dialogues  # noqa: E402
from ours import ours  # noqa: E402
from player import Player  # noqa: E402

RFCS = pathlib.Path(os.environ.get("CORPORA", ROOT.parent / "shared/corpora")).parent / "reference/rfc"
# each keyword with the dialogues that need it: nobody would miss what is skipped everywhere
OFFERED = {"SIZE", "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES", "CHUNKING", "BINARYMIME", "SMTPUTF8", "DSN", "LIMITS",
           "STARTTLS", "ETRN", "FUTURERELEASE", "DELIVERBY"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ours(tmp_path_factory.mktemp("conform")) as found:
        yield found


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
