#!/usr/bin/python3
"""regress/bench/idle.py [N]: memory of N connections held, in the greet pause and after the banner, and of all roles idle.

PSS of all of Genkan's processes less the idle figure, divided by N.  The clients are processes of their own, each with as
many connections as its descriptors allow; the session workers share theirs.
"""
import os
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


def hold(port, n, banner):
    """A process that opens N connections; the pipe says when it has them all, and another ends it."""
    ready, told = os.pipe()
    stop, stopped = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ready)
        os.close(stopped)
        held = [socket.create_connection(("127.0.0.1", port), source_address=(f"127.{1 + i // 5000}.0.{1 + os.getpid() % 200}", 0))
                for i in range(n)]
        if banner:
            n = sum(s.recv(200).startswith(b"220") for s in held)
        os.write(told, n.to_bytes(4, "big"))
        os.read(stop, 1)
        os._exit(0)
    os.close(told)
    os.close(stop)
    return pid, ready, stopped


def measure(what, rule, n):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="genkan-idle-"))
    directory.chmod(0o755)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100
    try:
        with Genkan(directory, CONF % rule) as server:
            time.sleep(1)
            before = pss(server)
            clients = [hold(server.port, min(most, n - i), not rule) for i in range(0, n, most)]
            held = sum(int.from_bytes(os.read(ready, 4), "big") for _, ready, _ in clients)
            time.sleep(1)
            after = pss(server)
            for pid, ready, stopped in clients:
                os.write(stopped, b".")
                os.waitpid(pid, 0)
                os.close(ready)
                os.close(stopped)
        print(f"{what}: idle {before / 1024:.1f} MiB, {held} held {after / 1024:.1f} MiB, "
              f"{(after - before) * 1024 / n:.0f} octets each", flush=True)
    finally:
        remove_tree(directory)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    measure("in the greet pause", "pause 300s", n)
    measure("after the banner", "", n)


if __name__ == "__main__":
    main()
