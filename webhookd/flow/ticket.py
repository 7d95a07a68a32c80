"""What travels in a delivery's place: its batches as a payload beside the task, and its ticket inside it.

Batch    one HTTP request: its id, how many records, the rendered body
Ticket   what the Celery task carries of a delivery: no body, no header, no secret
Parcel   the tickets of one task
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class Batch(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Exactly one request. `webhook_id` is a digest of what is in it."""

    webhook_id: str
    records: int
    body: bytes


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as operators see it in `celery inspect` and Flower, and as a worker claims it.

    `lanes` maps each lane ("topic/partition") to its epoch. `probe` means: one attempt and no retry. `failures` counts
    the attempts of the first batch that failed before this delivery was made.
    """

    id: str
    subscription: str
    version: int
    lanes: dict[str, str]
    attempt: int
    records: int
    batches: int
    reply: str
    probe: bool = False
    failures: int = 0

    def slots(self) -> list[str]:
        """The names under which the board keeps the epochs of the lanes."""
        return [f"{self.subscription}/{lane}" for lane in self.lanes]


_encoder = msgspec.msgpack.Encoder()
_batches = msgspec.msgpack.Decoder(list[Batch])


def encode_batches(batches: Sequence[Batch]) -> bytes:
    """The payload that is kept beside the task."""
    return _encoder.encode(batches)


def decode_batches(payload: bytes) -> list[Batch]:
    """The batches of a payload. Raises msgspec.DecodeError for what another version wrote."""
    return _batches.decode(payload)


def ticket_to_wire(ticket: Ticket) -> dict[str, Any]:
    """A ticket as a task argument (plain JSON types)."""
    wire: dict[str, Any] = msgspec.to_builtins(ticket)
    return wire


def ticket_from_wire(wire: Mapping[str, Any]) -> Ticket:
    """A task argument as a ticket. Raises msgspec.ValidationError for what another version sent."""
    return msgspec.convert(wire, Ticket)


_SHOWN = 8


def describe(tickets: Sequence[Ticket]) -> str:
    """What Flower and `celery inspect` show of a parcel: subscriptions, lanes and counts."""
    shown = [f"{t.subscription} {','.join(t.lanes)} {t.records} records" for t in tickets[:_SHOWN]]
    if len(tickets) > _SHOWN:
        shown.append(f"and {len(tickets) - _SHOWN} more deliveries, {sum(t.records for t in tickets)} records in all")
    return "(" + "; ".join(shown) + ")"
