"""A worker process: the desk behind its tasks, started with the first of them, and the watch over it.

    start   watch                               the worker is announced, once it consumes its queues
            reporter, exchanges, desk           with the first task
    stop    watch                               withdrawn: ingest counts its slots no more
            errands end after their request     what they have not sent goes back to their lanes
            exchanges, within the budget        what is still open then is cut: unknown, and delivered again
            reporter                            flushes what the ends have to say; the tasks end with it

Whoever calls `stop` has seen to it that no more tasks are taken. A crash at any point costs a lease: what was
acknowledged and not reported is delivered again.
"""

import os
import random
import secrets
import socket
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

from celery import Celery, signals
from celery.exceptions import Reject
from celery.worker import state as celery_state

from webhookd import clock, logs
from webhookd.edges.http_client.event_loop import ExchangeLoop
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.settings import Settings
from workers.celery_app import ETA_LIMIT, build_celery
from workers.coordination_clock import CoordinationClock
from workers.delivery.change_watch import ChangeWatch
from workers.delivery.delivery_sender import Clocks, SendLimits
from workers.delivery.heartbeat import Heartbeat, WorkerInfo
from workers.delivery.report_sender import ReportSender
from workers.delivery.subscription_cache import SubscriptionCache
from workers.delivery.task_handler import PublishRetry, TaskHandler
from workers.delivery.tasks import register
from workers.delivery.worker_load import WorkerLoad
from workers.edges import Edges

FLUSH_S = 5.0
"""What the last reports get when the budget is used up; a Redis that is slower costs a lease."""

WITHDRAW_S = 1.0
"""What withdrawing gets on top; a worker that could not is forgotten 10 s later."""

STAND_STILL_S = 0.2
"""How often an offline worker sees to it that nothing is under way."""

_log = logs.get(__name__)


class WorkerProcess:
    """One exchange loop, one reporter and one desk for all task threads.

    Raises UnusableSetting when the settings describe no way to the endpoints.
    """

    def __init__(self, settings: Settings, edges: Edges) -> None:
        self._settings = settings
        self._edges = edges
        self._lock = Lock()
        self._handler: TaskHandler | None = None
        self._exchanges = ExchangeLoop(settings)  # not started, but what is wrong with its settings is said now
        self._reporter: ReportSender | None = None
        self._load = WorkerLoad(clock.monotonic)
        self._watch: Heartbeat | None = None
        self._control: ChangeWatch | None = None
        self._stopping = False
        self.app: Celery = build_celery(settings)
        register(self.app, lambda: self, CoordinationClock(edges.coordination.now, clock.monotonic))

    def start(self, *, queues: Sequence[str], threads: int, stuck: Callable[[], None]) -> None:
        """Announce a worker that consumes these queues, and watch over it; `deaf` is called when it is."""
        post = WorkerInfo(
            worker_id=f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}",
            queues=tuple(queues),
            threads=threads,
            tasks_held=ETA_LIMIT,
            started_at=clock.wall_clock(),
        )
        signals.task_received.connect(self._took)
        self._watch = Heartbeat(
            self._edges.coordination,
            post,
            self._load,
            monotonic=clock.monotonic,
            stuck_after_s=self._settings.worker_stuck_s,
            waiting_for_countdown=lambda: len(celery_state.scheduled_requests),
            stuck=stuck,
        )
        self._watch.start()

    def deliver(self, refs: list[DeliveryRef], publish_retry: PublishRetry) -> None:
        """Work on a parcel, as the desk does; the process is the busier meanwhile.

        Raises Celery's Reject for one that a stop has overtaken: it goes back to its queue as it came. Its claim would
        be reported by nobody, and cost a lease.
        """
        if self._stopping:
            raise Reject("the worker is stopping", requeue=True)
        self._load.began()
        try:
            self.handler().deliver(refs, publish_retry)
        finally:
            self._load.ended()

    def handler(self) -> TaskHandler:
        """The desk; made and started on first use, so that `celery inspect` and Flower start nothing."""
        with self._lock:
            if self._handler is None:
                self._handler = self._open()
            return self._handler

    def stop(self, budget_s: float) -> None:
        """End the requests under way within the budget and report; blocks for that, tasks end by themselves after."""
        self._stopping = True
        if self._watch is not None:
            self._watch.stop()
        with self._lock:
            if self._reporter is not None and self._control is not None:
                self._reporter.stop_all()
                self._exchanges.stop(budget_s)
                self._reporter.stop(FLUSH_S)
                self._control.stop()
        if self._watch is not None:
            self._watch.join(WITHDRAW_S)

    def _took(self, sender: Any, request: Any, **_: object) -> None:  # noqa: ANN401 - Celery's consumer and request
        if sender.app is self.app:
            self._load.took(request.delivery_info["routing_key"])

    def _open(self) -> TaskHandler:
        settings = self._settings
        bounds = bounds_of(settings)
        self._reporter = ReportSender(
            self._edges.coordination, monotonic=clock.monotonic, lease_s=settings.lease_s, longest_s=bounds.longest_s
        )
        cache = SubscriptionCache(self._edges.database)
        self._control = ChangeWatch(
            self._edges.database,
            cache,
            RequestAborter(self._reporter, self._exchanges),
            interval_s=settings.control_read_interval_s,
            listen=self._edges.notifications.run,
            monotonic=clock.monotonic,
        )
        self._exchanges.start()
        self._reporter.start()
        self._exchanges.every(STAND_STILL_S, self._control.stand_still)
        self._control.start()  # it reads once before the first parcel is looked at
        return TaskHandler(
            switch=self._control,
            cache=cache,
            claims=self._edges.coordination,
            exchanges=self._exchanges,
            reporter=self._reporter,
            bounds=bounds,
            clocks=Clocks(monotonic=clock.monotonic, wall=clock.wall_clock, chance=random.random),
        )


class RequestAborter:
    """What a process that must not send any more does with the deliveries it has under way."""

    def __init__(self, reporter: ReportSender, exchanges: ExchangeLoop) -> None:
        self._reporter = reporter
        self._exchanges = exchanges

    def stop_all(self) -> None:
        """Let every delivery end after the request under way."""
        self._reporter.stop_all()

    def cut(self) -> None:
        """Break off the requests under way; both processes and endpoints go on."""
        self._exchanges.cut()


def bounds_of(settings: Settings) -> SendLimits:
    """What the settings grant one errand."""
    return SendLimits(
        budget_s=2 * settings.delivery_target_s,
        deadline_s=settings.request_deadline_s,
        lease_s=settings.lease_s,
        retry_time_scale=settings.retry_time_scale,
        log_attempts=settings.log_level.lower() == "debug",
    )
