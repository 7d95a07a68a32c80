"""Checks that the API's brokers are the Kafka cluster that the database belongs to."""

from api.ports import Services
from webhookd.errors import ClusterMismatch, StoreUnavailable
from webhookd.store import kafka_cluster


def confirm(services: Services, timeout_s: float) -> None:
    """Ask a broker for its cluster id and compare it with the stored one; if there is none, store it.

    Raises ClusterMismatch, KafkaUnavailable, StoreUnavailable.
    """
    found = services.brokers.cluster_id(timeout_s)
    if not found:
        return
    with services.database.transaction() as session:
        recorded = kafka_cluster.record(session, found)
    if recorded != found:
        raise ClusterMismatch(kafka_cluster.mismatch(found, recorded))


def ready(services: Services, timeout_s: float) -> None:
    """Do the same as `confirm`, but ignore an unreachable database: readiness checks the database separately."""
    try:
        confirm(services, timeout_s)
    except StoreUnavailable:
        return
