"""Mails without the outbox to an operator whose address the mail server rejects for the moment.

Real: the relay's thread, the rows in SQLite. Fake: the mail server, the shipped one. The clock is the test's.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.databases import create_tables
from tests.harness.metrics import exposed
from tests.harness.pipeline import until
from tests.harness.secret_keys import SECRET_KEYS
from webhookd.flow.alerting.alert import Alert, AlertKind
from webhookd.flow.alerting.mail import Mail, MailResult, RecipientResult
from webhookd.store import mail_failures
from webhookd.store.database import Database
from webhookd.testing.memory_mailer import MemoryMailer
from workers.ingest.alerting.outbox_relay import GIVE_UP_S, OutboxRelay
from workers.ingest.loop_limits import Clocks

PATIENCE_S = 20.0
RETENTION_S = 3600.0


class CountingMailer(MemoryMailer):
    """Also counts the tries for each recipient; it counts before it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.tries: Counter[str] = Counter()

    def send(self, mail: Mail) -> tuple[RecipientResult, ...]:
        self.tries.update(mail.recipients)
        return super().send(mail)


class DirectScene:
    """Mails that are sent without the outbox while one recipient is busy; the clock is the test's."""

    def __init__(self, database: Database) -> None:
        self.now = 1_000_000.0
        self.mailer = CountingMailer()
        self.mailer.deferred.add("busy@example.com")
        clocks = Clocks(monotonic=lambda: self.now, wall=lambda: self.now)
        operators = ["busy@example.com"]
        self.outbox_relay = OutboxRelay(
            database, self.mailer, operators=operators, retention_s=RETENTION_S, clocks=clocks, interval_s=0.01
        )
        self.outbox_relay.start()

    def tries(self, now: float) -> int:
        """Number of tries for the busy recipient once every mail that is due at this moment was sent."""
        self.now = now
        for name in (f"first {now}", f"second {now}"):  # a try that was not due would come between these two
            self.outbox_relay.send_directly(an_alert(name, "here@example.com", now))
            self._passes(name)
        return self.mailer.tries["busy@example.com"]

    def _passes(self, name: str) -> None:
        assert self.mailer.wait(lambda sent: name in [mail.token for mail in sent], PATIENCE_S)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database without a row."""
    url = f"sqlite:///{tmp_path / 'mails.db'}"
    create_tables(url)
    made = Database(url, secret_keys=SECRET_KEYS)
    yield made
    made.close()


@pytest.fixture
def direct(database: Database) -> Iterator[DirectScene]:
    """A relay that runs."""
    scene = DirectScene(database)
    yield scene
    scene.outbox_relay.stop(PATIENCE_S)


def test_direct_mail_waits_longer_after_each_refusal(direct: DirectScene) -> None:
    begun = direct.now
    direct.outbox_relay.send_directly(an_alert("direct", "busy@example.com", begun))
    tries = [direct.tries(begun + after_s) for after_s in (0.0, 14.0, 16.0, 44.0, 47.0)]
    direct.mailer.deferred.clear()
    tries += [direct.tries(begun + after_s) for after_s in (110.0, 500.0)]
    assert tries == [1, 1, 2, 2, 3, 4, 4]


def test_direct_mail_is_given_up_after_days(direct: DirectScene, database: Database) -> None:
    begun = direct.now
    with exposed() as live:
        direct.outbox_relay.send_directly(an_alert("old", "busy@example.com", begun - GIVE_UP_S - 1))
        assert [direct.tries(begun + after_s) for after_s in (0.0, 16.0, 1000.0)] == [1, 1, 1]
        counted = {one.labels["result"]: one.value for one in live.read().series("webhookd_mails_total")}
    assert counted == {"given_up": 1, "delivered": 6}
    until(lambda: operator_failures(database) == [MailResult.GIVEN_UP], "the failed recipient is stored")


def operator_failures(database: Database) -> list[MailResult]:
    with database.transaction() as session:
        return [item.result for item in mail_failures.read(session, mail_failures.OPERATORS, ["busy@example.com"])]


def an_alert(name: str, recipient: str, at: float) -> Alert:
    mail = Mail(token=name, recipients=(recipient,), subject="s", body="b\n", created_at=at)
    return Alert(subject_key="fault:x", kind=AlertKind.FAULT, mail=mail)
