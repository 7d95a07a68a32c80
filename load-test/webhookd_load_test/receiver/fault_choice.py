"""Chooses the requests that have a fault."""

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from webhookd_load_test.receiver.faults import Fault
from webhookd_load_test.run_folder.units import NS_PER_S

_DRAWS = 1 << 64


class FaultChoice:
    """Chooses a fault for each request by a hash of the seed, its path, and what the request is.

    A request is the position of its first record (topic, partition, offset) and its attempt, as the header
    `webhook-attempt` says. So all processes decide alike, and a run that delivers the same batches gets the same faults
    again, in whatever order and at whichever process they arrive. These differ between runs: which requests there are
    in the time in which a fault is active, how batches are cut, and the offsets if several producers write to a
    partition.

    The shares of all active faults for a path are added up: two with a share of 0.2 leave 0.6 of the requests alone.
    Beyond 1, what comes first in the list goes first.
    """

    def __init__(self, faults: Iterable[Fault], seed: int) -> None:
        self._faults = tuple(faults)
        self._key = blake2b(str(seed).encode()).digest()

    def choose(self, path: str, identity: Sequence[object], since_ns: int) -> Fault | None:
        """Return the fault of a request that arrived `since_ns` after the load began; None: it has none."""
        active = [
            one
            for one in self._faults
            if one.from_s * NS_PER_S <= since_ns
            and (one.to_s is None or since_ns < one.to_s * NS_PER_S)
            and path.startswith(one.path)
        ]
        return _drawn(active, self._draw(path, identity)) if active else None

    def _draw(self, path: str, identity: Sequence[object]) -> float:
        """A number from 0 to below 1."""
        text = "\0".join(map(str, (path, *identity)))
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "little") / _DRAWS


def _drawn(active: Iterable[Fault], draw: float) -> Fault | None:
    end = 0.0
    for fault in active:
        end += fault.share
        if draw < end:
            return fault
    return None
