"""A worker process: the threads that its Celery tasks use, and its heartbeat.

    start   heartbeat                         once Celery consumes the queues
            report sender, exchange loop,     then, or with the first task if that comes sooner
            change watch, task handler
    stop    heartbeat                         removed: ingest no longer counts this worker's threads
            delivery sessions                 closed at once, so that nothing is pushed to them any more
            senders                           end after their current request; unsent batches go back to their lanes
            exchange loop                     within the budget; requests that are open then are aborted: their
                                              results are unknown, and they are sent again
            report sender                     sends the final reports; the tasks end with them
            change watch
            traces                            the last spans are sent, for at most 2 s

The caller of `stop` has made sure that no more tasks are taken. After a crash at any point, ingest waits until the
lease has run out and sends again what was not reported, even if the endpoint acknowledged it.
"""

import os
import random
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any

from celery import Celery, signals
from celery.exceptions import Reject
from celery.worker import state as celery_state

from webhookd import clock, logs
from webhookd.edges.http_client.event_loop import ExchangeLoop
from webhookd.edges.http_client.tls_contexts import TlsContexts
from webhookd.flow.dispatch.host_limits import host_limits
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.metrics.exposition import SampleSources
from webhookd.settings import Settings
from workers.celery_app import ETA_LIMIT, build_celery
from workers.coordination_clock import CoordinationClock
from workers.delivery.access_tokens import TokenSources
from workers.delivery.attempt_tally import AttemptTally
from workers.delivery.change_watch import ChangeWatch
from workers.delivery.delivery_log import DeliveryLog
from workers.delivery.delivery_observers import DeliveryObservers
from workers.delivery.heartbeat import Heartbeat, WorkerErrors, WorkerInfo
from workers.delivery.report_sender import ReportSender
from workers.delivery.request_spans import RequestTracer
from workers.delivery.send_limits import Clocks, SendLimits
from workers.delivery.subscription_cache import SubscriptionCache
from workers.delivery.task_handler import PublishRetry, TaskHandler
from workers.delivery.tasks import register, register_verification
from workers.delivery.verification_handler import VerificationHandler
from workers.delivery.worker_load import WorkerLoad
from workers.delivery.worker_samples import WorkerSamples
from workers.delivery.worker_sessions import WorkerSessions, most_sessions
from workers.edges import Edges

LAST_REPORTS_S = 5.0
"""How long sending the last reports may take after the budget is used up. Reports that are not sent by then are lost,
and ingest sends their deliveries again when the lease has run out."""

CLOSE_SESSIONS_S = 1.0
"""How long closing the delivery sessions may take; Redis forgets one that is not closed soon."""

REMOVE_HEARTBEAT_S = 1.0
"""How long removing the heartbeat may take after that; a heartbeat that is not removed expires after 10 s."""

OFFLINE_CHECK_S = 0.2
"""How often an offline worker ends the deliveries that are still in progress."""

_log = logs.get(__name__)


class WorkerProcess:
    """One exchange loop, one report sender and one task handler for all task threads.

    `metrics` is where it adds its metrics; None if nothing is to be counted. Raises UnusableSetting if the settings of
    the HTTP client or of the egress proxy cannot be used.
    """

    def __init__(self, settings: Settings, edges: Edges, metrics: SampleSources | None) -> None:
        self._settings = settings
        self._edges = edges
        self._lock = Lock()
        self._started: _Handlers | None = None
        self._exchanges = ExchangeLoop(settings)  # not started, but this validates its settings
        self._report_sender: ReportSender | None = None
        self._load = WorkerLoad(clock.monotonic)
        self._metrics = metrics
        self._tally = None if metrics is None else AttemptTally()
        if metrics is not None and self._tally is not None:
            metrics.add_source(self._tally.samples)
        self._heartbeat: Heartbeat | None = None
        self._sessions: WorkerSessions | None = None
        self._threads = settings.worker_threads
        self._change_watch: ChangeWatch | None = None
        self._cache = SubscriptionCache(
            edges.database,
            host_limits(settings.host_rate_limits, settings.host_max_concurrent),
            tls_contexts=TlsContexts(settings),
            tokens=TokenSources(
                self._exchanges,
                monotonic=clock.monotonic,
                wall=clock.wall_clock,
                deadline_s=settings.request_deadline_s,
            ),
            certificates=self._exchanges.certificate,
            origin=settings.verification_origin,
        )
        self._worker_id = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
        self._stopping = False
        self.app: Celery = build_celery(settings)
        register(self.app, lambda: self, CoordinationClock(edges.coordination.now, clock.monotonic))
        register_verification(self.app, self)

    def start(self, *, queues: Sequence[str], threads: int, stuck: Callable[[], None]) -> None:
        """Start the heartbeat of a worker that consumes these queues; it calls `stuck` when the worker is stuck."""
        info = WorkerInfo(
            worker_id=self._worker_id,
            queues=tuple(queues),
            threads=threads,
            tasks_held=ETA_LIMIT,
            started_at=clock.wall_clock(),
        )
        if self._metrics is not None:
            self._metrics.add_source(
                WorkerSamples(queues=info.queues, threads=threads, load=self._load, exchanges=self._exchanges)
            )
        signals.task_received.connect(self._task_received)
        self._heartbeat = Heartbeat(
            self._edges.coordination,
            info,
            self._load,
            monotonic=clock.monotonic,
            stuck_after_s=self._settings.worker_stuck_s,
            waiting_for_countdown=lambda: len(celery_state.scheduled_requests),
            errors=self._errors,
            stuck=stuck,
        )
        self._threads = threads
        self._heartbeat.start()
        # So that a worker that cannot read the database says so before its first task. Reading may block for seconds,
        # and this thread must react to signals.
        Thread(target=self.handler, name="start", daemon=True).start()

    def deliver(self, refs: list[DeliveryRef], publish_retry: PublishRetry, *, may_stay: bool = False) -> None:
        """Pass one task to the task handler, and count it as load.

        Raises Celery's Reject when the process is stopping: the task goes back to its queue. If it was claimed here,
        nothing would report its deliveries, and they would wait for the end of the lease.
        """
        if self._stopping:
            raise Reject("the worker is stopping", requeue=True)
        self._load.task_started()
        try:
            handler = self.handler()
            if self._sessions is not None and self._load.busy >= self._threads:
                self._sessions.close_all()  # other tasks may wait for the threads
            handler.deliver(refs, publish_retry, self._sessions if may_stay else None)
        finally:
            self._load.task_ended()

    def verify(self, ref: DeliveryRef) -> None:
        """Pass the question to an endpoint on to its handler, and count it as load. Raises as `deliver` does."""
        if self._stopping:
            raise Reject("the worker is stopping", requeue=True)
        self._load.task_started()
        try:
            self._handlers().verification.verify(ref)
        finally:
            self._load.task_ended()

    def handler(self) -> TaskHandler:
        """Return the task handler. The first call starts it, so that `celery inspect` and Flower start nothing."""
        return self._handlers().delivery

    def _handlers(self) -> "_Handlers":
        with self._lock:
            if self._started is None:
                self._started = self._start_handlers()
            return self._started

    def stop(self, budget_s: float) -> None:
        """End the open requests within the budget and report their results. Blocks. The tasks end after that."""
        self._stopping = True
        if self._heartbeat is not None:
            self._heartbeat.stop()
        if self._sessions is not None:
            self._sessions.stop(CLOSE_SESSIONS_S)
        with self._lock:
            if self._report_sender is not None and self._change_watch is not None:
                self._report_sender.stop_senders()
                self._exchanges.stop(budget_s)
                self._report_sender.stop(LAST_REPORTS_S)
                self._change_watch.stop()
        if self._heartbeat is not None:
            self._heartbeat.join(REMOVE_HEARTBEAT_S)
        self._edges.stop_tracing()

    def _errors(self) -> WorkerErrors:
        watch = self._change_watch
        return WorkerErrors(store="" if watch is None else watch.store_error, secrets=self._cache.secrets_error)

    def _task_received(self, sender: Any, request: Any, **_: object) -> None:  # noqa: ANN401 - Celery's consumer and request
        if sender.app is self.app:
            self._load.task_taken(request.delivery_info["routing_key"])

    def _new_sessions(self) -> WorkerSessions:
        return WorkerSessions(
            self._edges.coordination,
            self._worker_id,
            idle_s=self._settings.session_idle_s,
            most=lambda: most_sessions(self._threads) if self._load.busy < self._threads else 0,
            monotonic=clock.monotonic,
        )

    def _start_handlers(self) -> "_Handlers":
        settings = self._settings
        limits = send_limits(settings)
        self._report_sender = ReportSender(
            self._edges.coordination,
            monotonic=clock.monotonic,
            lease_s=settings.lease_s,
            lost_after_s=limits.lost_after_s,
        )
        self._change_watch = ChangeWatch(
            self._edges.database,
            self._cache,
            _OpenRequests(self._report_sender, self._exchanges),
            interval_s=settings.control_read_interval_s,
            listen=self._edges.notifications.run,
            monotonic=clock.monotonic,
        )
        self._sessions = self._new_sessions()
        self._exchanges.start()
        self._report_sender.start()
        self._sessions.start()
        self._exchanges.every(OFFLINE_CHECK_S, self._change_watch.end_deliveries_while_offline)
        self._change_watch.start()  # it reads once before the first task is worked on
        clocks = Clocks(monotonic=clock.monotonic, wall=clock.wall_clock, chance=random.random)
        tracing = self._edges.tracing
        delivery = TaskHandler(
            switch=self._change_watch,
            cache=self._cache,
            claims=self._edges.coordination,
            exchanges=self._exchanges,
            report_sender=self._report_sender,
            observers=DeliveryObservers(
                log=DeliveryLog(self._worker_id, settings.log_delivered_ratio),
                tally=self._tally,
                tracer=None if tracing is None else RequestTracer(tracing.tracer),
            ),
            limits=limits,
            clocks=clocks,
        )
        verification = VerificationHandler(
            switch=self._change_watch,
            cache=self._cache,
            exchanges=self._exchanges,
            report_sender=self._report_sender,
            clocks=clocks,
            deadline_s=limits.deadline_s,
        )
        return _Handlers(delivery, verification)


@dataclass(frozen=True, slots=True)
class _Handlers:
    """What works on the tasks of the process."""

    delivery: TaskHandler
    verification: VerificationHandler


class _OpenRequests:
    """The requests of the process, as the change watch ends them."""

    def __init__(self, report_sender: ReportSender, exchanges: ExchangeLoop) -> None:
        self._report_sender = report_sender
        self._exchanges = exchanges

    def stop_senders(self) -> None:
        """End every delivery after its current request."""
        self._report_sender.stop_senders()

    def abort_requests(self) -> None:
        """Abort the requests that are open; the exchange loop still runs."""
        self._exchanges.abort_all()


def send_limits(settings: Settings) -> SendLimits:
    """Return the limits of one delivery from the settings."""
    return SendLimits(
        budget_s=2 * settings.delivery_target_s,
        deadline_s=settings.request_deadline_s,
        lease_s=settings.lease_s,
        retry_time_scale=settings.retry_time_scale,
    )
