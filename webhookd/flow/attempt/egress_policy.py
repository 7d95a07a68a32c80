"""Where requests may go: what is public, and what the operators allow and forbid. Pure functions with named results.

what is judged                         refused by                            rule
the URL, before anything is looked up  https is required                     https_required
                                       the port is forbidden                 port_forbidden
                                       ports are listed, and it is none      port_not_allowed
                                       the host is forbidden                 host_forbidden
                                       hosts are listed, and it is none      host_not_allowed
each address, before it is dialled     the operators forbid its network      network_forbidden
                                       it is not public, and no operator     `private`, `loopback` …: see
                                       allows it                             special_addresses.py

Of networks that operators allow and forbid, the smallest one that holds the address decides; so `0.0.0.0/0` and `::/0`
can be forbidden and a few networks allowed. Of hosts and ports, a forbidden one stays forbidden.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from webhookd.flow.attempt.host_address import address_of
from webhookd.flow.attempt.host_pattern import HostPattern
from webhookd.flow.attempt.special_addresses import MAPPED, Address, Network, embedded, special_reason, unmapped
from webhookd.flow.attempt.target import Target

HTTPS_REQUIRED = "https_required"
PORT_FORBIDDEN = "port_forbidden"
PORT_NOT_ALLOWED = "port_not_allowed"
HOST_FORBIDDEN = "host_forbidden"
HOST_NOT_ALLOWED = "host_not_allowed"
NETWORK_FORBIDDEN = "network_forbidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPolicy:
    """The operators' rules. Without any, requests go to every public address."""

    allowed: tuple[Network, ...] = ()
    forbidden: tuple[Network, ...] = ()
    hosts: tuple[HostPattern, ...] = ()
    forbidden_hosts: tuple[HostPattern, ...] = ()
    ports: tuple[range, ...] = ()
    forbidden_ports: tuple[range, ...] = ()
    https_required: bool = False

    def url_rule(self, target: Target) -> str | None:
        """Return the rule that refuses this scheme, port or host; None when the addresses decide."""
        if self.https_required and not target.tls:
            return HTTPS_REQUIRED
        if any(target.port in ports for ports in self.forbidden_ports):
            return PORT_FORBIDDEN
        if self.ports and not any(target.port in ports for ports in self.ports):
            return PORT_NOT_ALLOWED
        if any(pattern.matches(target.host) for pattern in self.forbidden_hosts):
            return HOST_FORBIDDEN
        if self.hosts and not any(pattern.matches(target.host) for pattern in self.hosts):
            return HOST_NOT_ALLOWED
        return None

    def address_rule(self, address: Address) -> str | None:
        """Return the rule that refuses to dial this address; None when it may be dialled."""
        dialled = unmapped(address)
        held = embedded(dialled)
        if any(self._operators_say(one) is False for one in (dialled, *held)):
            return NETWORK_FORBIDDEN
        if self._operators_say(dialled):
            return None
        reasons = [special_reason(dialled), *[special_reason(one) for one in held if not self._operators_say(one)]]
        return next(filter(None, reasons), None)

    def refusal(self, target: Target) -> str | None:
        """Return the rule that refuses this URL, its address included if its host is one; None for a name."""
        address = address_of(target.host)
        return self.url_rule(target) or (None if address is None else self.address_rule(address))

    def _operators_say(self, address: Address) -> bool | None:
        """True if the operators allow this address, False if they forbid it, None if they say nothing."""
        allowed, forbidden = _smallest(self.allowed, address), _smallest(self.forbidden, address)
        return None if allowed == forbidden == _NONE else allowed > forbidden


_NONE = -1


def parse_networks(networks: Sequence[str]) -> tuple[Network, ...]:
    """Parse networks in CIDR form, and single addresses. Raises ValueError for anything else.

    A network of IPv4-mapped addresses is returned as the IPv4 network that it stands for.
    """
    return tuple(_unmapped_network(ip_network(network.strip(), strict=False)) for network in networks)


def parse_ports(texts: Sequence[str]) -> tuple[range, ...]:
    """Parse ports and ranges of ports, such as `443` and `8000-8999`; their type in the settings has checked them."""
    return tuple(_ports(text.strip()) for text in texts)


def refusal_reason(address: Address, allowed_networks: Sequence[Network]) -> str | None:
    """Return why an address is refused when the operators allow these networks and say nothing else."""
    return EgressPolicy(allowed=tuple(allowed_networks)).address_rule(address)


def _smallest(networks: Sequence[Network], address: Address) -> int:
    """The length of the longest prefix among these networks that holds the address; -1 without one."""
    return max((network.prefixlen for network in networks if address in network), default=_NONE)


def _unmapped_network(network: Network) -> Network:
    if isinstance(network, IPv6Network) and network.subnet_of(MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFF_FFFF, network.prefixlen - MAPPED.prefixlen))
    return network


def _ports(text: str) -> range:
    first, dash, last = text.partition("-")
    return range(int(first), int(last if dash else first) + 1)
