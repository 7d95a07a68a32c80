"""The policies and filters of many subscriptions for one topic, decided together for a record that is decoded once."""

from collections.abc import Hashable, Iterator, MutableMapping, Sequence
from typing import Final, Generic, TypeVar

import msgspec

from webhookd.errors import FilterFault, UndecodableRecord
from webhookd.flow.authorization.authorizer import TopicAuthorizer
from webhookd.flow.authorization.record_view import Message, RecordView
from webhookd.flow.authorization.seen_record import DENIED
from webhookd.flow.authorization.topic_matcher import shows_everything
from webhookd.flow.filters.costs import spends
from webhookd.flow.filters.expression import parse
from webhookd.flow.filters.shared_filters import SharedFilters
from webhookd.flow.policy.policy import OPEN_TOPIC, TopicPolicies

KeyT = TypeVar("KeyT", bound=Hashable)

_FAILURES: Final = (FilterFault, UndecodableRecord, SystemError, ValueError)
"""What a record can raise: a projection that fails, a value that cannot be decoded, headers that cannot be read."""


class Selection(msgspec.Struct, Generic[KeyT], frozen=True, gc=False):
    """What some of the subscriptions do with a record; those that are in neither list drop it.

    `record` is the record as they see it. The `undecided` ones are those on which something failed, or could: the
    caller asks the TopicMatcher of each, with the message that it gave to SharedMatching.match.
    """

    record: Message
    wanted: Sequence[KeyT]
    undecided: Sequence[KeyT] = ()


def is_shareable(policies: TopicPolicies, filters: Sequence[str]) -> bool:
    """Whether all expressions take a bounded time, whatever the record holds. Raises InvalidFilter.

    The others must not delay all subscriptions of a shared reader.
    """
    return not any(spends(parse(source)) for source in (*_conditions(policies), *filters))


class SharedMatching(Generic[KeyT]):
    """Decides about each record for many subscriptions at once; not thread-safe.

    The answers are those of the subscriptions' own TopicMatchers. Subscriptions with equal policies are a group: their
    policies are evaluated once, and their filters together. Only what is_shareable may be added.
    """

    def __init__(self) -> None:
        self._groups: dict[TopicPolicies, _Group[KeyT]] = {}
        self._of_key: dict[KeyT, TopicPolicies] = {}
        self._made = 0

    def __len__(self) -> int:
        """The number of keys."""
        return len(self._of_key)

    def add(self, key: KeyT, policies: TopicPolicies, filters: Sequence[str]) -> None:
        """Add a key, or replace what it had. Raises InvalidInput for a policy or a filter that cannot be used."""
        shown = OPEN_TOPIC if shows_everything(policies) else policies
        group = self._groups.get(shown)
        if group is None:
            self._made += 1
            group = _Group(shown, self._made)
        self.remove(key)
        group.filters.add(key, filters)
        self._groups[shown] = group
        self._of_key[key] = shown

    def remove(self, key: KeyT) -> None:
        """Remove a key, if it is there."""
        policies = self._of_key.pop(key, None)
        if policies is None:
            return
        group = self._groups[policies]
        group.filters.remove(key)
        if not group.filters:
            del self._groups[policies]

    def group(self, key: KeyT) -> int:
        """The number of the key's group: the keys with equal policies."""
        return self._groups[self._of_key[key]].number

    def match(self, message: Message, denials: MutableMapping[int, int]) -> list[Selection[KeyT]]:
        """Who wants the record; raises nothing that depends on the record.

        Adds 1 to the `denials` of each group whose policies deny it.
        """
        found = [group.match(message, denials) for group in self._groups.values()]
        return [selection for selection in found if selection is not None]


class _Group(Generic[KeyT]):
    """The subscriptions with equal policies."""

    def __init__(self, policies: TopicPolicies, number: int) -> None:
        self.number = number
        self._authorizer = None if policies is OPEN_TOPIC else TopicAuthorizer(policies)
        self.filters: SharedFilters[KeyT] = SharedFilters(validates=self._authorizer is None)

    def match(self, message: Message, denials: MutableMapping[int, int]) -> Selection[KeyT] | None:
        """Who of the group wants the record; None if nobody does."""
        record = message if self._authorizer is None else RecordView(message, self._authorizer)
        try:
            value = record.value()
            if value is DENIED:
                denials[self.number] += 1
                return None
            wanted, undecided = self.filters.match(value)
        except _FAILURES:
            return Selection(record, (), list(self.filters))
        return Selection(record, wanted, undecided) if wanted or undecided else None


def _conditions(policies: TopicPolicies) -> Iterator[str]:
    """The expressions of policies: their conditions, and the projections that are expressions."""
    if shows_everything(policies):
        return
    for policy in policies.policies:
        if policy.condition:
            yield policy.condition
        if policy.projection is not None and policy.projection.expression:
            yield policy.projection.expression
