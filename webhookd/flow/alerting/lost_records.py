"""Lost records as a mail reports them: all are counted, only the newest ranges are shown."""

from collections.abc import Iterable
from dataclasses import dataclass

from webhookd.flow.status.subscription_status import LostRange


@dataclass(frozen=True, slots=True, kw_only=True)
class LostRecords:
    """`count` ranges of offsets with up to `records` lost records in total; `ranges` has the ranges to show."""

    ranges: tuple[LostRange, ...]
    count: int
    records: int


def summarise(ranges: Iterable[LostRange]) -> LostRecords | None:
    """Return the sum of these ranges; None when there are none."""
    found = tuple(ranges)
    return LostRecords(ranges=found, count=len(found), records=sum(item.count for item in found)) if found else None
