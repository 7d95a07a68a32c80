"""Whom an alert about a subscription is for."""

from dataclasses import dataclass

from webhookd.flow.subscription import OnExhausted


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRecipient:
    """What an alert needs to know of a subscription, also of one whose configuration cannot be used.

    `version` is the stored one, 0 when it cannot be told: a condition of an older one is history.
    """

    id: str
    name: str
    emails: tuple[str, ...]
    active: bool = True
    version: int = 0
    on_exhausted: OnExhausted = OnExhausted.PAUSE
