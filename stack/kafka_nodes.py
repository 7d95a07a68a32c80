"""The files of Kafka's nodes: properties and formatted storage, from which a node can be started."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stack import kafka_formats, kafka_jvm
from stack.child import spawn
from stack.free_ports import free_ports
from stack.kafka_jars import formats
from stack.kafka_settings import Quorum

CLUSTER_ID = "d2ViaG9va2Qtc3RhY2sxMQ"
"""22 characters of base64, as Kafka requires. Data never outlives its cluster, so all clusters use this id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """One broker's command and port; its process may be killed and started again."""

    node_id: int
    port: int
    command: Sequence[str | Path]
    log_file: Path
    jmx_port: int | None
    """Where it serves its counters; None when it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Makes the files of nodes in `directory`."""

    directory: Path
    quorum: Quorum
    heap_mb: int
    warmed_up: bool
    jmx: bool

    def starting(self) -> list[Broker]:
        """Make all nodes of the quorum. Blocks while storage is formatted, seconds at most. Raises NotStarted."""
        ids = range(1, len(self.quorum.ports) + 1)
        files = {
            node_id: self._write(node_id, self.quorum.node_settings(node_id, self._data(node_id))) for node_id in ids
        }
        self._format(files)
        return [self._broker(node_id, self.quorum.ports[node_id - 1], file) for node_id, file in files.items()]

    def broker_only(self, node_id: int) -> Broker:
        """Make a node without a vote, on a free port. Blocks and raises as `starting`."""
        port = free_ports(1)[0]
        file = self._write(node_id, self.quorum.broker_only_settings(node_id, self._data(node_id), port))
        self._format({node_id: file})
        return self._broker(node_id, port, file)

    def _data(self, node_id: int) -> Path:
        return self.directory / str(node_id)

    def _write(self, node_id: int, settings: Mapping[str, str]) -> Path:
        file = self.directory / f"broker-{node_id}.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return file

    def _broker(self, node_id: int, port: int, properties: Path) -> Broker:
        jmx_port = free_ports(1)[0] if self.jmx else None
        command = kafka_jvm.command(
            "kafka.Kafka",
            properties,
            heap_mb=self.heap_mb,
            warmed_up=self.warmed_up,
            properties=kafka_jvm.jmx_properties(jmx_port) if jmx_port else (),
        )
        log_file = properties.with_suffix(".log")
        return Broker(node_id=node_id, port=port, command=command, log_file=log_file, jmx_port=jmx_port)

    def _format(self, property_files: Mapping[int, Path]) -> None:
        """Format the storage of nodes: copied, or made at the same time, since each takes a second to start a JVM."""
        storage = {node_id: (self._data(node_id), formats() / str(node_id)) for node_id in property_files}
        missing = {node_id: pair for node_id, pair in storage.items() if not kafka_formats.copy(pair[1], pair[0])}
        files = [property_files[node_id] for node_id in missing]
        tools = [kafka_jvm.command("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", file) for file in files]
        logs = [file.with_suffix(".format.log") for file in files]
        for child in [spawn(tool, log_file=log) for tool, log in zip(tools, logs, strict=True)]:
            child.must_succeed("the format of Kafka's storage")
        for made, kept in missing.values():
            kafka_formats.keep(made, kept)
