"""Asks for the end offsets of all partitions that are not fetched (paused, or circuit open), in one request."""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from webhookd.flow.offsets.position import Partition
from workers.ingest.ports import Offsets

REFRESH_S = 5.0
"""The time between two requests, and so about the age of a paused lane's lag. Each one is a request to each broker."""

TIMEOUT_S = 3.0


class RunningSubscription(Protocol):
    """The part of SubscriptionConsumer that this module uses."""

    def unfetched_partitions(self) -> Collection[Partition]:
        """The partitions that are not fetched now, so that no fetch returns their end offsets."""

    def update_end_offsets(self, ends: Mapping[Partition, int]) -> None:
        """Store the end offsets of partitions; partitions of other subscriptions are among them."""


class PausedEndOffsets:
    """Owned by the ingest loop's thread; `call` runs an action on it, `in_background` on a thread that may block."""

    def __init__(
        self,
        offsets: Offsets,
        consumers: Mapping[str, RunningSubscription],
        *,
        call: Callable[[Callable[[], None]], None],
        in_background: Callable[[Callable[[], None]], None],
    ) -> None:
        self._offsets = offsets
        self._consumers = consumers
        self._call = call
        self._in_background = in_background
        self._requested_at = -REFRESH_S
        self._request_pending = False

    def refresh(self, now: float) -> None:
        """Ask for the offsets if REFRESH_S have passed and no request is pending; returns at once."""
        if self._request_pending or now - self._requested_at < REFRESH_S:
            return
        partitions = {
            partition for consumer in self._consumers.values() for partition in consumer.unfetched_partitions()
        }
        if not partitions:
            return
        self._requested_at, self._request_pending = now, True

        def request() -> None:
            ends: Mapping[Partition, int] = {}
            try:
                ends = self._offsets.end_offsets(partitions, TIMEOUT_S)
            finally:
                self._call(lambda: self._apply(ends))

        self._in_background(request)

    def _apply(self, ends: Mapping[Partition, int]) -> None:
        self._request_pending = False
        for consumer in self._consumers.values():
            consumer.update_end_offsets(ends)
