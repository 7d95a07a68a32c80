"""Sends the mails of the outbox over SMTP, and mails that are sent directly because the database is down.

Each ingest process sends the mails that it claims. While the mail server is down, mails are tried again for three days,
then given up. Each recipient has a result of its own: a retry goes to those that have not received the mail. A rejected
recipient is logged and shown in the status of the subscription; the other recipients still get the mail.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Event, Lock, Thread
from typing import Protocol

from webhookd import logs
from webhookd.errors import MailRefused, MailUnavailable, MailUndeliverable, StoreUnavailable
from webhookd.flow.alerting.alert import Alert
from webhookd.flow.alerting.mail import Mail, MailResult, RecipientResult, given_up, remaining_recipients
from webhookd.metrics.catalogue.ingest import MAILS
from webhookd.store import mail_failures, mail_outbox
from webhookd.store.database import Database
from webhookd.store.mail_outbox import ClaimedMail
from workers.ingest.alerting import due_alerts
from workers.ingest.loop_limits import Clocks

INTERVAL_S = 2.0
GIVE_UP_S = 3 * 86400.0
PING_S = 60.0
"""How often the server is checked while there is no mail to send: each check is a login."""
PING_AGAIN_S = 5.0
"""How soon a server that did not answer is checked again, so that its fault ends soon after the server works again."""
PURGE_INTERVAL_S = 600.0
MAX_DIRECT = 100
"""Direct alerts that are kept until the database is up again. There are few faults, and few mails about each."""

_log = logs.get(__name__)


class MailSender(Protocol):
    """A mail server; edges/mailer.py implements it."""

    def send(self, mail: Mail) -> Sequence[RecipientResult]:
        """Send the mail; return the result for each recipient. Raises MailUnavailable. Blocks."""

    def ping(self) -> None:
        """Check that the server answers. Raises MailUnavailable. Blocks."""


@dataclass(frozen=True, slots=True, eq=False)
class _Direct:
    """A mail that is sent without the outbox, not before `due`; `tries` counts the tries so far."""

    alert: Alert
    tries: int = 0
    due: float = 0.0


class OutboxRelay:
    """One thread, which sends mails with `mailer`."""

    def __init__(
        self,
        database: Database,
        mailer: MailSender,
        *,
        operators: Sequence[str] = (),
        retention_s: float,
        clocks: Clocks,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._interval_s = interval_s
        self._database = database
        self._mailer = mailer
        self._operators = tuple(operators)
        self._retention_s = retention_s
        self._clocks = clocks
        self._lock = Lock()
        self._direct: deque[_Direct] = deque(maxlen=MAX_DIRECT)
        self._to_record: deque[tuple[Alert, Sequence[RecipientResult], float]] = deque(maxlen=MAX_DIRECT)
        self._ping_at = clocks.monotonic()
        self._purge_at = clocks.monotonic()
        self._unavailable: MailUnavailable | None = None
        self._operators_missed = 0
        self._stop = Event()
        self._wake = Event()
        self._thread = Thread(target=self._run, name="outbox-relay", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """End the thread; mails that were not sent stay in the outbox."""
        self._stop.set()
        self._wake.set()
        self._thread.join(budget_s)

    def check(self) -> None:
        """Raises MailUnavailable if the mail server did not answer the last request; sends no request itself."""
        if self._unavailable is not None:
            raise MailUnavailable(str(self._unavailable))

    def check_operators(self) -> None:
        """Raises MailUndeliverable if mails do not reach an operator; the database was read before."""
        if self._operators_missed:
            raise MailUndeliverable(f"{self._operators_missed} of the addresses in WEBHOOKD_OPERATOR_EMAILS")

    def send_directly(self, alert: Alert) -> None:
        """Send the alert while the database is down, and store it there when the database is up; returns at once."""
        with self._lock:
            self._direct.append(_Direct(alert, due=self._clocks.monotonic()))
        self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            for step in (self._send_direct, self._record_results, self._send_outbox):
                self._run_step(step)
            self._wake.wait(self._interval_s)

    def _run_step(self, step: Callable[[], None]) -> None:
        try:
            step()
        except MailUnavailable as error:
            _log.warning("mail_unavailable", code=error.code, detail=error.detail)
        except StoreUnavailable as error:
            _log.warning("store_unavailable", code=error.code, detail=error.detail)
        except Exception:  # noqa: BLE001 - the top of the thread: an error of one mail must not end it
            _log.exception("outbox_relay_failed")

    def _send_direct(self) -> None:
        while (direct := self._due_direct()) is not None and self._reachable():
            again = self._try_direct(direct) if direct.alert.mail.recipients else None
            with self._lock:
                if direct in self._direct:
                    self._direct.remove(direct)
                if again is not None:
                    self._direct.append(again)

    def _due_direct(self) -> _Direct | None:
        now = self._clocks.monotonic()
        with self._lock:
            return next((direct for direct in self._direct if direct.due <= now), None)

    def _try_direct(self, direct: _Direct) -> _Direct | None:
        """Send a mail; return the next try for the remaining recipients, None when there are none."""
        alert, tries, now = direct.alert, direct.tries + 1, self._clocks.wall()
        results = self._send_to_server(alert.mail)
        left = remaining_recipients(results)
        if left and self._is_old(alert.mail, now):
            results, left = given_up(results), ()
            details = [item.detail for item in results if item.result is MailResult.GIVEN_UP]
            self._log_given_up(alert.mail, tries, details[0])
            MAILS.inc(MailResult.GIVEN_UP, by=len(details))
        self._to_record.append((alert, results, now))
        if not left:
            return None
        rest = replace(alert, mail=replace(alert.mail, recipients=left))
        return _Direct(rest, tries, self._clocks.monotonic() + mail_outbox.wait_s(tries))

    def _record_results(self) -> None:
        """Store due reminders and the results of direct mails in the database, and delete old mails."""
        now = self._clocks.wall()
        with self._database.transaction() as session:
            raised = due_alerts.remind(session, now)
            for alert, results, at in self._to_record:
                mail_outbox.add(session, [alert], sent_at=at)
                mail_failures.note(session, mail_outbox.owner_of(alert.subject_key), results, at)
            mail_failures.keep(session, mail_failures.OPERATORS, self._operators)
            self._operators_missed = mail_failures.operators_missed(session, now)
        self._to_record.clear()
        due_alerts.log(raised)
        if self._clocks.monotonic() >= self._purge_at:
            with self._database.transaction() as session:
                mail_outbox.purge(session, now - self._retention_s)
                mail_failures.purge(session, now - self._retention_s)
            self._purge_at = self._clocks.monotonic() + PURGE_INTERVAL_S

    def _send_outbox(self) -> None:
        while not self._stop.is_set() and self._reachable():
            with self._database.transaction() as session:
                claimed = mail_outbox.claim(session, self._clocks.wall())
            if claimed is None:
                return
            self._send(claimed)

    def _send(self, claimed: ClaimedMail) -> None:
        """Send a claimed mail. Raises MailUnavailable after its next attempt is stored: other mails would fail too."""
        try:
            results = self._send_to_server(claimed.mail)
        except MailUnavailable as error:
            self._postpone(claimed, error)
            raise
        now = self._clocks.wall()
        with self._database.transaction() as session:
            mail_outbox.settle(session, claimed, results, now)
        self._log(claimed.mail, claimed.tries, results)
        left = remaining_recipients(results)
        if left and self._is_old(claimed.mail, now):
            again = replace(claimed, mail=replace(claimed.mail, recipients=left))
            self._give_up(again, next(item.detail for item in results if item.result is MailResult.LATER))

    def _postpone(self, claimed: ClaimedMail, error: MailUnavailable) -> None:
        now = self._clocks.wall()
        if self._is_old(claimed.mail, now):
            self._give_up(claimed, str(error))
            return
        with self._database.transaction() as session:
            mail_outbox.later(session, claimed, now)

    @staticmethod
    def _is_old(mail: Mail, now: float) -> bool:
        return now - mail.created_at > GIVE_UP_S

    def _give_up(self, claimed: ClaimedMail, detail: str) -> None:
        with self._database.transaction() as session:
            mail_outbox.give_up(session, claimed, detail, self._clocks.wall())
        self._log_given_up(claimed.mail, claimed.tries, detail)
        MAILS.inc(MailResult.GIVEN_UP, by=len(claimed.mail.recipients))

    @staticmethod
    def _log_given_up(mail: Mail, tries: int, detail: str) -> None:
        facts = {"mail": mail.token, "subject": mail.subject, "tries": tries}
        _log.error("mail_given_up", code=MailUnavailable.code, detail=detail, **facts)

    def _send_to_server(self, mail: Mail) -> Sequence[RecipientResult]:
        try:
            results = self._mailer.send(mail)
        except MailUnavailable as error:
            self._set_server_state(error)
            raise
        self._set_server_state(None)
        for item in results:
            if item.result in {MailResult.DELIVERED, MailResult.REFUSED}:
                MAILS.inc(item.result)
        return results

    @staticmethod
    def _log(mail: Mail, tries: int, results: Sequence[RecipientResult]) -> None:
        """Log the results without addresses: they are personal data, and the log has many readers."""
        delivered = sum(item.result is MailResult.DELIVERED for item in results)
        if delivered:
            _log.info("mail_sent", mail=mail.token, tries=tries, recipients=delivered)
        for item in results:
            if item.result is MailResult.REFUSED:
                _log.error("recipient_refused", code=MailRefused.code, mail=mail.token, detail=item.detail)

    def _reachable(self) -> bool:
        """Return whether the mail server answers; check it only when a check is due. Raises MailUnavailable."""
        if self._clocks.monotonic() < self._ping_at:
            return self._unavailable is None
        try:
            self._mailer.ping()
        except MailUnavailable as error:
            self._set_server_state(error)
            raise
        self._set_server_state(None)
        return True

    def _set_server_state(self, error: MailUnavailable | None) -> None:
        self._unavailable = error
        self._ping_at = self._clocks.monotonic() + (PING_S if error is None else PING_AGAIN_S)
