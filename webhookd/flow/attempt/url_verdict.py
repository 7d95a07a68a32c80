"""Whether requests may go to a URL now: the rules about URLs, then the addresses that its host has at the moment.

what is known                                        accepted
a rule about URLs refuses it                         no
the host is an address, or has been resolved         yes, if one address may be dialled
the host could not be resolved                       not known
the host is a name, and an egress proxy judges it    not known
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from webhookd.flow.attempt.egress_policy import EgressPolicy
from webhookd.flow.attempt.host_address import address_of
from webhookd.flow.attempt.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressVerdict:
    """One address of a host, and the rule that refuses to dial it; None when it may be dialled."""

    address: str
    rule: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlVerdict:
    """The verdict about a URL.

    `rules` are the names of the rules that refuse it. They are empty when one address may be dialled, whatever the
    others are. `unresolved` says why the host has no address now, "" when it has some.
    """

    rules: tuple[str, ...] = ()
    addresses: tuple[AddressVerdict, ...] = ()
    judged_by_proxy: bool = False
    unresolved: str = ""

    @property
    def accepted(self) -> bool | None:
        """Whether requests may go there; None when it is not known."""
        return None if self.judged_by_proxy or self.unresolved else not self.rules


def before_look_up(policy: EgressPolicy, target: Target, *, proxy_judges: bool) -> UrlVerdict | None:
    """Return what is known without a look-up; None when the addresses of the host decide.

    `proxy_judges` says that an egress proxy resolves and judges names.
    """
    rule, address = policy.url_rule(target), address_of(target.host)
    if rule is not None:
        return UrlVerdict(rules=(rule,))
    if address is not None:
        return of_addresses(policy, [str(address)])
    return UrlVerdict(judged_by_proxy=True) if proxy_judges else None


def of_addresses(policy: EgressPolicy, addresses: Sequence[str]) -> UrlVerdict:
    """Return the verdict about a URL that no rule about URLs refuses, by the addresses of its host."""
    found = tuple(AddressVerdict(address=one, rule=policy.address_rule(ip_address(one))) for one in addresses)
    refusing = {one.rule for one in found if one.rule is not None}
    allowed = any(one.rule is None for one in found)
    return UrlVerdict(rules=() if allowed else tuple(sorted(refusing)), addresses=found)
