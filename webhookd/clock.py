"""The two clocks everything is told by; tests pass their own."""

import time
from collections.abc import Callable

Monotonic = Callable[[], float]
"""Seconds that never go back; for lengths: leases, deadlines, intervals."""

WallClock = Callable[[], float]
"""Seconds since the epoch; for what people and other systems read."""

monotonic: Monotonic = time.monotonic
wall_clock: WallClock = time.time
