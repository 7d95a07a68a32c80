"""How long iterations of the ingest loop last, in ticks of the watchdog thread."""

from webhookd.flow.monitoring.loop_latency import PERIOD_TICKS, PERIODS, SLOW_TICKS, STUCK_TICKS, TICK_S, LoopLatency


def test_running_iteration_is_counted_in_ticks() -> None:
    latency = LoopLatency()
    assert [latency.tick(7) for _ in range(4)] == [0, 1, 2, 3]
    assert latency.longest_iteration_s == 3 * TICK_S


def test_changing_iterations_are_not_one_long_one() -> None:
    latency = LoopLatency()
    assert [latency.tick(iteration) for iteration in range(1, 100)] == [0] * 99
    assert latency.longest_iteration_s == 0.0


def test_waiting_loop_is_in_no_iteration() -> None:
    latency = LoopLatency()
    assert [latency.tick(0) for _ in range(50)] == [0] * 50
    assert latency.longest_iteration_s == 0.0


def test_stopped_process_had_no_slow_iteration() -> None:
    latency = LoopLatency()
    before, after = latency.tick(7), latency.tick(7)  # an hour may lie between them
    assert (before, after, latency.longest_iteration_s) == (0, 1, TICK_S)


def test_longest_iteration_is_dropped_after_a_minute() -> None:
    latency = LoopLatency()
    for _ in range(SLOW_TICKS + 1):
        latency.tick(7)
    lasts = []
    for _ in range((PERIODS + 2) * PERIOD_TICKS):
        latency.tick(0)
        lasts.append(latency.longest_iteration_s)
    forgotten_after = lasts.index(0.0)
    assert lasts[forgotten_after - 1] == SLOW_TICKS * TICK_S
    assert PERIODS * PERIOD_TICKS - PERIOD_TICKS <= forgotten_after <= (PERIODS + 1) * PERIOD_TICKS


def test_lasting_iteration_counts_in_every_period() -> None:
    latency = LoopLatency()
    for _ in range(PERIODS * PERIOD_TICKS * 2):
        latency.tick(7)
    assert latency.longest_iteration_s > STUCK_TICKS * TICK_S
