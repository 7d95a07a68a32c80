"""Sends what the outbox holds, and what the outbox cannot hold because the database is away.

Of several ingest processes each sends what it claims. A mail server that is down delays mails and nothing else: they
are tried again for three days, then given up. What it refuses for good is given up at once; both are logged.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from threading import Event, Lock, Thread
from typing import Protocol

from webhookd import logs
from webhookd.errors import MailRefused, MailUnavailable, StoreUnavailable, WebhookdError
from webhookd.flow.alert import Alert
from webhookd.flow.mail import Mail
from webhookd.store import alerts
from webhookd.store.alerts import Claimed
from webhookd.store.database import Database
from workers.ingest import alerting
from workers.ingest.cadence import Clocks

INTERVAL_S = 2.0
GIVE_UP_S = 3 * 86400.0
PING_S = 60.0
"""Without mails to send the server is asked so rarely: it costs it a login."""
PING_AGAIN_S = 5.0
"""A server that did not answer is asked again so soon, so that its fault is over when it is."""
PURGE_INTERVAL_S = 600.0
HELD = 100
"""Alerts kept for the database; they are about few faults, each told at growing intervals."""

_log = logs.get(__name__)


class Sends(Protocol):
    """A mail server, as edges/mailer.py has it."""

    def send(self, mail: Mail) -> tuple[str, ...]:
        """Have it take the mail; answers the recipients that it may take it for later. Blocks."""

    def ping(self) -> None:
        """Raises MailUnavailable. Blocks."""


class Mailing:
    """One thread; `mailer` is where mails go."""

    def __init__(
        self,
        database: Database,
        mailer: Sends,
        *,
        retention_s: float,
        clocks: Clocks,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._interval_s = interval_s
        self._database = database
        self._mailer = mailer
        self._retention_s = retention_s
        self._clocks = clocks
        self._lock = Lock()
        self._direct: deque[Alert] = deque(maxlen=HELD)
        self._to_record: deque[tuple[Alert, float]] = deque(maxlen=HELD)
        self._ping_at = clocks.monotonic()
        self._purge_at = clocks.monotonic()
        self._unavailable: MailUnavailable | None = None
        self._stop = Event()
        self._wake = Event()
        self._thread = Thread(target=self._run, name="mailing", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """End the thread; what was not sent stays in the outbox."""
        self._stop.set()
        self._wake.set()
        self._thread.join(budget_s)

    def check(self) -> None:
        """Raises MailUnavailable when the mail server did not answer the last time; asks nobody."""
        if self._unavailable is not None:
            raise MailUnavailable(str(self._unavailable))

    def send_directly(self, alert: Alert) -> None:
        """Send without the database, which cannot be reached, and record it there when it can."""
        with self._lock:
            self._direct.append(alert)
        self._wake.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            for step in (self._send_direct, self._keep_books, self._send_outbox):
                self._take(step)
            self._wake.wait(self._interval_s)

    def _take(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (MailUnavailable, StoreUnavailable) as error:
            _log.warning(error.code, code=error.code, detail=error.detail)
        except Exception:  # noqa: BLE001 - the top of the thread: one mail must not end all mailing
            _log.exception("mailing_failed")

    def _send_direct(self) -> None:
        while self._direct and self._reachable():
            alert = self._direct[0]
            left: tuple[str, ...] = ()
            if alert.mail.recipients:
                left = self._send_unclaimed(alert)
            with self._lock:
                if self._direct and self._direct[0] is alert:
                    self._direct.popleft()
            if left:
                self._direct.append(replace(alert, mail=replace(alert.mail, recipients=left)))
                return

    def _send_unclaimed(self, alert: Alert) -> tuple[str, ...]:
        try:
            left = self._hand_over(alert.mail)
        except MailRefused as error:
            _log.error("mail_given_up", code=error.code, mail=alert.mail.token, detail=str(error))
            return ()
        self._to_record.append((alert, self._clocks.wall()))
        return left

    def _keep_books(self) -> None:
        """Write down what is due by now and what was sent without the database, and forget what is old."""
        now = self._clocks.wall()
        with self._database.transaction() as session:
            raised = alerting.remind(session, now)
            for alert, sent_at in self._to_record:
                alerts.add(session, [alert], sent_at=sent_at)
        self._to_record.clear()
        alerting.log(raised)
        if self._clocks.monotonic() >= self._purge_at:
            with self._database.transaction() as session:
                alerts.purge(session, now - self._retention_s)
            self._purge_at = self._clocks.monotonic() + PURGE_INTERVAL_S

    def _send_outbox(self) -> None:
        while not self._stop.is_set() and self._reachable():
            with self._database.transaction() as session:
                claimed = alerts.claim(session, self._clocks.wall())
            if claimed is None:
                return
            self._send(claimed)

    def _send(self, claimed: Claimed) -> None:
        """Raises MailUnavailable, once the next try is noted: the others in the outbox would meet the same."""
        try:
            left = self._hand_over(claimed.mail)
        except MailRefused as error:
            self._give_up(claimed, error)
        except MailUnavailable as error:
            self._put_off(claimed, error)
            raise
        else:
            self._settle(claimed, left)

    def _settle(self, claimed: Claimed, left: tuple[str, ...]) -> None:
        if left:
            self._put_off(claimed, MailUnavailable("some recipients may be taken later"), left)
            return
        with self._database.transaction() as session:
            alerts.sent(session, claimed, self._clocks.wall())
        _log.info("mail_sent", mail=claimed.mail.token, tries=claimed.tries, recipients=len(claimed.mail.recipients))

    def _put_off(self, claimed: Claimed, error: MailUnavailable, left: tuple[str, ...] = ()) -> None:
        now = self._clocks.wall()
        if now - claimed.mail.created_at > GIVE_UP_S:
            self._give_up(claimed, error)
            return
        with self._database.transaction() as session:
            alerts.later(session, claimed, now, left)

    def _give_up(self, claimed: Claimed, error: WebhookdError) -> None:
        with self._database.transaction() as session:
            alerts.close(session, claimed)
        facts = {"mail": claimed.mail.token, "subject": claimed.mail.subject, "tries": claimed.tries}
        _log.error("mail_given_up", code=error.code, detail=str(error), **facts)

    def _hand_over(self, mail: Mail) -> tuple[str, ...]:
        try:
            left = self._mailer.send(mail)
        except MailUnavailable as error:
            self._heard(error)
            raise
        self._heard(None)
        return left

    def _reachable(self) -> bool:
        """Whether the mail server may be sent to: while it is away it is asked now and then. Raises MailUnavailable."""
        if self._clocks.monotonic() < self._ping_at:
            return self._unavailable is None
        try:
            self._mailer.ping()
        except MailUnavailable as error:
            self._heard(error)
            raise
        self._heard(None)
        return True

    def _heard(self, error: MailUnavailable | None) -> None:
        self._unavailable = error
        self._ping_at = self._clocks.monotonic() + (PING_S if error is None else PING_AGAIN_S)
