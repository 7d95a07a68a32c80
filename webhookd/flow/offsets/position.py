"""Partitions, offsets, and what a consumer group commits."""

from dataclasses import dataclass

from webhookd.flow.offsets.commit_metadata import NO_METADATA, CommitMetadata

UNREAD = -1
"""The position and the watermark before the first record: there is nothing to commit or to seek to."""


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One partition of one topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        """`topic/number`, as in logs and task arguments."""
        return f"{self.topic}/{self.number}"


@dataclass(frozen=True, slots=True)
class OffsetAndMetadata:
    """What a lane commits: the offset at which to continue, and what must outlive the process."""

    offset: int
    metadata: CommitMetadata = NO_METADATA


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetRange:
    """The offsets that Kafka holds of a partition: the first one, and the one after the last."""

    first: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What a group has committed in one partition: the offset, and the metadata as text."""

    offset: int
    metadata: str = ""


def next_offset(offset: int) -> int:
    """Return the offset to commit once the record at `offset` is settled. No other code adds 1 to an offset."""
    return offset + 1
