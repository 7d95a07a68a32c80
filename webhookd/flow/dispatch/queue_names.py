"""The names of the Celery queues: two, not one per subscription, because Redis is polled for each queue."""

FIRST = "webhookd.first"
"""First attempts."""

RETRY = "webhookd.retry"
"""Retries, so that due retries never wait behind first attempts, nor first attempts behind retries."""

QUEUES = {"first": FIRST, "retry": RETRY}
"""By the name that `webhookd worker --queue` takes."""
