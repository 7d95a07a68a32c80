"""What the checking receiver reports: counts, the order of the records, and their latencies."""

import msgspec


class ReceiverReport(msgspec.Struct, frozen=True, kw_only=True):
    """The counts so far. `received_ends` has each lane's lowest offset and the one after its highest.

    A lane's name is its path, topic and partition, with a space between them. `timed` records said when they were
    produced; the latencies are theirs.
    """

    requests: int = 0
    records: int = 0
    duplicates: int = 0
    missing: int = 0
    out_of_order: int = 0
    received_ends: dict[str, tuple[int, int]]
    timed: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0

    @property
    def arrived(self) -> int:
        """How many records arrived, counted from each lane's first offset."""
        return sum(end - first for first, end in self.received_ends.values())

    @property
    def whole_ends(self) -> dict[int, int]:
        """The ends by partition, of the lanes that were received from offset 0."""
        return {int(name.rpartition(" ")[2]): end for name, (first, end) in self.received_ends.items() if first == 0}
