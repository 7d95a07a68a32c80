"""What the watchdog logs of slow iterations, with its ticks in the test's hand."""

import threading

from structlog.testing import capture_logs

from tests.harness.memory_consumer import MemoryServices
from webhookd.flow.monitoring.loop_latency import SLOW_TICKS, STUCK_TICKS
from workers.ingest.loop_inbox import LoopInbox
from workers.ingest.monitoring.loop_watchdog import LoopWatchdog


def test_slow_iteration_is_logged_once_with_the_code_it_is_in() -> None:
    hangs, inbox = threading.Event(), LoopInbox(MemoryServices().monotonic)
    inbox.put(hangs.wait)  # type: ignore[arg-type]  # the return value is not used
    loop = threading.Thread(target=inbox.run_pending, args=[1.0])
    watchdog = LoopWatchdog(iteration=lambda: inbox.iteration or 1, thread_id=lambda: loop.ident)
    loop.start()
    try:
        with capture_logs() as logs:
            for _ in range(STUCK_TICKS + 10):
                watchdog.check()
    finally:
        hangs.set()
        loop.join()
    assert [line["event"] for line in logs] == ["slow_loop_iteration", "stuck_loop_iteration"]
    assert logs[0]["lasts_s"] == SLOW_TICKS * 0.05
    assert watchdog.longest_iteration_s > 1.0
    (sample,) = watchdog.samples()
    assert (sample.metric.name, sample.value) == (
        "webhookd_loop_longest_iteration_seconds",
        watchdog.longest_iteration_s,
    )


def test_log_line_names_the_frames_of_our_code() -> None:
    inside, hangs = threading.Event(), threading.Event()
    inbox = LoopInbox(MemoryServices().monotonic)

    def hang() -> None:
        inside.set()
        hangs.wait()

    inbox.put(hang)
    loop = threading.Thread(target=inbox.run_pending, args=[1.0])
    watchdog = LoopWatchdog(iteration=lambda: inbox.iteration, thread_id=lambda: loop.ident)
    loop.start()
    assert inside.wait(20.0)
    try:
        with capture_logs() as logs:
            for _ in range(SLOW_TICKS + 1):
                watchdog.check()
    finally:
        hangs.set()
        loop.join()
    (line,) = logs
    (frame,) = line["at"]
    assert frame.startswith("workers/ingest/loop_inbox.py:")
    assert frame.endswith(" run_pending")


def test_quick_iterations_are_not_logged() -> None:
    iterations = iter(range(1, 1000))
    watchdog = LoopWatchdog(iteration=lambda: next(iterations), thread_id=lambda: None)
    with capture_logs() as logs:
        for _ in range(100):
            watchdog.check()
    assert (logs, watchdog.longest_iteration_s) == ([], 0.0)
