"""The `webhook-id`: a digest of exactly what is in the body."""

import pytest

from webhookd.flow.batching.webhook_id import WebhookIds, webhook_id_of_mixed

LANE = WebhookIds("s1", "orders", 0)


def test_same_content_has_the_same_id() -> None:
    assert LANE.of([1, 2, 5]) == WebhookIds("s1", "orders", 0).of([1, 2, 5])


def test_computing_an_id_changes_no_other() -> None:
    before = LANE.of([1])
    LANE.of([2, 3])
    assert LANE.of([1]) == before


@pytest.mark.parametrize("offsets", [[1], [1, 2], [1, 2, 6], [1, 2, 5, 6], [2, 5]])
def test_other_offsets_have_another_id(offsets: list[int]) -> None:
    assert LANE.of(offsets) != LANE.of([1, 2, 5])


@pytest.mark.parametrize("other", [("s2", "orders", 0), ("s1", "refunds", 0), ("s1", "orders", 1)])
def test_another_lane_has_another_id(other: tuple[str, str, int]) -> None:
    assert WebhookIds(*other).of([1]) != LANE.of([1])


@pytest.mark.parametrize("offsets", [[7], [7, 9]])
def test_mixed_batch_of_one_lane_has_the_id_of_that_lane(offsets: list[int]) -> None:
    assert webhook_id_of_mixed("s1", [("orders", 0, offsets)]) == LANE.of(offsets)


def test_mixed_ids_depend_on_the_lanes() -> None:
    parts = [("orders", 0, [1, 2]), ("orders", 1, [3])]
    ids = {
        webhook_id_of_mixed("s1", parts),
        webhook_id_of_mixed("s2", parts),
        webhook_id_of_mixed("s1", [("orders", 0, [1]), ("orders", 1, [2, 3])]),
        webhook_id_of_mixed("s1", [("orders", 0, [1, 2]), ("orders", 2, [3])]),
        webhook_id_of_mixed("s1", parts[:1]),
    }
    assert len(ids) == 5


def test_ids_hold_no_dot() -> None:
    assert "." not in LANE.of([1]) + webhook_id_of_mixed("s1", [("a.b", 0, [1])])
