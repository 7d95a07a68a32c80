"""Connections to the Redis that takes writes, whichever that is by now.

In a failover another server becomes the primary, and the old one a replica. Connections that stay open lead to the
replica for ever: it answers, health checks included, and refuses each write with an error that redis-py takes for the
command's fault. So that error is made the connection's: it is closed, and what is opened next goes where the address
leads by now.
"""

from typing import Any, Final, Self

import redis
from redis.connection import AbstractConnection, Connection, SSLConnection

NOT_PRIMARY: Final = frozenset({"READONLY", "UNBLOCKED", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN"})
"""The codes of errors that say: this server takes no writes, another one may.

UNBLOCKED ends a blocking call when its server becomes a replica; NOREPLICAS is what a primary says that was cut off
from its replicas. A full memory or disk (OOM, MISCONF) is no such error: another connection leads to the same server.
"""

IN_SCRIPT_ERROR: Final = " -READONLY "
"""Before Redis 7 a script's error has this inside of its text."""


WRITABLE: Final = "writable"
"""A key that is written to see whether Redis takes writes."""

WRITABLE_MS: Final = 60_000


class NotPrimary(redis.ConnectionError):
    """The connection led to a server that takes no writes; it is closed, and the command was not carried out."""


class _PrimaryOnly(AbstractConnection):
    """Closes itself when its server says that it is not the primary."""

    def read_response(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's
        """The answer to a command. Raises NotPrimary."""
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
    """Connections to the primary; when one of them led to another server, each of them is opened anew."""

    _generation = 0

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:  # noqa: ANN401 - redis-py's
        """As redis-py does."""
        pool = super().from_url(url, **options)
        kinds = {Connection: PrimaryConnection, SSLConnection: PrimarySSLConnection}
        pool.connection_class = kinds.get(pool.connection_class, pool.connection_class)
        return pool

    def drop(self) -> None:
        """Use no connection again that is open now; those in use are closed before their next use."""
        self._generation += 1

    def get_connection(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's
        """A connection to use; one that is closed opens when it is used."""
        generation = self._generation
        connection: Any = super().get_connection(*args, **options)
        if getattr(connection, "generation", generation) != generation:
            connection.disconnect()
        connection.generation = generation
        return connection


def is_not_primary(error: redis.ResponseError) -> bool:
    """Whether a server has said so that takes no writes, while another one may."""
    text = _text(error)
    return text.partition(" ")[0] in NOT_PRIMARY or IN_SCRIPT_ERROR in text


def _text(error: redis.ResponseError) -> str:
    """What the server said; redis-py takes the codes that it knows out of the text."""
    code = getattr(error, "status_code", None)
    return f"{code} {error}" if code else str(error)
