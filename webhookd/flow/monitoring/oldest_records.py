"""How old the oldest record is that a lane has read and not settled, by Kafka's timestamp.

the lane                                          the timestamp is
has the record at its watermark                   that of the record; it is looked up when the watermark has moved
was rewound, and has not read that record again   the last known one, perhaps of a record before it
fails, and has known none since the start         when its endpoint began to fail: the record was there by then
has settled all that it has read                  none

Records that are not read yet have no part in this. They are younger than what their lane has read and not settled; and
a lane that cannot read at all is seen in the lag in records and in the health.
"""

from typing import NamedTuple

from webhookd.flow.dispatch.delivery import Lane


class _Known(NamedTuple):
    """The timestamp of the record at this watermark, in milliseconds since the epoch."""

    watermark: int
    timestamp_ms: int


class OldestRecords:
    """Looks the lanes over about once a second: call `timestamp_ms` for each lane, then `next_round`."""

    def __init__(self) -> None:
        self._before: dict[Lane, _Known] = {}
        self._known: dict[Lane, _Known] = {}

    def timestamp_ms(self, lane: Lane) -> int | None:
        """The timestamp of the oldest record of a lane, in milliseconds since the epoch; None without one."""
        ledger = lane.ledger
        is_open = bool(ledger.open_count or ledger.dead_letter_count)
        if not is_open and (lane.at_end or not (lane.awaiting_seek or lane.failing or lane in self._before)):
            return None
        known, watermark = self._before.get(lane), ledger.watermark
        if known is None or known.watermark != watermark:
            known = self._looked_up(lane, watermark, known, is_open=is_open)
        if known is None:
            return None
        self._known[lane] = known
        return known.timestamp_ms

    def next_round(self) -> None:
        """Forget the lanes that were not looked over, or had no such record, since the last call."""
        self._before, self._known = self._known, {}

    @staticmethod
    def _looked_up(lane: Lane, watermark: int, before: _Known | None, *, is_open: bool) -> _Known | None:
        found = lane.oldest_timestamp_ms(*_first_in_flight(lane))
        if found is not None:
            return _Known(watermark, found) if found > 0 else None  # Kafka has -1 for a record without a timestamp
        if before is not None and (is_open or lane.failing):
            return before  # of an earlier record: this one was behind it
        failing_since_ms = int(lane.circuit.failing_since * 1000)
        return _Known(watermark, failing_since_ms) if failing_since_ms else None


def _first_in_flight(lane: Lane) -> tuple[bytes, int | None]:
    """The body of the first batch that is not settled, and the timestamp of the lane's first record if it is mixed."""
    delivery = lane.delivery
    if delivery is None or delivery.done >= len(delivery.batches):
        return b"", None
    return delivery.batches[delivery.done].body, delivery.first_timestamps_ms.get(lane)
