"""An address from which no answer to a TCP connect comes, as when a firewall drops the packets."""

import contextlib
import select
import socket
from typing import Self

_FULL_AFTER_S = 0.1


class BlackHole:
    """A context: a listener whose queue is full, so that the kernel drops the packets of further clients."""

    def __init__(self, address: str, port: int) -> None:
        self._at = (address, port)
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Listen, and fill the queue."""
        self._exits.enter_context(socket.create_server(self._at, family=self._family, backlog=0))
        while self._connects():
            pass
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._exits.close()

    def _connects(self) -> bool:
        client = self._exits.enter_context(socket.socket(self._family, socket.SOCK_STREAM))
        client.setblocking(False)
        client.connect_ex(self._at)
        return bool(select.select([], [client], [], _FULL_AFTER_S)[1])
