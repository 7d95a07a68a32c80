"""The names of the Celery queues: two, not one per subscription, because Redis is polled for each queue."""

FIRST = "webhookd.first"
"""First attempts to endpoints that succeeded recently."""

RETRY = "webhookd.retry"
"""Retries, and first attempts to endpoints without a recent success: they must not delay the other first attempts."""

QUEUES = {"first": FIRST, "retry": RETRY}
"""The queues by the name that `webhookd worker --queue` accepts."""
