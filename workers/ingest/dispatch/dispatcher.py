"""Decides when ready deliveries are published, and publishes them together.

A subscription *requests a dispatch* when it may have something to publish. All requests are served together, once the
publisher has finished and a pause is over (loop_limits.py). Subscriptions that were refused worker threads the last
time are served first, in round robin (flow/dispatch/concurrency_limit.py).

A delivery goes to the queue for first attempts only if the endpoint has succeeded recently and none of the delivery's
lanes fails. Otherwise it goes to the queue for retries, so that endpoints that hang delay only each other. What would
share a task of the queue for first attempts is pushed to an open delivery session, if there is one with room.
"""

from collections.abc import Callable, Sequence

from webhookd.flow.dispatch.concurrency_limit import ThreadLoad, WorkerThreads
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage
from webhookd.flow.dispatch.open_sessions import OpenSession, OpenSessions
from webhookd.flow.dispatch.queue_names import FIRST
from webhookd.flow.dispatch.recent_lane_count import RecentLaneCount
from webhookd.flow.dispatch.round_robin import RoundRobin
from webhookd.flow.settlement.in_flight import InFlightDeliveries
from webhookd.metrics.catalogue.ingest import DELIVERIES_PUBLISHED
from workers.ingest import loop_limits
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.dispatch.delivery_spans import DeliverySpans
from workers.ingest.dispatch.task_publisher import Outgoing, Takeover, TaskPublisher


class Dispatcher:
    """Owned by the ingest loop's thread. `failed` is called with a consumer whose accumulator has raised an error.

    `spans` is None if no delivery is traced.
    """

    def __init__(
        self,
        in_flight: InFlightDeliveries,
        publisher: TaskPublisher,
        *,
        reply: str,
        worker_threads: WorkerThreads,
        failed: Callable[[SubscriptionConsumer, Exception], None],
        sessions: OpenSessions,
        spans: DeliverySpans | None = None,
    ) -> None:
        self._sessions = sessions
        self._spans = spans
        self._in_flight = in_flight
        self._publisher = publisher
        self._reply = reply
        self._failed = failed
        self._rotation = RoundRobin(worker_threads)
        self.offline = False
        """Whether webhookd is offline: then nothing is published, and ready deliveries wait."""
        self._known: dict[str, SubscriptionConsumer] = {}
        self._requested: dict[str, SubscriptionConsumer] = {}
        self._recent_lanes = RecentLaneCount()
        self._next_at = 0.0

    @property
    def due_at(self) -> float | None:
        """When to dispatch next; None without a request, or while the publisher is busy."""
        return self._next_at if self._requested and not self.offline and not self._publisher.waiting else None

    def request_dispatch(self, consumer: SubscriptionConsumer) -> None:
        """Request a dispatch of a subscription that may have something to publish."""
        self._known[consumer.subscription.id] = self._requested[consumer.subscription.id] = consumer

    def forget(self, consumer: SubscriptionConsumer) -> None:
        """Forget a stopped subscription and revoke the deliveries that it has published."""
        id_ = consumer.subscription.id
        self._requested.pop(id_, None)
        self._known.pop(id_, None)
        self._rotation.remove(id_)
        self._publisher.revoke([lane.claim_key for lane in consumer.accumulator.lanes.values()])

    def revoke_others(self, takeover: Takeover) -> None:
        """Revoke what other processes have published for these subscriptions."""
        self._publisher.revoke_others(takeover)

    def dispatch(self, now: float) -> None:
        """Publish the ready deliveries of the subscriptions that requested it, if it is time to."""
        if self.offline or not self._requested or self._publisher.waiting or now < self._next_at:
            return
        requested, self._requested = self._requested, {}
        accumulators = {id_: consumer.accumulator for id_, consumer in requested.items()}
        session = self._sessions.choose(now)
        ready = self._rotation.ready(
            accumulators, now, lambda id_, error: self._failed(self._known[id_], error), session
        )
        if self._spans is not None:
            for delivery in ready:
                self._spans.begin(delivery, accumulators[delivery.subscription_id].subscription)
        outgoing = [self._outgoing(delivery, session) for delivery in ready]
        for out in outgoing:
            self._in_flight.published(out.delivery, now, pushed=out.pushed)
        if outgoing:
            shared = [out.delivery for out in outgoing if not out.alone]
            self._recent_lanes.update((lane.subscription_id, lane.claim_key) for one in shared for lane in one.lanes)
            busy_s = min(loop_limits.LONGEST_PAUSE_S, loop_limits.PUBLISH_TIME_FACTOR * self._publisher.took_s)
            self._next_at = now + max(self.pause_s(), busy_s)
            self._publisher.publish(outgoing, session.id if session is not None else "")
            DELIVERIES_PUBLISHED.inc("false", by=len(outgoing))

    def session_opened(self, session: str, delivery: Delivery, now: float) -> None:
        """Note that a worker has opened a session with the claim of this delivery."""
        if delivery.shared_task:
            self._sessions.started(session, delivery, now)

    def push_refused(self, session: str, deliveries: Sequence[Delivery], now: float) -> None:
        """Note that the session had closed, and that these deliveries were published as a task."""
        self._sessions.forget(session)
        waiting = [one for one in deliveries if one in self._in_flight and one.pushed]
        self._rotation.share_task(waiting)
        for delivery in waiting:
            if delivery.stage is DeliveryStage.QUEUED:
                delivery.pushed = False  # no session has got it, so its task has a place in the queue
                self._in_flight.published(delivery, now)

    def resize(self, load: ThreadLoad) -> None:
        """Set the threads of the live workers, how many are busy, and how many ingest processes share them."""
        self._rotation.resize(load)

    def publish_again(self, unclaimed: Sequence[Delivery], now: float) -> bool:
        """Publish unclaimed deliveries again, under the same ids; returns False when the publisher is busy."""
        if self.offline or not unclaimed or self._publisher.waiting:
            return False
        self._sessions.unclaimed(unclaimed)
        self._rotation.share_tasks_again(unclaimed)
        for delivery in unclaimed:
            self._in_flight.published(delivery, now)
        self._publisher.publish([self._outgoing(delivery) for delivery in unclaimed])
        DELIVERIES_PUBLISHED.inc("true", by=len(unclaimed))
        return True

    def count(self, now: float) -> None:
        """Count the threads in use again: deliveries may end, or become slow, without a request for a dispatch."""
        self._rotation.recount(now, self._in_flight.retrying)

    def pause_s(self) -> float:
        """The pause between two publications, and between two polls of a consumer."""
        pause_s = loop_limits.PAUSE_PER_LANE_S * self._recent_lanes.count
        return min(loop_limits.LONGEST_PAUSE_S, max(loop_limits.SHORTEST_PAUSE_S, pause_s))

    def count_lanes(self) -> None:
        """Begin a new second: the pauses depend on how many lanes shared tasks in the last one."""
        self._recent_lanes.next_second()

    def _outgoing(self, delivery: Delivery, session: OpenSession | None = None) -> Outgoing:
        alone = delivery.own_task
        pushed = session is not None and not alone and delivery.queue == FIRST
        return Outgoing(delivery, delivery.ref(self._reply), alone, pushed)
