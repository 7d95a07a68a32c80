"""What the board answers; the board itself is an edge (edges/redis_coordination.py, edges/memory_coordination.py).

The board holds, for each lane, one *slot*: `{epoch}|{delivery id}|{attempts claimed}`, and for each delivery attempt
its payload. It is never the only copy of a fact: all it holds may vanish at any moment, and then every claim is
denied and ingest offers again under a new epoch.

    call      slot                                                     payload
    offer     epoch|id|0, unless it is this id's already               written
    claim     epoch|id|n → epoch|id|n+1 for attempt n, else denied     read
    report    -                                                        deleted, or replaced by the retry's
    revoke    deleted                                                  -

Beside that it knows which workers live (flow/dispatch/worker_heartbeat.py), by what they said of themselves in the
last 10 s, and how many tasks wait in each queue.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from webhookd.flow.attempt.attempt_report import Report
from webhookd.flow.dispatch.task_message import DeliveryRef


class ClaimDenied(Enum):
    """Why a delivery was not claimed."""

    TAKEN = "taken"
    """Another copy of the task claimed it: drop this one, it is not ours to report."""

    STALE = "stale"
    """Another epoch, or none, or no payload: never go; ingest is told."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A delivery about to be published."""

    ref: DeliveryRef
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFlush:
    """What one flush of a worker's reporter carries, in one atomic step.

    `reports` by the reply name of their ingest process; `drop` and `keep` are payload keys.
    """

    reports: Mapping[str, Sequence[Report]]
    drop: Sequence[str] = ()
    keep: Mapping[str, bytes] = field(default_factory=dict)


def payload_key(delivery_id: str, attempt: int) -> str:
    """The name of the payload of one attempt."""
    return f"{delivery_id}.{attempt}"
