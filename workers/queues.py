"""The two Celery queues: a retry that is due never waits behind first attempts, nor they behind it."""

FIRST = "webhookd.first"
"""Deliveries on their first attempt."""

RETRY = "webhookd.retry"
"""Batches that failed, waiting for their next attempt or due."""

QUEUES = {"first": FIRST, "retry": RETRY}
"""By the name that `webhookd worker --queue` takes."""
