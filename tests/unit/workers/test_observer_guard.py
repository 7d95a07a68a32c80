"""A fault in the metrics is logged, and reaches nobody else. Doubled: the metrics and the clock."""

from collections.abc import Callable

import pytest

from tests.harness.captured_lines import captured_lines
from tests.harness.deliveries_in_flight import scene
from tests.harness.lanes import about
from tests.harness.subscription_consumers import Scene
from webhookd.flow.attempt.attempt_report import ReportKind
from workers.ingest.metrics.loop_observer import NOT_OBSERVED, LoopObserver
from workers.ingest.metrics.observer_guard import LOG_INTERVAL_S, GuardedObserver, guarded


class Noted:
    """Metrics that note each call, and raise `error` if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[tuple[object, ...]] = []
        self._error = error

    def _note(self, *call: object) -> None:
        self.calls.append(call)
        if self._error is not None:
            raise self._error

    checked = stopped = reported = acknowledged = _note


def calls() -> list[tuple[Callable[[LoopObserver], None], tuple[object, ...]]]:
    """Every call of an observer, with its arguments."""
    consumer, delivery = Scene().consumer, scene().delivery
    report = about(delivery, ReportKind.FINISHED)
    return [
        (lambda one: one.checked([consumer], {"a": "b"}), ([consumer], {"a": "b"})),
        (lambda one: one.stopped(consumer), (consumer,)),
        (lambda one: one.reported(delivery, report, 3.0), (delivery, report, 3.0)),
        (lambda one: one.acknowledged(delivery), (delivery,)),
    ]


@pytest.mark.parametrize("error", [None, ValueError("no timestamp")])
def test_each_call_reaches_the_metrics_and_returns(error: Exception | None) -> None:
    noted = Noted(error)
    made = calls()
    with captured_lines():
        for call, _ in made:
            call(GuardedObserver(noted, lambda: 0.0))
    assert noted.calls == [arguments for _, arguments in made]


def test_fault_is_logged_once_a_minute() -> None:
    now = [100.0]
    guard = GuardedObserver(Noted(ValueError("no timestamp")), lambda: now[0])
    with captured_lines() as lines:
        for at in (100.0, 101.0, 100.0 + LOG_INTERVAL_S):
            now[0] = at
            guard.checked([], {})
    assert [str(line["exc_info"]) for line in lines.of("metrics_incomplete")] == ["no timestamp"] * 2


def test_without_metrics_there_is_no_guard() -> None:
    assert guarded(NOT_OBSERVED, lambda: 0.0) is NOT_OBSERVED
