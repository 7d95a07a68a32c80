"""Kafka administration: end offsets of topics, and committed offsets of consumer groups without members.

Each process has one admin client, created on first use, because librdkafka does not work after a fork. Every call has
one time budget for all its steps and raises KafkaUnavailable when that is used up. The module also works with
librdkafka's mock cluster, which supports neither DescribeTopics nor DeleteGroups.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Final, TypeVar

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._listoffsets import ListOffsetsResultInfo, OffsetSpec
from confluent_kafka.admin._metadata import ClusterMetadata

from webhookd import clock
from webhookd.edges.kafka_connection import ExplainingAdmin, KafkaConnection
from webhookd.edges.kafka_consumer import member_config
from webhookd.edges.kafka_topics import DENIED, MOCK_CLUSTER, cluster_id_of, describe_topics
from webhookd.edges.topic_sample import SAMPLE_CONFIG, last_records
from webhookd.edges.topic_write_rules import topic_write_rules
from webhookd.errors import Conflict, GroupDenied, KafkaUnavailable, TopicDenied
from webhookd.flow.offsets.position import Committed, Partition
from webhookd.flow.offsets.topic_metadata import TopicRules, TopicSample
from webhookd.metrics.service_calls import KAFKA, measured

Offsets = Mapping[str, Mapping[int, int]]
"""Offsets by topic and partition."""

Answer = TypeVar("Answer")

RETRIABLE: Final = frozenset(
    {
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError._NOENT,  # noqa: SLF001  # librdkafka's own codes begin with an underscore
    }
)
"""The cluster is changing at the moment (topic created or deleted, leader elected): try again."""

HAS_MEMBERS: Final = frozenset(
    {KafkaError.UNKNOWN_MEMBER_ID, KafkaError.NON_EMPTY_GROUP, KafkaError.STALE_MEMBER_EPOCH}
)
"""The group has members: only they may commit, and it cannot be deleted."""

RETRY_INTERVAL_S: Final = 0.1

COORDINATOR_S: Final = 2.0
"""The least time that a request of the admin client to a coordinator gets (half of the whole budget where that is
short): the admin client's own connection may be in its reconnect back-off of a second."""

ABANDONED_S: Final = 3600.0
"""The timeout of a request to a coordinator, longer than callers wait and most outages last. One that times out while
the coordinator is away can abort the process when it comes back (librdkafka 2.16). One that succeeds late does no harm:
a deletion is wanted, and a commit of earlier offsets lets records be read again, but none be missed."""

CONFIG: Final[Mapping[str, Any]] = {
    "allow.auto.create.topics": False,
    # A broker that was down is reconnected within a second, not ten.
    "reconnect.backoff.max.ms": 1000,
    "socket.connection.setup.timeout.ms": 3000,
    "log_level": 3,
}
"""The configuration of the admin client, and of consumers that join no group."""

NO_TOPIC: Final = "webhookd-no-topic"
"""The topic in metadata requests about the cluster: metadata of one topic costs less than that of all topics."""


class KafkaAdmin:
    """End offsets of topics and the offsets of consumer groups; any thread. Every call blocks."""

    def __init__(self, kafka: KafkaConnection) -> None:
        self._kafka = kafka
        self._admin_client: ExplainingAdmin | None = None
        self._lock = threading.Lock()

    @measured(KAFKA, "end_offsets")
    def end_offsets(self, topics: Sequence[str], timeout_s: float) -> dict[str, dict[int, int]]:
        """Return the current end offset of each topic's partitions; {} for a topic that does not exist.

        The call does not create topics. The isolation level is "read committed": while a transaction is open the end is
        the offset where it began, so what it commits later is not missed. Raises TopicDenied for a topic that webhookd
        may not describe.
        """
        budget = _Budget(timeout_s)
        return {topic: self._end_offsets_retrying(topic, budget) for topic in topics}

    @measured(KAFKA, "topic_ids")
    def topic_ids(self, topics: Sequence[str], timeout_s: float) -> dict[str, str]:
        """Return the UUID of each topic that exists; topics whose UUID the brokers do not report are left out.

        Raises TopicDenied for a topic that webhookd may not read, as far as the brokers report it.
        """
        try:
            seen = describe_topics(self._client(), topics, _Budget(timeout_s).left_s(), needed=AclOperation.READ)
        except KafkaException as error:
            raise self._as_webhookd_error(error) from error
        if seen.denied:
            raise TopicDenied(min(seen.denied))
        return dict(seen.ids)

    @measured(KAFKA, "topic_rules")
    def topic_rules(self, topic: str, timeout_s: float) -> TopicRules:
        """Return the rules for writing to a topic; what the brokers do not report in time is None."""
        return topic_write_rules(self._client(), topic, timeout_s)

    @measured(KAFKA, "commit")
    def commit(self, group: str, offsets: Offsets, timeout_s: float) -> None:
        """Commit offsets of a group without members.

        Raises Conflict when it has members, since only they may commit then, and TopicDenied for a topic that webhookd
        may not read.
        """
        self._commit(
            group,
            [TopicPartition(topic, n, at) for topic, ends in offsets.items() for n, at in ends.items()],
            timeout_s,
        )

    @measured(KAFKA, "committed")
    def commits(self, group: str, topics: Sequence[str], timeout_s: float) -> dict[Partition, Committed]:
        """Return what the group has committed in these topics; partitions without a commit are left out.

        Uses a new consumer for each call, which does not join the group: the admin client's request for this crashes
        the process when the coordinator has moved (librdkafka 2.16).
        """
        budget = _Budget(timeout_s)
        wanted = [TopicPartition(topic, n) for topic in topics for n in self._partitions_retrying(topic, budget)]
        if not wanted:
            return {}
        try:
            found = self._committed_offsets(group, wanted, budget)
            _raise_errors(found)
        except KafkaException as error:
            raise self._as_webhookd_error(error) from error
        return {
            Partition(place.topic, place.partition): Committed(offset=place.offset, metadata=place.metadata or "")
            for place in found
            if place.offset >= 0
        }

    @measured(KAFKA, "commit")
    def recommit(self, group: str, commits: Mapping[Partition, Committed], timeout_s: float) -> None:
        """Commit these offsets again with their metadata; the group must not have members (Conflict)."""
        places = [TopicPartition(p.topic, p.number, at.offset, at.metadata) for p, at in commits.items()]
        self._commit(group, places, timeout_s)

    @measured(KAFKA, "join_briefly")
    def join_briefly(self, group: str, topics: Sequence[str], protocol: str, timeout_s: float) -> None:
        """Join a group and leave it at once; nothing is committed.

        This renews the retention of a classic group's offsets: brokers count it from when the group became empty, and
        later commits do not change that. For groups of the consumer protocol they count it from each commit.
        """
        budget = _Budget(timeout_s)
        joined = threading.Event()
        consumer = self._kafka.consumer(member_config(group, protocol))
        try:
            consumer.subscribe(list(topics), on_assign=lambda *_: joined.set())
            while not joined.is_set():
                consumer.poll(min(RETRY_INTERVAL_S, budget.left_s()))
        except KafkaException as error:
            raise self._as_webhookd_error(error) from error
        finally:
            consumer.close()

    def _committed_offsets(self, group: str, wanted: list[TopicPartition], budget: "_Budget") -> list[TopicPartition]:
        consumer = self._kafka.consumer({**CONFIG, "group.id": group, "enable.auto.commit": False})
        try:
            return consumer.committed(wanted, timeout=budget.left_s())
        finally:
            consumer.close()

    def _last_records(self, group: str, ends: Offsets, count: int, budget: "_Budget") -> dict[str, TopicSample]:
        if not ends:
            return {}
        consumer = self._kafka.consumer({**CONFIG, **SAMPLE_CONFIG, "group.id": group})
        try:
            return last_records(consumer, ends, count, budget.remaining_s)
        except KafkaException as error:
            raise self._as_webhookd_error(error) from error
        finally:
            consumer.close()

    def _await_coordinator(self, group: str, budget: "_Budget") -> None:
        """Return when the group's coordinator answers and there is time left for a request to it.

        Called before each request of the admin client about a group: a request that timed out while the coordinator was
        down has crashed the process when it came back (librdkafka 2.16: an assertion on `eonce->refcnt`). Raises
        KafkaException or KafkaUnavailable.
        """
        self._committed_offsets(group, [TopicPartition(NO_TOPIC, 0)], budget)
        if budget.left_s() < min(COORDINATOR_S, budget.timeout_s / 2):
            raise KafkaUnavailable

    def _commit(self, group: str, positions: list[TopicPartition], timeout_s: float) -> None:
        if not positions:
            return
        budget = _Budget(timeout_s)
        while (again := self._commit_once(group, positions, budget)) is not None:
            budget.wait(again)

    @measured(KAFKA, "delete_group")
    def delete_group(self, group: str, timeout_s: float) -> None:
        """Delete a group and its offsets; a missing group is no error. Raises Conflict when it has members."""
        budget = _Budget(timeout_s)
        if str(self._metadata(budget).cluster_id).startswith(MOCK_CLUSTER):
            return
        try:
            self._await_coordinator(group, budget)
            answers = self._client().delete_consumer_groups([group], request_timeout=ABANDONED_S)
            budget.result(answers[group])
        except KafkaException as error:
            if _code(error) != KafkaError.GROUP_ID_NOT_FOUND:
                raise self._as_webhookd_error(error) from error

    @measured(KAFKA, "samples")
    def samples(self, group: str, topics: Sequence[str], count: int, timeout_s: float) -> dict[str, TopicSample]:
        """Return for each topic whether it exists, and the values of its last records, `count` at most.

        The group is not joined and not changed.
        """
        budget = _Budget(timeout_s)
        ends: dict[str, dict[int, int]] = {}
        found: dict[str, TopicSample] = {}
        for topic in topics:
            try:
                ends[topic] = self._end_offsets_retrying(topic, budget)
                found[topic] = TopicSample(exists=bool(ends[topic]))
            except TopicDenied:
                found[topic] = TopicSample(denied=True)
        return found | self._last_records(group, {topic: at for topic, at in ends.items() if at}, count, budget)

    @measured(KAFKA, "ping")
    def ping(self, timeout_s: float) -> None:
        """Check that a broker answers. Raises KafkaUnavailable."""
        self._metadata(_Budget(timeout_s))

    @measured(KAFKA, "cluster_id")
    def cluster_id(self, timeout_s: float) -> str:
        """Return the cluster's id; empty for a cluster that has none to compare."""
        return cluster_id_of(self._metadata(_Budget(timeout_s)))

    def _client(self) -> ExplainingAdmin:
        with self._lock:
            if self._admin_client is None:
                self._admin_client = self._kafka.admin(CONFIG)
            return self._admin_client

    def _end_offsets_retrying(self, topic: str, budget: "_Budget") -> dict[int, int]:
        while True:
            try:
                return self._end_offsets_of(topic, self._partitions(topic, budget), budget)
            except KafkaException as error:
                if _code(error) == DENIED:
                    raise TopicDenied(topic) from error
                if _code(error) not in RETRIABLE:
                    raise self._as_webhookd_error(error) from error
                budget.wait(error)

    def _partitions(self, topic: str, budget: "_Budget") -> list[int]:
        found = self._metadata(budget, topic).topics[topic]
        if found.error is None:
            return sorted(found.partitions)
        if found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return []
        raise KafkaException(found.error)

    def _partitions_retrying(self, topic: str, budget: "_Budget") -> list[int]:
        while True:
            try:
                return self._partitions(topic, budget)
            except KafkaException as error:
                if _code(error) not in RETRIABLE:
                    raise self._as_webhookd_error(error) from error
                budget.wait(error)

    def _end_offsets_of(self, topic: str, partitions: Iterable[int], budget: "_Budget") -> dict[int, int]:
        wanted = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in partitions}
        if not wanted:
            return {}
        answers: dict[TopicPartition, Future[ListOffsetsResultInfo]] = self._client().list_offsets(
            wanted,
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=budget.left_s(),
        )
        ends = {asked.partition: budget.result(answer).offset for asked, answer in answers.items()}
        if (
            min(ends.values()) < 0
        ):  # librdkafka reports success with a negative offset when the leader did not answer in time
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - librdkafka's own code names
        return ends

    def _commit_once(
        self,
        group: str,
        positions: list[TopicPartition],
        budget: "_Budget",
    ) -> KafkaException | None:
        """Try to commit; returns the error if the call should be tried again."""
        request = [ConsumerGroupTopicPartitions(group, positions)]
        try:
            self._await_coordinator(group, budget)
            answers = self._client().alter_consumer_group_offsets(request, request_timeout=ABANDONED_S)
            _raise_errors(budget.result(answers[group]).topic_partitions)
        except KafkaException as error:
            if _code(error) in RETRIABLE:
                return error
            raise self._as_webhookd_error(error) from error
        return None

    def _as_webhookd_error(self, error: KafkaException) -> Conflict | KafkaUnavailable:
        if _code(error) == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return GroupDenied(str(error.args[0].str()))
        if _code(error) in HAS_MEMBERS:
            return Conflict(str(error.args[0].str()))
        return self._client().explain(error)

    def _metadata(self, budget: "_Budget", topic: str = NO_TOPIC) -> ClusterMetadata:
        return self._client().metadata(topic, budget.left_s())


class _Budget:
    """The time that is left to one call for all its steps."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._ends_at = clock.monotonic() + timeout_s

    def remaining_s(self) -> float:
        return max(0.0, self._ends_at - clock.monotonic())

    def left_s(self) -> float:
        left_s = self._ends_at - clock.monotonic()
        if left_s <= 0:
            raise KafkaUnavailable
        return left_s

    def result(self, answer: Future[Answer]) -> Answer:
        try:
            return answer.result(self.left_s())
        except FutureTimeout as error:
            raise KafkaUnavailable from error

    def wait(self, reason: KafkaException) -> None:
        if self.left_s() <= RETRY_INTERVAL_S:
            raise KafkaUnavailable(str(reason.args[0].str())) from reason
        threading.Event().wait(RETRY_INTERVAL_S)


def _raise_errors(committed: list[TopicPartition]) -> None:
    for position in committed:
        if position.error is not None and position.error.code() == DENIED:
            raise TopicDenied(position.topic)
        if position.error is not None:
            raise KafkaException(position.error)


def _code(error: KafkaException) -> int:
    return int(error.args[0].code())
