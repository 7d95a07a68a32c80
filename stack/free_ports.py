"""Free ports on 127.0.0.1."""

import random
import socket

LOWEST, HIGHEST = 20_000, 32_000
"""Below the kernel's range for outgoing connections: a port of that range could be taken before the service listens on
it."""


def is_free(port: int) -> bool:
    """Whether nothing listens on that port of 127.0.0.1."""
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
        if is_free(port):
            found.append(port)
    return found


def usual_or_free(port: int) -> int:
    """Return this port if nothing listens on it, or else a free one."""
    return port if is_free(port) else free_ports(1)[0]
