"""A lane: one subscription × one topic-partition; the unit of order, back-pressure and commit.

A lane has at most one delivery in flight, which keeps the order of its records. Its circuit breaker
(circuit_breaker.py) decides whether it reads and dispatches. After the batch at its watermark has failed, or a worker
was lost while it sent that batch, the lane sends that batch alone. So failures and losses are counted for one batch.
The metadata of its commits (flow/offsets/commit_metadata.py) holds what must outlive the process.
"""

import sys
from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from typing import Generic, TypeVar

from webhookd.errors import FilterFault
from webhookd.flow.batching import division
from webhookd.flow.batching.batch import Batch
from webhookd.flow.batching.batch_bound import BatchBound
from webhookd.flow.batching.circuit_breaker import CircuitBreaker, CircuitState
from webhookd.flow.batching.endpoint_latency import EndpointLatency
from webhookd.flow.batching.envelope import Envelope, body, overhead_bytes, room_bytes
from webhookd.flow.batching.message import UNDECODABLE, Matching, Message, dead_letter_of, is_decodable, shown_of
from webhookd.flow.batching.rendered_record import Group, RenderedRecord
from webhookd.flow.batching.throughput import ThroughputEstimate
from webhookd.flow.batching.undecodable_records import UndecodableRun, description
from webhookd.flow.batching.webhook_id import WebhookIds
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.offsets.commit_metadata import CommitMetadata
from webhookd.flow.offsets.ledger import Ledger
from webhookd.flow.offsets.position import UNREAD, OffsetAndMetadata, Partition
from webhookd.flow.offsets.read_position import ReadPosition

RECENT_SUCCESS_S = 60.0
"""An endpoint counts as healthy for this long after a success. After that the next first attempt goes to the queue for
retries, where threads are kept for endpoints that may hang."""

CHUNK_RECORDS = 128
"""So many records are taken before the bytes of a batch are checked. A batch of fewer bytes puts most of them back."""

DeliveryT = TypeVar("DeliveryT")


class Lane(Generic[DeliveryT]):
    """The state of one lane; owned by the ingest loop, not thread-safe.

    `delivery` is the delivery in flight; its type is a parameter, so that deliveries can refer to lanes without an
    import cycle. `bound` is shared by the lanes of a subscription. While `group` is set, its records are sent before
    all others. `parts` is the number of batches into which a refused batch was divided, 0 for none. The next delivery
    takes no batches behind them, since one of them may be refused too.
    """

    def __init__(
        self,
        subscription_id: str,
        partition: Partition,
        *,
        epoch: str,
        throughput: ThroughputEstimate,
        endpoint_latency: EndpointLatency | None = None,
        bound: BatchBound | None = None,
        version: int = 0,
    ) -> None:
        self.subscription_id = subscription_id
        self.partition = partition
        self.name = str(partition)
        self.claim_key = f"{subscription_id}/{partition}"
        self.epoch = epoch
        self.version = version

        self.ledger = Ledger()
        self.waiting: deque[RenderedRecord] = deque()
        self.returned: deque[Batch] = deque()
        self.buffered_bytes = 0
        self.dead_letter_bytes = 0
        self.dead_letters_full = False
        self.undecodable_run = UndecodableRun()
        self._dead_letters: dict[int, DeadLetter] = {}

        self.paused = self.awaiting_seek = False
        self._end_offset = UNREAD

        self.delivered_since_commit = False
        self.committed: OffsetAndMetadata | None = None
        self.position_known = True
        self.topic_confirmed = True
        self.topic_id = ""

        self.delivery: DeliveryT | None = None
        self.circuit = CircuitBreaker()
        self.failures = self.worker_losses = 0
        self.throughput = throughput
        self.endpoint_latency = endpoint_latency or EndpointLatency()
        self.bound = bound or BatchBound(sys.maxsize)
        self.group: Group | None = None
        self.parts = self.slow_deliveries = 0
        self.send_alone = False
        self.dispatch_not_before = 0.0

        self._envelope = Envelope(partition.topic, partition.number)
        self._webhook_ids = WebhookIds(subscription_id, partition.topic, partition.number)

    @property
    def can_dispatch(self) -> bool:
        """Whether it may dispatch: nothing is in flight, its circuit is not open, and its position is known."""
        return self.delivery is None and self.circuit.state is not CircuitState.OPEN and self.position_known

    @property
    def following(self) -> bool:
        """Whether the shared reader reads for it; otherwise the consumer of its subscription does."""
        return self.ledger.followed is not None

    @property
    def traced(self) -> bool:
        """Whether one of its records, not only of those that wait, had a trace context."""
        return self._envelope.traced

    @property
    def has_work(self) -> bool:
        """Whether anything waits to be dispatched."""
        return bool(self.waiting or self.returned)

    @property
    def failing(self) -> bool:
        """Whether the batch at its watermark has failed or has lost a worker, or the circuit is not closed.

        A delivery of such a lane may hold its thread until the request deadline.
        """
        return self.failures > 0 or self.worker_losses > 0 or self.circuit.state is not CircuitState.CLOSED

    @property
    def seek_due(self) -> bool:
        """Whether its consumer must seek to the lane's position; False while the lane looks ahead."""
        return self.awaiting_seek and self.undecodable_run.lookahead_offset is None

    def oldest_timestamp_ms(self, in_flight: bytes, mixed_ms: int | None = None) -> int | None:
        """Kafka's timestamp of the record at the watermark; None if the lane does not have that record now.

        `in_flight` is the body of the first batch in flight that is not settled, empty without one. If that is a mixed
        batch, `mixed_ms` is the timestamp of the lane's first record in it.
        """
        offset = self.ledger.watermark
        if offset in self._dead_letters:
            return self._dead_letters[offset].timestamp_ms
        if mixed_ms is not None:
            return mixed_ms
        waiting = self.returned[0].body if self.returned else self.waiting[0].text if self.waiting else b""
        return self._envelope.timestamp_ms(offset, in_flight or waiting)

    def recently_succeeded(self, now: float) -> bool:
        """Whether it is not failing and its endpoint succeeded recently: then it uses the queue for first attempts.

        A success of any lane of the subscription counts, since all of them have the same endpoint.
        """
        return not self.failing and now - self.endpoint_latency.succeeded_at < RECENT_SUCCESS_S

    @property
    def committable(self) -> OffsetAndMetadata | None:
        """What to commit; None while nothing may be committed.

        That is before the first record was read, while the position is not known, and while it is not confirmed that
        the topic is the one that was read: in a recreated topic a commit would move the position.
        """
        watermark = self.ledger.watermark
        if watermark == UNREAD or not (self.position_known and self.topic_confirmed):
            return None
        circuit, run = self.circuit, self.undecodable_run
        metadata = CommitMetadata(
            topic_id=self.topic_id,
            failed_attempts=self.failures,
            worker_losses=self.worker_losses,
            failed_probes=0 if circuit.state is CircuitState.CLOSED else circuit.failed_probes,
            failing_since=circuit.failing_since,
            version=self.version,
            undecodable=run.count if run.too_long else 0,
        )
        return OffsetAndMetadata(watermark, metadata)

    def restore(self, metadata: CommitMetadata, now: float) -> None:
        """Continue with the state that the previous process has committed: failures, worker losses and open circuit.

        Failures under another version of the subscription do not count. Worker losses count under any version.
        """
        self.position_known = True
        self.topic_id = metadata.topic_id or self.topic_id
        self.undecodable_run.restore(metadata.undecodable)
        self.worker_losses = metadata.worker_losses
        if metadata.version not in {0, self.version}:
            return
        self.failures, self.circuit.failing_since = metadata.failed_attempts, metadata.failing_since
        if metadata.failed_probes:
            self.circuit.restore(metadata.failed_probes, now)
            self.send_alone = True

    def take(self, messages: Iterable[Message], matcher: Matching, now: float) -> tuple[int, list[DeadLetter]]:
        """Decode, match and render the messages that were polled: the hot path.

        Returns how many records the policies and filters dropped, and the new dead letters. A record that is read again
        while its dead letter is being stored gets no second dead letter. The messages are in offset order; those below
        the ledger's position (read again after a rewind) are skipped. After too many undecodable records in a row the
        lane stops before the next one and looks ahead from there (undecodable_records.py).
        """
        ledger, matches, render, wait = self.ledger, matcher.matches, self._envelope.render, self.waiting.append
        run = self.undecodable_run
        offset, position, dropped, size = -1, ledger.position, 0, 0
        dead_letters: list[DeadLetter] = []
        run.begin(len(self.waiting))
        for message in messages:
            offset = message.offset() or 0
            if offset < position:
                continue
            try:
                value = message.value()
                if not matches(value):
                    dropped += 1
                    continue
                text = render(offset, message.timestamp()[1], message.key(), message.headers(), value)
            except FilterFault as error:  # decodable, but no filter has rejected it
                run.end()
                dead_letters.extend(self._await_dead_letter(message, offset, error))
                continue
            except UNDECODABLE as error:
                run.count_decodable(dropped + len(self.waiting))
                if run.stops_before(offset):
                    self._stop_before(offset, message, error)
                    break
                run.add(error, shown_of(message).value)
                dead_letters.extend(self._await_dead_letter(message, offset, error))
                continue
            ledger.accept(offset)
            wait(RenderedRecord(offset, text, now))
            size += len(text)
        else:
            if offset >= max(position, 0):
                ledger.read(offset)
            run.count_decodable(dropped + len(self.waiting))
        self.buffered_bytes += size
        return dropped, dead_letters

    def accept(self, offset: int, text: bytes, now: float, *, traced: bool) -> None:
        """Take a record that was matched and rendered for several lanes."""
        self.ledger.accept(offset)
        self.waiting.append(RenderedRecord(offset, text, now))
        self.buffered_bytes += len(text)
        self._envelope.traced |= traced

    def follow(self, position: ReadPosition) -> None:
        """Follow a shared reader. Raises ValueError if that is past this lane's position."""
        self.ledger.follow(position)
        self._end_offset = UNREAD

    def look_ahead(self, messages: Iterable[Message], matcher: Matching) -> bool:
        """Search the messages for a decodable record; returns whether one was found.

        Then the lane continues from `ledger.position`, after its consumer has moved there.
        """
        run = self.undecodable_run
        reached = run.lookahead_offset
        for message in messages:
            offset = message.offset() or 0
            if reached is None or offset <= reached:
                continue
            run.lookahead_offset = offset
            if is_decodable(message, matcher):
                run.lookahead_offset, run.decodable_offset = None, offset
                return True
        return False

    def fills(self, records: int, size_bytes: int, taken_bytes: int = 0) -> bool:
        """Whether the waiting records fill a batch, by their number or by their bytes.

        `taken_bytes` of the buffered ones are in batches that have just been formed.
        """
        waiting = len(self.waiting)
        return waiting >= records or self.buffered_bytes - taken_bytes + overhead_bytes(waiting) >= size_bytes

    def form_batch(self, records: int, size_bytes: int) -> Batch:
        """One batch of the first waiting records: as many as both bounds allow, and at least one.

        `size_bytes` bounds the body of the request.
        """
        if records == 1:
            record = self.waiting.popleft()
            self.buffered_bytes += overhead_bytes(1)
            return Batch(self._webhook_ids.of((record.offset,)), 1, body((record.text,)))
        taken = self.take_rendered(records, room_bytes(size_bytes))
        count = len(taken)
        self.buffered_bytes += overhead_bytes(count)
        return Batch(self._webhook_ids.of([r.offset for r in taken]), count, body([r.text for r in taken]))

    def take_rendered(self, records: int, room: int, *, least: int = 1) -> list[RenderedRecord]:
        """Remove and return the first waiting records within both bounds, and at least `least` (0 or 1).

        Each record takes its bytes and one for a comma of `room`. They stay open in the ledger. Records are taken in
        chunks, and put back if they are too many: to check the bounds for each record takes longer.
        """
        waiting = self.waiting
        taken: list[RenderedRecord] = []
        while waiting and len(taken) < records and (room > 0 or len(taken) < least):
            chunk = [waiting.popleft() for _ in range(min(CHUNK_RECORDS, records - len(taken), len(waiting)))]
            room -= sum([len(record.text) for record in chunk]) + len(chunk)
            taken += chunk
        while room < 0 and len(taken) > least:
            room += len(taken[-1].text) + 1
            waiting.appendleft(taken.pop())
        return taken

    def take_returned(self, size_bytes: int) -> Batch:
        """Remove and return the first batch that was returned, or as much of it as `size_bytes` allow."""
        batch = self.returned.popleft()
        if len(batch.body) > size_bytes and batch.records > 1:
            self.put_back_divided(batch, division.within(self.subscription_id, batch, size_bytes))
            batch = self.returned.popleft()
        return batch

    def put_back_divided(self, batch: Batch, parts: Sequence[Batch]) -> None:
        """Return a batch in parts; each is a request of its own, and so takes more bytes."""
        self.buffered_bytes += sum(len(part.body) for part in parts) - len(batch.body)
        self.put_back(parts)
        self.parts = len(parts)

    def put_back_records(self, texts: Sequence[tuple[int, bytes]]) -> None:
        """Return the records of a mixed batch, by offset: they are the next to be sent, without waiting for others."""
        self.waiting.extendleft(RenderedRecord(offset, text, -inf) for offset, text in reversed(texts))
        self.buffered_bytes += sum(len(text) for _, text in texts)

    def put_back(self, batches: Sequence[Batch]) -> None:
        """Return batches that were not sent; they are the next to be sent, unchanged."""
        self.returned.extendleft(reversed(batches))

    def settle(self, records: int, size: int) -> None:
        """Settle the oldest `records`, which are acknowledged or dead-lettered; `size` bytes are no longer buffered."""
        self.ledger.settle(records)
        self.delivered_since_commit = True
        self.failures = self.worker_losses = 0
        self.buffered_bytes = max(0, self.buffered_bytes - size)

    def settle_dead_letter(self, dead_letter: DeadLetter) -> None:
        """Settle the record of a dead letter whose row is committed.

        After a rewind the record settles only if the lane has read it again.
        """
        self._dead_letters.pop(dead_letter.offset, None)
        self.delivered_since_commit = True
        if self.ledger.settle_dead_letter(dead_letter.offset):
            self.dead_letter_bytes = max(0, self.dead_letter_bytes - dead_letter.size_bytes)

    def skip_to(self, offset: int) -> None:
        """Continue to read at `offset`; of the records before it, only those accepted already are still waited for."""
        self.ledger.unfollow()
        self.ledger.read(offset - 1)
        self.undecodable_run.lookahead_offset = None

    def reach_end(self, offset: int) -> None:
        """Note that all below `offset` was read and no more can be read now; settles offsets without a record."""
        self._end_offset = offset
        if offset > self.ledger.position:
            self.ledger.read(offset - 1)

    @property
    def end_offset(self) -> int:
        """The end of its partition when it was reached last; UNREAD before."""
        followed = self.ledger.followed
        return self._end_offset if followed is None else followed.end

    @property
    def at_end(self) -> bool:
        """Whether the lane has read everything that can be read now."""
        return self.end_offset != UNREAD and self.ledger.position == self.end_offset and not self.awaiting_seek

    def rewind(self, epoch: str) -> int:
        """Forget what is not settled, under a new epoch; returns the offset to read from (UNREAD: no seek is needed).

        Dead letters are still being stored meanwhile. The lane awaits a seek until its consumer is at the returned
        offset: messages that arrive before that come after a gap and must not be taken.
        """
        self.epoch = epoch
        self.waiting.clear()
        self.returned.clear()
        self.buffered_bytes = self.dead_letter_bytes = 0
        self.delivery = None
        self.group, self.parts = None, 0
        self.undecodable_run.reset()
        self.awaiting_seek, self._end_offset = self.ledger.position != UNREAD, UNREAD
        return self.ledger.rewind()

    def _stop_before(self, offset: int, message: Message, error: Exception) -> None:
        """Begin to look ahead: messages from here on come after a gap, so the lane reads them but takes none."""
        self.ledger.read(offset - 1)
        self.undecodable_run.lookahead_offset, self.awaiting_seek = offset, True
        self.undecodable_run.detail = description(error, shown_of(message).value)

    def _await_dead_letter(self, message: Message, offset: int, error: Exception) -> list[DeadLetter]:
        """Keep the record open until its dead letter is stored; returns the dead letter if it is a new one."""
        self.ledger.add_dead_letter(offset)
        dead_letters = []
        if offset not in self._dead_letters:
            dead_letters.append(dead_letter_of(self.subscription_id, self.partition, message, error))
            self._dead_letters[offset] = dead_letters[0]
        self.dead_letter_bytes += self._dead_letters[offset].size_bytes
        return dead_letters
