"""Renders the status of a subscription from the rows that the API and ingest have stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from webhookd.errors import UnusableSubscription
from webhookd.flow.control.administration import OFFLINE_REASON, ONLINE, Administration
from webhookd.flow.status.activity import Activity
from webhookd.flow.status.delivery_status import STARTING, STOPPED, DeliveryStatus, FailedAttempt
from webhookd.flow.status.endpoint_certificate import EndpointCertificate
from webhookd.flow.status.problem import Problem
from webhookd.flow.status.reason_codes import meaning
from webhookd.flow.status.subscription_status import Health, LostRange, SubscriptionStatus
from webhookd.store.mail_failures import MailFailure
from webhookd.store.subscriptions import SubscriptionSummary

INACTIVE = "inactive"
"""The status of a subscription that does not run; one that runs is healthy or unhealthy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRows:
    """The rows that decide the health of a subscription; `status` is None until ingest has written one."""

    summary: SubscriptionSummary
    usable: bool
    status: SubscriptionStatus | None
    administration: Administration = ONLINE


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRows(SubscriptionRows):
    """All rows of one subscription that its status shows."""

    activities: Sequence[Activity]
    dead_letters: int
    mail_failures: Sequence[MailFailure] = ()
    tls_verify: bool = True


def render_status(rows: StatusRows, now: float) -> dict[str, Any]:
    """Return the response body; `now` is in seconds since the epoch."""
    status = rows.status or SubscriptionStatus(subscription_id=rows.summary.id, health=Health.HEALTHY)
    health, reason = health_of(rows)
    since = now - rows.administration.age_s if rows.administration.offline else status.since
    return {
        "id": rows.summary.id,
        "kind": "WebhookStatus",
        "name": rows.summary.name,
        "active": "yes" if rows.summary.active else "no",
        "payload_url": rows.summary.url,
        "tls_verify": "yes" if rows.tls_verify else "no",
        "endpoint_certificate": _certificate(status.endpoint_certificate, rows.summary.url, now),
        "timestamp": iso(now),
        "status": health,
        "reason": reason,
        "since": iso(since) if since else None,
        "failing_since": iso(status.failing_since) if status.failing_since else None,
        "last_failure": status.last_failure,
        "delivery": _delivery(delivery_of(rows)),
        "problems": [_problem(item) for item in status.problems],
        "lag": None if health == INACTIVE else status.lag,
        "lost_ranges": [_lost(item) for item in status.lost_ranges],
        "topics": topics_of(rows),
        "counters": {
            "delivered": status.delivered,
            "filtered": status.filtered,
            "denied": status.denied,
            "filter_errors": status.filter_errors,
            "last_filter_error": status.last_filter_error,
            "dead_lettered": rows.dead_letters,
        },
        "alerts": _alerts(rows.mail_failures),
        "recent_activity": [_event(item) for item in rows.activities],
    }


def delivery_of(rows: SubscriptionRows) -> DeliveryStatus:
    """Return the state of the deliveries; STARTING until ingest runs the newest version."""
    if rows.administration.offline or not rows.summary.active or not rows.usable:
        return STOPPED
    status = rows.status
    if status is None or status.delivery is None or status.version not in {0, rows.summary.version}:
        return STARTING
    return status.delivery


def _delivery(status: DeliveryStatus) -> dict[str, Any]:
    return {
        "state": status.state.value,
        "since": iso(status.since) if status.since else None,
        "attempt": status.attempt or None,
        "max_attempts": status.max_attempts or None,
        "next_attempt_at": iso(status.next_attempt_at) if status.next_attempt_at else None,
        "lanes": status.lanes,
        "lanes_failing": status.lanes_failing,
        "limited_by": status.limited_by or None,
        "last_failure": _failure(status.last_failure) if status.last_failure else None,
    }


def _failure(failure: FailedAttempt) -> dict[str, Any]:
    return {
        "code": failure.code,
        "timestamp": iso(failure.at),
        "response_code": failure.status or None,
        "response_body": failure.answer,
        "detail": failure.detail,
    }


def _certificate(certificate: EndpointCertificate | None, url: str, now: float) -> dict[str, Any] | None:
    """The certificate; None also when the subscription has another endpoint now."""
    if certificate is None or not certificate.belongs_to(url):
        return None
    return {
        "host": certificate.host,
        "port": certificate.port,
        "state": certificate.state(now).value,
        "expires_at": iso(certificate.expires_at),
        "seen_at": iso(certificate.seen_at),
    }


def _alerts(failures: Sequence[MailFailure]) -> dict[str, Any]:
    """The addresses that do not get their mails; the others are not listed."""
    newest = max(failures, key=lambda failure: failure.at, default=None)
    return {
        "undelivered": sum(failure.mails for failure in failures),
        "last_error": newest.detail if newest else "",
        "recipients": [
            {
                "address": failure.recipient,
                "state": failure.result.value,
                "detail": failure.detail,
                "since": iso(failure.since),
                "timestamp": iso(failure.at),
            }
            for failure in failures
        ],
    }


def _problem(item: Problem) -> dict[str, Any]:
    return {"code": item.code, "meaning": meaning(item.code), "detail": item.detail, "since": iso(item.since)}


def _lost(item: LostRange) -> dict[str, Any]:
    return {
        "topic": item.topic,
        "partition": item.partition,
        "from": item.first,
        "to": item.end - 1,
        "count": item.count,
        "timestamp": iso(item.at),
    }


def iso(at: float) -> str:
    """Return a time in ISO 8601 and UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def health_of(rows: SubscriptionRows) -> tuple[str, str]:
    """The values of `status` and `reason`."""
    if rows.administration.offline:
        return INACTIVE, OFFLINE_REASON
    if not rows.summary.active:
        return INACTIVE, rows.summary.inactive_reason
    if not rows.usable:
        return Health.UNHEALTHY.value, UnusableSubscription.code
    if rows.status is None:
        return Health.HEALTHY.value, ""
    return rows.status.health.value, rows.status.reason


def topics_of(rows: SubscriptionRows) -> list[dict[str, Any]]:
    """Return the topics with their partition counts, as ingest last read them."""
    topics = rows.status.topics if rows.status else ()
    return [{"topic": item.topic, "partitions": item.partitions} for item in topics]


def _event(item: Activity) -> dict[str, Any]:
    return {
        "timestamp": iso(item.at),
        "event": item.event.value,
        "calls": item.calls,
        "request": item.request,
        "request_headers": list(item.request_headers),
        "response_code": item.response_code,
        "response_body": item.response_body,
        "response_headers": list(item.response_headers),
        "error": item.error,
        "detail": item.detail,
    }
