"""What a worker process publishes about itself once a second: which queues it takes from, and how many threads it has.

It goes to the coordination store (edges/redis_coordination.py, edges/memory_coordination.py), which removes it when the
worker has been silent. If Redis loses it, the next one follows within a second.
"""

from dataclasses import dataclass

WORKER_SILENCE_S = 10.0
"""A worker without a heartbeat for so long counts as gone. Heartbeats are sent once a second; a slow Redis may delay
one by a socket timeout (5 s), which must not make the worker's threads disappear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHeartbeat:
    """A worker process, as it was `silent_s` ago.

    `since_began_s` and `since_ended_s` are the ages of its last task start and end at that moment, None before the
    first one. Ages are sent instead of times because the clocks of machines differ. `started_at` is the worker's own
    wall clock, for people.
    """

    id: str
    queues: tuple[str, ...]
    threads: int
    busy: int
    since_began_s: float | None
    since_ended_s: float | None
    started_at: float
    silent_s: float = 0.0
