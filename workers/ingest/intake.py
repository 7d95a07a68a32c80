"""One subscription at work in this process: its consumer, its lanes, its counters and its health."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from confluent_kafka import KafkaException, Message

from webhookd import logs
from webhookd.edges.kafka_reader import Listener
from webhookd.flow.activity_fold import ActivityFold
from webhookd.flow.burial import Burial
from webhookd.flow.condition import Condition, LostRange
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.filters.matcher import Matcher
from webhookd.flow.lane import Lane, LaneState
from webhookd.flow.lane import Message as Record
from webhookd.flow.ledger import UNREAD
from webhookd.flow.position import Mark, Partition
from webhookd.flow.problem import Problem, Problems
from webhookd.flow.report import Exchange
from webhookd.flow.route import Route
from webhookd.flow.subscription import Source
from webhookd.flow.throttle import Throttle
from webhookd.flow.topics import Topics
from workers.ingest import vitals
from workers.ingest.filter_problem import FilterProblem
from workers.ingest.ports import Reader, Services
from workers.ingest.positions import ASK_AGAIN_S, ASK_TIMEOUT_S, Positions

LAG_AGAIN_S = 30.0
"""How often the ends of held lanes are asked for: nothing is fetched of them, so nothing tells their lag."""

TURN_S = 0.02
"""How long one subscription's records may keep the loop from the others'."""

FIRST_SLICE = 32
MOST_IN_A_SLICE = 2048
"""Records between two looks at the clock; doubles while they are quick."""

LONGEST_QUIET_S = 0.2
"""A consumer that has long been idle is looked at so often; its first record is at most so late."""

TOPIC_MISSING = "topic_missing"
"""A topic of the subscription does not exist, yet or any more: nothing of it can be delivered."""

_log = logs.get(__name__)


class Intake:
    """Owned by the ingest loop's thread; made and polled there."""

    def __init__(
        self,
        route: Route,
        matchers: Mapping[str, Matcher],
        throttle: Throttle,
        services: Services,
        open_reader: Callable[[Listener], Reader],
        previous: Condition | None,
    ) -> None:
        self.route = route
        self.subscription = route.subscription
        self.vitals = vitals.resumed(self.subscription.id, previous, services.wall_clock())
        self.counters = self.vitals.counters
        self.fold = ActivityFold()
        self.throttle = throttle
        self.changed = True
        self.poll_at = 0.0
        self.closed = False
        self.broken = False
        self.joined = False
        self._unread: list[Message] = []
        self._slice = FIRST_SLICE
        self._matchers = matchers
        self._sources: dict[str, Source] = {source.topic: source for source in self.subscription.sources}
        self._filters = FilterProblem(self, matchers)
        self._services = services
        self._active_at = services.monotonic()
        self._positions = Positions(self, self._sources, services, self.subscription.id)
        self._ends: dict[Partition, int] = {}
        self._ends_at = 0.0
        self.reader = open_reader(
            Listener(
                assigned=self._assigned,
                revoked=self._revoked,
                lost=self._unassigned,
                unpositioned=self._positions.unpositioned,
                uncommitted=self._uncommitted,
                failed=self._complain,
            )
        )

    def poll(self, now: float, pause_s: float) -> bool:
        """Read what has arrived into the lanes; answers whether there was anything."""
        lanes = self.route.lanes
        if self.throttle.skips(lanes.values(), now):
            self.poll_at = now + pause_s
            return False
        messages = self._unread or self.reader.poll()
        if messages:
            self._take_for_a_while(messages, now)
            self._active_at = now
            self.poll_at = now
        else:
            self.poll_at = now + min(LONGEST_QUIET_S, max(pause_s, (now - self._active_at) / 4))
        self._throttle()
        return bool(messages)

    def _take_for_a_while(self, messages: list[Message], now: float) -> None:
        """Take what was read, in slices, and leave the rest for the next turn: filters may be slow."""
        self._unread = messages
        clock = self._services.monotonic
        began = clock()
        until = began + TURN_S
        while self._unread and began < until:
            part, self._unread = self._unread[: self._slice], self._unread[self._slice :]
            self._take(part, now)
            ended = clock()
            if ended - began > TURN_S / 2:
                self._slice = max(1, self._slice // 4)
            else:
                self._slice = min(MOST_IN_A_SLICE, self._slice * 2)
            began = ended

    def reread(self, lane: Lane, offset: int) -> None:
        """Go back to `offset`, where the lane's watermark is; a lane that is not ours any more stays as it is."""
        if offset == UNREAD or not self._owns(lane):
            return
        self._drop_unread(lane.partition)
        try:
            self.reader.reposition(lane.partition, offset)
            if lane.paused:
                self.reader.pause(lane.partition)
        except KafkaException as error:
            _log.warning("reposition_failed", subscription=self.subscription.id, lane=lane.key, detail=str(error))
            self._services.call_later(ASK_AGAIN_S, lambda: self.reread(lane, offset))
        else:
            lane.adrift = False

    def hold(self, lane: Lane) -> None:
        """Stop reading a lane whose delivery was exhausted."""
        if self._owns(lane):
            self._pause(lane)

    def release(self, lane: Lane) -> None:
        """Read again for a probe."""
        if lane.paused:
            lane.paused = False
            self.reader.resume(lane.partition)

    def marks(self) -> dict[Partition, Mark]:
        """What has to be committed since the last time."""
        moved = {}
        for lane in self.route.lanes.values():
            mark = lane.mark
            if mark is not None and mark != lane.committed:
                moved[lane.partition] = lane.committed = mark
        return moved

    @property
    def holds(self) -> bool:
        """Whether any lane waits for its probe, or for the probe's answer."""
        return any(lane.state is not LaneState.FLOWING for lane in self.route.lanes.values())

    def delivered(self) -> None:
        """A delivery succeeded: what a delivery ends is over, unless a lane waits for its endpoint."""
        if not self.holds:
            self._change(Problems.delivered)

    def commit(self) -> None:
        """Ask Kafka to keep the watermarks that moved; one that does not get there is said again."""
        moved = self.marks()
        if not moved or self.broken:
            return
        try:
            self.reader.commit(moved)
        except (KafkaException, RuntimeError) as error:
            _log.warning("commit_failed", subscription=self.subscription.id, detail=str(error))
            self._uncommitted(list(moved))

    def suffer(self, code: str, detail: str = "", *, standing: bool = False) -> None:
        """A problem (flow/problem.py) began: unhealthy, shown in the status and in the activity."""
        problem = Problem(code=code, detail=detail, since=self._services.wall_clock(), standing=standing)
        self._change(lambda problems: problems.begin(problem))

    def overcome(self, code: str) -> None:
        """The standing problem with this code is over."""
        self._change(lambda problems: problems.end(code))

    def _change(self, act: Callable[[Problems], bool]) -> None:
        activity = self.vitals.change(act, self._services.wall_clock())
        self.changed = True
        if activity is not None:
            self._services.happened(activity)
            health, reason = self.vitals.health, self.vitals.reason
            _log.info("health_changed", subscription=self.subscription.id, health=str(health), reason=reason)

    def failed(self, failure: Exchange) -> None:
        """An exchange failed."""
        self.vitals.failed(failure)
        self.changed = True

    def saw_topics(self, topics: Topics) -> None:
        """What the cluster says about the topics by now."""
        self.changed |= self.vitals.saw_topics(topics.partitions, self._sources)
        if self.vitals.missing and TOPIC_MISSING not in self.vitals.problems:
            self.suffer(TOPIC_MISSING, ", ".join(self.vitals.missing), standing=True)
        elif not self.vitals.missing and TOPIC_MISSING in self.vitals.problems:
            self.overcome(TOPIC_MISSING)
        for lane in list(self.route.lanes.values()):
            if lane.known and lane.partition.topic in topics.partitions:
                self._positions.confirm(lane, topics)

    def look_after(self) -> None:
        """Once a second: how far behind it is, and whether a batch has been failing for too long."""
        self._filters.look_after()
        lanes = self.route.lanes.values()
        if self.vitals.too_long(lanes, self._services.wall_clock()):
            self.suffer(self.vitals.last_code)
        if self.holds and self._services.monotonic() - self._ends_at > LAG_AGAIN_S:
            self._ends_at = self._services.monotonic()
            held = [lane.partition for lane in lanes if lane.state is not LaneState.FLOWING]
            self._services.in_background(lambda: self._ask_ends(held))
        lag = sum(self._lag(lane) for lane in lanes)
        self.changed |= lag != self.vitals.lag
        self.vitals.lag = lag

    def condition(self) -> Condition:
        """What the status shows."""
        errors = [matcher for matcher in self._matchers.values() if matcher.errors]
        shown = self.vitals.condition(self.route.lanes.values())
        return replace(
            shown,
            filter_errors=shown.filter_errors + sum(matcher.errors for matcher in errors),
            last_filter_error=errors[-1].last_error if errors else "",
        )

    def close(self) -> None:
        """Commit and leave the group, in the background; nothing of its lanes is touched any more."""
        self.closed = True
        marks = {lane.partition: lane.mark for lane in self.route.lanes.values()}
        last = {partition: mark for partition, mark in marks.items() if mark is not None}
        self._services.in_background(lambda: self.reader.close(last))

    def bury(self, burial: Burial, safe: Callable[[], None]) -> None:
        """Put the records of a batch aside that no attempt is left for; `safe` runs when nothing can lose them."""
        letters = list(burial.letters())

        def counted() -> None:
            self.counters.dead_lettered += len(letters)
            self.changed = True
            safe()

        self._services.bury(self.subscription, letters, counted)

    # What its positions ask of it.

    def lane(self, partition: Partition) -> Lane | None:
        """The lane that is open for a partition."""
        return self.route.lanes.get((partition.topic, partition.number))

    def open(self, partition: Partition) -> Lane:
        """A new lane; the one that was there is forgotten, with what it has in flight."""
        old = self.lane(partition)
        if old is not None:
            self.release(old)
            self._forget(partition)
        return self.route.open_lane(partition)

    def dispatch(self) -> None:
        """There may be something to dispatch now."""
        self._services.touch(self.subscription.id)

    def lost(self, lost: LostRange) -> None:
        """Kafka no longer holds these offsets: never a silent jump."""
        self.vitals.lost(lost)
        self.suffer("records_lost")
        self.changed = True
        _log.error(
            "records_lost",
            code="records_lost",
            subscription=self.subscription.id,
            lane=f"{lost.topic}/{lost.partition}",
            first=lost.first,
            end=lost.end,
            count=lost.count,
        )

    def _lag(self, lane: Lane) -> int:
        end = self.reader.end(lane.partition)
        end = max(end or 0, self._ends.get(lane.partition, 0))
        return max(0, end - lane.ledger.watermark) if lane.ledger.watermark != UNREAD else 0

    def _ask_ends(self, partitions: Sequence[Partition]) -> None:
        try:
            ends = {partition: self.reader.bounds(partition, ASK_TIMEOUT_S).end for partition in partitions}
        except (KafkaException, RuntimeError) as error:  # RuntimeError: closed meanwhile
            _log.info("ends_unknown", subscription=self.subscription.id, detail=str(error))
            return
        self._services.call(lambda: self._ends.update(ends))

    def _owns(self, lane: Lane) -> bool:
        return not self.closed and self.lane(lane.partition) is lane

    def _take(self, messages: Sequence[Message], now: float) -> None:
        for (topic, number), taken in self._by_lane(messages):
            lane = self.route.lanes.get((topic or "", -1 if number is None else number))
            if lane is not None and not lane.adrift:
                records = cast("list[Record]", taken)  # the stubs allow what a consumer never gives
                dropped, letters = lane.take(records, self._matchers[lane.partition.topic], now)
                self.counters.filtered += dropped
                self._bury(lane, letters)
                self._filters.took(lane.partition.topic, len(records))
        self.changed = True

    def _by_lane(self, messages: Sequence[Message]) -> Iterable[tuple[tuple[str | None, int | None], list[Message]]]:
        """The messages of each lane in their order; with one topic, as most have, it need not be asked of each."""
        by_number: defaultdict[int | None, list[Message]] = defaultdict(list)
        by_place: defaultdict[tuple[str | None, int | None], list[Message]] = defaultdict(list)
        if len(self._sources) == 1:
            for message in messages:
                by_number[message.partition()].append(message)
            topic = messages[0].topic()
            return [((topic, number), taken) for number, taken in by_number.items()]
        for message in messages:
            by_place[message.topic(), message.partition()].append(message)
        return by_place.items()

    def _bury(self, lane: Lane, letters: list[DeadLetter]) -> None:
        if not letters:
            return

        def committed() -> None:
            for letter in letters:
                lane.settle_aside(letter)
            self.counters.dead_lettered += len(letters)
            self.changed = True

        self._services.bury(self.subscription, letters, committed)

    def _throttle(self) -> None:
        lanes = self.route.lanes.values()
        for lane in self.throttle.to_pause(lanes):
            self._pause(lane)
        for lane in self.throttle.to_resume(lanes):
            self.release(lane)

    def _pause(self, lane: Lane) -> None:
        if not lane.paused:
            lane.paused = True
            self.reader.pause(lane.partition)

    def _assigned(self, partitions: Sequence[Partition]) -> None:
        self.joined = True
        self._positions.assigned(partitions)
        _log.info("assigned", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

    def _revoked(self, partitions: Sequence[Partition]) -> None:
        """Commit what is settled, then forget the lanes: another member reads on from there.

        The commit is asked for before the partitions are given back, on the same connection to the coordinator, so it
        arrives before whoever comes next can begin; nobody waits for it.
        """
        marks = {}
        for partition in partitions:
            lane = self._forget(partition)
            mark = lane.mark if lane is not None else None
            if mark is not None:
                marks[partition] = mark
        if marks and not self.closed:
            self.reader.commit(marks)
        _log.info("revoked", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

    def _unassigned(self, partitions: Sequence[Partition]) -> None:
        """The partitions were somebody else's before we knew: a commit now could take their position back."""
        for partition in partitions:
            self._forget(partition)
        _log.warning("lost", subscription=self.subscription.id, lanes=[str(p) for p in partitions])

    def _forget(self, partition: Partition) -> Lane | None:
        self._drop_unread(partition)
        return self.route.close_lane(partition)

    def _drop_unread(self, partition: Partition) -> None:
        """What was read before the lane moved must not be taken after it."""
        place = (partition.topic, partition.number)
        self._unread = [m for m in self._unread if (m.topic(), m.partition()) != place]

    def _uncommitted(self, partitions: Sequence[Partition]) -> None:
        """The commit did not get there: the next one says it again, when the topic is known to be there still."""
        for partition in partitions:
            lane = self.route.lanes.get((partition.topic, partition.number))
            if lane is not None:
                lane.committed = None
                lane.confirmed = False

    def _complain(self, code: str, detail: str) -> None:
        _log.warning("kafka_error", subscription=self.subscription.id, code=code, detail=detail)
