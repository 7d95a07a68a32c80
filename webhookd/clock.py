"""The two clocks of a process; tests pass their own functions."""

import time
from collections.abc import Callable

Monotonic = Callable[[], float]
"""Seconds that never go back; for durations: leases, deadlines, intervals."""

WallClock = Callable[[], float]
"""Seconds since the Unix epoch; for times that people and other systems read."""

monotonic: Monotonic = time.monotonic
wall_clock: WallClock = time.time
