"""What the cluster says about topics."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """One look at the topics that were asked for.

    `partitions` is 0 for one that does not exist; `ids` holds the UUIDs (KIP-516) of those that do, as far as the
    brokers tell: a topic that was deleted and made again has another. `denied` are the topics that the brokers do not
    authorise us to describe (nobody knows then whether they exist), or to use as was asked. `leaderless` holds the
    partitions that no broker leads.
    """

    partitions: Mapping[str, int] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    denied: frozenset[str] = frozenset()
    leaderless: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRules:
    """How a topic may be written to; None where the cluster does not say."""

    cleanup: frozenset[str] | None = None
    writable: bool | None = None
