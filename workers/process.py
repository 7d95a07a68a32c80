"""A worker process: the desk behind its tasks, started with the first of them."""

import random
from threading import Lock

from celery import Celery

from webhookd import clock, logs
from webhookd.edges.exchange.loop import ExchangeLoop
from webhookd.settings import Settings
from workers.application import build_celery
from workers.desk import Desk
from workers.directory import Directory
from workers.edges import Edges
from workers.errand import Bounds, Clocks
from workers.reporter import Reporter
from workers.tasks import register
from workers.watch import Watch

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
        self._watch: Watch | None = None
        self.app: Celery = build_celery(settings)
        register(self.app, self.desk)

    def desk(self) -> Desk:
        """The desk; made and started on first use, so that `celery inspect` and Flower start nothing."""
        with self._lock:
            if self._desk is None:
                self._desk = self._open()
            return self._desk

    def stop(self, budget_s: float) -> None:
        """End the requests under way within the budget and report; tasks end by themselves after that."""
        with self._lock:
            if self._reporter is None or self._watch is None:
                return
            self._reporter.stop_all()
            self._exchanges.stop(budget_s)
            self._reporter.stop(budget_s)
            self._watch.stop()

    def _open(self) -> Desk:
        settings = self._settings
        bounds = bounds_of(settings)
        self._reporter = Reporter(
            self._edges.board, monotonic=clock.monotonic, lease_s=settings.lease_s, longest_s=bounds.longest_s
        )
        directory = Directory(self._edges.database)
        self._watch = Watch(
            self._edges.database,
            directory,
            Cutting(self._reporter, self._exchanges),
            interval_s=settings.control_read_interval_s,
            listen=self._edges.announcements.run,
            monotonic=clock.monotonic,
        )
        self._exchanges.start()
        self._reporter.start()
        self._exchanges.every(STAND_STILL_S, self._watch.stand_still)
        self._watch.start()  # it reads once before the first parcel is looked at
        return Desk(
            switch=self._watch,
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
