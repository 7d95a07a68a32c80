"""The wire format of `destination.webhook.verification`, and what an installation asks of it."""

from typing import Final

from api.extensions.request_fields import Choice
from api.extensions.request_schema import RequestSchema
from webhookd.errors import InvalidInput
from webhookd.flow.access.caller import Caller
from webhookd.flow.destination import Verification
from webhookd.flow.subscription import Subscription
from webhookd.settings import Settings

KIND: Final = "destination.webhook.verification.kind"


class VerificationSchema(RequestSchema):
    """How the endpoint shows that it wants the requests, before it gets the first one."""

    kind = Choice(
        [kind.value for kind in Verification],
        load_default=Verification.NONE.value,
        metadata={
            "description": "`none`: the endpoint is not asked. `options`: it has to answer the OPTIONS request of "
            "CloudEvents' HTTP 1.1 Web Hooks (§4, abuse protection) with 2xx and `WebHook-Allowed-Origin`. `echo`: it "
            "has to answer a signed request with 2xx and the `challenge` that is in its body. Until then nothing is "
            "delivered, and records wait in Kafka. A changed URL is asked again."
        },
    )


def confirm_verification(
    settings: Settings, caller: Caller, subscription: Subscription, before: Subscription | None = None
) -> None:
    """Raise InvalidInput if the installation requires that the endpoint is asked, and it would not be.

    A stored subscription may stay as it is: only another URL or another verification counts as a change.
    """
    if settings.endpoint_verification != "required" or caller.scope.tenant is None:
        return
    destination = subscription.destination
    if destination.verification is not Verification.NONE:
        return
    stored = before.destination if before is not None else None
    if stored is None or (stored.url, stored.verification) != (destination.url, destination.verification):
        raise InvalidInput(
            "is none, and this installation sends only to endpoints that have shown that they want the requests: "
            "write options or echo",
            field=KIND,
        )
