"""What the brokers return about topics."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The brokers' metadata of the requested topics.

    `partitions` is 0 for a topic that does not exist. `ids` holds the UUIDs (KIP-516) that the brokers returned: a
    topic that was deleted and recreated has another one. `denied` are the topics that webhookd is not authorised to
    describe (then it is unknown whether they exist), or to use for the operation in the request. `leaderless` holds the
    partitions without a leader.
    """

    partitions: Mapping[str, int] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    denied: frozenset[str] = frozenset()
    leaderless: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRules:
    """How a topic may be written to; None if the brokers do not return it."""

    cleanup: frozenset[str] | None = None
    writable: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSample:
    """What a client may be told about a topic before anything is read from it for delivery.

    `values` are those of its last records, in no particular order; None if they could not be read in time.
    """

    exists: bool = True
    denied: bool = False
    values: tuple[bytes | None, ...] | None = None
