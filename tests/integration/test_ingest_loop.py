"""The ingest loop with consumers that the test controls: a fault affects one subscription only, and loses no record.

Real: the loop's thread, subscription consumers, accumulators, the publisher's thread on kombu's in-memory transport.
Doubled: Kafka consumers.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event

import pytest
from confluent_kafka import Message

from tests.harness.lanes import LIMITS, TIMEOUTS, TOPIC, WANTED, lane_of, records, tokens
from tests.harness.memory_consumer import MemoryConsumer, MemoryDeadLetters
from tests.harness.secret_keys import SECRET_KEYS
from tests.harness.subscriptions import ID, OTHER_ID, subscription
from webhookd import clock
from webhookd.edges.dead_letter_topics import DeadLetterTopics
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_consumer import ConsumerCallbacks
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.errors import GroupDenied
from webhookd.flow.batching.backpressure import ReadBackpressure
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.concurrency_limit import WorkerThreads
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.monitoring.kafka_reachability import KafkaReachability
from webhookd.flow.offsets.position import OffsetAndMetadata, Partition
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.policy.policy import OPEN_TOPIC
from webhookd.flow.settlement.in_flight import InFlightDeliveries
from webhookd.flow.status.delivery_status import STOPPED
from webhookd.flow.status.problem import Problem
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus, unhealthy
from webhookd.flow.subscription import Subscription
from webhookd.settings import Settings
from webhookd.store import activity, subscription_statuses, subscriptions
from webhookd.store.database import Database
from webhookd.store.migrating import upgrade
from webhookd.testing.memory_partition_offsets import MemoryPartitionOffsets
from workers.celery_app import build_celery
from workers.ingest.blocking_writers import BlockingWriters
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.consumer.subscription_health import NOT_ALLOWED, POLICIES_OUTDATED
from workers.ingest.dispatch.task_publisher import TaskPublisher
from workers.ingest.loop import IngestLoop
from workers.ingest.loop_commands import LoopCommands
from workers.ingest.loop_limits import Clocks, LoopLimits
from workers.ingest.settlement.database_writer import DatabaseWriter
from workers.ingest.settlement.dead_letter_publisher import DeadLetterPublisher

PATIENCE_S = 20.0
ZERO, ONE = Partition(TOPIC, 0), Partition(TOPIC, 1)


class Faulty(Matcher):
    """Raises an unexpected error on one value."""

    def matches(self, value: bytes | None) -> bool:
        if value == b'"fault"':
            raise AssertionError("a fault of ours")
        return False


class ClosableConsumer(MemoryConsumer):
    """Sets `gone_for_good` when it is closed; raises `refusal` when it is polled."""

    def __init__(self, listener: ConsumerCallbacks) -> None:
        super().__init__(listener)
        self.gone_for_good = Event()
        self.refusal: Exception | None = None

    def poll(self) -> list[Message]:
        if self.refusal is not None:
            raise self.refusal
        return super().poll()

    def close(self, commits: Mapping[Partition, OffsetAndMetadata]) -> None:
        super().close(commits)
        self.gone_for_good.set()


class Scene:
    """A running loop; `kafka_consumers` are those that it has opened, in their order."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'loop.db'}"
        upgrade(url)
        self.database = Database(url, secret_keys=SECRET_KEYS)
        self.kafka_consumers: list[ClosableConsumer] = []
        self.opened = Event()
        self.never_joined = Event()
        self.refusals = 0
        self.writer = DatabaseWriter(
            self.database,
            retention_s=60.0,
            dead_letter_retention_s=60.0,
            audit_retention_s=86400.0,
            dead_letter_limit=100,
            wall_clock=clock.wall_clock,
            monotonic=clock.monotonic,
        )
        app = build_celery(Settings(redis_url="memory://", database_url=url))
        self.coordination = MemoryCoordination()
        self.publisher = TaskPublisher(app, self.coordination, on_unknown=lambda _: None)
        self.offsets = MemoryPartitionOffsets()
        self.in_flight = InFlightDeliveries(TIMEOUTS, tokens("delivery"), lambda: 0.5)
        self.loop = IngestLoop(
            limits=LoopLimits(
                reply="test",
                commit_interval_s=60.0,
                lane_bytes=10_000,
                process_bytes=10_000,
                worker_threads=WorkerThreads(first=64, retry=64),
            ),
            clocks=Clocks(monotonic=clock.monotonic, wall=clock.wall_clock),
            in_flight=self.in_flight,
            writers=BlockingWriters(
                publisher=self.publisher,
                writer=self.writer,
                dead_letter_publisher=DeadLetterPublisher(
                    DeadLetterTopics(KafkaConnection("127.0.0.1:1")), clock.monotonic
                ),
                offsets=self.offsets,
            ),
            describe_topics=lambda names: Topics(partitions=dict.fromkeys(names, 2)),
            open_consumer=self._open,
            never_joined=self.never_joined.set,
        )

    def until_read(self, partition: Partition, offset: int) -> None:
        """Wait until a lane has settled all below this offset."""
        pause, deadline = Event(), clock.monotonic() + PATIENCE_S
        while self._watermark(partition) < offset:
            assert clock.monotonic() < deadline, "it was never read"
            pause.wait(0.005)

    def _watermark(self, partition: Partition) -> int:
        lanes = [lane for consumer in self.loop.consumers.values() for lane in consumer.accumulator.lanes.values()]
        return max((lane.ledger.watermark for lane in lanes if lane.partition == partition), default=-1)

    def _open(
        self, subscribed: Subscription, previous: SubscriptionStatus | None, loop: IngestLoop
    ) -> SubscriptionConsumer:
        if self.refusals:
            self.refusals -= 1
            raise MemoryError("no more threads")
        matchers = {TOPIC: Faulty(())}
        accumulator = BatchAccumulator(subscribed, matchers, LIMITS, tokens("accumulator"))
        consumer = SubscriptionConsumer(accumulator, matchers, ReadBackpressure(10_000), loop, self._reader, previous)
        self.opened.set()
        return consumer

    def _reader(self, listener: ConsumerCallbacks) -> ClosableConsumer:
        reader = ClosableConsumer(listener)
        self.kafka_consumers.append(reader)
        return reader


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    made.writer.start()
    made.publisher.start()
    made.loop.start()
    yield made
    made.loop.stop(5.0)
    made.publisher.stop(5.0)
    made.writer.stop(5.0)
    made.database.close()


def message(partition: Partition, offset: int, value: bytes) -> Message:
    return Message(topic=TOPIC, partition=partition.number, offset=offset, value=value, timestamp=(1, 0))


def test_failed_iteration_skips_no_record(scene: Scene) -> None:
    def begin() -> None:
        scene.loop.subscriptions.run(subscription(), None)
        (reader,) = scene.kafka_consumers
        reader.listener.assigned([ZERO, ONE])
        reader.arrived.append([message(ZERO, 0, b'"fault"'), message(ONE, 50, b"1")])
        reader.arrived.append([message(ONE, 60, b"1")])

    scene.loop.call(begin)
    assert scene.opened.wait(PATIENCE_S)
    assert scene.kafka_consumers[0].gone_for_good.wait(PATIENCE_S)
    committed = [
        commits[ONE].offset
        for commits in [*scene.kafka_consumers[0].commits, *scene.kafka_consumers[0].closed]
        if ONE in commits
    ]
    assert max(committed, default=0) <= 50


def test_denied_group_is_a_problem(scene: Scene) -> None:
    def begin() -> None:
        scene.loop.subscriptions.run(subscription(), None)
        scene.kafka_consumers[0].refusal = GroupDenied("said")

    on_the_loop(scene, begin)
    assert scene.kafka_consumers[0].gone_for_good.wait(PATIENCE_S)
    problems: list[tuple[str, str, bool]] = []
    on_the_loop(
        scene,
        lambda: problems.extend((p.code, p.detail, p.standing) for p in scene.loop.consumers[ID].status().problems),
    )
    assert (problems, scene.never_joined.is_set()) == ([("group_denied", "said", True)], False)


def test_consumer_that_fails_twice_before_it_joins_is_a_problem(scene: Scene) -> None:
    def fails() -> None:
        scene.loop.subscriptions.restart_later(scene.loop.consumers[ID], RuntimeError("beyond use"))
        scene.loop.subscriptions.restart(scene.loop.consumers[ID])

    reasons: list[str] = []
    on_the_loop(scene, lambda: scene.loop.subscriptions.run(subscription(), None))
    for _ in range(2):
        on_the_loop(scene, fails)
        on_the_loop(scene, lambda: reasons.append(scene.loop.consumers[ID].status().reason))
    assert reasons == ["", "consumer_failed"]


def test_failed_start_is_repeated(scene: Scene) -> None:
    scene.refusals = 1
    scene.loop.call(lambda: scene.loop.subscriptions.run(subscription(), None))
    assert scene.opened.wait(PATIENCE_S)


def test_new_version_replaces_the_old_one(scene: Scene) -> None:
    first = subscription()
    scene.loop.call(lambda: scene.loop.subscriptions.run(first, None))
    scene.loop.call(lambda: scene.loop.subscriptions.run(replace(first, version=first.version + 1), None))
    done = Event()
    scene.loop.call(done.set)
    assert done.wait(PATIENCE_S)
    assert scene.kafka_consumers[0].gone_for_good.wait(PATIENCE_S)
    assert [consumer.subscription.version for consumer in scene.loop.consumers.values()] == [first.version + 1]


def on_the_loop(scene: Scene, action: Callable[[], None]) -> None:
    """Run on the loop's thread, to its end."""
    done = Event()
    scene.loop.call(action)
    scene.loop.call(done.set)
    assert done.wait(PATIENCE_S)


def gone_online(scene: Scene) -> list[tuple[str, int]]:
    """Go online; returns the subscriptions that are to be started."""
    found: list[tuple[str, int]] = []
    on_the_loop(scene, lambda: found.extend((one.id, one.version) for one, _ in scene.loop.subscriptions.go_online()))
    return found


def test_offline_loop_leaves_groups_with_their_positions(scene: Scene) -> None:
    def begin() -> None:
        scene.loop.subscriptions.run(subscription(), None)
        scene.kafka_consumers[0].listener.assigned([ZERO])
        scene.kafka_consumers[0].arrived.append([message(ZERO, 7, b"1")])

    on_the_loop(scene, begin)
    scene.until_read(ZERO, 8)
    on_the_loop(scene, lambda: scene.loop.subscriptions.go_offline(60.0))
    assert scene.kafka_consumers[0].gone_for_good.wait(PATIENCE_S)
    assert [commits[ZERO].offset for commits in scene.kafka_consumers[0].closed] == [8]
    assert gone_online(scene) == [(ID, 1)]


def test_offline_loop_starts_nothing(scene: Scene) -> None:
    first, second = subscription(), subscription(OTHER_ID)
    on_the_loop(scene, lambda: scene.loop.subscriptions.go_offline(0.0))
    for change in (first, replace(first, version=2), second):
        on_the_loop(scene, partial(scene.loop.subscriptions.run, change, None))
    on_the_loop(scene, lambda: scene.loop.subscriptions.stop(OTHER_ID))
    assert (scene.kafka_consumers, gone_online(scene)) == ([], [(ID, 2)])


def test_status_is_kept_while_offline(scene: Scene) -> None:
    before = unhealthy(SubscriptionStatus(subscription_id=ID, health=Health.HEALTHY, delivered=7), "timeout", "", 5.0)
    on_the_loop(scene, lambda: scene.loop.subscriptions.run(subscription(), before))
    on_the_loop(scene, lambda: scene.loop.subscriptions.go_offline(0.0))
    found: list[SubscriptionStatus | None] = []
    on_the_loop(scene, lambda: found.extend(status for _, status in scene.loop.subscriptions.go_online()))
    assert [(one.health, one.reason, one.delivered) for one in found if one] == [(Health.UNHEALTHY, "timeout", 7)]


def test_loop_online_before_it_left_keeps_its_consumers(scene: Scene) -> None:
    def in_flight() -> None:
        scene.loop.subscriptions.run(subscription(), None)
        scene.kafka_consumers[0].listener.assigned([ZERO])
        accumulator = scene.loop.consumers[ID].accumulator
        lane_of(accumulator).position_known = True
        lane_of(accumulator).take(records(0), WANTED, 0.0)
        for delivery in accumulator.ready(1e9):
            scene.in_flight.published(delivery, clock.monotonic())

    on_the_loop(scene, in_flight)
    on_the_loop(scene, lambda: scene.loop.subscriptions.go_offline(60.0))
    assert (gone_online(scene), list(scene.loop.consumers)) == ([], [ID])


def held_status(scene: Scene, code: str, version: int) -> SubscriptionStatus:
    """Wait until the status has this reason."""
    pause, deadline = Event(), clock.monotonic() + PATIENCE_S
    while True:
        with scene.database.transaction() as session:
            status = subscription_statuses.read(session, ID)
        if status is not None and (status.reason, status.version) == (code, version):
            return status
        assert clock.monotonic() < deadline, status
        pause.wait(0.01)


def test_subscription_that_is_not_allowed_stops_with_its_position_and_goes_on_there(scene: Scene) -> None:
    with scene.database.transaction() as session:
        subscriptions.insert(session, subscription())

    def begin() -> None:
        scene.loop.subscriptions.run(subscription(), None)
        scene.kafka_consumers[0].listener.assigned([ZERO])
        scene.kafka_consumers[0].arrived.append([message(ZERO, 0, b"1"), message(ZERO, 1, b"1")])

    on_the_loop(scene, begin)
    scene.until_read(ZERO, 2)
    problem = Problem(code=NOT_ALLOWED, detail="said", since=1.0)
    on_the_loop(scene, lambda: scene.loop.subscriptions.hold(ID, 2, problem, None))
    assert scene.kafka_consumers[0].gone_for_good.wait(PATIENCE_S)
    assert scene.kafka_consumers[0].closed[-1][ZERO].offset == 2
    status = held_status(scene, NOT_ALLOWED, 2)
    assert (status.health, status.filtered, status.delivery) == (Health.UNHEALTHY, 2, STOPPED)
    on_the_loop(scene, lambda: scene.loop.subscriptions.run(subscription(version=3), status))
    assert held_status(scene, "", 3).filtered == 2
    events: list[str] = []
    pause, deadline = Event(), clock.monotonic() + PATIENCE_S
    while len(events) < 2 and clock.monotonic() < deadline:
        with scene.database.transaction() as session:
            events = [f"{item.event} {item.error}".strip() for item in activity.recent(session, ID)]
        pause.wait(0.01)
    assert sorted(events) == ["healthy", "unhealthy not_allowed"]


def test_problems_go_on_when_only_the_policies_have_changed(scene: Scene) -> None:
    problems: list[str] = []

    def change() -> None:
        scene.loop.subscriptions.run(subscription(), None)
        scene.loop.consumers[ID].begin_problem("http_503")
        scene.loop.subscriptions.run(subscription(version=2, policies={TOPIC: OPEN_TOPIC}), None)
        problems.append(scene.loop.consumers[ID].status().reason)
        scene.loop.subscriptions.run(subscription(version=3, name="another"), None)
        problems.append(scene.loop.consumers[ID].status().reason)

    on_the_loop(scene, change)
    assert problems == ["http_503", ""]


def test_dead_letters_of_other_policies_are_withdrawn(scene: Scene) -> None:
    scene.loop.dead_letters = kept = MemoryDeadLetters()
    for policies, count in (({}, 0), ({TOPIC: OPEN_TOPIC}, 1), ({TOPIC: OPEN_TOPIC}, 1), ({}, 2)):
        on_the_loop(scene, partial(scene.loop.subscriptions.run, subscription(policies=policies), None))
        assert len(kept.withdrawn) == count


def test_policies_are_confirmed_after_the_marker_was_reported(scene: Scene) -> None:
    confirmed: SimpleQueue[int] = SimpleQueue()
    on_the_loop(scene, lambda: scene.loop.policy_confirmation.request(4, confirmed.put))
    reports, _ = scene.coordination.read_reports("test", "0", PATIENCE_S)
    assert confirmed.empty()
    scene.loop.add_reports(reports)
    assert confirmed.get(timeout=PATIENCE_S) == 4


def test_commands_hold_what_is_not_allowed_and_what_has_outdated_policies(scene: Scene) -> None:
    commands = LoopCommands(
        scene.loop,
        scene.writer,
        reachability=KafkaReachability,
        kafka_timeout_s=15.0,
        mismatched=lambda error: pytest.fail(str(error)),
    )
    allowed = dict.fromkeys(("orders", "refunds"), OPEN_TOPIC)
    with scene.database.transaction() as session:
        subscriptions.insert(session, subscription())
    commands.run(ID, 1, subscription(policies=allowed), None)
    assert scene.opened.wait(PATIENCE_S)
    commands.hold(ID, "said")
    status = held_status(scene, POLICIES_OUTDATED, 1)
    assert [(problem.code, problem.detail) for problem in status.problems] == [(POLICIES_OUTDATED, "said")]
    commands.run(ID, 1, subscription(policies=allowed), status)
    assert held_status(scene, "", 1).health is Health.HEALTHY
    commands.run(ID, 2, subscription(version=2, policies={"orders": OPEN_TOPIC}), None)
    status = held_status(scene, NOT_ALLOWED, 2)
    assert status.problems[0].detail == "no policy allows tenant default to read refunds"
    assert scene.loop.consumers == {}
