"""A server that accepts connections and never answers: a process that was stopped with SIGSTOP, for its clients."""

import socket
from typing import Self


class SilentServer:
    """A context. The kernel accepts the connections; nothing reads them."""

    def __enter__(self) -> Self:
        """Listen on a free port."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        """Close it, and with it all its connections."""
        self._listener.close()
