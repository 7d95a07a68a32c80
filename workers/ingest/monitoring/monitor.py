"""The monitoring of an ingest process: the relay that sends mails, and the health monitor of the outside systems."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from webhookd import clock
from webhookd.edges.mailer import build_mailer
from webhookd.errors import (
    MailUnavailable,
    MailUndeliverable,
    NoWorkers,
    QueueStalled,
    QueueUnavailable,
    StoreUnavailable,
    WorkersLackKeys,
    WorkersLackStore,
)
from webhookd.metrics.catalogue.ingest import LIVE_WORKERS, QUEUE_TASKS, SYSTEM_FAULT
from webhookd.metrics.samples import Sample
from webhookd.settings import Settings
from webhookd.store import schema
from webhookd.store.system_health import IngestLoad
from workers.edges import Edges
from workers.ingest.alerting.outbox_relay import OutboxRelay
from workers.ingest.loop_limits import Clocks
from workers.ingest.monitoring.health_checks import Check, HealthChecks, WorkerChecks
from workers.ingest.monitoring.health_monitor import HealthMonitor


class Monitor:
    """Two threads: outbox relay and health monitor; `more_checks` are those of the process itself, by fault code.

    `checked` is called after each run of the checks. Raises UnusableSetting when no mail can be sent with the settings.
    """

    def __init__(
        self,
        settings: Settings,
        edges: Edges,
        *,
        member_id: str,
        ingest_load: Callable[[], IngestLoad | None],
        more_checks: Mapping[str, Check],
        checked: Callable[[], None] = lambda: None,
    ) -> None:
        self._workers = WorkerChecks(edges.coordination, edges.database.ping, clock.monotonic)
        self._outbox_relay = OutboxRelay(
            edges.database,
            build_mailer(settings),
            operators=settings.operator_emails,
            retention_s=settings.activity_retention_s,
            clocks=Clocks(monotonic=clock.monotonic, wall=clock.wall_clock),
        )
        self._health_monitor = HealthMonitor(
            edges.database,
            HealthChecks({**_checks(edges, self._workers, self._outbox_relay), **more_checks}),
            self._outbox_relay,
            member_id=member_id,
            operators=settings.operator_emails,
            ingest_load=ingest_load,
            wall_clock=clock.wall_clock,
            checked=checked,
        )

    def samples(self) -> Iterator[Sample]:
        """Return the current samples of faults, queues and workers; for any thread."""
        for code in self._health_monitor.fault_codes:
            yield Sample(SYSTEM_FAULT, (code,), 1)
        seen = self._workers.seen
        if seen is not None:
            for queue, tasks in seen.tasks.items():
                yield Sample(QUEUE_TASKS, (queue,), tasks)
            for queue, number in seen.workers_by_queue().items():
                yield Sample(LIVE_WORKERS, (queue,), number)

    def start(self) -> None:
        """Start both threads."""
        self._outbox_relay.start()
        self._health_monitor.start()

    def stop(self, budget_s: float) -> None:
        """End both, each within the budget: first the health monitor, which uses the relay."""
        self._health_monitor.stop(budget_s)
        self._outbox_relay.stop(budget_s)


def _checks(edges: Edges, workers: WorkerChecks, outbox_relay: OutboxRelay) -> dict[str, Check]:
    return {
        QueueUnavailable.code: edges.ping_queue,
        StoreUnavailable.code: partial(schema.check, edges.database),
        WorkersLackKeys.code: workers.workers_decrypt,
        WorkersLackStore.code: workers.workers_read_store,
        NoWorkers.code: workers.queues_have_consumers,
        QueueStalled.code: workers.queues_move,
        MailUnavailable.code: outbox_relay.check,
        MailUndeliverable.code: outbox_relay.check_operators,
    }
