"""The queues, by name: few, and never one per subscription (each costs the brokers' polling)."""

FIRST = "webhookd.first"
"""First attempts."""

RETRY = "webhookd.retry"
"""Retries, which wait for their countdown in a worker of their own."""

DELIVER = "webhookd.deliver"
"""The one task."""
