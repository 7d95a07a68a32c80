"""How the system is, as far as it can be said at once: what ingest reported, and what this process sees itself.

Liveness probes ask this, so nothing may hold it up: the database and the board are asked on threads of their own,
within a short deadline, and what they said is good for a second.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from api.ports import Coordination, Services
from api.resources.health.subscription_counts import offline, shown
from api.resources.status.rendering import iso
from webhookd import logs
from webhookd.clock import Monotonic, WallClock
from webhookd.errors import QueueUnavailable, StoreUnavailable, Unavailable
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
KEPT_S = 1.0

HERE = "api"
"""Who sees what this process sees."""

NO_INGEST = "no_ingest"
"""No ingest process has been heard of lately: nobody reads Kafka, and nobody would report a fault."""

NOT_STARTED = "subscriptions_not_started"
"""Ingest processes live, but none has begun with what was made or changed more than a minute ago."""

Answer = TypeVar("Answer")

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseAnswer:
    """What the database says."""

    faults: Sequence[SeenFault]
    vitals: IngestLoad | None
    ingest_alive: bool
    subscriptions: Counts = NONE
    administration: Administration = ONLINE
    undeliverable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinationAnswer:
    """What the board says."""

    workers: Sequence[Mapping[str, Any]]
    queues: Mapping[str, int]


class BoundedQuery(Generic[Answer]):
    """One thing to ask, on a thread of its own; one that hangs is asked by one thread only."""

    def __init__(self, ask: Callable[[], Answer], code: str) -> None:
        self.code = code
        self._ask = ask
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"health-{code}")
        self._asked: Future[Answer] | None = None

    def begin(self) -> Future[Answer]:
        """Ask, unless the last time is still unanswered."""
        if self._asked is None or self._asked.done():
            self._asked = self._pool.submit(self._ask)
        return self._asked


class HealthReport:
    """What /health answers; asked from any thread."""

    def __init__(
        self,
        stored: Callable[[], DatabaseAnswer],
        boarded: Callable[[], CoordinationAnswer],
        *,
        monotonic: Monotonic,
        wall_clock: WallClock,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._stored = BoundedQuery(stored, StoreUnavailable.code)
        self._boarded = BoundedQuery(boarded, QueueUnavailable.code)
        self._monotonic = monotonic
        self._wall_clock = wall_clock
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}
        self._good_until = float("-inf")
        self._kept: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """How the system is, at most a second ago."""
        with self._lock:
            if self._monotonic() >= self._good_until:
                self._kept = self._ask()
                self._good_until = self._monotonic() + KEPT_S
            return self._kept

    def _ask(self) -> dict[str, Any]:
        asked_store, asked_coordination = self._stored.begin(), self._boarded.begin()
        both: list[Future[Any]] = [asked_store, asked_coordination]
        wait(both, self._deadline_s)
        own: dict[str, str] = {}
        stored = _heard(asked_store, self._stored.code, own)
        boarded = _heard(asked_coordination, self._boarded.code, own)
        if stored is not None and not stored.ingest_alive:
            own[NO_INGEST] = "no ingest process has been heard of lately"
        elif stored is not None and stored.subscriptions.not_started:
            own[NOT_STARTED] = f"{stored.subscriptions.not_started} changed subscriptions are read by no ingest process"
        return self._drawn(stored, boarded, own)

    def _drawn(
        self, stored: DatabaseAnswer | None, boarded: CoordinationAnswer | None, own: Mapping[str, str]
    ) -> dict[str, Any]:
        now = self._wall_clock()
        self._since = {code: self._since.get(code, now) for code in own}
        own_faults = [_fault(code, self._since[code], detail, HERE) for code, detail in own.items()]
        reported = stored.faults if stored is not None else ()
        faults = own_faults + [
            _fault(seen.fault.code, seen.fault.since, seen.fault.detail, seen.member_id) for seen in reported
        ]
        vitals = stored.vitals if stored is not None else None
        switch = stored.administration if stored is not None else ONLINE
        return {
            "status": "offline" if switch.offline else "degraded" if faults else "ok",
            "offline": offline(switch, now) if switch.offline else None,
            "faults": faults,
            "subscriptions": shown(stored.subscriptions) if stored is not None else None,
            "workers": list(boarded.workers) if boarded is not None else [],
            "queues": dict(boarded.queues) if boarded is not None else {},
            "undeliverable_addresses": stored.undeliverable if stored is not None else None,
            "deliveries_in_flight": vitals.deliveries_in_flight if vitals is not None else None,
            "oldest_unanswered_s": vitals.oldest_unanswered_s if vitals is not None else None,
            "longest_iteration_s": vitals.longest_iteration_s if vitals is not None else None,
        }


def report_of(services: Services, monotonic: Monotonic, wall_clock: WallClock) -> HealthReport:
    """The report on what these services stand on."""

    def stored() -> DatabaseAnswer:
        with services.database.transaction() as session:
            return DatabaseAnswer(
                faults=system_health.faults(session),
                vitals=system_health.ingest_load(session),
                ingest_alive=bool(ingest_members.alive(session, services.settings.ingest_member_timeout_s)),
                subscriptions=subscription_counts.count(session, switch := administration.read(session)),
                administration=switch,
                undeliverable=mail_failures.count(session, wall_clock()),
            )

    return HealthReport(
        stored, lambda: _coordination_says(services.coordination), monotonic=monotonic, wall_clock=wall_clock
    )


def _coordination_says(coordination: Coordination | None) -> CoordinationAnswer:
    if coordination is None:
        return CoordinationAnswer(workers=(), queues={})
    coordination.ping()  # what a replica says of workers and queues may be of the past
    return CoordinationAnswer(
        workers=[asdict(worker) for worker in coordination.live_workers()], queues=coordination.queue_lengths()
    )


def _heard(asked: Future[Answer], code: str, own: dict[str, str]) -> Answer | None:
    """What was answered; what was not is a fault that this process sees."""
    if not asked.done():
        own[code] = "no answer in time"
        return None
    match asked.exception():
        case None:
            return asked.result()
        case Unavailable() as error:
            own[code] = error.detail or str(error)
        case error:
            _log.error("health_failed", code="internal", system=code, exc_info=error)
            own[code] = "the question failed; the log says how"
    return None


def _fault(code: str, since: float, detail: str, member: str) -> dict[str, Any]:
    return {"code": code, "since": iso(since), "detail": detail, "member": member}
