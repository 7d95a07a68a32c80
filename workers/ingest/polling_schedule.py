"""When the ingest loop polls which subscription consumer next."""

import heapq
from itertools import count
from math import inf

from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer


class PollingSchedule:
    """Subscription consumers ordered by `poll_at` (monotonic seconds); owned by the ingest loop's thread."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, SubscriptionConsumer]] = []
        self._order = count()
        self._entries: dict[SubscriptionConsumer, int] = {}

    def add(self, consumer: SubscriptionConsumer) -> None:
        """Schedule its next poll for `poll_at`, in place of the one that was scheduled."""
        entry = self._entries[consumer] = next(self._order)
        heapq.heappush(self._heap, (consumer.poll_at, entry, consumer))

    def take_due(self, now: float) -> list[SubscriptionConsumer]:
        """Remove and return the consumers whose poll is due."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            _, entry, consumer = heapq.heappop(self._heap)
            if self._entries.get(consumer) == entry:
                del self._entries[consumer]
                due.append(consumer)
        return due

    @property
    def next_at(self) -> float:
        """The time of the next poll; infinite while nothing is scheduled."""
        return self._heap[0][0] if self._heap else inf
