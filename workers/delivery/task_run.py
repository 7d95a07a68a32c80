"""One Celery task under way: which of its deliveries have not ended, and what its thread has to do for the others.

The task's thread waits for one queue: for deliveries that have ended, for deliveries that are to be published again,
and for the end of its session. Other threads put these in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock

from webhookd import logs
from webhookd.flow.dispatch.task_message import DeliveryRef
from workers.delivery.delivery_sender import DeliverySender

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Again:
    """A delivery to publish again after a wait."""

    ref: DeliveryRef
    wait_s: float


Entry = DeliverySender | Again | Callable[[], None] | None
"""A sender whose report has reached ingest; a delivery to publish again; a call; None if there is nothing to do."""


class TaskRun:
    """Any thread may call `expect`, `ended`, `cancel`, `publish_again` and `wake`; the task's thread the others."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._under_way = 0
        self._entries: SimpleQueue[Entry] = SimpleQueue()

    def expect(self, count: int = 1) -> None:
        """Count deliveries that are about to begin."""
        with self._lock:
            self._under_way += count

    def ended(self, sender: DeliverySender | None) -> None:
        """Note that one of them has ended; the sender is None if no report has reached ingest, or none was sent."""
        with self._lock:
            self._under_way -= 1
            self._entries.put(sender)

    def cancel(self) -> None:
        """Expect one delivery less. The task's thread is woken only if it was the last one."""
        with self._lock:
            self._under_way -= 1
            if not self._under_way:
                self._entries.put(None)

    def publish_again(self, ref: DeliveryRef, wait_s: float) -> None:
        """Let the task's thread publish a delivery again."""
        self._entries.put(Again(ref, wait_s))

    def call(self, action: Callable[[], None]) -> None:
        """Let the task's thread, which may block, do something about an expected delivery."""
        self.expect()
        self._entries.put(partial(self._call, action))

    def wake(self) -> None:
        """Wake the task's thread."""
        self._entries.put(None)

    def _call(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:  # noqa: BLE001 - whatever it is, it must not keep the thread from the other deliveries
            _log.exception("push_failed")
        finally:
            self.cancel()

    @property
    def finished(self) -> bool:
        """Whether all expected deliveries have ended, and `take` has returned all entries."""
        with self._lock:
            return not self._under_way and self._entries.empty()

    def take(self, wait_s: float) -> list[Entry]:
        """Wait for an entry, and return all that are there; empty if none comes in time."""
        try:
            found = [self._entries.get(timeout=wait_s)]
        except Empty:
            return []
        while not self._entries.empty():
            found.append(self._entries.get())
        return found
