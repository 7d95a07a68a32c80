"""An incident: one period in which something fails, and which mails are due about it.

mail                 after the mail before it
failing              at once
still failing, 1st   1 h
2nd                  4 h
3rd                  12 h
4th and later        24 h
recovered            at once, if the last mail reported the failure

Flap suppression: a failure within 10 minutes of the recovery belongs to the same incident. It is mailed only if it
still lasts when a pause after the recovery has ended. The pause is 10 minutes after the first mail about a failure,
then 1, 4, 12 and 24 h. So an endpoint that fails and recovers every few seconds causes two mails at once, two more
after ten minutes, two more after another hour, and so on.

After the owner has changed a subscription, its health is unknown until the next delivery. `observe_unknown` keeps the
incident meanwhile, and no mail is due. A later recovery is mailed only if the failure was mailed. A failure long after
the change begins a new incident.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

FLAP_WINDOW_S = 600.0
"""A failure within this time after a recovery belongs to the same incident; a later one begins another."""

REMINDER_INTERVALS_S = (3600.0, 4 * 3600.0, 12 * 3600.0, 24 * 3600.0)
PAUSES_AFTER_RECOVERY_S = (FLAP_WINDOW_S, *REMINDER_INTERVALS_S)

FORGET_UNKNOWN_AFTER_S = 7 * 24 * 3600.0
"""An incident ends without a mail when nothing was delivered for this long after the owner's change."""


class NoticeKind(StrEnum):
    """Which mail to send."""

    FAILING = "failing"
    STILL_FAILING = "still_failing"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """An incident as it is stored between two checks; times are seconds since the epoch.

    `ended_at` is 0 while the failure lasts. `owner_notified` is True if the last mail reported the failure. If
    `ended_at` is set as well, the owner changed the subscription at that time, and nothing was delivered since. `mails`
    counts the mails that reported a failure. The next mail may be sent from `next_mail_at` on. `unreported_records`
    counts the records that were lost since the last mail about lost records, `unreported_ranges` their ranges.
    """

    began_at: float
    ended_at: float = 0.0
    owner_notified: bool = True
    mails: int = 1
    next_mail_at: float
    unreported_ranges: int = 0
    unreported_records: int = 0


def observe(incident: Incident | None, *, failing: bool, now: float) -> tuple[Incident | None, NoticeKind | None]:
    """Return the incident after a check (None when there is none) and the mail that is due now, if any."""
    if failing:
        return _observe_failing(incident, now)
    return (None, None) if incident is None else _observe_healthy(incident, now)


def observe_unknown(incident: Incident | None, now: float) -> Incident | None:
    """Return the incident of a subscription that was changed and has delivered nothing since; no mail is due."""
    if incident is None:
        return None
    over = now - incident.ended_at >= FORGET_UNKNOWN_AFTER_S if incident.owner_notified else _is_over(incident, now)
    if incident.ended_at and over:
        return None
    return replace(incident, ended_at=incident.ended_at or now)


def _observe_failing(incident: Incident | None, now: float) -> tuple[Incident, NoticeKind | None]:
    if incident is None or _is_over(incident, now):
        return Incident(began_at=now, next_mail_at=now + REMINDER_INTERVALS_S[0]), NoticeKind.FAILING
    going_on = replace(incident, ended_at=0.0)
    if now < incident.next_mail_at:
        return going_on, None
    kind = NoticeKind.STILL_FAILING if incident.owner_notified else NoticeKind.FAILING
    wait_s = REMINDER_INTERVALS_S[min(incident.mails, len(REMINDER_INTERVALS_S) - 1)]
    return replace(going_on, owner_notified=True, mails=incident.mails + 1, next_mail_at=now + wait_s), kind


def _observe_healthy(incident: Incident, now: float) -> tuple[Incident | None, NoticeKind | None]:
    if incident.ended_at and not incident.owner_notified:
        return (None, None) if _is_over(incident, now) else (incident, None)
    ended = replace(incident, ended_at=now)
    if not incident.owner_notified:
        return ended, None
    pause_s = PAUSES_AFTER_RECOVERY_S[min(incident.mails - 1, len(PAUSES_AFTER_RECOVERY_S) - 1)]
    return replace(ended, owner_notified=False, next_mail_at=now + pause_s), NoticeKind.RECOVERED


def _is_over(incident: Incident, now: float) -> bool:
    return incident.ended_at > 0 and now - incident.ended_at >= FLAP_WINDOW_S
