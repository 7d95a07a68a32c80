"""When what is ready leaves, and what leaves together: the parcels of the ingest loop.

A subscription is *touched* when there may be something to dispatch; what is touched is looked at once the last parcel
is through and a pause is over (see cadence). Those that wanted more than there was room for are looked at first, in
turn, as soon as there is some (see flow/allowance.py).

A delivery goes to the queue for first attempts only when the endpoint answered well lately on all its lanes; else to
that of the retries, so that those that hang hold each other up and nobody else.
"""

from collections.abc import Callable, Sequence

from webhookd.flow.allowance import Load, Slots
from webhookd.flow.delivery import Delivery
from webhookd.flow.dispatches import Dispatches
from webhookd.flow.recent_lanes import RecentLanes
from webhookd.flow.rotation import Rotation
from workers.ingest import cadence
from workers.ingest.intake import Intake
from workers.ingest.publisher import Outgoing, Publisher


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
        self._rotation = Rotation(slots)
        self.halted = False
        """While webhookd is offline nothing leaves; what is ready waits."""
        self._known: dict[str, Intake] = {}
        self._touched: dict[str, Intake] = {}
        self._recent_lanes = RecentLanes()
        self._next_at = 0.0

    @property
    def due_at(self) -> float | None:
        """When to dispatch next; None while there is nothing to, or the publisher is busy."""
        return self._next_at if self._touched and not self.halted and not self._publisher.waiting else None

    def touch(self, intake: Intake) -> None:
        """There may be something to dispatch."""
        self._known[intake.subscription.id] = self._touched[intake.subscription.id] = intake

    def forget(self, intake: Intake) -> None:
        """It is not run any more."""
        id_ = intake.subscription.id
        self._touched.pop(id_, None)
        self._known.pop(id_, None)
        self._rotation.forget(id_)
        self._publisher.revoke([lane.slot for lane in intake.route.lanes.values()])

    def dispatch(self, now: float) -> None:
        """Send on its way what is ready."""
        if self.halted or not self._touched or self._publisher.waiting or now < self._next_at:
            return
        touched, self._touched = self._touched, {}
        routes = {id_: intake.route for id_, intake in touched.items()}
        ready = self._rotation.ready(routes, now, lambda id_, error: self._failed(self._known[id_], error))
        outgoing = [self._outgoing(delivery) for delivery in ready]
        for out in outgoing:
            self._dispatches.published(out.delivery, now)
        if outgoing:
            shared = [out.delivery for out in outgoing if not out.alone]
            self._recent_lanes.update((lane.subscription_id, lane.slot) for one in shared for lane in one.lanes)
            busy_s = min(cadence.LONGEST_PAUSE_S, cadence.PUBLICATIONS * self._publisher.took_s)
            self._next_at = now + max(self.pause_s(), busy_s)
            self._publisher.publish(outgoing)

    def resize(self, load: Load) -> None:
        """The threads of the live workers, how many are busy, and among how many ingest processes they are shared."""
        self._rotation.resize(load)

    def publish_again(self, unclaimed: Sequence[Delivery], now: float) -> bool:
        """Publish what nobody claimed, under the same ids; answers whether the publisher had time for it."""
        if self.halted or not unclaimed or self._publisher.waiting:
            return False
        for delivery in unclaimed:
            self._dispatches.published(delivery, now)
        self._publisher.publish([self._outgoing(delivery) for delivery in unclaimed])
        return True

    def count(self, now: float) -> None:
        """Count what is under way: also what ended, or became slow, without its subscription being touched."""
        self._rotation.count(now, self._dispatches.retrying)

    def pause_s(self) -> float:
        """Between two parcels, and between two looks at a consumer."""
        pause_s = cadence.PAUSE_PER_LANE_S * self._recent_lanes.count
        return min(cadence.LONGEST_PAUSE_S, max(cadence.SHORTEST_PAUSE_S, pause_s))

    def count_lanes(self) -> None:
        """A second is over: the pauses follow the lanes that shared tasks in it."""
        self._recent_lanes.second_over()

    def _outgoing(self, delivery: Delivery) -> Outgoing:
        return Outgoing(delivery, delivery.ticket(self._reply), delivery.alone)
