"""First, end and committed offsets of many partitions at once, over connections that fetch nothing.

A question on the consumer that reads waits for the long poll of its connection, and every other call of that consumer
waits for the question, `consume` with a timeout of 0 and cached look-ups included.

    question     asked through                                            answered for
    committed    a consumer of the group that joins nothing, one a call   all partitions, or raises
    bounds       the admin client, two ListOffsets                        those whose leader answers in time
    ends         the admin client, one ListOffsets                        those whose leader answers in time

The look-up of the leaders may go to a broker that does not answer: then no partition of the call is answered for.
"""

import logging
from collections.abc import Collection, Iterator
from concurrent.futures import Future, wait
from typing import Any, Final

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import ListOffsetsResultInfo, OffsetSpec

from webhookd import logs
from webhookd.flow.offsets.commit_metadata import decode
from webhookd.flow.offsets.position import OffsetAndMetadata, OffsetRange, Partition

ANSWER_S: Final = 1.0
"""librdkafka answers for what is still open when the request's time is up; this is how long that may take it."""

Answers = dict[TopicPartition, "Future[ListOffsetsResultInfo]"]

_log = logs.get(__name__)
_library_log = logging.getLogger("librdkafka")


class PartitionOffsets:
    """Used from any thread; every call blocks for at most about its timeout. One for the life of the process."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._config: dict[str, Any] = {
            "bootstrap.servers": bootstrap_servers,
            "client.id": "webhookd-offsets",
            "allow.auto.create.topics": False,
            "reconnect.backoff.max.ms": 1_000,
            # Leaders are looked up in what is known of a topic; a partition that was added since is not in there.
            "metadata.max.age.ms": 1_000,
            "socket.keepalive.enable": True,
        }
        self._client = AdminClient(self._config, logger=_library_log)

    def committed(
        self, group: str, partitions: Collection[Partition], timeout_s: float
    ) -> dict[Partition, OffsetAndMetadata | None]:
        """What the group has committed, None where nothing is; a partition that is refused is left out.

        Raises KafkaException when the group's coordinator does not answer.
        """
        if not partitions:
            return {}
        consumer = Consumer(self._config | {"group.id": group, "enable.auto.commit": False}, logger=_library_log)
        try:
            found = consumer.committed([TopicPartition(p.topic, p.number) for p in partitions], timeout=timeout_s)
        finally:
            consumer.close()
        return {Partition(place.topic, place.partition): _committed_of(place) for place in found if place.error is None}

    def offset_ranges(self, partitions: Collection[Partition], timeout_s: float) -> dict[Partition, OffsetRange]:
        """What Kafka holds of these partitions; those whose leader does not answer in time are left out."""
        first = self._list_offsets(partitions, OffsetSpec.earliest(), timeout_s)
        end = self._list_offsets(partitions, OffsetSpec.latest(), timeout_s)
        wait([*first.values(), *end.values()], timeout_s + ANSWER_S)
        firsts, ends = dict(_results(first)), dict(_results(end))
        return {place: OffsetRange(first=firsts[place], end=ends[place]) for place in firsts if place in ends}

    def end_offsets(self, partitions: Collection[Partition], timeout_s: float) -> dict[Partition, int]:
        """Where these partitions end; those whose leader does not answer in time are left out."""
        requests = self._list_offsets(partitions, OffsetSpec.latest(), timeout_s)
        wait(requests.values(), timeout_s + ANSWER_S)
        return dict(_results(requests))

    def _list_offsets(self, partitions: Collection[Partition], spec: OffsetSpec, timeout_s: float) -> Answers:
        """One ListOffsets; ends are those that readers of committed records see."""
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
