"""Asks an endpoint again, before it is due: the subscription gets another version, under which it is asked at once.

The endpoint is not asked by the API, which has neither the network nor the secrets for that, but by a worker.
"""

from api.extensions.callers import current_caller, transaction
from api.ports import Services
from api.resources.subscription import lifecycle
from webhookd import logs
from webhookd.errors import Conflict
from webhookd.flow.destination import Verification
from webhookd.flow.subscription import Subscription
from webhookd.store import audit_log, endpoint_verifications, subscriptions
from webhookd.store.audit_log import Change

_log = logs.get(__name__)


def ask(services: Services, id_: str) -> Subscription:
    """Let the endpoint of a subscription be asked now; returns the subscription.

    Raises NotFound, UnusableSubscription, StoreUnavailable, and Conflict when there is nothing to ask.
    """
    with transaction(services) as session:
        subscriptions.lock(session, id_)
        found = subscriptions.find(session, id_)
        _confirm_unverified(found)
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


def _change(found: Subscription) -> Change:
    return Change(action="verify", subject_kind="Verification", subject_id=found.id, tenant=found.tenant)
