"""When what is ready leaves, and what leaves together: the parcels of the ingest loop.

A subscription is *touched* when there may be something to dispatch; what is touched is looked at once the last parcel
is through and a pause is over (see cadence).

A delivery goes to the queue for first attempts only when the endpoint answered well lately on all its lanes; else to
that of the retries, so that those that hang hold each other up and nobody else.
"""

from collections.abc import Callable, Sequence

from webhookd.flow.allowance import RETRYING_LIMIT, Allowance, Slots
from webhookd.flow.delivery import Delivery
from webhookd.flow.dispatches import Dispatches
from webhookd.flow.recent_lanes import RecentLanes
from workers.ingest import cadence
from workers.ingest.intake import Intake
from workers.ingest.publisher import Outgoing, Publisher
from workers.queues import FIRST, RETRY


class Dispatcher:
    """Owned by the ingest loop's thread. `failed` hears of an intake whose readiness cannot be told."""

    def __init__(
        self,
        dispatches: Dispatches,
        publisher: Publisher,
        *,
        reply: str,
        slots: Slots,
        failed: Callable[[Intake, Exception], None],
    ) -> None:
        self._dispatches = dispatches
        self._publisher = publisher
        self._reply = reply
        self._failed = failed
        self.slots = slots
        """The threads of the live workers, and among how many ingest processes they are shared."""
        self._failing_room = slots.failing
        self.halted = False
        """While webhookd is offline nothing leaves; what is ready waits."""
        self._touched: dict[str, Intake] = {}
        self._recent_lanes = RecentLanes()
        self._next_at = 0.0

    @property
    def due_at(self) -> float | None:
        """When to dispatch next; None while there is nothing to, or the publisher is busy."""
        return self._next_at if self._touched and not self.halted and not self._publisher.waiting else None

    def touch(self, intake: Intake) -> None:
        """There may be something to dispatch."""
        self._touched[intake.subscription.id] = intake

    def forget(self, intake: Intake) -> None:
        """It is not run any more."""
        self._touched.pop(intake.subscription.id, None)
        self._publisher.revoke([lane.slot for lane in intake.route.lanes.values()])

    def dispatch(self, now: float) -> None:
        """Send on its way what is ready."""
        if self.halted or not self._touched or self._publisher.waiting or now < self._next_at:
            return
        outgoing = []
        allowance = Allowance(lanes=self.slots.of_subscription, failing=self._failing_room)
        touched, self._touched = self._touched, {}
        for intake in touched.values():
            try:
                ready = intake.route.ready(now, allowance)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this subscription's alone
                self._failed(intake, error)
                continue
            for delivery in ready:
                delivery.queue = FIRST if all(lane.proven(now) for lane in delivery.lanes) else RETRY
                self._dispatches.published(delivery, now)
                outgoing.append(self._outgoing(delivery))
        self._failing_room = allowance.failing
        if outgoing:
            self._recent_lanes.update((lane.subscription_id, lane.slot) for o in outgoing for lane in o.delivery.lanes)
            busy_s = min(cadence.LONGEST_PAUSE_S, cadence.PUBLICATIONS * self._publisher.took_s)
            self._next_at = now + max(self.pause_s(), busy_s)
            self._publisher.publish(outgoing)

    def publish_again(self, unclaimed: Sequence[Delivery], now: float) -> bool:
        """Publish what nobody claimed, under the same ids; answers whether the publisher had time for it."""
        if self.halted or not unclaimed or self._publisher.waiting:
            return False
        for delivery in unclaimed:
            self._dispatches.published(delivery, now)
        self._publisher.publish([self._outgoing(delivery) for delivery in unclaimed])
        return True

    def count_failing(self) -> None:
        """How many more failing deliveries may leave, until this is counted again at the next sweep."""
        room = self.slots.failing - self._dispatches.failing
        self._failing_room = min(room, RETRYING_LIMIT - self._dispatches.retrying)

    def pause_s(self) -> float:
        """Between two parcels, and between two looks at a consumer."""
        pause_s = cadence.PAUSE_PER_LANE_S * self._recent_lanes.count
        return min(cadence.LONGEST_PAUSE_S, max(cadence.SHORTEST_PAUSE_S, pause_s))

    def count_lanes(self) -> None:
        """A second is over: the pauses follow the lanes that dispatched in it."""
        self._recent_lanes.second_over()

    def _outgoing(self, delivery: Delivery) -> Outgoing:
        return Outgoing(delivery, delivery.ticket(self._reply), any(lane.alone for lane in delivery.lanes))
