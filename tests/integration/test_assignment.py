"""What an ingest process reads about the switch. Real: SQLite, the control's threads. Doubled: what it tells to run."""

from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import pytest

from tests.harness.subscriptions import ID, subscription
from webhookd import clock
from webhookd.flow.control.administration import Availability
from webhookd.flow.control.change_notification import ChangeNotification
from webhookd.flow.monitoring.kafka_reachability import KafkaReachability
from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.store import administration, migrating, subscriptions
from webhookd.store.database import Database
from webhookd.store.subscriptions import Loaded
from workers.ingest.control.assignment import Membership, SubscriptionAssignment

PATIENCE_S = 10.0


class Runs:
    """Keeps what it is told, in its order."""

    def __init__(self) -> None:
        self.told: SimpleQueue[str] = SimpleQueue()

    def run(self, id_: str, version: int, found: Loaded, previous: SubscriptionStatus | None) -> None:
        del found, previous
        self.told.put(f"run {id_} {version}")

    def leave(self, id_: str) -> None:
        self.told.put(f"leave {id_}")

    def go_offline(self, age_s: float) -> None:
        assert age_s >= 0.0
        self.told.put("offline")

    def go_online(self) -> None:
        self.told.put("online")

    def next(self) -> str:
        return self.told.get(timeout=PATIENCE_S)


class Answering:
    """Kafka answers this process."""

    reachability = KafkaReachability().answered(0.0)

    def wait_asked(self, timeout_s: float) -> bool:
        return timeout_s > 0


def hear_nothing(_hear: Callable[[ChangeNotification], None], stop: Event) -> None:
    stop.wait(PATIENCE_S)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'control.db'}"
    migrating.upgrade(url)
    made = Database(url)
    with made.transaction() as session:
        subscriptions.insert(session, subscription())
    yield made
    made.close()


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def control(database: Database, runs: Runs) -> Iterator[SubscriptionAssignment]:
    made = SubscriptionAssignment(
        database,
        runs,
        Answering(),
        member=Membership(id="member", timeout_s=60.0, kafka_timeout_s=15.0, monotonic=clock.monotonic),
        interval_s=0.02,
        listen=hear_nothing,
    )
    yield made
    made.stop()


def turn(database: Database, status: Availability) -> None:
    with database.transaction() as session:
        administration.switch(session, status, "")


def test_offline_is_told_before_anything_runs(database: Database, runs: Runs, control: SubscriptionAssignment) -> None:
    turn(database, Availability.OFFLINE)
    control.start()
    assert [runs.next(), runs.next()] == ["offline", f"run {ID} 1"]


def test_each_turn_is_found_by_reading(database: Database, runs: Runs, control: SubscriptionAssignment) -> None:
    control.start()
    assert runs.next() == f"run {ID} 1"
    turn(database, Availability.OFFLINE)
    assert runs.next() == "offline"
    turn(database, Availability.ONLINE)
    assert runs.next() == "online"
