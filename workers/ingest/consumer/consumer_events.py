"""What an intake's consumer says beside records: ends that were reached, errors, and how far behind the lanes are."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from webhookd import logs
from webhookd.flow.dispatch.accumulator import BatchAccumulator
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.monitoring.kafka_read_errors import CODES, KafkaReadErrors
from webhookd.flow.offsets.ledger import UNREAD
from webhookd.flow.offsets.position import Partition
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.status.lag import NO_ANSWER_S, Ends, is_fetched, lag
from workers.ingest.consumer.start_positions import LaneOffset
from workers.ingest.consumer.subscription_health import TOPIC_MISSING, SubscriptionHealth
from workers.ingest.ports import KafkaConsumer, Services

REFETCHES_AT_ONCE = 16
"""Partitions with an error that are fetched anew within a second."""

_log = logs.get(__name__)


class Owner(Protocol):
    """The intake; every method is for the ingest loop's thread."""

    health: SubscriptionHealth
    accumulator: BatchAccumulator

    @property
    def kafka_consumer(self) -> KafkaConsumer:
        """Its consumer."""

    def lane(self, partition: Partition) -> Lane | None:
        """The lane that is open for a partition."""

    def seek(self, targets: Sequence[LaneOffset]) -> None:
        """Read these lanes on from their offsets."""

    def begin_problem(self, code: str, detail: str = "", *, standing: bool = False) -> None:
        """A problem began."""

    def end_problem(self, code: str) -> None:
        """A standing problem is over."""


class ConsumerEvents:
    """Owned by the ingest loop's thread."""

    def __init__(self, owner: Owner, services: Services, subscription_id: str) -> None:
        self._owner = owner
        self._services = services
        self._subscription_id = subscription_id
        self._errors = KafkaReadErrors(services.monotonic(), services.commit_interval_s)
        self._ends = Ends()
        self._described_at = services.monotonic()
        self._reached: dict[Partition, int] = {}
        self._just_failed: set[Partition] = set()
        self._reported: dict[str, str] = {}

    def end_reached(self, partition: Partition, offset: int) -> None:
        """The end of a partition was read; `settle` takes it to the lane when all records before it are taken."""
        self._reached[partition] = offset
        self._errors.read_succeeded(partition)

    def apply_ends(self) -> None:
        """All records that were read are taken: the lanes are where their partitions end."""
        for partition, offset in self._reached.items():
            lane = self._owner.lane(partition)
            if lane is not None and not lane.awaiting_seek:
                lane.reach_end(offset)
        self._reached.clear()
        self._just_failed.clear()

    def records_read(self, partition: Partition) -> None:
        """Records of the partition were taken; they may be older than an error that came with them."""
        if partition not in self._just_failed:
            self._errors.read_succeeded(partition)

    def discard_end(self, partition: Partition) -> None:
        """The partition is read from elsewhere now, or not by us any more: what was said of it before is void."""
        self._reached.pop(partition, None)

    def assigned(self) -> None:
        """The group gave us partitions."""
        self._errors.partitions_assigned()

    def kafka_error(self, place: Partition, name: str, text: str) -> None:
        """Kafka reported an error about a partition, a topic or the group."""
        self._errors.error_reported(place, name, text, self._services.monotonic())
        self._just_failed.add(place)
        _log.warning("kafka_error", subscription=self._subscription_id, code=name, place=str(place), detail=text)

    def committed(self, partitions: Sequence[Partition]) -> None:
        """A commit succeeded."""
        self._errors.commit_succeeded(partitions)

    def commit_failed(self, partitions: Iterable[Partition], name: str, text: str) -> None:
        """A commit failed; that of a partition that was given back is no concern of ours any more."""
        ours = [partition for partition in partitions if self._owner.lane(partition) is not None]
        self._errors.commit_failed(ours, name, text, self._services.monotonic())

    def update_topics(self, topics: Topics, used: Collection[str]) -> None:
        """The brokers answered about topics: begin and end the problems of what lasts."""
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
        """Fetch partitions with an error anew: librdkafka tells an error once, and its end not at all."""
        lanes = {lane.partition: lane for lane in self._lanes() if _can_be_refetched(lane)}
        due = self._errors.due_probes(lanes, self._services.monotonic(), REFETCHES_AT_ONCE)
        if due:
            self._owner.seek([(lanes[partition], lanes[partition].ledger.position) for partition in due])

    def unfetched_partitions(self) -> list[Partition]:
        """The partitions whose ends the brokers are to be asked for, since nothing is fetched of them."""
        return [
            lane.partition
            for lane in self._lanes()
            if self._errors.is_described(lane.partition.topic)
            and not is_fetched(lane, readable=not self._errors.is_unreadable(lane.partition))
        ]

    def update_end_offsets(self, ends: Mapping[Partition, int]) -> None:
        """The brokers were asked where partitions end, ours and others."""
        ours = {lane.partition: ends[lane.partition] for lane in self._lanes() if lane.partition in ends}
        self._ends.update(ours, self._services.monotonic())

    def forget(self, partition: Partition) -> None:
        """The lane of the partition is closed."""
        self._ends.forget(partition)
        self._errors.forget(partition)

    def lag(self) -> int | None:
        """How many records the subscription is behind; None when that cannot be told."""
        now = self._services.monotonic()
        if now - self._described_at > NO_ANSWER_S:
            return None
        return lag(
            self._lanes(),
            self._ends,
            now,
            fetched=self._owner.kafka_consumer.end_offset,
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
