"""What a worker process says about itself about once a second, for whoever wants to know how many slots there are.

It travels over the board (edges/redis_coordination.py, edges/memory_coordination.py), which forgets a worker that fell
silent. What Redis loses is said again a second later.
"""

from dataclasses import dataclass

WORKER_SILENCE_S = 10.0
"""A worker that has said nothing for so long is gone. It speaks once a second; a Redis that is slow to answer may
cost it a socket timeout (5 s) without making its slots vanish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHeartbeat:
    """A worker process, as it was `silent_s` ago.

    The `since_…` are ages at that moment, None before its first task: clocks of different machines differ, lengths do
    not. `started_at` is the worker's own wall clock, for people.
    """

    id: str
    queues: tuple[str, ...]
    threads: int
    busy: int
    since_began_s: float | None
    since_ended_s: float | None
    started_at: float
    silent_s: float = 0.0
