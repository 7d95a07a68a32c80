"""Registers, changes and removes subscriptions; the table gives the order of the steps.

    register   check → ask the brokers for the end offsets → commit them to the new group → insert → notify
    change     check → the same for topics that are new → replace → notify
    patch      apply to the document that GET shows → change
    remove     delete, and store the group, which ingest deletes when it has no members → notify

The check includes that the policies allow every topic; it is repeated where the row is written (topic_access.py).
The offsets come first: no record that is produced after the response may be missed, and nothing is stored if the
brokers do not answer. The row stores the offsets too; they are used where the group has no commit. The change
notification comes last and may fail: every process also reads the rows periodically.
"""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from sqlalchemy.orm import Session

from api import cluster_check
from api.extensions.callers import current_caller, transaction
from api.ports import Services
from api.resources.subscription import audit, egress, merge_patch, signing_wire, tenants, validators
from api.resources.subscription.preconditions import Preconditions
from api.resources.subscription.tls_wire import confirm_tls
from api.resources.subscription.topic_access import check_allowed, still_allowed
from api.resources.subscription.verification_schemas import confirm_verification
from api.resources.subscription.wire import Document, Identity, parse, render
from webhookd import clock, logs
from webhookd.errors import Conflict, InvalidInput, QueueUnavailable, TopicDenied
from webhookd.flow.control.administration import OFFLINE_REASON, Administration
from webhookd.flow.control.change_notification import SubscriptionChanged
from webhookd.flow.status.activity import Activity, Event
from webhookd.flow.subscription import History, Source, Start, Subscription, consumer_group
from webhookd.store import activity, administration, dropped_groups, mail_failures, subscriptions

_DEAD_LETTER_TOPIC = "configuration.retry.dead_letter_topic"

ANY: Final = Preconditions()
"""No precondition."""

Commit = Callable[[str, dict[str, dict[int, int]], float], None]

AlsoStore = Callable[[Session, Subscription], None]
"""What else is stored in the transaction of a registration."""

_log = logs.get(__name__)


def register(services: Services, document: Document, also_store: AlsoStore) -> Subscription:
    """Store a new subscription; `also_store` is called in the same transaction.

    Raises TopicNotAllowed for a topic that no policy allows, LimitReached when its tenant has too many, TopicDenied for
    a topic that webhookd may not read, AlreadyExists for an external id that is taken, SecretKeysMissing for a secret
    that cannot be encrypted, KafkaUnavailable or StoreUnavailable; then nothing is stored.
    """
    if document["id"] is not None:
        raise InvalidInput("is given by webhookd: leave it out", field="id")
    tenant, now = tenants.tenant_of_new(document, current_caller()), clock.wall_clock()
    history = History(created_at=now, updated_at=now)
    draft = _draft(services, document, Identity(id=str(uuid.uuid4()), tenant=tenant, history=history))
    egress.confirm_urls(services.settings, draft)
    confirm_verification(services.settings, current_caller(), draft)
    tenants.confirm_topics(services.settings, draft)
    tenants.confirm_dead_letter_topic(services.settings, current_caller(), draft)
    check_allowed(services, draft)
    _check_external_id(services, draft)
    with transaction(services) as session:  # before the brokers get a consumer group
        tenants.confirm_room(session, services.settings, tenant)
    _check_dead_letter_topic(services, draft)
    subscription = _with_positions(services, draft, new=_topics(draft), commit=services.brokers.commit)
    with transaction(services) as session:
        subscription = still_allowed(services, session, subscription)
        tenants.confirm_room(session, services.settings, tenant, lock=True)
        subscriptions.insert(session, subscription)
        activity.append(session, [_switched(subscription, administration.read(session, lock=True))])
        audit.created(session, subscription)
        also_store(session, subscription)
    _log.info("subscription_created", subscription=subscription.id, active=subscription.active)
    notify(services, subscription.id, subscription.version)
    return subscription


def change(services: Services, id_: str, document: Document, preconditions: Preconditions = ANY) -> Subscription:
    """Replace a whole subscription; topics that it already had keep their positions.

    If nothing changes, nothing is stored: version, revision and audit log stay as they are, and nobody is notified.
    Raises NotFound, PreconditionFailed, Conflict if another request changed it at the same moment, TopicNotAllowed for
    a topic that no policy allows (unless it had the topic before and is inactive from now on), TopicDenied for a new
    topic that webhookd may not read, AlreadyExists for an external id that is taken, SecretKeysMissing for a new secret
    that cannot be encrypted, KafkaUnavailable, StoreUnavailable.
    """
    if document["id"] is not None and str(document["id"]) != id_:
        raise InvalidInput("is not the id in the path", field="id")
    summary, stored = _stored(services, id_)
    preconditions.check(stored)
    tenants.confirm_kept(document, summary.tenant)
    draft = _with_version(_draft(services, document, _next_identity(summary, stored)), stored)
    egress.confirm_urls(services.settings, draft, stored)
    confirm_verification(services.settings, current_caller(), draft, stored)
    tenants.confirm_topics(services.settings, draft, stored)
    tenants.confirm_dead_letter_topic(services.settings, current_caller(), draft, stored)
    check_allowed(services, draft, stored)
    _check_external_id(services, draft)
    if stored is None or stored.retry.dead_letter_topic != draft.retry.dead_letter_topic:
        _check_dead_letter_topic(services, draft)
    new = _topics(draft) - (_topics(stored) if stored else frozenset())
    # The topics of a damaged row are not known: the offsets of its group, if there are any, must stay.
    subscription = _with_positions(services, draft, new=new, commit=_if_free(services) if stored else _commit_nothing)
    with transaction(services) as session:
        subscription = still_allowed(services, session, subscription, stored)
        if stored is not None and _unchanged(subscription, stored) and _is_latest(session, stored):
            return replace(stored, policies=subscription.policies)
        _replace(session, subscription, stored, preconditions)
        mail_failures.keep(session, id_, subscription.alerting.emails)
        if subscription.active != summary.active:
            activity.append(session, [_switched(subscription, administration.read(session, lock=True))])
        audit.changed(session, subscription, stored=stored, was_active=summary.active)
    _log.info("subscription_changed", subscription=id_, version=subscription.version, active=subscription.active)
    notify(services, id_, subscription.version)
    return subscription


def patch(services: Services, id_: str, changes: merge_patch.Patch, preconditions: Preconditions) -> Subscription:
    """Change some fields of a subscription (RFC 7396); raises as `change` does, and UnusableSubscription."""
    with transaction(services) as session:
        stored = subscriptions.find(session, id_)
    preconditions.check(stored)
    document = merge_patch.patched(render(stored), changes)
    return change(services, id_, document, replace(preconditions, unchanged=stored))


def remove(services: Services, id_: str, preconditions: Preconditions = ANY) -> None:
    """Delete a subscription with its activity; raises NotFound, PreconditionFailed, StoreUnavailable."""
    with transaction(services) as session:
        subscriptions.lock(session, id_)
        version = subscriptions.summary(session, id_).version
        preconditions.check(_usable(session, id_))
        audit.removed(session, id_)
        mail_failures.keep(session, id_, ())  # a tenant's transaction finds them by the subscription
        subscriptions.delete(session, id_)
        dropped_groups.add(session, consumer_group(id_))
    _log.info("subscription_deleted", subscription=id_)
    notify(services, id_, version + 1)


def _stored(services: Services, id_: str) -> tuple[subscriptions.SubscriptionSummary, Subscription | None]:
    with transaction(services) as session:
        return subscriptions.summary(session, id_), _usable(session, id_)


def _usable(session: Session, id_: str) -> Subscription | None:
    """The stored subscription; None when its configuration cannot be used."""
    loaded = subscriptions.load(session, [id_]).get(id_)
    return loaded if isinstance(loaded, Subscription) else None


def _next_identity(summary: subscriptions.SubscriptionSummary, stored: Subscription | None) -> Identity:
    history = History(revision=summary.revision + 1, created_at=summary.created_at, updated_at=clock.wall_clock())
    return Identity(id=summary.id, version=summary.version + 1, history=history, stored=stored, tenant=summary.tenant)


def _replace(
    session: Session, subscription: Subscription, stored: Subscription | None, preconditions: Preconditions
) -> None:
    """Store it. If another request was faster: PreconditionFailed if If-Match no longer holds, else Conflict."""
    try:
        if stored is not None and subscription.version == stored.version:
            subscriptions.replace_details(session, subscription)
        else:
            subscriptions.replace(session, subscription, revision=subscription.history.revision - 1)
    except Conflict:
        preconditions.check(_usable(session, subscription.id))
        raise


def _unchanged(draft: Subscription, stored: Subscription) -> bool:
    return replace(draft, version=stored.version, history=stored.history, policies=stored.policies) == stored


def _is_latest(session: Session, stored: Subscription) -> bool:
    """Whether nobody has changed it since it was read; nobody can until this transaction ends."""
    if not subscriptions.is_current(session, stored.id, stored.version):
        return False
    return subscriptions.summary(session, stored.id).revision == stored.history.revision


def _with_version(draft: Subscription, stored: Subscription | None) -> Subscription:
    """Keep the version if nothing but the details changes: then deliveries and their retries go on as they are."""
    if stored is None or draft.details == stored.details:
        return draft
    kept = replace(draft, version=stored.version)
    return kept if replace(kept, details=stored.details, history=stored.history) == stored else draft


def _draft(services: Services, document: Document, identity: Identity) -> Subscription:
    """The subscription that a document describes, with its secrets encrypted."""
    parsed, stored = parse(document, identity), identity.stored
    sealed = _sealed(services, parsed, stored)
    unchanged = stored is not None and sealed.destination.tls == stored.destination.tls
    # In `parsed` a key that is written out can be read.
    confirm_tls(services.settings, parsed, clock.wall_clock(), stored, unchanged=unchanged)
    return sealed


def _sealed(services: Services, draft: Subscription, stored: Subscription | None) -> Subscription:
    """Encrypt the secrets before Kafka is asked: a refused registration must not leave a consumer group behind."""
    with transaction(services) as session:
        return signing_wire.with_overlap(subscriptions.sealed(session, draft, stored), stored)


def _check_external_id(services: Services, draft: Subscription) -> None:
    """Raise AlreadyExists before Kafka is asked: a refused registration must not leave a consumer group behind."""
    with transaction(services) as session:
        subscriptions.confirm_external_id(session, draft)


def _check_dead_letter_topic(services: Services, draft: Subscription) -> None:
    """Raise InvalidInput for a topic that is known not to accept dead letters, TopicDenied for one that is denied."""
    if not draft.retry.dead_letter_topic:
        return
    try:
        reason = _dead_letters_refused(services, draft.retry.dead_letter_topic)
    except TopicDenied as error:
        raise error.at(_DEAD_LETTER_TOPIC) from error
    if reason:
        raise InvalidInput(reason, field=_DEAD_LETTER_TOPIC)


def _dead_letters_refused(services: Services, topic: str) -> str:
    timeout_s = services.settings.kafka_ask_timeout_s
    if not services.brokers.end_offsets([topic], timeout_s)[topic]:
        return "does not exist in Kafka"
    return validators.dead_letters_refused(services.brokers.topic_rules(topic, timeout_s))


def _with_positions(services: Services, draft: Subscription, *, new: frozenset[str], commit: Commit) -> Subscription:
    """Return the subscription with the start offsets of its new topics; commit them for its group too."""
    if not new:
        return draft
    try:
        return _with_start_offsets(services, draft, new=new, commit=commit)
    except TopicDenied as error:
        index = [source.topic for source in draft.sources].index(error.topic)
        raise error.at(f"source[{index}].topic") from error


def _with_start_offsets(
    services: Services, draft: Subscription, *, new: frozenset[str], commit: Commit
) -> Subscription:
    ends_at = clock.monotonic() + services.settings.kafka_ask_timeout_s
    cluster_check.confirm(services, services.settings.kafka_ask_timeout_s)
    ends = services.brokers.end_offsets(sorted(new), services.settings.kafka_ask_timeout_s)
    ids = services.brokers.topic_ids(sorted(new), ends_at - clock.monotonic())
    sources = tuple(_started(source, ends, ids) if source.topic in new else source for source in draft.sources)
    offsets = {source.topic: dict(source.start_offsets) for source in sources if source.topic in new}
    commit(draft.consumer_group, {topic: at for topic, at in offsets.items() if at}, ends_at - clock.monotonic())
    return replace(draft, sources=sources)


def _started(source: Source, ends: dict[str, dict[int, int]], ids: dict[str, str]) -> Source:
    known = replace(source, topic_id=ids.get(source.topic, ""))
    return replace(known, start_offsets=ends.get(source.topic, {})) if source.start is Start.LATEST else known


def _if_free(services: Services) -> Commit:
    def commit(group: str, offsets: dict[str, dict[int, int]], timeout_s: float) -> None:
        try:
            services.brokers.commit(group, offsets, timeout_s)
        except Conflict:
            # Ingest is a member of this group, so only ingest may commit; it starts a new topic at the row's offsets.
            _log.debug("start_left_to_ingest", group=group)

    return commit


def _commit_nothing(group: str, offsets: dict[str, dict[int, int]], timeout_s: float) -> None:
    del group, offsets, timeout_s


def _switched(subscription: Subscription, switch: Administration) -> Activity:
    stopped = subscription.active and switch.offline
    return Activity(
        subscription_id=subscription.id,
        at=clock.wall_clock(),
        event=Event.ACTIVE if subscription.active and not stopped else Event.INACTIVE,
        error=OFFLINE_REASON if stopped else "",
        detail=switch.offline_message if stopped else "",
    )


def notify(services: Services, id_: str, version: int) -> None:
    """Tell the processes that a subscription has a new version; a failure is logged, since they also read the rows."""
    try:
        services.notifications.publish(SubscriptionChanged(id=id_, version=version))
    except QueueUnavailable as error:
        _log.warning("change_notification_failed", subscription=id_, code=error.code, error=str(error))


def _topics(subscription: Subscription) -> frozenset[str]:
    return frozenset(source.topic for source in subscription.sources)
