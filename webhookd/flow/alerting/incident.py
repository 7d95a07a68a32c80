"""When people are told of a spell of failure: as it begins, at growing intervals while it lasts, when it is over.

mail                 after the one before
it fails             at once
still failing, 1st   1 h
2nd                  4 h
3rd                  12 h
4th and later        24 h
it has recovered     at once, if the last mail said that it fails

What its owner has changed has neither failed nor recovered before it was tried again: `observe_unknown` says nothing
and keeps the spell, so that a recovery is said of what was said to fail, and a failure long after the change is news.

What fails again within 10 minutes of its recovery is in the same spell, and that is not told at once but, if it fails
then, after a silence: 10 minutes when one mail told of failing so far, then 1, 4, 12 and 24 h. So an endpoint that
comes and goes every few seconds costs two mails, ten minutes later two more, an hour later two more, and so on.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

FLAP_WINDOW_S = 600.0
"""What has been well for so long has recovered for good: a failure after that is news."""

REMINDER_INTERVALS_S = (3600.0, 4 * 3600.0, 12 * 3600.0, 24 * 3600.0)
PAUSES_AFTER_RECOVERY_S = (FLAP_WINDOW_S, *REMINDER_INTERVALS_S)

FORGET_UNKNOWN_AFTER_S = 7 * 24 * 3600.0
"""What nothing was delivered to for so long after a change is forgotten."""


class NoticeKind(StrEnum):
    """What is to be said."""

    FAILING = "failing"
    STILL_FAILING = "still_failing"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A spell as it is kept between two looks; times are seconds since the epoch.

    `ended_at` is 0 while it lasts. `owner_notified`: the last mail said that it fails; with `ended_at` that is when its owner
    changed it, and nobody knows yet. `mails` counts those that did, and
    `next_mail_at` is when the next one may. What was lost since the last mail about losses: `unreported_records`, in
    `unreported_ranges`.
    """

    began_at: float
    ended_at: float = 0.0
    owner_notified: bool = True
    mails: int = 1
    next_mail_at: float
    unreported_ranges: int = 0
    unreported_records: int = 0


def observe(incident: Incident | None, *, failing: bool, now: float) -> tuple[Incident | None, NoticeKind | None]:
    """The spell after a look, None when there is none, and what is to be said now."""
    if failing:
        return _failing(incident, now)
    return (None, None) if incident is None else _well(incident, now)


def observe_unknown(incident: Incident | None, now: float) -> Incident | None:
    """The spell of what was changed and has delivered nothing since: there is nothing to say."""
    if incident is None:
        return None
    over = now - incident.ended_at >= FORGET_UNKNOWN_AFTER_S if incident.owner_notified else _over(incident, now)
    if incident.ended_at and over:
        return None
    return replace(incident, ended_at=incident.ended_at or now)


def _failing(incident: Incident | None, now: float) -> tuple[Incident, NoticeKind | None]:
    if incident is None or _over(incident, now):
        return Incident(began_at=now, next_mail_at=now + REMINDER_INTERVALS_S[0]), NoticeKind.FAILING
    going_on = replace(incident, ended_at=0.0)
    if now < incident.next_mail_at:
        return going_on, None
    word = NoticeKind.STILL_FAILING if incident.owner_notified else NoticeKind.FAILING
    wait_s = REMINDER_INTERVALS_S[min(incident.mails, len(REMINDER_INTERVALS_S) - 1)]
    return replace(going_on, owner_notified=True, mails=incident.mails + 1, next_mail_at=now + wait_s), word


def _well(incident: Incident, now: float) -> tuple[Incident | None, NoticeKind | None]:
    if incident.ended_at and not incident.owner_notified:
        return (None, None) if _over(incident, now) else (incident, None)
    ended = replace(incident, ended_at=now)
    if not incident.owner_notified:
        return ended, None
    silence_s = PAUSES_AFTER_RECOVERY_S[min(incident.mails - 1, len(PAUSES_AFTER_RECOVERY_S) - 1)]
    return replace(ended, owner_notified=False, next_mail_at=now + silence_s), NoticeKind.RECOVERED


def _over(incident: Incident, now: float) -> bool:
    return incident.ended_at > 0 and now - incident.ended_at >= FLAP_WINDOW_S
