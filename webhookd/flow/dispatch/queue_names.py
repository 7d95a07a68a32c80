"""The queues, by name: few, and never one per subscription (each costs the brokers' polling)."""

FIRST = "webhookd.first"
"""First attempts."""

RETRY = "webhookd.retry"
"""Retries, so that one that is due never waits behind first attempts, nor they behind it."""

QUEUES = {"first": FIRST, "retry": RETRY}
"""By the name that `webhookd worker --queue` takes."""
