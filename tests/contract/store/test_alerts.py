"""The outbox, the spells and what processes say of the system. Times are the test's, ages of faults the database's."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import text, update

from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd.flow.addressee import Addressee
from webhookd.flow.alert import Alert, Kind
from webhookd.flow.faults import Fault
from webhookd.flow.mail import Fate, Mail, Settlement
from webhookd.flow.spell import CALM_S, Spell
from webhookd.flow.subscription import Alerting, OnExhausted, Retry
from webhookd.store import alerts, mail_failures, spells, subscriptions, system
from webhookd.store.alerts import CLAIM_S, FIRST_WAIT_S, LONGEST_WAIT_S, Claimed
from webhookd.store.database import Database
from webhookd.store.mail_failures import LATE_S, MailFailure
from webhookd.store.system import Seen, Vitals
from webhookd.store.tables import AlertRow, FaultRow, SubscriptionRow, VitalsRow

NOW = 1_700_000_000.0
KEY = f"subscription:{ID}"
FAULT = Fault(code="queue_unavailable", detail="refused \x00", since=NOW)


def an_alert(name: str = "t1", at: float = NOW, recipients: tuple[str, ...] = ("a@example.com",)) -> Alert:
    mail = Mail(token=name, recipients=recipients, subject="it fails", body="body\n", created_at=at)
    return Alert(subject_key=KEY, kind=Kind.UNHEALTHY, mail=mail)


def add(database: Database, *added: Alert) -> None:
    with database.transaction() as session:
        alerts.add(session, added)


def claim(database: Database, now: float = NOW) -> Claimed | None:
    with database.transaction() as session:
        return alerts.claim(session, now)


def must_claim(database: Database, now: float = NOW) -> Claimed:
    claimed = claim(database, now)
    assert claimed is not None
    return claimed


def test_mail_comes_back_as_it_was_added(database: Database) -> None:
    add(database, an_alert())
    assert must_claim(database).mail == an_alert().mail


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


def settle(database: Database, claimed: Claimed, now: float = NOW, **settled: Fate) -> None:
    """What became of a mail for each recipient by its name."""
    settlements = [
        Settlement(recipient=f"{name}@example.com", fate=fate, detail=f"said to {name}")
        for name, fate in settled.items()
    ]
    with database.transaction() as session:
        alerts.settle(session, claimed, settlements, now)


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
    settle(database, must_claim(database), a=Fate.DELIVERED)
    assert claim(database, NOW + 1e6) is None


def test_next_try_is_for_those_who_may_get_it_later(database: Database) -> None:
    add(database, an_alert(recipients=("a@example.com", "b@example.com", "c@example.com")))
    settle(database, must_claim(database), a=Fate.DELIVERED, b=Fate.LATER, c=Fate.REFUSED)
    assert claim(database, NOW + FIRST_WAIT_S - 1) is None
    assert must_claim(database, NOW + FIRST_WAIT_S).mail.recipients == ("b@example.com",)


def test_mail_that_nobody_will_get_is_over(database: Database) -> None:
    add(database, an_alert())
    settle(database, must_claim(database), a=Fate.REFUSED)
    assert claim(database, NOW + 1e9) is None


def test_failing_addresses_are_named_until_a_mail_gets_there(database: Database) -> None:
    subscribe(database, "a", "b", "c")
    for number in range(2):
        add(database, an_alert(f"t{number}", recipients=("a@example.com", "b@example.com", "c@example.com")))
        settle(database, must_claim(database), NOW + number, a=Fate.DELIVERED, b=Fate.LATER, c=Fate.REFUSED)
    assert failing(database, "c", "b", "a") == [
        MailFailure(recipient="c@example.com", fate=Fate.REFUSED, detail="said to c", mails=2, since=NOW, at=NOW + 1),
        MailFailure(recipient="b@example.com", fate=Fate.LATER, detail="said to b", mails=0, since=NOW, at=NOW + 1),
    ]
    add(database, an_alert("t2"))
    settle(database, must_claim(database), NOW + 2, b=Fate.DELIVERED, c=Fate.DELIVERED)
    assert failing(database, "a", "b", "c") == []


def test_given_up_mail_is_never_tried_again_and_names_who_has_not_got_it(database: Database) -> None:
    subscribe(database, "a")
    add(database, an_alert())
    with database.transaction() as session:
        alerts.give_up(session, must_claim(database), "nobody listens", NOW)
    assert claim(database, NOW + 1e9) is None
    assert [(item.fate, item.detail, item.mails) for item in failing(database, "a")] == [
        (Fate.GIVEN_UP, "nobody listens", 1)
    ]


def test_addresses_that_count_as_undeliverable(database: Database) -> None:
    subscribe(database, "a", "b")
    add(database, an_alert(recipients=("a@example.com", "b@example.com")))
    settle(database, must_claim(database), a=Fate.REFUSED, b=Fate.LATER)
    with database.transaction() as session:
        assert mail_failures.count(session, NOW) == 1
        assert mail_failures.count(session, NOW + LATE_S + 1) == 2
        assert mail_failures.operators_missed(session, NOW + LATE_S + 1) == 0


def test_operators_addresses_are_kept_apart(database: Database) -> None:
    add(database, replace(an_alert(), subject_key="fault:queue_unavailable"))
    settle(database, must_claim(database), a=Fate.REFUSED)
    with database.transaction() as session:
        assert (mail_failures.operators_missed(session, NOW), mail_failures.count(session, NOW)) == (1, 1)
        mail_failures.keep(session, mail_failures.OPERATORS, ["other@example.com"])
        assert mail_failures.operators_missed(session, NOW) == 0


def test_address_that_is_not_the_owners_any_more_is_not_named(database: Database) -> None:
    subscribe(database, "b")
    add(database, an_alert())
    settle(database, must_claim(database), a=Fate.REFUSED)
    assert failing(database, "a", "b") == []


def test_addresses_are_forgotten_with_their_owner_and_with_time(database: Database) -> None:
    subscribe(database, "a", "b")
    add(database, an_alert())
    settle(database, must_claim(database), a=Fate.REFUSED, b=Fate.REFUSED)
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
            alerts.later(session, claimed, now)
            row = session.get(AlertRow, claimed.id)
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
        alerts.add(session, [an_alert("old and sent", NOW - 100)], sent_at=NOW - 90)
        alerts.purge(session, NOW - 50)
        left = set(session.scalars(text("SELECT message_id FROM alerts")))
    assert left == {"old and waiting", "new"}


def test_addressee_is_read_from_the_subscription(database: Database) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription(retry=Retry(on_exhausted=OnExhausted.DEAD_LETTER)))
        found = alerts.addressees(session, [ID, OTHER_ID])
    assert found == {
        ID: Addressee(
            id=ID,
            name="orders to the shop",
            emails=("ops@example.com",),
            version=1,
            on_exhausted=OnExhausted.DEAD_LETTER,
        )
    }


@pytest.mark.parametrize(("column", "emails"), [("sources", ("ops@example.com",)), ("alert_emails", ())])
def test_owner_of_an_unusable_subscription_is_known_as_far_as_possible(
    database: Database, column: str, emails: tuple[str, ...]
) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription())
        session.execute(update(SubscriptionRow).values({column: 7}))
        found = alerts.addressees(session, [ID])[ID]
    assert (found.name, found.emails, found.active) == ("orders to the shop", emails, True)


def a_spell(began_at: float = NOW, **changes: float) -> Spell:
    return replace(Spell(began_at=began_at, speak_at=began_at + 3600), **changes)  # type: ignore[arg-type]


def test_spell_is_kept_changed_and_removed(database: Database) -> None:
    for after in (
        a_spell(),
        a_spell(ended_at=NOW + 1, told=False, mails=3, untold_ranges=7, untold_records=2**40),
        None,
    ):
        with database.transaction() as session:
            assert spells.save(session, spells.lock(session, [KEY]), {KEY: after}) == set()
        with database.transaction() as session:
            assert spells.lock(session, [KEY]).get(KEY) == after


def test_of_two_that_begin_one_spell_the_second_is_told(database: Database) -> None:
    with database.transaction() as session:
        assert spells.save(session, {}, {KEY: a_spell()}) == set()
    with database.transaction() as session:
        assert spells.save(session, {}, {KEY: a_spell(NOW + 1)}) == {KEY}
        assert spells.lock(session, [KEY]) == {KEY: a_spell()}


def test_spells_are_found_by_the_beginning_of_their_key(database: Database) -> None:
    with database.transaction() as session:
        spells.save(session, {}, {"fault:a": a_spell(), "fault:b": a_spell(), "fault_c": a_spell(), KEY: a_spell()})
        assert set(spells.lock_prefix(session, "fault:")) == {"fault:a", "fault:b"}


def test_due_spells_are_those_to_speak_of_and_those_long_over(database: Database) -> None:
    ended = {"told": False, "mails": 1, "speak_at": NOW - 5}
    with database.transaction() as session:
        spells.save(
            session,
            {},
            {
                "speak": a_spell(speak_at=NOW),
                "later": a_spell(speak_at=NOW + 1),
                "over": a_spell(ended_at=NOW - CALM_S, **ended),
                "calming": a_spell(ended_at=NOW - CALM_S + 1, **ended),
            },
        )
        assert sorted(spells.due(session, NOW)) == ["over", "speak"]


def test_faults_are_those_that_a_process_said_last(database: Database) -> None:
    other = replace(FAULT, code="kafka_unavailable", detail="timed out")
    for said in ([FAULT, other], [replace(other, detail="gone")], [other]):
        with database.transaction() as session:
            system.report(session, "m1", said)
            system.report(session, "m2", [other])
    with database.transaction() as session:
        assert system.faults(session) == [Seen(fault=other, member_id=member) for member in ("m1", "m2")]


def test_fault_text_may_hold_anything(database: Database) -> None:
    with database.transaction() as session:
        system.report(session, "m1", [FAULT])
        assert [seen.fault.detail for seen in system.faults(session)] == ["refused \ufffd"]


def test_dead_process_is_not_heard_of_any_more(database: Database) -> None:
    with database.transaction() as session:
        system.report(session, "dead", [FAULT])
        system.beat(session, "dead", Vitals(deliveries_in_flight=5, oldest_unanswered_s=99.0))
        session.execute(update(FaultRow).values(seen_at=FaultRow.seen_at - 2 * system.FRESH_S))
        session.execute(update(VitalsRow).values(seen_at=VitalsRow.seen_at - 2 * system.FRESH_S))
        assert (system.faults(session), system.vitals(session)) == ([], None)


def test_vitals_of_all_processes_are_taken_together(database: Database) -> None:
    with database.transaction() as session:
        system.beat(session, "a", Vitals(deliveries_in_flight=5, oldest_unanswered_s=1.5, longest_turn_s=0.35))
        system.beat(session, "b", Vitals(deliveries_in_flight=2, oldest_unanswered_s=9.0))
        assert system.vitals(session) == Vitals(deliveries_in_flight=7, oldest_unanswered_s=9.0, longest_turn_s=0.35)


def test_process_that_left_says_nothing(database: Database) -> None:
    with database.transaction() as session:
        system.report(session, "m1", [FAULT])
        system.beat(session, "m1", Vitals(deliveries_in_flight=0, oldest_unanswered_s=0.0))
        system.leave(session, "m1")
        assert (system.faults(session), system.vitals(session)) == ([], None)


def test_what_dead_processes_said_is_forgotten(database: Database) -> None:
    with database.transaction() as session:
        for member in ("dead", "alive"):
            system.report(session, member, [FAULT])
        dead = FaultRow.member_id == "dead"
        session.execute(update(FaultRow).where(dead).values(seen_at=FaultRow.seen_at - 11 * system.FRESH_S))
        system.forget(session)
        assert list(session.scalars(text("SELECT member_id FROM faults"))) == ["alive"]
