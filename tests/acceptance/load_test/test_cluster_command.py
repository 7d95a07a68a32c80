"""The command `cluster`. Oracles: its lines, Kafka's metadata, exit codes, and the processes that the kernel lists.

Real: the command and its brokers.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

DEADLINE_S = 60.0
ADDS_ONE = '[[timeline]]\nat_s = 0\ndo = "add_broker"\n'


@pytest.fixture
def command(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    file = tmp_path / "timeline.toml"
    file.write_text(ADDS_ONE)
    arguments = ["cluster", "--brokers", "1", "--timeline", str(file)]
    with subprocess.Popen(
        [sys.executable, "-m", "webhookd_load_test.main", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_command_performs_the_timeline_and_ends_with_sigterm(command: "subprocess.Popen[str]") -> None:
    address, lines = "", []
    assert command.stdout
    for line in command.stdout:
        lines.append(line)
        if line.startswith("Kafka is at "):
            address = line.split()[-1]
        if line.startswith("Ctrl-C ends the cluster"):
            break
    assert any("broker 2 added; of 0 partitions it has 0" in line for line in lines)
    metadata = AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=DEADLINE_S)
    assert sorted(metadata.brokers) == [1, 2]
    brokers = [int(pid) for pid in Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()]
    command.send_signal(signal.SIGTERM)
    assert command.wait(DEADLINE_S) == 0
    assert brokers
    assert not any(Path(f"/proc/{pid}").exists() for pid in brokers)
