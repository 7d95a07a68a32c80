"""The names that Celery knows: the queues (webhookd/flow/queues.py, which the API reads too) and the one task."""

from webhookd.flow.queues import FIRST, QUEUES, RETRY

__all__ = ["DELIVER", "FIRST", "QUEUES", "RETRY"]

DELIVER = "webhookd.deliver"
"""The one task."""
