"""Which alerts a subscription's condition makes due, for its owner.

what happened                                  mail
it turned unhealthy, or still is               as incident.py says; newly lost records stand in the same mail
it turned healthy                              likewise
its owner changed it                           nothing before the new version has delivered, or has turned unhealthy
records were lost                              at once; what is lost within an hour of that mail (then 4, 12, 24 h) is
                                               told in one mail after it
webhookd switched it off                       once; the spell ends with it

Who has given no address is told nothing; the log says it all the same.
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
    """What an alert is about; the word in the outbox and in the log."""

    UNHEALTHY = "unhealthy"
    REMINDER = "reminder"
    RECOVERED = "recovered"
    RECORDS_LOST = "records_lost"
    DEACTIVATED = "deactivated"
    FAULT = "fault"
    FAULT_REMINDER = "fault_reminder"
    FAULT_OVER = "fault_over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One mail that is due, and what it is about."""

    subject_key: str
    kind: AlertKind
    mail: Mail


@dataclass(frozen=True, slots=True, kw_only=True)
class DueAlerts:
    """What a look came to: spells by key as they are from here on (None: there is none), and the alerts."""

    incidents: Mapping[str, Incident | None] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()


KINDS = {
    NoticeKind.FAILING: AlertKind.UNHEALTHY,
    NoticeKind.STILL_FAILING: AlertKind.REMINDER,
    NoticeKind.RECOVERED: AlertKind.RECOVERED,
}


def health_key(subscription_id: str) -> str:
    """Under which key the spell of an unhealthy subscription is kept."""
    return f"subscription:{subscription_id}"


def loss_key(subscription_id: str) -> str:
    """Under which key it is kept that a subscription's lost records were told of."""
    return f"lost:{subscription_id}"


def write_alert(
    subject_key: str, kind: AlertKind, recipients: Sequence[str], text: alert_text.Text, now: float
) -> Alert:
    """The alert with its mail."""
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
    """What the latest condition makes due; `before` is the one it replaces, or itself when only time has passed."""
    health, loss = health_key(latest.subscription_id), loss_key(latest.subscription_id)
    incident, word = _health(latest, recipient, incidents.get(health), now)
    loss_incident, lost = _lost(before, latest, incidents.get(loss), now)
    alerts: tuple[Alert, ...] = ()
    if word is not None:
        text = alert_text.on_health(word, latest, recipient, lost, now)
        alerts = (write_alert(health, KINDS[word], recipient.emails, text, now),)
    elif lost is not None:
        text = alert_text.on_loss(latest, recipient, lost)
        alerts = (write_alert(loss, AlertKind.RECORDS_LOST, recipient.emails, text, now),)
    return DueAlerts(incidents={health: incident, loss: loss_incident}, alerts=alerts)


def _health(
    latest: SubscriptionStatus, recipient: AlertRecipient, incident: Incident | None, now: float
) -> tuple[Incident | None, NoticeKind | None]:
    older = 0 < latest.version < recipient.version
    if older or (latest.health is Health.HEALTHY and not latest.delivered_since_change):
        return observe_unknown(incident, now), None
    return observe(incident, failing=latest.health is Health.UNHEALTHY, now=now)


def alerts_on_deactivation(
    recipient: AlertRecipient, reason: str, status: SubscriptionStatus | None, now: float
) -> DueAlerts:
    """What is due when webhookd itself has switched a subscription off."""
    health, loss = health_key(recipient.id), loss_key(recipient.id)
    text = alert_text.on_deactivation(recipient, reason, status, now)
    alert = write_alert(health, AlertKind.DEACTIVATED, recipient.emails, text, now)
    return DueAlerts(incidents={health: None, loss: None}, alerts=(alert,))


def _lost(
    before: SubscriptionStatus | None, latest: SubscriptionStatus, incident: Incident | None, now: float
) -> tuple[Incident | None, LostRecords | None]:
    """The losses to tell of now. Of one that was told, `began_at` is when the first untold one after it was."""
    known = set(before.lost_ranges) if before is not None else set()
    news = summarise(item for item in latest.lost_ranges if item not in known)
    if incident is None:
        return (Incident(began_at=now, next_mail_at=now + REMINDER_INTERVALS_S[0]), news) if news else (None, None)
    if news is not None:
        incident = _with(news, incident)
    if now < incident.next_mail_at:
        return incident, None
    if incident.owner_notified:
        return None, None
    wait_s = REMINDER_INTERVALS_S[min(incident.mails, len(REMINDER_INTERVALS_S) - 1)]
    untold = LostRecords(
        ranges=tuple(item for item in latest.lost_ranges if item.at >= incident.began_at),
        count=incident.unreported_ranges,
        records=incident.unreported_records,
    )
    owner_notified = replace(incident, owner_notified=True, unreported_ranges=0, unreported_records=0)
    return replace(owner_notified, mails=incident.mails + 1, next_mail_at=now + wait_s), untold


def _with(news: LostRecords, incident: Incident) -> Incident:
    """The condition keeps only the newest ranges, so what is not told yet is counted."""
    began_at = min(item.at for item in news.ranges)
    return replace(
        incident,
        owner_notified=False,
        began_at=began_at if incident.owner_notified else min(incident.began_at, began_at),
        unreported_ranges=incident.unreported_ranges + news.count,
        unreported_records=incident.unreported_records + news.records,
    )
