"""The names that Celery uses: the tasks, and the queues (of flow/dispatch/queue_names.py, also used by the API)."""

from webhookd.flow.dispatch.queue_names import FIRST, QUEUES, RETRY

__all__ = ["DELIVER", "FIRST", "QUEUES", "RETRY", "SESSION", "VERIFY"]

DELIVER = "webhookd.deliver"
"""The task that sends deliveries."""

SESSION = "webhookd_session"
"""The header of a task of deliveries that says whether it may stay open for more of them."""

VERIFY = "webhookd.verify"
"""The task that asks an endpoint whether it wants the requests of a subscription."""
