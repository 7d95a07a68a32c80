"""The chaos suite's verdicts: each thing that can go wrong is found, and what is allowed is not."""

from collections.abc import Sequence

import pytest

from tests.chaos.findings import SLACK_S, UNDER_WAY_S, Cost, Finding, Mark, Watched, find
from tests.harness.checking_receiver import CheckingReceiver, LaneKey
from tests.harness.commit_watch import CommitHistory
from tests.harness.load import Sent
from webhookd.flow.offsets.commit_metadata import CommitMetadata, encode
from webhookd.flow.offsets.position import Committed

COST = Cost(recovery_s=5.0, why="a test")


class Story:
    """Records 0, 1, 2, … of one lane, produced a second apart from 100.0 on, with offset = number."""

    def __init__(self, count: int = 10) -> None:
        self.receiver = CheckingReceiver()
        self.history = CommitHistory()
        self.marks: list[Mark] = []
        self.sent = {n: Sent("t", 1, 0, n, 100.0 + n) for n in range(count)}
        self.watched = Watched(
            label="it", id="s", receivers=[self.receiver], wants=lambda _n: True, commits=self.history
        )

    def got(self, numbers: Sequence[int], at: float) -> None:
        value = [{"topic": "t", "partition": 0, "offset": n, "value": {"n": n, "life": 1}} for n in numbers]
        self.receiver.remember(value, at)

    def fault(self, began_at: float, ended_at: float, cost: Cost = COST) -> None:
        self.marks.append(Mark(cost=cost, began_at=began_at, ended_at=ended_at, until_at=ended_at + 1.0))

    def find(self) -> Finding:
        return find(self.watched, self.sent, self.marks, 100.0)


def committed(offset: int, topic_id: str = "") -> Committed:
    return Committed(offset=offset, metadata=encode(CommitMetadata(topic_id=topic_id)))


@pytest.fixture
def story() -> Story:
    return Story()


def in_time(story: Story, *numbers: int) -> None:
    for number in numbers:
        story.got([number], 100.5 + number)


def test_steady_arrivals_are_no_problem(story: Story) -> None:
    in_time(story, *range(10))
    finding = story.find()
    assert finding.problems == ()
    assert (finding.records, finding.lost, finding.duplicates, finding.stall_s) == (10, 0, 0, 0.5)


def test_a_missing_record_is_lost(story: Story) -> None:
    in_time(story, *range(9))
    assert story.find().lost == 1
    assert "lost" in story.find().problems[0]


def test_a_later_record_first_is_disorder(story: Story) -> None:
    in_time(story, 0, 1, 2)
    story.got([4, 3], 104.5)
    in_time(story, *range(5, 10))
    assert story.find().problems == ("records out of order",)


def test_duplicates_in_flight_at_the_fault_are_allowed(story: Story) -> None:
    in_time(story, *range(6))
    story.history.note("t", {0: committed(3)}, 1, 105.0)
    story.fault(105.6, 106.0)
    story.got([3, 4, 5], 107.8)
    in_time(story, *range(6, 10))
    finding = story.find()
    assert (finding.duplicates, finding.problems) == (3, ())
    assert finding.duplicate_bound == 3 + sum(story.sent[n].at + 0.5 <= 105.6 + UNDER_WAY_S for n in range(6, 10))


def test_duplicates_without_a_fault_are_found(story: Story) -> None:
    in_time(story, *range(10))
    story.got([9], 110.0)
    assert story.find().problems == ("1 duplicates, at most 0 were in flight",)


def test_a_restart_below_the_watermark_is_found(story: Story) -> None:
    in_time(story, *range(6))
    story.history.note("t", {0: committed(3)}, 1, 105.0)
    story.fault(105.6, 106.0)
    story.got([2, 3], 107.8)
    in_time(story, *range(6, 10))
    assert [problem.partition(":")[0] for problem in story.find().problems] == [
        "sent again although committed before the fault"
    ]


def test_amnesia_allows_a_restart_further_back(story: Story) -> None:
    in_time(story, *range(6))
    story.history.note("t", {0: committed(2)}, 1, 103.0)
    story.history.note("t", {0: committed(3)}, 1, 105.0)
    story.fault(105.6, 106.0, Cost(recovery_s=5.0, why="a test", amnesia_s=2.0))
    story.got([2, 3], 107.8)
    in_time(story, *range(6, 10))
    assert story.find().problems == ()


def test_a_lane_that_stands_still_too_long_is_found(story: Story) -> None:
    in_time(story, *range(5))
    story.fault(104.6, 106.0)
    story.got(range(5, 10), 104.6 + 1.4 + 5.0 + SLACK_S + 0.5)
    assert story.find().problems == ("a lane stood still for 21.5 s, the bound is 21.4 s",)


def test_commits_that_go_back_are_found(story: Story) -> None:
    in_time(story, *range(10))
    story.history.note("t", {0: committed(9)}, 1, 110.0)
    story.history.note("t", {0: committed(8)}, 1, 111.0)
    assert "committed offsets went backwards" in story.find().problems[0]


def test_a_new_life_of_the_topic_begins_anew(story: Story) -> None:
    story.history.note("t", {0: committed(9)}, 1, 110.0)
    story.history.topic_ends("old")
    story.history.note("t", {0: committed(1)}, 1, 111.0)
    story.history.note("t", {0: committed(1)}, 2, 112.0)
    assert story.history.backwards == []


def test_a_commit_belongs_to_the_life_that_its_metadata_names(story: Story) -> None:
    story.history.note("t", {0: committed(9, "old")}, 1, 110.0)
    story.history.topic_ends("old")
    story.history.note("t", {0: committed(12, "old")}, 2, 111.0)
    story.history.note("t", {0: committed(3, "new")}, 2, 112.0)
    assert (story.history.backwards, story.history.now()[LaneKey("t", 2, 0)]) == ([], 3)
    story.history.note("t", {0: committed(2, "new")}, 2, 113.0)
    assert story.history.backwards == ["t/0: 3 → 2"]


def test_what_a_filter_drops_must_not_arrive(story: Story) -> None:
    in_time(story, *range(10))
    story.watched.wants = lambda number: number != 4
    assert story.find().problems == ("records arrived that no filter keeps",)


def test_a_wrong_position_is_found(story: Story) -> None:
    in_time(story, *range(10))
    story.sent[9] = Sent("t", 1, 0, 8, 109.0)
    told = "9 came as ('t', 1, 0, 9), Kafka said ('t', 1, 0, 8)"
    assert story.find().problems == (f"positions other than Kafka gave: {[told]}",)
