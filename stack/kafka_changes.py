"""Changes of a running Kafka cluster, each of them up to its end: brokers added, removed, killed, started again."""

import signal
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from stack import kafka_reassignment
from stack.errors import ChangeRefused, NotChanged
from stack.kafka import KafkaCluster
from stack.kafka_partitions import KafkaPartitions
from stack.kafka_reassignment import Assignment
from stack.kafka_tools import KafkaTools

POLL_INTERVAL_S = 0.1
CHANGE_TIMEOUT_S = 180.0
"""How long one change may take: a node starts within seconds, and partitions of a test move within seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What a broker has: how many of the `partitions` it holds a replica of, and how many it leads."""

    partitions: int
    replicas: int
    led: int


class KafkaChanges:
    """Changes a cluster. Each change blocks until it is complete.

    They raise ChangeRefused, having changed nothing, and NotChanged when a change fails, takes longer than `timeout_s`,
    or `stopping` is set meanwhile. One thread at a time uses it.
    """

    def __init__(
        self, cluster: KafkaCluster, *, stopping: threading.Event | None = None, timeout_s: float = CHANGE_TIMEOUT_S
    ) -> None:
        self._cluster = cluster
        self._stopping = stopping or threading.Event()
        self._timeout_s = timeout_s
        self._tools = KafkaTools(cluster.address, cluster.directory)
        self._partitions = KafkaPartitions(cluster.address, self._until)

    @property
    def running(self) -> list[int]:
        """The ids of the brokers that run."""
        return self._cluster.running

    @property
    def quorum(self) -> int:
        """How many brokers hold the quorum: those with the ids from 1 to this number."""
        return len(self._cluster.quorum.ports)

    def add_broker(self) -> int:
        """Start one more node, which is broker only, and wait until it is registered; returns its id."""
        node_id = self._cluster.add_broker()
        self._wait_registered(node_id)
        return node_id

    def give_share(self, node_id: int, topics: Collection[str] | None = None) -> Holding:
        """Move a fair share of the replicas and of the lead of these topics to a broker.

        None: of all topics except internal ones.
        """
        wanted = self._partitions.ordinary_topics() if topics is None else topics
        self._move(kafka_reassignment.share(self._partitions.assignment(wanted), node_id, self._cluster.node_ids))
        return self.holding(node_id, wanted)

    def remove_broker(self, node_id: int) -> None:
        """Move all its replicas away, also those of internal topics, stop it in order, and unregister it.

        Refused for a node of the quorum, for one that does not run, and when fewer brokers than replicas would be left.
        """
        self._refuse_removal(node_id)
        self._drain(node_id)
        self._cluster.kill_broker(node_id, signal.SIGTERM)
        self._drain(node_id)  # a topic that was created meanwhile
        self._tools.unregister(node_id)
        self._cluster.forget_broker(node_id)

    def kill_broker(self, node_id: int) -> None:
        """Kill a broker with SIGKILL; refused for one that does not run."""
        self._refuse_missing(node_id, "killed")
        self._cluster.kill_broker(node_id)

    def start_broker(self, node_id: int) -> None:
        """Start a killed broker again, and wait until all its replicas are in sync."""
        if node_id not in self._cluster.missing:
            raise ChangeRefused(f"broker {node_id} cannot be started again: it was not killed")
        self._cluster.start_broker(node_id)
        self._wait_registered(node_id)
        self._until(lambda: self._in_sync(node_id), f"broker {node_id} is not in sync")

    def holding(self, node_id: int, topics: Collection[str] | None = None) -> Holding:
        """What a broker holds of these topics; None: of all, internal ones included."""
        partitions = self._partitions.of(topics).values()
        return Holding(
            partitions=len(partitions),
            replicas=sum(node_id in one.replicas for one in partitions),
            led=sum(one.leader == node_id for one in partitions),
        )

    def _refuse_missing(self, node_id: int, done: str) -> None:
        if node_id not in self._cluster.node_ids:
            known = ", ".join(map(str, self._cluster.node_ids))
            raise ChangeRefused(f"broker {node_id} cannot be {done}: the brokers are {known}")
        if node_id not in self._cluster.running:
            raise ChangeRefused(f"broker {node_id} cannot be {done}: it does not run")

    def _refuse_removal(self, node_id: int) -> None:
        self._refuse_missing(node_id, "removed")
        self._cluster.refuse_founder(node_id)
        kafka_reassignment.drain(self._partitions.assignment(None), node_id, self._others(node_id))

    def _others(self, node_id: int) -> list[int]:
        return [other for other in self._cluster.running if other != node_id]

    def _drain(self, node_id: int) -> None:
        """Move replicas away until there are none: topics may be created meanwhile."""
        while plan := kafka_reassignment.drain(self._partitions.assignment(None), node_id, self._others(node_id)):
            self._move(plan)

    def _move(self, plan: Assignment) -> None:
        """Move partitions, and have each led by its first replica if that runs."""
        if not plan:
            return
        self._tools.begin_reassignment(plan)
        self._until(lambda: self._arrived(plan), "partitions have not moved")
        self._until(lambda: self._tools.completed(plan) == set(plan), "partitions have not moved")
        self._until(lambda: self._led_as_planned(plan), "partitions have not changed their leader")

    def _arrived(self, plan: Assignment) -> bool:
        """Whether the metadata show the new replicas: that costs less than to ask with the tool."""
        now = self._partitions.assignment({topic for topic, _ in plan})
        return all(now.get(partition) == replicas for partition, replicas in plan.items())

    def _led_as_planned(self, plan: Assignment) -> bool:
        """Whether each partition's first replica leads it; asks for an election of those that another one leads."""
        known = self._partitions.of({topic for topic, _ in plan})
        leaders = {partition: one.leader for partition, one in known.items()}
        wanted = {partition: first for partition, (first, *_) in plan.items() if first in self._cluster.running}
        others = [partition for partition, first in wanted.items() if leaders.get(partition, first) != first]
        if others:
            self._partitions.elect(others)
        return not others

    def _wait_registered(self, node_id: int) -> None:
        self._until(self._cluster.answers, f"broker {node_id} is not registered", running=node_id)

    def _in_sync(self, node_id: int) -> bool:
        return all(node_id in one.isrs for one in self._partitions.of(None).values() if node_id in one.replicas)

    def _until(self, done: Callable[[], bool], fault: str, running: int | None = None) -> None:
        deadline = time.monotonic() + self._timeout_s
        while not done():
            if running is not None and (last_lines := self._cluster.ended(running)) is not None:
                raise NotChanged(f"{fault}: it has ended:\n{last_lines}")
            if time.monotonic() > deadline:
                raise NotChanged(f"{fault} after {self._timeout_s:.0f} s")
            if self._stopping.wait(POLL_INTERVAL_S):
                raise NotChanged(f"{fault}: interrupted")
