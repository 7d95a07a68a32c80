"""Whether a tenant may still see the content of a record that was stored under earlier policies.

What is stored was projected by the policies of its time. After a change nobody can tell whether it holds more than the
present ones show, so it is hidden from the tenant; operators see it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from webhookd.flow.policy.policy import PolicySet
from webhookd.flow.policy.topic_pattern import matches


@dataclass(frozen=True, slots=True, kw_only=True)
class PastPolicy:
    """A policy, or one that was deleted: the tenants (None is every one) and topic patterns that it ever had.

    `changed_at` is when something else than its description was changed last, in seconds since the epoch.
    """

    tenants: frozenset[str | None]
    patterns: frozenset[str]
    changed_at: float


class StoredContent:
    """What one tenant may see of stored records.

    Content that is stored within `margin_s` after a change may still have been projected by the policies before it: an
    ingest process without the database goes on under them for that long.
    """

    def __init__(
        self,
        tenant: str,
        policies: PolicySet,
        history: Sequence[PastPolicy],
        *,
        open_without_policy: bool,
        margin_s: float,
    ) -> None:
        self._tenant = tenant
        self._policies = policies
        self._open = open_without_policy
        self._margin_s = margin_s
        self._history = [
            (pattern, past.changed_at)
            for past in history
            if not past.tenants.isdisjoint({None, tenant})
            for pattern in past.patterns
        ]
        self._shown_from: dict[str, float | None] = {}

    def shows(self, topic: str, stored_at: float) -> bool:
        """Whether the content of a record of this topic, stored at this time, is shown."""
        if topic not in self._shown_from:
            self._shown_from[topic] = self._first_shown(topic)
        first = self._shown_from[topic]
        return first is not None and stored_at >= first

    def _first_shown(self, topic: str) -> float | None:
        """From when on what was stored is shown; None when the tenant may not read the topic any more."""
        if not self._policies.of_topic(self._tenant, topic, open_without_policy=self._open).allowed:
            return None
        return max((at + self._margin_s for pattern, at in self._history if matches(pattern, topic)), default=0.0)
