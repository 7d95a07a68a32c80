"""From a status to a mail: stored in one transaction, sent when the mail server answers.

Real: the database writer, the outbox in SQLite, the relay's thread. Fake: the mail server, the shipped one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.harness.databases import create_tables
from tests.harness.metrics import Scrape, exposed
from tests.harness.pipeline import until
from tests.harness.secret_keys import SECRET_KEYS
from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd import clock
from webhookd.errors import MailUnavailable, MailUndeliverable
from webhookd.flow.alerting.alert import Alert, AlertKind
from webhookd.flow.alerting.incident import FLAP_WINDOW_S
from webhookd.flow.alerting.mail import Mail, MailResult
from webhookd.flow.control.administration import Availability
from webhookd.flow.status.subscription_status import Health, LostRange, SubscriptionStatus, unhealthy
from webhookd.flow.subscription import Alerting
from webhookd.store import (
    administration,
    audit_log,
    incidents,
    mail_failures,
    mail_outbox,
    subscription_statuses,
    subscriptions,
)
from webhookd.store.audit_log import Criteria
from webhookd.store.database import Database
from webhookd.store.tables import IncidentRow, MailRow
from webhookd.testing.memory_mailer import MemoryMailer
from workers.ingest.alerting import due_alerts
from workers.ingest.alerting.outbox_relay import GIVE_UP_S, OutboxRelay
from workers.ingest.consumer import subscription_health
from workers.ingest.loop_limits import Clocks
from workers.ingest.settlement.database_writer import DatabaseWriter

PATIENCE_S = 20.0
HOUR = 3600.0
UNHEALTHY = SubscriptionStatus(subscription_id=ID, health=Health.UNHEALTHY, reason="http_500", since=1.0, lag=7)
HEALTHY = replace(UNHEALTHY, health=Health.HEALTHY, reason="")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database with two subscriptions; one has no address for alerts."""
    url = f"sqlite:///{tmp_path / 'alerting.db'}"
    create_tables(url)
    made = Database(url, secret_keys=SECRET_KEYS)
    with made.transaction() as session:
        subscriptions.insert(session, subscription(ID))
        subscriptions.insert(session, subscription(OTHER_ID, alerting=Alerting()))
    yield made
    made.close()


@pytest.fixture
def mailer() -> MemoryMailer:
    return MemoryMailer()


@pytest.fixture
def outbox_relay(database: Database, mailer: MemoryMailer) -> Iterator[OutboxRelay]:
    """A relay that runs."""
    clocks = Clocks(monotonic=clock.monotonic, wall=clock.wall_clock)
    made = OutboxRelay(database, mailer, retention_s=HOUR, clocks=clocks, interval_s=0.05)
    made.start()
    yield made
    made.stop(PATIENCE_S)


def written(database: Database, *latest: SubscriptionStatus, now: float) -> list[AlertKind]:
    """Write statuses as the database writer does; return the kinds of the raised alerts."""
    with database.transaction() as session:
        raised = due_alerts.raise_due(session, latest, now)
        subscription_statuses.write(session, latest)
    return [item.kind for item in raised]


def outbox(database: Database) -> list[str]:
    with database.transaction() as session:
        return list(session.scalars(select(MailRow.kind).order_by(MailRow.id)))


def settled(database: Database) -> bool:
    with database.transaction() as session:
        return not list(session.scalars(select(MailRow.id).where(MailRow.next_try_at.is_not(None))))


def test_writer_writes_status_and_alert(database: Database) -> None:
    writer = DatabaseWriter(
        database,
        retention_s=HOUR,
        dead_letter_retention_s=HOUR,
        audit_retention_s=86400.0,
        dead_letter_limit=9,
        wall_clock=clock.wall_clock,
        monotonic=clock.monotonic,
    )
    writer.set_status(UNHEALTHY)
    writer.start()
    writer.stop(PATIENCE_S)
    with database.transaction() as session:
        assert subscription_statuses.read(session, ID) == UNHEALTHY
    assert outbox(database) == ["unhealthy"]


def test_endpoint_that_is_gone_is_one_mail(database: Database) -> None:
    writer = DatabaseWriter(
        database,
        retention_s=HOUR,
        dead_letter_retention_s=HOUR,
        audit_retention_s=86400.0,
        dead_letter_limit=9,
        wall_clock=clock.wall_clock,
        monotonic=clock.monotonic,
    )
    writer.set_status(replace(UNHEALTHY, reason="http_410"))
    writer.deactivate(subscription(ID), "gone")
    writer.start()
    writer.stop(PATIENCE_S)
    assert outbox(database) == ["deactivated"]
    with database.transaction() as session:
        [entry] = audit_log.page(session, Criteria(), limit=9).rows
    assert (entry.key_name, entry.action, entry.subject_id) == ("webhookd", "deactivate", ID)
    assert entry.after == {"id": ID, "active": "no", "reason": "gone"}


def test_alert_is_rolled_back_with_its_status(database: Database) -> None:
    refused = replace(UNHEALTHY, lag=2**70)
    with pytest.raises(OverflowError):
        written(database, refused, now=1.0)
    assert outbox(database) == []
    assert written(database, UNHEALTHY, now=2.0) == [AlertKind.UNHEALTHY]


def test_incident_continues_in_the_next_process(database: Database) -> None:
    kinds = [written(database, UNHEALTHY, now=float(now)) for now in range(1, 50)]
    kinds.append(written(database, HEALTHY, now=60.0))
    assert [kind for found in kinds for kind in found] == [AlertKind.UNHEALTHY, AlertKind.RECOVERED]


def test_alert_without_address_is_only_logged(database: Database) -> None:
    assert written(database, replace(UNHEALTHY, subscription_id=OTHER_ID), now=1.0) == [AlertKind.UNHEALTHY]
    assert outbox(database) == []


def test_deleted_subscription_raises_nothing(database: Database) -> None:
    with database.transaction() as session:
        subscriptions.delete(session, ID)
    assert written(database, UNHEALTHY, now=1.0) == []


def test_lost_ranges_are_those_not_written_before(database: Database) -> None:
    first, second = (LostRange(topic="orders", partition=0, first=n, end=n + 5, at=1.0) for n in (0, 50))
    assert written(database, replace(HEALTHY, lost_ranges=(first,)), now=1.0) == [AlertKind.RECORDS_LOST]
    assert written(database, replace(HEALTHY, lost_ranges=(first,)), now=2.0) == []
    assert written(database, replace(HEALTHY, lost_ranges=(first, second)), now=3.0) == []
    with database.transaction() as session:
        [reminded] = due_alerts.remind(session, 2.0 + HOUR)
    assert "offsets 50 to 54" in reminded.mail.body


def test_reminder_has_the_current_status(database: Database) -> None:
    written(database, UNHEALTHY, now=1.0)
    written(database, replace(UNHEALTHY, lag=99), now=2.0)
    with database.transaction() as session:
        [reminder] = due_alerts.remind(session, 2.0 + HOUR)
    assert (reminder.kind, "99 records" in reminder.mail.body) == (AlertKind.REMINDER, True)


def test_inactive_subscription_gets_no_reminder(database: Database) -> None:
    written(database, UNHEALTHY, now=1.0)
    with database.transaction() as session:
        subscriptions.replace(session, subscription(active=False, version=2))
        assert due_alerts.remind(session, 2.0 + HOUR) == []
        assert incidents.due(session, 1e9) == []


def test_no_reminder_while_webhookd_is_offline(database: Database) -> None:
    written(database, UNHEALTHY, now=1.0)
    with database.transaction() as session:
        administration.switch(session, Availability.OFFLINE, "moving house")
        offline = due_alerts.remind(session, 2.0 + HOUR)
        administration.switch(session, Availability.ONLINE, "")
        assert (offline, len(due_alerts.remind(session, 2.0 + HOUR))) == ([], 1)


def test_incident_long_over_is_deleted(database: Database) -> None:
    written(database, UNHEALTHY, now=1.0)
    written(database, HEALTHY, now=2.0)
    with database.transaction() as session:
        assert due_alerts.remind(session, 2.0 + FLAP_WINDOW_S) == []
        assert list(session.scalars(select(IncidentRow.subject_key))) == []


def test_deactivation_is_mailed_once_and_ends_the_incident(database: Database) -> None:
    written(database, UNHEALTHY, now=1.0)
    off = subscription(active=False, version=2, inactive_reason="gone")
    with database.transaction() as session:
        subscriptions.replace(session, off)
        [alert] = due_alerts.raise_deactivation(session, off, 2.0)
        assert list(session.scalars(select(IncidentRow.subject_key))) == []
    assert (alert.kind, written(database, UNHEALTHY, now=3.0)) == (AlertKind.DEACTIVATED, [])


def test_reactivation_after_410_is_not_mailed(database: Database) -> None:
    gone = unhealthy(HEALTHY, "http_410", "", 1.0, version=1)
    kinds = written(database, replace(UNHEALTHY, version=1), now=1.0)
    off = subscription(active=False, version=2, inactive_reason="gone")
    with database.transaction() as session:
        subscription_statuses.write(session, [gone])
        subscriptions.replace(session, off)
        kinds += [item.kind for item in due_alerts.raise_deactivation(session, off, 2.0)]
        subscriptions.replace(session, subscription(version=3))
        stored = subscription_statuses.read(session, ID)
    started = subscription_health.resumed(ID, 3, stored, 3.0)
    kinds += written(database, started.status(()), now=3.0)
    kinds += written(database, replace(started.status(()), version_delivered=True), now=6.0)
    assert kinds == [AlertKind.UNHEALTHY, AlertKind.DEACTIVATED]


def test_recovery_is_mailed_long_after_the_change(database: Database) -> None:
    kinds = written(database, replace(UNHEALTHY, version=1), now=1.0)
    changed = replace(HEALTHY, version=2, version_delivered=False)
    kinds += written(database, changed, now=2.0)
    with database.transaction() as session:
        kinds += [item.kind for item in due_alerts.remind(session, 2.0 + 3 * HOUR)]
    kinds += written(database, replace(changed, version_delivered=True), now=3.0 + 3 * HOUR)
    assert kinds == [AlertKind.UNHEALTHY, AlertKind.RECOVERED]


def test_mail_waits_for_its_server(database: Database, mailer: MemoryMailer, outbox_relay: OutboxRelay) -> None:
    mailer.down = True
    written(database, UNHEALTHY, now=clock.wall_clock())
    until(lambda: _fails(outbox_relay), "the fault of the mail server is found")
    mailer.down = False
    assert mailer.wait(lambda sent: len(sent) == 1, PATIENCE_S)
    until(lambda: settled(database), "the outbox is settled")
    outbox_relay.check()


def test_rejected_mail_is_given_up_and_the_next_is_sent(
    database: Database, mailer: MemoryMailer, outbox_relay: OutboxRelay
) -> None:
    mailer.refused.add("gone@example.com")
    with exposed() as live:
        with database.transaction() as session:
            mail_outbox.add(session, [an_alert("refused", "gone@example.com"), an_alert("well", "here@example.com")])
        assert mailer.wait(lambda sent: [mail.token for mail in sent] == ["well"], PATIENCE_S)
        until(lambda: settled(database), "the outbox is settled")
        assert sent_by_result(live.read()) == {"delivered": 1, "refused": 1}
    del outbox_relay


def sent_by_result(scraped: Scrape) -> dict[str, float]:
    """How many mails were counted by their result."""
    return {one.labels["result"]: one.value for one in scraped.series("webhookd_mails_total")}


def test_failing_address_keeps_the_mail_from_no_other(
    database: Database, mailer: MemoryMailer, outbox_relay: OutboxRelay
) -> None:
    mailer.deferred.add("busy@example.com")
    recipients = ("nobody at home", "busy@example.com", "jörg@example.com", "ops@bücher.example")
    with database.transaction() as session:
        emails = Alerting(emails=recipients)
        subscriptions.replace(session, subscription(ID, version=2, alerting=emails))
        mail = Mail(token="one", recipients=recipients, subject="s", body="b\n", created_at=clock.wall_clock())
        mail_outbox.add(session, [Alert(subject_key=f"subscription:{ID}", kind=AlertKind.UNHEALTHY, mail=mail)])
    assert mailer.wait(lambda sent: len(sent) == 2, PATIENCE_S)
    until(lambda: len(failures(database, recipients)) == 2, "the failed recipients are stored")
    assert failures(database, recipients) == {
        "nobody at home": MailResult.REFUSED,
        "busy@example.com": MailResult.LATER,
    }
    mailer.deferred.clear()
    with database.transaction() as session:
        session.execute(update(MailRow).values(next_try_at=1.0))
    assert mailer.wait(lambda sent: len(sent) == 3, PATIENCE_S)
    until(lambda: settled(database), "the outbox is settled")
    assert [mail.recipients[0] for mail in mailer.sent] == [*recipients[2:], "busy@example.com"]
    assert failures(database, recipients) == {"nobody at home": MailResult.REFUSED}
    del outbox_relay


def test_unreached_operator_is_a_fault_until_reached(database: Database, mailer: MemoryMailer) -> None:
    clocks = Clocks(monotonic=clock.monotonic, wall=clock.wall_clock)
    operators = ["ops@example.com"]
    outbox_relay = OutboxRelay(database, mailer, operators=operators, retention_s=HOUR, clocks=clocks, interval_s=0.05)
    outbox_relay.start()
    mailer.refused.add("ops@example.com")
    with database.transaction() as session:
        mail_outbox.add(session, [an_alert("refused", "ops@example.com")])
    until(lambda: _misses_operators(outbox_relay), "a failed operator is found")
    mailer.refused.clear()
    with database.transaction() as session:
        mail_outbox.add(session, [an_alert("taken", "ops@example.com")])
    until(lambda: not _misses_operators(outbox_relay), "no operator has failed")
    outbox_relay.stop(PATIENCE_S)


def test_mail_that_could_not_be_sent_for_days_is_given_up(
    database: Database, mailer: MemoryMailer, outbox_relay: OutboxRelay
) -> None:
    mailer.deferred.add("busy@example.com")
    old = clock.wall_clock() - GIVE_UP_S - 1
    with exposed() as live:
        with database.transaction() as session:
            mail_outbox.add(session, [an_alert("old", "busy@example.com", old)])
        until(lambda: sent_by_result(live.read()) == {"given_up": 1}, "it is counted")
    assert settled(database)
    assert mailer.sent == []
    del outbox_relay


def test_direct_mail_is_stored_after_sending(
    database: Database, mailer: MemoryMailer, outbox_relay: OutboxRelay
) -> None:
    outbox_relay.send_directly(an_alert("direct", "ops@example.com"))
    assert mailer.wait(lambda sent: [mail.token for mail in sent] == ["direct"], PATIENCE_S)
    until(lambda: outbox(database) == ["fault"], "it is recorded")
    assert settled(database)


def test_crash_between_sending_and_storing_repeats_the_mail(
    database: Database, mailer: MemoryMailer, outbox_relay: OutboxRelay
) -> None:
    with database.transaction() as session:
        mail_outbox.add(session, [an_alert("twice", "ops@example.com")])
    assert mailer.wait(lambda sent: len(sent) == 1, PATIENCE_S)
    until(lambda: settled(database), "the outbox is settled")
    with database.transaction() as session:
        session.execute(update(MailRow).values(next_try_at=1.0, sent_at=None, recipients=["ops@example.com"]))
    assert mailer.wait(lambda sent: [mail.token for mail in sent] == ["twice"] * 2, PATIENCE_S)
    del outbox_relay


def an_alert(name: str, recipient: str, at: float | None = None) -> Alert:
    created_at = clock.wall_clock() if at is None else at
    mail = Mail(token=name, recipients=(recipient,), subject="s", body="b\n", created_at=created_at)
    return Alert(subject_key="fault:x", kind=AlertKind.FAULT, mail=mail)


def failures(database: Database, recipients: Sequence[str]) -> dict[str, MailResult]:
    with database.transaction() as session:
        return {item.recipient: item.result for item in mail_failures.read(session, ID, recipients)}


def _misses_operators(outbox_relay: OutboxRelay) -> bool:
    try:
        outbox_relay.check_operators()
    except MailUndeliverable:
        return True
    return False


def _fails(outbox_relay: OutboxRelay) -> bool:
    try:
        outbox_relay.check()
    except MailUnavailable:
        return True
    return False
