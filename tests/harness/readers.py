"""A consumer that reads what a test hands it, and the services of an ingest process that does as it is told."""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Message

from webhookd.clock import Monotonic, WallClock
from webhookd.edges.kafka_reader import Listener
from webhookd.flow.activity import Activity
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.position import Bounds, Mark, Partition
from webhookd.flow.subscription import Subscription
from webhookd.flow.topics import Topics


class HandReader:
    """Keeps what it is asked for; `arrived` are the messages of the coming polls."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.arrived: deque[list[Message]] = deque()
        self.asked: list[tuple[str, Partition, int]] = []
        self.commits: list[Mapping[Partition, Mark]] = []
        self.closed: list[Mapping[Partition, Mark]] = []
        self.gone: set[Partition] = set()
        self.mark: Mark | None = None
        self.first = self.last = 0

    def poll(self) -> list[Message]:
        """The next messages."""
        return self.arrived.popleft() if self.arrived else []

    def reposition(self, partition: Partition, offset: int) -> None:
        """Note it; refused, as librdkafka does it, for a partition that is `gone`."""
        if partition in self.gone:
            raise KafkaException(KafkaError(KafkaError._STATE))
        self.asked.append(("reposition", partition, offset))

    def pause(self, partition: Partition) -> None:
        """Note it."""
        self.asked.append(("pause", partition, 0))

    def resume(self, partition: Partition) -> None:
        """Note it."""
        self.asked.append(("resume", partition, 0))

    def commit(self, marks: Mapping[Partition, Mark]) -> None:
        """Note it."""
        self.commits.append(dict(marks))

    def committed(self, partitions: Sequence[Partition], timeout_s: float) -> Mapping[Partition, Mark | None]:
        """What the test says, of each."""
        assert timeout_s > 0
        return dict.fromkeys(partitions, self.mark)

    def bounds(self, partition: Partition, timeout_s: float) -> Bounds:
        """What the test says."""
        assert partition.number >= 0
        assert timeout_s > 0
        return Bounds(committed=self.mark, first=self.first, end=self.last)

    def end(self, partition: Partition) -> int | None:
        """What the test says."""
        return self.last if partition.number >= 0 else None

    def close(self, marks: Mapping[Partition, Mark]) -> None:
        """Note it."""
        self.closed.append(dict(marks))


class HandLetters:
    """Keeps dead letters; the test says when they are safe, and what of copies is known."""

    def __init__(self) -> None:
        self.written: list[tuple[list[DeadLetter], Callable[[], None]]] = []
        self.asked: list[str] = []
        self.forgotten: list[str] = []
        self.trouble: str | None = None

    def write(self, subscription: Subscription, letters: list[DeadLetter], safe: Callable[[], None]) -> None:
        """Keep them."""
        assert all(letter.subscription_id == subscription.id for letter in letters)
        self.written.append((letters, safe))

    def ask_room(self, subscription: Subscription) -> None:
        """Note it."""
        self.asked.append(subscription.id)

    def forget(self, subscription: Subscription) -> None:
        """Note it."""
        self.forgotten.append(subscription.id)

    def copy_trouble(self, subscription: Subscription) -> str | None:
        """What the test says."""
        assert subscription.id
        return self.trouble


class HandServices:
    """Calls at once what an ingest process would call soon; what has to wait waits for the test."""

    def __init__(self) -> None:
        self.now = 100.0
        self.monotonic: Monotonic = lambda: self.now
        self.wall_clock: WallClock = lambda: self.now
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.letters = HandLetters()
        self.told: list[Activity] = []
        self.touched: list[str] = []
        self.ids: dict[str, str] = {}
        self.held: list[Callable[[], None]] | None = None

    def call(self, action: Callable[[], None]) -> None:
        """At once."""
        action()

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """When the test says so."""
        self.later.append((delay_s, action))

    def in_background(self, action: Callable[[], None]) -> None:
        """At once, unless the test holds it back."""
        if self.held is None:
            action()
        else:
            self.held.append(action)

    def topics(self, names: Collection[str]) -> Topics:
        """As the test says in `ids`."""
        return Topics(partitions=dict.fromkeys(names, 2), ids={n: self.ids[n] for n in names if n in self.ids})

    def touch(self, subscription_id: str) -> None:
        """Note it."""
        self.touched.append(subscription_id)

    def happened(self, activity: Activity) -> None:
        """Keep it."""
        self.told.append(activity)
