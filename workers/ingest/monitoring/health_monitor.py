"""Checks the outside systems every few seconds, stores their faults in the database, and mails the operators.

The processes share faults and incidents in the database, so that operators get one mail about a fault and not one from
each process. While the database is down, each process sends its own mails directly, about the database and about other
faults. When the database is up again, the incidents of these mails are stored in it, so that no mail is sent twice.
"""

from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Protocol

from sqlalchemy.orm import Session

from webhookd import logs
from webhookd.clock import WallClock
from webhookd.errors import StoreUnavailable
from webhookd.flow.alerting.alert import Alert
from webhookd.flow.alerting.incident import Incident, observe
from webhookd.flow.alerting.system_fault_text import fault_alert, fault_key, fault_of
from webhookd.flow.monitoring.system_faults import FaultChanges, FaultTracker, SystemFault
from webhookd.store import incidents, mail_outbox, system_health
from webhookd.store.database import Database
from webhookd.store.system_health import IngestLoad
from workers.ingest.alerting import due_alerts
from workers.ingest.monitoring.health_checks import HealthChecks

INTERVAL_S = 2.0
PREFIX = fault_key("")

_log = logs.get(__name__)


class DirectMail(Protocol):
    """Sends mails without the database."""

    def send_directly(self, alert: Alert) -> None:
        """Send the alert, and store it when the database is up again; returns at once."""


class HealthMonitor:
    """One thread, which runs the checks. It calls `ingest_load`, which returns None when the load is unknown.

    It calls `checked` after each run of the checks.
    """

    def __init__(
        self,
        database: Database,
        checks: HealthChecks,
        direct_mail: DirectMail,
        *,
        member_id: str,
        operators: Sequence[str],
        ingest_load: Callable[[], IngestLoad | None],
        wall_clock: WallClock,
        checked: Callable[[], None] = lambda: None,
    ) -> None:
        self._checked = checked
        self._database = database
        self._checks = checks
        self._direct_mail = direct_mail
        self._member_id = member_id
        self._operators = tuple(operators)
        self._ingest_load = ingest_load
        self._wall_clock = wall_clock
        self._faults = FaultTracker()
        self._shared: dict[str, Incident] = {}
        """The incidents as this process last read them from the database."""
        self._own: dict[str, Incident] = {}
        """The incidents that this process has mailed directly, while the database was down."""
        self._stop = Event()
        self._thread = Thread(target=self._run, name="health-monitor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """End the thread and delete what this process has reported from the database."""
        self._stop.set()
        self._thread.join(budget_s)
        self._checks.stop()
        try:
            with self._database.transaction() as session:
                system_health.leave(session, self._member_id)
        except StoreUnavailable as error:
            _log.warning("store_unavailable", code=error.code, detail=error.detail)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.check_now()
                self._checked()
            except Exception:  # noqa: BLE001 - the top of the thread: the next check may succeed
                _log.exception("health_monitor_failed")
            self._stop.wait(INTERVAL_S)

    @property
    def fault_codes(self) -> list[str]:
        """The codes of the faults that this process detects now; for any thread."""
        return list(self._faults.active)

    def check_now(self) -> None:
        """Run every check once and send the mails that are due."""
        results = self._checks.run()
        now = self._wall_clock()
        _log_changes(self._faults.observe(results, now))
        if results.get(StoreUnavailable.code) is not None:
            self._mail_directly(now)
            return
        load = self._ingest_load()
        try:
            with self._database.transaction() as session:
                if load is not None:
                    system_health.heartbeat(session, self._member_id, load)
                raised = self._update_shared(session, now)
        except StoreUnavailable:
            self._mail_directly(now)
        else:
            self._own.clear()
            due_alerts.log(raised)

    def _update_shared(self, session: Session, now: float) -> list[Alert]:
        """Store the faults of this process; add to the outbox the mails that are due about faults of all processes."""
        system_health.report(session, self._member_id, self._faults.active.values())
        system_health.delete_expired(session)
        open_ = self._merge_own(session, incidents.lock_prefix(session, PREFIX))
        seen = {item.fault.code: item.fault for item in reversed(system_health.faults(session))}
        after: dict[str, Incident | None] = {}
        raised = []
        for key in sorted({*open_, *map(fault_key, seen)}):
            fault = seen.get(key.removeprefix(PREFIX))
            if fault is not None or key.removeprefix(PREFIX) in self._faults.healthy_codes:
                after[key], alert = self._observe(key, open_.get(key), fault, now)
                raised += [alert] if alert else []
        late = incidents.save(session, open_, after)
        raised = [item for item in raised if item.subject_key not in late]
        mail_outbox.add(session, raised)
        self._shared = {key: incident for key, incident in (open_ | after).items() if incident is not None}
        return raised

    def _merge_own(self, session: Session, open_: dict[str, Incident]) -> dict[str, Incident]:
        """Return the shared incidents, each replaced by that of this process if it has sent more mails about it."""
        own = {
            key: incident for key, incident in self._own.items() if _mails_sent(incident) > _mails_sent(open_.get(key))
        }
        incidents.save(session, open_, own)
        return open_ | own

    def _mail_directly(self, now: float) -> None:
        """Send without the database the mails that are due, as far as this process knows the faults and incidents."""
        known = self._shared | self._own
        active = self._faults.active
        for key in sorted({*known, *map(fault_key, active)}):
            code = key.removeprefix(PREFIX)
            if code not in active and code not in self._faults.healthy_codes:
                continue
            incident, alert = self._observe(key, known.get(key), active.get(code), now)
            if incident is not None:
                self._own[key] = incident
            if alert is not None:
                due_alerts.log([alert])
                self._direct_mail.send_directly(alert)

    def _observe(
        self, key: str, incident: Incident | None, fault: SystemFault | None, now: float
    ) -> tuple[Incident | None, Alert | None]:
        after, kind = observe(incident, failing=fault is not None, now=now)
        if kind is None:
            return after, None
        about = fault or fault_of(key.removeprefix(PREFIX), incident or Incident(began_at=now, next_mail_at=now))
        return after, fault_alert(kind, about, self._operators, now)


def _mails_sent(incident: Incident | None) -> tuple[int, bool]:
    """Return how many mails were sent about an incident, to be compared."""
    return (0, False) if incident is None else (incident.mails, not incident.owner_notified)


def _log_changes(changes: FaultChanges) -> None:
    for fault in changes.began:
        _log.error("system_fault", code=fault.code, detail=fault.detail, since=fault.since)
    for fault in changes.ended:
        _log.warning("system_fault_over", code=fault.code, since=fault.since)
