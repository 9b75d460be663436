"""`make sanitize` and `make valgrind`: the same tests, with programs that are watched (regress/watch/run).

What is found lies in files of one folder, and fails the test after which it is there.  A process that is found to do wrong
ends; here is said why.
"""
import os
import pathlib

import pytest

BY = os.environ.get("WATCHED")  # "sanitize", "valgrind", or None: not watched
REPORTS = pathlib.Path(os.environ["REPORTS"]) if BY else None

by_valgrind = pytest.mark.skipif(BY == "valgrind", reason="valgrind is slow, runs programs in processes of its own make, and "
                                 "knows no pidfd_open(2)")
by_any = pytest.mark.skipif(BY is not None, reason="programs that are watched are not what is installed")


def environment(env, as_root):
    """ENV for a server.  Its roles cannot reach the folder when they are chrooted: their reports go to its log."""
    if BY == "sanitize" and as_root:
        options = [o for o in env["ASAN_OPTIONS"].split(":") if not o.startswith("log_path")]
        return dict(env, ASAN_OPTIONS=":".join(options))
    return env


def look_through(log):
    """Of a server that began as root."""
    assert not BY or "Sanitizer" not in log and "runtime error:" not in log, log[-20000:]


def found():
    """What was found since the last call, as text."""
    reports = []
    for path in sorted(REPORTS.iterdir()) if BY else []:
        text = path.read_text(errors="replace").lstrip("\0")  # what stood there before
        if text:
            reports.append(f"--- {path.name}\n{text}")
            path.write_text("")  # a process that lives on goes on where it was
    return "\n".join(reports)
