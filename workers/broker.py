"""How a Celery worker comes back to its broker: soon after it is there again, however it went and for how long."""

from typing import Any, Self

from celery.app.amqp import AMQP
from kombu import Connection
from kombu.transport import redis
from redis.exceptions import ConnectionError as RedisConnectionError

WAITS: dict[str, float] = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2.0}
"""Seconds between attempts, growing to some two. kombu's own waits grow to 30: Redis back after minutes would find the
workers asleep for half a minute more, as good as deaf."""


class RedisChannel(redis.Channel):
    """A channel that outlived its connection says so with the error that its callers expect.

    kombu 5.7 drops a transport when the first of its channels cannot say goodbye to a dead Redis. The others then give
    back or acknowledge tasks through nothing: an AttributeError, which ends the worker. Such tasks come again, and the
    claim drops what was sent.
    """

    def _connparams(self, *args: Any, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - kombu's
        if getattr(self.connection, "client", None) is None:
            raise RedisConnectionError("the transport was dropped")
        params: dict[str, Any] = super()._connparams(*args, **options)  # type: ignore[no-untyped-call]
        return params


class RedisTransport(redis.Transport):
    """What a connection to Redis is made of."""

    Channel = RedisChannel


class PromptConnection(Connection):
    """A connection to the broker that waits shortly between its attempts."""

    def ensure_connection(self, *args: Any, **options: Any) -> Self:  # noqa: ANN401 - kombu's
        """Connect; as often and as long as kombu is told to."""
        super().ensure_connection(*args, **(WAITS | options))  # type: ignore[no-untyped-call]  # kombu has none
        return self

    def get_transport_cls(self) -> type[Any]:
        """The transport of the URL; for Redis our own kind."""
        found: type[Any] = super().get_transport_cls()  # type: ignore[no-untyped-call]
        return RedisTransport if found is redis.Transport else found


class PromptAMQP(AMQP):  # type: ignore[misc]  # Celery has no types
    """What an application takes its connections from."""

    Connection = PromptConnection
