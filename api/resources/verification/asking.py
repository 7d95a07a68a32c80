"""Asks an endpoint again, before it is due: the subscription gets another version, under which it is asked at once.

The endpoint is not asked by the API, which has neither the network nor the secrets for that, but by a worker.
"""

from typing import Final

from sqlalchemy.orm import Session

from api.extensions.callers import current_caller, transaction
from api.ports import Services
from api.resources.subscription import lifecycle
from webhookd import clock, logs
from webhookd.errors import Conflict, TooManyRequests
from webhookd.flow.destination import Verification
from webhookd.flow.subscription import Subscription
from webhookd.store import audit_log, endpoint_verifications, subscriptions
from webhookd.store.audit_log import Change

MIN_INTERVAL_S: Final = 5.0
"""The shortest time from a change of the subscription, or such a request, to the next one: whoever may register a
subscription must not have a host asked more often that has not consented. Ingest waits as long after the first answer.
"""

_log = logs.get(__name__)


def ask(services: Services, id_: str) -> Subscription:
    """Let the endpoint of a subscription be asked now; returns the subscription.

    Raises NotFound, UnusableSubscription, StoreUnavailable, Conflict when there is nothing to ask, and TooManyRequests
    when it was changed less than MIN_INTERVAL_S ago.
    """
    with transaction(services) as session:
        subscriptions.lock(session, id_)
        found = subscriptions.find(session, id_)
        _confirm_unverified(found)
        _confirm_interval(session, id_)
        endpoint_verifications.ask_again(session, id_, found.version)
        audit_log.record(session, current_caller(), _change(found))
    _log.info("verification_requested", subscription=id_)
    lifecycle.notify(services, id_, found.version + 1)
    return found


def _confirm_unverified(found: Subscription) -> None:
    if found.destination.verification is Verification.NONE:
        raise Conflict("the endpoint is not asked: destination.webhook.verification.kind is none")
    if not found.destination.unverified:
        raise Conflict("the endpoint has shown that it wants the requests: it is asked again when its URL changes")
    if not found.active:
        raise Conflict("the subscription is inactive: its endpoint is asked when it is active")


def _confirm_interval(session: Session, id_: str) -> None:
    """Raise TooManyRequests if the endpoint is being asked. A row from the future counts as old: a clock was wrong."""
    age_s = clock.wall_clock() - endpoint_verifications.changed_at(session, id_)
    if abs(age_s) < MIN_INTERVAL_S:
        raise TooManyRequests(
            f"the subscription was changed, or a question requested, less than {MIN_INTERVAL_S:g} s ago: "
            "its endpoint is asked because of that",
            retry_after_s=min(MIN_INTERVAL_S - age_s, MIN_INTERVAL_S),
        )


def _change(found: Subscription) -> Change:
    return Change(action="verify", subject_kind="Verification", subject_id=found.id, tenant=found.tenant)
