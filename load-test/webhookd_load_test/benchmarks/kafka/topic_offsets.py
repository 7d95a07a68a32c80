"""Checks that everything arrived: committed offsets, end offsets, and a checking receiver's counts."""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

ASK_TIMEOUT_S = 10.0
QUIET = {"log_level": 2}
"""The clients outlive the broker, and must not print that this one is gone."""


class TopicOffsets:
    """The end and committed offsets of one topic."""

    def __init__(self, bootstrap_servers: str, topic: str, partitions: int) -> None:
        self._places = [TopicPartition(topic, number) for number in range(partitions)]
        self._bootstrap_servers = bootstrap_servers
        self._client = AdminClient({"bootstrap.servers": bootstrap_servers, **QUIET})

    def ends(self) -> dict[int, int]:
        """The end offset of each partition."""
        asked = {place: OffsetSpec.latest() for place in self._places}
        answers = self._client.list_offsets(asked, request_timeout=ASK_TIMEOUT_S)
        return {place.partition: answer.result(ASK_TIMEOUT_S).offset for place, answer in answers.items()}

    def committed(self, subscription: str) -> dict[int, int]:
        """The committed offset of each partition in a subscription's group; -1 without a commit.

        {} while the broker cannot answer: it loads the group's coordinator on the first request.
        """
        group = {"bootstrap.servers": self._bootstrap_servers, "group.id": f"webhooks-{subscription}", **QUIET}
        # A consumer that joins nothing: the admin client's request for this can crash (librdkafka 2.16).
        consumer = Consumer(group)
        try:
            found = consumer.committed(self._places, timeout=ASK_TIMEOUT_S)
        except KafkaException:
            return {}
        finally:
            consumer.close()
        return {place.partition: max(-1, place.offset) for place in found}


def received(seen: Mapping[str, Any]) -> dict[int, int]:
    """The end of what a checking receiver got in each partition; only lanes that it received from offset 0 count."""
    lanes: Mapping[str, tuple[int, int]] = seen["received_ends"]
    return {int(name.rpartition(" ")[2]): high for name, (first, high) in lanes.items() if first == 0}
