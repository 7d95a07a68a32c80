"""Policies on both databases: versions, history, concerned subscriptions, and changes at the same moment."""

from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import update

from tests.harness.dead_letters import dead_letter
from tests.harness.policies import OPERATOR, POLICY_ID, policy
from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd.errors import LimitReached, NotFound
from webhookd.flow.control.membership import Member
from webhookd.flow.policy.policy import Effect, PolicySet, Projection, ProjectionKind
from webhookd.flow.subscription import Source
from webhookd.store import dead_letters, ingest_members, policies, subscriptions
from webhookd.store.access_tables import PolicyRow
from webhookd.store.database import Database

PATIENCE_S = 20.0


def create(database: Database, **changes: Any) -> int:  # noqa: ANN401 - whatever a Policy takes
    with database.transaction() as session:
        return policies.create(session, policy(**changes), OPERATOR, limit=10).version


def read(database: Database) -> PolicySet:
    with database.transaction() as session:
        return policies.read(session)


@pytest.mark.parametrize(
    "projection",
    [
        None,
        Projection(kind=ProjectionKind.INCLUDE, paths=("a.b", '"@key"')),
        Projection(kind=ProjectionKind.EXCLUDE, paths=("c",)),
        Projection(kind=ProjectionKind.EXPRESSION, expression="{a: b}"),
    ],
)
def test_policy_is_read_as_it_was_written(database: Database, projection: Projection | None) -> None:
    written = policy(projection=projection, tenant="acme", condition="a == 'b'", description="ü", priority=7)
    with database.transaction() as session:
        policies.create(session, written, OPERATOR, limit=10)
    assert read(database) == PolicySet(version=1, policies=(written,))


def test_version_grows_with_every_change(database: Database) -> None:
    assert read(database).version == 0
    assert create(database) == 1
    with database.transaction() as session:
        assert policies.replace(session, policy(version=1, effect=Effect.DENY, projection=None), OPERATOR).version == 2
        assert policies.find(session, POLICY_ID).policy.version == 2
    with database.transaction() as session:
        assert policies.delete(session, POLICY_ID, OPERATOR).version == 3
        history = policies.history(session, POLICY_ID, before=None, limit=10)
    assert [(one.version, one.changed_by, one.document is None) for one in history] == [
        (3, "operator (whd_test)", True),
        (2, "operator (whd_test)", False),
        (1, "operator (whd_test)", False),
    ]
    assert read(database) == PolicySet(version=3)


def test_what_does_not_exist_changes_nothing(database: Database) -> None:
    with pytest.raises(NotFound), database.transaction() as session:
        policies.replace(session, policy(), OPERATOR)
    with pytest.raises(NotFound), database.transaction() as session:
        policies.delete(session, POLICY_ID, OPERATOR)
    assert read(database).version == 0


def test_limit_counts_all_policies(database: Database) -> None:
    create(database)
    with pytest.raises(LimitReached), database.transaction() as session:
        policies.create(session, policy("other"), OPERATOR, limit=1)


def test_policy_that_cannot_be_read_denies(database: Database) -> None:
    create(database)
    with database.transaction() as session:
        session.execute(update(PolicyRow).values(effect="permit"))
    (found,) = read(database).policies
    assert (found.effect, found.condition, found.topic) == (Effect.DENY, "", "orders")


def test_many_concerned_subscriptions_get_a_new_version(database: Database) -> None:
    ids = [f"{number:036d}" for number in range(1100)]
    with database.transaction() as session:
        for id_ in ids:
            subscriptions.insert(session, subscription(id_, sources=(Source(topic="orders"),)))
    create(database)
    with database.transaction() as session:
        assert subscriptions.versions(session) == dict.fromkeys(ids, 2)


def test_change_waits_for_a_registration_and_finds_its_subscription(database: Database) -> None:
    """The registration has read the policies, and the change begins before its row is committed."""
    read_policies, changing, changed = Event(), Event(), Event()

    def register() -> None:
        with database.transaction() as session:
            policies.lock(session)
            assert policies.read(session).policies == ()
            read_policies.set()
            assert changing.wait(PATIENCE_S)
            changed.wait(0.2)  # a change that did not wait would end within this time
            subscriptions.insert(session, subscription(ID))

    def change() -> None:
        changing.set()
        create(database)
        changed.set()

    registration = Thread(target=register)
    registration.start()
    assert read_policies.wait(PATIENCE_S)
    changer = Thread(target=change)
    changer.start()
    registration.join(PATIENCE_S)
    changer.join(PATIENCE_S)
    with database.transaction() as session:
        assert subscriptions.versions(session) == {ID: 2}


def test_change_waits_for_a_dead_letter_and_refuses_the_next_one(database: Database) -> None:
    """A row is being written under the policies before, when the change begins."""
    writing, changing, changed = Event(), Event(), Event()
    with database.transaction() as session:
        subscriptions.insert(session, subscription(ID))

    def write() -> None:
        with database.transaction() as session:
            assert subscriptions.is_current(session, ID, 1)
            writing.set()
            assert changing.wait(PATIENCE_S)
            assert not changed.wait(0.2)  # a change that did not wait would end within this time
            dead_letters.append(session, [dead_letter(ID, 1)])

    writer = Thread(target=write)
    writer.start()
    assert writing.wait(PATIENCE_S)

    def change() -> None:
        changing.set()
        create(database)
        changed.set()

    changer = Thread(target=change)
    changer.start()
    writer.join(PATIENCE_S)
    changer.join(PATIENCE_S)
    with database.transaction() as session:
        assert dead_letters.count(session, ID) == 1
        assert not subscriptions.is_current(session, ID, 1)
        assert subscriptions.is_current(session, ID, 2)
        assert not subscriptions.is_current(session, OTHER_ID, 1)


def test_members_without_the_version_are_unconfirmed(database: Database) -> None:
    with database.transaction() as session:
        ingest_members.heartbeat(session, Member(id=ID), 3)
        ingest_members.heartbeat(session, Member(id=OTHER_ID), 2)
        (missing,) = ingest_members.unconfirmed(session, 3, 300.0)
        assert ingest_members.unconfirmed(session, 2, 300.0) == []
        assert len(ingest_members.unconfirmed(session, 4, 300.0)) == 2
    assert (missing.id, missing.policy_version) == (OTHER_ID, 2)
    assert missing.silent_s < 60.0
