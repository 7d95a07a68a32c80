"""Copies dead letters to the Kafka topics that subscriptions name for them, off every other thread.

A copy that cannot be made is tried again for as long as it takes, behind those of other topics: its lane waits, and its
records are safe in Kafka and in the database.
"""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread
from typing import Protocol

from webhookd import logs
from webhookd.errors import KafkaUnavailable
from webhookd.flow.dead_letter import DeadLetter

WRITE_S = 6.0
"""Above the producer's own time-out: what it gave up on is not in the topic later."""

BACK_OFF_S = 1.0

_log = logs.get(__name__)

Copy = tuple[str, Sequence[DeadLetter], Callable[[], None]]


class Appends(Protocol):
    """What writes to the topics."""

    def append(self, topic: str, letters: Sequence[DeadLetter], timeout_s: float) -> None:
        """Write and wait for the brokers. Raises KafkaUnavailable."""


class Graveyard:
    """One thread; `append` may be called from any other and returns at once."""

    def __init__(self, topics: Appends) -> None:
        self._topics = topics
        self._changed = Condition()
        self._copies: deque[Copy] = deque()
        self._stopping = False
        self._thread = Thread(target=self._run, name="graveyard", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """Write what waits, once, and end; blocks for at most `budget_s`."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(budget_s)

    def append(self, topic: str, letters: Sequence[DeadLetter], safe: Callable[[], None]) -> None:
        """Copy these to a topic; `safe` is called on the graveyard's thread when the brokers have them."""
        with self._changed:
            self._copies.append((topic, letters, safe))
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._copies)
                if self._stopping and not self._copies:
                    return
            written = self._round()
            with self._changed:
                if not written and self._changed.wait_for(lambda: self._stopping, BACK_OFF_S):
                    return

    def _round(self) -> bool:
        """Try each copy that waits, once; answers whether all were made."""
        failed: set[str] = set()
        for _ in range(len(self._copies)):
            topic, letters, safe = copy = self._copies.popleft()
            if topic in failed:  # it costs a time-out, and the others wait for it once
                self._copies.append(copy)
                continue
            try:
                self._topics.append(topic, letters, WRITE_S)
            except KafkaUnavailable as error:
                _log.warning("dead_letters_delayed", code=error.code, topic=topic, detail=error.detail)
                self._copies.append(copy)
                failed.add(topic)
            except Exception:  # noqa: BLE001 - the top of the thread: one copy that cannot be made is not the others' end
                _log.exception("dead_letters_failed", topic=topic, count=len(letters))
                self._copies.append(copy)
                failed.add(topic)
            else:
                safe()
        return not failed
