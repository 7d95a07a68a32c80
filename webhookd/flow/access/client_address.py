"""The address of a client whose requests may come through proxies.

Each proxy appends the address that connected to it to `X-Forwarded-For`, so the entries are true from the right for as
long as they were written by proxies of the operator. What is left of these comes from the client, and may be forged.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

MOST_HOPS: Final = 32
"""More entries than any chain of proxies writes."""

IPV6_PREFIX: Final = 64
"""One client has at least a /64, so its addresses count as one."""

Network = IPv4Network | IPv6Network


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return networks in CIDR; raises ValueError."""
    return tuple(ip_network(text, strict=False) for text in texts)


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Return the address of the client: the last one that is not a trusted proxy's.

    `peer` is the address of the connection, `forwarded_for` the value of `X-Forwarded-For`.
    """
    found = peer
    for entry in [text.strip() for text in forwarded_for.split(",")][: -MOST_HOPS - 1 : -1]:
        if not _is_trusted(found, trusted):
            break
        address = _parsed(entry)
        if address is None:
            break
        found = str(address)
    return found


def counted_as(address: str) -> str:
    """Return under which name an address is counted: itself, or the /64 of an IPv6 address."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, IPV6_PREFIX), strict=False))
    return str(parsed) if parsed is not None else ""


def _is_trusted(text: str, trusted: Sequence[Network]) -> bool:
    address = _parsed(text)
    return address is not None and any(address in network for network in trusted)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address, also with a port (`203.0.113.7:443`, `[2001:db8::1]:443`) as some proxies write it."""
    bare = text.partition("]")[0].lstrip("[") if text.startswith("[") else text
    bare = bare.partition(":")[0] if bare.count(":") == 1 else bare
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
