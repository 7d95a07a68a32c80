"""Whom an alert about a subscription is for."""

from dataclasses import dataclass

from webhookd.flow.subscription import OnExhausted


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """What an alert needs to know of a subscription, also of one whose configuration cannot be used."""

    id: str
    name: str
    emails: tuple[str, ...]
    active: bool = True
    on_exhausted: OnExhausted = OnExhausted.PAUSE
