"""The partitions of a running Kafka cluster: where their replicas are, which broker leads them, and who should."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping

from confluent_kafka import ElectionType, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import PartitionMetadata

from stack.kafka_reassignment import Assignment, Partition

ASK_TIMEOUT_S = 5.0


class KafkaPartitions:
    """Asks a cluster for its partitions; one thread at a time uses it.

    `until` waits until its first argument returns True; it raises an error with the second when that takes too long.
    """

    def __init__(self, address: str, until: Callable[[Callable[[], bool], str], None]) -> None:
        self._address = address
        self._until = until
        self._admin = _client(address)

    def ordinary_topics(self) -> list[str]:
        """The names of all topics except internal ones; blocks until a broker answers."""
        return [topic for topic in self._topics() if not topic.startswith("__")]

    def of(self, topics: Collection[str] | None) -> dict[Partition, PartitionMetadata]:
        """The partitions of these topics; None: of all, internal ones included. Blocks until a broker answers."""
        return {
            (topic, number): partition
            for topic, partitions in self._topics().items()
            if topics is None or topic in topics
            for number, partition in partitions.items()
        }

    def assignment(self, topics: Collection[str] | None) -> Assignment:
        """The brokers with a replica of each partition of these topics; None and blocking as `of`."""
        return {partition: tuple(one.replicas) for partition, one in self.of(topics).items()}

    def elect(self, partitions: Iterable[Partition]) -> None:
        """Ask for an election of their preferred leaders; that it was held is seen in the metadata."""
        chosen = [TopicPartition(topic, number) for topic, number in partitions]
        with contextlib.suppress(KafkaException):
            self._admin.elect_leaders(ElectionType.PREFERRED, chosen).result()

    def _topics(self) -> Mapping[str, Mapping[int, PartitionMetadata]]:
        """All topics. Brokers may be too busy to answer, for instance when another one was just killed."""
        known: dict[str, Mapping[int, PartitionMetadata]] = {}
        self._until(lambda: self._ask_topics(known), "Kafka does not answer")
        return known

    def _ask_topics(self, known: dict[str, Mapping[int, PartitionMetadata]]) -> bool:
        try:
            answered = self._admin.list_topics(timeout=ASK_TIMEOUT_S).topics
        except KafkaException:
            self._admin = _client(self._address)  # it may go on waiting for a broker that was killed
            return False
        known.update((name, topic.partitions) for name, topic in answered.items())
        return True


def _client(address: str) -> AdminClient:
    """A client that soon tries again to reach a broker.

    The time limit is for elections: as an argument of `elect_leaders` it raises SystemError.
    """
    return AdminClient(
        {
            "bootstrap.servers": address,
            "log_level": 0,
            "socket.timeout.ms": int(ASK_TIMEOUT_S * 1000),
            "reconnect.backoff.max.ms": 500,
        }
    )
