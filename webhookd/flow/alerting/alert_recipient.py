"""The recipient of alerts about one subscription."""

from dataclasses import dataclass

from webhookd.flow.subscription import OnExhausted


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRecipient:
    """What an alert needs to know about a subscription, even if its configuration cannot be used.

    `version` is the stored version, 0 when it is not known. A status of an older version is out of date. `tls_verify`
    is False if the certificate of the endpoint at `url` is not verified.
    """

    id: str
    name: str
    emails: tuple[str, ...]
    active: bool = True
    version: int = 0
    on_exhausted: OnExhausted = OnExhausted.PAUSE
    url: str = ""
    tls_verify: bool = True
