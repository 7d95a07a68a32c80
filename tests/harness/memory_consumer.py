"""A Kafka consumer and the services of an ingest process, both controlled by the test."""

from collections import deque
from collections.abc import Callable, Collection, Mapping

from confluent_kafka import KafkaError, KafkaException, Message

from webhookd.clock import Monotonic, WallClock
from webhookd.edges.kafka_consumer import ConsumerCallbacks
from webhookd.edges.kafka_partition_reader import ReaderCallbacks
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.position import OffsetAndMetadata, OffsetRange, Partition
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.status.activity import Activity
from webhookd.flow.subscription import Subscription
from webhookd.testing.memory_partition_offsets import MemoryPartitionOffsets
from workers.ingest.consumer.shared_reader import OpenReader, SharedReader
from workers.ingest.ports import Offsets, PartitionReader


class MemoryConsumer:
    """Records all calls in `asked`; `arrived` are the messages of the next polls."""

    def __init__(self, listener: ConsumerCallbacks) -> None:
        self.listener = listener
        self.arrived: deque[list[Message]] = deque()
        self.asked: list[tuple[str, Partition, int]] = []
        self.commits: list[Mapping[Partition, OffsetAndMetadata]] = []
        self.closed: list[Mapping[Partition, OffsetAndMetadata]] = []
        self.gone: set[Partition] = set()
        self.broken = False
        self.committed: OffsetAndMetadata | None = None
        self.first = self.last = 0

    def poll(self) -> list[Message]:
        """The next messages."""
        return self.arrived.popleft() if self.arrived else []

    def seek(self, offsets: Mapping[Partition, int]) -> None:
        """Record each; raises, as librdkafka does, when one of the partitions is `gone`."""
        if not self.gone.isdisjoint(offsets):
            raise KafkaException(KafkaError(KafkaError._STATE))
        self.asked += [("seek", partition, offset) for partition, offset in offsets.items()]

    def pause(self, partition: Partition) -> None:
        """Record it."""
        self.asked.append(("pause", partition, 0))

    def resume(self, partition: Partition) -> None:
        """Record it."""
        self.asked.append(("resume", partition, 0))

    def commit(self, commits: Mapping[Partition, OffsetAndMetadata]) -> None:
        """Record it; raises while the consumer is `broken`."""
        self._refuse_if_broken()
        self.commits.append(dict(commits))

    def end_offset(self, partition: Partition) -> int | None:
        """What the test has set."""
        return self.last if partition.number >= 0 else None

    def close(self, commits: Mapping[Partition, OffsetAndMetadata]) -> None:
        """Record it."""
        self.closed.append(dict(commits))

    def _refuse_if_broken(self) -> None:
        if self.broken:
            raise KafkaException(KafkaError(KafkaError._STATE))


class MemoryConsumerOffsets:
    """Returns for every partition what the test has set at its Kafka consumer."""

    def __init__(self, kafka_consumer: Callable[[], MemoryConsumer]) -> None:
        self._kafka_consumer = kafka_consumer

    def committed(
        self, group: str, partitions: Collection[Partition], timeout_s: float
    ) -> dict[Partition, OffsetAndMetadata | None]:
        """The Kafka consumer's `committed`, of each."""
        assert group.startswith("webhooks-")
        assert timeout_s > 0
        return dict.fromkeys(partitions, self._kafka_consumer().committed)

    def offset_ranges(self, partitions: Collection[Partition], timeout_s: float) -> dict[Partition, OffsetRange]:
        """The Kafka consumer's `first` and `last`, of each; none while it is `broken`."""
        assert timeout_s > 0
        if self._kafka_consumer().broken:
            return {}
        consumer = self._kafka_consumer()
        return dict.fromkeys(partitions, OffsetRange(first=consumer.first, end=consumer.last))

    def end_offsets(self, partitions: Collection[Partition], timeout_s: float) -> dict[Partition, int]:
        """The Kafka consumer's `last`, of each."""
        assert timeout_s > 0
        return dict.fromkeys(partitions, self._kafka_consumer().last)


class MemoryDeadLetters:
    """Keeps dead letters; the test decides when they are stored, and whether copies fail."""

    def __init__(self) -> None:
        self.written: list[tuple[list[DeadLetter], Callable[[], None]]] = []
        self.asked: list[str] = []
        self.forgotten: list[str] = []
        self.withdrawals: list[Callable[[Subscription], bool]] = []
        self.failure: str | None = None

    def write(self, subscription: Subscription, dead_letters: list[DeadLetter], stored: Callable[[], None]) -> None:
        """Keep them."""
        assert all(dead_letter.subscription_id == subscription.id for dead_letter in dead_letters)
        self.written.append((dead_letters, stored))

    def request_free_rows(self, subscription: Subscription) -> None:
        """Record it."""
        self.asked.append(subscription.id)

    def forget(self, subscription: Subscription) -> None:
        """Record it."""
        self.forgotten.append(subscription.id)

    def withdraw_copies(self, is_current: Callable[[Subscription], bool]) -> None:
        """Record it."""
        self.withdrawals.append(is_current)

    def copy_failure(self, subscription: Subscription) -> str | None:
        """What the test has set."""
        assert subscription.id
        return self.failure


def refused_reader(_callbacks: ReaderCallbacks) -> PartitionReader:
    """No client for a shared reader: every lane is read by its own consumer."""
    raise KafkaException(KafkaError(KafkaError._STATE))


class MemoryPartitionReader:
    """Reads what the test has put into `arrived`; records the partitions that it reads, with their first offsets."""

    def __init__(self, callbacks: ReaderCallbacks) -> None:
        self.callbacks = callbacks
        self.reads: dict[Partition, int] = {}
        self.arrived: deque[list[Message]] = deque()
        self.ends: dict[Partition, int] = {}
        self.failure: KafkaException | None = None
        self.closed = False

    def add(self, offsets: Mapping[Partition, int]) -> None:
        """Record them."""
        assert self.reads.keys().isdisjoint(offsets)
        self.reads.update(offsets)

    def remove(self, partitions: Collection[Partition]) -> None:
        """Forget them."""
        for partition in partitions:
            del self.reads[partition]

    def poll(self) -> list[Message]:
        """The next messages, or the `failure`."""
        if self.failure is not None:
            raise self.failure
        return self.arrived.popleft() if self.arrived else []

    def end_offset(self, partition: Partition) -> int | None:
        """What the test has set."""
        return self.ends.get(partition)

    def close(self) -> None:
        """Record it."""
        self.closed = True


class MemoryServices:
    """Runs calls at once that an ingest process would run soon; delayed calls wait for the test."""

    def __init__(self, open_reader: OpenReader = refused_reader) -> None:
        self.now = 100.0
        self.monotonic: Monotonic = lambda: self.now
        self.wall_clock: WallClock = lambda: self.now
        self.commit_interval_s = 1.0
        self.dropped_commit_interval_s = 60.0
        self.shared_reader = SharedReader(open_reader, self.close_in_background, lambda: self.now)
        self.polled_soon: list[str] = []
        self.restarts: list[tuple[str, Exception]] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.dead_letters = MemoryDeadLetters()
        self.activities: list[Activity] = []
        self.dispatch_requests: list[str] = []
        self.ids: dict[str, str] = {}
        self.held: list[Callable[[], None]] | None = None
        self.offsets: Offsets = MemoryPartitionOffsets()
        self.calls: list[Callable[[], None]] | None = None

    def call(self, action: Callable[[], None]) -> None:
        """At once, unless the test collects the calls."""
        if self.calls is None:
            action()
        else:
            self.calls.append(action)

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """When the test runs it."""
        self.later.append((delay_s, action))

    def in_background(self, action: Callable[[], None]) -> None:
        """At once, unless the test holds it back."""
        if self.held is None:
            action()
        else:
            self.held.append(action)

    def close_in_background(self, action: Callable[[], None]) -> None:
        """At once."""
        action()

    def topics(self, names: Collection[str]) -> Topics:
        """Two partitions each, with the ids that the test has set in `ids`."""
        return Topics(partitions=dict.fromkeys(names, 2), ids={n: self.ids[n] for n in names if n in self.ids})

    def poll_soon(self, subscription_id: str) -> None:
        """Record it."""
        self.polled_soon.append(subscription_id)

    def restart_later(self, subscription_id: str, error: Exception) -> None:
        """Record it."""
        self.restarts.append((subscription_id, error))

    def request_dispatch(self, subscription_id: str) -> None:
        """Record it."""
        self.dispatch_requests.append(subscription_id)

    def add_activity(self, activity: Activity) -> None:
        """Keep it."""
        self.activities.append(activity)
