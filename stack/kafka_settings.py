"""The settings of Kafka's nodes: those that hold the quorum, and those that are broker only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


def replicas_of(brokers: int) -> int:
    """How many replicas the partitions of a new topic have, in a cluster that starts with so many brokers."""
    return min(brokers, 3)


def in_sync_of(brokers: int) -> int:
    """How many of them must have a record before it is acknowledged."""
    return min(brokers, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorum:
    """The nodes that a cluster starts with. They are broker and controller, with the ids from 1."""

    ports: Sequence[int]
    """The clients' port of each."""

    controllers: Sequence[int]
    """The controller's port of each."""

    additional: Mapping[str, str]
    """Settings of the caller, for all brokers; they win."""

    def node_settings(self, node_id: int, data: Path) -> dict[str, str]:
        """The settings of one of these nodes."""
        client = f"PLAINTEXT://127.0.0.1:{self.ports[node_id - 1]}"
        return {
            **self._settings(node_id, data),
            "process.roles": "broker,controller",
            "listeners": f"{client},CONTROLLER://127.0.0.1:{self.controllers[node_id - 1]}",
            "advertised.listeners": client,
            **self.additional,
        }

    def broker_only_settings(self, node_id: int, data: Path, port: int) -> dict[str, str]:
        """The settings of a node that is added: it has no vote, so it can be removed again."""
        client = f"PLAINTEXT://127.0.0.1:{port}"
        return {
            **self._settings(node_id, data),
            "process.roles": "broker",
            "listeners": client,
            "advertised.listeners": client,
            **self.additional,
        }

    def _settings(self, node_id: int, data: Path) -> dict[str, str]:
        replicas, in_sync = str(replicas_of(len(self.ports))), str(in_sync_of(len(self.ports)))
        return {
            "node.id": str(node_id),
            "controller.quorum.voters": ",".join(f"{i}@127.0.0.1:{p}" for i, p in enumerate(self.controllers, 1)),
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(data),
            "auto.create.topics.enable": "false",
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            "group.initial.rebalance.delay.ms": "0",
        }
