"""The order of first deliveries: in each lane, and for each key in it."""

from webhookd_load_test.compare.deliveries import Delivery
from webhookd_load_test.compare.published_records import Lane
from webhookd_load_test.run_folder.result import LISTED, Disorder


class LaneOrder:
    """The order in all lanes of one subscription; remembers the highest offset of each lane and of each key.

    A record's offset is the one that Kafka has acknowledged. Records of a key are in order when they are so in their
    lane: the producer puts a key into one partition as long as the topic keeps its number of partitions.
    """

    def __init__(self) -> None:
        self.disorders = self.key_disorders = 0
        self.listed: list[Disorder] = []
        self._lanes: dict[Lane, int] = {}
        self._keys: dict[tuple[Lane, bytes], int] = {}

    def add(self, lane: Lane, delivery: Delivery, number: int) -> None:
        """Take the first delivery of a record."""
        offset, key = delivery.true_offset, delivery.true_key
        if offset < (highest := self._lanes.get(lane, -1)):
            self.disorders += 1
            self._list(lane, "partition", delivery, number, highest)
        else:
            self._lanes[lane] = offset
        if key is None:
            return
        if offset < (highest := self._keys.get((lane, key), -1)):
            self.key_disorders += 1
            self._list(lane, "key", delivery, number, highest)
        else:
            self._keys[lane, key] = offset

    def _list(self, lane: Lane, by: str, delivery: Delivery, number: int, highest: int) -> None:
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
