"""The policies that there were, with their topics. Every function works inside the caller's transaction."""

from collections import defaultdict

from sqlalchemy import select
from sqlalchemy.orm import Session

from webhookd.flow.policy.stored_content import PastPolicy
from webhookd.store.access_tables import PolicyVersionRow


def past_policies(session: Session) -> list[PastPolicy]:
    """Every policy, also the deleted ones."""
    patterns: defaultdict[str, set[str]] = defaultdict(set)
    changed_at: defaultdict[str, float] = defaultdict(float)
    rows = session.execute(select(PolicyVersionRow.policy_id, PolicyVersionRow.document, PolicyVersionRow.changed_at))
    for row in rows:
        changed_at[row.policy_id] = max(changed_at[row.policy_id], row.changed_at)
        if row.document:
            patterns[row.policy_id].add(str(row.document["topic"]))
    return [PastPolicy(patterns=frozenset(patterns[id_]), changed_at=at) for id_, at in changed_at.items()]
