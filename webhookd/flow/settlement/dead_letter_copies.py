"""The copies of dead letters that are to be written to Kafka topics: which is next, which are given up, what fails.

    a copy that                                  is
    its topic took                               done
    its topic did not take                       tried again, after the topic's other copies
    waited for an hour                           given up
    is the oldest of more than 10,000 records    given up
      for one topic
    is the next of the topic that holds most,    given up
      when all copies hold more than 64 MiB

After a failure nothing is written to that topic for a second, which doubles up to a minute with each failure in a row.
A copy that is given up is logged and counted. Its record stays in the database.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from webhookd.flow.dead_letter import DeadLetter, FailedCopy

LONGEST_S = 3600.0
TOPIC_RECORDS = 10_000
TOTAL_BYTES = 64 * 1024 * 1024

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


@dataclass(slots=True, kw_only=True)
class DeadLetterCopy:
    """Dead letters of one subscription that are written to a topic together; `since` is monotonic.

    `tried` is to be called after the first attempt; None once it was.
    """

    topic: str
    subscription_id: str
    dead_letters: Sequence[DeadLetter]
    since: float
    tried: Callable[[], None] | None = None
    failed: bool = False

    @property
    def size_bytes(self) -> int:
        """What holding them in memory costs."""
        return sum(dead_letter.size_bytes for dead_letter in self.dead_letters)


@dataclass(slots=True)
class _Queue:
    copies: deque[DeadLetterCopy] = field(default_factory=deque)
    failures: int = 0
    due_at: float = 0.0

    def outdated(self, now: float) -> list[DeadLetterCopy]:
        """Take out the copies that are too old, and the oldest ones when there are too many."""
        records, outdated = 0, dict[int, DeadLetterCopy]()
        for copy in sorted(self.copies, key=lambda copy: copy.since, reverse=True):
            records += len(copy.dead_letters)
            if records > TOPIC_RECORDS or now - copy.since > LONGEST_S:
                outdated[id(copy)] = copy
        if outdated:
            self.copies = deque(copy for copy in self.copies if id(copy) not in outdated)
        return list(outdated.values())


class DeadLetterCopies:
    """The copies that wait, by topic; not thread-safe. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}
        self._troubles: dict[tuple[str, str], str] = {}
        self._failed_at: dict[tuple[str, str], float] = {}
        self._given_up: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        """How many copies wait."""
        return sum(len(queue.copies) for queue in self._queues.values())

    def add(self, copy: DeadLetterCopy) -> None:
        """Let it wait for its turn."""
        self._queues.setdefault(copy.topic, _Queue()).copies.append(copy)

    def failing(self, topic: str) -> bool:
        """Whether the last copy to the topic failed."""
        queue = self._queues.get(topic)
        return queue is not None and queue.failures > 0

    def next(self, now: float) -> DeadLetterCopy | None:
        """Take out the copy to write now, if there is one: of the topic whose turn came first."""
        due = [queue for queue in self._queues.values() if queue.copies and queue.due_at <= now]
        return min(due, key=lambda queue: queue.due_at).copies.popleft() if due else None

    def unheard(self, topic: str) -> list[Callable[[], None]]:
        """Take the `tried` of all copies to the topic that wait: whoever waits for them need not any longer."""
        heard = [copy.tried for copy in self._queues[topic].copies if copy.tried is not None]
        for copy in self._queues[topic].copies:
            copy.tried = None
        return heard

    def wait_s(self, now: float) -> float | None:
        """How long until a copy is to be written; None while none waits."""
        due = [queue.due_at for queue in self._queues.values() if queue.copies]
        return max(0.0, min(due) - now) if due else None

    def tried(self, copy: DeadLetterCopy, uncopied: Sequence[FailedCopy], now: float) -> None:
        """What came of writing a copy that `next` gave out; what the topic did not take waits again."""
        queue, key = self._queues[copy.topic], (copy.topic, copy.subscription_id)
        if uncopied:
            copy.dead_letters, copy.failed = [left.dead_letter for left in uncopied], True
            queue.copies.append(copy)
            queue.due_at = now + min(FIRST_PAUSE_S * 2.0**queue.failures, LONGEST_PAUSE_S)
            queue.failures = min(queue.failures + 1, 10)
            self._troubles[key] = f"{copy.topic} {uncopied[0].failure.value}"
            self._failed_at[key] = now
            return
        queue.failures, queue.due_at = 0, now
        if not any(other.failed and other.subscription_id == copy.subscription_id for other in queue.copies):
            self._troubles[key] = ""
            self._given_up.pop(key, None)

    def give_up(self, now: float) -> list[DeadLetterCopy]:
        """Take out the copies that are past a bound."""
        given_up = [copy for queue in self._queues.values() for copy in queue.outdated(now)]
        sizes = {topic: sum(copy.size_bytes for copy in queue.copies) for topic, queue in self._queues.items()}
        while sum(sizes.values()) > TOTAL_BYTES:
            largest = max(sizes, key=lambda topic: sizes[topic])
            given_up.append(self._queues[largest].copies.popleft())
            sizes[largest] -= given_up[-1].size_bytes
        for copy in given_up:
            key = (copy.topic, copy.subscription_id)
            self._given_up[key] = self._given_up.get(key, 0) + len(copy.dead_letters)
        return given_up

    def trouble(self, topic: str, subscription_id: str, now: float) -> str | None:
        """Why copies to the topic fail, for people; empty while they succeed, None before the first one.

        A failure counts for LONGEST_S, or as long as copies wait: then nobody tries any more, and nobody knows.
        """
        key = (topic, subscription_id)
        found = self._troubles.get(key)
        if found and now - self._failed_at[key] > LONGEST_S and not self._waits(key):
            self._troubles[key] = found = ""
            self._given_up.pop(key, None)
        given_up = self._given_up.get(key, 0)
        return f"{found}; {given_up} copies were given up" if found and given_up else found

    def _waits(self, key: tuple[str, str]) -> bool:
        topic, id_ = key
        queue = self._queues.get(topic)
        return queue is not None and any(copy.subscription_id == id_ for copy in queue.copies)
