"""What the coordination store holds and returns.

The store itself is an edge (edges/redis_coordination.py, edges/memory_coordination.py).

For each lane it holds one claim, `{epoch}|{delivery id}|{attempts claimed}`, under the lane's claim key. For each
delivery attempt it holds the payload. It never has the only copy of a fact, so it may lose everything at any moment.
After that every claim is denied, and ingest makes the deliveries claimable again under a new epoch.

    call            claim of the lane                                        payload
    make_claimable  epoch|id|0, unless it already has this id                written
    claim           epoch|id|n → epoch|id|n+1 for attempt n, else denied     read
    send_reports    -                                                        deleted, or replaced by the retry's
    revoke          deleted                                                  -
    revoke_others   deleted, but for those under the epochs to keep          -

For each delivery session that is open (delivery_session.py) it holds the number of pushes to it, for a few seconds:

    call            session
    claim           opened (no pushes), or renewed if it is open, when a delivery is claimed
    make_claimable  if it is open, one push more, which goes into the list of its worker, all in one step; else nothing
    take_pushed     -: takes the next push of the worker out of the list
    close_session   closed, if the worker has received as many pushes as were made; or if it was forgotten

A delivery of a subscription with quotas is claimed together with its permit (request_quota.py), or not at all.

It also holds the heartbeats of the workers (worker_heartbeat.py) for 10 s, and the lengths of the queues.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import msgspec

from webhookd.flow.attempt.attempt_report import Report
from webhookd.flow.dispatch.request_quota import NotNow, Permitted, UsedPermit
from webhookd.flow.dispatch.task_message import DeliveryRef


class ClaimDenied(Enum):
    """Why a delivery was not claimed."""

    TAKEN = "taken"
    """Another copy of the task has claimed the delivery: drop this copy without a report."""

    STALE = "stale"
    """One of its lanes has another epoch or none, or its payload is missing: do not send it; report it as stale."""


ClaimAnswer = bytes | Permitted | NotNow | ClaimDenied
"""The payload of a claimed delivery, with its permit if it needed one; or why it is not claimed."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A delivery that is about to be published."""

    ref: DeliveryRef
    payload: bytes


@dataclass(frozen=True, slots=True)
class Push:
    """Deliveries for an open session."""

    session: str
    refs: Sequence[DeliveryRef]


_push = msgspec.msgpack.Decoder(tuple[str, list[DeliveryRef]])


def encode_push(push: Push) -> bytes:
    """Return the push as it is in the list."""
    return msgspec.msgpack.encode((push.session, push.refs))


def decode_push(blob: bytes) -> Push:
    """Return a push from the list. Raises msgspec.DecodeError when another version encoded it."""
    return Push(*_push.decode(blob))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFlush:
    """What a worker's report sender writes in one atomic step.

    `reports` holds the reports by the `reply_to` of their ingest process. The payloads under the keys in
    `payloads_to_delete` are deleted; those in `payloads_to_store` are written. `permits` are given back, before ingest
    gets the reports: the next delivery may need them.
    """

    reports: Mapping[str, Sequence[Report]]
    payloads_to_delete: Sequence[str] = ()
    payloads_to_store: Mapping[str, bytes] = field(default_factory=dict)
    permits: Sequence[UsedPermit] = ()


def subscription_of(claim_key: str) -> str:
    """The subscription of a lane."""
    return claim_key.partition("/")[0]


def payload_key(delivery_id: str, attempt: int) -> str:
    """The key of the payload of one attempt."""
    return f"{delivery_id}.{attempt}"
