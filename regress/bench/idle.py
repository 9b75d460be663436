#!/usr/bin/python3
"""regress/bench/idle.py [N]: memory of N connections held, in the greet pause and after the banner, and of all roles idle.

PSS of all of Genkan's processes less the idle figure, divided by N.
"""
import pathlib
import re
import resource
import socket
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from genkan import Genkan, remove_tree  # noqa: E402

CONF = """
limit connections off
limit connections-per-address off
limit connections-per-network off
relay { from { 10.255.255.255 } }
gate { %s }
"""


def pss(server):
    total = 0
    for pid in [server.process.pid, *server.pids().values()]:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))
    return total


def measure(what, rule, n):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="genkan-idle-"))
    directory.chmod(0o755)
    try:
        with Genkan(directory, CONF % rule) as server:
            time.sleep(1)
            before = pss(server)
            held = []
            for _ in range(n):
                s = socket.create_connection(("127.0.0.1", server.port))
                held.append(s)
            if not rule:
                for s in held:
                    s.recv(200)
            time.sleep(1)
            after = pss(server)
            for s in held:
                s.close()
        print(f"{what}: idle {before / 1024:.1f} MiB, {n} held {after / 1024:.1f} MiB, "
              f"{(after - before) * 1024 / n:.0f} octets each", flush=True)
    finally:
        remove_tree(directory)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    resource.setrlimit(resource.RLIMIT_NOFILE, (n + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    measure("in the greet pause", "pause 300s", n)
    measure("after the banner", "", n)


if __name__ == "__main__":
    main()
