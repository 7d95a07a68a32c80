"""A load in transactions, some of which are aborted: the records of these, and the markers of all, take offsets."""

import time

from confluent_kafka import KafkaError, Message

from tests.chaos.scenario import PARTITIONS, Scenario
from tests.chaos.shared_records import SharedRecords
from tests.harness.load import Load, Sent

RECORDS = (2, 6)
PAUSE_S = (0.2, 0.6)
ABORTED = 0.4
"""The part of the transactions that is aborted."""

PATIENCE_S = 30.0


class Transactions(Load):
    """Records of a transaction count when it is committed; those of one that is aborted must arrive nowhere.

    Transactions are short, since an open one hides all records behind it.
    """

    def __init__(self, scenario: Scenario, topic: str, records: SharedRecords) -> None:
        super().__init__(
            scenario.site.bootstrap,
            topic,
            per_s=0.0,
            partitions=PARTITIONS,
            seed=scenario.load_seed,
            values=records.values(topic),
            settings={"transactional.id": f"{topic}-transactions", "delivery.timeout.ms": "30000"},
        )
        self.committed = self.aborted = 0
        self._records = records
        self._open: dict[int, Sent] = {}

    def _run(self) -> None:
        self._producer.init_transactions(PATIENCE_S)
        while not self._stopping.wait(self._chance.uniform(*PAUSE_S)):
            self._producer.begin_transaction()
            numbers = [self._produce() for _ in range(self._chance.randint(*RECORDS))]
            if self._chance.random() < ABORTED:
                self._abort(numbers)
            else:
                self._commit()

    def _abort(self, numbers: list[int]) -> None:
        self._records.aborted.update(numbers)
        assert self._producer.flush(PATIENCE_S) == 0
        self._producer.abort_transaction(PATIENCE_S)
        self.aborted += 1
        self._open.clear()

    def _commit(self) -> None:
        self._producer.commit_transaction(PATIENCE_S)
        self.committed += 1
        now = time.monotonic()
        self.sent |= {number: sent._replace(at=now) for number, sent in self._open.items()}
        self._open.clear()

    def _delivered(self, number: int, error: KafkaError | None, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        assert (error, partition is None) == (None, False)
        self._open[number] = Sent(self.topic, self.incarnation, partition or 0, offset, time.monotonic())
