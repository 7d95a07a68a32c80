"""Whether the policies allow a subscription's tenant to read its topics.

It is checked twice: before Kafka is asked, so that a refusal does not tell whether the topic exists; and in the
transaction that stores the subscription, under a lock, so that no change of the policies misses it.

A change that leaves the subscription inactive may keep topics that are not allowed any more, so that its owner can
deactivate it. Activating it again is refused.
"""

from sqlalchemy.orm import Session

from api.extensions.callers import transaction
from api.ports import Services
from webhookd.errors import TopicNotAllowed
from webhookd.flow.subscription import Subscription
from webhookd.store import policies


def check_allowed(services: Services, draft: Subscription, stored: Subscription | None = None) -> None:
    """Raise TopicNotAllowed, which names the topic and the field, for a topic that no policy allows."""
    with transaction(services) as session:
        _under_policies(services, session, draft, stored)


def still_allowed(
    services: Services, session: Session, draft: Subscription, stored: Subscription | None = None
) -> Subscription:
    """Return the subscription with what applies to its topics, which does not change before the transaction ends.

    Raises TopicNotAllowed.
    """
    policies.lock(session)
    return _under_policies(services, session, draft, stored)


def _under_policies(
    services: Services, session: Session, draft: Subscription, stored: Subscription | None
) -> Subscription:
    settings = services.settings
    found = draft.under(policies.read(session), open_without_policy=settings.open_without_policy)
    refused = set(found.topics_not_allowed)
    if stored is not None and not draft.active:
        refused -= {source.topic for source in stored.sources}
    for index, source in enumerate(found.sources):
        if source.topic in refused:
            reason = f"no policy allows tenant {found.tenant} to read the topic {source.topic}"
            raise TopicNotAllowed(reason, field=f"source[{index}].topic")
    return found
