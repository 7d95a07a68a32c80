"""A server that accepts connections and never answers: a process that was stopped with SIGSTOP, for its clients."""

import socket
from typing import Self

PATIENCE_S = 60.0


class SilentServer:
    """A context. The kernel accepts the connections; nothing reads them."""

    def __enter__(self) -> Self:
        """Listen on a free port."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._listener.settimeout(PATIENCE_S)
        self._accepted: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        return self

    def wait_for_client(self) -> None:
        """Wait until somebody has connected, who then waits for an answer."""
        self._accepted.append(self._listener.accept()[0])

    def __exit__(self, *_: object) -> None:
        """Close it, and with it all its connections."""
        self._listener.close()
        for connection in self._accepted:
            connection.close()
