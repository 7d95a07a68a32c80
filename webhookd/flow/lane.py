"""A lane: one subscription × one topic-partition; the unit of order, back-pressure and commit.

state      reads  dispatches                  leaves it when
FLOWING    yes    all that is ready           a delivery is exhausted → HELD
HELD       no     nothing                     its probe is due → PROBING
PROBING    yes    one batch, one attempt      it succeeds → FLOWING, it fails → HELD for longer
"""

from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import msgspec

from webhookd.errors import UndecodableRecord
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.envelope import Envelope, body, overhead_bytes
from webhookd.flow.identity import LaneIdentity
from webhookd.flow.ledger import UNREAD, Ledger
from webhookd.flow.pace import Pace
from webhookd.flow.position import Partition
from webhookd.flow.ticket import Batch

if TYPE_CHECKING:  # a lane knows its delivery, and the delivery its lanes
    from webhookd.flow.delivery import Delivery


_UNREADABLE = (UndecodableRecord, SystemError, ValueError)
"""What one record can make its reading raise: confluent-kafka answers a header name that is not UTF-8 with a
SystemError. The record is put aside; anything else is a fault of ours and stops the subscription."""


class LaneState(Enum):
    """Whether a lane reads and dispatches; see the table above."""

    FLOWING = "flowing"
    HELD = "held"
    PROBING = "probing"


class Message(Protocol):
    """What the hot path asks of a Kafka message; confluent_kafka.Message has it, and so have the tests' records."""

    def offset(self) -> int | None:
        """The offset in its partition."""

    def timestamp(self) -> tuple[int, int]:
        """The kind of timestamp, and milliseconds since the epoch."""

    def key(self) -> bytes | None:
        """The key, if there is one."""

    def value(self) -> bytes | None:
        """The value; None is a tombstone."""

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """The headers in their order."""


class Matching(Protocol):
    """What decides whether a record is delivered."""

    def matches(self, value: bytes | None) -> bool:
        """Whether all filters say yes. Raises UndecodableRecord for what is not JSON in UTF-8."""


class Fragment(msgspec.Struct, frozen=True, gc=False):
    """A rendered record that waits for its batch; `read_at` is monotonic seconds.

    Unknown to the garbage collector, which would otherwise walk over all that wait again and again.
    """

    offset: int
    text: bytes
    read_at: float


class Lane:
    """The state of one lane; owned by the ingest loop, not thread-safe."""

    def __init__(self, subscription_id: str, partition: Partition, *, epoch: str, pace: Pace) -> None:
        self.subscription_id = subscription_id
        self.partition = partition
        self.key = str(partition)
        self.place = (partition.topic, partition.number)
        self.slot = f"{subscription_id}/{partition}"
        self.epoch = epoch
        self.pace = pace
        self.ledger = Ledger()
        self.waiting: deque[Fragment] = deque()
        self.returned: deque[Batch] = deque()
        self.bytes_held = 0
        self.aside_bytes = 0
        self.delivery: Delivery | None = None
        self.state = LaneState.FLOWING
        self.failed_probes = 0
        self.probe_at = 0.0
        self.paused = False
        self.alone = False
        self.slow = 0
        self.rest_until = 0.0
        self.adrift = False
        self.committed = -1
        self._envelope = Envelope(partition.topic, partition.number)
        self._identity = LaneIdentity(subscription_id, partition.topic, partition.number)

    @property
    def free(self) -> bool:
        """Whether it may dispatch: nothing in flight, and not held after a failure."""
        return self.delivery is None and self.state is not LaneState.HELD

    def take(self, messages: Iterable[Message], matcher: Matching, now: float) -> tuple[int, list[DeadLetter]]:
        """Decode, match and render what was read: the hot path.

        Answers how many records the filters dropped, and those that cannot be passed on. The messages are in offset
        order; those below what was seen already (read again after a rewind) are passed over.
        """
        ledger, matches, render, wait = self.ledger, matcher.matches, self._envelope.render, self.waiting.append
        offset, seen, dropped, size = -1, ledger.seen, 0, 0
        undecodable: list[DeadLetter] = []
        for message in messages:
            offset = message.offset() or 0
            if offset < seen:
                continue
            try:
                value = message.value()
                if not matches(value):
                    dropped += 1
                    continue
                text = render(offset, message.timestamp()[1], message.key(), message.headers(), value)
            except _UNREADABLE as error:
                letter = self._dead_letter(message, offset, error)
                ledger.set_aside(offset)
                undecodable.append(letter)
                self.aside_bytes += letter.size_bytes
                continue
            ledger.accept(offset)
            wait(Fragment(offset, text, now))
            size += len(text)
        if offset >= max(seen, 0):
            ledger.read(offset)
        self.bytes_held += size
        return dropped, undecodable

    def fills(self, records: int, size_bytes: int) -> bool:
        """Whether what waits makes a full batch: in records, or in bytes where records are large."""
        return len(self.waiting) >= records or self.bytes_held >= size_bytes

    def cut(self, records: int, size_bytes: int) -> Batch:
        """One batch of the first waiting records, as many as both bounds allow and at least one."""
        if records == 1:
            fragment = self.waiting.popleft()
            self.bytes_held += overhead_bytes(1)
            return Batch(self._identity.of((fragment.offset,)), 1, body((fragment.text,)))
        fragments = self.take_fragments(records, size_bytes)
        count = len(fragments)
        self.bytes_held += overhead_bytes(count)
        return Batch(self._identity.of([f.offset for f in fragments]), count, body([f.text for f in fragments]))

    def take_fragments(self, records: int, size_bytes: int) -> list[Fragment]:
        """The first waiting records within both bounds, taken out; they stay open in the ledger."""
        taken: list[Fragment] = []
        while self.waiting and len(taken) < records and size_bytes > 0:
            fragment = self.waiting.popleft()
            size_bytes -= len(fragment.text)
            taken.append(fragment)
        return taken

    def settle(self, records: int, size: int) -> None:
        """The oldest records of the lane were acknowledged; `size` bytes are no longer held for them."""
        self.ledger.settle(records)
        self.bytes_held = max(0, self.bytes_held - size)

    def settle_aside(self, letter: DeadLetter) -> None:
        """The letter's row is committed; one that was forgotten since (read again) changes nothing."""
        if self.ledger.settle_aside(letter.offset):
            self.aside_bytes = max(0, self.aside_bytes - letter.size_bytes)

    def begin(self, offset: int) -> None:
        """Reading begins at `offset`, which may be committed as it is: everything below is not ours."""
        if self.ledger.seen == UNREAD:
            self.ledger.read(offset - 1)

    def rewind(self, epoch: str) -> int:
        """Forget what is not settled, under a new epoch; answers the offset to read from (UNREAD: as it is).

        The lane is adrift until its consumer is there: what arrives meanwhile lies beyond a gap and must not be taken.
        """
        self.epoch = epoch
        self.waiting.clear()
        self.returned.clear()
        self.bytes_held = self.aside_bytes = 0
        self.delivery = None
        self.adrift = self.ledger.seen != UNREAD
        return self.ledger.rewind()

    def _dead_letter(self, message: Message, offset: int, error: Exception) -> DeadLetter:
        try:
            headers = tuple(message.headers() or ())
        except _UNREADABLE:
            headers = ()
        return DeadLetter(
            subscription_id=self.subscription_id,
            partition=self.partition,
            offset=offset,
            timestamp_ms=message.timestamp()[1],
            key=message.key(),
            value=message.value(),
            headers=headers,
            cause=error.cause if isinstance(error, UndecodableRecord) else "unreadable",
            detail=error.detail if isinstance(error, UndecodableRecord) else f"{type(error).__name__}",
        )
