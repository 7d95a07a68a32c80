"""Connections to the Redis primary, also after a failover.

In a failover another server becomes the primary, and the old one a replica. Open connections stay on the replica: it
answers health checks, and refuses each write with an error that redis-py takes for an error of the command. This module
turns it into a connection error: the connection is closed, and the next one goes to the server that the address leads
to at that time.
"""

from typing import Any, Final, Self

import redis
from redis.connection import AbstractConnection, Connection, SSLConnection

NOT_PRIMARY: Final = frozenset({"READONLY", "UNBLOCKED", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN"})
"""Error codes of a server that accepts no writes while another server may accept them.

UNBLOCKED ends a blocking call when its server becomes a replica. A primary that has lost its replicas returns
NOREPLICAS. A full memory or disk (OOM, MISCONF) is not in this list: another connection leads to the same server.
"""

IN_SCRIPT_ERROR: Final = " -READONLY "
"""Before Redis 7 the text of a script's error contains this."""


WRITABLE: Final = "writable"
"""A key that is written to check whether Redis accepts writes."""

WRITABLE_MS: Final = 60_000


class NotPrimary(redis.ConnectionError):
    """The connection led to a server that accepts no writes. It is closed, and the command was not executed."""


class _PrimaryOnly(AbstractConnection):
    """A connection that closes itself when its server is not the primary."""

    def read_response(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's
        """Read the reply to a command. Raises NotPrimary."""
        try:
            return super().read_response(*args, **options)
        except redis.ResponseError as error:
            if not is_not_primary(error):
                raise
            self.disconnect()  # type: ignore[no-untyped-call]  # redis-py has no types here
            raise NotPrimary(_text(error)) from error


class PrimaryConnection(_PrimaryOnly, Connection):
    """A connection over TCP."""


class PrimarySSLConnection(_PrimaryOnly, SSLConnection):
    """A connection over TLS."""


class PrimaryPool(redis.ConnectionPool):
    """Connections to the primary. After `drop` each of them is reopened before its next use."""

    _generation = 0

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:  # noqa: ANN401 - redis-py's
        """As in redis-py, with the connection classes above."""
        pool = super().from_url(url, **options)
        kinds = {Connection: PrimaryConnection, SSLConnection: PrimarySSLConnection}
        pool.connection_class = kinds.get(pool.connection_class, pool.connection_class)
        return pool

    def drop(self) -> None:
        """Reopen all current connections before their next use."""
        self._generation += 1

    def get_connection(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's
        """Get a connection; a closed one is opened on use."""
        generation = self._generation
        connection: Any = super().get_connection(*args, **options)
        if getattr(connection, "generation", generation) != generation:
            connection.disconnect()
        connection.generation = generation
        return connection


def is_not_primary(error: redis.ResponseError) -> bool:
    """Whether the error means that this server accepts no writes, while another one may."""
    text = _text(error)
    return text.partition(" ")[0] in NOT_PRIMARY or IN_SCRIPT_ERROR in text


def _text(error: redis.ResponseError) -> str:
    """The server's text with its code; redis-py removes the codes that it knows from the text."""
    code = getattr(error, "status_code", None)
    return f"{code} {error}" if code else str(error)
