"""The intervals of the ingest loop, and what it may keep in memory."""

from dataclasses import dataclass

from webhookd.clock import Monotonic, WallClock
from webhookd.flow.dispatch.concurrency_limit import WorkerThreads

SWEEP_S = 0.05
"""How often timeouts and probes are checked."""

SHORTEST_PAUSE_S = 0.001
PAUSE_PER_LANE_S = 0.00025
PUBLISH_TIME_FACTOR = 3.0
LONGEST_PAUSE_S = 0.05
"""The pause between two publications, and between two polls of a consumer: PAUSE_PER_LANE_S for each lane that shared a
task in the last second (at most a few of one subscription, see flow/dispatch/recent_lane_count.py). With few lanes
deliveries are published at once. With hundreds of sparse lanes one task carries many of them, since a task costs as
much as dozens of deliveries. Lanes with tasks of their own do not count: a longer pause would save no task, and leave a
worker thread idle. Two publications begin at least PUBLISH_TIME_FACTOR times as far apart as the last one took. So they
take at most a third of a thread's time, and a busy machine does not get busier because tasks become smaller."""

LEAVE_S = 10.0
"""How long a stop waits for the last commits: while the brokers are down each blocks for 45 s. Records whose offsets
are not committed are delivered again."""

MISSED_TOPIC_CHECKS = 3.0
"""After so many commit intervals without topic metadata the loop commits without it."""

DROPPED_COMMITS_A_SECOND = 20
"""About so many subscriptions in a second commit lanes that have only dropped records since their last commit."""

STATUS_S = 1.0
VERIFICATION_S = 0.2
"""How often it is checked whether endpoints are to be asked for their consent."""

RESTART_S = 1.0
START_RETRY_S = 5.0
CALLS_BUDGET_S = 0.05
"""How long an iteration runs the calls of other threads before it polls and dispatches. There may be many: to start a
thousand subscriptions takes a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """The two clocks of the process."""

    monotonic: Monotonic
    wall: WallClock


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopLimits:
    """The name to which workers send reports, the commit intervals, and how many bytes may wait in memory.

    Lanes that have only dropped records commit after `dropped_commit_s` at the latest.
    `worker_threads` is assumed until the first worker has a heartbeat. At most `subscriptions` run at a time.
    `session_idle_s` and `session_deliveries` are those of OpenSessions.
    """

    reply: str
    commit_interval_s: float
    dropped_commit_s: float
    lane_bytes: int
    process_bytes: int
    worker_threads: WorkerThreads
    subscriptions: int
    session_idle_s: float = 1.0
    session_deliveries: int = 64
