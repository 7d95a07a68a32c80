"""Which broker a step without a node id means."""

from collections.abc import Collection


def to_remove(running: Collection[int], quorum: int) -> int | None:
    """The broker that was added last and runs; None when there is none. The ids up to `quorum` hold the quorum."""
    return max((node_id for node_id in running if node_id > quorum), default=None)


def to_kill(running: Collection[int]) -> int | None:
    """The running broker with the lowest id: one of the quorum. None when none runs."""
    return min(running, default=None)
