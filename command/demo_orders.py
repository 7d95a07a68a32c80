"""The demo's records: generated orders, the same in every run, and which of them were produced."""

from functools import partial

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from webhookd.testing.offset_tally import Offsets

TOPIC = "orders"
FILTER = "country == 'DE' && total >= `100`"
BY_KEY = -1
"""The partition number with which librdkafka chooses the partition by the key."""

COUNTRIES = ("DE", "FR", "NL", "US", "IN", "BR")

_encode = msgspec.json.Encoder().encode


class DemoOrders:
    """Produces orders, and records which of them the filter must keep, without using the filter."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._number = 0
        self.all = Offsets()
        self.large_german = Offsets()
        self.failed = 0

    def produce(self, partition: int = BY_KEY, *, large_german: bool = False) -> bytes:
        """Produce one order, by default to the partition of its customer; returns its JSON."""
        number = self._number
        self._number += 1
        country = "DE" if large_german else COUNTRIES[number % len(COUNTRIES)]
        total = 100 if large_german else number * 37 % 200
        order = {
            "id": f"order-{number:07}",
            "customer": f"customer-{number * 7 % 997:03}",
            "country": country,
            "total": total,
            "items": [{"sku": f"sku-{number % 61:02}", "quantity": 1 + number % 4}],
        }
        value = _encode(order)
        self._producer.produce(
            TOPIC,
            value,
            str(order["customer"]),
            partition,
            on_delivery=partial(self._produced, country == "DE" and total >= 100),
        )
        return value

    def poll(self, timeout_s: float = 0.0) -> None:
        """Handle Kafka's acknowledgements."""
        self._producer.poll(timeout_s)

    def flush(self, timeout_s: float) -> int:
        """Wait until Kafka has acknowledged all orders; returns how many it has not."""
        self._producer.flush(timeout_s)
        return self._number - len(self.all)

    def _produced(self, kept: bool, error: KafkaError | None, message: Message) -> None:  # noqa: FBT001 - librdkafka's own signature
        if error is not None:
            self.failed += 1
            return
        place, offset = (TOPIC, message.partition() or 0), message.offset() or 0
        self.all.add(place, offset)
        if kept:
            self.large_german.add(place, offset)
