"""Which offsets of acknowledged records are Kafka's, and which ones librdkafka has made up."""


class ToldOffsets:
    """The offsets that one producer reports, of each partition in their order.

    When a broker already has a batch, since only its answer was lost, it returns no offset. librdkafka then reports no
    offset for the first record, and counts up from 0 for the others. Such a count cannot be mistaken for the offset of
    a later record: the n records of that batch are in the partition, so the offsets behind them are n or more.
    """

    def __init__(self) -> None:
        self._made_up: dict[tuple[str, int], int] = {}

    def told(self, topic: str, partition: int, offset: int | None) -> int | None:
        """Return the offset of an acknowledged record; None if Kafka did not tell it."""
        place = topic, partition
        if offset is None or offset < 0:
            self._made_up[place] = 0
            return None
        if offset == self._made_up.get(place):
            self._made_up[place] = offset + 1
            return None
        self._made_up.pop(place, None)
        return offset
