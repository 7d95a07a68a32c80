"""The connection to Kafka of the load test's clients, made of librdkafka's properties."""

import logging
from collections.abc import Mapping
from typing import Final

from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.kafka_properties import KafkaProperties

SERVERS: Final = "bootstrap.servers"

LIBRARY_LOG: Final = logging.getLogger("webhookd_load_test.librdkafka")
"""It is not printed: while a broker is down, the progress says what is not acknowledged."""

LIBRARY_LOG.addHandler(logging.NullHandler())
LIBRARY_LOG.propagate = False


def connection(kafka: Mapping[str, str]) -> KafkaConnection:
    """Return the connection with these properties, of which one is bootstrap.servers."""
    return KafkaConnection(
        kafka[SERVERS], KafkaProperties({name: value for name, value in kafka.items() if name != SERVERS})
    )


def properties(kafka: KafkaConnection) -> dict[str, str]:
    """Return all properties of a connection."""
    return {SERVERS: kafka.bootstrap_servers, **kafka.properties}
