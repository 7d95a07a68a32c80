"""The ingest loop: one thread that reads, dispatches, settles and commits for every subscription of this process.

    poll ─▶ take (decode, match, batch) ─▶ ready ─▶ publisher ┄▶ workers
      ▲                                                            ┆
    commit ◀─ watermarks ◀─ settle ◀─ reports ◀────────────────────┘

Everything that other threads have to say arrives as a call in the inbox; nothing in here blocks. What may take long
(closing a consumer, asking for offsets) runs in the background pool.
"""

import heapq
from collections.abc import Callable, Collection, Sequence
from itertools import count
from threading import Thread

from webhookd import logs
from webhookd.errors import GroupDenied, UnusableSubscription
from webhookd.flow.attempt.attempt_report import Report
from webhookd.flow.dispatch.concurrency_limit import ThreadLoad
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.settlement.in_flight import InFlightDeliveries
from webhookd.flow.status.activity import Activity
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus, unhealthy
from webhookd.flow.subscription import Subscription
from workers.ingest import loop_limits
from workers.ingest.blocking_writers import BlockingWriters
from workers.ingest.consumer.paused_end_offsets import PausedEndOffsets
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.consumer.subscription_health import CONSUMER_FAILED
from workers.ingest.dispatch.dispatcher import Dispatcher
from workers.ingest.loop_inbox import LoopInbox
from workers.ingest.loop_limits import Clocks, LoopLimits
from workers.ingest.ports import DeadLetterSink
from workers.ingest.settlement.activity_rendering import activity_rows
from workers.ingest.settlement.dead_letter_writer import DeadLetterWriter
from workers.ingest.settlement.settlement import Settlement
from workers.ingest.thread_pool import ThreadPool
from workers.ingest.timer_queue import TimerQueue

GONE = "gone"
"""Why a subscription is switched off whose endpoint answered 410 (RFC 9110 §15.5.11)."""

Revision = Callable[[Subscription, SubscriptionStatus | None], SubscriptionStatus | None]
_log = logs.get(__name__)


class IngestLoop:
    """Runs subscriptions until stopped. `start_with` and `drop` are for the loop's own thread: use `call`."""

    def __init__(
        self,
        *,
        bounds: LoopLimits,
        clocks: Clocks,
        in_flight: InFlightDeliveries,
        companions: BlockingWriters,
        look: Callable[[Collection[str]], Topics],
        open_consumer: Callable[[Subscription, SubscriptionStatus | None, "IngestLoop"], SubscriptionConsumer],
        never_joined: Callable[[], None],
    ) -> None:
        self.monotonic = clocks.monotonic
        self.wall_clock = clocks.wall
        self.commit_interval_s = bounds.commit_interval_s
        self.consumers: dict[str, SubscriptionConsumer] = {}
        self._bounds = bounds
        self._in_flight = in_flight
        self._writer, publisher = companions.writer, companions.dead_letter_publisher
        self.dead_letters: DeadLetterSink = DeadLetterWriter(self._writer, publisher, self, self._room)
        self._look = look
        self._seen_at = clocks.monotonic()
        self.topics_in_use: frozenset[str] = frozenset()
        self._topics_changed = False
        self._open_consumer = open_consumer
        self._never_joined = never_joined
        self._unjoined: set[str] = set()
        self.kafka_lost = False
        """Whether Kafka is out of reach for long: a commit would block, and might take back what another owner does."""
        self._foreign = False
        self.inbox = LoopInbox(clocks.monotonic)
        self._background = ThreadPool()
        self.offsets = companions.offsets
        self._ends = PausedEndOffsets(self.offsets, self.consumers, call=self.call, in_background=self.in_background)
        self._wanted: dict[str, Subscription] = {}
        self._asleep: dict[str, tuple[Subscription, SubscriptionStatus | None]] = {}
        self._asleep_at: float | None = None
        self._polls: list[tuple[float, int, SubscriptionConsumer]] = []
        self._timers = TimerQueue(clocks.monotonic)
        self._dispatcher = Dispatcher(
            in_flight, companions.publisher, reply=bounds.reply, slots=bounds.slots, failed=self._rebuild
        )
        self._settlement = self._new_settlement()
        self._order = count()
        self._running = True
        self._dispatching = True
        self._thread = Thread(target=self._run, name="ingest-loop", daemon=True)

    def _new_settlement(self) -> Settlement:
        return Settlement(
            self._in_flight,
            self._dispatcher,
            self.consumers,
            self._timers,
            self.monotonic,
            gone=lambda consumer: self._writer.deactivate(consumer.subscription, GONE),
            failed=self._rebuild,
        )

    # What other threads call.

    @property
    def thread_id(self) -> int | None:
        """The loop's thread, once it runs."""
        return self._thread.ident

    def start(self) -> None:
        """Begin to read."""
        self._timers.every(loop_limits.SWEEP_S, self._settlement.sweep)
        self._timers.every(self._bounds.commit_interval_s, self._commit_unseen)
        self._timers.every(loop_limits.RECORD_S, self._record)
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """Stop dispatching, wait for what is in flight within the budget, commit and leave the groups."""
        until = self.monotonic() + budget_s
        self.call(lambda: self._drain(until))
        self._thread.join(budget_s + 1.0)
        unfinished = self._background.stop(loop_limits.LEAVE_S)
        if unfinished:
            _log.warning("groups_not_left", code="kafka_unavailable", count=unfinished)

    def abandon_cluster(self) -> None:
        """These are another cluster's brokers: nothing is read, dispatched or committed any more, for good."""
        self._foreign = self._dispatcher.halted = True
        self._dispatching = False

    def call(self, action: Callable[[], None]) -> None:
        """Run on the loop's thread, soon."""
        self.inbox.put(action)

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run on the loop's thread after a while."""
        self.call(lambda: self._timers.at(self.monotonic() + delay_s, action))

    def in_background(self, action: Callable[[], None]) -> None:
        """Run on a thread that may block."""
        self._background.run(action)

    def close_in_background(self, action: Callable[[], None]) -> None:
        """Run on a thread that may block for long."""
        self._background.close(action)

    def happened(self, activity: Activity) -> None:
        """Tell a subscription's owner."""
        self._writer.happened(lambda: [activity])

    def topics(self, names: Collection[str]) -> Topics:
        """What the cluster says about these topics now; blocks."""
        return self._look(names)

    def touch(self, subscription_id: str) -> None:
        """There may be something to dispatch; for the loop's thread."""
        consumer = self.consumers.get(subscription_id)
        if consumer is not None:
            self._settlement.touch(consumer)

    def share(self, load: ThreadLoad) -> None:
        """So many threads the live workers have, and so many of them are busy."""
        self.call(lambda: self._dispatcher.resize(load))

    def reported(self, reports: Sequence[Report], *, late: bool = False) -> None:
        """Reports arrived; `late` when they had to wait before they could be read."""
        self.call(lambda: self._settlement.settle(reports, late=late))

    def unknown(self, deliveries: Sequence[Delivery]) -> None:
        """These may not have been published: try again soon, under the same ids."""
        self.call(lambda: self._settlement.publish_again_soon(deliveries))

    # What runs on the loop's thread.

    def start_with(self, subscription: Subscription, previous: SubscriptionStatus | None) -> None:
        """Run a subscription, in place of an older version of it; `previous` is its condition before this process."""
        running = self.consumers.get(subscription.id)
        if running is not None:
            previous = running.status()
            self.drop(subscription.id)
        self._wanted[subscription.id] = subscription
        if self._dispatcher.halted:
            self._asleep[subscription.id] = (subscription, previous)
            return
        try:
            consumer = self._open_consumer(subscription, previous, self)
        except UnusableSubscription:
            raise
        except Exception as error:  # noqa: BLE001 - no consumer is to be had: it may be another time
            self._start_later(subscription, previous, error)
            return
        self.consumers[subscription.id] = consumer
        self._topics_changed = True
        self._poll_at(consumer)
        _log.info("subscription_started", subscription=subscription.id, version=subscription.version)

    def drop(self, subscription_id: str) -> None:
        """Stop running a subscription; what it has in flight is stale from here on."""
        self._wanted.pop(subscription_id, None)
        self._asleep.pop(subscription_id, None)
        consumer = self.consumers.pop(subscription_id, None)
        if consumer is None:
            return
        self._topics_changed = True
        self._say(consumer)
        self._settlement.forget(consumer)
        self.dead_letters.forget(consumer.subscription)
        # From here on its lanes are the background's, which closes them one by one.
        consumer.close(commit=not (self.kafka_lost or self._foreign))
        _log.info("subscription_stopped", subscription=subscription_id, version=consumer.subscription.version)

    def hold(self) -> None:
        """Start nothing before `wake`; called before `start`."""
        self._dispatcher.halted = True

    def revise_held(self, revised: Revision) -> None:
        """Give what waits for `wake` another condition, for its status too."""
        for id_, (subscription, before) in self._asleep.items():
            after = revised(subscription, before)
            if after is not None and after != before:
                self._asleep[id_] = (subscription, after)
                self._writer.status(after)

    def fall_asleep(self, settle_s: float) -> None:
        """Dispatch nothing from here on; when what is in flight is settled, or in `settle_s`, leave every group.

        What is to be run, or changed, meanwhile waits for `wake`.
        """
        self._dispatcher.halted = True
        self._asleep_at = self.monotonic() + settle_s
        self._sleep(self._asleep_at)

    def wants(self, subscription: Subscription) -> bool:
        """Whether this version of it is still to be run."""
        return self._wanted.get(subscription.id) is subscription

    def wake(self) -> list[tuple[Subscription, SubscriptionStatus | None]]:
        """Dispatch again; answers what is to be started, each with its condition as it was."""
        self._dispatcher.halted = self._foreign
        self._asleep_at = None
        asleep, self._asleep = self._asleep, {}
        return list(asleep.values())

    def _sleep(self, until: float) -> None:
        if self._asleep_at != until:
            return  # woken, or told anew, meanwhile
        if self._in_flight.under_way and self.monotonic() < until:
            self._timers.at(self.monotonic() + loop_limits.SWEEP_S, lambda: self._sleep(until))
            return
        for consumer in list(self.consumers.values()):
            subscription, status = consumer.subscription, consumer.status()
            self.drop(subscription.id)
            self._wanted[subscription.id] = subscription
            self._asleep[subscription.id] = (subscription, status)
        _log.warning("asleep", subscriptions=len(self._asleep))

    def saw_topics(self, topics: Topics) -> None:
        """What the cluster says about the topics in use, right before what is settled is committed."""
        self._seen_at = self.monotonic()
        for consumer in self.consumers.values():
            consumer.saw_topics(topics)
        self._commit()

    def _room(self, subscription_id: str, free: int, limit: int) -> None:
        consumer = self.consumers.get(subscription_id)
        if consumer is not None:
            consumer.aside.room(free, limit)

    def _topics_in_use(self) -> frozenset[str]:
        subscriptions = (consumer.subscription for consumer in self.consumers.values())
        return frozenset(source.topic for subscription in subscriptions for source in subscription.sources)

    def _run(self) -> None:
        while self._running:
            try:
                self._turn()
            except Exception:  # noqa: BLE001 - the top of the loop: one subscription's fault is not the others' end
                _log.exception("ingest_turn_failed")
        self.inbox.turn = 0

    def _turn(self) -> None:
        heard_all = self.inbox.hear(loop_limits.LISTEN_S)
        if self._topics_changed:
            self._topics_changed = False
            self.topics_in_use = self._topics_in_use()
        now = self.monotonic()
        if heard_all:  # a lease whose report is here already has not run out
            self._timers.run_due(now)
        if self._dispatching:
            self._poll(now)
            self._dispatcher.dispatch(self.monotonic())
        self._wait()

    def _poll(self, now: float) -> None:
        pause_s = self._dispatcher.pause_s()
        due = []
        while self._polls and self._polls[0][0] <= now:
            due.append(heapq.heappop(self._polls)[2])
        for consumer in due:
            if consumer.closed or consumer.broken:
                continue
            try:
                if consumer.poll(now, pause_s):
                    self._settlement.touch(consumer)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this subscription's alone
                self._rebuild(consumer, error)
            self._poll_at(consumer)

    def _poll_at(self, consumer: SubscriptionConsumer) -> None:
        heapq.heappush(self._polls, (consumer.poll_at, next(self._order), consumer))

    def _wait(self) -> None:
        """Sleep until something is due or said."""
        now = self.monotonic()
        due = [self._timers.next_at()]
        if self._dispatching and self._polls:
            due.append(self._polls[0][0])
        parcel_at = self._dispatcher.due_at
        if parcel_at is not None:
            due.append(parcel_at)
        until = min(due)
        if until > now:
            until = max(until, now + loop_limits.SHORTEST_PAUSE_S)  # many consumers' looks share one turn
        if until > now:
            self.inbox.wait(until - now)

    def _commit_unseen(self) -> None:
        """Commit although nobody can look at the topics: what was confirmed last stays in force."""
        if self.monotonic() - self._seen_at > loop_limits.LOOKS_MISSED * self._bounds.commit_interval_s:
            self._commit()

    def _commit(self) -> None:
        if self._foreign:
            return
        for consumer in self.consumers.values():
            consumer.commit()

    def _record(self) -> None:
        self._dispatcher.count_lanes()
        lanes = sum(len(consumer.accumulator.lanes) for consumer in self.consumers.values())
        share = min(self._bounds.lane_bytes, self._bounds.process_bytes // max(1, lanes))
        for consumer in self.consumers.values():
            consumer.backpressure.lane_bytes = share
            consumer.look_after()
            self._say(consumer)
        self._ends.ask(self.monotonic())

    def _say(self, consumer: SubscriptionConsumer) -> None:
        if consumer.changed:
            consumer.changed = False
            self._writer.status(consumer.status())
        calls = consumer.fold.flush()
        if calls:
            self._writer.happened(activity_rows(consumer.subscription, calls))

    def _rebuild(self, consumer: SubscriptionConsumer, error: Exception) -> None:
        """The consumer, or what was read, is beyond use: leave it, and join the group again from what is committed."""
        if consumer.broken:
            return
        consumer.broken = True  # nothing more is read: what the failed turn had in hand left a hole behind it
        _log.error("intake_failed", code=CONSUMER_FAILED, subscription=consumer.subscription.id, detail=repr(error))
        if isinstance(error, GroupDenied):
            consumer.suffer(error.code, error.detail, standing=True)
        elif consumer.joined or consumer.subscription.id in self._unjoined:
            consumer.suffer(CONSUMER_FAILED, str(error), standing=True)
            self._unjoined.discard(consumer.subscription.id)
        else:  # the group protocol may be at fault, which another one mends
            self._unjoined.add(consumer.subscription.id)
            self._never_joined()
        self.call_later(loop_limits.REBUILD_S, lambda: self._restart(consumer))

    def _restart(self, consumer: SubscriptionConsumer) -> None:
        if self.consumers.get(consumer.subscription.id) is consumer:
            self.start_with(consumer.subscription, None)

    def _start_later(self, subscription: Subscription, previous: SubscriptionStatus | None, error: Exception) -> None:
        _log.error("start_failed", code=CONSUMER_FAILED, subscription=subscription.id, detail=repr(error))
        before = previous or SubscriptionStatus(subscription_id=subscription.id, health=Health.HEALTHY)
        self._writer.status(unhealthy(before, CONSUMER_FAILED, str(error), self.wall_clock(), subscription.version))
        self.call_later(loop_limits.START_AGAIN_S, lambda: self._start_again(subscription, before))

    def _start_again(self, subscription: Subscription, previous: SubscriptionStatus) -> None:
        if self.wants(subscription):
            self.start_with(subscription, previous)

    def _drain(self, until: float) -> None:
        """The order of a stop: no more dispatching, then what is in flight, then the commits, then the groups."""
        self._dispatching = False
        if self._in_flight.under_way and self.monotonic() < until:
            self._timers.at(self.monotonic() + loop_limits.SWEEP_S, lambda: self._drain(until))
            return
        self._running = False
        for subscription_id in list(self.consumers):
            self.drop(subscription_id)
