"""Watches the parts that webhookd stands on, keeps their faults in the database, and tells the operators.

The database shares what the processes see, so that operators get one mail for a fault and not one from each. While it
is away each process tells them by itself and directly: the fault of the database, and what begins meanwhile. What was
said then is carried into the database when it is back, so that nothing is said twice there.
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
    """What sends mails without the database."""

    def send_directly(self, alert: Alert) -> None:
        """Send, and record when the database is back; returns at once."""


class HealthMonitor:
    """One thread; `vitals` is asked on it, and answers None when nobody could say."""

    def __init__(
        self,
        database: Database,
        parts: HealthChecks,
        outlet: DirectMail,
        *,
        member_id: str,
        operators: Sequence[str],
        vitals: Callable[[], IngestLoad | None],
        wall_clock: WallClock,
    ) -> None:
        self._database = database
        self._parts = parts
        self._outlet = outlet
        self._member_id = member_id
        self._operators = tuple(operators)
        self._vitals = vitals
        self._wall_clock = wall_clock
        self._faults = FaultTracker()
        self._shared: dict[str, Incident] = {}
        self._direct: dict[str, Incident] = {}
        self._stop = Event()
        self._thread = Thread(target=self._run, name="system-watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """End the thread; what this process saw is taken out of the database."""
        self._stop.set()
        self._thread.join(budget_s)
        self._parts.stop()
        try:
            with self._database.transaction() as session:
                system_health.leave(session, self._member_id)
        except StoreUnavailable as error:
            _log.warning("store_unavailable", code=error.code, detail=error.detail)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.check_now()
            except Exception:  # noqa: BLE001 - the top of the thread: the next look may go well
                _log.exception("system_watch_failed")
            self._stop.wait(INTERVAL_S)

    def check_now(self) -> None:
        """Ask every part once and say what is due."""
        answers = self._parts.run()
        now = self._wall_clock()
        _log_changes(self._faults.observe(answers, now))
        if answers.get(StoreUnavailable.code) is not None:
            self._tell_directly(now)
            return
        vitals = self._vitals()
        try:
            with self._database.transaction() as session:
                if vitals is not None:
                    system_health.heartbeat(session, self._member_id, vitals)
                raised = self._share(session, now)
        except StoreUnavailable:
            self._tell_directly(now)
        else:
            self._direct.clear()
            due_alerts.log(raised)

    def _share(self, session: Session, now: float) -> list[Alert]:
        """Write down what this process sees, and tell what is news to all."""
        system_health.report(session, self._member_id, self._faults.active.values())
        system_health.forget(session)
        open_ = self._carried_over(session, incidents.lock_prefix(session, PREFIX))
        seen = {item.fault.code: item.fault for item in reversed(system_health.faults(session))}
        after: dict[str, Incident | None] = {}
        raised = []
        for key in sorted({*open_, *map(fault_key, seen)}):
            fault = seen.get(key.removeprefix(PREFIX))
            if fault is not None or key.removeprefix(PREFIX) in self._faults.healthy_codes:
                after[key], alert = self._told(key, open_.get(key), fault, now)
                raised += [alert] if alert else []
        late = incidents.save(session, open_, after)
        raised = [item for item in raised if item.subject_key not in late]
        mail_outbox.add(session, raised)
        self._shared = {key: incident for key, incident in (open_ | after).items() if incident is not None}
        return raised

    def _carried_over(self, session: Session, open_: dict[str, Incident]) -> dict[str, Incident]:
        """The shared spells, with what this process has told by itself where nobody else has told more."""
        more = {key: incident for key, incident in self._direct.items() if _said(incident) > _said(open_.get(key))}
        incidents.save(session, open_, more)
        return open_ | more

    def _tell_directly(self, now: float) -> None:
        """Without the database: what is due as far as this process knows."""
        known = self._shared | self._direct
        standing = self._faults.active
        for key in sorted({*known, *map(fault_key, standing)}):
            code = key.removeprefix(PREFIX)
            if code not in standing and code not in self._faults.healthy_codes:
                continue
            incident, alert = self._told(key, known.get(key), standing.get(code), now)
            if incident is not None:
                self._direct[key] = incident
            if alert is not None:
                due_alerts.log([alert])
                self._outlet.send_directly(alert)

    def _told(
        self, key: str, incident: Incident | None, fault: SystemFault | None, now: float
    ) -> tuple[Incident | None, Alert | None]:
        after, word = observe(incident, failing=fault is not None, now=now)
        if word is None:
            return after, None
        about = fault or fault_of(key.removeprefix(PREFIX), incident or Incident(began_at=now, next_mail_at=now))
        return after, fault_alert(word, about, self._operators, now)


def _said(incident: Incident | None) -> tuple[int, bool]:
    """How much has been said of it, to be compared."""
    return (0, False) if incident is None else (incident.mails, not incident.owner_notified)


def _log_changes(changes: FaultChanges) -> None:
    for fault in changes.began:
        _log.error("system_fault", code=fault.code, detail=fault.detail, since=fault.since)
    for fault in changes.ended:
        _log.warning("system_fault_over", code=fault.code, since=fault.since)
