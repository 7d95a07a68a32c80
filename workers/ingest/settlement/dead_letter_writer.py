"""What has to happen to dead letters before their lane goes on: a row each, and an attempt to copy them to a topic."""

from collections.abc import Callable
from typing import Protocol

from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.subscription import Subscription
from workers.ingest.settlement.database_writer import DatabaseWriter
from workers.ingest.settlement.dead_letter_publisher import DeadLetterPublisher

COPY_S = 1.0
"""How long a lane waits for the first attempt to copy its dead letters, once their rows are committed: the thread that
copies may be waiting for another topic."""


class Calls(Protocol):
    """The ingest loop's thread; both methods may be called from any other."""

    def call(self, action: Callable[[], None]) -> None:
        """Run it there."""

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run it there after a while."""


class DeadLetterWriter:
    """Used by the ingest loop's thread."""

    def __init__(
        self,
        writer: DatabaseWriter,
        dead_letter_publisher: DeadLetterPublisher,
        loop: Calls,
        told: Callable[[str, int, int], None],
    ) -> None:
        """`told` hears on the loop's thread how much room a subscription has, and the limit."""
        limit = writer.dead_letters.limit
        writer.dead_letters.told = lambda id_, free: loop.call(lambda: told(id_, free, limit))
        self._writer = writer
        self._dead_letter_publisher = dead_letter_publisher
        self._loop = loop

    def write(self, subscription: Subscription, dead_letters: list[DeadLetter], safe: Callable[[], None]) -> None:
        """Put records aside; `safe` runs on the loop's thread when their lane may go on."""
        topic = subscription.retry.dead_letter_topic

        def stored() -> None:
            if not topic:
                self._loop.call(safe)
                return
            once = _Once(safe)
            self._dead_letter_publisher.append(topic, dead_letters, lambda: self._loop.call(once))
            self._loop.call_later(COPY_S, once)

        self._writer.add_dead_letters(dead_letters, stored)

    def request_free_rows(self, subscription: Subscription) -> None:
        """Have `told` called with the room that the database has for its dead letters."""
        self._writer.dead_letters.request_free_rows(subscription.id)
        self._writer.wake()

    def forget(self, subscription: Subscription) -> None:
        """It is not run any more: its dead letters that wait for room are read again by who runs it next."""
        self._writer.dead_letters.forget(subscription.id)

    def copy_failure(self, subscription: Subscription) -> str | None:
        """Why copies of its dead letters fail; empty while they do not, None where nothing is known since the start."""
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
