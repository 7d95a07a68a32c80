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
from webhookd.edges.exchange.loop import ExchangeLoop
from webhookd.flow.ticket import Ticket
from webhookd.settings import Settings
from workers.application import ETA_LIMIT, build_celery
from workers.board_clock import BoardClock
from workers.control_watch import ControlWatch
from workers.desk import Desk, PublishRetry
from workers.directory import Directory
from workers.edges import Edges
from workers.errand import Bounds, Clocks
from workers.occupation import Occupation
from workers.reporter import Reporter
from workers.tasks import register
from workers.watch import Post, Watch

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
        self._desk: Desk | None = None
        self._exchanges = ExchangeLoop(settings)  # not started, but what is wrong with its settings is said now
        self._reporter: Reporter | None = None
        self._occupation = Occupation(clock.monotonic)
        self._watch: Watch | None = None
        self._control: ControlWatch | None = None
        self._stopping = False
        self.app: Celery = build_celery(settings)
        register(self.app, lambda: self, BoardClock(edges.board.now, clock.monotonic))

    def start(self, *, queues: Sequence[str], slots: int, deaf: Callable[[], None]) -> None:
        """Announce a worker that consumes these queues, and watch over it; `deaf` is called when it is."""
        post = Post(
            worker_id=f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}",
            queues=tuple(queues),
            slots=slots,
            tasks_held=ETA_LIMIT,
            started_at=clock.wall_clock(),
        )
        signals.task_received.connect(self._took)
        self._watch = Watch(
            self._edges.board,
            post,
            self._occupation,
            monotonic=clock.monotonic,
            deaf_after_s=self._settings.worker_deaf_s,
            waiting_for_countdown=lambda: len(celery_state.scheduled_requests),
            deaf=deaf,
        )
        self._watch.start()

    def deliver(self, tickets: list[Ticket], publish_retry: PublishRetry) -> None:
        """Work on a parcel, as the desk does; the process is the busier meanwhile.

        Raises Celery's Reject for one that a stop has overtaken: it goes back to its queue as it came. Its claim would
        be reported by nobody, and cost a lease.
        """
        if self._stopping:
            raise Reject("the worker is stopping", requeue=True)
        self._occupation.began()
        try:
            self.desk().deliver(tickets, publish_retry)
        finally:
            self._occupation.ended()

    def desk(self) -> Desk:
        """The desk; made and started on first use, so that `celery inspect` and Flower start nothing."""
        with self._lock:
            if self._desk is None:
                self._desk = self._open()
            return self._desk

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
            self._occupation.took(request.delivery_info["routing_key"])

    def _open(self) -> Desk:
        settings = self._settings
        bounds = bounds_of(settings)
        self._reporter = Reporter(
            self._edges.board, monotonic=clock.monotonic, lease_s=settings.lease_s, longest_s=bounds.longest_s
        )
        directory = Directory(self._edges.database)
        self._control = ControlWatch(
            self._edges.database,
            directory,
            Cutting(self._reporter, self._exchanges),
            interval_s=settings.control_read_interval_s,
            listen=self._edges.announcements.run,
            monotonic=clock.monotonic,
        )
        self._exchanges.start()
        self._reporter.start()
        self._exchanges.every(STAND_STILL_S, self._control.stand_still)
        self._control.start()  # it reads once before the first parcel is looked at
        return Desk(
            switch=self._control,
            directory=directory,
            claims=self._edges.board,
            exchanges=self._exchanges,
            reporter=self._reporter,
            bounds=bounds,
            clocks=Clocks(monotonic=clock.monotonic, wall=clock.wall_clock, chance=random.random),
        )


class Cutting:
    """What a process that must not send any more does with the deliveries it has under way."""

    def __init__(self, reporter: Reporter, exchanges: ExchangeLoop) -> None:
        self._reporter = reporter
        self._exchanges = exchanges

    def stop_all(self) -> None:
        """Let every delivery end after the request under way."""
        self._reporter.stop_all()

    def cut(self) -> None:
        """Break off the requests under way; both processes and endpoints go on."""
        self._exchanges.cut()


def bounds_of(settings: Settings) -> Bounds:
    """What the settings grant one errand."""
    return Bounds(
        budget_s=2 * settings.delivery_target_s,
        deadline_s=settings.request_deadline_s,
        lease_s=settings.lease_s,
        retry_time_scale=settings.retry_time_scale,
        log_attempts=settings.log_level.lower() == "debug",
    )
