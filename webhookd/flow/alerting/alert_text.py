"""What alerts about a subscription say: which one, since when, what the endpoint answered, what happens, what to do.

Nothing of webhookd's inside and no header values: these mails go to the subscription's owner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

from webhookd.flow.alerting.alert_recipient import AlertRecipient
from webhookd.flow.alerting.failure_advice import TO_DO
from webhookd.flow.alerting.incident import NoticeKind
from webhookd.flow.alerting.lost_records import LostRecords
from webhookd.flow.alerting.mail import one_line
from webhookd.flow.status.reason_codes import EXCHANGE_CODES, HTTP, meaning, table_key
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.flow.subscription import OnExhausted

RANGES_SHOWN = 20
ANSWER_CHARACTERS = 500
LINE = "  {:<16}{}"

HELD = (
    "The records are held back and the endpoint is tried again by itself, at growing intervals from 30 seconds to "
    "15 minutes. When a request succeeds everything goes on from where it stopped, in order. Records that wait longer "
    "than the topic keeps them are lost."
)
PUT_ASIDE = (
    "Records whose attempts are used up are put aside among the dead letters, and the records after them are tried."
)
STOPPED = "Nothing is read for this subscription until it can be used again; its position is kept."
AGAIN = "webhookd goes on trying by itself; the position is kept."
UNREAD = "Kafka does not answer webhookd. Nothing is read, and reading goes on by itself; the position is kept."
LOOKED_FOR = "A topic of this subscription does not exist. It is looked for, and read as soon as it is there."
NOT_READ = "What Kafka refuses cannot be delivered. webhookd goes on trying by itself; the position is kept."
NOT_COMMITTED = (
    "Records are delivered, but Kafka does not keep the position: after a restart they are delivered again. webhookd "
    "goes on trying by itself."
)
NOT_JUDGED = (
    "Many records cannot be judged by the subscription's filters. They are kept among the dead letters, with the "
    "filter and the error, and are not delivered; where on_filter_error is drop, those that a filter raises on are "
    "dropped. All other records are delivered."
)
READ_ON = "Reading has gone on from the oldest records that the topic still holds."
SWITCHED_OFF = "The subscription is switched off. Nothing is read and nothing is sent; its position is kept."

FIX_CONFIGURATION = "Save the subscription again with a configuration that the API accepts."
FIX_TOPIC = "Create the topic, or take it out of the subscription."
FIX_TOPIC_ACCESS = (
    "Give webhookd's Kafka user the rights DESCRIBE and READ on the topic, or take it out of the subscription."
)
FIX_GROUP_ACCESS = "Give webhookd's Kafka user the right READ on consumer groups whose names begin with webhooks-."
FIX_FILTER = (
    "The status names the filter and the error. Write the filter so that it asks for the type first, for instance "
    "type(tags) == 'array' && contains(tags, 'x'), or so that it visits less of a record."
)
FIX_INSIDE = "Nothing, unless this goes on: then ask who runs webhookd."
FIX_LOSS = (
    "Find out whether the receiver needs these records and produce them again if so. A longer retention of the topic, "
    "or a faster endpoint, keeps it from happening again."
)
FIX_GONE = "If the endpoint is to receive again, change its URL or set the subscription active."

NOT_SENT = (
    "Nothing of it is sent meanwhile, and nothing is lost while Kafka keeps the records; webhookd goes on trying."
)
DEAD_LETTERS_KEPT = "The partition waits, and goes on by itself once its dead letters are written."

FIX_KAFKA = (
    "Ask who runs webhookd about the brokers' state, and about what webhookd's user may do in Kafka. What Kafka says "
    "stands above."
)
FIX_GROUP = (
    "Ask who runs webhookd whether another program reads in the subscription's consumer group; the log has the errors."
)
FIX_WORKERS = "Ask who runs webhookd: workers must run for both queues, and reach Redis and the database."
FIX_STORE = "Ask who runs webhookd: the database has to take the rows; the log has its errors."

UNREADABLE_HELD = (
    "The partition is held where the records that cannot be read begin; a few of them are among the dead letters. "
    "webhookd goes on looking at what arrives. When a record can be read, those before it become dead letters and "
    "everything goes on in order, without anything to be done here. Records that wait longer than the topic keeps them "
    "are lost."
)
FIX_UNREADABLE = (
    "Values must be JSON in UTF-8. Have the producers write JSON without a schema registry's frame, compression or "
    "another format around it, or take the topic out of the subscription."
)
ROOM_WAITED_FOR = (
    "Partitions with records that would become dead letters are held, and nothing of them is lost. They go on by "
    "themselves when there is room."
)
FIX_ROOM = "Look at the dead letters, mend their cause, and delete those that are not needed (DELETE …/DeadLetter)."
COPIED_LATER = (
    "Deliveries go on. The dead letters are kept by webhookd, and copying them to the topic is tried again for an hour."
)
FIX_COPIES = (
    "Create the dead letter topic with cleanup.policy=delete and let webhookd write to it, or name another topic. What "
    "was not copied in time can be had from webhookd (GET …/DeadLetter)."
)

BEFORE_SENDING = {
    "unusable_configuration": (STOPPED, FIX_CONFIGURATION),
    "topic_missing": (LOOKED_FOR, FIX_TOPIC),
    "topic_denied": (NOT_READ, FIX_TOPIC_ACCESS),
    "group_denied": (NOT_READ, FIX_GROUP_ACCESS),
    "read_failed": (NOT_READ, FIX_KAFKA),
    "commit_failed": (NOT_COMMITTED, FIX_KAFKA),
    "intake_failed": (AGAIN, FIX_INSIDE),
    "records_lost": (READ_ON, FIX_LOSS),
    "position_unknown": (NOT_SENT, FIX_KAFKA),
    "not_assigned": (NOT_SENT, FIX_GROUP),
    "deliveries_unclaimed": (NOT_SENT, FIX_WORKERS),
    "deliveries_stale": (NOT_SENT, FIX_WORKERS),
    "dead_letters_waiting": (DEAD_LETTERS_KEPT, FIX_STORE),
    "kafka_unavailable": (UNREAD, FIX_INSIDE),
    "records_unreadable": (UNREADABLE_HELD, FIX_UNREADABLE),
    "dead_letters_full": (ROOM_WAITED_FOR, FIX_ROOM),
    "dead_letter_topic_unavailable": (COPIED_LATER, FIX_COPIES),
    "filter_failing": (NOT_JUDGED, FIX_FILTER),
}
"""Failures that are not the endpoint's: what happens now, and what to do."""

FIX_BATCH = {"worker_lost": FIX_INSIDE}
"""What to do about a batch that failed without an exchange; what happens now is the same as after one."""


@dataclass(frozen=True, slots=True)
class Text:
    """A subject and a plain body."""

    subject: str
    body: str


def on_health(
    word: NoticeKind, status: SubscriptionStatus, recipient: AlertRecipient, lost: LostRecords | None, now: float
) -> Text:
    """It fails, it still does, or it has recovered."""
    if word is NoticeKind.RECOVERED:
        return _recovered(status, recipient, lost)
    began_at = status.failing_since or status.since
    still = "still " if word is NoticeKind.STILL_FAILING else ""
    subject = f"{one_line(recipient.name)} is {still}failing ({one_line(status.reason)})"
    facts = [
        *_who(recipient),
        ("failing since", f"{moment(began_at)} ({length(now - began_at)})"),
        ("reason", one_line(status.reason)),
        *_meaning(status.reason),
        *_detail(status),
        *_answer(status),
        ("behind", behind(status.lag)),
    ]
    happens, to_do = advice(status.reason, recipient.on_exhausted)
    return Text(
        _subject(subject),
        _body(_opening(status.reason, still), facts, _loss(lost), _next(happens, to_do)),
    )


def on_loss(status: SubscriptionStatus, recipient: AlertRecipient, lost: LostRecords) -> Text:
    """Records were gone from Kafka before they were read."""
    facts = [*_who(recipient), ("behind", behind(status.lag))]
    opening = "Records of this subscription were no longer in Kafka when they were to be read. They are lost."
    return Text(
        _subject(f"{one_line(recipient.name)} has lost up to {records(lost.records)}"),
        _body(opening, facts, _loss(lost), _next(READ_ON, FIX_LOSS)),
    )


def on_deactivation(recipient: AlertRecipient, reason: str, status: SubscriptionStatus | None, now: float) -> Text:
    """It was switched off without its owner's doing."""
    gone = "The endpoint answered 410 Gone." if reason == "gone" else ""
    facts = [
        *_who(recipient),
        ("switched off", moment(now)),
        ("reason", one_line(reason)),
        *(_answer(status) if status is not None else []),
        *([("behind", behind(status.lag))] if status is not None else []),
    ]
    opening = f"This subscription was switched off. {gone}".strip()
    return Text(
        _subject(f"{one_line(recipient.name)} was switched off ({one_line(reason)})"),
        _body(opening, facts, [], _next(SWITCHED_OFF, FIX_GONE)),
    )


def moment(at: float) -> str:
    """A time for people, in UTC."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return "unknown"


def length(seconds: float) -> str:
    """A length of time for people."""
    if not isfinite(seconds):
        return "unknown"
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    return f"{whole // 3600} h" if whole < 2 * 86400 else f"{whole // 86400} days"


def records(count: int) -> str:
    """So many records."""
    return f"{count:,} record{'' if count == 1 else 's'}"


def behind(lag: int | None) -> str:
    """How many records wait in Kafka."""
    return "unknown" if lag is None else records(lag)


def advice(code: str, on_exhausted: OnExhausted) -> tuple[str, str]:
    """What happens now, and what to do, about a reason; one that only another release knows is for the operators."""
    if code in BEFORE_SENDING:
        return BEFORE_SENDING[code]
    happens = PUT_ASIDE if on_exhausted is OnExhausted.DEAD_LETTER else HELD
    return happens, FIX_BATCH.get(code) or TO_DO.get(table_key(code), FIX_INSIDE)


def _meaning(code: str) -> list[tuple[str, str]]:
    return [("that is", meaning(code))] if meaning(code) else []


def _opening(code: str, still: str) -> str:
    if code in BEFORE_SENDING:  # the endpoint may take all that it is sent
        return f"This subscription {still}does not work as it should."
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
    """What is known beside the reason, of a problem that is not the endpoint's."""
    details = [problem.detail for problem in status.problems if problem.code == status.reason]
    told = status.reason in BEFORE_SENDING and any(details)
    return [("detail", one_line(details[0], ANSWER_CHARACTERS))] if told else []


def _answer(status: SubscriptionStatus) -> list[tuple[str, str]]:
    """Whose words they are is said: where there was no answer they are webhookd's."""
    answer = one_line(status.last_failure, ANSWER_CHARACTERS)
    code = answer.partition(":")[0]
    label = "no answer" if code in EXCHANGE_CODES and not code.startswith(HTTP) else "last answer"
    return [(label, answer)] if answer and status.health is Health.UNHEALTHY else []


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
    opening = f"Up to {records(lost.records)} lost, because the topic did not keep them long enough:"
    return [opening, *lines, *more]


def _next(happens: str, to_do: str) -> list[str]:
    return ["What happens now:", f"  {happens}", "", "What to do:", f"  {to_do}"]


def _subject(text: str) -> str:
    return f"[webhookd] {text}"


def _body(opening: str, facts: Sequence[tuple[str, str]], *parts: Sequence[str]) -> str:
    lines = [opening, "", *[LINE.format(f"{name}:", value) for name, value in facts]]
    for part in parts:
        lines += ["", *part] if part else []
    return "\n".join(lines) + "\n"
