"""The matcher of a topic: first the policies, then the filters, which see only what the policies show."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from webhookd.flow.authorization.authorizer import ProjectionErrors, TopicAuthorizer
from webhookd.flow.authorization.record_view import Message, RecordView
from webhookd.flow.authorization.seen_record import DENIED
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.policy.policy import Effect, TopicPolicies


class PolicyMatcher:
    """The policies and filters of one subscription for one topic; not thread-safe. `denied` counts denied records.

    It is used as a Matcher is, on the records that `views` returns. The filters are evaluated on the projected value.
    """

    def __init__(self, policies: TopicPolicies, filters: Sequence[str], *, drops_errors: bool = False) -> None:
        """Compile both; raises InvalidInput for a policy or a filter that cannot be used."""
        self.denied = 0
        self._authorizer = TopicAuthorizer(policies)
        self._filters = Matcher(filters, drops_errors=drops_errors)
        self._filtered = bool(filters)

    @property
    def projections(self) -> ProjectionErrors:
        """Counts the records on which a projection failed."""
        return self._authorizer.projections

    @property
    def errors(self) -> int:
        """Number of records on which a filter failed."""
        return self._filters.errors

    @property
    def last_error(self) -> str:
        """The filter, a colon, and its error."""
        return self._filters.last_error

    def views(self, messages: Iterable[Message]) -> list[RecordView]:
        """The messages as the tenant sees them."""
        authorizer = self._authorizer
        return [RecordView(message, authorizer) for message in messages]

    def matches(self, value: bytes | None) -> bool:
        """Whether the record of a view with this value is delivered: it is not denied, and passes all filters.

        Raises what Matcher.matches raises.
        """
        if value is DENIED:
            self.denied += 1
            return False
        return not self._filtered or self._filters.matches(value)


TopicMatcher: TypeAlias = Matcher | PolicyMatcher


def topic_matcher(policies: TopicPolicies, filters: Sequence[str], *, drops_errors: bool = False) -> TopicMatcher:
    """The matcher of a topic: that of the filters alone where every record is seen whole. Raises InvalidInput."""
    if shows_everything(policies):
        return Matcher(filters, drops_errors=drops_errors)
    return PolicyMatcher(policies, filters, drops_errors=drops_errors)


def shows_everything(policies: TopicPolicies) -> bool:
    """Whether every record is seen whole: the topic is open, or one policy allows all, before any that projects."""
    if policies.unrestricted:
        return True
    if any(policy.effect is Effect.DENY for policy in policies.policies):
        return False
    first = next(iter(policies.policies), None)
    return first is not None and not first.condition and first.projection is None
