"""Plays all dialogues against Genkan and Debian's Postfix, Exim and OpenSMTPD, and writes docs/conformance.md (root)."""
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "regress/system"))

from dialogue import all_dialogues  # noqa: E402
from genkan import certificate, free_port  # noqa: E402
from ours import ours  # noqa: E402
from peers import Exim, OpenSMTPD, Postfix  # noqa: E402
from player import Player, Server  # noqa: E402

HEAD = """# Conformance

What the dialogues of regress/conform found, each played against four servers on one machine: Genkan, and
{versions} as Debian 12 has them. Each server had one domain with the mailbox alice, one address that may relay, a certificate (but OpenSMTPD),
and its defaults otherwise; so a "no" here may be a choice that its operator can change. Only Genkan had a port for submission and an account.
`regress/conform/run HOST PORT` plays
them against any server. This page is written by `make conformance`; what failed, and how, stands below the table.

| | {names} |
|---|{lines}|
{sums}

yes: it does what is asked · no: it does not · –: it does not offer the extension that this is about

| RFC | asked | {names} |
|---|---|{lines}|
{rows}

## What dialogues do not ask

A dialogue has one server before it, and one behind. What needs a DNS of its own, many servers, or hours is proved for Genkan
by tests of its own, in regress/unit and regress/system:

| RFC | asked | by |
|---|---|---|
| 5321 3.1 | Who is refused in the banner gets 554, and QUIT is still answered. | test_gates.py |
| 5321 4.5.3.2.7 | An idle client has five minutes, then 421. | test_smtp.py, test_abuse.py |
| 5321 4.5.3.2 | A client waits as long as the RFC says. | test_smtp_client.c |
| 5321 4.5.4.1 | Retries: when, how often, until when. | test_schedule.c, test_queue.c |
| 5321 5.1 | MX by preference, equal ones shared, every address of a host. | test_relay_mx.py, test_mx.c |
| 5321 5.1 | Without MX the domain's address; with MX never. | test_relay_mx.py, test_mx.c |
| 5321 5.1, 2.3.5 | Aliases are followed, and the address stays as it was written. | test_relay_mx.py |
| 5321 5.1 | No server that is no better than ourselves; if we are the best, it is a loop (5.4.6). | test_relay_mx.py, test_mx.c |
| 7505 3 | Null MX: back at once with 5.1.10. | test_relay_mx.py, test_mx.c |
| 7505 4.2 | Null MX of a sender: 550 5.7.27, where the gate says so. | test_relay_mx.py, test_gate_reply.c |
| 7672 · 8461 · 8689 | DANE, MTA-STS, REQUIRETLS. | test_dane.py, test_mta_sts.py, test_requiretls.py |
| 6647 5 | Greylisting: what is the same caller, how long, who is known. | test_grey.c, test_identity.c, test_gates.py |
| 4155 | mbox. | test_mbox.c |

## What was found

{found}
"""
WORDS = {None: "yes", "not offered": "–"}


def play(server):
    results = {}
    for dialogue in all_dialogues():
        results[dialogue.name] = Player(server, dialogue).play()
        print("." if results[dialogue.name] is None else "-" if results[dialogue.name] == "not offered" else "F", end="", flush=True)
    print()
    return results


def play_genkan(place):
    with ours(place) as server:
        return play(server)


def play_peer(kind, place):
    port, following = free_port(), free_port()
    pair = certificate(place, file="mx")
    with kind(place, port, route=f"[127.0.0.1]:{following}", domain="example.org", users=["alice"], members="127.0.0.2",
              certificate=pair if kind is not OpenSMTPD else None) as peer:
        return play(Server("127.0.0.1", port, mailbox=peer.work / "home/alice/Maildir", next_port=following))


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def version(kind):
    files = sorted((ROOT / "build/peers/debs").glob(f"{kind.packages[0]}_*.deb"))
    return f"{kind.__name__} {files[0].name.split('_')[1].partition('%3a')[2] or files[0].name.split('_')[1]}" if files else kind.__name__


def write(results, kinds):
    names = list(results)
    rows, found = [], []
    for d in all_dialogues():
        words = [WORDS.get(results[name][d.name], "no") for name in names]
        rows.append(f"| {d.rfc} {', '.join(d.sections)} {d.strength} | {cell(d.title)} | {' | '.join(words)} |")
        for name in names:
            if results[name][d.name] not in WORDS:
                found.append(f"- {name}, {d.name}: `{cell(results[name][d.name])[:300].replace('`', chr(39))}`")
    sums = []
    for word, line in (("yes", "yes"), ("no", "no"), ("–", "not offered")):
        counts = [str(sum(WORDS.get(r, "no") == word for r in results[name].values())) for name in names]
        sums.append(f"| {line} | {' | '.join(counts)} |")
    page = HEAD.format(versions=", ".join(version(k) for k in kinds), names=" | ".join(names), lines="|".join("---" for _ in names),
                       sums="\n".join(sums), rows="\n".join(rows), found="\n".join(found) or "Nothing failed.")
    (ROOT / "docs/conformance.md").write_text(page)


def main():
    kinds, results = [Postfix, Exim, OpenSMTPD], {}
    with tempfile.TemporaryDirectory(prefix="conform-") as place:
        place = pathlib.Path(place)
        place.chmod(0o755)
        for kind in [None, *kinds]:
            folder = place / (kind.name if kind else "genkan")
            folder.mkdir()
            folder.chmod(0o755)
            print(folder.name)
            results[kind.__name__ if kind else "Genkan"] = play_peer(kind, folder) if kind else play_genkan(folder)
    write(results, kinds)
    failed = [name for name, result in results["Genkan"].items() if result is not None]
    print(f"docs/conformance.md is written; Genkan failed {len(failed)}: {', '.join(failed)}" if failed else
          "docs/conformance.md is written; Genkan passed all")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
