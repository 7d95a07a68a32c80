"""One subscription in one thread with a simulated clock: random records, filters, outcomes, losses and rebalances.

The endpoint also refuses batches as a whole, so that they are divided in the middle of everything else. Tasks stay open
as delivery sessions: pushes to them are lost, come late, or go to a dead worker, and Redis loses everything. A model
knows what became of every record. Each step checks that all records below the watermark were delivered, dropped or
dead-lettered, and that first deliveries are in order.
"""

import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.harness.lanes import (
    FAILED,
    LIMITS,
    TOPIC,
    WANTED,
    Record,
    accumulator,
    in_flight_deliveries,
    offsets_in,
)
from tests.harness.subscriptions import ID
from webhookd.errors import FilterFault, UndecodableRecord
from webhookd.flow.attempt.attempt_report import LoggedExchange, Report, ReportKind
from webhookd.flow.authorization.topic_matcher import TopicMatcher
from webhookd.flow.batching.batch import Batch
from webhookd.flow.batching.message import Matching
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.dispatch.delivery import Delivery, Lane
from webhookd.flow.dispatch.open_sessions import OpenSessions
from webhookd.flow.dispatch.queue_names import FIRST
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.offsets.position import UNREAD, Partition
from webhookd.flow.settlement.exhausted_batch import ExhaustedBatch
from webhookd.flow.settlement.in_flight import ReportEffect
from webhookd.flow.settlement.lane_updates import due_probes
from webhookd.flow.subscription import OnExhausted

STEP_S = 0.5
VALUES = (b'{"n":1}', b'{"n":1}', b'{"n":1}', b'"drop"', b'"bad"')
FINISHED, RETRY, EXHAUSTED, DIVISIBLE = (
    ReportKind.FINISHED,
    ReportKind.RETRY,
    ReportKind.EXHAUSTED,
    ReportKind.DIVISIBLE,
)
ENDS = (FINISHED, FINISHED, FINISHED, RETRY, EXHAUSTED, DIVISIBLE, DIVISIBLE, None)
"""How a delivery ends; None: its worker is killed."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker gets: the reference, and the payload as it was when it was published."""

    ref: DeliveryRef
    batches: tuple[Batch, ...]
    may_stay: bool = False


@dataclass(slots=True)
class Topic:
    """One partition: its records, how far it was read, and which records are done."""

    log: list[Record]
    reading: int = 0
    committed: int = 0
    done: set[int] = field(default_factory=set)
    newest: int = -1

    def settled_below(self, watermark: int) -> bool:
        return all(record.at in self.done for record in self.log if record.at < watermark)

    @property
    def end(self) -> int:
        return self.log[-1].at + 1


class World:
    """Kafka, ingest and workers, advanced step by step.

    `logs` are the records by partition, random ones if not given; `matcher` is that of the subscription.
    """

    def __init__(
        self,
        seed: int,
        logs: Mapping[int, list[Record]] | None = None,
        *,
        id_: str = ID,
        matcher: TopicMatcher | None = None,
    ) -> None:
        self.matcher: Matching = matcher or WANTED
        self.chance = random.Random(seed)  # noqa: S311  # seeded on purpose
        self.now = 0.0
        self.faultless = False
        self.accumulator = accumulator(
            0,
            size=self.chance.choice((1, 1, 3, 10)),
            interval_s=self.chance.choice((0.5, 2.0)),
            limits=LIMITS,
            on_exhausted=self.chance.choice(tuple(OnExhausted)),
            id_=id_,
        )
        self.in_flight = in_flight_deliveries()
        logs = logs or {number: self._log() for number in range(self.chance.randint(1, 4))}
        self.topics = {number: Topic(log) for number, log in logs.items()}
        for topic in self.topics.values():
            topic.done.update(record.at for record in topic.log if self._is_dropped(record))
        for number in self.topics:
            self.accumulator.open_lane(Partition(TOPIC, number))
        self.queue: deque[Task] = deque()
        self.sessions = OpenSessions(idle_s=3.0, most=8)
        self.pushed: dict[str, list[Task]] = {}  # by session, those that Redis holds as open
        self.dead: set[str] = set()
        self.claimable: set[str] = set()
        self.pushes = self.refusals = self.session_count = 0
        self.claimed: set[tuple[str, int]] = set()
        self.taken: dict[str, tuple[set[int], int]] = {}
        self.dead_letters: list[tuple[Lane, DeadLetter]] = []
        self.exhausted: list[ExhaustedBatch] = []

    def step(self) -> None:
        self.now += STEP_S
        self._read()
        self._store_dead_letters()
        for delivery in self.accumulator.ready(self.now):
            self._publish(delivery)
        for _ in range(len(self.queue)):
            self._work(self.queue.popleft())
        for session in list(self.pushed):
            self._continue(session)
        if not self.faultless and self.chance.random() < 0.01:
            self._flush_redis()
        self._sweep()
        if not self.faultless and self.chance.random() < 0.05:
            self._rebalance()
        self._check()

    @property
    def settled(self) -> bool:
        return not len(self.in_flight) and all(
            max(lane.ledger.watermark, topic.committed) == topic.end and not lane.buffered_bytes
            for lane, topic in zip(self.accumulator.lanes.values(), self.topics.values(), strict=True)
        )

    def _log(self) -> list[Record]:
        offset, log = 0, []
        for _ in range(self.chance.randint(20, 120)):
            offset += self.chance.choice((1, 1, 1, 2, 17))  # compaction leaves gaps
            log.append(Record(offset, self.chance.choice(VALUES)))
        return log

    def _is_dropped(self, record: Record) -> bool:
        """Whether the filters reject the record; decided record by record, before anything is read."""
        try:
            return not self.matcher.matches(record.body)
        except (UndecodableRecord, FilterFault):
            return False

    def _read(self) -> None:
        for lane in self.accumulator.lanes.values():
            if lane.following:
                continue
            topic = self.topics[lane.partition.number]
            count = self.chance.randint(0, 12)
            taken = [record for record in topic.log if record.at >= topic.reading][:count]
            if taken:
                _, dead_letters = lane.take(taken, self.matcher, self.now)
                topic.reading = taken[-1].at + 1
                self.dead_letters.extend((lane, dead_letter) for dead_letter in dead_letters)

    def _store_dead_letters(self) -> None:
        if self.faultless or self.chance.random() < 0.5:
            for lane, dead_letter in self.dead_letters:
                lane.settle_dead_letter(dead_letter)
                self.topics[lane.partition.number].done.add(dead_letter.offset)
            self.dead_letters.clear()
            exhausted, self.exhausted = self.exhausted, []
            for batch in exhausted:
                for dead_letter in batch.dead_letters():
                    self.topics[dead_letter.partition.number].done.add(dead_letter.offset)
                self._apply(self.in_flight.dead_letters_stored(batch.delivery))

    def _publish(self, delivery: Delivery, *, again: bool = False) -> None:
        shared = delivery.queue == FIRST and not delivery.own_task
        session = self.sessions.choose(self.now) if shared and not again else None
        if session is not None:
            session.add([delivery], self.now)
        self.in_flight.published(delivery, self.now, pushed=session is not None)
        self.claimable.add(delivery.id)
        task = Task(delivery.ref("ingest"), tuple(delivery.batches), may_stay=shared)
        if session is not None:
            if self._push(session.id, task):
                return
            self.sessions.forget(session.id)
            self.in_flight.published(delivery, self.now)
        if self.faultless or self.chance.random() < 0.9:  # or the task is lost on its way
            self.queue.append(task)

    def _push(self, session: str, task: Task) -> bool:
        if session not in self.pushed:
            self.refusals += 1
            return False
        self.pushes += 1
        if self.faultless or self.chance.random() < 0.95:  # or it is lost on its way
            self.pushed[session].append(task)
        return True

    def _continue(self, session: str) -> None:
        """A session takes what was pushed, or is late; or its worker is killed, and Redis forgets the session later."""
        if session in self.dead:
            if self.faultless or self.chance.random() < 0.3:
                del self.pushed[session]
            return
        fault = 1.0 if self.faultless else self.chance.random()
        if fault < 0.05:
            self.dead.add(session)
        if fault < 0.2:
            return
        tasks, self.pushed[session] = self.pushed[session], []
        for task in tasks:
            self._work(task)
        if self.chance.random() < 0.2:
            del self.pushed[session]

    def _flush_redis(self) -> None:
        self.queue.clear()
        self.pushed.clear()
        self.claimed.clear()
        self.claimable.clear()

    def _work(self, task: Task) -> None:
        ref = task.ref
        current = all(
            self.accumulator.lanes[TOPIC, int(key.partition("/")[2])].epoch == epoch for key, epoch in ref.lanes.items()
        )
        if (ref.id, ref.attempt) in self.claimed:
            return
        if not current or ref.id not in self.claimable:
            self._report(Report(ReportKind.STALE, ref.id, ref.attempt))
            return
        self.claimed.add((ref.id, ref.attempt))
        session = ""
        if task.may_stay and self.chance.random() < 0.7:
            self.session_count += 1
            session = f"worker/{self.session_count}"
            self.pushed[session] = []
        self._report(Report(ReportKind.STARTED, ref.id, ref.attempt, session=session))
        self._send(task)

    def _send(self, task: Task) -> None:
        """Some batches arrive; how the delivery ends, and whether its report arrives, is random."""
        ref, count = task.ref, len(task.batches)
        end = FINISHED if self.faultless else self.chance.choice(ENDS)
        refused = end in {RETRY, EXHAUSTED, DIVISIBLE}
        done = count if self.faultless else self.chance.randint(0, count - 1 if refused else count)
        if end is DIVISIBLE and task.batches[done].records == 1:
            end = EXHAUSTED
        for index in range(done):
            self._deliver(task.batches[index])
            if self.chance.random() < 0.3:
                self._report(Report(ReportKind.PROGRESS, ref.id, ref.attempt, index + 1))
        if end is None:  # killed
            return
        failure = self._refusal() if end is DIVISIBLE else FAILED if refused else None
        wait_s = 5.0 if end is RETRY else 0.0
        report = Report(end, ref.id, ref.attempt, done, 0.01, wait_s, failure=failure)
        for _ in range(self.chance.choice((1, 1, 1, 2)) if self.faultless or self.chance.random() < 0.9 else 0):
            self._report(report)
        if end is RETRY:
            self._retry(task, done)

    def _refusal(self) -> LoggedExchange:
        """Too large, or refused for one of its records."""
        status = self.chance.choice((413, 422))
        return LoggedExchange(0.0, "msg_0", status, error=f"http_{status}")

    def _retry(self, task: Task, done: int) -> None:
        again = DeliveryRef(
            id=task.ref.id,
            subscription=task.ref.subscription,
            version=1,
            lanes=task.ref.lanes,
            attempt=task.ref.attempt + 1,
            records=task.batches[done].records,
            batches=1,
            reply_to="ingest",
        )
        self.queue.append(Task(again, (task.batches[done],)))

    def _deliver(self, batch: Batch) -> None:
        for number, offset in offsets_in(batch.body):
            topic = self.topics[number]
            if offset not in topic.done:
                assert offset > topic.newest, "a record overtook another"
                topic.newest = offset
            topic.done.add(offset)

    def _report(self, report: Report) -> None:
        if report.session and any(lane.delivery and lane.delivery.id == report.delivery for lane in self._lanes()):
            self.sessions.started(report.session, self.in_flight[report.delivery], self.now)
        self._apply(self.in_flight.apply(report, self.now))

    def _lanes(self) -> Iterable[Lane]:
        return self.accumulator.lanes.values()

    def _apply(self, effect: ReportEffect) -> None:
        for lane, offset in effect.reread:
            if self.accumulator.lanes.get((TOPIC, lane.partition.number)) is lane and offset != UNREAD:
                self.topics[lane.partition.number].reading = offset
        if effect.exhausted_batch is not None:
            self.exhausted.append(effect.exhausted_batch)

    def _sweep(self) -> None:
        unclaimed, lost = self.in_flight.overdue(self.now)
        self.sessions.unclaimed(unclaimed)
        for delivery in unclaimed:
            self._publish(delivery, again=True)
        for delivery in lost:
            self._apply(self.in_flight.worker_lost(delivery, self.now))
        due_probes(self.accumulator.lanes.values(), self.now)

    def _rebalance(self) -> None:
        """One partition is revoked, committed, and assigned again with a new lane."""
        number = self.chance.choice(sorted(self.topics))
        topic = self.topics[number]
        closed = self.accumulator.close_lane(Partition(TOPIC, number))
        assert closed is not None
        topic.committed = max(topic.committed, closed.ledger.watermark)
        topic.reading = topic.committed
        self.accumulator.open_lane(Partition(TOPIC, number))
        self.accumulator.lanes = dict(sorted(self.accumulator.lanes.items()))

    def _check(self) -> None:
        for lane in self.accumulator.lanes.values():
            topic = self.topics[lane.partition.number]
            assert topic.settled_below(lane.ledger.watermark), "the watermark passed an unsettled record"
            assert lane.buffered_bytes >= 0
            self._check_taken_once(lane)

    def _check_taken_once(self, lane: Lane) -> None:
        """Under one epoch no record is taken twice, and none after a later one."""
        open_offsets = [lane.ledger.open_range(count)[1] for count in range(1, lane.ledger.open_count + 1)]
        assert open_offsets == sorted(set(open_offsets)), "a record was taken again, or out of order"
        before, highest = self.taken.get(lane.epoch, (set(), UNREAD))
        new = [offset for offset in open_offsets if offset not in before]
        assert min(new, default=highest + 1) > highest, "a record was taken again after it was settled"
        self.taken[lane.epoch] = set(open_offsets), max([highest, *open_offsets])
