"""A topic with about one order a second."""

import json
from collections.abc import Callable

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from stack.errors import NotStarted

TOPIC = "orders"
PARTITIONS = 1
"""One, so that one order at a time fails and all others wait behind it."""

INTERVAL_S = 1.0
CREATE_S = 15.0

TOTALS = (250, 20, 75, 120, 40, 15)
"""Every third order passes the filter of the subscription, the first one included."""

CUSTOMERS = 5
SHOWN = 3
"""How many orders are printed, so that they do not fill the terminal."""


def order(number: int) -> dict[str, object]:
    """Return the order with this number, from 1 on."""
    customer = f"customer-{number % CUSTOMERS + 1}"
    return {"order": number, "customer": customer, "total": TOTALS[(number - 1) % len(TOTALS)]}


class Orders:
    """Creates the topic and produces to it; `say` prints a line."""

    def __init__(self, bootstrap_servers: str, say: Callable[[str], None]) -> None:
        self.produced = 0
        self._say = say
        self._due_at = 0.0
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "log_level": 0})

    def create_topic(self) -> None:
        """Create the topic. Raises NotStarted."""
        try:
            self._admin.create_topics([NewTopic(TOPIC, PARTITIONS)], request_timeout=CREATE_S)[TOPIC].result()
        except KafkaException as error:
            raise NotStarted(f"the topic {TOPIC} was not created: {error.args[0].str()}") from None
        self._say(f"created the topic {TOPIC}")

    def produce_due(self, now: float) -> None:
        """Produce the next order if it is due; `now` is monotonic. Does not wait."""
        self._producer.poll(0)
        if now < self._due_at:
            return
        self._due_at = now + INTERVAL_S
        self.produced += 1
        record = order(self.produced)
        value = json.dumps(record)
        self._producer.produce(TOPIC, value, key=str(record["customer"]))
        if self.produced <= SHOWN:
            self._say(value)
        if self.produced == SHOWN:
            self._say("… one order a second from now on, not shown")
