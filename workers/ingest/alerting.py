"""Where conditions meet the outbox: what they make due is written in the transaction that writes them."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from webhookd import logs
from webhookd.flow import alert
from webhookd.flow.addressee import Addressee
from webhookd.flow.alert import Alert, Due, health_key, loss_key
from webhookd.flow.condition import Condition, Health
from webhookd.flow.spell import Spell
from webhookd.flow.subscription import Subscription
from webhookd.store import administration, alerts, conditions, spells

_log = logs.get(__name__)


def raise_due(session: Session, latest: Sequence[Condition], now: float) -> list[Alert]:
    """Put into the outbox what these conditions make due; call it before they overwrite the ones before them.

    Answers the alerts, to be logged once the transaction is committed.
    """
    open_ = spells.lock(session, [key for condition in latest for key in _keys(condition.subscription_id)])
    concerned = [condition for condition in latest if _concerned(condition, open_)]
    if not concerned:
        return []
    ids = [condition.subscription_id for condition in concerned]
    before = conditions.read_all(session, ids)
    addressees = alerts.addressees(session, ids)
    raised: list[Alert] = []
    for condition in sorted(concerned, key=lambda found: found.subscription_id):
        addressee = addressees.get(condition.subscription_id)
        if addressee is not None and addressee.active:
            due = alert.due(before.get(addressee.id), condition, addressee, open_, now)
            raised += _write(session, open_, due)
    return raised


def remind(session: Session, now: float) -> list[Alert]:
    """Put into the outbox what is due because time has passed, and forget the spells that are over.

    While webhookd is offline nobody is reminded: nothing is delivered, and its operators know why.
    """
    keys = spells.due(session, now)
    if not keys or administration.read(session).offline:
        return []
    ids = sorted({key.partition(":")[2] for key in keys if not key.startswith("fault:")})
    open_ = spells.lock(session, [*keys, *[key for id_ in ids for key in _keys(id_)]])
    addressees = alerts.addressees(session, ids)
    latest = conditions.read_all(session, ids)
    raised: list[Alert] = []
    for id_ in ids:
        raised += _write(session, open_, _overdue(id_, latest.get(id_), addressees.get(id_), open_, now))
    return raised


def deactivated(session: Session, subscription: Subscription, now: float) -> list[Alert]:
    """Put into the outbox that webhookd switched this subscription off, for its `inactive_reason`.

    For the transaction that stores it as inactive; answers the alert, to be logged once that is committed.
    """
    open_ = spells.lock(session, _keys(subscription.id))
    addressee = alerts.addressee(subscription)
    condition = conditions.read(session, subscription.id)
    return _write(session, open_, alert.deactivated(addressee, subscription.inactive_reason, condition, now))


def log(raised: Sequence[Alert]) -> None:
    """Say which alerts there are now, in the log as well: there may be nobody to mail to."""
    for item in raised:
        _log.warning(
            "alert_raised",
            kind=item.kind.value,
            subject_key=item.subject_key,
            recipients=len(item.mail.recipients),
            subject=item.mail.subject,
        )


def _keys(subscription_id: str) -> tuple[str, str]:
    return health_key(subscription_id), loss_key(subscription_id)


def _concerned(condition: Condition, open_: dict[str, Spell]) -> bool:
    """Most conditions are those of healthy subscriptions that nobody was told of: they cost no query."""
    healthy = condition.health is Health.HEALTHY and not condition.lost_ranges
    return not healthy or any(key in open_ for key in _keys(condition.subscription_id))


def _overdue(
    id_: str, condition: Condition | None, addressee: Addressee | None, open_: dict[str, Spell], now: float
) -> Due:
    """A subscription that is gone, or switched off, reminds nobody."""
    if condition is None or addressee is None or not addressee.active:
        return Due(spells=dict.fromkeys(_keys(id_)))
    return alert.due(condition, condition, addressee, open_, now)


def _write(session: Session, open_: dict[str, Spell], due: Due) -> list[Alert]:
    late = spells.save(session, open_, due.spells)
    raised = [item for item in due.alerts if item.subject_key not in late]
    alerts.add(session, raised)
    return raised
