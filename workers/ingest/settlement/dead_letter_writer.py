"""Stores dead letters before their lane continues: each gets a row, then one attempt to copy it to a Kafka topic."""

from collections.abc import Callable
from typing import Protocol

from webhookd.flow.dead_letter import Capacity, DeadLetter
from webhookd.flow.subscription import Subscription
from workers.ingest.settlement.database_writer import DatabaseWriter
from workers.ingest.settlement.dead_letter_publisher import DeadLetterPublisher

COPY_S = 1.0
"""How long a lane waits for the first attempt to copy its dead letters, once their rows are committed: the publisher's
thread may be waiting for another topic."""


class Calls(Protocol):
    """The ingest loop; both methods may be called from any thread."""

    def call(self, action: Callable[[], None]) -> None:
        """Run an action on the loop's thread."""

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run an action on the loop's thread after a delay."""


class DeadLetterWriter:
    """Stores dead letters; used by the ingest loop's thread."""

    def __init__(
        self,
        writer: DatabaseWriter,
        dead_letter_publisher: DeadLetterPublisher,
        loop: Calls,
        on_free_rows: Callable[[str, Capacity], None],
    ) -> None:
        """`on_free_rows` is called on the loop's thread with a subscription's id and its free rows."""
        writer.dead_letters.on_free_rows = lambda id_, capacity: loop.call(lambda: on_free_rows(id_, capacity))
        self._writer = writer
        self._dead_letter_publisher = dead_letter_publisher
        self._loop = loop

    def write(self, subscription: Subscription, dead_letters: list[DeadLetter], stored: Callable[[], None]) -> None:
        """Store dead letters; `stored` runs on the loop's thread when their lane may continue."""
        topic = subscription.retry.dead_letter_topic

        def committed() -> None:
            if not topic:
                self._loop.call(stored)
                return
            once = _Once(stored)
            self._dead_letter_publisher.append(subscription, dead_letters, lambda: self._loop.call(once))
            self._loop.call_later(COPY_S, once)

        self._writer.add_dead_letters(subscription, dead_letters, committed)

    def request_free_rows(self, subscription: Subscription) -> None:
        """Request the number of the subscription's free rows, which `on_free_rows` gets; returns at once."""
        self._writer.dead_letters.request_free_rows(subscription.id, subscription.tenant)
        self._writer.wake()

    def forget(self, subscription: Subscription) -> None:
        """Drop the dead letters of a stopped subscription that wait for their rows; their copies go on."""
        self._writer.dead_letters.forget(subscription.id)

    def withdraw_copies(self, is_current: Callable[[Subscription], bool]) -> None:
        """Drop the waiting copies that were rendered under policies which no longer apply."""
        self._dead_letter_publisher.withdraw(is_current)

    def copy_failure(self, subscription: Subscription) -> str | None:
        """Return why copies of its dead letters fail; empty while they succeed, None before the first copy."""
        topic = subscription.retry.dead_letter_topic
        return self._dead_letter_publisher.failure_of(topic, subscription.id) if topic else ""


class _Once:
    """Runs an action the first time it is called."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def __call__(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()
