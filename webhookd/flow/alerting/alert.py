"""Which alert mails about a subscription are due to its owner, and the alerts with their mails.

event                                            mail
the subscription is unhealthy, or still is       see incident.py; records lost meanwhile are in the same mail
it has recovered                                 see incident.py
its owner has changed it                         none before the new version has delivered something or is unhealthy
records were lost                                at once; records lost within an hour after that mail (then 4, 12, 24 h)
                                                 are reported together in one mail after it
webhookd has deactivated it                      one; it ends the incident
the certificate of its endpoint expires soon     see certificate_warning.py

An owner without an address gets no mail; the log has every alert.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from webhookd.flow.alerting import alert_text
from webhookd.flow.alerting.alert_recipient import AlertRecipient
from webhookd.flow.alerting.incident import REMINDER_INTERVALS_S, Incident, NoticeKind, observe, observe_unknown
from webhookd.flow.alerting.lost_records import LostRecords, summarise
from webhookd.flow.alerting.mail import Mail, token_of
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus


class AlertKind(StrEnum):
    """What an alert is about; stored in the outbox and logged."""

    UNHEALTHY = "unhealthy"
    REMINDER = "reminder"
    RECOVERED = "recovered"
    RECORDS_LOST = "records_lost"
    DEACTIVATED = "deactivated"
    CERTIFICATE_EXPIRES = "certificate_expires"
    FAULT = "fault"
    FAULT_REMINDER = "fault_reminder"
    FAULT_OVER = "fault_over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One mail that is due; `subject_key` is the key of the incident that it is about."""

    subject_key: str
    kind: AlertKind
    mail: Mail


@dataclass(frozen=True, slots=True, kw_only=True)
class DueAlerts:
    """The result of a check: the incidents to store, by key (None: delete it), and the alerts to send."""

    incidents: Mapping[str, Incident | None] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()


KINDS = {
    NoticeKind.FAILING: AlertKind.UNHEALTHY,
    NoticeKind.STILL_FAILING: AlertKind.REMINDER,
    NoticeKind.RECOVERED: AlertKind.RECOVERED,
}


def health_key(subscription_id: str) -> str:
    """Return the key of the incident of an unhealthy subscription."""
    return f"subscription:{subscription_id}"


def loss_key(subscription_id: str) -> str:
    """Return the key of the incident that holds which lost records of a subscription were reported."""
    return f"lost:{subscription_id}"


def write_alert(
    subject_key: str, kind: AlertKind, recipients: Sequence[str], text: alert_text.Text, now: float
) -> Alert:
    """Return the alert with its mail, which each recipient gets once."""
    mail = Mail(
        token=token_of(subject_key, kind, now),
        recipients=tuple(dict.fromkeys(recipients)),
        subject=text.subject,
        body=text.body,
        created_at=now,
    )
    return Alert(subject_key=subject_key, kind=kind, mail=mail)


def due_alerts(
    before: SubscriptionStatus | None,
    latest: SubscriptionStatus,
    recipient: AlertRecipient,
    incidents: Mapping[str, Incident],
    now: float,
) -> DueAlerts:
    """Return what is due for the latest status.

    `before` is the status that it replaces, or the same status when only time has passed.
    """
    health, loss = health_key(latest.subscription_id), loss_key(latest.subscription_id)
    incident, notice = _health(latest, recipient, incidents.get(health), now)
    loss_incident, lost = _loss(before, latest, incidents.get(loss), now)
    alerts: tuple[Alert, ...] = ()
    if notice is not None:
        text = alert_text.on_health(notice, latest, recipient, lost, now)
        alerts = (write_alert(health, KINDS[notice], recipient.emails, text, now),)
    elif lost is not None:
        text = alert_text.on_loss(latest, recipient, lost)
        alerts = (write_alert(loss, AlertKind.RECORDS_LOST, recipient.emails, text, now),)
    return DueAlerts(incidents={health: incident, loss: loss_incident}, alerts=alerts)


def _health(
    latest: SubscriptionStatus, recipient: AlertRecipient, incident: Incident | None, now: float
) -> tuple[Incident | None, NoticeKind | None]:
    older = 0 < latest.version < recipient.version
    if older or (latest.health is Health.HEALTHY and not latest.version_delivered):
        return observe_unknown(incident, now), None
    return observe(incident, failing=latest.health is Health.UNHEALTHY, now=now)


def alerts_on_deactivation(
    recipient: AlertRecipient, reason: str, status: SubscriptionStatus | None, now: float
) -> DueAlerts:
    """Return what is due after webhookd itself has deactivated a subscription."""
    health, loss = health_key(recipient.id), loss_key(recipient.id)
    text = alert_text.on_deactivation(recipient, reason, status, now)
    alert = write_alert(health, AlertKind.DEACTIVATED, recipient.emails, text, now)
    return DueAlerts(incidents={health: None, loss: None}, alerts=(alert,))


def _loss(
    before: SubscriptionStatus | None, latest: SubscriptionStatus, incident: Incident | None, now: float
) -> tuple[Incident | None, LostRecords | None]:
    """Return the incident of lost records (None: there is none), and the losses to report now.

    Once a mail was sent, `began_at` of the incident is the time of the first loss that is not reported.
    """
    known = set(before.lost_ranges) if before is not None else set()
    new = summarise(item for item in latest.lost_ranges if item not in known)
    if incident is None:
        return (Incident(began_at=now, next_mail_at=now + REMINDER_INTERVALS_S[0]), new) if new else (None, None)
    if new is not None:
        incident = _add_unreported(new, incident)
    if now < incident.next_mail_at:
        return incident, None
    if incident.owner_notified:
        return None, None
    wait_s = REMINDER_INTERVALS_S[min(incident.mails, len(REMINDER_INTERVALS_S) - 1)]
    unreported = LostRecords(
        ranges=tuple(item for item in latest.lost_ranges if item.at >= incident.began_at),
        count=incident.unreported_ranges,
        records=incident.unreported_records,
    )
    reported = replace(incident, owner_notified=True, unreported_ranges=0, unreported_records=0)
    return replace(reported, mails=incident.mails + 1, next_mail_at=now + wait_s), unreported


def _add_unreported(new: LostRecords, incident: Incident) -> Incident:
    """Count losses that no mail has reported yet. The status cannot count them: it keeps only the newest ranges."""
    began_at = min(item.at for item in new.ranges)
    return replace(
        incident,
        owner_notified=False,
        began_at=began_at if incident.owner_notified else min(incident.began_at, began_at),
        unreported_ranges=incident.unreported_ranges + new.count,
        unreported_records=incident.unreported_records + new.records,
    )
