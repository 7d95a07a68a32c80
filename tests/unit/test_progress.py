"""The lines that `webhookd run` prints: a changed state at once, changed counters at intervals."""

from typing import Any

from command.progress import COUNTERS_S, ProgressLines

IDLE = {"state": "delivering", "next_attempt_at": None, "last_failure": None}
REFUSED = {
    "state": "failing",
    "next_attempt_at": "2026-11-28T10:00:05.000Z",
    "last_failure": {"code": "connect_refused"},
}


def status(delivered: int = 0, **changes: Any) -> dict[str, Any]:  # noqa: ANN401  # of any field
    return {
        "timestamp": "2026-11-28T10:00:00.000Z",
        "status": "healthy",
        "reason": "",
        "delivery": IDLE,
        "counters": {"delivered": delivered, "filtered": 0, "dead_lettered": 0},
        **changes,
    }


def test_endpoint_that_is_down_is_failing() -> None:
    line = ProgressLines().line(status(delivery=REFUSED), 0.0)
    assert line == "10:00:00  failing (connect_refused): 0 delivered, 0 filtered; next attempt in 5 s"


def test_unhealthy_subscription_has_its_reason() -> None:
    line = ProgressLines().line(status(status="unhealthy", reason="topic_missing"), 0.0)
    assert line == "10:00:00  unhealthy (topic_missing): 0 delivered, 0 filtered"


def test_counters_are_shown_at_intervals() -> None:
    lines = ProgressLines()
    shown = [second for second in range(31) if lines.line(status(second), float(second))]
    assert shown == [0, COUNTERS_S, 2 * COUNTERS_S, 3 * COUNTERS_S]
    assert lines.line(status(30), 1000.0) == ""


def test_changed_state_is_shown_at_once() -> None:
    lines = ProgressLines()
    assert lines.line(status(1), 0.0)
    assert "failing" in lines.line(status(1, delivery=REFUSED), 1.0)
    assert lines.line(status(2), 2.0) == "10:00:00  healthy: 2 delivered, 0 filtered"
