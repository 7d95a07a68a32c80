"""What a worker process publishes about itself once a second: which queues it takes from, and how many threads it has.

The coordination store holds it (edges/redis_coordination.py, edges/memory_coordination.py), and removes it when the
worker has sent no other one for WORKER_SILENCE_S. If Redis loses it, the next one follows within a second.
"""

from dataclasses import dataclass

WORKER_SILENCE_S = 10.0
"""A worker without a heartbeat for this long does not count as live. Heartbeats are sent once a second. A slow Redis
may delay one by a socket timeout (5 s), after which the worker's threads must still be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHeartbeat:
    """The state of a worker process `silent_s` ago.

    `since_began_s` and `since_ended_s` are the ages of its last task start and end at that moment, None before the
    first one. Ages are sent instead of times because the clocks of machines differ. `started_at` is by the worker's own
    wall clock, for people. `store_error` says why the worker cannot read the database, and is empty when it can;
    `secrets_error` likewise why it cannot decrypt the secrets of a subscription.
    """

    id: str
    queues: tuple[str, ...]
    threads: int
    busy: int
    since_began_s: float | None
    since_ended_s: float | None
    started_at: float
    store_error: str = ""
    secrets_error: str = ""
    silent_s: float = 0.0
