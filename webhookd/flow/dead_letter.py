"""A record that will not be delivered, with its cause; how many can be stored; why a topic did not accept a copy."""

from dataclasses import dataclass
from enum import StrEnum

from webhookd.flow.offsets.position import Partition


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """The record as Kafka returned it, and why it is not delivered.

    `status` is the HTTP status of the endpoint's last response (None without one); `attempts` counts the deliveries
    that were tried.
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
        """About how much memory it takes, in bytes."""
        return len(self.key or b"") + len(self.value or b"") + 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How many more dead letters a subscription may store, and the limit that allows the fewest."""

    free: int
    limit: int
    of_tenant: bool = False

    def full(self) -> str:
        """What is full, for people."""
        whose, setting = ("tenant", "TENANT_DEAD_LETTERS") if self.of_tenant else ("subscription", "DEAD_LETTER_LIMIT")
        return f"{self.limit:,} dead letters of the {whose} are stored, which is the limit (WEBHOOKD_{setting})"


class CopyFailure(StrEnum):
    """Why a Kafka topic did not accept a dead letter; the value completes a sentence about the topic."""

    MISSING = "does not exist"
    DENIED = "may not be written to by webhookd (not authorized)"
    REFUSED = "refuses the record (a compacted topic takes no record without a key)"
    TOO_LARGE = "takes no record as large as this one (max.message.bytes)"
    NO_ANSWER = "could not be written to in time"


@dataclass(frozen=True, slots=True)
class FailedCopy:
    """A dead letter that the topic did not accept."""

    dead_letter: DeadLetter
    failure: CopyFailure
