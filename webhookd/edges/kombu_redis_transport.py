"""A kombu transport that connects to the Redis primary, for tasks and change notifications.

It connects as the coordination store does, to the `RedisAddress` in the transport options. kombu's own way with a URL
differs: it verifies no certificate unless it is told to, and understands parts of a URL differently. So the URL that
kombu and Celery get only names the transport; it has neither host nor login.
"""

import contextlib
from typing import Any, Final

from kombu.connection import Connection, ConnectionPool, PooledConnection
from kombu.transport import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from webhookd.edges.redis_address import RedisAddress
from webhookd.edges.redis_primary import (
    WRITABLE,
    WRITABLE_MS,
    PrimaryPool,
    connection_class,
    connection_options,
    primary_pool,
)

ADDRESS: Final = "redis_address"
"""The transport option that holds the address."""


def broker_url(address: RedisAddress) -> str:
    """Return the URL for kombu and Celery, which only chooses the transport."""
    return "memory://localhost/" if address.embedded else "redis://localhost/"


EVENTS = "celeryev"
"""Celery's exchange for events. They may be lost, so the check of the server is not worth its call to Redis."""


class PrimaryChannel(redis.Channel):
    """A channel whose connections lead to the primary, or raise a connection error when they do not.

    kombu 5.7 drops a transport when one of its channels fails to close its connection to a dead Redis. When the other
    channels then acknowledge or requeue tasks, kombu raises an AttributeError, which ends the worker. This class raises
    the connection error that the callers expect. The tasks are delivered again, and the claims drop those that were
    sent.
    """

    def check_writable(self) -> None:
        """Write a key. Raises redis' errors when the server accepts no writes."""
        with self.conn_or_acquire() as client:
            client.set(WRITABLE, 1, px=WRITABLE_MS)

    def check_fanout(self, exchange: str) -> None:
        """Publish an empty message, which subscribers skip. Raises redis' errors when the user lacks the right to."""
        with self.conn_or_acquire() as client:
            client.publish(self._get_publish_topic(exchange, ""), b"")  # type: ignore[no-untyped-call]

    def check_primary(self) -> None:
        """Raises NotPrimary when the server is a replica; a primary whose memory or disk is full passes."""
        with contextlib.suppress(ResponseError):
            self.check_writable()

    def _put_fanout(self, exchange: str, *args: Any, **options: Any) -> None:  # noqa: ANN401 - kombu's
        # A replica accepts a PUBLISH too, but only its own subscribers receive it. It refuses a write.
        if exchange != EVENTS:
            self.check_primary()
        super()._put_fanout(exchange, *args, **options)  # type: ignore[no-untyped-call]

    def _connparams(self, *args: Any, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - kombu's
        if getattr(self.connection, "client", None) is None:
            raise RedisConnectionError("the transport was dropped")
        address = self._address()
        self.connection_class: Any = connection_class(address)
        params: dict[str, Any] = super()._connparams(*args, **options)  # type: ignore[no-untyped-call]
        return connection_options(address, params)

    def _get_pool(self, *args: Any, **options: Any) -> PrimaryPool:  # noqa: ANN401 - kombu's
        params = self._connparams(*args, **options)
        self.keyprefix_fanout = self.keyprefix_fanout.format(db=params["db"])
        return primary_pool(self._address(), **params)

    def _address(self) -> RedisAddress:
        address: RedisAddress = self.connection.client.transport_options[ADDRESS]
        return address

    def _disconnect_pools(self) -> None:
        pools = (self._pool, self._async_pool)
        super()._disconnect_pools()  # type: ignore[no-untyped-call]
        for pool in pools:
            if pool is not None:
                pool.close()


class PrimaryTransport(redis.Transport):
    """kombu's Redis transport with the channel above."""

    Channel = PrimaryChannel


class _PrimaryBrokerConnection(Connection):
    """A connection to the broker; with Redis, to its primary."""

    def get_transport_cls(self) -> type[Any]:
        """Return the transport of the URL; for Redis the one above."""
        found: type[Any] = super().get_transport_cls()  # type: ignore[no-untyped-call]
        return PrimaryTransport if found is redis.Transport else found

    def as_uri(self, *args: Any, **options: Any) -> str:  # noqa: ANN401 - kombu's
        """Return the address for log lines and Flower, always without passwords."""
        address = (self.transport_options or {}).get(ADDRESS)
        return str(address or super().as_uri(*args, **options))


class _PooledPrimaryConnection(_PrimaryBrokerConnection, PooledConnection):
    """The connection above, in a pool."""


class _BrokerPool(ConnectionPool):
    """A pool of the connections above; kombu's own pool always creates plain connections."""

    def new(self) -> _PooledPrimaryConnection:
        """Create a connection; it is not opened yet."""
        return _PooledPrimaryConnection(self, **dict(self.connection._info(resolve=False)))  # type: ignore[no-untyped-call]  # noqa: SLF001 - so does kombu


class PrimaryBroker(_PrimaryBrokerConnection):
    """A connection to the broker that can also create a pool of such connections."""

    def Pool(self, limit: int | None = None, **options: Any) -> _BrokerPool:  # noqa: ANN401, N802 - kombu's
        """Create a pool of such connections."""
        return _BrokerPool(self, limit, **options)  # type: ignore[no-untyped-call]
