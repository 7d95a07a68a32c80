"""Where a record stands in Kafka, and what is committed after it."""

from dataclasses import dataclass

from webhookd.flow.offsets.commit_metadata import NO_METADATA, CommitMetadata


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One partition of one topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        """As operators write it, and as it stands in logs and task arguments."""
        return f"{self.topic}/{self.number}"


@dataclass(frozen=True, slots=True)
class OffsetAndMetadata:
    """What is committed for a lane: the offset to read on from, and what must not be forgotten about it."""

    offset: int
    metadata: CommitMetadata = NO_METADATA


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetRange:
    """What Kafka holds of a partition: the first offset, and the one after the last."""

    first: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What a group has committed in one partition: the offset, and the text beside it."""

    offset: int
    metadata: str = ""


def next_offset(offset: int) -> int:
    """What Kafka wants committed once the record at `offset` is settled: the one place with a `+ 1`."""
    return offset + 1
