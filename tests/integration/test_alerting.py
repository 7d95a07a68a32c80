"""From a condition to a mail: written in one transaction, sent when the mail server is there.

Real: the recorder, the outbox in SQLite, the mailing thread. Doubled: the mail server, by the shipped fake.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.harness.pipeline import until
from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd import clock
from webhookd.errors import MailUnavailable, MailUndeliverable
from webhookd.flow.administration import Availability
from webhookd.flow.alert import Alert, Kind
from webhookd.flow.condition import Condition, Health, LostRange, unhealthy
from webhookd.flow.mail import Fate, Mail
from webhookd.flow.spell import CALM_S
from webhookd.flow.subscription import Alerting
from webhookd.store import administration, alerts, conditions, mail_failures, migrating, spells, subscriptions
from webhookd.store.database import Database
from webhookd.store.tables import AlertRow, SpellRow
from webhookd.testing.memory_mailer import MemoryMailer
from workers.ingest import alerting, vitals
from workers.ingest.cadence import Clocks
from workers.ingest.mailing import GIVE_UP_S, Mailing
from workers.ingest.recorder import Recorder

PATIENCE_S = 20.0
HOUR = 3600.0
UNHEALTHY = Condition(subscription_id=ID, health=Health.UNHEALTHY, reason="http_500", since=1.0, lag=7)
HEALTHY = replace(UNHEALTHY, health=Health.HEALTHY, reason="")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database with two subscriptions, one of which has no address to mail to."""
    url = f"sqlite:///{tmp_path / 'alerting.db'}"
    migrating.upgrade(url)
    made = Database(url)
    with made.transaction() as session:
        subscriptions.insert(session, subscription(ID))
        subscriptions.insert(session, subscription(OTHER_ID, alerting=Alerting()))
    yield made
    made.close()


@pytest.fixture
def mailer() -> MemoryMailer:
    return MemoryMailer()


@pytest.fixture
def mailing(database: Database, mailer: MemoryMailer) -> Iterator[Mailing]:
    """A mailing thread that runs."""
    clocks = Clocks(monotonic=clock.monotonic, wall=clock.wall_clock)
    made = Mailing(database, mailer, retention_s=HOUR, clocks=clocks, interval_s=0.05)
    made.start()
    yield made
    made.stop(PATIENCE_S)


def written(database: Database, *latest: Condition, now: float) -> list[Kind]:
    """Write conditions as the recorder does; answers which alerts that raised."""
    with database.transaction() as session:
        raised = alerting.raise_due(session, latest, now)
        conditions.write(session, latest)
    return [item.kind for item in raised]


def outbox(database: Database) -> list[str]:
    with database.transaction() as session:
        return list(session.scalars(select(AlertRow.kind).order_by(AlertRow.id)))


def settled(database: Database) -> bool:
    with database.transaction() as session:
        return not list(session.scalars(select(AlertRow.id).where(AlertRow.next_try_at.is_not(None))))


def test_recorder_writes_condition_and_alert(database: Database) -> None:
    recorder = Recorder(
        database,
        retention_s=HOUR,
        dead_letter_retention_s=HOUR,
        dead_letter_limit=9,
        wall_clock=clock.wall_clock,
        monotonic=clock.monotonic,
    )
    recorder.condition(UNHEALTHY)
    recorder.start()
    recorder.stop(PATIENCE_S)
    with database.transaction() as session:
        assert conditions.read(session, ID) == UNHEALTHY
    assert outbox(database) == ["unhealthy"]


def test_endpoint_that_is_gone_is_one_mail(database: Database) -> None:
    recorder = Recorder(
        database,
        retention_s=HOUR,
        dead_letter_retention_s=HOUR,
        dead_letter_limit=9,
        wall_clock=clock.wall_clock,
        monotonic=clock.monotonic,
    )
    recorder.condition(replace(UNHEALTHY, reason="http_410"))
    recorder.deactivate(subscription(ID), "gone")
    recorder.start()
    recorder.stop(PATIENCE_S)
    assert outbox(database) == ["deactivated"]


def test_alert_is_rolled_back_with_its_condition(database: Database) -> None:
    refused = replace(UNHEALTHY, lag=2**70)
    with pytest.raises(OverflowError):
        written(database, refused, now=1.0)
    assert outbox(database) == []
    assert written(database, UNHEALTHY, now=2.0) == [Kind.UNHEALTHY]


def test_spell_goes_on_in_the_next_process(database: Database) -> None:
    kinds = [written(database, UNHEALTHY, now=float(now)) for now in range(1, 50)]
    kinds.append(written(database, HEALTHY, now=60.0))
    assert [kind for found in kinds for kind in found] == [Kind.UNHEALTHY, Kind.RECOVERED]


def test_subscription_without_address_is_told_to_the_log_alone(database: Database) -> None:
    assert written(database, replace(UNHEALTHY, subscription_id=OTHER_ID), now=1.0) == [Kind.UNHEALTHY]
    assert outbox(database) == []


def test_deleted_subscription_raises_nothing(database: Database) -> None:
    with database.transaction() as session:
        subscriptions.delete(session, ID)
    assert written(database, UNHEALTHY, now=1.0) == []


def test_lost_ranges_are_those_not_written_before(database: Database) -> None:
    first, second = (LostRange(topic="orders", partition=0, first=n, end=n + 5, at=1.0) for n in (0, 50))
    assert written(database, replace(HEALTHY, lost_ranges=(first,)), now=1.0) == [Kind.RECORDS_LOST]
    assert written(database, replace(HEALTHY, lost_ranges=(first,)), now=2.0) == []
    assert written(database, replace(HEALTHY, lost_ranges=(first, second)), now=3.0) == []
    with database.transaction() as session:
        [reminded] = alerting.remind(session, 2.0 + HOUR)
    assert "offsets 50 to 54" in reminded.mail.body


def test_reminder_tells_of_the_condition_as_it_is(database: Database) -> None:
    written(database, UNHEALTHY, now=1.0)
    written(database, replace(UNHEALTHY, lag=99), now=2.0)
    with database.transaction() as session:
        [reminder] = alerting.remind(session, 2.0 + HOUR)
    assert (reminder.kind, "99 records" in reminder.mail.body) == (Kind.REMINDER, True)


def test_switched_off_subscription_reminds_nobody(database: Database) -> None:
    written(database, UNHEALTHY, now=1.0)
    with database.transaction() as session:
        subscriptions.replace(session, subscription(active=False, version=2))
        assert alerting.remind(session, 2.0 + HOUR) == []
        assert spells.due(session, 1e9) == []


def test_nobody_is_reminded_while_webhookd_is_offline(database: Database) -> None:
    written(database, UNHEALTHY, now=1.0)
    with database.transaction() as session:
        administration.switch(session, Availability.OFFLINE, "moving house")
        offline = alerting.remind(session, 2.0 + HOUR)
        administration.switch(session, Availability.ONLINE, "")
        assert (offline, len(alerting.remind(session, 2.0 + HOUR))) == ([], 1)


def test_spell_that_is_long_over_is_forgotten(database: Database) -> None:
    written(database, UNHEALTHY, now=1.0)
    written(database, HEALTHY, now=2.0)
    with database.transaction() as session:
        assert alerting.remind(session, 2.0 + CALM_S) == []
        assert list(session.scalars(select(SpellRow.subject_key))) == []


def test_deactivation_is_told_once_and_ends_the_spell(database: Database) -> None:
    written(database, UNHEALTHY, now=1.0)
    off = subscription(active=False, version=2, inactive_reason="gone")
    with database.transaction() as session:
        subscriptions.replace(session, off)
        [alert] = alerting.deactivated(session, off, 2.0)
        assert list(session.scalars(select(SpellRow.subject_key))) == []
    assert (alert.kind, written(database, UNHEALTHY, now=3.0)) == (Kind.DEACTIVATED, [])


def test_switched_on_again_after_410_is_told_nothing_more(database: Database) -> None:
    gone = unhealthy(HEALTHY, "http_410", "", 1.0, version=1)
    kinds = written(database, replace(UNHEALTHY, version=1), now=1.0)
    off = subscription(active=False, version=2, inactive_reason="gone")
    with database.transaction() as session:
        conditions.write(session, [gone])
        subscriptions.replace(session, off)
        kinds += [item.kind for item in alerting.deactivated(session, off, 2.0)]
        subscriptions.replace(session, subscription(version=3))
        stored = conditions.read(session, ID)
    started = vitals.resumed(ID, 3, stored, 3.0)
    kinds += written(database, started.condition(()), now=3.0)
    kinds += written(database, replace(started.condition(()), proven=True), now=6.0)
    assert kinds == [Kind.UNHEALTHY, Kind.DEACTIVATED]


def test_recovery_is_told_however_long_nothing_came_after_the_change(database: Database) -> None:
    kinds = written(database, replace(UNHEALTHY, version=1), now=1.0)
    changed = replace(HEALTHY, version=2, proven=False)
    kinds += written(database, changed, now=2.0)
    with database.transaction() as session:
        kinds += [item.kind for item in alerting.remind(session, 2.0 + 3 * HOUR)]
    kinds += written(database, replace(changed, proven=True), now=3.0 + 3 * HOUR)
    assert kinds == [Kind.UNHEALTHY, Kind.RECOVERED]


def test_mail_waits_for_its_server(database: Database, mailer: MemoryMailer, mailing: Mailing) -> None:
    mailer.away = True
    written(database, UNHEALTHY, now=clock.wall_clock())
    until(lambda: _fails(mailing), "the mail server is missed")
    mailer.away = False
    assert mailer.wait(lambda sent: len(sent) == 1, PATIENCE_S)
    until(lambda: settled(database), "the outbox is settled")
    mailing.check()


def test_refused_mail_is_given_up_and_the_next_one_goes(
    database: Database, mailer: MemoryMailer, mailing: Mailing
) -> None:
    mailer.refused.add("gone@example.com")
    with database.transaction() as session:
        alerts.add(session, [an_alert("refused", "gone@example.com"), an_alert("well", "here@example.com")])
    assert mailer.wait(lambda sent: [mail.token for mail in sent] == ["well"], PATIENCE_S)
    until(lambda: settled(database), "the outbox is settled")
    del mailing


def test_one_address_keeps_a_mail_from_nobody_else(database: Database, mailer: MemoryMailer, mailing: Mailing) -> None:
    mailer.busy.add("busy@example.com")
    recipients = ("nobody at home", "busy@example.com", "jörg@example.com", "ops@bücher.example")
    with database.transaction() as session:
        emails = Alerting(emails=recipients)
        subscriptions.replace(session, subscription(ID, version=2, alerting=emails))
        mail = Mail(token="one", recipients=recipients, subject="s", body="b\n", created_at=clock.wall_clock())
        alerts.add(session, [Alert(subject_key=f"subscription:{ID}", kind=Kind.UNHEALTHY, mail=mail)])
    assert mailer.wait(lambda sent: len(sent) == 2, PATIENCE_S)
    until(lambda: len(failures(database, recipients)) == 2, "it is written who has not got it")
    assert failures(database, recipients) == {"nobody at home": Fate.REFUSED, "busy@example.com": Fate.LATER}
    mailer.busy.clear()
    with database.transaction() as session:
        session.execute(update(AlertRow).values(next_try_at=1.0))
    assert mailer.wait(lambda sent: len(sent) == 3, PATIENCE_S)
    until(lambda: settled(database), "the outbox is settled")
    assert [mail.recipients[0] for mail in mailer.sent] == [*recipients[2:], "busy@example.com"]
    assert failures(database, recipients) == {"nobody at home": Fate.REFUSED}
    del mailing


def test_operator_whom_mails_do_not_reach_is_a_fault_until_one_does(database: Database, mailer: MemoryMailer) -> None:
    clocks = Clocks(monotonic=clock.monotonic, wall=clock.wall_clock)
    operators = ["ops@example.com"]
    mailing = Mailing(database, mailer, operators=operators, retention_s=HOUR, clocks=clocks, interval_s=0.05)
    mailing.start()
    mailer.refused.add("ops@example.com")
    with database.transaction() as session:
        alerts.add(session, [an_alert("refused", "ops@example.com")])
    until(lambda: _misses_operators(mailing), "an operator is missed")
    mailer.refused.clear()
    with database.transaction() as session:
        alerts.add(session, [an_alert("taken", "ops@example.com")])
    until(lambda: not _misses_operators(mailing), "nobody is missed")
    mailing.stop(PATIENCE_S)


def test_mail_that_could_not_be_sent_for_days_is_given_up(
    database: Database, mailer: MemoryMailer, mailing: Mailing
) -> None:
    mailer.busy.add("busy@example.com")
    old = clock.wall_clock() - GIVE_UP_S - 1
    with database.transaction() as session:
        alerts.add(session, [an_alert("old", "busy@example.com", old)])
    until(lambda: settled(database), "it is given up")
    assert mailer.sent == []
    del mailing


def test_direct_mail_is_recorded_when_it_was_sent(database: Database, mailer: MemoryMailer, mailing: Mailing) -> None:
    mailing.send_directly(an_alert("direct", "ops@example.com"))
    assert mailer.wait(lambda sent: [mail.token for mail in sent] == ["direct"], PATIENCE_S)
    until(lambda: outbox(database) == ["fault"], "it is recorded")
    assert settled(database)


def test_crash_between_sending_and_saying_so_repeats_the_mail(
    database: Database, mailer: MemoryMailer, mailing: Mailing
) -> None:
    with database.transaction() as session:
        alerts.add(session, [an_alert("twice", "ops@example.com")])
    assert mailer.wait(lambda sent: len(sent) == 1, PATIENCE_S)
    until(lambda: settled(database), "the outbox is settled")
    with database.transaction() as session:
        session.execute(update(AlertRow).values(next_try_at=1.0, sent_at=None, recipients=["ops@example.com"]))
    assert mailer.wait(lambda sent: [mail.token for mail in sent] == ["twice"] * 2, PATIENCE_S)
    del mailing


def an_alert(name: str, recipient: str, at: float | None = None) -> Alert:
    created_at = clock.wall_clock() if at is None else at
    mail = Mail(token=name, recipients=(recipient,), subject="s", body="b\n", created_at=created_at)
    return Alert(subject_key="fault:x", kind=Kind.FAULT, mail=mail)


def failures(database: Database, recipients: Sequence[str]) -> dict[str, Fate]:
    with database.transaction() as session:
        return {item.recipient: item.fate for item in mail_failures.read(session, ID, recipients)}


def _misses_operators(mailing: Mailing) -> bool:
    try:
        mailing.check_operators()
    except MailUndeliverable:
        return True
    return False


def _fails(mailing: Mailing) -> bool:
    try:
        mailing.check()
    except MailUnavailable:
        return True
    return False
