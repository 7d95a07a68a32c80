"""Publishes a worker's task events, which Flower and `celery events` show.

There are three events for each task: received, started, ended. A task carries many requests under load, so they cost
per task and not per record. They are collected and published together, about twice a second, by the thread that fetches
tasks from Redis; the threads that carry out tasks never wait for it. Events are dropped while Redis cannot take them,
and when more come than it can take: nothing but a display depends on them.
"""

from time import time
from typing import Any

from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher
from celery.events.event import group_from
from celery.utils.time import utcoffset

from webhookd import clock, logs

TASK = "task"
"""The group of the events about tasks; the other events are about workers, such as their heartbeats every 2 s."""

PUBLISH_S = 0.5
"""Publishing the events of each task by itself made a task without requests cost 1.6 times the CPU in a worker."""

MOST_COLLECTED = 2000
"""About 300 bytes each. Further events are dropped until these are published."""

_log = logs.get(__name__)


class CollectingDispatcher(EventDispatcher):  # type: ignore[misc]  # Celery has no types
    """Celery's own dispatcher publishes after each task, and keeps events without a bound while Redis is down."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Celery's
        self._publish_at = 0.0
        super().__init__(*args, **options)
        self._group_buffer[TASK] = []  # now: another thread may go through the groups while the first event is added

    def send(self, type: str, **fields: Any) -> None:  # noqa: A002, ANN401 - Celery's names
        """Collect an event of a task; publish any other event at once, together with those collected."""
        if group_from(type) != TASK:
            super().send(type, **fields)
            self.flush()
        elif self.enabled and (not self.groups or TASK in self.groups):
            self._collect(type, fields)

    def _collect(self, kind: str, fields: dict[str, Any]) -> None:
        """Any thread. Celery calls `on_send_buffered` to let the thread that fetches tasks call `flush`."""
        collected = self._group_buffer[TASK]
        if len(collected) >= MOST_COLLECTED:
            return
        known = {name: value for name, value in fields.items() if value is not None}
        collected.append(
            {
                "type": kind,
                "timestamp": time(),
                "hostname": self.hostname,
                "utcoffset": utcoffset(),
                "pid": self.pid,
                "clock": self.clock.forward(),
                **known,
            }
        )
        now = clock.monotonic()
        if now >= self._publish_at and self.on_send_buffered is not None:
            self._publish_at = now + PUBLISH_S
            self.on_send_buffered()

    def _publish(self, event: Any, producer: Any, routing_key: str, **_: Any) -> None:  # noqa: ANN401 - Celery's
        """Publish, or drop. Never raises."""
        if producer is None:
            return
        try:
            producer.publish(
                event,
                routing_key=routing_key,
                exchange=self.exchange.name,
                declare=[self.exchange],
                serializer=self.serializer,
                headers=self.headers,
                delivery_mode=self.delivery_mode,
                retry=False,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, an event must not end the worker
            _log.debug("task_events_dropped", error=str(error))


class TaskEvents(Events):  # type: ignore[misc]  # Celery has no types
    """Celery's event class, with the dispatcher above."""

    dispatcher_cls = CollectingDispatcher
