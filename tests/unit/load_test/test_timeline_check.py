"""Which timelines are refused before a run, and with which line. Oracle: the rules of Kafka's replication."""

from pathlib import Path

import pytest

from webhookd_load_test.cluster import timeline_file
from webhookd_load_test.cluster.timeline import Step
from webhookd_load_test.cluster.timeline_check import UnusableTimelineError, check

ADD = Step(at_s=1, do="add_broker")


@pytest.mark.parametrize(
    "steps",
    [
        [ADD, Step(at_s=2, do="remove_broker")],
        [ADD, Step(at_s=2, do="remove_broker", broker=4)],
        [Step(at_s=2, do="remove_broker"), ADD],  # the times count, not the order in the file
        [Step(at_s=1, do="add_broker", broker=4), Step(at_s=2, do="add_broker", broker=5)],
        [Step(at_s=1, do="kill_broker", for_s=5), Step(at_s=6, do="kill_broker")],
        [ADD, Step(at_s=2, do="kill_broker", for_s=5), Step(at_s=7, do="remove_broker")],
        [
            Step(at_s=1, do="scale_workers", to=0),
            Step(at_s=2, do="scale_workers", to=2),
            Step(at_s=3, do="kill_worker"),
        ],
        [Step(at_s=1, do="kill_worker"), Step(at_s=2, do="scale_workers", to=1), Step(at_s=3, do="kill_worker")],
        [Step(at_s=1, do="kill_ingest", for_s=1), Step(at_s=2, do="kill_ingest")],
    ],
)
def test_possible_timelines_pass(steps: list[Step]) -> None:
    check(steps, brokers=3, ingest=1, workers=1)


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        ([Step(at_s=1, do="kill_broker", broker=4)], "step 1 (kill_broker at 1 s): there is no broker 4 then"),
        (
            [Step(at_s=5, do="kill_broker", broker=4), Step(at_s=5.5, do="add_broker")],
            "step 1 (kill_broker at 5 s): there is no broker 4 then",
        ),
        (
            [Step(at_s=1, do="remove_broker")],
            "step 1 (remove_broker at 1 s): no broker runs then that was added before",
        ),
        (
            [ADD, Step(at_s=2, do="remove_broker", broker=2)],
            "step 2 (remove_broker at 2 s): broker 2 holds the quorum; only added ones can be removed",
        ),
        (
            [ADD, Step(at_s=2, do="remove_broker"), Step(at_s=3, do="remove_broker", broker=4)],
            "step 3 (remove_broker at 3 s): there is no broker 4 then",
        ),
        (
            [ADD, Step(at_s=2, do="kill_broker", for_s=5), Step(at_s=3, do="remove_broker")],
            "step 3 (remove_broker at 3 s): the brokers that are left would be 2, and partitions have 3 replicas",
        ),
        (
            [Step(at_s=1, do="kill_broker", broker=1, for_s=5), Step(at_s=5.9, do="kill_broker", broker=2)],
            "step 2 (kill_broker at 5.9 s): 1 of 3 replicas would be left, and min.insync.replicas is 2",
        ),
        (
            [ADD, Step(at_s=2, do="kill_broker", broker=4), Step(at_s=3, do="remove_broker", broker=4)],
            "step 3 (remove_broker at 3 s): broker 4 does not run then: it was killed",
        ),
        (
            [Step(at_s=1, do="add_broker", broker=7)],
            "step 1 (add_broker at 1 s): `broker` must be 4, the next id, or left out",
        ),
        (
            [Step(at_s=1, do="scale_workers")],
            "step 1 (scale_workers at 1 s): `to` is missing: how many processes there are to be",
        ),
        (
            [Step(at_s=1, do="scale_ingest", to=1, for_s=2)],
            "step 1 (scale_ingest at 1 s): `for_s` has no meaning for this action",
        ),
        ([Step(at_s=1, do="add_broker", to=4)], "step 1 (add_broker at 1 s): `to` has no meaning for this action"),
        (
            [Step(at_s=1, do="kill_worker", broker=4)],
            "step 1 (kill_worker at 1 s): `broker` has no meaning for this action",
        ),
        (
            [Step(at_s=1, do="kill_worker", for_s=2), Step(at_s=2, do="kill_worker")],
            "step 2 (kill_worker at 2 s): no worker process runs then",
        ),
    ],
)
def test_impossible_timelines_are_refused_with_one_line(steps: list[Step], line: str) -> None:
    with pytest.raises(UnusableTimelineError) as refused:
        check(steps, brokers=3, ingest=1, workers=1)
    assert str(refused.value) == f"timeline, {line}"


def test_only_broker_cannot_be_killed() -> None:
    with pytest.raises(UnusableTimelineError, match=r"0 of 1 replicas would be left, and min.insync.replicas is 1"):
        check([Step(at_s=1, do="kill_broker", for_s=1)], brokers=1)


def test_run_without_processes_has_none_to_kill() -> None:
    with pytest.raises(UnusableTimelineError, match="there are no worker processes"):
        check([Step(at_s=1, do="kill_worker")], brokers=3)


def test_timeline_file_has_the_entries_of_a_scenario(tmp_path: Path) -> None:
    file = tmp_path / "timeline.toml"
    file.write_text('[[timeline]]\nat_s = 5\ndo = "kill_broker"\nfor_s = 2.5\n')
    assert timeline_file.read(file) == [Step(at_s=5, do="kill_broker", for_s=2.5)]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[[timeline]]\nat_s = 5\n", "`do`"),
        ('[[timeline]]\nat_s = 5\ndo = "add_topic"\n', "add_topic"),
        ('[[timeline]]\nat_s = -1\ndo = "add_broker"\n', r"\$.timeline\[0\].at_s"),
        ("timeline = []\n", r"\$.timeline"),
        ('summary = "x"\n[[timeline]]\nat_s = 5\ndo = "add_broker"\n', "summary"),
        ("[[timeline\n", "line 1"),
        ("\x00", "line 1"),
    ],
)
def test_unusable_file_is_refused_with_its_name_and_reason(tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "timeline.toml"
    file.write_text(text)
    with pytest.raises(UnusableTimelineError, match=f"timeline.toml: .*{fault}"):
        timeline_file.read(file)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableTimelineError, match=r"none.toml: No such file or directory"):
        timeline_file.read(tmp_path / "none.toml")
