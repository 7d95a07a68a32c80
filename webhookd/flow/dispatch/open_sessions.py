"""The delivery sessions that an ingest process may push to, as far as it knows.

event                                             the session
a delivery is reported as started by a session    is known; it uses the thread that was counted for that delivery's task
deliveries are pushed to it                       they share its thread
a push is refused                                 is forgotten: it has closed
a delivery that was pushed is not claimed in time is forgotten: its worker may be dead
its idle timeout or its longest time is over      is forgotten: it closes now, and would refuse the push

A push goes to the session with the fewest deliveries in flight, so that workers share the load. If each has as many as
allowed, a task is published: another worker may take it, and opens a session of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.dispatch.delivery_session import LONGEST_S

CLAIM_TIMEOUT_S = 2.0
"""A session takes what is pushed to it at once. What it has not claimed for so long is published as a task."""


@dataclass(slots=True, eq=False)
class OpenSession:
    """A session, the number of its task (as `Delivery.shared_task`), and its deliveries in flight."""

    id: str
    task: int
    opened_at: float
    pushed_at: float
    deliveries: list[Delivery] = field(default_factory=list)

    def add(self, pushed: Sequence[Delivery], now: float) -> None:
        """Add deliveries that are pushed; all deliveries of the session have equal parts of its thread."""
        self.deliveries += pushed
        self.pushed_at = now if pushed else self.pushed_at
        share_thread(self.task, self.deliveries)

    def drop_ended(self) -> None:
        """Drop the deliveries that use the thread no more."""
        ours = self.task
        self.deliveries = [d for d in self.deliveries if d.shared_task == ours and d.holds_thread and d.current]


class OpenSessions:
    """Owned by the ingest loop's thread. At most `most` deliveries are in flight in a session. Times are monotonic."""

    def __init__(self, *, idle_s: float, most: int) -> None:
        self._idle_s = idle_s
        self._most = most
        self._sessions: dict[str, OpenSession] = {}

    def __len__(self) -> int:
        """How many sessions are known."""
        return len(self._sessions)

    def started(self, id_: str, delivery: Delivery, now: float) -> None:
        """Note that a session has claimed a delivery of its own task."""
        session = self._sessions.get(id_)
        if session is None:
            session = self._sessions[id_] = OpenSession(id_, delivery.shared_task, now, now)
        session.deliveries.append(delivery)

    def choose(self, now: float) -> OpenSession | None:
        """Return the session to push to; None if there is none with room."""
        for session in list(self._sessions.values()):
            if now >= session.pushed_at + self._idle_s or now >= session.opened_at + LONGEST_S:
                del self._sessions[session.id]
            else:
                session.drop_ended()
        chosen = min(self._sessions.values(), key=lambda session: len(session.deliveries), default=None)
        return chosen if chosen is not None and len(chosen.deliveries) < self._most else None

    def forget(self, id_: str) -> None:
        """Forget a session that has refused a push."""
        self._sessions.pop(id_, None)

    def unclaimed(self, deliveries: Iterable[Delivery]) -> None:
        """Forget the sessions that have not claimed these deliveries."""
        late = set(deliveries)
        for session in list(self._sessions.values()):
            if late.intersection(session.deliveries):
                self.forget(session.id)


def share_thread(task: int, deliveries: Sequence[Delivery]) -> None:
    """Give each of these deliveries, which share a task, an equal part of its thread."""
    for delivery in deliveries:
        delivery.shared_task, delivery.thread_share = task, 1.0 / len(deliveries)
