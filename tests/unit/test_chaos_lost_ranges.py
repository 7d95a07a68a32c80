"""What the scenario on retention accepts as lost, and what it does not."""

import pytest

from tests.chaos.findings import Watched
from tests.chaos.lost_ranges import LostRange, lost_ranges, problems, removed, reported
from tests.harness.checking_receiver import CheckingReceiver
from tests.harness.commit_watch import CommitHistory
from tests.harness.load import Sent

CUT = {("t", 0): 6}
SENT = {number: Sent("t", 1, 0, number, 100.0) for number in range(10)}


def watched(*arrived: int) -> Watched:
    """It wants the odd ones; the offset is the number."""
    receiver = CheckingReceiver()
    values = [{"topic": "t", "partition": 0, "offset": n, "value": {"n": n, "incarnation": 1}} for n in arrived]
    receiver.remember(values, 101.0)
    return Watched(label="it", id="s", receivers=[receiver], wants=lambda n: n % 2 == 1, commits=CommitHistory())


def test_range_of_the_status_ends_behind_its_last_offset() -> None:
    shown = {"topic": "t", "partition": 0, "from": 3, "to": 5, "count": 3}
    assert lost_ranges({"lost_ranges": [shown]}) == [LostRange("t", 0, 3, 6)]


def test_removed_records_that_are_reported_are_no_problem() -> None:
    one, ranges = watched(1, 7, 9), [LostRange("t", 0, 3, 6)]
    assert (removed(one, SENT, CUT), reported(one, SENT, ranges)) == ({1, 3, 5}, {3, 5})
    assert list(problems(one, SENT, ranges, CUT)) == []


def test_range_that_reaches_what_kafka_holds_is_found() -> None:
    (problem,) = problems(watched(1, 9), SENT, [LostRange("t", 0, 3, 8)], CUT)
    assert "Kafka holds the records from 6 on" in problem


def test_record_that_arrived_and_is_reported_is_found() -> None:
    (problem,) = problems(watched(1, 3, 7, 9), SENT, [LostRange("t", 0, 2, 6)], CUT)
    assert problem == "it: reported as lost, but arrived: [3]"


@pytest.mark.parametrize("other", [LostRange("u", 0, 0, 9), LostRange("t", 1, 0, 9)])
def test_range_of_another_lane_explains_nothing(other: LostRange) -> None:
    assert reported(watched(), SENT, [other]) == set()
