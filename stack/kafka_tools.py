"""Kafka's own tools, for what no client in Python can do: move partitions, unregister a broker."""

import re
from pathlib import Path

from stack import kafka_jvm, kafka_reassignment
from stack.child import spawn
from stack.errors import NotChanged
from stack.kafka_reassignment import Assignment, Partition

TOOL_TIMEOUT_S = 90.0
"""A tool gives up after a minute without an answer."""

REASSIGN = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
COMPLETED = re.compile(r"^Reassignment of partition (.+)-(\d+) is completed\.$", re.MULTILINE)


class KafkaTools:
    """The tools, for the cluster at `address`; their files and output are in `directory`. Each call blocks a second.

    They raise NotChanged with the tool's last lines.
    """

    def __init__(self, address: str, directory: Path) -> None:
        self._address = address
        self._directory = directory
        self._calls = 0

    def begin_reassignment(self, plan: Assignment) -> None:
        """Have the cluster move partitions; does not wait until they have moved."""
        self._reassign(plan, "--execute")

    def completed(self, plan: Assignment) -> set[Partition]:
        """The partitions of the plan whose replicas are where it wants them. Their throttles are removed, if any."""
        said = self._reassign(plan, "--verify")
        return {(topic, int(number)) for topic, number in COMPLETED.findall(said)}

    def unregister(self, node_id: int) -> None:
        """Have the cluster forget a broker that has ended."""
        arguments = ("unregister", "--bootstrap-server", self._address, "--id", str(node_id))
        self._run("unregister", "org.apache.kafka.tools.ClusterTool", *arguments)

    def _reassign(self, plan: Assignment, action: str) -> str:
        name = action.strip("-")
        file = self._directory / f"reassignment-{self._calls}-{name}.json"
        file.write_text(kafka_reassignment.document(plan))
        arguments = ("--bootstrap-server", self._address, "--reassignment-json-file", str(file), action)
        return self._run(f"reassignment-{name}", REASSIGN, *arguments)

    def _run(self, name: str, main_class: str, *arguments: str) -> str:
        log = self._directory / f"tool-{self._calls}-{name}.log"
        self._calls += 1
        child = spawn(kafka_jvm.command(main_class, *arguments), log_file=log)
        if not child.wait_or_kill(TOOL_TIMEOUT_S):
            raise NotChanged(f"Kafka's tool ({name}) did not end within {TOOL_TIMEOUT_S:.0f} s")
        if child.exit_code != 0:
            raise NotChanged(f"Kafka's tool ({name}) failed:\n{child.tail()}")
        return log.read_text()
