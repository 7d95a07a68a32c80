"""The order in which the addresses of a host are dialled, and when: "Happy Eyeballs" (RFC 8305).

The families take turns, and the next attempt starts while the earlier ones wait: a family that leads nowhere costs the
delay between two attempts. The family that worked is tried first for the next minutes, and then it costs nothing.
"""

from collections import deque
from collections.abc import Sequence
from enum import IntEnum

REMEMBERED_S = 600.0
"""How long a family stays first; then the resolver's order is tried again, since routes come back (RFC 6555 §4.2)."""

HOSTS_REMEMBERED = 1024
"""At most, about 150 bytes each; the host that was learned first is forgotten first."""

_LONG_AGO = float("-inf")


class Family(IntEnum):
    """The version of the Internet Protocol."""

    V4 = 4
    V6 = 6


def family_of(address: str) -> Family:
    """The family of an address in its usual notation."""
    return Family.V6 if ":" in address else Family.V4


def in_turns(addresses: Sequence[str], first: Family | None) -> list[str]:
    """The addresses with their families in turns, each family in the given order (RFC 8305 §4).

    `first` is the family to begin with; None or a family without an address: that of the first address.
    """
    groups = {family: deque(a for a in addresses if family_of(a) is family) for family in Family}
    if not addresses:
        return []
    family = first if first is not None and groups[first] else family_of(addresses[0])
    ordered: list[str] = []
    while len(ordered) < len(addresses):
        if groups[family]:
            ordered.append(groups[family].popleft())
        family = Family.V4 if family is Family.V6 else Family.V6
    return ordered


class FamilyMemory:
    """The family that worked, for each host that has addresses of both."""

    def __init__(self) -> None:
        self._hosts: dict[str, tuple[Family, float]] = {}

    def first(self, host: str, now: float) -> Family | None:
        """The family to begin with; None when nothing is known."""
        family, until = self._hosts.get(host, (None, _LONG_AGO))
        return family if now < until else None

    def remember(self, host: str, family: Family, now: float) -> None:
        """A connection to this host was opened in this family. Repeating it does not prolong what is known."""
        if self.first(host, now) is family:
            return
        self._hosts.pop(host, None)
        if len(self._hosts) >= HOSTS_REMEMBERED:
            del self._hosts[next(iter(self._hosts))]
        self._hosts[host] = (family, now + REMEMBERED_S)


class AttemptSchedule:
    """Which address is dialled next, and from when on.

    An attempt is due `delay_s` after the previous one has started, or as soon as one has failed.
    """

    def __init__(self, addresses: Sequence[str], delay_s: float) -> None:
        self.both_families = len({family_of(address) for address in addresses}) > 1
        self._addresses = deque(addresses)
        self._delay_s = delay_s
        self._due_s = _LONG_AGO

    @property
    def is_empty(self) -> bool:
        """Whether no address is left to dial."""
        return not self._addresses

    def take(self, now: float) -> str | None:
        """Remove and return the next address if it is due. The caller dials it now."""
        if not self._addresses or now < self._due_s:
            return None
        self._due_s = now + self._delay_s
        return self._addresses.popleft()

    def hurry(self) -> None:
        """An attempt has failed: the next one is due at once."""
        self._due_s = _LONG_AGO

    def put_back(self, addresses: Sequence[str]) -> None:
        """These were interrupted without a result; they come first if there is another attempt."""
        self._addresses.extendleft(reversed(addresses))

    def clear(self) -> None:
        """Dial no further address."""
        self._addresses.clear()
