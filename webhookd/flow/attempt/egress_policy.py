"""Which IP addresses requests may be sent to: public ones, and those that the operator allows in addition.

The check gets the address that is about to be dialled, and returns the reason of a refusal. `ipaddress.is_global` is
not enough: it is True for translated (64:ff9b::/96), tunnelled (2002::/16), multicast, site-local and IPv4-compatible
addresses, each of which can lead to an internal address.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The first network that contains the address gives the reason.
_REFUSED_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this_network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared"),  # carriers' NAT; also a cloud's metadata service
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "cloud_platform"),  # Azure's host agent, although the address looks public
        ("169.254.0.0/16", "link_local"),  # metadata services
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol_assignment"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "tunnel"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_REFUSED_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::/96", "v4_compatible"),
        ("64:ff9b::/96", "translated"),
        ("64:ff9b:1::/48", "translated"),
        ("100::/64", "discard"),
        ("2001::/23", "protocol_assignment"),  # Teredo and ORCHID among them
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "tunnel"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment_routing"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link_local"),
        ("fec0::/10", "site_local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")


def parse_networks(networks: Sequence[str]) -> tuple[Network, ...]:
    """Parse networks in CIDR form, and single addresses. Raises ValueError for anything else."""
    return tuple(ip_network(network.strip(), strict=False) for network in networks)


def refusal_reason(address: Address, allowed_networks: Sequence[Network]) -> str | None:
    """Return the code of the reason why nothing may be sent to this address; None when it is allowed.

    An IPv4-mapped IPv6 address is checked as the IPv4 address that is really dialled.
    """
    dialled = _unwrapped(address)
    if any(dialled in network or address in network for network in allowed_networks):
        return None
    if isinstance(dialled, IPv4Address):
        return next((reason for network, reason in _REFUSED_V4 if dialled in network), None)
    reason = next((reason for network, reason in _REFUSED_V6 if dialled in network), None)
    return reason or (None if dialled in _GLOBAL_UNICAST_V6 else "reserved")


def _unwrapped(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
