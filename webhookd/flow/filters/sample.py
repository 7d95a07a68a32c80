"""Tries the filters of a topic on a sample of its records."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from webhookd.errors import FilterFault, UndecodableRecord
from webhookd.flow.filters.decoding import decode_strictly
from webhookd.flow.filters.literal_mistakes import fields_of
from webhookd.flow.filters.matcher import Matcher

Values = Sequence[bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleResult:
    """What the filters did with the records, up to the first one that passed.

    Of the `looked_at` records `failed` could not be judged and `undecodable` are not JSON. `last_error` has nothing
    from a record.
    """

    passed: bool
    looked_at: int
    failed: int
    undecodable: int
    last_error: str = ""


def try_filters(filters: Sequence[str], values: Values, out_of_time: Callable[[], bool]) -> SampleResult:
    """Evaluate valid filters on the records, until one passes or the time is over."""
    matcher = Matcher(filters)
    looked_at = failed = undecodable = 0
    passed = False
    for value in values:
        if passed or out_of_time():
            break
        looked_at += 1
        try:
            passed = matcher.matches(value)
        except UndecodableRecord:
            undecodable += 1
        except FilterFault:
            failed += 1
    return SampleResult(
        passed=passed, looked_at=looked_at, failed=failed, undecodable=undecodable, last_error=matcher.last_error
    )


def fields_in(values: Iterable[bytes | None]) -> tuple[set[str], int]:
    """The names of all fields in these records, and how many of the records are JSON."""
    names: set[str] = set()
    records = 0
    for value in values:
        if value is None:
            continue
        try:
            names |= fields_of(decode_strictly(value))
        except UndecodableRecord:
            continue
        records += 1
    return names, records
