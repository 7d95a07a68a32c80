"""Creates and deletes topics."""

from collections.abc import Mapping, Sequence
from functools import cache

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

TOPIC_TIMEOUT_S = 60.0


@cache
def _admin(bootstrap_servers: str) -> AdminClient:
    """Kept until the process ends: librdkafka 2.16 crashed when a client that had just created topics was destroyed.

    So it outlives the broker, and must not print that this one is gone.
    """
    return AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 2})


def create_topics(bootstrap_servers: str, partitions: Mapping[str, int]) -> None:
    """Create topics and wait until they exist."""
    client = _admin(bootstrap_servers)
    asked = client.create_topics([NewTopic(name, count) for name, count in partitions.items()], request_timeout=60)
    for future in asked.values():
        future.result(TOPIC_TIMEOUT_S)


def delete_topics(bootstrap_servers: str, names: Sequence[str]) -> None:
    """Delete topics."""
    client = _admin(bootstrap_servers)
    for future in client.delete_topics(list(names)).values():
        future.result(TOPIC_TIMEOUT_S)
