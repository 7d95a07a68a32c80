"""Adds the alerts that statuses make due to the mail outbox, in the transaction that writes the statuses."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from webhookd import logs
from webhookd.flow.alerting import alert
from webhookd.flow.alerting.alert import Alert, DueAlerts, health_key, loss_key
from webhookd.flow.alerting.alert_recipient import AlertRecipient
from webhookd.flow.alerting.certificate_warning import PREFIX as CERTIFICATE
from webhookd.flow.alerting.certificate_warning import awaited_warning, due_warning, has_room, key_prefix
from webhookd.flow.alerting.incident import Incident
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.flow.subscription import Subscription
from webhookd.store import administration, incidents, mail_failures, mail_outbox, subscription_statuses

_log = logs.get(__name__)


def raise_due(session: Session, latest: Sequence[SubscriptionStatus], now: float) -> list[Alert]:
    """Add to the outbox the alerts that these statuses make due; call it before they overwrite the previous ones.

    Return the alerts, to be logged after the commit.
    """
    _await_warnings(session, latest, now)
    open_ = incidents.lock(session, [key for status in latest for key in _keys(status.subscription_id)])
    candidates = [status for status in latest if _may_be_due(status, open_)]
    if not candidates:
        return []
    ids = [status.subscription_id for status in candidates]
    before = subscription_statuses.read_all(session, ids)
    recipients = mail_outbox.recipients(session, ids)
    raised: list[Alert] = []
    for status in sorted(candidates, key=lambda found: found.subscription_id):
        recipient = recipients.get(status.subscription_id)
        if recipient is not None and recipient.active:
            due = alert.due_alerts(before.get(recipient.id), status, recipient, open_, now)
            raised += _store(session, open_, due)
    return raised


def remind(session: Session, now: float) -> list[Alert]:
    """Add to the outbox the alerts that are due because time has passed, and delete the incidents that are over.

    While webhookd is offline no reminder is sent: nothing is delivered, and its operators know why.
    """
    keys = incidents.due(session, now)
    if not keys or administration.read(session).offline:
        return []
    ids = sorted({mail_outbox.owner_of(key) for key in keys} - {mail_failures.OPERATORS})
    due_certificates = [key for key in keys if key.startswith(CERTIFICATE)]
    beside = incidents.numbered(session, [key_prefix(mail_outbox.owner_of(key)) for key in due_certificates])
    open_ = incidents.lock(session, [*keys, *beside, *[key for id_ in ids for key in _keys(id_)]])
    recipients = mail_outbox.recipients(session, ids)
    latest = subscription_statuses.read_all(session, ids)
    raised: list[Alert] = []
    for id_ in ids:
        raised += _store(session, open_, _reminders(id_, latest.get(id_), recipients.get(id_), open_, now))
    for key in (key for key in due_certificates if key in open_):
        id_ = mail_outbox.owner_of(key)
        raised += _store(session, open_, due_warning(key, open_, latest.get(id_), recipients.get(id_), now))
    return raised


def raise_deactivation(session: Session, subscription: Subscription, now: float) -> list[Alert]:
    """Add to the outbox the alert that webhookd has deactivated this subscription for its `inactive_reason`.

    For the transaction that stores it as inactive. Return the alert, to be logged after the commit.
    """
    open_ = incidents.lock(session, _keys(subscription.id))
    recipient = mail_outbox.recipient(subscription)
    status = subscription_statuses.read(session, subscription.id)
    return _store(session, open_, alert.alerts_on_deactivation(recipient, subscription.inactive_reason, status, now))


def log(raised: Sequence[Alert]) -> None:
    """Log the alerts, including those that no one is mailed about because the subscription has no recipient."""
    for item in raised:
        _log.warning(
            "alert_raised",
            kind=item.kind.value,
            subject_key=item.subject_key,
            recipients=len(item.mail.recipients),
            subject=item.mail.subject,
        )


def _await_warnings(session: Session, latest: Sequence[SubscriptionStatus], now: float) -> None:
    """Store the incidents that wait for the expiry of the endpoints' certificates; `remind` raises their alerts."""
    waiting: dict[str, Incident] = {}
    for status in latest:
        waiting |= awaited_warning(status, now)
    begins = incidents.missing(session, waiting) if waiting else set()
    if begins:
        beside = incidents.numbered(session, [key_prefix(mail_outbox.owner_of(key)) for key in begins])
        incidents.save(session, {}, {key: waiting[key] for key in begins if has_room(key, beside)})


def _keys(subscription_id: str) -> tuple[str, str]:
    return health_key(subscription_id), loss_key(subscription_id)


def _may_be_due(status: SubscriptionStatus, open_: dict[str, Incident]) -> bool:
    """Return whether a status may make an alert due: most are of healthy subscriptions without an incident."""
    healthy = status.health is Health.HEALTHY and not status.lost_ranges
    return not healthy or any(key in open_ for key in _keys(status.subscription_id))


def _reminders(
    id_: str,
    status: SubscriptionStatus | None,
    recipient: AlertRecipient | None,
    open_: dict[str, Incident],
    now: float,
) -> DueAlerts:
    """Return the reminders of a subscription; one that is deleted or inactive has none, and its incidents end."""
    if status is None or recipient is None or not recipient.active:
        return DueAlerts(incidents=dict.fromkeys(_keys(id_)))
    return alert.due_alerts(status, status, recipient, open_, now)


def _store(session: Session, open_: dict[str, Incident], due: DueAlerts) -> list[Alert]:
    late = incidents.save(session, open_, due.incidents)
    raised = [item for item in due.alerts if item.subject_key not in late]
    mail_outbox.add(session, raised)
    return raised
