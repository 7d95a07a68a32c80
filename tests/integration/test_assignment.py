"""How an ingest process follows the offline switch. Real: SQLite, the threads. Doubled: what starts subscriptions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from tests.harness.assignments import PATIENCE_S, new_assignment
from tests.harness.databases import create_tables
from tests.harness.metrics import LiveMetrics
from tests.harness.pipeline import until
from tests.harness.policies import OPERATOR, policies_in_use, policy
from tests.harness.secret_keys import SECRET_KEYS
from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd import clock
from webhookd.errors import StoreUnavailable
from webhookd.flow.access.caller import ALL_TENANTS, Scope
from webhookd.flow.control.administration import Availability
from webhookd.flow.control.membership import Member
from webhookd.flow.monitoring.kafka_reachability import KafkaReachability
from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.flow.subscription import Source, Subscription
from webhookd.store import administration, ingest_members, policies, subscriptions
from webhookd.store.access_tables import PolicyRow, PolicySetRow
from webhookd.store.database import Database
from webhookd.store.subscriptions import Loaded
from webhookd.store.tables import IngestMemberRow, SubscriptionRow
from workers.ingest.control.assignment import SubscriptionAssignment


class Runner:
    """Keeps the calls in their order."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[str] = SimpleQueue()
        self.found: Subscription
        self.confirm: Callable[[], None] = lambda: None
        self.withdrawals: SimpleQueue[Callable[[Subscription], bool]] = SimpleQueue()

    def run(self, id_: str, version: int, found: Loaded, previous: SubscriptionStatus | None) -> None:
        del previous
        assert isinstance(found, Subscription)
        self.found = found
        self.calls.put(f"run {id_} {version}")

    def leave(self, id_: str) -> None:
        self.calls.put(f"leave {id_}")

    def hold(self, id_: str, detail: str) -> None:
        del detail
        self.calls.put(f"hold {id_}")

    def withdraw_copies(self, is_current: Callable[[Subscription], bool], withdrawn: Callable[[], None]) -> None:
        self.withdrawals.put(is_current)
        withdrawn()

    def confirm_policies(self, version: int, confirmed: Callable[[int], None]) -> None:
        self.confirm = partial(confirmed, version)

    def go_offline(self, age_s: float) -> None:
        assert age_s >= 0.0
        self.calls.put("offline")

    def go_online(self) -> None:
        self.calls.put("online")

    def next(self) -> str:
        return self.calls.get(timeout=PATIENCE_S)


class SilentKafka:
    """Kafka, which has not answered yet."""

    reachability = KafkaReachability()

    def __init__(self) -> None:
        self.asked, self.answered = Event(), Event()

    def wait_first_probe(self, timeout_s: float) -> bool:
        self.asked.set()
        return self.answered.wait(PATIENCE_S) and timeout_s > 0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'assignment.db'}"
    create_tables(url)
    made = Database(url, secret_keys=SECRET_KEYS)
    with made.transaction() as session:
        subscriptions.insert(session, subscription())
    yield made
    made.close()


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def assignment(database: Database, runner: Runner) -> Iterator[SubscriptionAssignment]:
    made = new_assignment(database, runner)
    yield made
    made.stop()


def switch(database: Database, status: Availability) -> None:
    with database.transaction() as session:
        administration.switch(session, status, "")


def test_process_goes_offline_before_anything_runs(
    database: Database, runner: Runner, assignment: SubscriptionAssignment
) -> None:
    switch(database, Availability.OFFLINE)
    assignment.start()
    assert [runner.next(), runner.next()] == ["offline", f"run {ID} 1"]


def test_each_switch_is_found_by_reading(
    database: Database, runner: Runner, assignment: SubscriptionAssignment
) -> None:
    assignment.start()
    assert runner.next() == f"run {ID} 1"
    switch(database, Availability.OFFLINE)
    assert runner.next() == "offline"
    switch(database, Availability.ONLINE)
    assert runner.next() == "online"


def test_process_that_waits_for_kafka_has_a_heartbeat_and_runs_nothing(database: Database, runner: Runner) -> None:
    kafka = SilentKafka()
    assignment = new_assignment(database, runner, kafka=kafka)
    assignment.start()
    assert kafka.asked.wait(PATIENCE_S)
    with database.transaction() as session:
        assert ingest_members.present(session, 60.0) == [Member(id="member", takes_part=False)]
    assert runner.calls.empty()
    kafka.answered.set()
    assignment.stop()


def test_a_stopped_process_takes_no_part_and_is_waited_for_until_it_has_left(
    database: Database, assignment: SubscriptionAssignment, runner: Runner
) -> None:
    assignment.start()
    assert runner.next() == f"run {ID} 1"
    assignment.stop()
    version = allow(database)
    with database.transaction() as session:
        assert ingest_members.present(session, 60.0) == [Member(id="member", takes_part=False)]
        assert [one.id for one in ingest_members.unconfirmed(session, version, 60.0)] == ["member"]
    assignment.leave()
    with database.transaction() as session:
        assert ingest_members.unconfirmed(session, version, 60.0) == []


def allow(database: Database, **changes: Any) -> int:  # noqa: ANN401 - whatever a Policy takes
    with database.transaction() as session:
        return policies.create(session, policy(**changes), OPERATOR, limit=10).version


def confirmed(database: Database) -> int:
    with database.transaction() as session:
        (row,) = session.scalars(select(IngestMemberRow)).all()
        return row.policy_version


def confirm(database: Database, runner: Runner, version: int) -> None:
    """Confirm what is requested, until the heartbeat has this version."""
    deadline = clock.monotonic() + PATIENCE_S
    while confirmed(database) != version:
        runner.confirm()
        Event().wait(0.01)
        assert clock.monotonic() < deadline


def test_changed_policy_is_applied_and_then_confirmed(
    database: Database, runner: Runner, assignment: SubscriptionAssignment
) -> None:
    assignment.start()
    assert runner.next() == f"run {ID} 1"
    assert not runner.found.topics_not_allowed
    version = allow(database, tenant="acme")
    assert runner.next() == f"run {ID} 2"
    assert list(runner.found.topics_not_allowed) == ["orders"]
    assert confirmed(database) < version
    confirm(database, runner, version)


def test_confirmation_is_taken_back_when_the_database_is_restored_to_lower_versions(
    database: Database, runner: Runner, assignment: SubscriptionAssignment
) -> None:
    version = allow(database)
    with database.transaction() as session:
        backup = session.scalars(select(SubscriptionRow.version)).one()
    later = allow(database, id_="later", priority=1)
    assignment.start()
    assert runner.next() == f"run {ID} {backup + 1}"
    confirm(database, runner, later)
    with database.transaction() as session:
        session.execute(update(PolicySetRow).values(version=version))
        session.execute(delete(PolicyRow).where(PolicyRow.id == "later"))
        session.execute(update(SubscriptionRow).values(version=backup))
    assert runner.next() == f"run {ID} {backup}"
    assert confirmed(database) == 0
    confirm(database, runner, version)


def test_copies_of_a_subscription_that_was_left_are_withdrawn_when_its_policies_change(
    database: Database, runner: Runner, assignment: SubscriptionAssignment
) -> None:
    allow(database)
    assignment.start()
    assert runner.next() == f"run {ID} 2"
    left = runner.found
    assert runner.withdrawals.get(timeout=PATIENCE_S)(left)
    with database.transaction() as session:
        subscriptions.delete(session, ID)
    assert runner.next() == f"leave {ID}"
    with database.transaction() as session:
        policies.replace(session, policy(description="another"), OPERATOR)
    assert runner.withdrawals.get(timeout=PATIENCE_S)(left)
    with database.transaction() as session:
        policies.replace(session, policy(condition="paid"), OPERATOR)
    assert not runner.withdrawals.get(timeout=PATIENCE_S)(left)


def test_copies_wait_while_the_policies_are_too_old_or_not_applied(database: Database) -> None:
    now, allowed = [0.0], []
    in_use = policies_in_use(monotonic=lambda: now[0], max_age_s=300.0)

    def read(version: int) -> None:
        with database.transaction() as session:
            assert in_use.read(session, version)
        allowed.append(in_use.copies_allowed)

    allow(database)
    read(1)
    in_use.copies_withdrawn(1)
    allowed.append(in_use.copies_allowed)
    now[0] = 300.0  # the process was frozen
    allowed.append(in_use.copies_allowed)
    allow(database, id_="later")
    read(2)
    in_use.copies_withdrawn(2)
    allowed.append(in_use.copies_allowed)
    assert allowed == [False, True, False, False, True]


def test_version_is_confirmed_again_when_a_subscription_under_a_policy_is_taken_over(
    database: Database, runner: Runner, assignment: SubscriptionAssignment
) -> None:
    version = allow(database)
    assignment.start()
    assert runner.next() == f"run {ID} 2"
    confirm(database, runner, version)
    before = runner.confirm
    with database.transaction() as session:
        subscriptions.insert(session, subscription(OTHER_ID))
    assert runner.next() == f"run {OTHER_ID} 1"
    deadline = clock.monotonic() + PATIENCE_S
    while confirmed(database) == version:
        assert clock.monotonic() < deadline
        Event().wait(0.01)
    before()  # it does not speak for what was taken over since
    assert confirmed(database) == 0
    confirm(database, runner, version)


def test_deliveries_under_a_policy_are_not_published_while_the_policies_are_too_old(database: Database) -> None:
    now = [0.0]
    in_use = policies_in_use(monotonic=lambda: now[0], max_age_s=300.0)
    allow(database)
    with database.transaction() as session:
        subscriptions.insert(session, subscription(OTHER_ID, sources=(Source(topic="open"),)))
        assert in_use.read(session, 1)
        for found in subscriptions.load(session, [ID, OTHER_ID]).values():
            in_use.applied_to(found)
    may = [in_use.may_publish(ID)]
    now[0] = 300.0
    assert in_use.outdated() == [ID]
    assert [*may, in_use.may_publish(ID), in_use.may_publish(OTHER_ID)] == [True, False, True]


def test_policies_are_too_old_after_the_bound_and_each_subscription_is_held_once(database: Database) -> None:
    now = [0.0]
    in_use = policies_in_use(monotonic=lambda: now[0], max_age_s=300.0)
    allow(database)
    with database.transaction() as session:
        assert in_use.read(session, 1)
        assert not in_use.read(session, 0)  # they changed after that version was read
        (found,) = subscriptions.load(session, [ID]).values()
    in_use.applied_to(found)
    now[0] = 299.9
    assert in_use.outdated() == []
    now[0] = 300.0
    assert in_use.outdated() == [ID]
    assert in_use.outdated() == []


class UnreadableDatabase(Database):
    """Raises StoreUnavailable while `down` is set."""

    down = False

    @contextmanager
    def transaction(self, scope: Scope = ALL_TENANTS) -> Iterator[Session]:
        if self.down:
            raise StoreUnavailable("said")
        with super().transaction(scope) as session:
            yield session


def _are_live(metrics: LiveMetrics, number: int) -> bool:
    return metrics.read().value("webhookd_live_ingests") == number


def test_nobody_counts_as_live_while_the_database_cannot_be_read(
    database: Database, tmp_path: Path, runner: Runner, live_metrics: LiveMetrics
) -> None:
    with database.transaction() as session:
        ingest_members.heartbeat(session, Member(id="other", takes_part=False))
    unreadable = UnreadableDatabase(f"sqlite:///{tmp_path / 'assignment.db'}")
    assignment = new_assignment(unreadable, runner)
    assignment.start()
    for down, live in ((False, 2), (True, 0), (False, 2)):
        unreadable.down = down
        until(partial(_are_live, live_metrics, live), f"{live} are live")
    assignment.stop()
    unreadable.close()


def test_subscription_under_a_policy_is_held_without_the_database_and_run_again_with_it(
    database: Database, tmp_path: Path, runner: Runner
) -> None:
    allow(database)
    unreadable = UnreadableDatabase(f"sqlite:///{tmp_path / 'assignment.db'}")
    assignment = new_assignment(unreadable, runner, in_use=policies_in_use(max_age_s=0.3))
    assignment.start()
    assert runner.next() == f"run {ID} 2"
    unreadable.down = True
    assert runner.next() == f"hold {ID}"
    unreadable.down = False
    assert runner.next() == f"run {ID} 2"
    assignment.stop()
    unreadable.close()
