"""Maps the authentication of a destination from documents and to them; secrets are masked, and masked ones stay."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from api.resources.subscription.authentication_schemas import ALLOWED
from webhookd.conversion import converter
from webhookd.errors import InvalidInput
from webhookd.flow.attempt.header import MASK, is_masked
from webhookd.flow.destination import Authentication, Basic, ClientCredentials
from webhookd.flow.subscription import Subscription

PATH: Final = "destination.webhook.authentication"
SECRETS: Final[Mapping[type, str]] = {Basic: "password", ClientCredentials: "client_secret"}
"""The field of each kind that is a secret."""

_authentication: Callable[[object], Authentication] = converter(Authentication)


def parse_authentication(document: Mapping[str, Any] | None, stored: Subscription | None) -> Authentication | None:
    """Return what a validated document says; a masked secret is the stored one.

    Raises InvalidInput for a masked secret if no authentication of this kind is stored.
    """
    if document is None:
        return None
    kind = document["kind"]
    given = {name: document[name] for name in ALLOWED[kind] if document[name] is not None}
    made = _authentication({"kind": kind, **given})
    name = SECRETS[type(made)]
    if not is_masked(getattr(made, name)):
        return made
    known = stored.destination.authentication if stored is not None else None
    if type(known) is not type(made):
        raise InvalidInput("is masked, and there is no stored value to keep", field=f"{PATH}.{name}")
    return msgspec.structs.replace(made, **{name: getattr(known, name)})


def render_authentication(authentication: Authentication | None) -> dict[str, Any] | None:
    """The authentication as responses show it."""
    if authentication is None:
        return None
    masked = msgspec.structs.replace(authentication, **{SECRETS[type(authentication)]: MASK})
    shown: dict[str, Any] = msgspec.to_builtins(masked)
    return shown


def changed_secrets(subscription: Subscription, stored: Subscription) -> Iterator[str]:
    """Yield the path of the secret if it is another one, since the masked documents do not show that."""
    now, before = subscription.destination.authentication, stored.destination.authentication
    if now is None or type(now) is not type(before):
        return
    name = SECRETS[type(now)]
    if getattr(now, name) != getattr(before, name):
        yield f"{PATH}.{name}"
