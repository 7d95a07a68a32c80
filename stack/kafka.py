"""Apache Kafka in KRaft mode: nodes that are broker and controller, and brokers that are added while it runs."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stack.child import Child, spawn
from stack.errors import ChangeRefused
from stack.kafka_nodes import Broker, Nodes
from stack.kafka_settings import Quorum
from stack.waiting import until_ready

READY_TIMEOUT_S = 90.0
END_TIMEOUT_S = 60.0
ASK_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions:
    """The size of a cluster, and additional settings of its brokers.

    With `warmed_up` the JVM compiles fully: for benchmarks, where the broker shares the machine with what is measured.
    With `jmx` each broker serves its counters on a free port of loopback, for kafka_counters.py.
    """

    brokers: int = 1
    heap_mb: int = 320
    warmed_up: bool = False
    jmx: bool = False
    settings: Mapping[str, str] | None = None


class KafkaCluster:
    """Starts the brokers; single ones can be killed and started again, and more can be added.

    One thread at a time changes it; its properties can be read from any thread.
    """

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._brokers = {broker.node_id: broker for broker in nodes.starting()}
        self._children = {broker.node_id: _spawn(broker) for broker in self._brokers.values()}
        self._highest_id = max(self._brokers)
        self.address = ",".join(f"127.0.0.1:{port}" for port in self.quorum.ports)
        """host:port of every broker that the cluster started with, comma separated. It stays valid: these stay."""

    @property
    def quorum(self) -> Quorum:
        """The nodes that the cluster started with; all of them are needed to the end."""
        return self._nodes.quorum

    @property
    def directory(self) -> Path:
        """The folder of the nodes' data and logs."""
        return self._nodes.directory

    @property
    def pids(self) -> list[int]:
        """The process ids of the running brokers."""
        return [child.pid for child in list(self._children.values())]

    @property
    def node_ids(self) -> list[int]:
        """The ids of all brokers, running or killed."""
        return sorted(self._brokers)

    @property
    def running(self) -> list[int]:
        """The ids of brokers that were not killed."""
        return sorted(self._children)

    @property
    def missing(self) -> list[int]:
        """The ids of brokers that were killed and not started again."""
        return sorted(set(self._brokers) - set(self._children))

    @property
    def jmx_ports(self) -> list[int]:
        """Where the running brokers serve their counters; empty without the option `jmx`."""
        ports = [self._brokers[node_id].jmx_port for node_id in self.running]
        return [port for port in ports if port is not None]

    @property
    def next_id(self) -> int:
        """The id that the next added broker gets; ids of removed brokers are not used again."""
        return self._highest_id + 1

    def wait_ready(self) -> None:
        """Block until each running broker answers and has all of them in its metadata."""
        until_ready("kafka", self.answers, self._children.values(), READY_TIMEOUT_S)

    def kill_broker(self, node_id: int, number: signal.Signals = signal.SIGKILL) -> None:
        """End a broker (1, 2, …): at once, or in order with SIGTERM; waits, and kills it after END_TIMEOUT_S."""
        child = self._children.pop(node_id)
        child.send(number)
        child.wait_or_kill(END_TIMEOUT_S)

    def signal_broker(self, node_id: int, number: signal.Signals) -> None:
        """Send a signal to a broker; does not wait."""
        self._children[node_id].send(number)

    def start_broker(self, node_id: int) -> None:
        """Start a killed broker again with its data and port; does not wait for it."""
        self._children[node_id] = _spawn(self._brokers[node_id])

    def add_broker(self) -> int:
        """Start one more node, which is broker only; returns its id. Does not wait for it. Raises NotStarted.

        It has no partitions: kafka_changes.py waits for it and moves some to it.
        """
        added = self._nodes.broker_only(self.next_id)
        self._highest_id = added.node_id
        self._brokers[added.node_id] = added
        self._children[added.node_id] = _spawn(added)
        return added.node_id

    def forget_broker(self, node_id: int) -> None:
        """Count a broker that has ended as removed. Raises ChangeRefused as `refuse_founder`."""
        self.refuse_founder(node_id)
        del self._brokers[node_id]

    def refuse_founder(self, node_id: int) -> None:
        """Raise ChangeRefused when that node, as one of the first ones, holds the quorum: it cannot be removed."""
        if node_id <= len(self.quorum.ports):
            raise ChangeRefused(f"broker {node_id} cannot be removed: it holds the quorum; only added ones can be")

    def ended(self, node_id: int) -> str | None:
        """The last lines of a broker that has ended by itself; None while it runs."""
        child = self._children[node_id]
        return None if child.exit_code is None else child.tail()

    def stop(self) -> None:
        """Kill every broker: the data is not needed any more, so no orderly stop is needed."""
        for child in self._children.values():
            child.send(signal.SIGKILL)
        for child in self._children.values():
            child.stop()

    def answers(self) -> bool:
        """Whether each running broker answers and has all of them in its metadata."""
        return all(self._known_to(self._brokers[node_id]) >= set(self._children) for node_id in self._children)

    @staticmethod
    def _known_to(broker: Broker) -> set[int]:
        """The brokers in one broker's metadata; a killed broker stays in the others' metadata for a while."""
        client = AdminClient({"bootstrap.servers": f"127.0.0.1:{broker.port}", "log_level": 0})
        try:
            return set(client.list_topics(timeout=ASK_TIMEOUT_S).brokers)
        except KafkaException:
            return set()


def start(directory: Path, ports: Sequence[int], options: KafkaOptions | None = None) -> KafkaCluster:
    """Format and start a cluster; does not wait. Needs two ports a broker: all client ports, then the controllers'."""
    chosen = options or KafkaOptions()
    count = chosen.brokers
    return KafkaCluster(
        Nodes(
            directory=directory,
            quorum=Quorum(ports=ports[:count], controllers=ports[count : 2 * count], additional=chosen.settings or {}),
            heap_mb=chosen.heap_mb,
            warmed_up=chosen.warmed_up,
            jmx=chosen.jmx,
        )
    )


def _spawn(broker: Broker) -> Child:
    return spawn(broker.command, log_file=broker.log_file)
