"""How long turns of the ingest loop last, in ticks of the thread that watches them."""

from webhookd.flow.monitoring.loop_latency import PERIOD_TICKS, PERIODS, SLOW_TICKS, STUCK_TICKS, TICK_S, LoopLatency


def test_turn_that_goes_on_is_counted_in_ticks() -> None:
    lengths = LoopLatency()
    assert [lengths.tick(7) for _ in range(4)] == [0, 1, 2, 3]
    assert lengths.longest_iteration_s == 3 * TICK_S


def test_turns_that_change_are_not_one_long_turn() -> None:
    lengths = LoopLatency()
    assert [lengths.tick(turn) for turn in range(1, 100)] == [0] * 99
    assert lengths.longest_iteration_s == 0.0


def test_loop_that_waits_is_in_no_turn() -> None:
    lengths = LoopLatency()
    assert [lengths.tick(0) for _ in range(50)] == [0] * 50
    assert lengths.longest_iteration_s == 0.0


def test_process_that_was_stopped_had_no_slow_turn() -> None:
    lengths = LoopLatency()
    before, after = lengths.tick(7), lengths.tick(7)  # an hour may lie between them
    assert (before, after, lengths.longest_iteration_s) == (0, 1, TICK_S)


def test_longest_turn_is_forgotten_after_a_minute() -> None:
    lengths = LoopLatency()
    for _ in range(SLOW_TICKS + 1):
        lengths.tick(7)
    lasts = []
    for _ in range((PERIODS + 2) * PERIOD_TICKS):
        lengths.tick(0)
        lasts.append(lengths.longest_iteration_s)
    forgotten_after = lasts.index(0.0)
    assert lasts[forgotten_after - 1] == SLOW_TICKS * TICK_S
    assert PERIODS * PERIOD_TICKS - PERIOD_TICKS <= forgotten_after <= (PERIODS + 1) * PERIOD_TICKS


def test_turn_that_still_lasts_counts_in_every_period() -> None:
    lengths = LoopLatency()
    for _ in range(PERIODS * PERIOD_TICKS * 2):
        lengths.tick(7)
    assert lengths.longest_iteration_s > STUCK_TICKS * TICK_S
