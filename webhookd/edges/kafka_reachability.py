"""Whether a process can read Kafka, and which cluster it is: one small question, asked again and again.

The question goes to the addresses that the brokers advertise, as reading does. The bootstrap servers may answer
although no broker can be reached at the address that it gives (a load balancer, a wrong `advertised.listeners`): such
a process reads nothing. One broker that answers is enough.
"""

import logging
from threading import Lock
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import BrokerMetadata, ClusterMetadata

from webhookd import clock
from webhookd.edges.kafka_admin import NO_TOPIC
from webhookd.edges.kafka_topics import cluster_id_of
from webhookd.errors import KafkaUnavailable

MIN_REQUEST_S = 0.1
"""What a question gets when learning the addresses took the whole time."""

_library_log = logging.getLogger("librdkafka")


class KafkaProbe:
    """Asks the cluster; used from any thread, one question at a time. Made after a fork."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._bootstrap: AdminClient | None = None
        self._brokers: AdminClient | None = None
        self._addresses: frozenset[str] = frozenset()
        self._addresses_stale = True
        self._lock = Lock()

    def cluster_id(self, timeout_s: float) -> str:
        """The cluster's id, from a broker at its advertised address; empty for one that has none to compare.

        Raises KafkaUnavailable when no broker answers there in time.
        """
        ends_at = clock.monotonic() + timeout_s
        with self._lock:
            if self._addresses_stale:  # or not known yet: the bootstrap servers say where the brokers are
                self._fetch_addresses(timeout_s)
            self._addresses_stale = True
            found = _metadata(self._brokers, max(MIN_REQUEST_S, ends_at - clock.monotonic()))
            self._addresses_stale = False
            self._set_addresses(found)
        return cluster_id_of(found)

    def _fetch_addresses(self, timeout_s: float) -> None:
        if self._bootstrap is None:
            self._bootstrap = _client(self._bootstrap_servers)
        self._set_addresses(_metadata(self._bootstrap, timeout_s))

    def _set_addresses(self, found: ClusterMetadata) -> None:
        """Ask at these addresses from here on; a broker that is down is not named, and comes back."""
        addresses = frozenset(_address(broker) for broker in found.brokers.values())
        if not addresses <= self._addresses:
            self._addresses = addresses
            self._brokers = _client(",".join(sorted(addresses)))


def _metadata(client: AdminClient | None, timeout_s: float) -> ClusterMetadata:
    if client is None:
        raise KafkaUnavailable("the bootstrap servers name no broker")
    try:
        return client.list_topics(NO_TOPIC, timeout=timeout_s)
    except KafkaException as error:
        raise KafkaUnavailable(str(error.args[0].str())) from error


def _address(broker: BrokerMetadata) -> str:
    host = str(broker.host)
    return f"[{host}]:{broker.port}" if ":" in host else f"{host}:{broker.port}"


def _client(servers: str) -> AdminClient:
    config: dict[str, Any] = {
        "bootstrap.servers": servers,
        "client.id": "webhookd-contact",
        "allow.auto.create.topics": False,
        "reconnect.backoff.max.ms": 1000,
        "socket.connection.setup.timeout.ms": 3000,
        "log_level": 3,
    }
    return AdminClient(config, logger=_library_log)
