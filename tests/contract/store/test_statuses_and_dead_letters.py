"""Conditions are overwritten, dead letters kept once, heartbeats told by the database's clock."""

import threading
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import update

from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd.flow.control.membership import Member
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.position import Partition
from webhookd.flow.status.delivery_status import DeliveryState, DeliveryStatus, FailedAttempt
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus, TopicStatus
from webhookd.store import (
    dead_letters,
    ingest_members,
    kafka_cluster,
    subscription_statuses,
    subscriptions,
)
from webhookd.store.database import Database
from webhookd.store.dialects import DatabaseNow
from webhookd.store.tables import DeadLetterRow, IngestMemberRow


def status(id_: str = ID, *, delivered: int = 7) -> SubscriptionStatus:
    return SubscriptionStatus(
        subscription_id=id_,
        health=Health.UNHEALTHY,
        reason="timeout",
        since=1_700_000_000.5,
        topics=(TopicStatus(topic="orders", partitions=4),),
        delivered=delivered,
        filtered=2**40,
        denied=2**41,
        filter_errors=1,
        last_filter_error="type",
        dead_lettered=3,
        delivery=DeliveryStatus(
            state=DeliveryState.FAILING,
            since=1.5,
            attempt=2,
            max_attempts=6,
            next_attempt_at=9.5,
            lanes=4,
            lanes_failing=1,
            last_failure=FailedAttempt(code="timeout", at=1.5, detail="no answer in time"),
        ),
        version=4,
        version_delivered=False,
    )


def dead_letter(offset: int, *, value: bytes | None = b"{") -> DeadLetter:
    return DeadLetter(
        subscription_id=ID,
        partition=Partition("orders", 3),
        offset=offset,
        timestamp_ms=1_700_000_000_000,
        key=b"\xff\x00",
        value=value,
        headers=(("trace", b"\xfe"), ("none", None)),
        cause="not_json",
        detail="at \x00",
    )


def test_a_status_comes_back_with_every_field(database: Database) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription())
        subscription_statuses.write(session, [status()])
    with database.transaction() as session:
        assert subscription_statuses.read(session, ID) == status()


def test_a_status_nobody_wrote_is_none(database: Database) -> None:
    with database.transaction() as session:
        assert subscription_statuses.read(session, ID) is None


def test_a_later_status_overwrites_the_earlier(database: Database) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription())
        subscription_statuses.write(session, [status(delivered=1)])
    with database.transaction() as session:
        subscription_statuses.write(session, [status(delivered=2), status(delivered=3)])
    with database.transaction() as session:
        assert subscription_statuses.read(session, ID) == status(delivered=3)


def test_a_status_of_a_deleted_subscription_is_left_out(database: Database) -> None:
    with database.transaction() as session:
        subscriptions.insert(session, subscription())
        subscription_statuses.write(session, [status(OTHER_ID), status()])
    with database.transaction() as session:
        assert (subscription_statuses.read(session, OTHER_ID), subscription_statuses.read(session, ID)) == (
            None,
            status(),
        )


def test_one_position_is_put_aside_only_once(database: Database) -> None:
    for written in ([dead_letter(1), dead_letter(2)], [dead_letter(2, value=b"other"), dead_letter(3)], []):
        with database.transaction() as session:
            dead_letters.append(session, written)
    with database.transaction() as session:
        assert dead_letters.count(session, ID) == 3
        kept = session.get(DeadLetterRow, (ID, "orders", 3, 2))
    assert kept is not None
    assert (kept.key, kept.value, kept.headers) == (b"\xff\x00", b"{", [["trace", "/g=="], ["none", None]])


def test_a_tombstone_is_put_aside_as_one(database: Database) -> None:
    with database.transaction() as session:
        dead_letters.append(session, [dead_letter(1, value=None)])
    with database.transaction() as session:
        kept = session.get(DeadLetterRow, (ID, "orders", 3, 1))
    assert kept is not None
    assert kept.value is None


def test_old_dead_letters_are_purged_in_slices(database: Database) -> None:
    with database.transaction() as session:
        dead_letters.append(session, [dead_letter(number) for number in range(5)])
        session.execute(update(DeadLetterRow).where(DeadLetterRow.offset < 3).values(stored_at=100.0))
    purged = []
    for _ in range(3):
        with database.transaction() as session:
            purged.append(dead_letters.purge(session, 101.0, limit=2))
    with database.transaction() as session:
        assert (purged, dead_letters.count(session, ID)) == ([2, 1, 0], 2)


def test_members_are_alive_in_one_order(database: Database) -> None:
    with database.transaction() as session:
        for member in ("b", "a", "b"):
            ingest_members.heartbeat(session, Member(id=member))
    with database.transaction() as session:
        assert ingest_members.alive(session, 5.0) == ["a", "b"]


def test_a_member_that_left_is_not_alive(database: Database) -> None:
    with database.transaction() as session:
        ingest_members.heartbeat(session, Member(id="a"))
        ingest_members.leave(session, "a")
        assert ingest_members.alive(session, 5.0) == []


def test_a_silent_member_is_not_alive_until_it_beats_again(database: Database) -> None:
    with database.transaction() as session:
        ingest_members.heartbeat(session, Member(id="a"))
        session.execute(update(IngestMemberRow).values(heartbeat_at=DatabaseNow() - 6.0))
        silent = ingest_members.alive(session, 5.0)
        ingest_members.heartbeat(session, Member(id="a"))
        assert (silent, ingest_members.alive(session, 5.0)) == ([], ["a"])


def test_subscriptions_are_shared_by_those_that_can_read(database: Database) -> None:
    blind = Member(id="blind", takes_part=False)
    seeing = Member(id="seeing", reachable_s=7.5)
    with database.transaction() as session:
        ingest_members.heartbeat(session, blind)
        alone = ingest_members.sharing(session, 5.0)
        ingest_members.heartbeat(session, seeing)
        assert (alone, ingest_members.sharing(session, 5.0)) == (["blind"], ["seeing"])
        assert ingest_members.present(session, 5.0) == [blind, seeing]


def test_first_cluster_is_recorded_until_it_is_forgotten(database: Database) -> None:
    with database.transaction() as session:
        assert kafka_cluster.recorded(session) is None
        assert [kafka_cluster.record(session, found) for found in ("one", "other")] == ["one", "one"]
        kafka_cluster.forget(session)
        assert kafka_cluster.record(session, "other") == "other"


def test_of_two_processes_that_record_at_once_both_know_the_first(database: Database) -> None:
    together = threading.Barrier(4)

    def record(number: int) -> str:
        together.wait(5)
        with database.transaction() as session:
            return kafka_cluster.record(session, f"cluster-{number}")

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(record, range(4)))) == 1


def test_members_silent_for_a_day_are_forgotten(database: Database) -> None:
    with database.transaction() as session:
        for member in ("old", "new"):
            ingest_members.heartbeat(session, Member(id=member))
        session.execute(
            update(IngestMemberRow)
            .where(IngestMemberRow.id == "old")
            .values(heartbeat_at=IngestMemberRow.heartbeat_at - 90_000)
        )
        ingest_members.delete_expired(session)
        assert ingest_members.alive(session, 1e6) == ["new"]
