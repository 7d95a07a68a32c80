"""The reachability probe on a real cluster and on the mock. Oracle: the cluster id that a separate client gets."""

import pytest

from tests.harness.kafka_admin import admin_of
from webhookd.edges.kafka_admin import KafkaAdmin
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_reachability import KafkaProbe
from webhookd.errors import KafkaUnavailable
from webhookd.testing.mock_cluster import MockCluster

TIMEOUT_S = 20.0


def test_cluster_id_is_returned(kafka_bootstrap: str) -> None:
    known = admin_of(kafka_bootstrap).list_topics(timeout=TIMEOUT_S).cluster_id
    probe = KafkaProbe(KafkaConnection(kafka_bootstrap))
    returned = [probe.cluster_id(TIMEOUT_S) for _ in range(2)]
    assert [*returned, KafkaAdmin(KafkaConnection(kafka_bootstrap)).cluster_id(TIMEOUT_S)] == [known] * 3


def test_mock_cluster_has_no_id_to_compare() -> None:
    cluster = MockCluster()
    assert KafkaProbe(KafkaConnection(cluster.bootstrap_servers)).cluster_id(TIMEOUT_S) == ""
    assert KafkaAdmin(KafkaConnection(cluster.bootstrap_servers)).cluster_id(TIMEOUT_S) == ""


def test_unreachable_kafka_is_unavailable_in_time() -> None:
    with pytest.raises(KafkaUnavailable):
        KafkaProbe(KafkaConnection("127.0.0.1:1")).cluster_id(0.3)
