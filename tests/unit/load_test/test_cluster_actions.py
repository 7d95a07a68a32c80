"""Which changes a step makes. Oracle: the recorded calls; the changes themselves have tests on real brokers."""

from collections.abc import Callable, Collection

import pytest
from click.testing import CliRunner

from stack.errors import ChangeRefused
from stack.kafka_changes import Holding
from webhookd_load_test.cluster.cluster_actions import ClusterActions
from webhookd_load_test.cluster.cluster_command import cluster
from webhookd_load_test.cluster.timeline import Step


class RecordedBrokers:
    """Three brokers that hold the quorum, and what is asked of them."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls
        self.running = [1, 2, 3]
        self.quorum = 3

    def add_broker(self) -> int:
        self.calls.append("add")
        self.running.append(4)
        return 4

    def give_share(self, node_id: int, topics: Collection[str] | None = None) -> Holding:
        self.calls.append(f"share {node_id} {topics}")
        return Holding(partitions=8, replicas=6, led=2)

    def remove_broker(self, node_id: int) -> None:
        self.calls.append(f"remove {node_id}")
        self.running.remove(node_id)

    def kill_broker(self, node_id: int) -> None:
        self.calls.append(f"kill {node_id}")
        self.running.remove(node_id)

    def start_broker(self, node_id: int) -> None:
        self.calls.append(f"start {node_id}")


class RecordedProcesses:
    """What is asked of the processes of a kind."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name = name
        self.calls = calls

    def scale(self, count: int) -> None:
        self.calls.append(f"scale {self.name} {count}")

    def kill_one(self) -> Callable[[], None]:
        self.calls.append(f"kill {self.name}")
        return lambda: self.calls.append(f"start {self.name}")


@pytest.fixture
def calls() -> list[str]:
    return []


@pytest.fixture
def actions(calls: list[str]) -> ClusterActions:
    return ClusterActions(
        RecordedBrokers(calls),
        topics=["orders"],
        ingest=RecordedProcesses("ingest", calls),
        workers=RecordedProcesses("worker", calls),
    )


def test_added_broker_gets_its_share_of_the_topics(actions: ClusterActions, calls: list[str]) -> None:
    done = actions.perform(Step(at_s=0, do="add_broker"))
    assert calls == ["add", "share 4 ['orders']"]
    assert (done.kind, done.text) == ("broker", "broker 4 added; of 8 partitions it has 6 and leads 2")


def test_broker_that_was_added_last_is_removed(actions: ClusterActions, calls: list[str]) -> None:
    actions.perform(Step(at_s=0, do="add_broker"))
    actions.perform(Step(at_s=0, do="remove_broker"))
    assert calls[-1] == "remove 4"
    with pytest.raises(ChangeRefused, match="no broker runs that was added before"):
        actions.perform(Step(at_s=0, do="remove_broker"))


@pytest.mark.parametrize(("broker", "killed"), [(None, 1), (2, 2)])
def test_killed_broker_can_be_started_again(
    actions: ClusterActions, calls: list[str], broker: int | None, killed: int
) -> None:
    done = actions.perform(Step(at_s=0, do="kill_broker", broker=broker))
    assert calls == [f"kill {killed}"]
    assert done.restart is not None
    assert done.restart().text == f"broker {killed} runs again, in sync"
    assert calls[-1] == f"start {killed}"


def test_processes_are_scaled_killed_and_started_again(actions: ClusterActions, calls: list[str]) -> None:
    assert actions.perform(Step(at_s=0, do="scale_workers", to=3)).text == "worker processes scaled to 3"
    actions.perform(Step(at_s=0, do="scale_ingest", to=2))
    for step in (Step(at_s=0, do="kill_worker"), Step(at_s=0, do="kill_ingest")):
        done = actions.perform(step)
        assert done.kind == "process"
        assert done.restart is not None
        done.restart()
    assert calls == [
        "scale worker 3",
        "scale ingest 2",
        "kill worker",
        "start worker",
        "kill ingest",
        "start ingest",
    ]


def test_steps_for_processes_that_are_not_there_are_refused(calls: list[str]) -> None:
    with pytest.raises(ChangeRefused, match="there are no worker processes"):
        ClusterActions(RecordedBrokers(calls)).perform(Step(at_s=0, do="kill_worker"))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--exit-at-end"], "--exit-at-end needs --timeline"),
        (["--timeline", "/none.toml"], "/none.toml: No such file or directory"),
        (["--brokers", "0"], "0 is not in the range 1<=x<=9"),
    ],
)
def test_command_refuses_bad_input_with_one_line(arguments: list[str], line: str) -> None:
    result = CliRunner().invoke(cluster, arguments)
    assert result.exit_code != 0
    assert line in result.output.splitlines()[-1]
