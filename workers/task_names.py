"""The names that Celery knows: the queues (flow/dispatch/queue_names.py, which the API reads too) and the one task."""

from webhookd.flow.dispatch.queue_names import FIRST, QUEUES, RETRY

__all__ = ["DELIVER", "FIRST", "QUEUES", "RETRY"]

DELIVER = "webhookd.deliver"
"""The one task."""
