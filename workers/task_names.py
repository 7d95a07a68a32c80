"""The names that Celery uses: the one task, and the queues (of flow/dispatch/queue_names.py, also used by the API)."""

from webhookd.flow.dispatch.queue_names import FIRST, QUEUES, RETRY

__all__ = ["DELIVER", "FIRST", "QUEUES", "RETRY"]

DELIVER = "webhookd.deliver"
"""The name of the one task."""
