"""What `webhookd receive` finds wrong with the records that it has acknowledged.

Oracle: the lines and counts that follow from the offsets. Nothing is doubled.
"""

import json

import pytest

from command.arrival_check import ArrivalCheck, Position, positions_in
from webhookd.testing.arrival_order import PAGE


def records(*offsets: int, partition: int = 0, key: object = "c-1") -> list[Position]:
    return [Position(topic="orders", partition=partition, offset=offset, key=key) for offset in offsets]


def check(*requests: list[Position], report_gaps: bool = False) -> tuple[ArrivalCheck, list[str]]:
    """The check and its lines after these requests, all of them acknowledged."""
    checked = ArrivalCheck(report_gaps=report_gaps)
    return checked, [line for one in requests for line in checked.add("/hook", one, acknowledged=True)]


def test_records_in_order_are_only_counted() -> None:
    checked, lines = check(records(4, 5), records(9, partition=1), records(8))
    assert lines == []
    assert checked.summary() == ("3 requests, 3 acknowledged, 4 records of 2 partitions, 0 duplicates, 0 out of order")


def test_record_that_comes_again_is_a_duplicate() -> None:
    checked, lines = check(records(4, 5), records(5, 6))
    assert lines == ["DUPLICATE orders[0] offset 5: acknowledged before"]
    assert checked.summary().endswith("4 records of 1 partition, 1 duplicate, 0 out of order")


def test_record_behind_a_later_one_is_out_of_order() -> None:
    checked, lines = check(records(7), records(5), report_gaps=True)
    assert lines == ['OUT OF ORDER orders[0] offset 5, key "c-1": after offset 7']
    assert checked.out_of_order == 1


def test_offsets_between_are_a_gap_where_one_asks() -> None:
    checked, lines = check(records(3), records(6), report_gaps=True)
    assert lines == ["GAP orders[0] offsets 4 to 5 did not arrive before offset 6"]
    assert checked.summary().endswith(", 2 offsets missing")
    _, silent = check(records(3), records(6))
    assert silent == []


def test_request_that_is_not_acknowledged_may_come_again() -> None:
    checked = ArrivalCheck(report_gaps=True)
    assert checked.add("/hook", records(1), acknowledged=False) == []
    assert checked.add("/hook", records(1), acknowledged=True) == []
    assert checked.summary().startswith("2 requests, 1 acknowledged, 1 record of")


def test_each_path_is_checked_by_itself() -> None:
    checked = ArrivalCheck(report_gaps=False)
    assert [checked.add(path, records(1), acknowledged=True) for path in ("/one", "/two")] == [[], []]


def test_batch_that_comes_again_is_few_lines() -> None:
    _, lines = check(records(*range(1000)), records(*range(1000)))
    assert lines[2:] == ["DUPLICATE orders[0] offset 2: acknowledged before", "and 997 more of this request"]


def test_offsets_of_a_long_run_are_remembered() -> None:
    far = 10 * PAGE + 1
    checked, lines = check(records(0, PAGE - 1, PAGE, far), records(far, PAGE - 1), report_gaps=False)
    assert checked.duplicates == len(lines) == 2


@pytest.mark.parametrize(
    ("body", "offsets"),
    [
        (json.dumps({"messages": [{"topic": "t", "partition": 1, "offset": 2, "value": {}}]}).encode(), [2]),
        (rb'{"messages":[{"topic":"t","partition":1,"offset":2,"value":"\ud800"}]}', [2]),
        (b'{"messages":[{"value":1}]}', None),
        (b"[1]", None),
        (b"", None),
        (b"\xff", None),
        (b"[" * 100_000, None),
    ],
)
def test_only_deliveries_have_positions(body: bytes, offsets: list[int] | None) -> None:
    found = positions_in(body)
    assert (None if found is None else [one.offset for one in found]) == offsets
