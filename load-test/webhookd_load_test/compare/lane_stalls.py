"""The longest time in which a lane had a record and none arrived."""

from webhookd_load_test.compare.number_set import NumberSet
from webhookd_load_test.compare.published_records import LaneRecords


class LaneStall:
    """One lane of one subscription. A record is there from the moment at which Kafka had acknowledged it.

    The oldest record that has not arrived is the first one in the order of the file: that of its lane.
    """

    __slots__ = ("_last_ns", "_next", "_records", "_seen", "_wanted", "longest_ns")

    def __init__(self, records: LaneRecords, wanted: NumberSet, seen: NumberSet) -> None:
        """`seen` are the records that have arrived; the caller adds one after `arrive`."""
        self.longest_ns = 0
        self._last_ns = 0
        self._next = 0
        self._records, self._wanted, self._seen = records, wanted, seen

    def arrive(self, at_ns: int) -> None:
        """A record arrives for the first time, or the run ends."""
        numbers, wanted, seen, index = self._records.numbers, self._wanted, self._seen, self._next
        while index < len(numbers) and (numbers[index] not in wanted or numbers[index] in seen):
            index += 1
        self._next = index
        if index < len(numbers):
            self.longest_ns = max(self.longest_ns, at_ns - max(self._last_ns, self._records.acknowledged_ns[index]))
        self._last_ns = at_ns
