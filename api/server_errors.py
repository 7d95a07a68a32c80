"""How a worker process of gunicorn ends the whole server: gunicorn itself would start the worker again."""

import os
import select

from webhookd.errors import ClusterMismatch, SchemaMismatch

KINDS: dict[str, type[ClusterMismatch] | type[SchemaMismatch]] = {
    kind.code: kind for kind in (ClusterMismatch, SchemaMismatch)
}
MESSAGE_BYTES = 4096
"""The size of a pipe's atomic write: messages of two worker processes do not mix."""


class ServerErrors:
    """A pipe from the worker processes to the master. Create it in the master, before gunicorn forks."""

    def __init__(self) -> None:
        self._master = os.getpid()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)

    def end_server(self, error: ClusterMismatch | SchemaMismatch) -> None:
        """In a worker process: pass the error to the master, which then stops all of gunicorn."""
        os.write(self._writer, f"{error.code}\n{error.detail}\0".encode()[:MESSAGE_BYTES])

    @property
    def waiting(self) -> bool:
        """Whether a worker process has passed on an error that `raise_first` has not raised yet."""
        answer = select.poll()
        answer.register(self._reader, select.POLLIN)
        return bool(answer.poll(0))

    def raise_first(self) -> None:
        """After gunicorn's end: raise the first error that a worker process has passed on, if this is the master."""
        if os.getpid() != self._master:  # a worker process ends in the same function
            return
        try:
            message = os.read(self._reader, MESSAGE_BYTES).decode("utf-8", "replace")
        except BlockingIOError:
            return
        code, _, detail = message.partition("\0")[0].partition("\n")
        raise KINDS[code](detail) from None
