"""A record that will not be delivered, kept with its cause; and why a copy of it is not in a Kafka topic."""

from dataclasses import dataclass
from enum import StrEnum

from webhookd.flow.offsets.position import Partition


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """The record as Kafka gave it, and why it was put aside.

    `status` is the endpoint's last answer (None where there was none) and `attempts` how often it was tried.
    """

    subscription_id: str
    partition: Partition
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    cause: str
    detail: str = ""
    status: int | None = None
    attempts: int = 0

    @property
    def size_bytes(self) -> int:
        """What holding it in memory costs, about."""
        return len(self.key or b"") + len(self.value or b"") + 200


class CopyFailure(StrEnum):
    """Why a Kafka topic did not take a dead letter; the value completes a sentence about the topic."""

    MISSING = "does not exist"
    DENIED = "may not be written to by webhookd (not authorized)"
    REFUSED = "refuses the record (a compacted topic takes no record without a key)"
    TOO_LARGE = "takes no record as large as this one (max.message.bytes)"
    NO_ANSWER = "could not be written to in time"


@dataclass(frozen=True, slots=True)
class Uncopied:
    """A dead letter that the topic did not take."""

    dead_letter: DeadLetter
    failure: CopyFailure
