"""The order of first deliveries: in each lane, and for each key in it."""

from typing import Literal

from webhookd.testing.arrival_order import Arrival, ArrivalOrder
from webhookd_load_test.compare.deliveries import Delivery
from webhookd_load_test.compare.published_records import Lane
from webhookd_load_test.run_folder.result import LISTED, Disorder


class LaneOrder:
    """The order in all lanes of one subscription.

    A record's offset is the one that Kafka has acknowledged. Records of a key are in order when they are so in their
    lane: the producer puts a key into one partition as long as the topic keeps its number of partitions.
    """

    def __init__(self) -> None:
        self.key_disorders = 0
        self.listed: list[Disorder] = []
        self._lanes: ArrivalOrder[Lane] = ArrivalOrder()
        self._keys: dict[tuple[Lane, bytes], int] = {}
        """The highest offset of each key: an ArrivalOrder would take 8 KiB for each."""

    @property
    def disorders(self) -> int:
        """How many records arrived after a later one of their lane."""
        return self._lanes.out_of_order

    def add(self, lane: Lane, delivery: Delivery, number: int) -> None:
        """Take the first delivery of a record."""
        if self._lanes.add(lane, delivery.true_offset) is Arrival.OUT_OF_ORDER:
            self._list("partition", lane, delivery, number, self._lanes.seen.lanes[lane].highest)
        if delivery.true_key is not None:
            self._add_to_key(lane, delivery.true_key, delivery, number)

    def _add_to_key(self, lane: Lane, key: bytes, delivery: Delivery, number: int) -> None:
        highest = self._keys.get((lane, key), -1)
        if delivery.true_offset >= highest:
            self._keys[lane, key] = delivery.true_offset
            return
        self.key_disorders += 1
        self._list("key", lane, delivery, number, highest)

    def _list(self, by: Literal["partition", "key"], lane: Lane, delivery: Delivery, number: int, highest: int) -> None:
        if len(self.listed) < LISTED:
            topic, partition = lane
            self.listed.append(
                Disorder(
                    number=number,
                    topic=topic,
                    partition=partition,
                    offset=delivery.true_offset,
                    after_offset=highest,
                    by=by,
                )
            )
