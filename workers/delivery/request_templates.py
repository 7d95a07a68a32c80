"""Makes the request template of a subscription from its stored configuration, whose secrets are decrypted."""

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import extract_tb

from webhookd import logs
from webhookd.errors import InvalidInput, UnusableDestination
from webhookd.flow.attempt.secret_mask import SecretMask
from webhookd.flow.attempt.signature import signer_of
from webhookd.flow.attempt.success_codes import statuses_of
from webhookd.flow.attempt.target import Target, request_head
from webhookd.flow.attempt.verification import delivery_headers, verification_request
from webhookd.flow.batching.envelope import CONTENT_TYPE
from webhookd.flow.destination import ClientCredentials, Destination
from webhookd.flow.dispatch.host_limits import HostLimits
from webhookd.flow.dispatch.request_quota import quotas_of
from webhookd.flow.subscription import Subscription
from workers.delivery.access_tokens import TokenSource, TokenSources
from workers.delivery.delivery_sender import RequestTemplate

FIELD = "destination.webhook"

TEMPLATE_BYTES = 2000
"""The memory of a template without its texts."""

DETAIL_CHARACTERS = 300
"""The length of a detail: it is in each report about the subscription, and in its status."""

_log = logs.get(__name__)


def usable_template(
    subscription: Subscription, host_limits: HostLimits, tokens: TokenSources | None, origin: str = ""
) -> RequestTemplate | UnusableDestination:
    """The template of a subscription, or why there is none: an error of one must not stop the others of a task."""
    try:
        return _template_or_error(subscription, host_limits, tokens, origin)
    except Exception as error:  # noqa: BLE001 - a fault in webhookd
        place = extract_tb(error.__traceback__)[-1]
        fault = f"{type(error).__name__} in {place.name}"  # the text of the error may have a secret
        _log.error("template_failed", code="template_failed", subscription=subscription.id, detail=fault)
        return UnusableDestination(f"{FIELD} cannot be used, because of a fault in webhookd: {fault}")


def _template_or_error(
    subscription: Subscription, host_limits: HostLimits, tokens: TokenSources | None, origin: str
) -> RequestTemplate | UnusableDestination:
    try:
        return _template(subscription, host_limits, tokens, origin)
    except UnusableDestination as error:
        text = SecretMask(subscription.destination).masked(error.detail.encode("utf-8", "replace"))
        return UnusableDestination(text.decode("utf-8", "replace"))


def size_bytes(template: RequestTemplate) -> int:
    """About how much memory a template takes: certificates, keys and the forms of its secrets are the most of it."""
    tls = template.tls
    texts = len(tls.ca_certificates) + len(tls.client_certificate) + len(tls.client_key)
    return TEMPLATE_BYTES + len(template.head) + texts + template.mask.size_bytes


def unusable(error: InvalidInput, field: str) -> UnusableDestination:
    """The error of a destination for that of one of its fields; `field` is its path in the API."""
    return UnusableDestination(f"{field} {error}"[:DETAIL_CHARACTERS])


def _template(
    subscription: Subscription, host_limits: HostLimits, tokens: TokenSources | None, origin: str
) -> RequestTemplate:
    destination = subscription.destination
    with _unusable(f"{FIELD}.url"):
        target = Target.parse(destination.url)
    with _unusable(f"{FIELD}.headers"):
        head = request_head(target, delivery_headers(destination, origin), CONTENT_TYPE, destination.method)
    with _unusable(f"{FIELD}.success_codes"):
        success = statuses_of(destination.success_codes)
    with _unusable(f"{FIELD}.signing"):
        signer = signer_of(destination.signing)
    with _unusable(f"{FIELD}.authentication"):
        source = _token_source(destination, tokens)
    with _unusable(f"{FIELD}.verification"):
        verification = verification_request(destination, target, origin, subscription.limits.rate_limit)
    return RequestTemplate(
        version=subscription.version,
        target=target,
        head=head,
        retry=subscription.retry,
        mask=SecretMask(destination),
        signer=signer,
        success=success,
        trace=all(name.lower() != "traceparent" for name, _ in destination.headers),
        timeout_s=subscription.limits.timeout_s,
        quotas=quotas_of(
            subscription.id, subscription.limits, host_limits.quota(target.host), destination.granted_per_minute
        ),
        tls=destination.tls,
        tokens=source,
        verification=verification,
        tenant=subscription.tenant,
    )


def _token_source(destination: Destination, tokens: TokenSources | None) -> TokenSource | None:
    if not isinstance(destination.authentication, ClientCredentials):
        return None
    if tokens is None:
        raise InvalidInput("needs access tokens, which this process cannot get")
    return tokens.source(destination.authentication)


@contextmanager
def _unusable(field: str) -> Iterator[None]:
    try:
        yield
    except InvalidInput as error:
        raise unusable(error, field) from error
