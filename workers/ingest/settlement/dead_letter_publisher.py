"""Copies dead letters to the Kafka topics that subscriptions name for them, off every other thread.

A lane waits for the first attempt to copy its dead letters, and for no other: their rows are in the database by then. A
copy that failed is tried again in the background, within the bounds of flow/settlement/dead_letter_copies.py. Copies
that wait are in memory only: those of a process that dies are not made, and their rows are what is left.
"""

from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import Protocol

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.flow.dead_letter import CopyFailure, DeadLetter, FailedCopy
from webhookd.flow.settlement.dead_letter_copies import DeadLetterCopies, DeadLetterCopy

WRITE_S = 6.0
"""Above the producer's own time-out: what it gave up on is not in the topic later."""

_log = logs.get(__name__)


class Appends(Protocol):
    """What writes to the topics."""

    def append(self, topic: str, dead_letters: Sequence[DeadLetter], timeout_s: float) -> list[FailedCopy]:
        """Write and wait for the brokers; returns what the topic did not take."""


class DeadLetterPublisher:
    """One thread; the methods may be called from any other and return at once."""

    def __init__(self, topics: Appends, monotonic: Monotonic) -> None:
        self._topics = topics
        self._monotonic = monotonic
        self._changed = Condition()
        self._copies = DeadLetterCopies()
        self._stopping = False
        self.given_up = 0
        """Records whose copies were given up since the start."""
        self._thread = Thread(target=self._run, name="graveyard", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """Write what is due, once, and end; blocks for at most `budget_s`."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(budget_s)

    def append(self, topic: str, dead_letters: Sequence[DeadLetter], tried: Callable[[], None]) -> None:
        """Copy these to a topic; `tried` runs after the first attempt, or at once while copies to the topic fail."""
        of = dead_letters[0].subscription_id
        with self._changed:
            failing = self._copies.failing(topic)
            heard = None if failing else tried
            now = self._monotonic()
            self._copies.add(
                DeadLetterCopy(
                    topic=topic, subscription_id=of, dead_letters=dead_letters, since=now, on_first_attempt=heard
                )
            )
            self._changed.notify()
        if failing:
            tried()

    def failure_of(self, topic: str, subscription_id: str) -> str | None:
        """Why the subscription's copies to the topic fail; empty while they succeed, None before the first one."""
        with self._changed:
            return self._copies.problem(topic, subscription_id, self._monotonic())

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._due, self._copies.wait_s(self._monotonic()))
                copy = self._copies.next(self._monotonic())
                if copy is None and self._stopping:
                    return
            if copy is not None:
                self._try(copy)

    def _due(self) -> bool:
        return self._stopping or self._copies.wait_s(self._monotonic()) == 0.0

    def _try(self, copy: DeadLetterCopy) -> None:
        try:
            uncopied = self._topics.append(copy.topic, copy.dead_letters, WRITE_S)
        except Exception:  # noqa: BLE001 - the top of the thread: one copy that cannot be made is not the others' end
            _log.exception("dead_letters_failed", topic=copy.topic, count=len(copy.dead_letters))
            uncopied = [FailedCopy(dead_letter, CopyFailure.NO_ANSWER) for dead_letter in copy.dead_letters]
        with self._changed:
            self._copies.attempted(copy, uncopied, self._monotonic())
            heard = [copy.on_first_attempt] if copy.on_first_attempt is not None else []
            copy.on_first_attempt = None
            if uncopied:  # those who wait for other copies to this topic would wait for a pause
                heard += self._copies.take_callbacks(copy.topic)
            given_up = self._copies.give_up(self._monotonic())
        for tell in heard:
            tell()
        self._say(given_up)

    def _say(self, given_up: Sequence[DeadLetterCopy]) -> None:
        for copy in given_up:
            self.given_up += len(copy.dead_letters)
            _log.error(
                "dead_letter_copies_given_up",
                code="dead_letter_copies_given_up",
                topic=copy.topic,
                subscription=copy.subscription_id,
                count=len(copy.dead_letters),
            )
