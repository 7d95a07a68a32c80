"""Copies dead letters to the Kafka topics that subscriptions name for them, on a thread of its own.

The rows of these dead letters are already in the database. A lane waits only for the first attempt to copy its dead
letters. A failed copy is tried again, within the bounds of flow/settlement/dead_letter_copies.py, also when another
process runs the subscription meanwhile. Waiting copies are in memory only: they are lost with the process, the rows
stay.

While it is not known whether the policies of the waiting copies still apply, none is written (`may_write`).
"""

from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import Protocol

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.flow.dead_letter import CopyFailure, DeadLetter, FailedCopy
from webhookd.flow.settlement.dead_letter_copies import DeadLetterCopies, DeadLetterCopy
from webhookd.flow.subscription import Subscription

WRITE_S = 6.0
"""Longer than the producer's own timeout, so that a record which counts as not written does not arrive later."""

_log = logs.get(__name__)


class DeadLetterTopicWriter(Protocol):
    """Writes to the topics."""

    def append(self, topic: str, dead_letters: Sequence[DeadLetter], timeout_s: float) -> list[FailedCopy]:
        """Write and wait for the brokers; return the dead letters that the topic did not accept. Blocks."""


class DeadLetterPublisher:
    """One thread; the public methods may be called from any other thread. All but `stop` return at once.

    `may_write` is called right before each attempt. A process that was frozen must not write what it rendered before
    under policies that may have changed since.
    """

    def __init__(
        self, topics: DeadLetterTopicWriter, monotonic: Monotonic, may_write: Callable[[], bool] = lambda: True
    ) -> None:
        self._topics = topics
        self._may_write = may_write
        self._monotonic = monotonic
        self._changed = Condition()
        self._copies = DeadLetterCopies()
        self._stopping = False
        self.given_up = 0
        """Records whose copies were given up since the start."""
        self._thread = Thread(target=self._run, name="dead-letter-publisher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, budget_s: float) -> bool:
        """Write the copies that are due once and end the thread; blocks for at most `budget_s`.

        Returns whether nothing can be written any more.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(budget_s)
        return not self._thread.is_alive()

    def append(self, of: Subscription, dead_letters: Sequence[DeadLetter], tried: Callable[[], None]) -> None:
        """Copy dead letters to the subscription's topic.

        `tried` runs after the first attempt, or at once while copies to the topic fail.
        """
        topic = of.retry.dead_letter_topic
        with self._changed:
            failing = self._copies.failing(topic)
            waiting = None if failing else tried
            now = self._monotonic()
            self._copies.add(
                DeadLetterCopy(
                    topic=topic, subscription=of, dead_letters=dead_letters, since=now, on_first_attempt=waiting
                )
            )
            self._changed.notify()
        if failing:
            tried()

    def withdraw(self, is_current: Callable[[Subscription], bool]) -> None:
        """Drop the waiting copies of subscriptions that are not current; an attempt that has begun goes on."""
        with self._changed:
            self._copies.withdraw(is_current)

    @property
    def withdrawn_ended(self) -> bool:
        """Whether none of the copies that were withdrawn can still be written; an attempt ends within WRITE_S."""
        with self._changed:
            return self._copies.withdrawn_ended

    def failure_of(self, topic: str, subscription_id: str) -> str | None:
        """Return why the subscription's copies to the topic fail; empty while they succeed, None before the first."""
        with self._changed:
            return self._copies.problem(topic, subscription_id, self._monotonic())

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._due():  # each change may bring the time nearer at which a copy is due
                    self._changed.wait(self._copies.wait_s(self._monotonic()))
                copy = self._copies.next(self._monotonic())
                if copy is None and self._stopping:
                    return
            if copy is not None:
                self._try(copy)

    def _due(self) -> bool:
        return self._stopping or self._copies.wait_s(self._monotonic()) == 0.0

    def _try(self, copy: DeadLetterCopy) -> None:
        if self._may_write():
            self._write(copy)
            return
        with self._changed:
            waiting = self._copies.postpone(copy, self._monotonic())
            given_up = self._copies.give_up(self._monotonic())
        for tried in waiting:
            tried()
        self._log_given_up(given_up)

    def _write(self, copy: DeadLetterCopy) -> None:
        try:
            failed = self._topics.append(copy.topic, copy.dead_letters, WRITE_S)
        except Exception:  # noqa: BLE001 - the top of the thread: an error of one copy must not end it
            _log.exception("dead_letters_failed", topic=copy.topic, count=len(copy.dead_letters))
            failed = [FailedCopy(dead_letter, CopyFailure.NO_ANSWER) for dead_letter in copy.dead_letters]
        with self._changed:
            self._copies.attempted(copy, failed, self._monotonic())
            waiting = [copy.on_first_attempt] if copy.on_first_attempt is not None else []
            copy.on_first_attempt = None
            if failed:  # the topic is paused now: no lane may wait for its other copies
                waiting += self._copies.take_callbacks(copy.topic)
            given_up = self._copies.give_up(self._monotonic())
        for tried in waiting:
            tried()
        self._log_given_up(given_up)

    def _log_given_up(self, given_up: Sequence[DeadLetterCopy]) -> None:
        for copy in given_up:
            self.given_up += len(copy.dead_letters)
            _log.error(
                "dead_letter_copies_given_up",
                code="dead_letter_copies_given_up",
                topic=copy.topic,
                subscription=copy.subscription.id,
                count=len(copy.dead_letters),
            )
