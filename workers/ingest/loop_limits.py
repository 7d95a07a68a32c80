"""How often the ingest loop does what, and what it may hold."""

from dataclasses import dataclass

from webhookd.clock import Monotonic, WallClock
from webhookd.flow.dispatch.concurrency_limit import WorkerThreads

SWEEP_S = 0.05
"""How often time-outs, probes and leftovers are looked at."""

SHORTEST_PAUSE_S = 0.001
PAUSE_PER_LANE_S = 0.00025
PUBLISH_TIME_FACTOR = 3.0
LONGEST_PAUSE_S = 0.05
"""Between two parcels, and between two looks at a consumer, the loop pauses for a quarter of a millisecond for each
lane that shared a task in the last second (of one subscription a few, see flow/dispatch/active_lanes.py): with few
lanes everything leaves at once, with hundreds of sparse ones a task carries many of them (a task costs as much as
dozens of deliveries). Lanes with tasks of their own do not count: to wait for more of them saves nothing, and leaves a
thread idle. Publishing takes at most a third of one thread's time, so that a machine that gets busy does not get
busier by ever smaller parcels."""

LEAVE_S = 10.0
"""How long a stop waits for the last commits: with the brokers away each blocks for 45 s. What is not committed is
delivered again."""

MISSED_TOPIC_CHECKS = 3.0
"""So many commits are put off while the topics cannot be looked at."""

STATUS_S = 1.0
RESTART_S = 1.0
START_RETRY_S = 5.0
CALLS_BUDGET_S = 0.05
"""How long a turn hears what other threads have said before it reads and dispatches: a thousand subscriptions that are
to be started take a second together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """Both clocks of the process."""

    monotonic: Monotonic
    wall: WallClock


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopLimits:
    """Under which name reports come back, how often watermarks are committed, and what may wait in memory.

    `worker_threads` counts as long as no worker has announced itself.
    """

    reply: str
    commit_interval_s: float
    lane_bytes: int
    process_bytes: int
    worker_threads: WorkerThreads
