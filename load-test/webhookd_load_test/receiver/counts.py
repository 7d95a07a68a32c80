"""What one process of the receiver has got so far, or all of them together."""

from collections.abc import Iterable

import msgspec


class Counts(msgspec.Struct, kw_only=True):
    """Requests with all of them, records in those answered with 2xx, and requests answered otherwise or not at all.

    `waiting` are requests that are not in SQLite yet.
    """

    requests: int = 0
    records: int = 0
    refused: int = 0
    waiting: int = 0


def total(counts: Iterable[Counts]) -> Counts:
    """The sum of several."""
    found = Counts()
    for one in counts:
        found.requests += one.requests
        found.records += one.records
        found.refused += one.refused
        found.waiting += one.waiting
    return found
