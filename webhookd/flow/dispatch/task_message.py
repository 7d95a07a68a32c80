"""What a Celery task carries: references to deliveries. The batches themselves are in the coordination store.

DeliveryRef   one delivery of the task, without bodies, headers or secrets
payload       the batches of that delivery (flow/batching/batch.py), under a key of the coordination store
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from webhookd.conversion import converter


class DeliveryRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A delivery as a worker claims it, and as `celery inspect` and Flower show it.

    `lanes` maps each lane ("topic/partition") to its epoch. `reply_to` names the ingest process that gets the reports.
    A `probe` has one attempt and no retry. `failures` counts the attempts of the first batch that failed before this
    delivery was formed. `unreported_s` is how long it has waited for a quota since ingest was told so.

    `traced` is about the records: if it is False, none has a trace context; an earlier version does not say.
    `traceparent` is about the delivery: that of its own span, empty if the delivery has no span.
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
    traced: bool = True
    unreported_s: float = 0.0
    traceparent: str = ""

    def claim_keys(self) -> list[str]:
        """The keys under which the coordination store holds the claims of the lanes."""
        return [f"{self.subscription}/{lane}" for lane in self.lanes]


_ref: Callable[[object], DeliveryRef] = converter(DeliveryRef)


def ref_to_wire(ref: DeliveryRef) -> dict[str, Any]:
    """The reference as a task argument, in plain JSON types."""
    wire: dict[str, Any] = msgspec.to_builtins(ref)
    return wire


def ref_from_wire(wire: Mapping[str, Any]) -> DeliveryRef:
    """The reference in a task argument. Raises msgspec.ValidationError for what another version of webhookd sent."""
    return _ref(wire)


_SHOWN = 8


def describe(refs: Sequence[DeliveryRef]) -> str:
    """Return the text that Flower and `celery inspect` show for a task: subscriptions, lanes and counts."""
    shown = [f"{ref.subscription} {','.join(ref.lanes)} {ref.records} records" for ref in refs[:_SHOWN]]
    if len(refs) > _SHOWN:
        shown.append(f"and {len(refs) - _SHOWN} more deliveries, {sum(ref.records for ref in refs)} records in all")
    return "(" + "; ".join(shown) + ")"
