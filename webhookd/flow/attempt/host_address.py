"""The address that a host stands for, if it is one, in any notation that resolvers accept."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+")


def address_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that is written in a host; None for a name.

    IPv4 addresses are read as `inet_aton` of the C library reads them, and so as `getaddrinfo` does: `127.1`, `0x7f.1`
    and `2130706433` are 127.0.0.1. A dot behind the address changes nothing. IPv6 addresses come without brackets.
    """
    if ":" in host:
        try:
            return IPv6Address(host)
        except AddressValueError:
            return None
    return _ipv4(host.removesuffix("."))


def _ipv4(text: str) -> IPv4Address | None:
    parts = text.split(".")
    numbers = [_number(part) for part in parts]
    if len(numbers) > 4 or None in numbers:
        return None
    *high, low = [number for number in numbers if number is not None]
    if any(number > 255 for number in high) or low >= 256 ** (4 - len(high)):
        return None
    return IPv4Address(low + sum(number << 8 * (3 - at) for at, number in enumerate(high)))


def _number(text: str) -> int | None:
    """A number in decimal, octal (0…) or hexadecimal (0x…)."""
    if not text.isascii() or not _NUMBER.fullmatch(text):
        return None
    if text[:2] in {"0x", "0X"}:
        return int(text, 16)
    if text[0] != "0":
        return int(text)
    return int(text, 8) if set(text) <= set("01234567") else None
