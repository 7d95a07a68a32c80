"""What a mail says of lost records: all of them counted, the newest ranges shown."""

from collections.abc import Iterable
from dataclasses import dataclass

from webhookd.flow.condition import LostRange


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Ranges that Kafka no longer held: `count` of them with up to `records` in all, of which `ranges` are shown."""

    ranges: tuple[LostRange, ...]
    count: int
    records: int


def loss_of(ranges: Iterable[LostRange]) -> Loss | None:
    """These ranges taken together; None when there are none."""
    found = tuple(ranges)
    return Loss(ranges=found, count=len(found), records=sum(item.count for item in found)) if found else None
