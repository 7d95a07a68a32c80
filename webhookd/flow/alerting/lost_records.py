"""What a mail says of lost records: all of them counted, the newest ranges shown."""

from collections.abc import Iterable
from dataclasses import dataclass

from webhookd.flow.status.subscription_status import LostRange


@dataclass(frozen=True, slots=True, kw_only=True)
class LostRecords:
    """Ranges that Kafka no longer held: `count` of them with up to `records` in all, of which `ranges` are shown."""

    ranges: tuple[LostRange, ...]
    count: int
    records: int


def summarise(ranges: Iterable[LostRange]) -> LostRecords | None:
    """These ranges taken together; None when there are none."""
    found = tuple(ranges)
    return LostRecords(ranges=found, count=len(found), records=sum(item.count for item in found)) if found else None
