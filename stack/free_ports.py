"""Free ports on 127.0.0.1."""

import random
import socket

LOWEST, HIGHEST = 20_000, 32_000
"""Below the kernel's range for outgoing connections: a port of that range could be taken before the service listens on
it."""


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Return `count` different ports on which nothing listens now."""
    candidates = random.sample(range(LOWEST, HIGHEST), HIGHEST - LOWEST)
    found: list[int] = []
    while len(found) < count:
        port = candidates.pop()
        if _is_free(port):
            found.append(port)
    return found
