"""The chaos suite's findings: each violation is found, and what is allowed is not reported."""

from collections.abc import Sequence

import pytest

from tests.chaos.findings import IN_PROGRESS_S, SLACK_S, Cost, FaultWindow, Finding, Watched, find
from tests.harness.checking_receiver import CheckingReceiver, LaneKey
from tests.harness.commit_watch import CommitHistory
from tests.harness.load import Sent
from webhookd.flow.offsets.commit_metadata import CommitMetadata, encode
from webhookd.flow.offsets.position import Committed

COST = Cost(recovery_s=5.0, why="a test")


class RecordedRun:
    """Records 0, 1, 2, … of one lane, produced one second apart from 100.0 on; the offset is the number."""

    def __init__(self, count: int = 10) -> None:
        self.receiver = CheckingReceiver()
        self.history = CommitHistory()
        self.windows: list[FaultWindow] = []
        self.sent = {n: Sent("t", 1, 0, n, 100.0 + n) for n in range(count)}
        self.watched = Watched(
            label="it", id="s", receivers=[self.receiver], wants=lambda _n: True, commits=self.history
        )

    def got(self, numbers: Sequence[int], at: float) -> None:
        value = [{"topic": "t", "partition": 0, "offset": n, "value": {"n": n, "incarnation": 1}} for n in numbers]
        self.receiver.remember(value, at)

    def fault(self, began_at: float, ended_at: float, cost: Cost = COST) -> None:
        self.windows.append(FaultWindow(cost=cost, began_at=began_at, ended_at=ended_at, until_at=ended_at + 1.0))

    def find(self) -> Finding:
        return find(self.watched, self.sent, self.windows, 100.0)


def committed(offset: int, topic_id: str = "") -> Committed:
    return Committed(offset=offset, metadata=encode(CommitMetadata(topic_id=topic_id)))


@pytest.fixture
def run() -> RecordedRun:
    return RecordedRun()


def in_time(run: RecordedRun, *numbers: int) -> None:
    for number in numbers:
        run.got([number], 100.5 + number)


def test_steady_arrivals_are_no_problem(run: RecordedRun) -> None:
    in_time(run, *range(10))
    finding = run.find()
    assert finding.problems == ()
    assert (finding.records, finding.lost, finding.duplicates, finding.stall_s) == (10, 0, 0, 0.5)


def test_a_missing_record_is_lost(run: RecordedRun) -> None:
    in_time(run, *range(9))
    assert run.find().lost == 1
    assert "lost" in run.find().problems[0]


def test_a_later_record_first_is_disorder(run: RecordedRun) -> None:
    in_time(run, 0, 1, 2)
    run.got([4, 3], 104.5)
    in_time(run, *range(5, 10))
    assert run.find().problems == ("records out of order",)


def test_duplicates_in_flight_at_the_fault_are_allowed(run: RecordedRun) -> None:
    in_time(run, *range(6))
    run.history.note("t", {0: committed(3)}, 1, 105.0)
    run.fault(105.6, 106.0)
    run.got([3, 4, 5], 107.8)
    in_time(run, *range(6, 10))
    finding = run.find()
    assert (finding.duplicates, finding.problems) == (3, ())
    assert finding.duplicate_bound == 3 + sum(run.sent[n].at + 0.5 <= 105.6 + IN_PROGRESS_S for n in range(6, 10))


def test_duplicates_without_a_fault_are_found(run: RecordedRun) -> None:
    in_time(run, *range(10))
    run.got([9], 110.0)
    assert run.find().problems == ("1 duplicates, at most 0 were in flight",)


def test_a_restart_below_the_watermark_is_found(run: RecordedRun) -> None:
    in_time(run, *range(6))
    run.history.note("t", {0: committed(3)}, 1, 105.0)
    run.fault(105.6, 106.0)
    run.got([2, 3], 107.8)
    in_time(run, *range(6, 10))
    assert [problem.partition(":")[0] for problem in run.find().problems] == [
        "sent again although committed before the fault"
    ]


def test_lost_writes_allow_a_restart_further_back(run: RecordedRun) -> None:
    in_time(run, *range(6))
    run.history.note("t", {0: committed(2)}, 1, 103.0)
    run.history.note("t", {0: committed(3)}, 1, 105.0)
    run.fault(105.6, 106.0, Cost(recovery_s=5.0, why="a test", lost_writes_s=2.0))
    run.got([2, 3], 107.8)
    in_time(run, *range(6, 10))
    assert run.find().problems == ()


def test_a_lane_that_stalls_too_long_is_found(run: RecordedRun) -> None:
    in_time(run, *range(5))
    run.fault(104.6, 106.0)
    run.got(range(5, 10), 104.6 + 1.4 + 5.0 + SLACK_S + 0.5)
    assert run.find().problems == ("a lane stalled for 21.5 s, the bound is 21.4 s",)


def test_commits_that_go_back_are_found(run: RecordedRun) -> None:
    in_time(run, *range(10))
    run.history.note("t", {0: committed(9)}, 1, 110.0)
    run.history.note("t", {0: committed(8)}, 1, 111.0)
    assert "committed offsets went backwards" in run.find().problems[0]


def test_a_recreated_topic_starts_a_new_history(run: RecordedRun) -> None:
    run.history.note("t", {0: committed(9)}, 1, 110.0)
    run.history.topic_deleted("t", "old")
    run.history.note("t", {0: committed(1)}, 1, 111.0)
    run.history.note("t", {0: committed(1)}, 2, 112.0)
    assert run.history.backwards == []


def test_a_commit_belongs_to_the_incarnation_that_its_metadata_names(run: RecordedRun) -> None:
    run.history.note("t", {0: committed(9, "old")}, 1, 110.0)
    run.history.topic_deleted("t", "old")
    run.history.note("t", {0: committed(12, "old")}, 2, 111.0)
    run.history.note("t", {0: committed(3, "new")}, 2, 112.0)
    assert (run.history.backwards, run.history.now()[LaneKey("t", 2, 0)]) == ([], 3)
    run.history.note("t", {0: committed(2, "new")}, 2, 113.0)
    assert run.history.backwards == ["t/0: 3 → 2"]


def test_what_a_filter_drops_must_not_arrive(run: RecordedRun) -> None:
    in_time(run, *range(10))
    run.watched.wants = lambda number: number != 4
    assert run.find().problems == ("records arrived that the filter drops",)


def test_a_wrong_position_is_found(run: RecordedRun) -> None:
    in_time(run, *range(10))
    run.sent[9] = Sent("t", 1, 0, 8, 109.0)
    expected = "9 arrived as ('t', 1, 0, 9), Kafka returned ('t', 1, 0, 8)"
    assert run.find().problems == (f"positions other than Kafka gave: {[expected]}",)


def test_a_record_of_another_topic_is_found(run: RecordedRun) -> None:
    in_time(run, *range(10))
    run.watched.topics = ["u"]
    assert run.find().problems == ("records of a topic that it does not read",)


def test_records_of_another_topic_are_not_awaited(run: RecordedRun) -> None:
    in_time(run, *range(9))
    run.watched.topics = ["t"]
    run.sent[9] = Sent("u", 1, 0, 0, 109.0)
    assert (run.find().records, run.find().problems) == (9, ())


def test_two_records_that_are_exchanged_are_found(run: RecordedRun) -> None:
    in_time(run, 0, 1, 2)
    value = {"topic": "t", "partition": 0, "offset": 3, "value": {"n": 4, "incarnation": 1}}
    run.receiver.remember([value, value | {"offset": 4, "value": {"n": 3, "incarnation": 1}}], 104.5)
    in_time(run, *range(5, 10))
    assert "positions other than Kafka gave" in run.find().problems[0]


def test_a_recreated_topic_leaves_the_history_of_another_one(run: RecordedRun) -> None:
    run.history.note("u", {0: committed(9)}, 1, 110.0)
    run.history.topic_deleted("t", "old")
    run.history.note("u", {0: committed(8)}, 1, 111.0)
    assert run.history.backwards == ["u/0: 9 → 8"]
