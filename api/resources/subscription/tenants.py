"""Whose subscription a document describes, and what its tenant may have of it."""

from sqlalchemy.orm import Session

from api.resources.subscription.wire import Document
from webhookd.errors import InvalidInput, LimitReached
from webhookd.flow.access.caller import DEFAULT_TENANT, Caller
from webhookd.flow.policy import topic_pattern
from webhookd.flow.subscription import Subscription
from webhookd.settings import Settings
from webhookd.store import tenant_usage


def tenant_of_new(document: Document, caller: Caller) -> str:
    """The tenant that gets the subscription; raises InvalidInput when the caller may not create it for that tenant."""
    named: str | None = document["tenant"]
    own = caller.scope.tenant
    if own is None:
        return named or DEFAULT_TENANT
    if named not in {None, own}:
        raise InvalidInput(f"is not the tenant of the API key: leave it out, or write {own}", field="tenant")
    return own


def confirm_kept(document: Document, stored: str) -> None:
    """Raise InvalidInput when a change names another tenant than the stored one."""
    if document["tenant"] not in {None, stored}:
        raise InvalidInput(f"cannot be changed: leave it out, or write {stored}", field="tenant")


def confirm_topics(settings: Settings, subscription: Subscription, before: Subscription | None = None) -> None:
    """Raise InvalidInput for too many topics; a subscription that had too many before may keep as many."""
    limit, count = settings.tenant_topics_per_subscription, len(subscription.sources)
    if count > max(limit, len(before.sources) if before else 0):
        raise InvalidInput(
            f"has {count} topics: this installation allows {limit} (WEBHOOKD_TENANT_TOPICS_PER_SUBSCRIPTION)",
            field="source",
        )


def confirm_dead_letter_topic(
    settings: Settings, caller: Caller, subscription: Subscription, before: Subscription | None = None
) -> None:
    """Raise InvalidInput for a dead letter topic that the caller may not name; one that is stored may stay."""
    topic = subscription.retry.dead_letter_topic
    tenant = caller.scope.tenant
    if tenant is None or not topic or (before is not None and before.retry.dead_letter_topic == topic):
        return
    pattern = settings.tenant_dead_letter_topics.replace("{tenant}", tenant)
    if not topic_pattern.matches(pattern, topic):
        reason = f"may be {pattern} for this tenant" if pattern else "is for operators to set: leave it out"
        raise InvalidInput(reason, field="configuration.retry.dead_letter_topic")


def confirm_room(session: Session, settings: Settings, tenant: str, *, lock: bool = False) -> None:
    """Raise LimitReached if the tenant can have no further subscription.

    With `lock` that stays so until the transaction ends: other registrations of the tenant wait.
    """
    if lock:
        tenant_usage.lock_registrations(session, tenant)
    limit = settings.tenant_subscriptions
    if tenant_usage.subscriptions(session, tenant) >= limit:
        raise LimitReached(
            f"The tenant {tenant} has {limit} subscriptions, which is the limit (WEBHOOKD_TENANT_SUBSCRIPTIONS)."
        )
