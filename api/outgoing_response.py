"""An HTTP response on its way: a thread writes it into memory, where it waits for a client that reads slowly."""

from dataclasses import dataclass
from socket import socket
from typing import Any


class OutgoingResponse:
    """What gunicorn writes the response to in place of the socket."""

    def __init__(self) -> None:
        self.unsent = bytearray()

    def sendall(self, data: bytes) -> None:
        """Keep these bytes."""
        self.unsent += data

    def shutdown(self, _how: int) -> None:
        """Refuse, as a socket that is closed does: only the loop of the worker process ends a connection."""
        raise OSError

    def close(self) -> None:
        """Do nothing, for the same reason."""

    def send(self, client: socket) -> None:
        """Send as much as the client takes without waiting. Raises OSError when it has left."""
        client.settimeout(0.0)
        while self.unsent:
            try:
                sent = client.send(self.unsent)
            except BlockingIOError:
                return
            del self.unsent[:sent]


@dataclass(frozen=True, slots=True)
class ThreadView:
    """What a thread sees of a connection, with gunicorn's names."""

    sock: OutgoingResponse
    client: Any
    server: Any
