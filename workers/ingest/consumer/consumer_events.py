"""Handles what a Kafka consumer reports in addition to records: partition ends and errors. Computes the lag."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from webhookd import logs
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.monitoring.kafka_read_errors import CODES, KafkaReadErrors
from webhookd.flow.offsets.position import UNREAD, Partition
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.status.lag import NO_ANSWER_S, EndOffsets, is_fetched, lag
from webhookd.metrics.catalogue.ingest import COMMITS
from workers.ingest.consumer.start_positions import LaneOffset
from workers.ingest.consumer.subscription_health import TOPIC_MISSING, SubscriptionHealth
from workers.ingest.ports import Services

REFETCHES_AT_ONCE = 16
"""At most so many partitions with an error are fetched again in each second."""

_log = logs.get(__name__)


class Owner(Protocol):
    """The part of SubscriptionConsumer that this module uses; every method is for the ingest loop's thread."""

    health: SubscriptionHealth
    accumulator: BatchAccumulator

    def last_fetched_end(self, partition: Partition) -> int | None:
        """The end offset that the last fetch of a partition has returned."""

    def lane(self, partition: Partition) -> Lane | None:
        """The open lane of a partition."""

    def seek(self, targets: Sequence[LaneOffset]) -> None:
        """Seek to these offsets, at which the lanes continue."""

    def begin_problem(self, code: str, detail: str = "", *, standing: bool = False) -> None:
        """Begin a problem, or give it another detail."""

    def end_problem(self, code: str) -> None:
        """End the standing problem with this code."""


class ConsumerEvents:
    """The errors and partition ends of one subscription; owned by the ingest loop's thread.

    Kafka calls back while messages are fetched, before those messages are processed. So an end that was reached waits
    for `apply_ends`, and messages that were fetched together with an error do not end the error.
    """

    def __init__(self, owner: Owner, services: Services, subscription_id: str) -> None:
        self._owner = owner
        self._services = services
        self._subscription_id = subscription_id
        self._errors = KafkaReadErrors(services.monotonic(), services.commit_interval_s)
        self._ends = EndOffsets()
        self._described_at = services.monotonic()
        self._reached: dict[Partition, int] = {}
        self._just_failed: set[Partition] = set()
        self._reported: dict[str, str] = {}

    def end_reached(self, partition: Partition, offset: int) -> None:
        """Note that the consumer has read to the end of a partition; `apply_ends` passes it on to the lane."""
        self._reached[partition] = offset
        self._errors.read_succeeded(partition)

    def apply_ends(self) -> None:
        """Pass the ends that were reached on to the lanes; call it when all fetched messages are processed."""
        for partition, offset in self._reached.items():
            lane = self._owner.lane(partition)
            if lane is not None and not (lane.awaiting_seek or lane.following):
                lane.reach_end(offset)
        self._reached.clear()
        self._just_failed.clear()

    def records_read(self, partition: Partition) -> None:
        """Messages of the partition were processed: end its error, unless it was reported with these messages."""
        if partition not in self._just_failed:
            self._errors.read_succeeded(partition)

    def discard_end(self, partition: Partition) -> None:
        """Forget an end that was reached: the partition is read from another offset now, or its lane is closed."""
        self._reached.pop(partition, None)

    def assigned(self) -> None:
        """Partitions were assigned to this member of the group: errors of the group are over."""
        self._errors.partitions_assigned()

    def kafka_error(self, place: Partition, name: str, text: str) -> None:
        """Note and log an error that Kafka has reported about a partition, a topic or the group."""
        self._errors.error_reported(place, name, text, self._services.monotonic())
        self._just_failed.add(place)
        _log.warning("kafka_error", subscription=self._subscription_id, code=name, place=str(place), detail=text)

    def committed(self, partitions: Sequence[Partition]) -> None:
        """A commit succeeded: end the errors of the group and of these commits."""
        self._errors.commit_succeeded(partitions)
        COMMITS.inc("committed", by=len(partitions))

    def commit_failed(self, partitions: Iterable[Partition], name: str, text: str) -> None:
        """Note that a commit failed; partitions whose lane is closed are ignored."""
        ours = [partition for partition in partitions if self._owner.lane(partition) is not None]
        self._errors.commit_failed(ours, name, text, self._services.monotonic())

    def update_topics(self, topics: Topics, used: Collection[str]) -> None:
        """Compare with the latest topic metadata: begin the problems that last, end those that are over."""
        self._check_missing_topics(self._owner.health.missing_topics)
        now = self._described_at = self._services.monotonic()
        self._errors.topics_described(topics, used, now)
        assigned = {lane.partition for lane in self._lanes()}
        fetched = {lane.partition for lane in self._lanes() if not lane.paused}
        lasting = self._errors.lasting_problems(assigned, fetched, now)
        for code, detail in lasting.items():
            if self._reported.get(code) != detail:
                self._owner.begin_problem(code, detail, standing=True)
        for code in CODES:
            if code not in lasting and code in self._owner.health.problems and self._errors.startup_is_over(now):
                self._owner.end_problem(code)
        self._reported = lasting

    def refetch_failed(self) -> None:
        """Seek in partitions with an error, so that they are fetched again.

        librdkafka reports an error only once, and does not report that it is over.
        """
        lanes = {lane.partition: lane for lane in self._lanes() if _can_be_refetched(lane)}
        due = self._errors.due_probes(lanes, self._services.monotonic(), REFETCHES_AT_ONCE)
        if due:
            self._owner.seek([(lanes[partition], lanes[partition].ledger.position) for partition in due])

    def unfetched_partitions(self) -> list[Partition]:
        """The partitions that are not fetched now, so that the brokers must be asked for their end offsets."""
        return [
            lane.partition
            for lane in self._lanes()
            if self._errors.is_described(lane.partition.topic)
            and not is_fetched(lane, readable=not self._errors.is_unreadable(lane.partition))
        ]

    def update_end_offsets(self, ends: Mapping[Partition, int]) -> None:
        """Keep the end offsets of this subscription's partitions; those of others are ignored."""
        ours = {lane.partition: ends[lane.partition] for lane in self._lanes() if lane.partition in ends}
        self._ends.update(ours, self._services.monotonic())

    def forget(self, partition: Partition) -> None:
        """Forget the errors and the end offset of a partition whose lane is closed."""
        self._ends.forget(partition)
        self._errors.forget(partition)

    def lag(self) -> int | None:
        """How many records the subscription is behind; None when it is unknown."""
        now = self._services.monotonic()
        if now - self._described_at > NO_ANSWER_S:
            return None
        return lag(
            self._lanes(),
            self._ends,
            now,
            fetched=self._owner.last_fetched_end,
            readable=lambda partition: not self._errors.is_unreadable(partition),
        )

    def _check_missing_topics(self, topics: Sequence[str]) -> None:
        known = TOPIC_MISSING in self._owner.health.problems
        if topics and not known:
            self._owner.begin_problem(TOPIC_MISSING, ", ".join(topics), standing=True)
        elif known and not topics:
            self._owner.end_problem(TOPIC_MISSING)

    def _lanes(self) -> Collection[Lane]:
        return self._owner.accumulator.lanes.values()


def _can_be_refetched(lane: Lane) -> bool:
    return not lane.paused and not lane.awaiting_seek and lane.ledger.position != UNREAD
