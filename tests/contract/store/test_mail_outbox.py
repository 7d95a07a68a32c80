"""The mail outbox, incidents, and system health. Times are the test's, ages of faults the database's."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import text, update

from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd.flow.alerting.alert import Alert, AlertKind
from webhookd.flow.alerting.alert_recipient import AlertRecipient
from webhookd.flow.alerting.incident import FLAP_WINDOW_S, Incident
from webhookd.flow.alerting.mail import Mail, MailResult, RecipientResult
from webhookd.flow.destination import Destination, Tls
from webhookd.flow.monitoring.system_faults import SystemFault
from webhookd.flow.subscription import Alerting, OnExhausted, Retry
from webhookd.store import incidents, mail_failures, mail_outbox, subscriptions, system_health
from webhookd.store.database import Database
from webhookd.store.mail_failures import LATE_S, MailFailure
from webhookd.store.mail_outbox import CLAIM_S, FIRST_WAIT_S, LONGEST_WAIT_S, ClaimedMail
from webhookd.store.system_health import IngestLoad, SeenFault
from webhookd.store.tables import FaultRow, IngestLoadRow, MailRow, SubscriptionRow

NOW = 1_700_000_000.0
KEY = f"subscription:{ID}"
FAULT = SystemFault(code="queue_unavailable", detail="refused \x00", since=NOW)


def an_alert(name: str = "t1", at: float = NOW, recipients: tuple[str, ...] = ("a@example.com",)) -> Alert:
    mail = Mail(token=name, recipients=recipients, subject="it fails", body="body\n", created_at=at)
    return Alert(subject_key=KEY, kind=AlertKind.UNHEALTHY, mail=mail)


def add(database: Database, *added: Alert) -> None:
    with database.transaction() as session:
        mail_outbox.add(session, added)


def claim(database: Database, now: float = NOW) -> ClaimedMail | None:
    with database.transaction() as session:
        return mail_outbox.claim(session, now)


def must_claim(database: Database, now: float = NOW) -> ClaimedMail:
    claimed = claim(database, now)
    assert claimed is not None
    return claimed


def test_mail_comes_back_as_it_was_added(database: Database) -> None:
    add(database, an_alert())
    assert must_claim(database).mail == an_alert().mail


def waiting(database: Database) -> int:
    with database.transaction() as session:
        return mail_outbox.waiting(session)


def test_mails_wait_until_they_are_sent_or_given_up(database: Database) -> None:
    with database.transaction() as session:
        mail_outbox.add(session, [an_alert("direct")], sent_at=NOW)
    add(database, an_alert("late", NOW - 1), an_alert("early", NOW - 2), an_alert("future", NOW + 1))
    assert waiting(database) == 3
    first, second = must_claim(database), must_claim(database)
    assert waiting(database) == 3, "they are being sent"
    with database.transaction() as session:
        sent = RecipientResult(recipient="a@example.com", result=MailResult.DELIVERED)
        mail_outbox.settle(session, first, [sent], NOW)
        mail_outbox.give_up(session, second, "no answer", NOW)
    assert waiting(database) == 1


def test_oldest_mail_is_claimed_first(database: Database) -> None:
    add(database, an_alert("late", NOW - 1), an_alert("early", NOW - 2), an_alert("future", NOW + 1))
    assert [must_claim(database).mail.token for _ in range(2)] == ["early", "late"]
    assert claim(database) is None


def test_claimed_mail_is_nobody_elses_until_its_claim_is_over(database: Database) -> None:
    add(database, an_alert())
    first = must_claim(database)
    assert claim(database, NOW + CLAIM_S - 1) is None
    again = must_claim(database, NOW + CLAIM_S)
    assert (again.mail.token, first.tries, again.tries) == (first.mail.token, 1, 2)


def test_processes_that_claim_at_once_get_different_mails(database: Database) -> None:
    add(database, *[an_alert(f"t{number}") for number in range(20)])
    taken: list[str] = []
    barrier = threading.Barrier(4)

    def take_five() -> None:
        barrier.wait(10)
        for _ in range(5):
            claimed = claim(database)
            taken.extend([claimed.mail.token] if claimed else [])

    threads = [threading.Thread(target=take_five) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(taken) == len(set(taken))
    while (left := claim(database)) is not None:
        taken.append(left.mail.token)
    assert len(set(taken)) == 20


def settle(database: Database, claimed: ClaimedMail, now: float = NOW, **settled: MailResult) -> None:
    """What became of a mail for each recipient by its name."""
    settlements = [
        RecipientResult(recipient=f"{name}@example.com", result=fate, detail=f"said to {name}")
        for name, fate in settled.items()
    ]
    with database.transaction() as session:
        mail_outbox.settle(session, claimed, settlements, now)


def failing(database: Database, *recipients: str) -> list[MailFailure]:
    with database.transaction() as session:
        return mail_failures.read(session, ID, [f"{name}@example.com" for name in recipients])


def subscribe(database: Database, *recipients: str) -> None:
    """A subscription whose owners have these addresses."""
    emails = tuple(f"{name}@example.com" for name in recipients)
    with database.transaction() as session:
        subscriptions.insert(session, subscription(alerting=Alerting(emails=emails)))


def test_delivered_mail_is_not_claimed_again(database: Database) -> None:
    add(database, an_alert())
    settle(database, must_claim(database), a=MailResult.DELIVERED)
    assert claim(database, NOW + 1e6) is None


def test_next_try_is_for_those_who_may_get_it_later(database: Database) -> None:
    add(database, an_alert(recipients=("a@example.com", "b@example.com", "c@example.com")))
    settle(database, must_claim(database), a=MailResult.DELIVERED, b=MailResult.LATER, c=MailResult.REFUSED)
    assert claim(database, NOW + FIRST_WAIT_S - 1) is None
    assert must_claim(database, NOW + FIRST_WAIT_S).mail.recipients == ("b@example.com",)


def test_mail_that_nobody_will_get_is_over(database: Database) -> None:
    add(database, an_alert())
    settle(database, must_claim(database), a=MailResult.REFUSED)
    assert claim(database, NOW + 1e9) is None


def test_failing_addresses_are_named_until_a_mail_gets_there(database: Database) -> None:
    subscribe(database, "a", "b", "c")
    for number in range(2):
        add(database, an_alert(f"t{number}", recipients=("a@example.com", "b@example.com", "c@example.com")))
        settle(
            database,
            must_claim(database),
            NOW + number,
            a=MailResult.DELIVERED,
            b=MailResult.LATER,
            c=MailResult.REFUSED,
        )
    assert failing(database, "c", "b", "a") == [
        MailFailure(
            recipient="c@example.com", result=MailResult.REFUSED, detail="said to c", mails=2, since=NOW, at=NOW + 1
        ),
        MailFailure(
            recipient="b@example.com", result=MailResult.LATER, detail="said to b", mails=0, since=NOW, at=NOW + 1
        ),
    ]
    add(database, an_alert("t2"))
    settle(database, must_claim(database), NOW + 2, b=MailResult.DELIVERED, c=MailResult.DELIVERED)
    assert failing(database, "a", "b", "c") == []


def test_given_up_mail_is_never_tried_again_and_names_who_has_not_got_it(database: Database) -> None:
    subscribe(database, "a")
    add(database, an_alert())
    with database.transaction() as session:
        mail_outbox.give_up(session, must_claim(database), "nobody listens", NOW)
    assert claim(database, NOW + 1e9) is None
    assert [(item.result, item.detail, item.mails) for item in failing(database, "a")] == [
        (MailResult.GIVEN_UP, "nobody listens", 1)
    ]


def test_addresses_that_count_as_undeliverable(database: Database) -> None:
    subscribe(database, "a", "b")
    add(database, an_alert(recipients=("a@example.com", "b@example.com")))
    settle(database, must_claim(database), a=MailResult.REFUSED, b=MailResult.LATER)
    with database.transaction() as session:
        assert mail_failures.count(session, NOW) == 1
        assert mail_failures.count(session, NOW + LATE_S + 1) == 2
        assert mail_failures.operators_missed(session, NOW + LATE_S + 1) == 0


def test_operators_addresses_are_kept_apart(database: Database) -> None:
    add(database, replace(an_alert(), subject_key="fault:queue_unavailable"))
    settle(database, must_claim(database), a=MailResult.REFUSED)
    with database.transaction() as session:
        assert (mail_failures.operators_missed(session, NOW), mail_failures.count(session, NOW)) == (1, 1)
        mail_failures.keep(session, mail_failures.OPERATORS, ["other@example.com"])
        assert mail_failures.operators_missed(session, NOW) == 0


def test_address_that_is_not_the_owners_any_more_is_not_named(database: Database) -> None:
    subscribe(database, "b")
    add(database, an_alert())
    settle(database, must_claim(database), a=MailResult.REFUSED)
    assert failing(database, "a", "b") == []


def test_addresses_are_forgotten_with_their_owner_and_with_time(database: Database) -> None:
    subscribe(database, "a", "b")
    add(database, an_alert())
    settle(database, must_claim(database), a=MailResult.REFUSED, b=MailResult.REFUSED)
    with database.transaction() as session:
        mail_failures.keep(session, ID, ["a@example.com"])
    assert [item.recipient for item in failing(database, "a", "b")] == ["a@example.com"]
    with database.transaction() as session:
        mail_failures.purge(session, NOW + 1)
    assert failing(database, "a") == []


def test_failed_mail_is_tried_at_growing_intervals(database: Database) -> None:
    add(database, an_alert())
    now, waits = NOW, []
    for _ in range(7):
        claimed = must_claim(database, now)
        with database.transaction() as session:
            mail_outbox.later(session, claimed, now)
            row = session.get(MailRow, claimed.id)
        assert row is not None
        assert row.next_try_at is not None
        waits.append(row.next_try_at - now)
        now = row.next_try_at
    assert waits == [FIRST_WAIT_S, 30.0, 60.0, 120.0, 240.0, LONGEST_WAIT_S, LONGEST_WAIT_S]


def test_mail_for_nobody_and_the_same_mail_twice_are_left_out(database: Database) -> None:
    add(database, an_alert("t1"), an_alert("t1"), an_alert("t2", recipients=()))
    assert must_claim(database).mail.token == "t1"
    assert claim(database) is None


def test_purge_keeps_what_is_new_or_not_settled(database: Database) -> None:
    add(database, an_alert("old and waiting", NOW - 100), an_alert("new", NOW))
    with database.transaction() as session:
        mail_outbox.add(session, [an_alert("old and sent", NOW - 100)], sent_at=NOW - 90)
        mail_outbox.purge(session, NOW - 50)
        left = set(session.scalars(text("SELECT message_id FROM mail_outbox")))
    assert left == {"old and waiting", "new"}


def test_recipient_is_read_from_the_subscription(database: Database) -> None:
    with database.transaction() as session:
        unverified = Destination(url="https://example.com/hook", tls=Tls(verify=False))
        retry = Retry(on_exhausted=OnExhausted.DEAD_LETTER)
        subscriptions.insert(session, subscription(destination=unverified, retry=retry))
        found = mail_outbox.recipients(session, [ID, OTHER_ID])
    assert found == {
        ID: AlertRecipient(
            id=ID,
            name="orders to the shop",
            emails=("ops@example.com",),
            version=1,
            on_exhausted=OnExhausted.DEAD_LETTER,
            url="https://example.com/hook",
            tls_verify=False,
        )
    }


@pytest.mark.parametrize(("column", "emails"), [("sources", ("ops@example.com",)), ("alert_emails", ())])
def test_owner_of_an_unusable_subscription_is_known_as_far_as_possible(
    database: Database, column: str, emails: tuple[str, ...]
) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription())
        session.execute(update(SubscriptionRow).values({column: 7}))
        found = mail_outbox.recipients(session, [ID])[ID]
    assert (found.name, found.emails, found.active) == ("orders to the shop", emails, True)


def a_incident(began_at: float = NOW, **changes: float) -> Incident:
    return replace(Incident(began_at=began_at, next_mail_at=began_at + 3600), **changes)  # type: ignore[arg-type]


def test_incident_is_kept_changed_and_removed(database: Database) -> None:
    for after in (
        a_incident(),
        a_incident(ended_at=NOW + 1, owner_notified=False, mails=3, unreported_ranges=7, unreported_records=2**40),
        None,
    ):
        with database.transaction() as session:
            assert incidents.save(session, incidents.lock(session, [KEY]), {KEY: after}) == set()
        with database.transaction() as session:
            assert incidents.lock(session, [KEY]).get(KEY) == after


def test_of_two_that_begin_one_incident_the_second_is_told(database: Database) -> None:
    with database.transaction() as session:
        assert incidents.save(session, {}, {KEY: a_incident()}) == set()
    with database.transaction() as session:
        assert incidents.save(session, {}, {KEY: a_incident(NOW + 1)}) == {KEY}
        assert incidents.lock(session, [KEY]) == {KEY: a_incident()}


def test_incidents_are_found_by_the_beginning_of_their_key(database: Database) -> None:
    with database.transaction() as session:
        incidents.save(
            session, {}, {"fault:a": a_incident(), "fault:b": a_incident(), "fault_c": a_incident(), KEY: a_incident()}
        )
        assert set(incidents.lock_prefix(session, "fault:")) == {"fault:a", "fault:b"}


def test_due_incidents_are_those_to_speak_of_and_those_long_over(database: Database) -> None:
    ended = {"owner_notified": False, "mails": 1, "next_mail_at": NOW - 5}
    with database.transaction() as session:
        incidents.save(
            session,
            {},
            {
                "speak": a_incident(next_mail_at=NOW),
                "later": a_incident(next_mail_at=NOW + 1),
                "over": a_incident(ended_at=NOW - FLAP_WINDOW_S, **ended),
                "calming": a_incident(ended_at=NOW - FLAP_WINDOW_S + 1, **ended),
            },
        )
        assert sorted(incidents.due(session, NOW)) == ["over", "speak"]


def test_faults_are_those_that_a_process_said_last(database: Database) -> None:
    other = replace(FAULT, code="kafka_unavailable", detail="timed out")
    for said in ([FAULT, other], [replace(other, detail="gone")], [other]):
        with database.transaction() as session:
            system_health.report(session, "m1", said)
            system_health.report(session, "m2", [other])
    with database.transaction() as session:
        assert system_health.faults(session) == [SeenFault(fault=other, member_id=member) for member in ("m1", "m2")]


def test_fault_text_may_hold_anything(database: Database) -> None:
    with database.transaction() as session:
        system_health.report(session, "m1", [FAULT])
        assert [seen.fault.detail for seen in system_health.faults(session)] == ["refused \ufffd"]


def test_dead_process_is_not_heard_of_any_more(database: Database) -> None:
    with database.transaction() as session:
        system_health.report(session, "dead", [FAULT])
        system_health.heartbeat(session, "dead", IngestLoad(deliveries_in_flight=5, oldest_unanswered_s=99.0))
        session.execute(update(FaultRow).values(seen_at=FaultRow.seen_at - 2 * system_health.FRESH_S))
        session.execute(update(IngestLoadRow).values(seen_at=IngestLoadRow.seen_at - 2 * system_health.FRESH_S))
        assert (system_health.faults(session), system_health.ingest_load(session)) == ([], None)


def test_vitals_of_all_processes_are_taken_together(database: Database) -> None:
    with database.transaction() as session:
        system_health.heartbeat(
            session, "a", IngestLoad(deliveries_in_flight=5, oldest_unanswered_s=1.5, longest_iteration_s=0.35)
        )
        system_health.heartbeat(session, "b", IngestLoad(deliveries_in_flight=2, oldest_unanswered_s=9.0))
        assert system_health.ingest_load(session) == IngestLoad(
            deliveries_in_flight=7, oldest_unanswered_s=9.0, longest_iteration_s=0.35
        )


def test_process_that_left_says_nothing(database: Database) -> None:
    with database.transaction() as session:
        system_health.report(session, "m1", [FAULT])
        system_health.heartbeat(session, "m1", IngestLoad(deliveries_in_flight=0, oldest_unanswered_s=0.0))
        system_health.leave(session, "m1")
        assert (system_health.faults(session), system_health.ingest_load(session)) == ([], None)


def test_what_dead_processes_said_is_forgotten(database: Database) -> None:
    with database.transaction() as session:
        for member in ("dead", "alive"):
            system_health.report(session, member, [FAULT])
        dead = FaultRow.member_id == "dead"
        session.execute(update(FaultRow).where(dead).values(seen_at=FaultRow.seen_at - 11 * system_health.FRESH_S))
        system_health.delete_expired(session)
        assert list(session.scalars(text("SELECT member_id FROM system_faults"))) == ["alive"]
