"""Who dispatches next: subscriptions in turn, those that were refused a thread before those that just became ready.

Equal parts are a matter of counts (flow/allowance.py); the turn decides who gets a thread that is free for two.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from webhookd.flow.allowance import Load, Room, Shares, Slots
from webhookd.flow.delivery import Delivery
from webhookd.flow.route import Route


class Rotation:
    """Owned by the ingest loop, not thread-safe."""

    def __init__(self, slots: Slots) -> None:
        self._shares = Shares(slots)
        self._refused: dict[str, Route] = {}
        self._holding: dict[str, Route] = {}
        self._tasks = itertools.count(1)

    def resize(self, load: Load) -> None:
        """The threads of the live workers, how many are busy, and among how many ingest processes they are shared."""
        self._shares.resize(load)

    def forget(self, id_: str) -> None:
        """The subscription is not run any more."""
        self._refused.pop(id_, None)
        self._holding.pop(id_, None)
        self._shares.forget(id_)

    def ready(
        self, touched: Mapping[str, Route], now: float, failed: Callable[[str, Exception], None]
    ) -> list[Delivery]:
        """What leaves now, of those that are touched and of those that were refused and may get more.

        `failed` hears of a subscription whose readiness cannot be told.
        """
        found: list[tuple[Room, list[Delivery]]] = []
        for id_, route in touched.items():
            self._hold(id_, route, now)  # first: what one of them has given back is for whoever's turn it is
            self._holding[id_] = route
        for id_, route in self._in_turn(touched):
            try:
                found.append(self._look(id_, route, now))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this subscription's alone
                failed(id_, error)
        self._weigh(found)
        return [delivery for _, deliveries in found for delivery in deliveries]

    def count(self, now: float, retrying: int) -> None:
        """Count what is under way: also what ended, or became slow, without its subscription being touched."""
        lingering = [delivery for route in self._holding.values() for delivery in route.lingering(now)]
        sharers = Counter(delivery.task for delivery in lingering)
        for delivery in lingering:
            delivery.weight = 1.0 / sharers[delivery.task]  # the others have ended, and the thread is still held
        for id_, route in list(self._holding.items()):
            self._hold(id_, route, now)
            if all(lane.delivery is None for lane in route.lanes.values()):
                del self._holding[id_]  # a retry that waits holds no thread, and takes one when its time has come
        self._shares.counted(retrying)

    def _hold(self, id_: str, route: Route, now: float) -> None:
        held = route.held(now)  # before it says whether it is slow: it may find that out
        self._shares.hold(id_, held, slow=route.request_time.slow)

    def _in_turn(self, touched: Mapping[str, Route]) -> list[tuple[str, Route]]:
        """The longest refused first, then the rest."""
        refused = [(id_, route) for id_, route in self._refused.items() if id_ in touched or self._shares.admits(id_)]
        return [*refused, *((id_, route) for id_, route in touched.items() if id_ not in self._refused)]

    def _look(self, id_: str, route: Route, now: float) -> tuple[Room, list[Delivery]]:
        room = self._shares.room(id_, slow=route.request_time.slow)
        ready = route.ready(now, room)
        if ready or not room.refused:
            self._refused.pop(id_, None)
        if ready:
            self._holding[id_] = route
        if room.refused:
            self._refused[id_] = route  # behind the others, unless it got nothing
        return room, ready

    def _weigh(self, found: Sequence[tuple[Room, Sequence[Delivery]]]) -> None:
        """Deliveries that share a task hold equal parts of its thread."""
        together: defaultdict[str, list[tuple[Room, Delivery]]] = defaultdict(list)
        for room, deliveries in found:
            for delivery in deliveries:
                if not delivery.alone:
                    together[delivery.queue].append((room, delivery))
        for sharing in together.values():
            task = next(self._tasks)
            for room, delivery in sharing:
                delivery.task, delivery.weight = task, 1.0 / len(sharing)
                room.took(delivery)
