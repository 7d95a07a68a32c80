"""A lane: one subscription × one topic-partition; the unit of order, back-pressure and commit.

state      reads  dispatches                  leaves it when
FLOWING    yes    all that is ready           a delivery is exhausted → HELD (unless dead letters are asked for)
HELD       no     nothing                     its probe is due → PROBING
PROBING    yes    one batch, one attempt      it succeeds → FLOWING, it fails → HELD for longer

A lane is *troubled* while the batch at its watermark has failed, or cost a worker its life: it sends that batch alone,
so that what is counted belongs to one batch. What must outlive the process is its memo
(flow/offsets/commit_metadata.py).
"""

from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import msgspec

from webhookd.errors import FilterFault, UndecodableRecord
from webhookd.flow.batching.batch import Batch
from webhookd.flow.batching.endpoint_latency import EndpointLatency
from webhookd.flow.batching.envelope import Envelope, body, overhead_bytes
from webhookd.flow.batching.throughput import ThroughputEstimate
from webhookd.flow.batching.undecodable_records import UndecodableRun, description
from webhookd.flow.batching.webhook_id import WebhookIds
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.commit_metadata import CommitMetadata
from webhookd.flow.offsets.ledger import UNREAD, Ledger
from webhookd.flow.offsets.position import OffsetAndMetadata, Partition

if TYPE_CHECKING:  # a lane knows its delivery, and the delivery its lanes
    from webhookd.flow.dispatch.delivery import Delivery


_UNREADABLE = (UndecodableRecord, SystemError, ValueError)
"""What one record can make its reading raise: confluent-kafka answers a header name that is not UTF-8 with a
SystemError. The record is put aside; anything else is a fault of ours and stops the subscription."""


PROVEN_S = 60.0
"""An endpoint counts as healthy for this long after a success. After a longer silence the next first attempt goes with
the retries, where threads are kept for endpoints that may hang."""


class CircuitState(Enum):
    """Whether a lane reads and dispatches; see the table above."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


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
        """Whether all filters say yes.

        Raises UndecodableRecord for what is not JSON in UTF-8, and FilterFault when the filters cannot tell.
        """


class RenderedRecord(msgspec.Struct, frozen=True, gc=False):
    """A rendered record that waits for its batch; `read_at` is monotonic seconds.

    Unknown to the garbage collector, which would otherwise walk over all that wait again and again.
    """

    offset: int
    text: bytes
    read_at: float


class Lane:
    """The state of one lane; owned by the ingest loop, not thread-safe."""

    def __init__(
        self,
        subscription_id: str,
        partition: Partition,
        *,
        epoch: str,
        throughput: ThroughputEstimate,
        request_time: EndpointLatency | None = None,
        version: int = 0,
    ) -> None:
        self.subscription_id = subscription_id
        self.partition = partition
        self.key = str(partition)
        self.place = (partition.topic, partition.number)
        self.slot = f"{subscription_id}/{partition}"
        self.epoch = epoch
        self.throughput = throughput
        self.version = version
        self.request_time = request_time or EndpointLatency()
        self.ledger = Ledger()
        self.waiting: deque[RenderedRecord] = deque()
        self.returned: deque[Batch] = deque()
        self.bytes_held = 0
        self.aside_bytes = 0
        self.no_room = False
        self.run = UndecodableRun()
        self._dead_letters: dict[int, int] = {}
        self.delivery: Delivery | None = None
        self.state = CircuitState.CLOSED
        self.failed_probes = 0
        self.probe_at = 0.0
        self.paused = False
        self.alone = False
        self.slow = 0
        self.rest_until = 0.0
        self.adrift = False
        self.end = UNREAD
        self.committed: OffsetAndMetadata | None = None
        self.known = True
        self.confirmed = True
        self.topic_id = ""
        self.failures = 0
        self.deaths = 0
        self.failing_since = 0.0
        self.rest_s = 0.0
        self._envelope = Envelope(partition.topic, partition.number)
        self._identity = WebhookIds(subscription_id, partition.topic, partition.number)

    @property
    def free(self) -> bool:
        """Whether it may dispatch: nothing in flight, not held after a failure, and its past is known."""
        return self.delivery is None and self.state is not CircuitState.OPEN and self.known

    @property
    def holds_work(self) -> bool:
        """Whether anything waits to be dispatched."""
        return bool(self.waiting or self.returned)

    @property
    def troubled(self) -> bool:
        """Whether the batch at its watermark failed before, or cost a worker its life."""
        return self.failures > 0 or self.deaths > 0

    @property
    def failing(self) -> bool:
        """Whether its last exchange failed: it may hold a worker's thread for a whole deadline."""
        return self.troubled or self.state is not CircuitState.CLOSED

    @property
    def displaced(self) -> bool:
        """Whether its consumer is not where it has to read on: not so while it looks ahead on purpose."""
        return self.adrift and self.run.ahead is None

    def proven(self, now: float) -> bool:
        """Whether its endpoint answered well lately: only then does it go to the queue for first attempts.

        A success of any lane of the subscription says so of all that are not failing: they have one endpoint.
        """
        return not self.failing and now - self.request_time.succeeded_at < PROVEN_S

    @property
    def mark(self) -> OffsetAndMetadata | None:
        """What is to be committed; None before the first record was looked at.

        And None while its past is not known, or its topic is not confirmed to be the one that was read: a commit would
        move the position of the one that was made in its place.
        """
        watermark = self.ledger.watermark
        if watermark == UNREAD or not (self.known and self.confirmed):
            return None
        probes = 0 if self.state is CircuitState.CLOSED else self.failed_probes
        metadata = CommitMetadata(
            topic_id=self.topic_id,
            failures=self.failures,
            deaths=self.deaths,
            probes=probes,
            since=self.failing_since,
            version=self.version,
            unreadable=self.run.count if self.run.too_long else 0,
        )
        return OffsetAndMetadata(watermark, metadata)

    def recall(self, metadata: CommitMetadata, now: float) -> None:
        """Go on where the process before this one was: with its failures counted, and held if it was.

        What its owner has changed since is tried afresh; which batch costs workers their lives depends on none of it.
        """
        self.known = True
        self.topic_id = metadata.topic_id or self.topic_id
        self.run.recall(metadata.unreadable)
        self.deaths = metadata.deaths
        if metadata.version not in {0, self.version}:
            return
        self.failures, self.failing_since = metadata.failures, metadata.since
        if metadata.probes:
            self.state, self.failed_probes, self.probe_at, self.alone = CircuitState.OPEN, metadata.probes, now, True

    def take(self, messages: Iterable[Message], matcher: Matching, now: float) -> tuple[int, list[DeadLetter]]:
        """Decode, match and render what was read: the hot path.

        Answers how many records the filters dropped, and those that cannot be passed on: one that is read again while
        its dead letter is on its way waits for that one. The messages are in offset order; those below what was seen
        already (read again after a rewind) are passed over. Stops where flow/batching/undecodable_records.py says, and
        looks ahead then.
        """
        ledger, matches, render, wait = self.ledger, matcher.matches, self._envelope.render, self.waiting.append
        offset, seen, dropped, size = -1, ledger.seen, 0, 0
        undecodable: list[DeadLetter] = []
        self.run.begin(len(self.waiting))
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
            except FilterFault as error:  # readable, but its filters have not said that it is not wanted
                self.run.end()
                undecodable.extend(self._set_aside(message, offset, error))
                continue
            except _UNREADABLE as error:
                self.run.passed(dropped + len(self.waiting))
                if self.run.stops_before(offset):
                    self._stop_before(offset, message, error)
                    break
                self.run.put_aside(error, message.value())
                undecodable.extend(self._set_aside(message, offset, error))
                continue
            ledger.accept(offset)
            wait(RenderedRecord(offset, text, now))
            size += len(text)
        else:
            if offset >= max(seen, 0):
                ledger.read(offset)
            self.run.passed(dropped + len(self.waiting))
        self.bytes_held += size
        return dropped, undecodable

    def look_ahead(self, messages: Iterable[Message], matcher: Matching) -> bool:
        """Look for a readable record among what was read; returns whether one was found.

        Then the lane goes on from `ledger.seen`, once its consumer was moved there.
        """
        ahead = self.run.ahead
        for message in messages:
            offset = message.offset() or 0
            if ahead is None or offset <= ahead:
                continue
            self.run.ahead = offset
            if _readable(message, matcher):
                self.run.ahead, self.run.readable_at = None, offset
                return True
        return False

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

    def take_fragments(self, records: int, size_bytes: int) -> list[RenderedRecord]:
        """The first waiting records within both bounds, taken out; they stay open in the ledger."""
        taken: list[RenderedRecord] = []
        while self.waiting and len(taken) < records and size_bytes > 0:
            fragment = self.waiting.popleft()
            size_bytes -= len(fragment.text)
            taken.append(fragment)
        return taken

    def settle(self, records: int, size: int) -> None:
        """The oldest records of the lane are done with; `size` bytes are no longer held for them."""
        self.ledger.settle(records)
        self.failures = self.deaths = 0
        self.bytes_held = max(0, self.bytes_held - size)

    def settle_aside(self, dead_letter: DeadLetter) -> None:
        """The letter's row is committed; one whose record was not read again since a rewind only ends its wait."""
        size = self._dead_letters.pop(dead_letter.offset, 0)
        if self.ledger.settle_aside(dead_letter.offset):
            self.aside_bytes = max(0, self.aside_bytes - size)

    def skip_to(self, offset: int) -> None:
        """Reading goes on at `offset`: what lies between is not ours, or not in Kafka any more, and not waited for."""
        self.ledger.read(offset - 1)
        self.run.ahead = None

    def reach(self, offset: int) -> None:
        """All below `offset` was read, and nothing more is there to read for now; what held no record is settled."""
        self.end = offset
        if offset > self.ledger.seen:
            self.ledger.read(offset - 1)

    @property
    def at_end(self) -> bool:
        """Whether nothing was read since it reached the end of what can be read."""
        return self.end != UNREAD and self.ledger.seen == self.end and not self.adrift

    def rewind(self, epoch: str) -> int:
        """Forget what is not settled, under a new epoch; answers the offset to read from (UNREAD: as it is).

        Dead letters stay on their way, but keep nobody from reading what lies before them.
        The lane is adrift until its consumer is there: what arrives meanwhile lies beyond a gap and must not be taken.
        """
        self.epoch = epoch
        self.waiting.clear()
        self.returned.clear()
        self.bytes_held = self.aside_bytes = 0
        self.delivery = None
        self.run.restart()
        self.adrift = self.ledger.seen != UNREAD
        return self.ledger.rewind()

    def _stop_before(self, offset: int, message: Message, error: Exception) -> None:
        """Read on without taking anything: what arrives from here on lies beyond a gap."""
        self.ledger.read(offset - 1)
        self.run.ahead, self.adrift = offset, True
        self.run.detail = description(error, message.value())

    def _set_aside(self, message: Message, offset: int, error: Exception) -> list[DeadLetter]:
        """Wait for the record's dead letter; answers it, unless it is on its way already."""
        self.ledger.set_aside(offset)
        dead_letters = []
        if offset not in self._dead_letters:
            dead_letters.append(self._dead_letter(message, offset, error))
            self._dead_letters[offset] = dead_letters[0].size_bytes
        self.aside_bytes += self._dead_letters[offset]
        return dead_letters

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
            cause=_cause(error),
            detail=error.detail if isinstance(error, (UndecodableRecord, FilterFault)) else f"{type(error).__name__}",
        )


def _readable(message: Message, matcher: Matching) -> bool:
    """Whether a record can be read, wanted or not."""
    try:
        if matcher.matches(message.value()):
            message.headers()
    except FilterFault:  # what filters make of a record they can read is another matter
        return True
    except _UNREADABLE:
        return False
    return True


def _cause(error: Exception) -> str:
    match error:
        case UndecodableRecord():
            return error.cause
        case FilterFault():
            return error.code
        case _:
            return "unreadable"
