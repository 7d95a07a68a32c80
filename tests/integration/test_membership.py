"""Two ingest processes divide the subscriptions among those that can reach Kafka.

Real: SQLite, both controls' threads. In the test's hand: what Kafka answers to each, and the clock.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Condition as Signal
from threading import Event

import pytest

from tests.harness.databases import create_tables
from tests.harness.policies import policies_in_use
from tests.harness.secret_keys import SECRET_KEYS
from tests.harness.subscriptions import subscription
from webhookd.flow.control.change_notification import ChangeNotification
from webhookd.flow.control.membership import REJOIN_AFTER_S, STEADY_S
from webhookd.flow.monitoring.kafka_reachability import KafkaReachability
from webhookd.flow.status.subscription_status import SubscriptionStatus
from webhookd.flow.subscription import Subscription
from webhookd.store import subscriptions
from webhookd.store.database import Database
from webhookd.store.subscriptions import Loaded
from workers.ingest.control.assignment import Membership, SubscriptionAssignment

PATIENCE_S = 20.0
LOST_S = 15.0
IDS = frozenset(f"subscription-{number}" for number in range(12))
ANSWERED = KafkaReachability().answered(0.0)


def no_notifications(_hear: Callable[[ChangeNotification], None], stop: Event) -> None:
    stop.wait(PATIENCE_S)


class Process:
    """One process: what it runs, and whether it can reach Kafka."""

    def __init__(self, scene: "Scene", id_: str) -> None:
        self.reachability = ANSWERED
        self.running: set[str] = set()
        self.reads = 0
        self.moves = 0
        self._changed = scene.changed
        member = Membership(id=id_, timeout_s=60.0, kafka_timeout_s=LOST_S, monotonic=lambda: scene.time(self))
        self.assignment = SubscriptionAssignment(
            scene.database,
            self,
            self,
            member=member,
            interval_s=0.01,
            listen=no_notifications,
            in_use=policies_in_use(),
        )

    def wait_first_probe(self, timeout_s: float) -> bool:
        return timeout_s > 0

    def run(self, id_: str, version: int, found: Loaded, previous: SubscriptionStatus | None) -> None:
        del version, found, previous
        with self._changed:
            self.running.add(id_)
            self.moves += 1
            self._changed.notify_all()

    def leave(self, id_: str) -> None:
        with self._changed:
            self.running.discard(id_)
            self.moves += 1
            self._changed.notify_all()

    def hold(self, id_: str, detail: str) -> None:
        raise AssertionError(id_, detail)

    def withdraw_copies(self, is_current: Callable[[Subscription], bool], withdrawn: Callable[[], None]) -> None:
        del is_current
        withdrawn()

    def confirm_policies(self, version: int, confirmed: Callable[[int], None]) -> None:
        confirmed(version)

    def go_offline(self, age_s: float) -> None:
        raise AssertionError(age_s)

    def go_online(self) -> None:
        raise AssertionError


class Scene:
    """Two processes on one database, at a time that the test sets."""

    def __init__(self, url: str) -> None:
        self.database = Database(url, secret_keys=SECRET_KEYS)
        self.changed = Signal()
        self.now = 100.0
        self.a, self.b = Process(self, "a"), Process(self, "b")

    def time(self, process: Process) -> float:
        """What an assignment calls once with each read."""
        with self.changed:
            process.reads += 1
            self.changed.notify_all()
            return self.now

    def until(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE_S), (self.a.running, self.b.running)

    def let_both_read(self) -> None:
        """Wait until each has read a few times."""
        targets = [(process, process.reads + 5) for process in (self.a, self.b)]
        self.until(lambda: all(process.reads >= target for process, target in targets))

    @property
    def shared(self) -> bool:
        """Whether both run some, and each subscription runs once."""
        both = self.a.running and self.b.running
        return bool(both) and self.a.running | self.b.running == IDS and not self.a.running & self.b.running


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    url = f"sqlite:///{tmp_path / 'members.db'}"
    create_tables(url)
    made = Scene(url)
    with made.database.transaction() as session:
        for id_ in IDS:
            subscriptions.insert(session, replace(subscription(), id=id_))
    made.a.assignment.start()
    made.b.assignment.start()
    yield made
    made.a.assignment.stop()
    made.b.assignment.stop()
    made.database.close()


def test_process_without_kafka_gives_its_share_away_and_takes_it_back(scene: Scene) -> None:
    scene.until(lambda: scene.shared)
    share = set(scene.a.running)
    scene.a.reachability = scene.a.reachability.failed(100.0, "timed out")
    scene.now = 100.0 + LOST_S - 1
    scene.let_both_read()
    assert scene.a.running == share
    scene.now = 100.0 + LOST_S
    scene.until(lambda: not scene.a.running and scene.b.running == IDS)
    scene.a.reachability = scene.a.reachability.answered(200.0)
    scene.now = 200.0 + REJOIN_AFTER_S - 1
    scene.let_both_read()
    assert not scene.a.running
    scene.now = 200.0 + REJOIN_AFTER_S
    scene.until(lambda: scene.shared)
    assert scene.a.running == share


def test_nothing_moves_while_neither_reaches_kafka(scene: Scene) -> None:
    scene.until(lambda: scene.shared)
    moves = scene.a.moves + scene.b.moves
    scene.a.reachability = scene.a.reachability.failed(100.0, "timed out")
    scene.b.reachability = scene.b.reachability.failed(103.0, "timed out")
    scene.let_both_read()  # each stores its own outage before the time goes on
    for now in (100.0 + LOST_S, 130.0, 500.0):
        scene.now = now
        scene.let_both_read()
    scene.a.reachability = scene.a.reachability.answered(500.0)
    scene.let_both_read()
    scene.b.reachability = scene.b.reachability.answered(501.0)
    for later_s in range(1, round(2 * STEADY_S) + 1):  # each hears of the other once a second
        scene.now = 500.0 + later_s
        scene.let_both_read()
    assert scene.a.moves + scene.b.moves == moves


def test_share_of_a_process_without_kafka_stays_given_while_the_other_loses_it_too(scene: Scene) -> None:
    scene.until(lambda: scene.shared)
    scene.a.reachability = scene.a.reachability.failed(100.0, "timed out")
    scene.now = 100.0 + LOST_S
    scene.until(lambda: not scene.a.running and scene.b.running == IDS)
    moves = scene.a.moves + scene.b.moves
    scene.b.reachability = scene.b.reachability.failed(scene.now, "timed out")
    scene.now += 10 * LOST_S
    scene.let_both_read()
    assert scene.a.moves + scene.b.moves == moves
