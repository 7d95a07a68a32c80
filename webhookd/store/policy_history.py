"""The policies that there were, with their topics. Every function works inside the caller's transaction."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from webhookd.flow.policy.stored_content import PastPolicy
from webhookd.store.access_tables import PolicyVersionRow
from webhookd.store.tables import Json


def past_policies(session: Session) -> list[PastPolicy]:
    """Every policy, also the deleted ones."""
    rows = session.execute(
        select(PolicyVersionRow.policy_id, PolicyVersionRow.document, PolicyVersionRow.changed_at).order_by(
            PolicyVersionRow.policy_id, PolicyVersionRow.version
        )
    )
    versions: defaultdict[str, list[tuple[Json | None, float]]] = defaultdict(list)
    for row in rows:
        versions[row.policy_id].append((_in_force(row.document), row.changed_at))
    return [_past(of_one) for of_one in versions.values()]


def _in_force(document: Json | None) -> Json | None:
    """What has an effect on records; None for a deletion."""
    return None if document is None else {name: value for name, value in document.items() if name != "description"}


def _past(versions: Sequence[tuple[Json | None, float]]) -> PastPolicy:
    documents = [document for document, _ in versions if document is not None]
    changes = [at for index, (document, at) in enumerate(versions) if not index or document != versions[index - 1][0]]
    return PastPolicy(
        tenants=frozenset(document["tenant"] for document in documents),
        patterns=frozenset(str(document["topic"]) for document in documents),
        changed_at=max(changes),
    )
