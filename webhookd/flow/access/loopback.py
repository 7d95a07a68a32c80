"""Whether a name or an address is this machine's own, whatever a resolver says."""

import re
from ipaddress import ip_address
from typing import Final

_HOST: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::\d{1,5})?")


def is_loopback(host: str) -> bool:
    """Whether an address without brackets, or a name, is of loopback."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def names_loopback(header: str) -> bool:
    """Whether the value of a header `Host` (RFC 9110, section 7.2) names loopback; its port does not matter.

    Names under `localhost` are loopback for every browser (RFC 6761, section 6.3).
    """
    found = _HOST.fullmatch(header)
    if found is None:
        return False
    if found[1].startswith("["):
        return ":" in found[1] and is_loopback(found[1][1:-1])
    name = found[1].lower().removesuffix(".")
    return is_loopback(name) or name.endswith(".localhost")
