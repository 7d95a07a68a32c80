"""Which addresses are not the public internet, each with its reason; a pure function over tables of networks.

Source: the IANA special-purpose address registries (RFC 6890, RFC 8190), IPv4 as updated on 2020-09-04
(https://www.iana.org/assignments/iana-ipv4-special-registry), IPv6 as updated on 2024-10-22
(https://www.iana.org/assignments/iana-ipv6-special-registry) with 100:0:0:1::/64 (RFC 9780, 2025). What the registries
say to be globally reachable is public here too, but for the anycast addresses in 192.0.0.0/24 and 2001::/23, which lead
to the nearest server of a network's own, and ORCHIDs, which no router knows. Added are multicast (IANA's multicast
registries), what RFC 3879 and RFC 4291 have deprecated, and the platform address of a cloud.

`ipaddress.is_global` is not enough: it is True for translated, tunnelled, multicast, site-local and IPv4-compatible
addresses, each of which can lead to an internal address.

An IPv6 address that holds IPv4 addresses is judged by them, since they are where its packets go:

form                        network                holds
mapped (RFC 4291)           ::ffff:0:0/96          the last 32 bits: what the kernel dials
NAT64 (RFC 6052)            64:ff9b::/96           the last 32 bits: what the translator dials
6to4 (RFC 3056)             2002::/16              bits 16 to 47: the router of that network
Teredo (RFC 4380)           2001::/32              bits 32 to 63: the server; the last 32 bits, inverted: the client
ISATAP (RFC 5214)           …:0:5efe:a.b.c.d or    the last 32 bits; the network in front of them is judged too
                            …:200:5efe:a.b.c.d

An address can have two of these forms, such as ISATAP within 6to4: all that it holds is judged.

64:ff9b:1::/48 (RFC 8215) is refused: what its translators lead to is local. A translator with another prefix of its own
cannot be recognised; operators forbid that prefix.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The first network that contains the address gives the reason.
_SPECIAL_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this_network"),  # RFC 791
        ("10.0.0.0/8", "private"),  # RFC 1918
        ("100.64.0.0/10", "shared"),  # RFC 6598, carriers' NAT; also a cloud's metadata service
        ("127.0.0.0/8", "loopback"),  # RFC 1122
        ("168.63.129.16/32", "cloud_platform"),  # Azure's host agent, although the address looks public
        ("169.254.0.0/16", "link_local"),  # RFC 3927; metadata services
        ("172.16.0.0/12", "private"),  # RFC 1918
        ("192.0.0.0/24", "protocol_assignment"),  # RFC 6890
        ("192.0.2.0/24", "documentation"),  # RFC 5737
        ("192.88.99.0/24", "tunnel"),  # RFC 7526, deprecated relays of 6to4
        ("192.168.0.0/16", "private"),  # RFC 1918
        ("198.18.0.0/15", "benchmarking"),  # RFC 2544
        ("198.51.100.0/24", "documentation"),  # RFC 5737
        ("203.0.113.0/24", "documentation"),  # RFC 5737
        ("224.0.0.0/4", "multicast"),  # RFC 5771
        ("240.0.0.0/4", "reserved"),  # RFC 1112; with the broadcast address
    )
)
_SPECIAL_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "unspecified"),  # RFC 4291
        ("::1/128", "loopback"),  # RFC 4291
        ("::/96", "v4_compatible"),  # RFC 4291, deprecated
        ("64:ff9b:1::/48", "translated"),  # RFC 8215
        ("100::/64", "discard"),  # RFC 6666
        ("100:0:0:1::/64", "dummy"),  # RFC 9780
        ("2001::/23", "protocol_assignment"),  # RFC 2928; with benchmarking (RFC 5180), AMT and ORCHIDs
        ("2001:db8::/32", "documentation"),  # RFC 3849
        ("3fff::/20", "documentation"),  # RFC 9637
        ("5f00::/16", "segment_routing"),  # RFC 9602
        ("fc00::/7", "private"),  # RFC 4193
        ("fe80::/10", "link_local"),  # RFC 4291
        ("fec0::/10", "site_local"),  # RFC 3879, deprecated
        ("ff00::/8", "multicast"),  # RFC 4291
    )
)
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")

MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")
_ISATAP_INTERFACES = frozenset({0x0000_5EFE, 0x0200_5EFE})  # bits 64 to 95
_LOW_32 = 0xFFFF_FFFF


def unmapped(address: Address) -> Address:
    """Return the IPv4 address that is really dialled for an IPv4-mapped address; any other address as it is."""
    return IPv4Address(int(address) & _LOW_32) if address in MAPPED else address


def embedded(address: Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that an IPv6 address may lead to, in all its forms; empty when it holds none."""
    if isinstance(address, IPv4Address):
        return ()
    bits = int(address)
    held: list[int] = []
    if address in MAPPED or address in _NAT64 or _is_isatap(address):
        held.append(bits & _LOW_32)
    if address in _6TO4:
        held.append(bits >> 80 & _LOW_32)
    if address in _TEREDO:
        held += [bits >> 64 & _LOW_32, bits & _LOW_32 ^ _LOW_32]
    return tuple(map(IPv4Address, held))


def special_reason(address: Address) -> str | None:
    """Return why this address is not public by itself, without what it holds; None for a public one."""
    if isinstance(address, IPv4Address):
        return next((reason for network, reason in _SPECIAL_V4 if address in network), None)
    if any(address in network for network in (MAPPED, _NAT64, _6TO4, _TEREDO)):
        return None  # they have no meaning but what they hold
    reason = next((reason for network, reason in _SPECIAL_V6 if address in network), None)
    return reason or (None if address in _GLOBAL_UNICAST_V6 else "reserved")


def _is_isatap(address: IPv6Address) -> bool:
    return int(address) >> 32 & _LOW_32 in _ISATAP_INTERFACES
