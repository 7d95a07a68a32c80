"""The settings of a broker. Oracle: some of Kafka's documented names; no broker is started."""

from pathlib import Path

import pytest

from stack.kafka_settings import Quorum

DATA = Path("/data")


def quorum(brokers: int, **additional: str) -> Quorum:
    return Quorum(ports=range(1001, 1001 + brokers), controllers=range(2001, 2001 + brokers), additional=additional)


@pytest.mark.parametrize(("brokers", "replicas", "in_sync"), [(1, "1", "1"), (3, "3", "2")])
def test_replicas_follow_the_number_of_brokers(brokers: int, replicas: str, in_sync: str) -> None:
    settings = quorum(brokers).node_settings(1, DATA)
    assert settings["offsets.topic.replication.factor"] == settings["default.replication.factor"] == replicas
    assert settings["min.insync.replicas"] == in_sync


def test_every_broker_votes_on_a_port_of_its_own() -> None:
    settings = quorum(3).node_settings(2, DATA)
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:2001,2@127.0.0.1:2002,3@127.0.0.1:2003"
    assert settings["listeners"] == "PLAINTEXT://127.0.0.1:1002,CONTROLLER://127.0.0.1:2002"


def test_added_node_has_no_vote_and_knows_who_has() -> None:
    settings = quorum(3).broker_only_settings(4, DATA, 1004)
    assert settings["process.roles"] == "broker"
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:2001,2@127.0.0.1:2002,3@127.0.0.1:2003"
    assert settings["listeners"] == settings["advertised.listeners"] == "PLAINTEXT://127.0.0.1:1004"
    assert settings["default.replication.factor"] == "3"


def test_callers_setting_wins() -> None:
    chosen = quorum(1, **{"offsets.topic.num.partitions": "50"})
    for settings in (chosen.node_settings(1, DATA), chosen.broker_only_settings(2, DATA, 1002)):
        assert settings["offsets.topic.num.partitions"] == "50"
