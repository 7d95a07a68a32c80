"""The texts of mails to operators about system faults, and the alerts with these mails."""

from collections.abc import Mapping, Sequence

from webhookd.flow.alerting.alert import Alert, AlertKind, write_alert
from webhookd.flow.alerting.alert_text import LINE, Text, length, moment
from webhookd.flow.alerting.incident import Incident, NoticeKind
from webhookd.flow.alerting.mail import one_line
from webhookd.flow.monitoring.system_faults import SystemFault

DETAIL_CHARACTERS = 500

MEANING: Mapping[str, tuple[str, str]] = {
    "kafka_unavailable": (
        "The Kafka brokers do not answer. webhookd reads and commits nothing. Nothing is lost while Kafka keeps the "
        "records.",
        "Check the brokers and the network to them.",
    ),
    "kafka_authentication_failed": (
        "Kafka refuses webhookd's login or TLS certificate, or webhookd does not trust the brokers' certificate. "
        "webhookd reads and commits nothing. Nothing is lost while Kafka keeps the records.",
        "Check WEBHOOKD_KAFKA_CONFIG and its file against the brokers' listener: user, password, mechanism, CA file, "
        "certificates and their dates. webhookd continues by itself when Kafka accepts the login; changed settings "
        "take effect with a restart.",
    ),
    "queue_unavailable": (
        "Redis does not answer, refuses the connection, or rejects writes. webhookd dispatches nothing. It sends the "
        "deliveries that were in flight again when Redis accepts writes again.",
        "Check the detail, and Redis: its process, memory and disk, the network to it, login, rights and certificate, "
        "and whether the address is that of the primary.",
    ),
    "store_unavailable": (
        "The database does not answer. Deliveries continue with the configuration that was read last. The API answers "
        "with 503.",
        "Check Postgres: its process, its disk, its connections.",
    ),
    "rows_refused": (
        "The database answers but rejects rows: dead letters for which a partition waits, or the status of a "
        "subscription.",
        "Check the detail and the log of the ingest process. After an upgrade, check that `webhookd migrate` was run.",
    ),
    "upkeep_delayed": (
        "For an hour webhookd could not renew the offsets of a subscription that is inactive or offline. Brokers "
        "delete them after their offset retention time.",
        "Check the detail: the group's coordinator, or the rights of webhookd's Kafka user on the group.",
    ),
    "ingest_full": (
        "An ingest process runs as many subscriptions as one process can. It does not run the others that it has; "
        "nothing of them is lost while Kafka keeps the records.",
        "Start another ingest process (`webhookd ingest`), on this machine or another one: the processes share the "
        "subscriptions.",
    ),
    "workers_lack_keys": (
        "Workers cannot decrypt the secrets of subscriptions, and send nothing for them. Nothing is lost while Kafka "
        "keeps the records. All other subscriptions go on.",
        "Give the workers that the detail names all keys with which secrets were encrypted (WEBHOOKD_SECRET_KEYS), and "
        "restart them. `webhookd secrets check` says which subscriptions no key decrypts: save those again with their "
        "secrets.",
    ),
    "workers_lack_store": (
        "Workers cannot read the database. They send the deliveries of subscriptions that they have read before; the "
        "others wait in the queue.",
        "Check WEBHOOKD_DATABASE_URL of the workers that the detail names, and the network from them to the database.",
    ),
    "no_workers": (
        "No worker consumes a queue. Tasks that are dispatched there wait.",
        "Start workers: `webhookd worker --queue first`, `webhookd worker --queue retry`.",
    ),
    "queue_stalled": (
        "Tasks wait in a queue and no worker takes one. A worker may be stuck.",
        "Restart the workers of that queue. Start more workers if all are busy.",
    ),
    "mail_undeliverable": (
        "Mails do not reach every address in WEBHOOKD_OPERATOR_EMAILS. The log shows the mail server's answers.",
        "Set addresses that the mail server accepts.",
    ),
    "mail_unavailable": (
        "The mail server does not accept mails. Alerts wait in the database; webhookd sends them when the server "
        "accepts mails again.",
        "Check the mail server and the settings WEBHOOKD_SMTP_…",
    ),
}
"""By fault code: what it means, and what to do."""

UNKNOWN = ("A part of the system does not work.", "Check /health and the log.")
"""For an unknown code, which comes from another release of webhookd."""

KINDS = {
    NoticeKind.FAILING: AlertKind.FAULT,
    NoticeKind.STILL_FAILING: AlertKind.FAULT_REMINDER,
    NoticeKind.RECOVERED: AlertKind.FAULT_OVER,
}


def fault_key(code: str) -> str:
    """Return the key of the incident of a fault."""
    return f"fault:{code}"


def fault_alert(kind: NoticeKind, fault: SystemFault, recipients: Sequence[str], now: float) -> Alert:
    """Return the alert to the operators about this fault."""
    text = _ended(fault, now) if kind is NoticeKind.RECOVERED else _lasting(kind, fault, now)
    return write_alert(fault_key(fault.code), KINDS[kind], recipients, text, now)


def fault_of(code: str, incident: Incident) -> SystemFault:
    """Return the fault of an incident that another process has found, or this process before a restart."""
    return SystemFault(code=code, detail="", since=incident.began_at)


def _lasting(kind: NoticeKind, fault: SystemFault, now: float) -> Text:
    still = "still " if kind is NoticeKind.STILL_FAILING else ""
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


def _ended(fault: SystemFault, now: float) -> Text:
    lines = [
        "This system fault is over.",
        "",
        LINE.format("code:", fault.code),
        LINE.format("lasted:", f"{length(now - fault.since)}, since {moment(fault.since)}"),
        LINE.format("over:", moment(now)),
    ]
    return Text(f"[webhookd] system: {fault.code} is over", "\n".join(lines) + "\n")
