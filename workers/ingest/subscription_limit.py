"""How many subscriptions an ingest process runs, and those that wait until it has room.

A client of confluent-kafka takes a thread-specific data key (pthread_key_create) until it is freed. A process has few
of them: 1,024 with glibc. Without a key no further client can be made: neither the consumer of another subscription nor
the one that looks up the offsets of a subscription that runs.
"""

import os
import sys
from collections.abc import Callable, Sized

from webhookd.errors import IngestFull
from workers.ingest.waiting_subscriptions import WaitingSubscriptions

OTHER_KEYS = 64
"""Keys for all but the consumers of subscriptions: those of Python, OpenSSL and librdkafka (about 20), the clients of
the process itself (about 8), eight look-ups of offsets at a time, and room for what another version of them needs."""


def subscription_limit() -> int:
    """Return how many subscriptions a process on this system runs: 960 with glibc; at least one."""
    try:
        keys = os.sysconf("SC_THREAD_KEYS_MAX")
    except (ValueError, OSError):
        keys = -1
    return max(1, keys - OTHER_KEYS) if keys > 0 else sys.maxsize  # the system names no limit


class SubscriptionLimit:
    """Owned by the ingest loop's thread, except `check`. At most `limit` run.

    `running` are the consumers that run; `closing` returns how many others are not closed yet: they have keys too.
    """

    def __init__(self, limit: int, running: Sized, closing: Callable[[], int]) -> None:
        self._limit = limit
        self._running = running
        self._closing = closing
        self.waiting = WaitingSubscriptions()
        """The subscriptions that start when there is room."""
        self.held: set[str] = set()
        """The ids of those among them whose statuses say so."""

    @property
    def has_room(self) -> bool:
        """Whether another subscription can start now."""
        return len(self._running) + self._closing() < self._limit

    @property
    def reached(self) -> bool:
        """Whether no other subscription can start until one that runs is stopped."""
        return len(self._running) >= self._limit

    def discard(self, subscription_id: str) -> None:
        """Let a subscription wait no longer, if it does."""
        self.waiting.discard(subscription_id)
        self.held.discard(subscription_id)

    @property
    def detail(self) -> str:
        """Why a subscription waits, for people."""
        return f"the ingest process runs {self._limit} subscriptions, as many as one process can"

    def check(self) -> None:
        """Raises IngestFull while subscriptions wait because the limit is reached; any thread."""
        held = len(self.held)
        if held:
            raise IngestFull(f"{held} subscriptions are not run: {self.detail}")
