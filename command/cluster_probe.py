"""Reads the id and the topics of the Kafka cluster at the given bootstrap servers."""

import logging
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from webhookd.errors import KafkaUnavailable

ASK_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterInfo:
    """A cluster's id and the names of its topics."""

    id: str
    topics: AbstractSet[str]


def probe_cluster(bootstrap_servers: str) -> ClusterInfo:
    """Ask the brokers. Raises KafkaUnavailable when none answers."""
    config: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap_servers, "client.id": "webhookd-run"}
    try:
        found = AdminClient(config, logger=logging.getLogger("librdkafka")).list_topics(timeout=ASK_S)
    except KafkaException as error:
        raise KafkaUnavailable(f"no Kafka answers at {bootstrap_servers}: {error.args[0].str()}") from error
    return ClusterInfo(id=str(found.cluster_id), topics=frozenset(found.topics))
