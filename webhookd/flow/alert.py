"""Which alerts a subscription's condition makes due, for its owner.

what happened                                  mail
it turned unhealthy, or still is               as flow/spell.py says; lost records that are news stand in the same mail
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

from webhookd.flow import alert_text
from webhookd.flow.addressee import Addressee
from webhookd.flow.condition import Condition, Health
from webhookd.flow.loss import Loss, loss_of
from webhookd.flow.mail import Mail, token_of
from webhookd.flow.spell import REMINDERS_S, Spell, Word, look, unknown


class Kind(StrEnum):
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
    kind: Kind
    mail: Mail


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What a look came to: spells by key as they are from here on (None: there is none), and the alerts."""

    spells: Mapping[str, Spell | None] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()


KINDS = {Word.FAILING: Kind.UNHEALTHY, Word.STILL_FAILING: Kind.REMINDER, Word.RECOVERED: Kind.RECOVERED}


def health_key(subscription_id: str) -> str:
    """Under which key the spell of an unhealthy subscription is kept."""
    return f"subscription:{subscription_id}"


def loss_key(subscription_id: str) -> str:
    """Under which key it is kept that a subscription's lost records were told of."""
    return f"lost:{subscription_id}"


def write_alert(subject_key: str, kind: Kind, recipients: Sequence[str], text: alert_text.Text, now: float) -> Alert:
    """The alert with its mail."""
    mail = Mail(
        token=token_of(subject_key, kind, now),
        recipients=tuple(dict.fromkeys(recipients)),
        subject=text.subject,
        body=text.body,
        created_at=now,
    )
    return Alert(subject_key=subject_key, kind=kind, mail=mail)


def due(
    before: Condition | None,
    latest: Condition,
    addressee: Addressee,
    spells: Mapping[str, Spell],
    now: float,
) -> Due:
    """What the latest condition makes due; `before` is the one it replaces, or itself when only time has passed."""
    health, loss = health_key(latest.subscription_id), loss_key(latest.subscription_id)
    spell, word = _health(latest, addressee, spells.get(health), now)
    loss_spell, lost = _lost(before, latest, spells.get(loss), now)
    alerts: tuple[Alert, ...] = ()
    if word is not None:
        text = alert_text.on_health(word, latest, addressee, lost, now)
        alerts = (write_alert(health, KINDS[word], addressee.emails, text, now),)
    elif lost is not None:
        text = alert_text.on_loss(latest, addressee, lost)
        alerts = (write_alert(loss, Kind.RECORDS_LOST, addressee.emails, text, now),)
    return Due(spells={health: spell, loss: loss_spell}, alerts=alerts)


def _health(
    latest: Condition, addressee: Addressee, spell: Spell | None, now: float
) -> tuple[Spell | None, Word | None]:
    older = 0 < latest.version < addressee.version
    if older or (latest.health is Health.HEALTHY and not latest.proven):
        return unknown(spell, now), None
    return look(spell, failing=latest.health is Health.UNHEALTHY, now=now)


def deactivated(addressee: Addressee, reason: str, condition: Condition | None, now: float) -> Due:
    """What is due when webhookd itself has switched a subscription off."""
    health, loss = health_key(addressee.id), loss_key(addressee.id)
    text = alert_text.on_deactivation(addressee, reason, condition, now)
    alert = write_alert(health, Kind.DEACTIVATED, addressee.emails, text, now)
    return Due(spells={health: None, loss: None}, alerts=(alert,))


def _lost(
    before: Condition | None, latest: Condition, spell: Spell | None, now: float
) -> tuple[Spell | None, Loss | None]:
    """The losses to tell of now. Of one that was told, `began_at` is when the first untold one after it was."""
    known = set(before.lost_ranges) if before is not None else set()
    news = loss_of(item for item in latest.lost_ranges if item not in known)
    if spell is None:
        return (Spell(began_at=now, speak_at=now + REMINDERS_S[0]), news) if news else (None, None)
    if news is not None:
        spell = _with(news, spell)
    if now < spell.speak_at:
        return spell, None
    if spell.told:
        return None, None
    wait_s = REMINDERS_S[min(spell.mails, len(REMINDERS_S) - 1)]
    untold = Loss(
        ranges=tuple(item for item in latest.lost_ranges if item.at >= spell.began_at),
        count=spell.untold_ranges,
        records=spell.untold_records,
    )
    told = replace(spell, told=True, untold_ranges=0, untold_records=0)
    return replace(told, mails=spell.mails + 1, speak_at=now + wait_s), untold


def _with(news: Loss, spell: Spell) -> Spell:
    """The condition keeps only the newest ranges, so what is not told yet is counted."""
    began_at = min(item.at for item in news.ranges)
    return replace(
        spell,
        told=False,
        began_at=began_at if spell.told else min(spell.began_at, began_at),
        untold_ranges=spell.untold_ranges + news.count,
        untold_records=spell.untold_records + news.records,
    )
