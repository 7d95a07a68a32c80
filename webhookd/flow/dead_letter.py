"""A record that will not be delivered, kept with its cause."""

from dataclasses import dataclass

from webhookd.flow.position import Partition


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
