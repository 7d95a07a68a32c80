"""Whether the API's brokers are the Kafka cluster that the database is about."""

from api.ports import Services
from webhookd.errors import ClusterMismatch, StoreUnavailable
from webhookd.store import kafka_cluster


def confirm(services: Services, timeout_s: float) -> None:
    """Have a broker answer, and compare its cluster with the database's; the first one to be found is recorded.

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
    """As `confirm`; the database's own absence is none of Kafka's."""
    try:
        confirm(services, timeout_s)
    except StoreUnavailable:
        return
