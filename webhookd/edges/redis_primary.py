"""Connections to the Redis primary, also after a failover.

In a failover another server becomes the primary, and the old one a replica. Open connections stay on the replica: it
answers health checks, and refuses each write with an error that redis-py takes for an error of the command. This module
turns it into a connection error: the connection is closed, and the next one goes to the server that the address leads
to at that time, or that the Sentinels then name.
"""

from collections.abc import Mapping
from typing import Any, Final

import redis
from redis.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.sentinel import SentinelConnectionPool, SentinelManagedConnection

from webhookd.edges.redis_address import SENTINEL, SOCKET, RedisAddress
from webhookd.edges.redis_failures import text_of
from webhookd.edges.redis_sentinels import Sentinels

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

PLACE: Final = frozenset({"host", "port", "path"})
"""Parameters that only the address may set."""

TCP_ONLY: Final = frozenset({"socket_keepalive", "socket_keepalive_options"})
"""Parameters that a connection over a Unix socket does not have."""


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
            raise NotPrimary(text_of(error)) from error


class PrimaryConnection(_PrimaryOnly, Connection):
    """A connection over TCP."""


class PrimarySSLConnection(_PrimaryOnly, SSLConnection):
    """A connection over TLS."""


class PrimarySocketConnection(_PrimaryOnly, UnixDomainSocketConnection):
    """A connection over a Unix socket."""


class PrimarySentinelConnection(SentinelManagedConnection, PrimaryConnection):
    """A connection over TCP to the server that the Sentinels name."""


class PrimarySentinelSSLConnection(SentinelManagedConnection, PrimarySSLConnection):
    """A connection over TLS to the server that the Sentinels name."""


def connection_class(address: RedisAddress) -> type[AbstractConnection]:
    """Return the class of the connections to this address."""
    if address.kind == SENTINEL:
        return PrimarySentinelConnection if address.tls is None else PrimarySentinelSSLConnection
    if address.kind == SOCKET:
        return PrimarySocketConnection
    return PrimaryConnection if address.tls is None else PrimarySSLConnection


def connection_options(address: RedisAddress, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what connections to this address are created with: its own parameters, and the options that it can have.

    This is the one place where an address becomes connections, for redis-py and for kombu: what one of them verifies,
    the other one does too.
    """
    left_out = PLACE | TCP_ONLY if address.kind == SOCKET else PLACE
    return {name: value for name, value in options.items() if name not in left_out} | address.parameters()


class PrimaryPool(redis.ConnectionPool):
    """Connections to the primary. After `drop` each of them is reopened before its next use."""

    _generation = 0

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


class PrimarySentinelPool(PrimaryPool, SentinelConnectionPool):
    """The connections above to the server that the Sentinels name; each new connection asks them."""

    def __init__(self, address: RedisAddress, **options: Any) -> None:  # noqa: ANN401 - redis-py's
        self.sentinels = Sentinels(address, options)
        super().__init__(service_name=address.primary_name, sentinel_manager=self.sentinels, **options)  # type: ignore[no-untyped-call]  # as above

    def close(self) -> None:
        """Close the connections, also those to the Sentinels."""
        super().close()
        self.sentinels.close()


def primary_pool(address: RedisAddress, **options: Any) -> PrimaryPool:  # noqa: ANN401 - redis-py's
    """Return a pool of connections to this address; it connects to nothing yet. `options` are those of a connection."""
    chosen = {"connection_class": connection_class(address)} | connection_options(address, options)
    return PrimarySentinelPool(address, **chosen) if address.kind == SENTINEL else PrimaryPool(**chosen)


def is_not_primary(error: redis.ResponseError) -> bool:
    """Whether the error means that this server accepts no writes, while another one may."""
    text = text_of(error)
    return text.partition(" ")[0] in NOT_PRIMARY or IN_SCRIPT_ERROR in text
