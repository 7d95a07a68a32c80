"""A TCP relay to a port of this machine, which a test can close, reopen and freeze: a network route that fails."""

import contextlib
import socket
import threading
from typing import Self

CHUNK_BYTES = 65536


class Relay:
    """Relays bytes between its port and the target's while it is open; closed, it refuses and drops connections.

    Frozen, it accepts connections and bytes, and passes none on, as a server that was stopped with SIGSTOP.
    """

    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        self._target_port = target_port
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._passes = threading.Event()
        self._passes.set()
        self.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Open the relay if it is closed."""
        if self._listener is not None:
            return
        listener = socket.create_server(("127.0.0.1", self.port))
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="relay", daemon=True).start()

    def freeze(self) -> None:
        """Pass nothing on until the relay is closed."""
        self._passes.clear()

    def close(self) -> None:
        """Close the relay: refuse new connections and drop open ones."""
        with self._lock:
            connections, self._open = self._open, set()
            listener, self._listener = self._listener, None
        self._passes.set()
        for connection in [*([listener] if listener else []), *connections]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self._connect(listener, near)

    def _connect(self, listener: socket.socket, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._target_port))
        except OSError:
            near.close()
            return
        with self._lock:
            if self._listener is not listener:
                near.close()
                far.close()
                return
            self._open |= {near, far}
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._pass_on, args=(source, sink), name="relay-bytes", daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                self._passes.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
