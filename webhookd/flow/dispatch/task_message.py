"""What travels in a delivery's place: its batches as a payload beside the task, and its ticket inside it.

Batch    one HTTP request: its id, how many records, the rendered body
DeliveryRef   what the Celery task carries of a delivery: no body, no header, no secret
Parcel   the tickets of one task
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class DeliveryRef(msgspec.Struct, frozen=True, kw_only=True):
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
    reply_to: str
    probe: bool = False
    failures: int = 0

    def claim_keys(self) -> list[str]:
        """The names under which the board keeps the epochs of the lanes."""
        return [f"{self.subscription}/{lane}" for lane in self.lanes]


def ref_to_wire(ref: DeliveryRef) -> dict[str, Any]:
    """A ticket as a task argument (plain JSON types)."""
    wire: dict[str, Any] = msgspec.to_builtins(ref)
    return wire


def ref_from_wire(wire: Mapping[str, Any]) -> DeliveryRef:
    """A task argument as a ticket. Raises msgspec.ValidationError for what another version sent."""
    return msgspec.convert(wire, DeliveryRef)


_SHOWN = 8


def describe(refs: Sequence[DeliveryRef]) -> str:
    """What Flower and `celery inspect` show of a parcel: subscriptions, lanes and counts."""
    shown = [f"{t.subscription} {','.join(t.lanes)} {t.records} records" for t in refs[:_SHOWN]]
    if len(refs) > _SHOWN:
        shown.append(f"and {len(refs) - _SHOWN} more deliveries, {sum(t.records for t in refs)} records in all")
    return "(" + "; ".join(shown) + ")"
