"""The report of GET /health: what ingest processes have stored, and what this process detects itself.

Liveness probes request it, so it must not block. The database and the coordination store are queried on threads of
their own within a short deadline, and the result is used again for a second.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from api.ports import Services
from api.resources.health.subscription_counts import offline, shown
from api.resources.status.rendering import iso
from webhookd import logs
from webhookd.clock import Monotonic, WallClock
from webhookd.errors import KafkaUnavailable, QueueUnavailable, StoreUnavailable, Unavailable
from webhookd.flow.control.administration import ONLINE, Administration
from webhookd.store import (
    administration,
    ingest_members,
    mail_failures,
    subscription_counts,
    system_health,
)
from webhookd.store.subscription_counts import NONE, Counts
from webhookd.store.system_health import IngestLoad, SeenFault

DEADLINE_S = 0.8
KAFKA_S = 0.7
"""Within the deadline, so that Kafka's own error is shown."""
KEPT_S = 1.0

HERE = "api"
"""The member name of faults that this process detects."""

NO_INGEST = "no_ingest"
"""Fault code: no ingest process has a heartbeat. So no process reads Kafka, and none can report faults; then the API
asks Kafka itself."""

NO_INGEST_DETAIL = "no ingest process has a heartbeat in the database: none runs, or none reaches the database"

NOT_STARTED = "subscriptions_not_started"
"""Fault code: no live ingest process runs a subscription that was registered or changed over a minute ago."""

Answer = TypeVar("Answer")

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseResult:
    """The result of the database query."""

    faults: Sequence[SeenFault]
    load: IngestLoad | None
    ingest_alive: bool
    subscriptions: Counts = NONE
    administration: Administration = ONLINE
    undeliverable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinationResult:
    """The result of the coordination store query."""

    workers: Sequence[Mapping[str, Any]]
    queues: Mapping[str, int]


class BoundedQuery(Generic[Answer]):
    """A query that runs on a thread of its own; a query that hangs occupies one thread only."""

    def __init__(self, ask: Callable[[], Answer], code: str) -> None:
        self.code = code
        self._ask = ask
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"health-{code}")
        self._asked: Future[Answer] | None = None

    def begin(self) -> Future[Answer]:
        """Start the query unless it still runs."""
        if self._asked is None or self._asked.done():
            self._asked = self._pool.submit(self._ask)
        return self._asked


class HealthReport:
    """The response of /health; used from any thread."""

    def __init__(
        self,
        stored: Callable[[], DatabaseResult],
        coordination_result: Callable[[], CoordinationResult],
        kafka: Callable[[], None],
        *,
        monotonic: Monotonic,
        wall_clock: WallClock,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._stored = BoundedQuery(stored, StoreUnavailable.code)
        self._coordination_answer = BoundedQuery(coordination_result, QueueUnavailable.code)
        self._kafka = BoundedQuery(kafka, KafkaUnavailable.code)
        self._monotonic = monotonic
        self._wall_clock = wall_clock
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}
        self._valid_until = float("-inf")
        self._cached: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """The report, at most a second old."""
        with self._lock:
            if self._monotonic() >= self._valid_until:
                self._cached = self._ask()
                self._valid_until = self._monotonic() + KEPT_S
            return self._cached

    def _ask(self) -> dict[str, Any]:
        ends_at = self._monotonic() + self._deadline_s
        store_query, coordination_query = self._stored.begin(), self._coordination_answer.begin()
        both: list[Future[Any]] = [store_query, coordination_query]
        kafka_query = self._kafka.begin()
        wait(both, self._deadline_s)
        own: dict[str, str] = {}
        stored = _result(store_query, self._stored.code, own)
        coordination_result = _result(coordination_query, self._coordination_answer.code, own)
        if stored is not None and not stored.ingest_alive:
            wait([kafka_query], max(0.0, ends_at - self._monotonic()))
            _result(kafka_query, self._kafka.code, own)
            own[NO_INGEST] = NO_INGEST_DETAIL
        elif stored is not None and stored.subscriptions.not_started:
            own[NOT_STARTED] = f"{stored.subscriptions.not_started} changed subscriptions are run by no ingest process"
        return self._rendered(stored, coordination_result, own)

    def _rendered(
        self, stored: DatabaseResult | None, coordination_result: CoordinationResult | None, own: Mapping[str, str]
    ) -> dict[str, Any]:
        now = self._wall_clock()
        self._since = {code: self._since.get(code, now) for code in own}
        own_faults = [_fault(code, self._since[code], detail, HERE) for code, detail in own.items()]
        reported = stored.faults if stored is not None else ()
        faults = own_faults + [
            _fault(seen.fault.code, seen.fault.since, seen.fault.detail, seen.member_id) for seen in reported
        ]
        load = stored.load if stored is not None else None
        switch = stored.administration if stored is not None else ONLINE
        return {
            "status": "offline" if switch.offline else "degraded" if faults else "ok",
            "offline": offline(switch, now) if switch.offline else None,
            "faults": faults,
            "subscriptions": shown(stored.subscriptions) if stored is not None else None,
            "workers": list(coordination_result.workers) if coordination_result is not None else [],
            "queues": dict(coordination_result.queues) if coordination_result is not None else {},
            "undeliverable_addresses": stored.undeliverable if stored is not None else None,
            "deliveries_in_flight": load.deliveries_in_flight if load is not None else None,
            "oldest_unanswered_s": load.oldest_unanswered_s if load is not None else None,
            "longest_iteration_s": load.longest_iteration_s if load is not None else None,
        }


def report_of(services: Services, monotonic: Monotonic, wall_clock: WallClock) -> HealthReport:
    """The health report over these services."""

    def stored() -> DatabaseResult:
        with services.database.transaction() as session:
            return DatabaseResult(
                faults=system_health.faults(session),
                load=system_health.ingest_load(session),
                ingest_alive=bool(ingest_members.alive(session, services.settings.ingest_member_timeout_s)),
                subscriptions=subscription_counts.count(session, switch := administration.read(session)),
                administration=switch,
                undeliverable=mail_failures.count(session, wall_clock()),
            )

    return HealthReport(
        stored,
        lambda: _query_coordination(services),
        lambda: services.brokers.ping(KAFKA_S),
        monotonic=monotonic,
        wall_clock=wall_clock,
    )


def _query_coordination(services: Services) -> CoordinationResult:
    services.ping_queue()  # a replica may return outdated workers and queues
    coordination = services.coordination
    if coordination is None:
        return CoordinationResult(workers=(), queues={})
    return CoordinationResult(
        workers=[asdict(worker) for worker in coordination.live_workers()], queues=coordination.queue_lengths()
    )


def _result(asked: Future[Answer], code: str, own: dict[str, str]) -> Answer | None:
    """Return the result of a query; if there is none, add the fault to `own` and return None."""
    if not asked.done():
        own[code] = "no answer in time"
        return None
    match asked.exception():
        case None:
            return asked.result()
        case Unavailable() as error:
            own[code] = error.detail or str(error)
        case error:
            _log.error("health_failed", code="internal", fault=code, exc_info=error)
            own[code] = "the query failed; the log has the error"
    return None


def _fault(code: str, since: float, detail: str, member: str) -> dict[str, Any]:
    return {"code": code, "since": iso(since), "detail": detail, "member": member}
