"""Free ports on 127.0.0.1."""

import random
import socket

LOWEST, HIGHEST = 20_000, 32_000
"""Below the range the kernel takes outgoing connections' ports from: one of those could be gone again before the
service listens on it."""


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """So many different ports that nobody listens on now."""
    candidates = random.sample(range(LOWEST, HIGHEST), HIGHEST - LOWEST)
    found: list[int] = []
    while len(found) < count:
        port = candidates.pop()
        if _is_free(port):
            found.append(port)
    return found
