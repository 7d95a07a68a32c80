"""The copies of dead letters that wait to be written to Kafka topics: which is next, and which are given up.

    a copy that                                          is
    was written                                          done
    could not be written                                 tried again, after the other copies for its topic
    has waited for an hour                               given up
    is the oldest, with more than 10,000 records         given up
      waiting for one topic
    is the next one for the topic with the most bytes,   given up
      with more than 64 MiB waiting in all
    was rendered under policies that no longer apply     withdrawn, without a trace

After a failure nothing is written to that topic for 1 s; this doubles with each failure in a row, up to a minute. A
copy that is given up is logged and counted. Its records stay in the database.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from webhookd.flow.dead_letter import DeadLetter, FailedCopy
from webhookd.flow.subscription import Subscription

MAX_AGE_S = 3600.0
MAX_TOPIC_RECORDS = 10_000
MAX_TOTAL_BYTES = 64 * 1024 * 1024

FIRST_PAUSE_S, MAX_PAUSE_S = 1.0, 60.0


@dataclass(slots=True, kw_only=True)
class DeadLetterCopy:
    """Dead letters of one subscription that are written to a topic together; `since` is a monotonic time.

    `subscription` has the policies under which they were rendered.

    `on_first_attempt` is to be called after the first attempt with any result; None after it was called.
    """

    topic: str
    subscription: Subscription
    dead_letters: Sequence[DeadLetter]
    since: float
    on_first_attempt: Callable[[], None] | None = None
    failed: bool = False
    withdrawn: bool = False

    @property
    def size_bytes(self) -> int:
        """The memory that the dead letters take."""
        return sum(dead_letter.size_bytes for dead_letter in self.dead_letters)


@dataclass(slots=True)
class _Queue:
    copies: deque[DeadLetterCopy] = field(default_factory=deque)
    failures: int = 0
    due_at: float = 0.0

    def outdated(self, now: float) -> list[DeadLetterCopy]:
        """Remove and return the copies that are too old, and the oldest ones when there are too many records."""
        records, outdated = 0, dict[int, DeadLetterCopy]()
        for copy in sorted(self.copies, key=lambda copy: copy.since, reverse=True):
            records += len(copy.dead_letters)
            if records > MAX_TOPIC_RECORDS or now - copy.since > MAX_AGE_S:
                outdated[id(copy)] = copy
        if outdated:
            self.copies = deque(copy for copy in self.copies if id(copy) not in outdated)
        return list(outdated.values())


class DeadLetterCopies:
    """The waiting copies, by topic; not thread-safe. Times are monotonic."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}
        self._problems: dict[tuple[str, str], str] = {}
        self._failed_at: dict[tuple[str, str], float] = {}
        self._given_up: dict[tuple[str, str], int] = {}
        self._attempted: DeadLetterCopy | None = None

    def __len__(self) -> int:
        """How many copies are waiting."""
        return sum(len(queue.copies) for queue in self._queues.values())

    def add(self, copy: DeadLetterCopy) -> None:
        """Add a copy behind the others for its topic."""
        self._queues.setdefault(copy.topic, _Queue()).copies.append(copy)

    def failing(self, topic: str) -> bool:
        """Whether the last copy for the topic could not be written."""
        queue = self._queues.get(topic)
        return queue is not None and queue.failures > 0

    def next(self, now: float) -> DeadLetterCopy | None:
        """Remove and return the copy to write now, if any: one for the topic that has been due for the longest time."""
        due = [queue for queue in self._queues.values() if queue.copies and queue.due_at <= now]
        self._attempted = min(due, key=lambda queue: queue.due_at).copies.popleft() if due else None
        return self._attempted

    def withdraw(self, is_current: Callable[[Subscription], bool]) -> None:
        """Remove the copies of subscriptions that are not current; the one that is attempted now is not tried again."""
        attempted = [self._attempted] if self._attempted is not None else []
        copies = [copy for queue in self._queues.values() for copy in queue.copies] + attempted
        subscriptions = {id(copy.subscription): copy.subscription for copy in copies}  # many copies have the same one
        outdated = {key for key, subscription in subscriptions.items() if not is_current(subscription)}
        for queue in self._queues.values():
            queue.copies = deque(copy for copy in queue.copies if id(copy.subscription) not in outdated)
        for copy in attempted:
            copy.withdrawn = copy.withdrawn or id(copy.subscription) in outdated

    @property
    def withdrawn_ended(self) -> bool:
        """Whether no copy that was withdrawn is attempted now."""
        return self._attempted is None or not self._attempted.withdrawn

    def postpone(self, copy: DeadLetterCopy, now: float) -> list[Callable[[], None]]:
        """Let a copy that `next` returned wait again, unattempted, for FIRST_PAUSE_S; returns what must not wait."""
        queue, self._attempted = self._queues[copy.topic], None
        if not copy.withdrawn:
            queue.copies.appendleft(copy)
        queue.due_at = now + FIRST_PAUSE_S
        waiting = [copy.on_first_attempt] if copy.withdrawn and copy.on_first_attempt is not None else []
        return waiting + self.take_callbacks(copy.topic)

    def take_callbacks(self, topic: str) -> list[Callable[[], None]]:
        """Remove and return `on_first_attempt` of all copies for a failing topic, which must block no lane."""
        callbacks = [copy.on_first_attempt for copy in self._queues[topic].copies if copy.on_first_attempt is not None]
        for copy in self._queues[topic].copies:
            copy.on_first_attempt = None
        return callbacks

    def wait_s(self, now: float) -> float | None:
        """Seconds until the next copy is due; None while none is waiting."""
        due = [queue.due_at for queue in self._queues.values() if queue.copies]
        return max(0.0, min(due) - now) if due else None

    def attempted(self, copy: DeadLetterCopy, failed: Sequence[FailedCopy], now: float) -> None:
        """Note the result for a copy that `next` returned. Its dead letters that were not written wait again."""
        queue, key = self._queues[copy.topic], (copy.topic, copy.subscription.id)
        self._attempted = None
        if failed:
            copy.dead_letters, copy.failed = [one.dead_letter for one in failed], True
            if not copy.withdrawn:
                queue.copies.append(copy)
            queue.due_at = now + min(FIRST_PAUSE_S * 2.0**queue.failures, MAX_PAUSE_S)
            queue.failures = min(queue.failures + 1, 10)
            self._problems[key] = f"{copy.topic} {failed[0].failure.value}"
            self._failed_at[key] = now
            return
        queue.failures, queue.due_at = 0, now
        if not any(other.failed and other.subscription.id == copy.subscription.id for other in queue.copies):
            self._problems[key] = ""
            self._given_up.pop(key, None)

    def give_up(self, now: float) -> list[DeadLetterCopy]:
        """Remove and return the copies that are above a limit."""
        given_up = [copy for queue in self._queues.values() for copy in queue.outdated(now)]
        sizes = {topic: sum(copy.size_bytes for copy in queue.copies) for topic, queue in self._queues.items()}
        while sum(sizes.values()) > MAX_TOTAL_BYTES:
            largest = max(sizes, key=lambda topic: sizes[topic])
            given_up.append(self._queues[largest].copies.popleft())
            sizes[largest] -= given_up[-1].size_bytes
        for copy in given_up:
            key = (copy.topic, copy.subscription.id)
            self._given_up[key] = self._given_up.get(key, 0) + len(copy.dead_letters)
        return given_up

    def problem(self, topic: str, subscription_id: str, now: float) -> str | None:
        """Why copies for the topic fail, for people; empty while they succeed, None before the first one.

        A failure counts for `MAX_AGE_S`, and longer while copies are waiting. After that there was no further attempt,
        so nothing is known about the topic.
        """
        key = (topic, subscription_id)
        found = self._problems.get(key)
        if found and now - self._failed_at[key] > MAX_AGE_S and not self._waits(key):
            self._problems[key] = found = ""
            self._given_up.pop(key, None)
        given_up = self._given_up.get(key, 0)
        return f"{found}; {given_up} copies were given up" if found and given_up else found

    def _waits(self, key: tuple[str, str]) -> bool:
        topic, id_ = key
        queue = self._queues.get(topic)
        return queue is not None and any(copy.subscription.id == id_ for copy in queue.copies)
