"""Checks whether this process can read Kafka, and which cluster it is, with one small metadata request.

The request goes to the addresses that the brokers advertise, as reading does. Bootstrap servers may answer although no
broker is reachable at its advertised address (a load balancer, a wrong `advertised.listeners`): such a process can read
nothing. One broker that answers is enough.
"""

from threading import Lock
from typing import Any

from confluent_kafka.admin._metadata import BrokerMetadata, ClusterMetadata

from webhookd import clock
from webhookd.edges.kafka_admin import NO_TOPIC
from webhookd.edges.kafka_connection import ExplainingAdmin, KafkaConnection
from webhookd.edges.kafka_topics import cluster_id_of
from webhookd.errors import KafkaUnavailable
from webhookd.metrics.service_calls import KAFKA, measured

MIN_REQUEST_S = 0.1
"""The timeout of the request when fetching the addresses has used up the time."""


class KafkaProbe:
    """Sends the request; any thread, one request at a time. Create it after a fork."""

    def __init__(self, kafka: KafkaConnection) -> None:
        self._kafka = kafka
        self._bootstrap: ExplainingAdmin | None = None
        self._brokers: ExplainingAdmin | None = None
        self._addresses: frozenset[str] = frozenset()
        self._addresses_stale = True
        self._lock = Lock()

    @measured(KAFKA, "cluster_id")
    def cluster_id(self, timeout_s: float) -> str:
        """Return the cluster's id, from a broker at its advertised address; empty for a cluster that has none.

        Raises KafkaUnavailable when no broker answers there in time, and KafkaAuthenticationFailed when that is because
        a login or a certificate was refused.
        """
        ends_at = clock.monotonic() + timeout_s
        with self._lock:
            if self._addresses_stale:  # or not known yet: the bootstrap servers return the brokers' addresses
                self._fetch_addresses(timeout_s)
            self._addresses_stale = True
            found = _metadata(self._brokers, max(MIN_REQUEST_S, ends_at - clock.monotonic()))
            self._addresses_stale = False
            self._set_addresses(found)
        return cluster_id_of(found)

    def _fetch_addresses(self, timeout_s: float) -> None:
        if self._bootstrap is None:
            self._bootstrap = _client(self._kafka)
        self._set_addresses(_metadata(self._bootstrap, timeout_s))

    def _set_addresses(self, found: ClusterMetadata) -> None:
        """Send later requests to these addresses. A broker that is down is missing here, but may come back."""
        addresses = frozenset(_address(broker) for broker in found.brokers.values())
        if not addresses <= self._addresses:
            self._addresses = addresses
            self._brokers = _client(self._kafka.at(",".join(sorted(addresses))))


def _metadata(client: ExplainingAdmin | None, timeout_s: float) -> ClusterMetadata:
    if client is None:
        raise KafkaUnavailable("the bootstrap servers return no broker")
    return client.metadata(NO_TOPIC, timeout_s)


def _address(broker: BrokerMetadata) -> str:
    host = str(broker.host)
    return f"[{host}]:{broker.port}" if ":" in host else f"{host}:{broker.port}"


def _client(kafka: KafkaConnection) -> ExplainingAdmin:
    config: dict[str, Any] = {
        "client.id": "webhookd-probe",
        "allow.auto.create.topics": False,
        "reconnect.backoff.max.ms": 1000,
        "socket.connection.setup.timeout.ms": 3000,
        "log_level": 3,
    }
    return kafka.admin(config)
