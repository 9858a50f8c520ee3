"""Ports for servers that are going to be killed and started again."""

from __future__ import annotations

import os
import random
import socket

# Below the range the kernel hands out to outgoing connections (32768 and up on Linux). A client that keeps
# trying to reach a killed server would otherwise be given the server's own port sooner or later, connect to
# itself and keep the port from the server that comes back.
LOWEST, HIGHEST = 20_000, 32_000


def own_ports() -> range:
    """Those of this test process: what one has looked at and not used yet, another must not take (pytest-xdist)."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return range(LOWEST + number % processes, HIGHEST, processes)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    for port in random.sample(own_ports(), 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port between {LOWEST} and {HIGHEST}")
