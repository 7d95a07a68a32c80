"""How a Celery worker comes back to its broker: soon after it is there again, however it went and for how long."""

from typing import Any, Self

from celery.app.amqp import AMQP

from webhookd.edges.kombu_redis_transport import PrimaryBroker

WAITS: dict[str, float] = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2.0}
"""Seconds between attempts, growing to some two. kombu's own waits grow to 30: Redis back after minutes would find the
workers asleep for half a minute more, as good as deaf."""


class PromptConnection(PrimaryBroker):
    """A connection to the broker that waits shortly between its attempts."""

    def ensure_connection(self, *args: Any, **options: Any) -> Self:  # noqa: ANN401 - kombu's
        """Connect; as often and as long as kombu is told to."""
        super().ensure_connection(*args, **(WAITS | options))  # type: ignore[no-untyped-call]  # kombu has none
        return self


class PromptAMQP(AMQP):  # type: ignore[misc]  # Celery has no types
    """What an application takes its connections from."""

    Connection = PromptConnection
