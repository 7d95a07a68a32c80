"""Reconnects a Celery worker to its broker soon after the broker is up again, even if it was down for long."""

from typing import Any, Self

from celery.app.amqp import AMQP

from webhookd.edges.kombu_redis_transport import PrimaryBroker

RETRY_INTERVALS_S: dict[str, float] = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2.0}
"""The wait between two attempts, which grows to 2 s. kombu's own intervals grow to 30 s: after an outage of minutes the
workers would take no tasks for another half minute."""


class PromptConnection(PrimaryBroker):
    """A connection to the broker with short intervals between its attempts."""

    def ensure_connection(self, *args: Any, **options: Any) -> Self:  # noqa: ANN401 - kombu's
        """Connect, with as many attempts as `options` allow."""
        super().ensure_connection(*args, **(RETRY_INTERVALS_S | options))  # type: ignore[no-untyped-call]  # kombu has none
        return self


class PromptAMQP(AMQP):  # type: ignore[misc]  # Celery has no types
    """Celery's AMQP class, with the connections above."""

    Connection = PromptConnection
