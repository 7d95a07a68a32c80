"""Starts, restarts and stops the subscription consumers of an ingest process.

event                                  then
a subscription is to be run            its consumer starts; while the service is offline the subscription waits
there is no room for another one       it waits, unhealthy while as many run as may (subscription_limit.py)
its consumer cannot be made            the start is tried again after START_RETRY_S
a topic of it is not allowed, or its   it is stopped and unhealthy; the position stays
policies are too old
its consumer raises                    it is closed, and after RESTART_S another one starts at the committed offsets
the service goes offline               nothing is dispatched; once all in-flight deliveries are settled, or after
                                       `settle_s`, every consumer group is left and every subscription waits
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from webhookd import logs
from webhookd.errors import GroupDenied, UnusableSubscription
from webhookd.flow.settlement.in_flight import InFlightDeliveries
from webhookd.flow.status.activity import Activity, Event
from webhookd.flow.status.problem import Problem
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus, on_hold, unhealthy
from webhookd.flow.subscription import Subscription
from workers.ingest import loop_limits
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.consumer.subscription_health import CONSUMER_FAILED, HELD, INGEST_FULL
from workers.ingest.dispatch.dispatcher import Dispatcher
from workers.ingest.dispatch.task_publisher import Takeover
from workers.ingest.polling_schedule import PollingSchedule
from workers.ingest.ports import Services
from workers.ingest.settlement.activity_rendering import row_renderer
from workers.ingest.settlement.database_writer import DatabaseWriter
from workers.ingest.settlement.settlement import Settlement
from workers.ingest.subscription_limit import SubscriptionLimit
from workers.ingest.waiting_subscriptions import Revision, Waiting, WaitingSubscriptions

OpenConsumer = Callable[[Subscription, SubscriptionStatus | None], SubscriptionConsumer]
"""Makes the consumer of a subscription that has this status. Raises UnusableSubscription."""

_log = logs.get(__name__)


class NewConsumers(NamedTuple):
    """How consumers are made.

    `never_joined` is called when a subscription's first consumer failed before it joined its group: the cause may be
    the group protocol.
    """

    open: OpenConsumer
    never_joined: Callable[[], None]


class RunningSubscriptions:
    """Owned by the ingest loop's thread. `consumers` are those that run, by id; `polling` schedules them."""

    def __init__(
        self,
        consumers: dict[str, SubscriptionConsumer],
        services: Services,
        *,
        in_flight: InFlightDeliveries,
        dispatcher: Dispatcher,
        settlement: Settlement,
        writer: DatabaseWriter,
        limit: SubscriptionLimit,
        new_consumers: NewConsumers,
    ) -> None:
        self._consumers = consumers
        self._services = services
        self._in_flight = in_flight
        self._dispatcher = dispatcher
        self._settlement = settlement
        self.polling = PollingSchedule()
        self._writer = writer
        self.limit = limit
        """Its `check` is for any thread."""
        self._new_consumers = new_consumers
        self._never_joined_ids: set[str] = set()
        self._wanted: dict[str, Subscription] = {}
        self._offline = WaitingSubscriptions()
        self._leave_at: float | None = None
        self._taken_over: set[str] = set()
        self._topics_changed = False
        self.topics_in_use: frozenset[str] = frozenset()
        """The topics of all consumers; any thread may read it."""
        self.not_run: dict[str, str] = {}
        """The subscriptions that cannot be run now, with the reasons of their statuses."""
        self.foreign_cluster = False
        """Whether the brokers are not the database's cluster: then nothing starts or commits any more."""
        self.kafka_lost = False
        """Whether Kafka has been unreachable for long. Then a commit would block, and it could overwrite later offsets
        that another process has committed meanwhile."""

    def run(self, subscription: Subscription, previous: SubscriptionStatus | None) -> None:
        """Run a subscription, in place of an older version of it; `previous` is its status before this process.

        Raises UnusableSubscription.
        """
        before = self._wanted.get(subscription.id)
        if subscription.governed if before is None else before.policies != subscription.policies:
            self._taken_over.add(subscription.id)
        running = self._consumers.get(subscription.id)
        if running is not None:
            running.following.count()
            previous = _continued(running, subscription)
            self.stop(subscription.id)
        self._wanted[subscription.id] = subscription
        if self._dispatcher.offline:
            self._offline.add(subscription, previous)
            return
        if self.limit.has_room and not self.limit.waiting:
            self._start(subscription, previous)
        elif running is None:
            self._wait_for_room(subscription, previous)
        else:  # it keeps its place: only those that still close are in its way
            self.limit.waiting.add_first(subscription, previous)

    def stop(self, subscription_id: str) -> None:
        """Stop running a subscription; reports about its in-flight deliveries are ignored from here on."""
        self._wanted.pop(subscription_id, None)
        self._offline.discard(subscription_id)
        self.limit.discard(subscription_id)
        self.not_run.pop(subscription_id, None)
        consumer = self._consumers.pop(subscription_id, None)
        if consumer is None:
            return
        self._topics_changed = True
        consumer.following.count()
        self.write_status(consumer)
        self._settlement.forget(consumer)
        self._services.dead_letters.forget(consumer.subscription)
        # From here on its lanes belong to the background thread that closes the consumer.
        consumer.close(commit=not (self.kafka_lost or self.foreign_cluster))
        _log.info("subscription_stopped", subscription=subscription_id, version=consumer.subscription.version)

    def hold(self, id_: str, version: int, problem: Problem, previous: SubscriptionStatus | None) -> None:
        """Do not run a subscription because of this problem; `previous` is its status before this process."""
        running = self._consumers.get(id_)
        if running is not None:
            previous = running.status()
        self._taken_over.add(id_)
        self.stop(id_)
        before = previous or SubscriptionStatus(subscription_id=id_, health=Health.HEALTHY)
        self._show_held(before, problem, version)

    def start_waiting(self) -> None:
        """Start subscriptions that wait for room as far as there is room; called once a second.

        Each start is a call of its own, so that no iteration of the loop takes long.
        """
        if self._dispatcher.offline:
            return
        waiting = self.limit.waiting
        if waiting and self.limit.has_room:
            self._start_first(*waiting.take_first())
            self._services.call(self.start_waiting)
            return
        for subscription, previous in waiting.all():
            if subscription.id not in self.limit.held:
                self._wait_for_room(subscription, previous)

    def revoke_others(self) -> None:
        """Revoke what other processes have published under policies that may be others now.

        That concerns subscriptions under a policy that this process has taken over, and those whose policies have
        changed since: the process before may have been killed, and its retries still wait in Redis.
        """
        ids, self._taken_over = self._taken_over, set()
        if not ids:
            return
        running = [self._consumers[id_] for id_ in ids if id_ in self._consumers]
        keep = {lane.claim_key: lane.epoch for one in running for lane in one.accumulator.lanes.values()}
        self._dispatcher.revoke_others(Takeover(ids, keep, self._claimed_elsewhere))

    def is_wanted(self, subscription: Subscription) -> bool:
        """Whether this version of the subscription is still to be run."""
        return self._wanted.get(subscription.id) is subscription

    def restart_later(self, consumer: SubscriptionConsumer, error: Exception) -> None:
        """Close a consumer that raised `error`, and start another one at the committed offsets in RESTART_S."""
        if consumer.broken:
            return
        consumer.broken = True  # it must not be polled again: the records of the failed poll would be missing
        consumer.following.leave_all()
        id_ = consumer.subscription.id
        _log.error("consumer_failed", code=CONSUMER_FAILED, subscription=id_, detail=repr(error))
        if isinstance(error, GroupDenied):
            consumer.begin_problem(error.code, error.detail, standing=True)
        elif consumer.joined or id_ in self._never_joined_ids:
            consumer.begin_problem(CONSUMER_FAILED, str(error), standing=True)
            self._never_joined_ids.discard(id_)
        else:  # the brokers may not know the group protocol; the next consumer may use another one
            self._never_joined_ids.add(id_)
            self._new_consumers.never_joined()
        self._services.call_later(loop_limits.RESTART_S, lambda: self.restart(consumer))

    def restart(self, consumer: SubscriptionConsumer) -> None:
        """Replace a consumer by another one of the same subscription, unless it has been replaced already."""
        if self._consumers.get(consumer.subscription.id) is consumer:
            self.run(consumer.subscription, None)

    def write_status(self, consumer: SubscriptionConsumer) -> None:
        """Write the status if it has changed, and the calls since the last write."""
        if consumer.status_changed:
            consumer.status_changed = False
            self._writer.set_status(consumer.status())
        calls = consumer.activity_rollup.flush()
        if calls:
            self._writer.add_activity(row_renderer(consumer.subscription, calls))

    def refresh_topics_in_use(self) -> None:
        """Compute `topics_in_use` anew when a consumer has started or stopped since the last call."""
        if self._topics_changed:
            self._topics_changed = False
            subscriptions = (consumer.subscription for consumer in self._consumers.values())
            self.topics_in_use = frozenset(source.topic for one in subscriptions for source in one.sources)

    def start_offline(self) -> None:
        """Start nothing before `go_online`; called before the loop's thread starts."""
        self._dispatcher.offline = True

    def go_offline(self, settle_s: float) -> None:
        """Dispatch nothing from here on; leave every group when all in-flight deliveries are settled, or in `settle_s`.

        Subscriptions that are to be run, or that change, meanwhile wait for `go_online`.
        """
        self._dispatcher.offline = True
        self._leave_at = self._services.monotonic() + settle_s
        self._leave_when_settled(self._leave_at)

    def go_online(self) -> list[Waiting]:
        """Dispatch again; returns the subscriptions that the caller has to run, each with its status."""
        self._dispatcher.offline = self.foreign_cluster
        self._leave_at = None
        return self._offline.take_all()

    def revise_offline(self, revision: Revision) -> None:
        """Update and write the statuses of the subscriptions that wait for `go_online`."""
        for status in self._offline.revise(revision):
            self._writer.set_status(status)

    def _claimed_elsewhere(self, deliveries: Sequence[str]) -> None:
        superseded, now = self._in_flight.superseded, self._services.monotonic
        self._services.call(lambda: superseded.add_claimed(deliveries, now()))

    def _start(self, subscription: Subscription, previous: SubscriptionStatus | None) -> None:
        self.limit.discard(subscription.id)
        try:
            consumer = self._new_consumers.open(subscription, previous)
        except UnusableSubscription:
            raise
        except Exception as error:  # noqa: BLE001 - the consumer cannot be made now: it is tried again later
            self._retry_start_later(subscription, previous, error)
            return
        self._consumers[subscription.id] = consumer
        self.not_run.pop(subscription.id, None)
        self._topics_changed = True
        self.polling.add(consumer)
        if previous is not None and previous.reason in HELD and consumer.health.state is Health.HEALTHY:
            self._record(subscription.id, Event.HEALTHY)
        _log.info("subscription_started", subscription=subscription.id, version=subscription.version)

    def _start_first(self, subscription: Subscription, previous: SubscriptionStatus | None) -> None:
        try:
            self._start(subscription, previous)
        except UnusableSubscription as error:
            problem = Problem(code=error.code, detail=error.detail, since=self._services.wall_clock())
            self.hold(subscription.id, subscription.version, problem, previous)

    def _wait_for_room(self, subscription: Subscription, previous: SubscriptionStatus | None) -> None:
        """Wait for room. That others still close is over soon, and no problem; that others run may last."""
        if self.limit.reached:
            before = previous or SubscriptionStatus(subscription_id=subscription.id, health=Health.HEALTHY)
            problem = Problem(code=INGEST_FULL, detail=self.limit.detail, since=self._services.wall_clock())
            previous = self._show_held(before, problem, subscription.version)
            self.limit.held.add(subscription.id)
        self.limit.waiting.add(subscription, previous)

    def _show_held(self, before: SubscriptionStatus, problem: Problem, version: int) -> SubscriptionStatus:
        id_, status = before.subscription_id, on_hold(before, problem, version)
        self.not_run[id_] = status.reason
        self._writer.set_status(status)
        if (before.health, before.reason) != (status.health, status.reason):
            self._record(id_, Event.UNHEALTHY, problem.code)
            _log.warning("subscription_not_run", code=problem.code, subscription=id_, detail=problem.detail)
        return status

    def _record(self, id_: str, event: Event, reason: str = "") -> None:
        now, succeeded = self._services.wall_clock(), event is Event.HEALTHY
        self._services.add_activity(
            Activity(subscription_id=id_, at=now, event=event, succeeded=succeeded, error=reason)
        )

    def _leave_when_settled(self, leave_at: float) -> None:
        if self._leave_at != leave_at:
            return  # the service went online meanwhile, or online and offline again
        if self._in_flight.under_way and self._services.monotonic() < leave_at:
            self._services.call_later(loop_limits.SWEEP_S, lambda: self._leave_when_settled(leave_at))
            return
        running: list[Waiting] = [(consumer.subscription, consumer.status()) for consumer in self._consumers.values()]
        for subscription, status in [*running, *self.limit.waiting.all()]:
            self.stop(subscription.id)
            self._wanted[subscription.id] = subscription
            self._offline.add(subscription, status)
        _log.warning("groups_left", subscriptions=len(self._offline))

    def _retry_start_later(
        self, subscription: Subscription, previous: SubscriptionStatus | None, error: Exception
    ) -> None:
        _log.error("start_failed", code=CONSUMER_FAILED, subscription=subscription.id, detail=repr(error))
        before = previous or SubscriptionStatus(subscription_id=subscription.id, health=Health.HEALTHY)
        now = self._services.wall_clock()
        self.not_run[subscription.id] = CONSUMER_FAILED
        self._writer.set_status(unhealthy(before, CONSUMER_FAILED, str(error), now, subscription.version))
        self._services.call_later(loop_limits.START_RETRY_S, lambda: self._retry_start(subscription, before))

    def _retry_start(self, subscription: Subscription, previous: SubscriptionStatus) -> None:
        if self.is_wanted(subscription):
            self.run(subscription, previous)


def _continued(running: SubscriptionConsumer, subscription: Subscription) -> SubscriptionStatus:
    """The status with which another version goes on; if only the policies differ, its problems go on too."""
    status = running.status()
    same = replace(running.subscription, version=subscription.version, policies=subscription.policies) == subscription
    return replace(status, version=subscription.version) if same else status
