"""The queue lengths on Flower's page about the broker.

Flower reads them with a client of its own, which gets the URL: it cannot log in over a Unix socket as a user or in
another database, asks one Sentinel only, and verifies certificates in its own way. This module replaces that client.
"""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Protocol


class LengthsByName(Protocol):
    """The queues; as the coordination store has them."""

    def queue_lengths(self) -> dict[str, int]:
        """Return how many tasks wait in each queue. Raises QueueUnavailable."""


class QueueLengths:
    """What Flower calls a broker: it returns the lengths of queues."""

    def __init__(self, queues: LengthsByName) -> None:
        self._queues = queues
        # Flower's own threads may all wait 10 s for answers of workers.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="queue-lengths")

    async def queues(self, names: Iterable[str]) -> list[dict[str, str | int]]:
        """Return the lengths of these queues, without those that do not exist. Raises QueueUnavailable."""
        loop = asyncio.get_running_loop()
        lengths = await loop.run_in_executor(self._thread, self._queues.queue_lengths)
        return [{"name": name, "messages": lengths[name]} for name in names if name in lengths]


def show_queue_lengths(queues: LengthsByName) -> None:
    """Let Flower in this process show the lengths of these queues."""
    # The other processes must not import Flower.
    handler = import_module("flower.views").BaseHandler
    lengths = QueueLengths(queues)
    handler.get_broker = lambda _: lengths
