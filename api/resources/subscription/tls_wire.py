"""Maps the TLS options of a destination from documents and to them, and checks them; the key is masked."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from webhookd.edges.http_client.tls_contexts import confirm_usable
from webhookd.errors import InvalidInput
from webhookd.flow.attempt.header import MASK, is_masked
from webhookd.flow.attempt.target import Target
from webhookd.flow.attempt.tls_options import FIELD, OPERATORS, check_tls, without_sealed_key
from webhookd.flow.destination import Sealed, Tls
from webhookd.flow.subscription import Subscription
from webhookd.settings import Settings

KEY: Final = f"{FIELD}.client_key"


def parse_tls(document: Mapping[str, Any] | None, stored: Subscription | None) -> Tls:
    """Return what a validated document says; a masked key is the stored one.

    Raises InvalidInput for a masked key if none is stored.
    """
    if document is None:
        return OPERATORS
    key = document["client_key"] or ""
    if is_masked(key):
        key = stored.destination.tls.client_key if stored is not None else ""
        if not key:
            raise InvalidInput("is masked, and there is no stored value to keep", field=KEY)
    return Tls(
        ca_certificates=document["ca_certificates"] or "",
        client_certificate=document["client_certificate"] or "",
        client_key=key,
        verify=document["verify"] == "yes",
    )


def render_tls(tls: Tls) -> dict[str, Any] | None:
    """The options as responses show them; None for those of the installation."""
    if tls == OPERATORS:
        return None
    texts = {
        "ca_certificates": tls.ca_certificates,
        "client_certificate": tls.client_certificate,
        "client_key": MASK if tls.client_key else "",
    }
    return {name: text for name, text in texts.items() if text} | {"verify": "yes" if tls.verify else "no"}


def confirm_tls(
    settings: Settings, subscription: Subscription, now: float, before: Subscription | None, *, unchanged: bool
) -> None:
    """Raise InvalidInput, which names the field, for options that cannot be used.

    Options that are `unchanged` may stay, so that a certificate that has expired prevents no other change.
    """
    tls = subscription.destination.tls
    if tls == OPERATORS:
        return
    if not Target.parse(subscription.destination.url).tls:
        raise InvalidInput("has no effect with an http URL: leave it out, or write an https URL", field=FIELD)
    if unchanged:
        return
    if isinstance(tls.client_key, Sealed) and (before is None or _certificate(before) != tls.client_certificate):
        raise InvalidInput("is masked: another client_certificate needs its key written out", field=KEY)
    check_tls(without_sealed_key(tls), now)
    confirm_usable(settings, without_sealed_key(tls))


def _certificate(subscription: Subscription) -> str:
    return subscription.destination.tls.client_certificate


def changed_key(subscription: Subscription, stored: Subscription) -> Iterator[str]:
    """Yield the path of the key if it is another one, since the masked documents do not show that."""
    now, before = subscription.destination.tls.client_key, stored.destination.tls.client_key
    if now and before and now != before:
        yield KEY
