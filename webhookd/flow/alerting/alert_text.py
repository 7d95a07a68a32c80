"""The texts of alert mails about a subscription: its name, since when, the endpoint's answer, what happens, what to do.

The mails go to the subscription's owner: they show no header values and nothing of webhookd's internals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

from webhookd.flow.alerting.alert_recipient import AlertRecipient
from webhookd.flow.alerting.incident import NoticeKind
from webhookd.flow.alerting.lost_records import LostRecords
from webhookd.flow.alerting.mail import one_line
from webhookd.flow.alerting.problem_advice import (
    CERTIFICATE_UNVERIFIED,
    CERTIFICATE_VERIFIED,
    DEACTIVATED,
    FIX_CERTIFICATE,
    FIX_GONE,
    FIX_LOSS,
    PROBLEM_ADVICE,
    READ_ON,
    advice,
)
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.status.endpoint_certificate import CertificateState, EndpointCertificate
from webhookd.flow.status.reason_codes import EXCHANGE_CODES, HTTP, meaning
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus

RANGES_SHOWN = 20
ANSWER_CHARACTERS = 500
LINE = "  {:<16}{}"
HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class Text:
    """A subject and a plain body."""

    subject: str
    body: str


def on_health(
    kind: NoticeKind, status: SubscriptionStatus, recipient: AlertRecipient, lost: LostRecords | None, now: float
) -> Text:
    """Return the text for a subscription that fails, still fails, or has recovered."""
    if kind is NoticeKind.RECOVERED:
        return _recovered(status, recipient, lost)
    began_at = status.failing_since or status.since
    still = "still " if kind is NoticeKind.STILL_FAILING else ""
    subject = f"{one_line(recipient.name)} is {still}failing ({one_line(status.reason)})"
    facts = [
        *_who(recipient),
        ("failing since", f"{moment(began_at)} ({length(now - began_at)})"),
        ("reason", one_line(status.reason)),
        *_meaning(status.reason),
        *_detail(status),
        *_answer(status),
        *_expired(status, now),
        ("behind", behind(status.lag)),
    ]
    reaction, to_do = advice(status.reason, recipient.on_exhausted)
    return Text(
        _subject(subject),
        _body(_opening(status.reason, still), facts, _loss(lost), _next(reaction, to_do)),
    )


def on_loss(status: SubscriptionStatus, recipient: AlertRecipient, lost: LostRecords) -> Text:
    """Return the text for records that Kafka deleted before webhookd had read them."""
    facts = [*_who(recipient), ("behind", behind(status.lag))]
    opening = "Kafka had deleted records of this subscription before webhookd could read them. They are lost."
    return Text(
        _subject(f"{one_line(recipient.name)} has lost up to {records(lost.records)}"),
        _body(opening, facts, _loss(lost), _next(READ_ON, FIX_LOSS)),
    )


def on_deactivation(recipient: AlertRecipient, reason: str, status: SubscriptionStatus | None, now: float) -> Text:
    """Return the text for a subscription that webhookd has deactivated."""
    gone = "The endpoint answered 410 Gone." if reason == "gone" else ""
    facts = [
        *_who(recipient),
        ("deactivated", moment(now)),
        ("reason", one_line(reason)),
        *(_answer(status) if status is not None else []),
        *([("behind", behind(status.lag))] if status is not None else []),
    ]
    opening = f"webhookd has deactivated this subscription. {gone}".strip()
    return Text(
        _subject(f"{one_line(recipient.name)} was deactivated ({one_line(reason)})"),
        _body(opening, facts, [], _next(DEACTIVATED, FIX_GONE)),
    )


def on_certificate(certificate: EndpointCertificate, recipient: AlertRecipient, now: float) -> Text:
    """Return the text for an endpoint whose certificate expires soon."""
    facts = [
        *_who(recipient),
        ("host", host_of(certificate)),
        ("expires", f"{moment(certificate.expires_at)} (in {length(certificate.expires_at - now)})"),
        ("last seen", moment(certificate.seen_at)),
    ]
    opening = "The TLS certificate of this subscription's endpoint expires soon. Its records are still delivered."
    after_failures, _ = advice(FailureCode.TLS_FAILED, recipient.on_exhausted)
    reaction = CERTIFICATE_VERIFIED + after_failures if recipient.tls_verify else CERTIFICATE_UNVERIFIED
    date = moment(certificate.expires_at).partition(" ")[0]
    return Text(
        _subject(f"{one_line(recipient.name)}: the certificate of {certificate.host} expires on {date}"),
        _body(opening, facts, [], _next(reaction, FIX_CERTIFICATE)),
    )


def host_of(certificate: EndpointCertificate) -> str:
    """Return the host that has shown the certificate, with its port unless that is 443."""
    host = f"[{certificate.host}]" if ":" in certificate.host else certificate.host
    return host if certificate.port == HTTPS_PORT else f"{host}:{certificate.port}"


def moment(at: float) -> str:
    """Return a time as text, in UTC."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return "unknown"


def length(seconds: float) -> str:
    """Return a length of time as text."""
    if not isfinite(seconds):
        return "unknown"
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    return f"{whole // 3600} h" if whole < 2 * 86400 else f"{whole // 86400} days"


def records(count: int) -> str:
    """Return a number of records as text."""
    return f"{count:,} record{'' if count == 1 else 's'}"


def behind(lag: int | None) -> str:
    """Return as text how many records wait in Kafka."""
    return "unknown" if lag is None else records(lag)


def _meaning(code: str) -> list[tuple[str, str]]:
    return [("meaning", meaning(code))] if meaning(code) else []


def _opening(code: str, still: str) -> str:
    if code in PROBLEM_ADVICE:  # the endpoint may accept every request
        return f"This subscription {still}does not work correctly."
    return f"Deliveries of this subscription {still}fail."


def _recovered(status: SubscriptionStatus, recipient: AlertRecipient, lost: LostRecords | None) -> Text:
    facts = [*_who(recipient), ("recovered", moment(status.since)), ("behind", behind(status.lag))]
    return Text(
        _subject(f"{one_line(recipient.name)} has recovered"),
        _body("Deliveries of this subscription succeed again.", facts, _loss(lost), []),
    )


def _who(recipient: AlertRecipient) -> list[tuple[str, str]]:
    return [("subscription", one_line(recipient.name)), ("id", recipient.id)]


def _detail(status: SubscriptionStatus) -> list[tuple[str, str]]:
    """Show the detail of a problem that the endpoint did not cause."""
    details = [problem.detail for problem in status.problems if problem.code == status.reason]
    shown = status.reason in PROBLEM_ADVICE and any(details)
    return [("detail", one_line(details[0], ANSWER_CHARACTERS))] if shown else []


def _answer(status: SubscriptionStatus) -> list[tuple[str, str]]:
    """Label the last failure as the endpoint's answer, or as webhookd's own text where there was no answer."""
    answer = one_line(status.last_failure, ANSWER_CHARACTERS)
    code = answer.partition(":")[0]
    label = "no answer" if code in EXCHANGE_CODES and not code.startswith(HTTP) else "last answer"
    return [(label, answer)] if answer and status.health is Health.UNHEALTHY else []


def _expired(status: SubscriptionStatus, now: float) -> list[tuple[str, str]]:
    """Name the certificate as the probable cause of a TLS failure if it has expired since it was last accepted."""
    certificate = status.endpoint_certificate
    if status.reason != FailureCode.TLS_FAILED or certificate is None:
        return []
    if certificate.state(now) is not CertificateState.EXPIRED:
        return []
    return [("certificate", f"of {host_of(certificate)}, expired {moment(certificate.expires_at)}")]


def _loss(lost: LostRecords | None) -> list[str]:
    if lost is None:
        return []
    shown = lost.ranges[-RANGES_SHOWN:]
    lines = [
        f"  {moment(item.at)}  {item.topic}[{item.partition}]  offsets {item.first} to {item.end - 1}, "
        f"up to {records(item.count)}"
        for item in shown
    ]
    more = [f"  and {lost.count - len(shown)} more ranges before these"] if lost.count > len(shown) else []
    opening = f"Lost because the topic's retention time was too short: up to {records(lost.records)}"
    return [opening, *lines, *more]


def _next(reaction: str, to_do: str) -> list[str]:
    return ["What happens now:", f"  {reaction}", "", "What to do:", f"  {to_do}"]


def _subject(text: str) -> str:
    return f"[webhookd] {text}"


def _body(opening: str, facts: Sequence[tuple[str, str]], *parts: Sequence[str]) -> str:
    lines = [opening, "", *[LINE.format(f"{name}:", value) for name, value in facts]]
    for part in parts:
        lines += ["", *part] if part else []
    return "\n".join(lines) + "\n"
