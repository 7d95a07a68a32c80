"""The rest of the wait before a retry. Oracle: the table in the docstring of flow/dispatch/retry_countdown.py."""

import pytest

from webhookd.flow.dispatch.retry_countdown import RetryCountdown

BEGAN = 1_700_000_000.0


@pytest.mark.parametrize(
    ("published_at", "received_at", "left_s"),
    [
        (BEGAN, BEGAN, 15.0),
        (BEGAN, BEGAN + 5.0, 10.0),
        (BEGAN, BEGAN + 60.0, 0.0),
        (BEGAN, BEGAN - 600.0, 15.0),
        (None, BEGAN, 15.0),
        (BEGAN, None, 15.0),
        (None, None, 15.0),
    ],
)
def test_wait_ends_by_the_shared_clock(published_at: float | None, received_at: float | None, left_s: float) -> None:
    sent = RetryCountdown.of(15.0, published_at).to_wire()
    received = RetryCountdown.from_wire(sent)
    assert received is not None
    assert received.left_s(received_at) == left_s


@pytest.mark.parametrize("wire", [None, "soon", {}, {"wait_s": "long", "until": None}, [15.0]])
def test_countdown_in_another_format_is_none(wire: object) -> None:
    assert RetryCountdown.from_wire(wire) is None
