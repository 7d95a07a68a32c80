"""How a status is put together from what the API and ingest have stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from webhookd.errors import UnusableSubscription
from webhookd.flow.activity import Activity
from webhookd.flow.administration import OFFLINE_REASON, ONLINE, Administration
from webhookd.flow.condition import Condition, Health, LostRange
from webhookd.flow.delivery_status import STARTING, STOPPED, DeliveryStatus, FailedAttempt
from webhookd.flow.problem import Problem
from webhookd.flow.reasons import meaning
from webhookd.store.mail_failures import MailFailure
from webhookd.store.subscriptions import Outline


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What decides how a subscription is doing; `condition` is None until ingest has looked at it."""

    outline: Outline
    usable: bool
    condition: Condition | None
    administration: Administration = ONLINE


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts(Standing):
    """What is stored about one subscription."""

    activities: Sequence[Activity]
    dead_letters: int
    mail_failures: Sequence[MailFailure] = ()


def draw(facts: Facts, now: float) -> dict[str, Any]:
    """The status as it is answered at `now`, seconds since the epoch."""
    condition = facts.condition or Condition(subscription_id=facts.outline.id, health=Health.HEALTHY)
    health, reason = health_of(facts)
    since = now - facts.administration.age_s if facts.administration.offline else condition.since
    return {
        "id": facts.outline.id,
        "kind": "WebhookStatus",
        "name": facts.outline.name,
        "active": "yes" if facts.outline.active else "no",
        "payload_url": facts.outline.url,
        "timestamp": iso(now),
        "status": health,
        "reason": reason,
        "since": iso(since) if since else None,
        "failing_since": iso(condition.failing_since) if condition.failing_since else None,
        "last_failure": condition.last_failure,
        "delivery": _delivery(delivery_of(facts)),
        "problems": [_problem(item) for item in condition.problems],
        "lag": None if health == "inactive" else condition.lag,
        "lost_ranges": [_lost(item) for item in condition.lost_ranges],
        "topics": topics_of(facts),
        "counters": {
            "delivered": condition.delivered,
            "filtered": condition.filtered,
            "filter_errors": condition.filter_errors,
            "last_filter_error": condition.last_filter_error,
            "dead_lettered": facts.dead_letters,
        },
        "alerts": _alerts(facts.mail_failures),
        "recent_activity": [_event(item) for item in facts.activities],
    }


def delivery_of(standing: Standing) -> DeliveryStatus:
    """What the deliveries are doing; ingest has to begin with what was changed or made a moment ago."""
    if standing.administration.offline or not standing.outline.active or not standing.usable:
        return STOPPED
    condition = standing.condition
    if condition is None or condition.delivery is None or condition.version not in {0, standing.outline.version}:
        return STARTING
    return condition.delivery


def _delivery(status: DeliveryStatus) -> dict[str, Any]:
    return {
        "state": status.state.value,
        "since": iso(status.since) if status.since else None,
        "attempt": status.attempt or None,
        "max_attempts": status.max_attempts or None,
        "next_attempt_at": iso(status.next_attempt_at) if status.next_attempt_at else None,
        "lanes": status.lanes,
        "lanes_failing": status.lanes_failing,
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


def _alerts(failures: Sequence[MailFailure]) -> dict[str, Any]:
    """Which addresses do not get their mails; nothing to say of those that do."""
    newest = max(failures, key=lambda failure: failure.at, default=None)
    return {
        "undelivered": sum(failure.mails for failure in failures),
        "last_error": newest.detail if newest else "",
        "recipients": [
            {
                "address": failure.recipient,
                "state": failure.fate.value,
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
    """ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def health_of(standing: Standing) -> tuple[str, str]:
    """Status and reason, as they are shown."""
    if standing.administration.offline:
        return "inactive", OFFLINE_REASON
    if not standing.outline.active:
        return "inactive", standing.outline.inactive_reason
    if not standing.usable:
        return Health.UNHEALTHY.value, UnusableSubscription.code
    if standing.condition is None:
        return Health.HEALTHY.value, ""
    return standing.condition.health.value, standing.condition.reason


def topics_of(standing: Standing) -> list[dict[str, Any]]:
    """The topics as ingest last saw them."""
    topics = standing.condition.topics if standing.condition else ()
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
