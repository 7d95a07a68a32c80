"""The 99th percentile of the ten healthy subscriptions' latency in a window, and how much it may grow."""

import time

from webhookd_load_test.benchmarks.endpoints.switchable_receiver import SwitchableReceiver

MAX_RATIO = 1.2
"""The p99 beside the others, divided by the p99 without what is done to them."""


class RowFailedError(Exception):
    """A row cannot be measured; the message begins with what was measured, and says why."""


def healthy_p99_ms(receiver: SwitchableReceiver, name: str, for_s: float) -> float:
    """Wait for a window; returns the p99 in milliseconds. Raises RowFailedError when nothing arrived in it."""
    receiver.take_latencies_ms()
    time.sleep(for_s)
    late = sorted(receiver.take_latencies_ms())
    if not late:
        raise RowFailedError(f"{name}: nothing was delivered to the ten")
    return late[int(len(late) * 0.99)]
