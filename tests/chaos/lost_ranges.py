"""Checks what subscriptions report as lost after Kafka has removed records that some of them had not got."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.chaos.findings import Watched
from tests.harness.load import Sent

Cut = Mapping[tuple[str, int], int]
"""The first offset that Kafka still holds, by topic and partition."""


class LostRange(NamedTuple):
    """Offsets that a subscription reports as lost: from `first` up to `end`, which is not one of them."""

    topic: str
    partition: int
    first: int
    end: int

    def has(self, record: Sent) -> bool:
        """Whether this record is in it."""
        place = (record.topic, record.partition)
        return place == (self.topic, self.partition) and self.first <= (record.offset or 0) < self.end


def lost_ranges(status: Mapping[str, Any]) -> list[LostRange]:
    """The lost ranges of a subscription's status."""
    return [LostRange(item["topic"], item["partition"], item["from"], item["to"] + 1) for item in status["lost_ranges"]]


def reported(watched: Watched, sent: Mapping[int, Sent], ranges: Sequence[LostRange]) -> set[int]:
    """The records that it should have got and reports as lost."""
    return {number for number, record in watched.wanted(sent).items() if any(one.has(record) for one in ranges)}


def removed(watched: Watched, sent: Mapping[int, Sent], cut: Cut) -> set[int]:
    """The records that it should have got and that Kafka does not hold any more."""
    wanted = watched.wanted(sent)
    return {number for number, record in wanted.items() if (record.offset or 0) < cut[record.topic, record.partition]}


def problems(watched: Watched, sent: Mapping[int, Sent], ranges: Sequence[LostRange], cut: Cut) -> Iterator[str]:
    """What is wrong with the reported ranges; records that neither arrived nor are reported are found elsewhere."""
    arrived = {number for receiver in watched.receivers for lane in receiver.lanes().values() for number in lane.seen}
    both = reported(watched, sent, ranges) & arrived
    if both:
        yield f"{watched.label}: reported as lost, but arrived: {sorted(both)[:5]}"
    for one in ranges:
        held = cut[one.topic, one.partition]
        if one.end > held:
            yield f"{watched.label}: {one} is reported as lost, but Kafka holds the records from {held} on"
