"""Addresses that have used up their rate limit with wrong API keys: another unknown key is not looked up.

Every wrong key costs a query of the database, and it is counted only afterwards, because a valid one counts for the
key. So an address above its limit could still cause any number of queries. Here each process remembers until when
such an address has to wait, and the keys that it has seen to be valid:

    a key that was valid before       is looked up as always: clients that share an address (NAT) go on
    any other key                     429 without a query, until the address may make one more request

So a valid key that a process sees for the first time has to wait with the others of its address: at the default limit
for a second. Nobody is let in by this memory: every key that is accepted was looked up in the same request.
"""

from collections import OrderedDict
from threading import Lock
from typing import Final, TypeVar

from webhookd.clock import Monotonic

MOST: Final = 10_000
"""How many addresses and how many keys are remembered, about 1 MB each; beyond it the oldest are forgotten."""

Value = TypeVar("Value")


class UsedUpAddresses:
    """The memory of one process; any thread. Keys are named by their public part."""

    def __init__(self, monotonic: Monotonic, *, most: int = MOST) -> None:
        self._monotonic = monotonic
        self._most = most
        self._lock = Lock()
        self._until: OrderedDict[str, float] = OrderedDict()
        self._valid: OrderedDict[str, None] = OrderedDict()

    def wait_s(self, address: str, key: str) -> float:
        """How long a request with this key has to wait; 0 if the key is to be looked up."""
        with self._lock:
            if key in self._valid:
                return 0.0
            return max(0.0, self._until.get(address, 0.0) - self._monotonic())

    def use_up(self, address: str, wait_s: float) -> None:
        """Remember that the address may not make another request before this time has passed."""
        with self._lock:
            _remember(self._until, address, self._monotonic() + wait_s, self._most)

    def accept(self, key: str) -> None:
        """Remember that the key was valid."""
        with self._lock:
            _remember(self._valid, key, None, self._most)


def _remember(memory: OrderedDict[str, Value], name: str, value: Value, most: int) -> None:
    memory[name] = value
    memory.move_to_end(name)
    if len(memory) > most:
        memory.popitem(last=False)
