"""Where conditions meet the outbox: what they make due is written in the transaction that writes them."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from webhookd import logs
from webhookd.flow.alerting import alert
from webhookd.flow.alerting.alert import Alert, DueAlerts, health_key, loss_key
from webhookd.flow.alerting.alert_recipient import AlertRecipient
from webhookd.flow.alerting.incident import Incident
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.flow.subscription import Subscription
from webhookd.store import administration, incidents, mail_outbox, subscription_statuses

_log = logs.get(__name__)


def raise_due(session: Session, latest: Sequence[SubscriptionStatus], now: float) -> list[Alert]:
    """Put into the outbox what these conditions make due; call it before they overwrite the ones before them.

    Answers the alerts, to be logged once the transaction is committed.
    """
    open_ = incidents.lock(session, [key for status in latest for key in _keys(status.subscription_id)])
    concerned = [status for status in latest if _concerned(status, open_)]
    if not concerned:
        return []
    ids = [status.subscription_id for status in concerned]
    before = subscription_statuses.read_all(session, ids)
    recipients = mail_outbox.recipients(session, ids)
    raised: list[Alert] = []
    for status in sorted(concerned, key=lambda found: found.subscription_id):
        recipient = recipients.get(status.subscription_id)
        if recipient is not None and recipient.active:
            due = alert.due_alerts(before.get(recipient.id), status, recipient, open_, now)
            raised += _write(session, open_, due)
    return raised


def remind(session: Session, now: float) -> list[Alert]:
    """Put into the outbox what is due because time has passed, and forget the spells that are over.

    While webhookd is offline nobody is reminded: nothing is delivered, and its operators know why.
    """
    keys = incidents.due(session, now)
    if not keys or administration.read(session).offline:
        return []
    ids = sorted({key.partition(":")[2] for key in keys if not key.startswith("fault:")})
    open_ = incidents.lock(session, [*keys, *[key for id_ in ids for key in _keys(id_)]])
    recipients = mail_outbox.recipients(session, ids)
    latest = subscription_statuses.read_all(session, ids)
    raised: list[Alert] = []
    for id_ in ids:
        raised += _write(session, open_, _overdue(id_, latest.get(id_), recipients.get(id_), open_, now))
    return raised


def raise_deactivation(session: Session, subscription: Subscription, now: float) -> list[Alert]:
    """Put into the outbox that webhookd switched this subscription off, for its `inactive_reason`.

    For the transaction that stores it as inactive; answers the alert, to be logged once that is committed.
    """
    open_ = incidents.lock(session, _keys(subscription.id))
    recipient = mail_outbox.recipient(subscription)
    status = subscription_statuses.read(session, subscription.id)
    return _write(session, open_, alert.alerts_on_deactivation(recipient, subscription.inactive_reason, status, now))


def log(raised: Sequence[Alert]) -> None:
    """Say which alerts there are now, in the log as well: there may be nobody to mail to."""
    for item in raised:
        _log.warning(
            "alert_raised",
            kind=item.kind.value,
            subject_key=item.subject_key,
            recipients=len(item.mail.recipients),
            subject=item.mail.subject,
        )


def _keys(subscription_id: str) -> tuple[str, str]:
    return health_key(subscription_id), loss_key(subscription_id)


def _concerned(status: SubscriptionStatus, open_: dict[str, Incident]) -> bool:
    """Most conditions are those of healthy subscriptions that nobody was told of: they cost no query."""
    healthy = status.health is Health.HEALTHY and not status.lost_ranges
    return not healthy or any(key in open_ for key in _keys(status.subscription_id))


def _overdue(
    id_: str,
    status: SubscriptionStatus | None,
    recipient: AlertRecipient | None,
    open_: dict[str, Incident],
    now: float,
) -> DueAlerts:
    """A subscription that is gone, or switched off, reminds nobody."""
    if status is None or recipient is None or not recipient.active:
        return DueAlerts(incidents=dict.fromkeys(_keys(id_)))
    return alert.due_alerts(status, status, recipient, open_, now)


def _write(session: Session, open_: dict[str, Incident], due: DueAlerts) -> list[Alert]:
    late = incidents.save(session, open_, due.incidents)
    raised = [item for item in due.alerts if item.subject_key not in late]
    mail_outbox.add(session, raised)
    return raised
