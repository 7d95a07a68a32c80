"""Whether the operators' rules allow a subscription's URLs: a new one is refused, a stored one gets a warning.

A client learns which rule refuses. It does not learn the addresses behind a name, which may be names of an internal
network; the log has them.
"""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Final

from api.resources.subscription.registration_warnings import TOKEN_URL, URL, RegistrationWarning, WarningCode
from webhookd import logs
from webhookd.edges.http_client.egress_guard import egress_policy
from webhookd.errors import InvalidInput
from webhookd.flow.attempt import egress_policy as rules
from webhookd.flow.attempt.egress_policy import EgressPolicy
from webhookd.flow.attempt.target import Target
from webhookd.flow.destination import ClientCredentials
from webhookd.flow.subscription import Subscription
from webhookd.settings import Settings

REASONS: Final[Mapping[str, str]] = {
    rules.HTTPS_REQUIRED: "is http, and this installation sends only to https",
    rules.PORT_FORBIDDEN: "has a port to which this installation sends nothing",
    rules.PORT_NOT_ALLOWED: "has a port to which this installation sends nothing",
    rules.HOST_FORBIDDEN: "has a host to which this installation sends nothing",
    rules.HOST_NOT_ALLOWED: "has a host to which this installation sends nothing",
}
"""What is wrong with a URL, by the rule that refuses it; any other rule is about an address."""

ADDRESS: Final = "has an address to which this installation sends nothing"

NO_ADDRESS: Final = "has a host with no address to which this installation sends ({rules})"

_log = logs.get(__name__)


def urls_of(subscription: Subscription) -> dict[str, str]:
    """The URLs to which requests go, by field: the endpoint, and the token endpoint if there is one."""
    destination = subscription.destination
    if isinstance(destination.authentication, ClientCredentials):
        return {URL: destination.url, TOKEN_URL: destination.authentication.token_url}
    return {URL: destination.url}


def confirm_urls(settings: Settings, subscription: Subscription, before: Subscription | None = None) -> None:
    """Raise InvalidInput, which names the rule, for a URL that is refused whatever its host's addresses are.

    A URL that is stored may stay, so that other fields can be changed: its deliveries are refused all the same.
    """
    stored = urls_of(before) if before is not None else {}
    for field, url in urls_of(subscription).items():
        rule = egress_policy(settings).refusal(Target.parse(url)) if stored.get(field) != url else None
        if rule is not None:
            raise InvalidInput(reason_of(rule), field=field)


def of_url(field: str, url: str, policy: EgressPolicy) -> Iterator[RegistrationWarning]:
    """Yield that a URL which is stored is refused whatever its host's addresses are."""
    rule = policy.refusal(Target.parse(url))
    if rule is not None:
        code = WarningCode.URL_REFUSED if rule in REASONS else WarningCode.ADDRESS_REFUSED
        yield RegistrationWarning(field=field, code=code, reason=reason_of(rule))


def of_addresses(
    subscription: Subscription, field: str, addresses: Sequence[str], policy: EgressPolicy
) -> Iterator[RegistrationWarning]:
    """Yield that all addresses of the host of the field's URL, which is a name, are refused."""
    found = {address: policy.address_rule(ip_address(address)) for address in addresses}
    refused = {address: rule for address, rule in found.items() if rule is not None}
    if not refused or len(refused) < len(found):
        return
    _log.warning("host_refused", subscription=subscription.id, url=urls_of(subscription)[field], addresses=refused)
    names = ", ".join(sorted(set(refused.values())))
    yield RegistrationWarning(
        field=field,
        code=WarningCode.ADDRESS_REFUSED,
        reason=f"{NO_ADDRESS.format(rules=names)}: its operators find the addresses in the log, and can allow them in "
        "WEBHOOKD_EGRESS_ALLOW",
    )


def reason_of(rule: str) -> str:
    """What is wrong with a URL that this rule refuses; the subject is the field."""
    return f"{REASONS.get(rule, ADDRESS)} (the rule {rule})"
