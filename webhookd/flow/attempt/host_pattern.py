"""Patterns of hosts: `example.com` is that host, `*.example.com` every host below it, but not itself."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from webhookd.errors import InvalidInput
from webhookd.flow.attempt.host_address import address_of
from webhookd.flow.attempt.target import Target

_BELOW = "*."


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPattern:
    """One pattern. Names are compared in lower case and IDNA, without the dot of the root; addresses by their value."""

    name: str
    below: bool
    address: IPv4Address | IPv6Address | None

    @classmethod
    def parse(cls, text: str) -> "HostPattern":
        """Parse a pattern. An IPv6 address is in brackets. Raises ValueError for what is not a pattern."""
        below = text.startswith(_BELOW)
        host = text.removeprefix(_BELOW)
        try:
            target = Target.parse(f"http://{host}/")
        except InvalidInput:
            target = None
        if target is None or any(char in host for char in "/?#@") or target.port != 80 or host.endswith(":80"):
            raise ValueError("is not a host like example.com, or a pattern like *.example.com")
        address = address_of(target.host)
        if below and address is not None:
            raise ValueError("has an address behind the *: write the network in a list of networks")
        return cls(name=_bare(target.host), below=below, address=address)

    def matches(self, host: str) -> bool:
        """Whether it is the pattern of this host, which must come from a `Target`."""
        if self.address is not None:
            return address_of(host) == self.address
        name = _bare(host)
        return name.endswith(f".{self.name}") if self.below else name == self.name


def _bare(host: str) -> str:
    return host.removesuffix(".")
