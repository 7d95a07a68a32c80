"""Which dead letters are shown with their content: all to operators, to a tenant what its policies let it see."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from api.extensions.callers import current_caller
from webhookd.flow.policy.stored_content import StoredContent
from webhookd.settings import Settings
from webhookd.store import policies, policy_history
from webhookd.store.dead_letters import StoredDeadLetter


def hidden(session: Session, settings: Settings, found: Sequence[StoredDeadLetter]) -> list[bool]:
    """Whether each of these dead letters is shown to the current caller without its content."""
    tenant = current_caller().scope.tenant
    if tenant is None or not found:
        return [False] * len(found)
    content = StoredContent(
        tenant,
        policies.read(session),
        policy_history.past_policies(session),
        open_without_policy=settings.open_without_policy,
        margin_s=settings.policy_max_age_s,
    )
    return [not content.shows(one.dead_letter.partition.topic, one.stored_at) for one in found]
