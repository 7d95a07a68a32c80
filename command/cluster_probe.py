"""Reads the id and the topics of the Kafka cluster at the given bootstrap servers."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.errors import KafkaAuthenticationFailed, KafkaUnavailable

ASK_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterInfo:
    """A cluster's id, the names of its topics, and how many brokers it has."""

    id: str
    brokers: int
    topics: AbstractSet[str]


def probe_cluster(kafka: KafkaConnection) -> ClusterInfo:
    """Ask the brokers. Raises KafkaUnavailable when none answers."""
    try:
        found = kafka.admin({"client.id": "webhookd-run", "reconnect.backoff.max.ms": 1000}).metadata(None, ASK_S)
    except KafkaAuthenticationFailed as error:
        raise KafkaAuthenticationFailed(f"{error.code}: Kafka refuses the connection: {error.detail}") from error
    except KafkaUnavailable as error:
        raise KafkaUnavailable(
            f"no Kafka answers at {kafka.bootstrap_servers} (--bootstrap-servers): {error.detail}"
        ) from error
    return ClusterInfo(id=str(found.cluster_id), brokers=len(found.brokers), topics=frozenset(found.topics))
