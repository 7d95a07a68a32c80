"""The Celery application and its settings, each with its reason."""

from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from webhookd.flow.attempt.retry import LONGEST_RETRY_AFTER_S
from webhookd.flow.dispatch.concurrency_limit import RETRYING_LIMIT
from webhookd.settings import Settings
from workers.broker_reconnect import PromptAMQP
from workers.task_names import FIRST, QUEUES

VISIBILITY_TIMEOUT_S = int(LONGEST_RETRY_AFTER_S + 1200)
"""A task unacknowledged for so long is delivered again. Below the longest countdown each retry would run several
times; the claim would drop the copies, at a cost."""

ETA_LIMIT = 4 * RETRYING_LIMIT
"""Retries that one worker holds in memory for their countdown, some 2 kB each. Beyond it a worker takes no more tasks
from its queues, so it lies above what a few ingest processes let wait (flow/dispatch/concurrency_limit.py)."""


def build_celery(settings: Settings) -> Celery:
    """An application over the settings' broker; connects to nothing."""
    broker = "memory://localhost/" if settings.embedded else settings.redis_url
    app = Celery("webhookd", broker=broker, set_as_current=False, amqp=PromptAMQP)
    app.conf.update(
        task_queues=[Queue(name, Exchange(name), routing_key=name) for name in QUEUES.values()],
        task_default_queue=FIRST,
        task_create_missing_queues=False,
        # A task is acknowledged when its deliveries are reported; the claim makes a second copy harmless.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # Results would be one more thing to lose: the report is the answer.
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_serializer="json",
        accept_content=["json"],
        worker_pool="threads",
        worker_concurrency=settings.worker_threads,
        worker_prefetch_multiplier=1,
        worker_eta_task_limit=ETA_LIMIT,
        # Remote control is what wakes a worker whose Redis restarted while all its threads were busy.
        worker_enable_remote_control=True,
        worker_send_task_events=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_soft_shutdown_timeout=settings.request_deadline_s + 5.0,
        broker_channel_error_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_limit=4,
        broker_transport_options=_transport_options(settings),
    )
    return app


def _transport_options(settings: Settings) -> dict[str, Any]:
    if settings.embedded:
        # The in-memory transport polls; its default of a second would be a second a hop.
        return {"polling_interval": 0.005}
    return {
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        "socket_timeout": 5.0,
        "socket_connect_timeout": 2.0,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "priority_steps": [0],
        "global_keyprefix": settings.redis_key_prefix,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
    }
