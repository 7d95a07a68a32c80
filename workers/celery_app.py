"""The Celery application and its settings, each with its reason."""

from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from webhookd.edges.kombu_redis_transport import ADDRESS, broker_url
from webhookd.edges.redis_address import RedisAddress
from webhookd.edges.redis_settings import address_of
from webhookd.flow.attempt.retry import LONGEST_RETRY_AFTER_S
from webhookd.flow.destination import LONGEST_TIMEOUT_S
from webhookd.flow.dispatch.concurrency_limit import RETRYING_LIMIT
from webhookd.settings import Settings
from workers.broker_reconnect import PromptAMQP
from workers.task_events import TaskEvents
from workers.task_names import FIRST, QUEUES

VISIBILITY_TIMEOUT_S = int(LONGEST_RETRY_AFTER_S + 1200)
"""A task that is not acknowledged for this long is delivered again. If this were shorter than the longest countdown,
each retry would be delivered several times. The claims would drop the copies, but each copy costs time."""

ETA_LIMIT = 4 * RETRYING_LIMIT
"""Retries that one worker may hold in memory for their countdown, about 2 kB each. A worker that holds so many takes no
more tasks from its queues. So the limit is above the number of retries that a few ingest processes let wait
(flow/dispatch/concurrency_limit.py)."""


def build_celery(settings: Settings) -> Celery:
    """Return an application for the broker in the settings; it connects to nothing yet. Raises UnusableSetting."""
    address = address_of(settings)
    app = Celery("webhookd", broker=broker_url(address), set_as_current=False, amqp=PromptAMQP, events=TaskEvents)
    app.conf.update(
        task_queues=[Queue(name, Exchange(name), routing_key=name) for name in QUEUES.values()],
        task_default_queue=FIRST,
        task_create_missing_queues=False,
        # A task is acknowledged when its deliveries are reported. Claims make a second copy of a task harmless.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # Results are not needed: ingest reads the reports.
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_serializer="json",
        accept_content=["json"],
        worker_pool="threads",
        worker_concurrency=settings.worker_threads,
        worker_prefetch_multiplier=1,
        worker_eta_task_limit=ETA_LIMIT,
        # If Redis restarts while all threads are busy, only remote control makes the worker consume again.
        worker_enable_remote_control=True,
        # Flower shows only what events tell it. Nobody can look into a queue that is in memory.
        worker_send_task_events=not settings.embedded,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_soft_shutdown_timeout=max(settings.request_deadline_s, LONGEST_TIMEOUT_S) + 5.0,
        broker_channel_error_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_pool_limit=4,
        broker_transport_options=_transport_options(address, settings.redis_key_prefix),
    )
    return app


def _transport_options(address: RedisAddress, key_prefix: str) -> dict[str, Any]:
    if address.embedded:
        # The in-memory transport polls. Its default of 1 s would delay each message by up to 1 s.
        return {"polling_interval": 0.005}
    return {
        ADDRESS: address,
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        "socket_timeout": 5.0,
        "socket_connect_timeout": 2.0,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "priority_steps": [0],
        "global_keyprefix": key_prefix,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
    }
