"""First, end and committed offsets of many partitions at once, over connections that do not fetch records.

These connections are separate for a reason: a request on a consumer that reads waits for the long poll of its
connection, and every other call of that consumer waits for the request, even `consume` with a timeout of 0 and cached
look-ups.

    call             request                                                  result has
    committed        a new consumer of the group, which does not join it      all partitions, or raises
    offset_ranges    the admin client, two ListOffsets                        those whose leader answers in time
    end_offsets      the admin client, one ListOffsets                        those whose leader answers in time

The look-up of the leaders may go to a broker that does not answer: then the result has no partition.
"""

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, wait
from typing import Any, Final

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin._listoffsets import ListOffsetsResultInfo, OffsetSpec

from webhookd import logs
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.flow.offsets.commit_metadata import decode
from webhookd.flow.offsets.position import OffsetAndMetadata, OffsetRange, Partition
from webhookd.metrics.service_calls import KAFKA, measured

ANSWER_S: Final = 1.0
"""How long librdkafka may take, after a request's timeout, to report the partitions that are still unanswered."""

CONFIG: Final[Mapping[str, Any]] = {
    "client.id": "webhookd-offsets",
    "allow.auto.create.topics": False,
    "reconnect.backoff.max.ms": 1_000,
    # Leaders come from cached metadata, which does not have partitions that were added since.
    "metadata.max.age.ms": 1_000,
    "socket.keepalive.enable": True,
}

Answers = dict[TopicPartition, "Future[ListOffsetsResultInfo]"]

_log = logs.get(__name__)


class PartitionOffsets:
    """Any thread may call it; each call blocks for at most about its timeout. Create one per process and keep it."""

    def __init__(self, kafka: KafkaConnection) -> None:
        self._kafka = kafka
        self._client = kafka.admin(CONFIG)

    @measured(KAFKA, "committed", (KafkaException,))
    def committed(
        self, group: str, partitions: Collection[Partition], timeout_s: float
    ) -> dict[Partition, OffsetAndMetadata | None]:
        """Return what the group has committed; None without a commit. A partition with an error is left out.

        Raises KafkaException when the group's coordinator does not answer.
        """
        if not partitions:
            return {}
        consumer = self._kafka.consumer({**CONFIG, "group.id": group, "enable.auto.commit": False})
        try:
            found = consumer.committed([TopicPartition(p.topic, p.number) for p in partitions], timeout=timeout_s)
        finally:
            consumer.close()
        return {Partition(place.topic, place.partition): _committed_of(place) for place in found if place.error is None}

    @measured(KAFKA, "offset_ranges")
    def offset_ranges(self, partitions: Collection[Partition], timeout_s: float) -> dict[Partition, OffsetRange]:
        """Return the first and end offset of these partitions, without those whose leader does not answer in time."""
        first = self._list_offsets(partitions, OffsetSpec.earliest(), timeout_s)
        end = self._list_offsets(partitions, OffsetSpec.latest(), timeout_s)
        wait([*first.values(), *end.values()], timeout_s + ANSWER_S)
        firsts, ends = dict(_results(first)), dict(_results(end))
        return {place: OffsetRange(first=firsts[place], end=ends[place]) for place in firsts if place in ends}

    @measured(KAFKA, "end_offsets")
    def end_offsets(self, partitions: Collection[Partition], timeout_s: float) -> dict[Partition, int]:
        """Return the end offset of these partitions, without those whose leader does not answer in time."""
        requests = self._list_offsets(partitions, OffsetSpec.latest(), timeout_s)
        wait(requests.values(), timeout_s + ANSWER_S)
        return dict(_results(requests))

    def _list_offsets(self, partitions: Collection[Partition], spec: OffsetSpec, timeout_s: float) -> Answers:
        """Send one ListOffsets request with the isolation level "read committed"."""
        if not partitions:
            return {}
        return self._client.list_offsets(
            {TopicPartition(p.topic, p.number): spec for p in partitions},
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=timeout_s,
        )


def _results(requests: Answers) -> Iterator[tuple[Partition, int]]:
    refused = []
    for place, answer in requests.items():
        try:
            offset = answer.result(0).offset
        except (KafkaException, TimeoutError) as error:
            refused.append(f"{place.topic}/{place.partition}: {error}")
            continue
        if offset >= 0:  # librdkafka 2.16 succeeds with a negative one when the leader has not answered in time
            yield Partition(place.topic, place.partition), offset
    if refused:
        _log.debug("offsets_refused", partitions=len(refused), first=refused[0])


def _committed_of(found: TopicPartition) -> OffsetAndMetadata | None:
    return OffsetAndMetadata(found.offset, decode(found.metadata)) if found.offset >= 0 else None
