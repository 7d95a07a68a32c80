"""The settings of a broker. Oracle: some of Kafka's documented names; no broker is started."""

from pathlib import Path

import pytest

from stack.kafka import KafkaOptions, broker_settings

PORTS = (1001, 1002, 1003, 2001, 2002, 2003)


@pytest.mark.parametrize(("brokers", "replicas", "in_sync"), [(1, "1", "1"), (3, "3", "2")])
def test_replicas_follow_the_number_of_brokers(brokers: int, replicas: str, in_sync: str) -> None:
    settings = broker_settings(Path("/data"), 1, PORTS, KafkaOptions(brokers=brokers))
    assert settings["offsets.topic.replication.factor"] == settings["default.replication.factor"] == replicas
    assert settings["min.insync.replicas"] == in_sync


def test_every_broker_votes_on_a_port_of_its_own() -> None:
    settings = broker_settings(Path("/data"), 2, PORTS, KafkaOptions(brokers=3))
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:2001,2@127.0.0.1:2002,3@127.0.0.1:2003"
    assert settings["listeners"] == "PLAINTEXT://127.0.0.1:1002,CONTROLLER://127.0.0.1:2002"


def test_callers_setting_wins() -> None:
    options = KafkaOptions(settings={"offsets.topic.num.partitions": "50"})
    assert broker_settings(Path("/data"), 1, PORTS, options)["offsets.topic.num.partitions"] == "50"
