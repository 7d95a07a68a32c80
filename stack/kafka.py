"""Apache Kafka in KRaft mode: one or more nodes, each of them broker and controller."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stack import install, kafka_formats
from stack.child import Child, spawn
from stack.kafka_jars import formats, jars
from stack.waiting import until_ready

READY_TIMEOUT_S = 90.0
ASK_TIMEOUT_S = 1.0
CLUSTER_ID = "d2ViaG9va2Qtc3RhY2sxMQ"
"""22 characters of base64, as Kafka requires. Data never outlives its cluster, so all clusters use this id."""

QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
STARTS_SOON = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", QUIET)
"""Brokers of a test run for minutes, so a start within two seconds matters more than peak speed."""

RUNS_FAST = ("-XX:+UseG1GC", QUIET)


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions:
    """The size of a cluster, and additional settings of its brokers.

    With `warmed_up` the JVM compiles fully: for benchmarks, where the broker shares the machine with what is measured.
    """

    brokers: int = 1
    heap_mb: int = 320
    warmed_up: bool = False
    settings: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """One broker's command and port; its process may be killed and started again."""

    node_id: int
    port: int
    command: Sequence[str | Path]
    log_file: Path


class KafkaCluster:
    """Starts the brokers; single ones can be killed and started again."""

    def __init__(self, brokers: Sequence[Broker]) -> None:
        self._brokers = {broker.node_id: broker for broker in brokers}
        self._children = {broker.node_id: _spawn(broker) for broker in brokers}

    @property
    def address(self) -> str:
        """host:port of every broker, comma separated."""
        return ",".join(f"127.0.0.1:{broker.port}" for broker in self._brokers.values())

    @property
    def pids(self) -> list[int]:
        """The process ids of the running brokers."""
        return [child.pid for child in self._children.values()]

    def wait_ready(self) -> None:
        """Block until each running broker answers and has all of them in its metadata."""
        until_ready("kafka", self._answers, self._children.values(), READY_TIMEOUT_S)

    def kill_broker(self, node_id: int, number: signal.Signals = signal.SIGKILL) -> None:
        """End a broker (1, 2, …): at once, or in order with SIGTERM; waits for its end."""
        child = self._children.pop(node_id)
        child.send(number)
        child.wait()

    def signal_broker(self, node_id: int, number: signal.Signals) -> None:
        """Send a signal to a broker; does not wait."""
        self._children[node_id].send(number)

    @property
    def missing(self) -> list[int]:
        """The ids of brokers that were killed and not started again."""
        return sorted(set(self._brokers) - set(self._children))

    def start_broker(self, node_id: int) -> None:
        """Start a killed broker again with its data and port; does not wait for it."""
        self._children[node_id] = _spawn(self._brokers[node_id])

    def stop(self) -> None:
        """Kill every broker: the data is not needed any more, so no orderly stop is needed."""
        for child in self._children.values():
            child.send(signal.SIGKILL)
        for child in self._children.values():
            child.stop()

    def _answers(self) -> bool:
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
    java = install.require(install.JAVA)
    classpath = f"{jars()}/*"
    property_files = _write_properties(directory, ports, chosen)
    _format([java, *STARTS_SOON, "-cp", classpath], directory, property_files)
    tuned = RUNS_FAST if chosen.warmed_up else STARTS_SOON
    return KafkaCluster(
        [
            Broker(
                node_id=node_id,
                port=ports[node_id - 1],
                command=[java, f"-Xmx{chosen.heap_mb}m", *tuned, "-cp", classpath, "kafka.Kafka", properties],
                log_file=properties.with_suffix(".log"),
            )
            for node_id, properties in property_files.items()
        ]
    )


def _spawn(broker: Broker) -> Child:
    return spawn(broker.command, log_file=broker.log_file)


def _write_properties(directory: Path, ports: Sequence[int], options: KafkaOptions) -> dict[int, Path]:
    written = {}
    for node_id in range(1, options.brokers + 1):
        settings = broker_settings(directory / str(node_id), node_id, ports, options)
        written[node_id] = directory / f"broker-{node_id}.properties"
        written[node_id].write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return written


def broker_settings(data: Path, node_id: int, ports: Sequence[int], options: KafkaOptions) -> dict[str, str]:
    """The settings of one broker. With three brokers there are three replicas, and two must be in sync."""
    count = options.brokers
    controllers = ports[count : 2 * count]
    replicas = str(min(count, 3))
    in_sync = str(min(count, 2))
    return {
        "process.roles": "broker,controller",
        "node.id": str(node_id),
        "controller.quorum.voters": ",".join(f"{i}@127.0.0.1:{port}" for i, port in enumerate(controllers, 1)),
        "listeners": f"PLAINTEXT://127.0.0.1:{ports[node_id - 1]},CONTROLLER://127.0.0.1:{controllers[node_id - 1]}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{ports[node_id - 1]}",
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
        **(options.settings or {}),
    }


def _format(virtual_machine: Sequence[str | Path], directory: Path, property_files: Mapping[int, Path]) -> None:
    """Format the storage of all brokers: copied, or made at the same time, since each takes a second to start a JVM."""
    storage = {node_id: (directory / str(node_id), formats() / str(node_id)) for node_id in property_files}
    missing = {node_id: pair for node_id, pair in storage.items() if not kafka_formats.copy(pair[1], pair[0])}
    tool = [*virtual_machine, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]
    files = [property_files[node_id] for node_id in missing]
    for child in [spawn([*tool, path], log_file=path.with_suffix(".format.log")) for path in files]:
        child.must_succeed("the format of Kafka's storage")
    for made, kept in missing.values():
        kafka_formats.keep(made, kept)
