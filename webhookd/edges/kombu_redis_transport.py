"""kombu over the Redis that takes writes: what connections to the broker are made of, for tasks and announcements."""

import contextlib
from typing import Any

from kombu.connection import Connection, ConnectionPool, PooledConnection
from kombu.transport import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from webhookd.edges.redis_primary import WRITABLE, WRITABLE_MS, PrimaryConnection, PrimarySSLConnection


class PrimaryChannel(redis.Channel):
    """A channel whose connections lead to the primary, or say with a connection error that they do not.

    kombu 5.7 drops a transport when the first of its channels cannot say goodbye to a dead Redis. The others then give
    back or acknowledge tasks through nothing: an AttributeError, which ends the worker. Here that is the error which
    their callers expect. Such tasks come again, and the claim drops what was sent.
    """

    connection_class = PrimaryConnection
    connection_class_ssl = PrimarySSLConnection

    def check_writable(self) -> None:
        """Write something. Raises redis' errors when the server takes no writes."""
        with self.conn_or_acquire() as client:
            client.set(WRITABLE, 1, px=WRITABLE_MS)

    def check_primary(self) -> None:
        """Raises NotPrimary when the server is none; a primary whose memory or disk is full is one all the same."""
        with contextlib.suppress(ResponseError):
            self.check_writable()

    def _put_fanout(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - kombu's
        # A replica takes a PUBLISH as well, and only those hear it who listen there: a write is refused.
        self.check_primary()
        super()._put_fanout(*args, **options)  # type: ignore[no-untyped-call]

    def _connparams(self, *args: Any, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - kombu's
        if getattr(self.connection, "client", None) is None:
            raise RedisConnectionError("the transport was dropped")
        params: dict[str, Any] = super()._connparams(*args, **options)  # type: ignore[no-untyped-call]
        return params


class PrimaryTransport(redis.Transport):
    """What a connection to Redis is made of."""

    Channel = PrimaryChannel


class _OnPrimary(Connection):
    """A connection to the broker: for Redis to its primary."""

    def get_transport_cls(self) -> type[Any]:
        """The transport of the URL; for Redis our own kind."""
        found: type[Any] = super().get_transport_cls()  # type: ignore[no-untyped-call]
        return PrimaryTransport if found is redis.Transport else found


class _Pooled(_OnPrimary, PooledConnection):
    """One of a pool's."""


class _BrokerPool(ConnectionPool):
    """kombu's own makes connections of one kind, whatever it was made of."""

    def new(self) -> _Pooled:
        """One more connection; not opened yet."""
        return _Pooled(self, **dict(self.connection._info(resolve=False)))  # type: ignore[no-untyped-call]  # noqa: SLF001 - so does kombu


class PrimaryBroker(_OnPrimary):
    """A connection to the broker, and to a pool of them."""

    def Pool(self, limit: int | None = None, **options: Any) -> _BrokerPool:  # noqa: ANN401, N802 - kombu's
        """A pool of such connections."""
        return _BrokerPool(self, limit, **options)  # type: ignore[no-untyped-call]
