"""An ingest process runs at most so many subscriptions; the others wait, say why, and start when there is room.

The loop's thread is not started: the test runs what the thread would run. Consumers close on their threads.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from tests.harness.captured_lines import captured_lines
from tests.harness.ingest_loops import NewLoop, new_consumer
from tests.harness.memory_consumer import MemoryConsumer
from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd.edges.kafka_consumer import ConsumerCallbacks
from webhookd.errors import IngestFull, UnusableSubscription
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.offsets.position import OffsetAndMetadata, Partition
from webhookd.flow.status.delivery_status import DeliveryState
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.flow.subscription import Subscription
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.loop import IngestLoop
from workers.ingest.subscription_limit import subscription_limit

LIMIT = 2
THIRD_ID, FOURTH_ID = "33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444"
PATIENCE_S = 10.0


class SlowConsumer(MemoryConsumer):
    """Does not close before it may."""

    def __init__(self, listener: ConsumerCallbacks, may_close: Event) -> None:
        super().__init__(listener)
        self._may_close = may_close

    def close(self, commits: Mapping[Partition, OffsetAndMetadata]) -> None:
        self._may_close.wait(PATIENCE_S)
        super().close(commits)


class Scene(NewLoop):
    """A loop that runs two subscriptions, as many as it can."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"sqlite:///{folder / 'unused.db'}", self._open, partitions=1, subscriptions=LIMIT)
        self.may_close = Event()
        self.unusable = ""
        self.subscriptions = self.loop.subscriptions
        for id_ in (ID, OTHER_ID):
            self.subscriptions.run(subscription(id_), None)

    def second(self) -> None:
        """What is done once a second, and the calls that it makes."""
        self.loop._check_consumers()
        while not self.loop.inbox.run_pending(PATIENCE_S) or self.loop.inbox._queue.qsize():
            pass

    def closed(self) -> None:
        """Wait until all consumers that were stopped are closed; none is stopped after that."""
        self.may_close.set()
        assert self.loop._background.stop(PATIENCE_S) == 0

    @property
    def running(self) -> set[str]:
        return set(self.loop.consumers)

    @property
    def waiting(self) -> dict[str, SubscriptionStatus | None]:
        return {one.id: status for one, status in self.subscriptions.limit.waiting.all()}

    def _open(
        self, subscribed: Subscription, previous: SubscriptionStatus | None, loop: IngestLoop
    ) -> SubscriptionConsumer:
        if subscribed.id == self.unusable:
            raise UnusableSubscription("no such filter")
        return new_consumer(
            subscribed, previous, loop, matcher=Matcher(()), reader=lambda told: SlowConsumer(told, self.may_close)
        )


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.closed()
    made.database.close()


def test_subscription_without_room_is_not_run_and_says_why(scene: Scene) -> None:
    with captured_lines() as lines:
        scene.subscriptions.run(subscription(THIRD_ID), None)
        scene.second()
    (status,) = scene.waiting.values()
    assert status is not None
    assert (status.health, status.reason, status.version) == (Health.UNHEALTHY, "ingest_full", 1)
    assert status.delivery is not None
    assert status.delivery.state is DeliveryState.STOPPED
    assert [problem.detail for problem in status.problems] == [
        "the ingest process runs 2 subscriptions, as many as one process can"
    ]
    assert (scene.running, scene.subscriptions.not_run) == ({ID, OTHER_ID}, {THIRD_ID: "ingest_full"})
    told = [(line["code"], line["subscription"]) for line in lines.of("subscription_not_run")]
    assert told == [("ingest_full", THIRD_ID)], "once"


def test_operators_are_told_while_subscriptions_have_no_room(scene: Scene) -> None:
    scene.subscriptions.limit.check()
    scene.subscriptions.run(subscription(THIRD_ID), None)
    scene.subscriptions.run(subscription(FOURTH_ID), None)
    with pytest.raises(IngestFull, match=r"^2 subscriptions are not run: the ingest process runs 2 "):
        scene.subscriptions.limit.check()
    scene.subscriptions.stop(THIRD_ID)
    scene.subscriptions.stop(FOURTH_ID)
    scene.subscriptions.limit.check()


def test_first_that_waits_starts_when_another_one_has_stopped(scene: Scene) -> None:
    scene.subscriptions.run(subscription(THIRD_ID), None)
    scene.subscriptions.run(subscription(FOURTH_ID), None)
    scene.subscriptions.stop(ID)
    scene.closed()
    scene.second()
    assert (scene.running, [*scene.waiting]) == ({OTHER_ID, THIRD_ID}, [FOURTH_ID])
    assert scene.subscriptions.not_run == {FOURTH_ID: "ingest_full"}
    assert scene.loop.consumers[THIRD_ID].status().health is Health.HEALTHY


def test_consumer_that_is_not_closed_yet_takes_room_and_is_no_problem(scene: Scene) -> None:
    scene.subscriptions.stop(ID)
    scene.subscriptions.run(subscription(THIRD_ID), None)
    scene.second()
    before = (scene.running, scene.waiting, scene.subscriptions.not_run)
    scene.closed()
    scene.second()
    assert (before, scene.running) == (({OTHER_ID}, {THIRD_ID: None}, {}), {OTHER_ID, THIRD_ID})


def test_changed_subscription_keeps_its_place(scene: Scene) -> None:
    scene.subscriptions.run(subscription(THIRD_ID), None)
    scene.subscriptions.run(replace(subscription(ID), version=2), None)
    scene.second()
    with pytest.raises(IngestFull):  # the fault does not end meanwhile
        scene.subscriptions.limit.check()
    scene.closed()
    scene.second()
    assert (scene.running, [*scene.waiting]) == ({ID, OTHER_ID}, [THIRD_ID])
    assert scene.loop.consumers[ID].subscription.version == 2


def test_new_subscription_does_not_overtake_one_that_waits(scene: Scene) -> None:
    scene.subscriptions.run(subscription(THIRD_ID), None)
    scene.subscriptions.stop(ID)
    scene.closed()
    scene.subscriptions.run(subscription(FOURTH_ID), None)
    scene.second()
    assert scene.running == {OTHER_ID, THIRD_ID}


def test_changed_subscription_waits_in_its_newest_version(scene: Scene) -> None:
    scene.subscriptions.run(subscription(THIRD_ID), None)
    (status,) = scene.waiting.values()
    scene.subscriptions.run(replace(subscription(THIRD_ID), version=2), status)
    scene.subscriptions.stop(ID)
    scene.closed()
    scene.second()
    assert (scene.loop.consumers[THIRD_ID].subscription.version, scene.waiting) == (2, {})


def test_stopped_subscription_does_not_wait(scene: Scene) -> None:
    scene.subscriptions.run(subscription(THIRD_ID), None)
    scene.subscriptions.stop(THIRD_ID)
    scene.subscriptions.stop(ID)
    scene.closed()
    scene.second()
    assert (scene.running, scene.waiting, scene.subscriptions.not_run) == ({OTHER_ID}, {}, {})


def test_unusable_subscription_makes_room_for_the_next(scene: Scene) -> None:
    scene.unusable = THIRD_ID
    for id_ in (THIRD_ID, FOURTH_ID):
        scene.subscriptions.run(subscription(id_), None)
    scene.subscriptions.stop(ID)
    scene.closed()
    scene.second()
    assert (scene.running, scene.subscriptions.not_run) == (
        {OTHER_ID, FOURTH_ID},
        {THIRD_ID: "unusable_configuration"},
    )


def test_those_that_wait_are_among_the_others_when_the_service_is_online_again(scene: Scene) -> None:
    scene.subscriptions.run(subscription(THIRD_ID), None)
    scene.subscriptions.go_offline(0.0)
    scene.subscriptions.limit.check()  # no fault: nothing is to run
    scene.closed()
    waited = scene.subscriptions.go_online()
    assert [one.id for one, _ in waited] == [ID, OTHER_ID, THIRD_ID]
    for one, status in waited:
        scene.subscriptions.run(one, status)
    assert (scene.running, scene.subscriptions.not_run) == ({ID, OTHER_ID}, {THIRD_ID: "ingest_full"})


@pytest.mark.parametrize(("keys", "most"), [(1024, 960), (128, 64), (64, 1), (-1, sys.maxsize)])
def test_limit_leaves_keys_for_other_clients(monkeypatch: pytest.MonkeyPatch, keys: int, most: int) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_THREAD_KEYS_MAX": keys}.__getitem__)
    assert subscription_limit() == most
