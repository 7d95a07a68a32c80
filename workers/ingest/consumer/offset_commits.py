"""Commits the watermarks of a subscription's lanes to Kafka, and commits again what failed.

A lane has nothing to commit before its topic is confirmed (start_positions.py), or while its start position is unknown.
A lane that follows the shared reader and has only dropped records since its last commit commits more rarely: of a
thousand such lanes each would otherwise send a request for every record that it does not want. After a crash these
records are read and dropped again.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol
from zlib import crc32

from confluent_kafka import KafkaException

from webhookd import logs
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.offsets.position import OffsetAndMetadata, Partition
from webhookd.metrics.catalogue.ingest import COMMITS
from workers.ingest.consumer.consumer_events import ConsumerEvents
from workers.ingest.ports import KafkaConsumer, Services

_log = logs.get(__name__)


class Owner(Protocol):
    """The part of SubscriptionConsumer that this module uses."""

    accumulator: BatchAccumulator
    broken: bool

    @property
    def kafka_consumer(self) -> KafkaConsumer:
        """The Kafka consumer, which commits."""


class OffsetCommits:
    """Commits the lanes of one subscription; owned by the ingest loop's thread."""

    def __init__(self, owner: Owner, events: ConsumerEvents, services: Services, subscription_id: str) -> None:
        self._owner = owner
        self._events = events
        self._services = services
        self._subscription_id = subscription_id
        self._dropped_due_at: float | None = None

    def take_moved(self) -> dict[Partition, OffsetAndMetadata]:
        """Return what has changed since the last call and must be committed; it then counts as committed."""
        moved = {}
        with_dropped = self._dropped_due()
        for lane in self._owner.accumulator.lanes.values():
            committable = lane.committable
            if committable is None or committable == lane.committed:
                continue
            if with_dropped or not _only_dropped(lane, committable):
                moved[lane.partition] = lane.committed = committable
                lane.delivered_since_commit = False
        return moved

    def _dropped_due(self) -> bool:
        """Whether lanes that have only dropped records commit now. Subscriptions that start together do so in turns."""
        now, interval_s = self._services.monotonic(), self._services.dropped_commit_interval_s
        if self._dropped_due_at is None:
            self._dropped_due_at = now + interval_s * (crc32(self._subscription_id.encode()) / 2**32)
        if now < self._dropped_due_at:
            return False
        self._dropped_due_at = now + interval_s
        return True

    def commit(self) -> None:
        """Ask Kafka to commit what has changed; returns at once. If it fails, the next commit includes it again."""
        moved = self.take_moved()
        if not moved or self._owner.broken:
            return
        try:
            self._owner.kafka_consumer.commit(moved)
        except (KafkaException, RuntimeError) as error:
            _log.warning("commit_failed", subscription=self._subscription_id, detail=str(error))
            self.failed(list(moved), "commit_failed", str(error))

    def failed(self, partitions: Sequence[Partition], name: str, text: str) -> None:
        """Note that a commit failed: the next one repeats it, after the topic is confirmed to be still the same."""
        COMMITS.inc("failed", by=len(partitions))
        self._events.commit_failed(partitions, name, text)
        for partition in partitions:
            lane = self._owner.accumulator.lanes.get((partition.topic, partition.number))
            if lane is not None:
                lane.committed = None
                lane.topic_confirmed = False


def _only_dropped(lane: Lane, committable: OffsetAndMetadata) -> bool:
    """Whether a lane that follows the shared reader has moved only by records that it dropped."""
    committed = lane.committed
    return (
        lane.following
        and not lane.delivered_since_commit
        and committed is not None
        and committed.metadata == committable.metadata
    )


def latest(lanes: Iterable[Lane]) -> dict[Partition, OffsetAndMetadata]:
    """Return what these lanes can commit, even if it was committed before."""
    commits = {lane.partition: lane.committable for lane in lanes}
    return {partition: commit for partition, commit in commits.items() if commit is not None}
