"""The brokers' own counters of a topic's bytes, read with Kafka's JMX tool. Each read starts a JVM: about a second."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from stack import kafka_jvm
from stack.errors import NotChanged

TOOL = "org.apache.kafka.tools.JmxTool"
TOOL_TIMEOUT_S = 60.0
COUNTER = re.compile(r"name=(\w+),topic=[^,:]+:Count=(\d+)$", re.MULTILINE)

NO_COUNTER = "No matched attributes"
"""What the tool says, as a failure, of a topic that has no counters until it has bytes."""


@dataclass(frozen=True, slots=True)
class TopicBytes:
    """The bytes that clients have sent to a topic and that they have got from it, since the brokers' start."""

    into: int
    out: int

    def since(self, before: "TopicBytes") -> "TopicBytes":
        """The bytes since an earlier reading."""
        return TopicBytes(self.into - before.into, self.out - before.out)


def topic_bytes(jmx_ports: Sequence[int], topic: str) -> TopicBytes:
    """The counters of a topic, summed over the brokers. Blocks for seconds. Raises NotChanged when it fails."""
    read = [topic_counters(_said(port, topic)) for port in jmx_ports]
    return TopicBytes(sum(one.into for one in read), sum(one.out for one in read))


def topic_counters(said: str) -> TopicBytes:
    """The counters in the tool's output; a counter is missing until it counts."""
    found = {name: int(count) for name, count in COUNTER.findall(said)}
    return TopicBytes(found.get("BytesInPerSec", 0), found.get("BytesOutPerSec", 0))


def _said(port: int, topic: str) -> str:
    counters = f"kafka.server:type=BrokerTopicMetrics,topic={topic},*"
    options = ("--attributes", "Count", "--one-time", "--report-format", "properties")
    command = kafka_jvm.command(TOOL, "--jmx-url", kafka_jvm.jmx_url(port), "--object-name", counters, *options)
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise NotChanged(f"Kafka's JMX tool did not end within {TOOL_TIMEOUT_S:.0f} s") from None
    if ended.returncode != 0 and NO_COUNTER not in ended.stderr:
        raise NotChanged(f"Kafka's JMX tool failed:\n{ended.stderr.strip()}")
    return ended.stdout
