"""Free ports on 127.0.0.1.

A port stays free until the service that it is for listens on it, for seconds on a busy machine. Until then no other
service must get it, so a process returns each port once before it returns one again, and processes that run at the same
time can have ranges of their own.
"""

import os
import random
import socket
from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice

from stack.errors import NotStarted

PORTS = range(20_000, 32_000)
"""Below the kernel's range for outgoing connections: a port of that range could be taken before the service listens on
it."""

RANGE_VARIABLE = "WEBHOOKD_TEST_PORTS"
"""The environment variable with the ports of this process and its children, as `20000-21999`; PORTS if not set."""


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
    """Return `count` different ports on which nothing listens now. Raises NotStarted when there are too few."""
    ports = chosen_range(os.environ.get(RANGE_VARIABLE, ""))
    found = list(islice(filter(is_free, islice(in_turn(ports), len(ports))), count))
    if len(found) < count:
        raise NotStarted(f"needs {count} free ports: of {ports[0]} to {ports[-1]} only {len(found)} are free")
    return found


def chosen_range(text: str) -> range:
    """The ports that RANGE_VARIABLE has chosen."""
    first, _, last = text.partition("-")
    return range(int(first), int(last) + 1) if text else PORTS


def share(number: int, count: int) -> str:
    """The value of RANGE_VARIABLE for one of `count` processes, 0 to `count` - 1."""
    size = len(PORTS) // count
    return f"{PORTS[number * size]}-{PORTS[(number + 1) * size - 1]}"


@cache
def in_turn(ports: range) -> Iterator[int]:
    """These ports in an order of this process' own, again and again; each caller gets the next ones."""
    return cycle(random.sample(ports, len(ports)))


def usual_or_free(port: int) -> int:
    """Return this port if nothing listens on it, or else a free one."""
    return port if is_free(port) else free_ports(1)[0]
