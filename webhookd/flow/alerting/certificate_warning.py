"""The warning that the certificate of a subscription's endpoint expires soon: one mail for each certificate.

An incident waits for the time of the mail from the moment when the certificate is first known, so that the mail needs
no traffic then, and only one process sends it:

event                                           incident
a status has a certificate that is still valid  begins, unless there is one, or the subscription has LARGEST_NUMBER of
                                                them; its mail is due at `warn_at`
the mail is due, and the status has still it    stays until the certificate has expired, so that no second mail is sent,
                                                and for BETWEEN_MAILS_S at least
it is due within BETWEEN_MAILS_S of another     waits until they have passed
mail about a certificate of the subscription
the mail is due, and the status has another     ends without a mail. So it does when the subscription is inactive or
one, or none                                    deleted, or has another URL. It begins anew with the next status
CHECK_AGAIN_S have passed                        ends if the mail is not needed any more, as above
the certificate has expired                     ends; requests fail with `tls_failed`, which has mails of its own

The key of the incident names the certificate by its expiry. So servers behind one name that show different certificates
in turns cause one mail for each certificate. A server can show another certificate at each handshake: the two bounds
keep the number of rows and of mails small then.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from webhookd.flow.alerting import alert_text
from webhookd.flow.alerting.alert import AlertKind, DueAlerts, write_alert
from webhookd.flow.alerting.alert_recipient import AlertRecipient
from webhookd.flow.alerting.incident import Incident
from webhookd.flow.status.endpoint_certificate import EndpointCertificate
from webhookd.flow.status.subscription_status import SubscriptionStatus

PREFIX = "certificate:"

CHECK_AGAIN_S = 7 * 86400.0
"""How often an incident is checked before its mail is due, so that those of deleted subscriptions do not stay: some
certificates are valid for decades."""

LARGEST_NUMBER = 4
"""How many incidents about certificates a subscription has at most. Those of certificates that are not shown any more
end within CHECK_AGAIN_S; then the next status begins the one that had no room."""

BETWEEN_MAILS_S = 86400.0
"""At most one mail about the certificates of a subscription is sent in this time."""


def certificate_key(subscription_id: str, certificate: EndpointCertificate) -> str:
    """Return the key of the incident about this certificate; the subscription's id is its second part."""
    return f"{key_prefix(subscription_id)}{certificate.expires_at:.0f}"


def key_prefix(subscription_id: str) -> str:
    """Return what the keys of all incidents about certificates of this subscription begin with; a number follows."""
    return f"{PREFIX}{subscription_id}:"


def has_room(key: str, open_keys: Iterable[str]) -> bool:
    """Return whether the incident with this key may begin beside those that are open."""
    prefix = key.rpartition(":")[0] + ":"
    return sum(other.startswith(prefix) for other in open_keys) < LARGEST_NUMBER


def awaited_warning(status: SubscriptionStatus, now: float) -> dict[str, Incident]:
    """Return by its key the incident that waits for the mail about the certificate in this status, if it has one."""
    certificate = status.endpoint_certificate
    if certificate is None or certificate.expires_at <= now:
        return {}
    waiting = Incident(began_at=now, owner_notified=False, mails=0, next_mail_at=_next_check_at(certificate, now))
    return {certificate_key(status.subscription_id, certificate): waiting}


def due_warning(
    key: str,
    open_: Mapping[str, Incident],
    status: SubscriptionStatus | None,
    recipient: AlertRecipient | None,
    now: float,
) -> DueAlerts:
    """Return what is due about the certificate of the incident with this key, after its `next_mail_at`.

    `open_` are open incidents, at least all about certificates of this subscription.
    """
    incident = open_[key]
    if now < incident.next_mail_at:
        return DueAlerts()  # another process has sent the mail
    certificate = status.endpoint_certificate if status is not None else None
    if (
        certificate is None
        or recipient is None
        or not recipient.active
        or not certificate.belongs_to(recipient.url)
        or key != certificate_key(recipient.id, certificate)
        or certificate.expires_at <= now
    ):
        return DueAlerts(incidents={key: None})
    if now < certificate.warn_at:
        return DueAlerts(incidents={key: replace(incident, next_mail_at=_next_check_at(certificate, now))})
    quiet_until = _last_mail_at(recipient.id, open_) + BETWEEN_MAILS_S
    if now < quiet_until:
        return DueAlerts(incidents={key: replace(incident, next_mail_at=quiet_until)})
    text = alert_text.on_certificate(certificate, recipient, now)
    alert = write_alert(key, AlertKind.CERTIFICATE_EXPIRES, recipient.emails, text, now)
    sent = Incident(began_at=now, mails=1, next_mail_at=max(certificate.expires_at, now + BETWEEN_MAILS_S))
    return DueAlerts(incidents={key: sent}, alerts=(alert,))


def _last_mail_at(subscription_id: str, open_: Mapping[str, Incident]) -> float:
    """Return when the last mail about a certificate was sent, which is where `began_at` of its incident is then."""
    prefix = key_prefix(subscription_id)
    sent = [incident.began_at for key, incident in open_.items() if key.startswith(prefix) and incident.mails]
    return max(sent, default=-BETWEEN_MAILS_S)


def _next_check_at(certificate: EndpointCertificate, now: float) -> float:
    return min(certificate.warn_at, now + CHECK_AGAIN_S)
