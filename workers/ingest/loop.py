"""The ingest loop: one thread that reads, dispatches, settles and commits for every subscription of this process.

    poll ─▶ take (decode, match, batch) ─▶ ready ─▶ publisher ┄▶ workers
      ▲                                                            ┆
    commit ◀─ watermarks ◀─ settle ◀─ reports ◀────────────────────┘

Everything that other threads have to say arrives as a call in the inbox; nothing in here blocks. What may take long
(closing a consumer, asking for offsets) runs in the background pool.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from threading import Thread

from webhookd import logs
from webhookd.errors import UnusableSubscription
from webhookd.flow.activity_fold import ActivityFold
from webhookd.flow.condition import Condition, Health
from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.delivery import Delivery, Stage
from webhookd.flow.dispatches import STALE_PAUSE_S, Dispatches, Effect, due_probes
from webhookd.flow.report import Kind, Report
from webhookd.flow.subscription import Subscription
from workers.ingest import cadence
from workers.ingest.activity_rows import activity_rows
from workers.ingest.background import Background
from workers.ingest.cadence import Clocks, LoopBounds
from workers.ingest.intake import Intake
from workers.ingest.publisher import Outgoing, Publisher
from workers.ingest.recorder import Recorder
from workers.ingest.timers import Timers

_log = logs.get(__name__)


class IngestLoop:
    """Runs subscriptions until stopped. `start_with` and `drop` are for the loop's own thread: use `call`."""

    def __init__(
        self,
        *,
        bounds: LoopBounds,
        clocks: Clocks,
        dispatches: Dispatches,
        publisher: Publisher,
        recorder: Recorder,
        open_intake: Callable[[Subscription, Condition | None, "IngestLoop"], Intake],
        never_joined: Callable[[], None],
    ) -> None:
        self.monotonic = clocks.monotonic
        self.wall_clock = clocks.wall
        self.intakes: dict[str, Intake] = {}
        self._bounds = bounds
        self._dispatches = dispatches
        self._publisher = publisher
        self._recorder = recorder
        self._open_intake = open_intake
        self._never_joined = never_joined
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._background = Background()
        self._touched: dict[str, Intake] = {}
        self._attention: dict[str, Intake] = {}
        self._wanted: dict[str, Subscription] = {}
        self._polls: list[tuple[float, int, Intake]] = []
        self._timers = Timers(clocks.monotonic)
        self._order = count()
        self._recent_lanes: set[str] = set()
        self._lane_count = 0
        self._next_parcel_at = 0.0
        self._running = True
        self._dispatching = True
        self._thread = Thread(target=self._run, name="ingest-loop", daemon=True)

    # What other threads call.

    def start(self) -> None:
        """Begin to read."""
        self._timers.every(cadence.SWEEP_S, self._sweep)
        self._timers.every(self._bounds.commit_interval_s, self._commit)
        self._timers.every(cadence.RECORD_S, self._record)
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """Stop dispatching, wait for what is in flight within the budget, commit and leave the groups."""
        until = self.monotonic() + budget_s
        self.call(lambda: self._drain(until))
        self._thread.join(budget_s + 1.0)
        unfinished = self._background.stop(cadence.LEAVE_S)
        if unfinished:
            _log.warning("groups_not_left", code="kafka_unavailable", count=unfinished)

    def call(self, action: Callable[[], None]) -> None:
        """Run on the loop's thread, soon."""
        self._inbox.put(action)

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run on the loop's thread after a while."""
        self.call(lambda: self._timers.at(self.monotonic() + delay_s, action))

    def in_background(self, action: Callable[[], None]) -> None:
        """Run on a thread that may block."""
        self._background.run(action)

    def bury(self, letters: list[DeadLetter], committed: Callable[[], None]) -> None:
        """Put records aside; `committed` runs on the loop's thread."""
        self._recorder.bury(letters, lambda: self.call(committed))

    def reported(self, reports: Sequence[Report]) -> None:
        """Reports arrived."""
        self.call(lambda: self._settle(reports))

    def unknown(self, deliveries: Sequence[Delivery]) -> None:
        """These may not have been published: try again soon, under the same ids."""
        self.call(lambda: self._republish_soon(deliveries))

    # What runs on the loop's thread.

    def start_with(self, subscription: Subscription, previous: Condition | None) -> None:
        """Run a subscription, in place of an older version of it; `previous` is its condition before this process."""
        running = self.intakes.get(subscription.id)
        if running is not None:
            previous = running.condition()
            self.drop(subscription.id)
        self._wanted[subscription.id] = subscription
        try:
            intake = self._open_intake(subscription, previous, self)
        except UnusableSubscription:
            raise
        except Exception as error:  # noqa: BLE001 - no consumer is to be had: it may be another time
            self._start_later(subscription, previous, error)
            return
        self.intakes[subscription.id] = intake
        self._poll_at(intake)
        _log.info("subscription_started", subscription=subscription.id, version=subscription.version)

    def drop(self, subscription_id: str) -> None:
        """Stop running a subscription; what it has in flight is stale from here on."""
        self._wanted.pop(subscription_id, None)
        intake = self.intakes.pop(subscription_id, None)
        if intake is None:
            return
        self._touched.pop(subscription_id, None)
        self._attention.pop(subscription_id, None)
        self._publisher.revoke([lane.slot for lane in intake.route.lanes.values()])
        self._say(intake)
        for lane in intake.route.lanes.values():
            lane.delivery = None
        intake.close()  # from here on its lanes are the background's, which closes them one by one
        _log.info("subscription_stopped", subscription=subscription_id, version=intake.subscription.version)

    def saw_topics(self, partitions: Mapping[str, int]) -> None:
        """How many partitions each topic of the cluster has."""
        for intake in self.intakes.values():
            intake.saw_topics(partitions)

    def _run(self) -> None:
        while self._running:
            try:
                self._turn()
            except Exception:  # noqa: BLE001 - the top of the loop: one subscription's fault is not the others' end
                _log.exception("ingest_turn_failed")

    def _turn(self) -> None:
        self._listen()  # before the timers: a lease whose report is here already has not run out
        now = self.monotonic()
        self._timers.run_due(now)
        if self._dispatching:
            self._poll(now)
            self._dispatch()
        self._wait()

    def _poll(self, now: float) -> None:
        pause_s = self._pause_s()
        due = []
        while self._polls and self._polls[0][0] <= now:
            due.append(heapq.heappop(self._polls)[2])
        for intake in due:
            if intake.closed or intake.broken:
                continue
            try:
                if intake.poll(now, pause_s):
                    self._touch(intake)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this subscription's alone
                self._rebuild(intake, error)
            self._poll_at(intake)

    def _poll_at(self, intake: Intake) -> None:
        heapq.heappush(self._polls, (intake.poll_at, next(self._order), intake))

    def _dispatch(self) -> None:
        now = self.monotonic()
        if not self._touched or self._publisher.waiting or now < self._next_parcel_at:
            return
        outgoing = []
        touched, self._touched = self._touched, {}
        for intake in touched.values():
            try:
                ready = intake.route.ready(now)
            except Exception as error:  # noqa: BLE001 - likewise
                self._rebuild(intake, error)
                continue
            for delivery in ready:
                self._dispatches.published(delivery, now)
                outgoing.append(self._outgoing(delivery))
        if outgoing:
            self._recent_lanes.update(lane.slot for out in outgoing for lane in out.delivery.lanes)
            busy_s = min(cadence.LONGEST_PAUSE_S, cadence.PUBLICATIONS * self._publisher.took_s)
            self._next_parcel_at = now + max(self._pause_s(), busy_s)
            self._publisher.publish(outgoing)

    def _outgoing(self, delivery: Delivery) -> Outgoing:
        return Outgoing(delivery, delivery.ticket(self._bounds.reply), any(lane.alone for lane in delivery.lanes))

    def _wait(self) -> None:
        """Sleep until something is due or said."""
        now = self.monotonic()
        due = [self._timers.next_at()]
        if self._dispatching and self._polls:
            due.append(self._polls[0][0])
        if self._touched and not self._publisher.waiting:
            due.append(self._next_parcel_at)
        until = min(due)
        if until > now:
            until = max(until, now + cadence.SHORTEST_PAUSE_S)  # many consumers' looks share one turn
        if until > now:
            try:
                self._inbox.get(timeout=until - now)()
            except Empty:
                return

    def _listen(self) -> None:
        """Hear all that was said."""
        for _ in range(min(self._inbox.qsize(), cadence.INBOX_CALLS)):
            self._inbox.get_nowait()()

    def _settle(self, reports: Sequence[Report]) -> None:
        now = self.monotonic()
        for report in reports:
            try:
                delivery = self._dispatches[report.delivery]
            except KeyError:
                continue
            done = delivery.done
            effect = self._dispatches.report(report, now)
            intake = self.intakes.get(delivery.subscription_id)
            if intake is not None and intake.subscription.version == delivery.version:
                _fold(intake.fold, report, delivery.done - done)
                self._apply(intake, effect, report)
                if report.kind is Kind.STALE:
                    # What is read again before its lanes have rested touches nothing: look once more when they have.
                    self._timers.at(now + STALE_PAUSE_S, partial(self._touch_if_running, intake))

    def _apply(self, intake: Intake, effect: Effect, report: Report | None = None) -> None:
        intake.counters.delivered += effect.delivered
        intake.changed = intake.changed or effect.delivered > 0
        for lane, offset in effect.reread:
            intake.reread(lane, offset)
        for lane in effect.held:
            intake.hold(lane)
        if effect.held and report is not None and report.failure is not None:
            intake.become(Health.UNHEALTHY, report.failure.error)
        elif effect.delivered and not effect.held:
            intake.delivered()
        if effect.recovered:
            _hasten_probes(intake)
        if effect.freed:
            self._touch(intake)

    def _sweep(self) -> None:
        now = self.monotonic()
        unclaimed, lost = self._dispatches.overdue(now)
        if unclaimed and not self._publisher.waiting:
            for delivery in unclaimed:
                self._dispatches.published(delivery, now)
            self._publisher.publish([self._outgoing(delivery) for delivery in unclaimed])
            _log.info("published_again", deliveries=[delivery.id for delivery in unclaimed[:20]], count=len(unclaimed))
        for delivery in lost:
            self._give_up(delivery)
        for intake in list(self._attention.values()):
            for lane in due_probes(intake.route.lanes.values(), now):
                intake.release(lane)
            due_at = intake.route.due_at()
            if due_at is not None and due_at <= now:
                self._touch(intake)
            elif due_at is None and not intake.holds:
                self._attention.pop(intake.subscription.id, None)

    def _touch(self, intake: Intake) -> None:
        """There may be something to dispatch, now or when its time comes."""
        self._touched[intake.subscription.id] = self._attention[intake.subscription.id] = intake

    def _touch_if_running(self, intake: Intake) -> None:
        if self.intakes.get(intake.subscription.id) is intake:
            self._touch(intake)

    def _give_up(self, delivery: Delivery) -> None:
        _log.warning(
            "lease_expired",
            code="lease_expired",
            subscription=delivery.subscription_id,
            lanes=[lane.key for lane in delivery.lanes],
            delivery=delivery.id,
            attempt=delivery.attempt,
        )
        effect = Effect()
        self._dispatches.give_up(delivery, effect)
        intake = self.intakes.get(delivery.subscription_id)
        if intake is not None:
            self._apply(intake, effect)

    def _republish_soon(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.stage is Stage.QUEUED:  # a publish that failed may have arrived, and its lease runs
                delivery.due_at = self.monotonic() + 1.0

    def _commit(self) -> None:
        for intake in self.intakes.values():
            intake.commit()

    def _record(self) -> None:
        self._lane_count = len(self._recent_lanes)
        self._recent_lanes.clear()
        lanes = sum(len(intake.route.lanes) for intake in self.intakes.values())
        share = min(self._bounds.lane_bytes, self._bounds.process_bytes // max(1, lanes))
        for intake in self.intakes.values():
            intake.throttle.lane_bytes = share
            self._say(intake)

    def _say(self, intake: Intake) -> None:
        if intake.changed:
            intake.changed = False
            self._recorder.condition(intake.condition())
        calls = intake.fold.flush()
        if calls:
            self._recorder.happened(activity_rows(intake.subscription, calls))

    def _rebuild(self, intake: Intake, error: Exception) -> None:
        """The consumer, or what was read, is beyond use: leave it, and join the group again from what is committed."""
        if intake.broken:
            return
        intake.broken = True  # nothing more is read: what the failed turn had in hand left a hole behind it
        _log.error("intake_failed", code="intake_failed", subscription=intake.subscription.id, detail=repr(error))
        if intake.joined:
            intake.become(Health.UNHEALTHY, "intake_failed")
        else:
            self._never_joined()
        self.call_later(cadence.REBUILD_S, lambda: self._restart(intake))

    def _restart(self, intake: Intake) -> None:
        if self.intakes.get(intake.subscription.id) is intake:
            self.start_with(intake.subscription, None)

    def _start_later(self, subscription: Subscription, previous: Condition | None, error: Exception) -> None:
        _log.error("start_failed", code="intake_failed", subscription=subscription.id, detail=repr(error))
        before = previous or Condition(subscription_id=subscription.id, health=Health.HEALTHY)
        self._recorder.condition(
            replace(before, health=Health.UNHEALTHY, reason="intake_failed", since=self.wall_clock())
        )
        self.call_later(cadence.START_AGAIN_S, lambda: self._start_again(subscription, before))

    def _start_again(self, subscription: Subscription, previous: Condition) -> None:
        if self._wanted.get(subscription.id) is subscription:
            self.start_with(subscription, previous)

    def _drain(self, until: float) -> None:
        """The order of a stop: no more dispatching, then what is in flight, then the commits, then the groups."""
        self._dispatching = False
        if self._dispatches.under_way and self.monotonic() < until:
            self._timers.at(self.monotonic() + cadence.SWEEP_S, lambda: self._drain(until))
            return
        self._running = False
        for subscription_id in list(self.intakes):
            self.drop(subscription_id)

    def _pause_s(self) -> float:
        lanes = max(self._lane_count, len(self._recent_lanes))
        return min(cadence.LONGEST_PAUSE_S, max(cadence.SHORTEST_PAUSE_S, cadence.PAUSE_PER_LANE_S * lanes))


def _fold(fold: ActivityFold, report: Report, calls: int) -> None:
    if calls or report.success is not None:
        fold.succeeded(calls, report.success)
    if report.failure is not None:
        fold.failed(report.failure)


def _hasten_probes(intake: Intake) -> None:
    """A probe succeeded, so the endpoint answers again, and the other held lanes need not wait.

    A success of a lane that never failed does not say so: a poisonous batch beside it would be probed all the time.
    """
    for lane in intake.route.lanes.values():
        lane.probe_at = 0.0
