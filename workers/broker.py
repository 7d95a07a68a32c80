"""How a Celery worker comes back to its broker: soon after it is there again, however long it was away."""

from typing import Any, Self

from celery.app.amqp import AMQP
from kombu import Connection

WAITS: dict[str, float] = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2.0}
"""Seconds between attempts, growing to some two. kombu's own waits grow to 30: Redis back after minutes would find the
workers asleep for half a minute more, as good as deaf."""


class PromptConnection(Connection):
    """A connection to the broker that waits shortly between its attempts, and can be closed after it broke."""

    def ensure_connection(self, *args: Any, **options: Any) -> Self:  # noqa: ANN401 - kombu's
        """Connect; as often and as long as kombu is told to."""
        super().ensure_connection(*args, **(WAITS | options))  # type: ignore[no-untyped-call]  # kombu has none
        return self

    def maybe_close_channel(self, channel: Any) -> None:  # noqa: ANN401 - kombu's
        """Close a channel, also one of a connection that was dropped with its broker.

        kombu 5.7 drops the transport when the first channel cannot say goodbye to a dead Redis, and then fails to give
        the next one's tasks back through it: an AttributeError, which ends the worker. They come back without it.
        """
        try:
            super().maybe_close_channel(channel)  # type: ignore[no-untyped-call]
        except AttributeError:
            if self._transport is not None:
                raise


class PromptAMQP(AMQP):  # type: ignore[misc]  # Celery has no types
    """What an application takes its connections from."""

    Connection = PromptConnection
