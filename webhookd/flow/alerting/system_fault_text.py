"""What operators are told of the system's faults."""

from collections.abc import Mapping, Sequence

from webhookd.flow.alerting.alert import Alert, AlertKind, write_alert
from webhookd.flow.alerting.alert_text import LINE, Text, length, moment
from webhookd.flow.alerting.incident import Incident, NoticeKind
from webhookd.flow.alerting.mail import one_line
from webhookd.flow.monitoring.system_faults import SystemFault

DETAIL_CHARACTERS = 500

MEANING: Mapping[str, tuple[str, str]] = {
    "kafka_unavailable": (
        "The Kafka brokers do not answer. Nothing is read or committed; nothing is lost while Kafka keeps the records.",
        "Look at the brokers and the network to them.",
    ),
    "queue_unavailable": (
        "Redis does not answer, or refuses writes. Nothing is dispatched. What was in flight is sent again when Redis "
        "takes writes again.",
        "Look at Redis: its process, memory and disk, the network to it, and whether the address leads to the primary.",
    ),
    "store_unavailable": (
        "The database does not answer. Deliveries go on under the configuration last read; the API answers with 503.",
        "Look at Postgres: its process, its disk, its connections.",
    ),
    "rows_refused": (
        "The database answers and refuses rows: dead letters that a partition waits for, or what a status shows.",
        "Look at the detail and at the ingest process' log; after an upgrade: did `webhookd migrate` run?",
    ),
    "upkeep_delayed": (
        "For an hour webhookd could not renew the offsets of a subscription that is off or offline. Brokers forget "
        "them after their offset retention.",
        "Look at the detail: the group's coordinator, or what webhookd's user may do with the group.",
    ),
    "no_workers": (
        "No worker takes tasks from a queue. What is dispatched there waits.",
        "Start workers: `webhookd worker --queue first`, `webhookd worker --queue retry`.",
    ),
    "queue_stalled": (
        "Tasks wait in a queue and no worker takes any. A worker may have gone deaf to Redis.",
        "Restart the workers of that queue; start more if all of them are busy.",
    ),
    "mail_undeliverable": (
        "Mails do not get to every address in WEBHOOKD_OPERATOR_EMAILS; the log says what the mail server answers.",
        "Set addresses that the mail server takes.",
    ),
    "mail_unavailable": (
        "The mail server does not take mails. Alerts wait in the database and are sent when it does.",
        "Look at the mail server, and at WEBHOOKD_SMTP_…",
    ),
}
"""By code: what it means, and what to do."""

UNKNOWN = ("A part of the system does not work.", "Look at /health and at the log.")
"""Of a code that only another version of webhookd knows."""

KINDS = {
    NoticeKind.FAILING: AlertKind.FAULT,
    NoticeKind.STILL_FAILING: AlertKind.FAULT_REMINDER,
    NoticeKind.RECOVERED: AlertKind.FAULT_OVER,
}


def fault_key(code: str) -> str:
    """Under which key the spell of a fault is kept."""
    return f"fault:{code}"


def fault_alert(word: NoticeKind, fault: SystemFault, recipients: Sequence[str], now: float) -> Alert:
    """The mail that says so to the operators."""
    text = _over(fault, now) if word is NoticeKind.RECOVERED else _there(word, fault, now)
    return write_alert(fault_key(fault.code), KINDS[word], recipients, text, now)


def remembered(code: str, incident: Incident) -> SystemFault:
    """What can be said of a fault that another process saw, or this one before it started anew."""
    return SystemFault(code=code, detail="", since=incident.began_at)


def _there(word: NoticeKind, fault: SystemFault, now: float) -> Text:
    still = "still " if word is NoticeKind.STILL_FAILING else ""
    meaning, to_do = MEANING.get(fault.code, UNKNOWN)
    detail = one_line(fault.detail, DETAIL_CHARACTERS)
    lines = [
        meaning,
        "",
        LINE.format("code:", fault.code),
        LINE.format("since:", f"{moment(fault.since)} ({length(now - fault.since)})"),
        *([LINE.format("detail:", detail)] if detail else []),
        "",
        "What to do:",
        f"  {to_do}",
    ]
    return Text(f"[webhookd] system: {still}{fault.code}", "\n".join(lines) + "\n")


def _over(fault: SystemFault, now: float) -> Text:
    lines = [
        "This fault of the system is over.",
        "",
        LINE.format("code:", fault.code),
        LINE.format("lasted:", f"{length(now - fault.since)}, since {moment(fault.since)}"),
        LINE.format("over:", moment(now)),
    ]
    return Text(f"[webhookd] system: {fault.code} is over", "\n".join(lines) + "\n")
