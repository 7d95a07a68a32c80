"""Which subscriptions a change of the policies concerns, and their new versions; inside the caller's transaction.

A change concerns a subscription when something else applies to one of its topics than before. That may be a policy of
another tenant: the first policy of a topic closes it to everybody else.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from webhookd import clock
from webhookd.flow.policy.policy import Effect, Policy, PolicySet
from webhookd.store.tables import SubscriptionRow

ROWS = 500
"""How many rows one statement reads or changes."""


def concerned(session: Session, before: PolicySet, after: PolicySet, patterns: Sequence[str]) -> list[str]:
    """The ids, in their order, of the subscriptions that see something else of a topic that a pattern matches."""
    differs = _Comparison(before, after, patterns)
    try:
        return _concerned(session, differs)
    except ValueError:
        # A column of one row is not JSON: with a new version for all of them none is missed.
        return list(session.scalars(select(SubscriptionRow.id).order_by(SubscriptionRow.id)))


def _concerned(session: Session, differs: "_Comparison") -> list[str]:
    columns = select(SubscriptionRow.id, SubscriptionRow.tenant, SubscriptionRow.sources)
    found: list[str] = []
    last = ""
    while rows := session.execute(
        columns.where(SubscriptionRow.id > last).order_by(SubscriptionRow.id).limit(ROWS)
    ).all():
        last = rows[-1].id
        found += [row.id for row in rows if any(differs(row.tenant, topic) for topic in _topics(row.sources))]
    return found


def new_versions(session: Session, ids: Sequence[str]) -> None:
    """Give these subscriptions the next version, so that every process stops what it runs under the one before."""
    for first in range(0, len(ids), ROWS):
        session.execute(
            update(SubscriptionRow)
            .where(SubscriptionRow.id.in_(ids[first : first + ROWS]))
            .values(version=SubscriptionRow.version + 1, changed_at=clock.wall_clock())
            .execution_options(synchronize_session=False)
        )


class _Comparison:
    """Whether two sets of policies differ in what applies to a tenant's view of a topic."""

    def __init__(self, before: PolicySet, after: PolicySet, patterns: Sequence[str]) -> None:
        self._before, self._after = before, after
        self._patterns = [Policy(id="", topic=pattern, effect=Effect.DENY) for pattern in patterns]
        self._known: dict[tuple[str, str], bool] = {}

    def __call__(self, tenant: str, topic: str) -> bool:
        known = self._known.get((tenant, topic))
        if known is None:
            known = self._known[tenant, topic] = self._differ(tenant, topic)
        return known

    def _differ(self, tenant: str, topic: str) -> bool:
        if not any(pattern.matches_topic(topic) for pattern in self._patterns):
            return False
        before, after = (
            policies.of_topic(tenant, topic, open_without_policy=False) for policies in (self._before, self._after)
        )
        return not before.same_effect(after)


def _topics(sources: object) -> Iterator[str]:
    """The topics in a row; a damaged row has fewer, and does not run."""
    for item in sources if isinstance(sources, list) else ():
        if isinstance(item, dict) and isinstance(item.get("topic"), str):
            yield item["topic"]
