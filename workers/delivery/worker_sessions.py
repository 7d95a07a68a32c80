"""The delivery sessions of a worker process, and the thread that takes what ingest pushes to them.

There is one thread and one list in the coordination store for the whole process, however many sessions are open. The
thread reads only while one is open. It begins what was pushed by itself, so that nothing waits for a task's thread;
only deliveries whose templates are not in memory wait for the database on the thread of their task.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Protocol

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.errors import QueueUnavailable
from webhookd.flow.dispatch.coordination import Push
from webhookd.flow.dispatch.delivery_session import DeliverySession, SessionNames
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.metrics.catalogue.worker import SESSIONS_OPENED
from workers.delivery.task_run import TaskRun

WAIT_S = 0.5
"""How long one read waits for a push; shorter than the socket timeout."""

BACK_OFF_S = 0.2
"""The pause after a read that failed."""

THREADS_PER_SESSION = 4
"""At most one in so many threads of a worker stays open for further deliveries, so that most are free for tasks."""

_log = logs.get(__name__)


class Pushes(Protocol):
    """The part of the coordination store that holds sessions and what was pushed to them."""

    def take_pushed(self, worker: str, wait_s: float) -> Push | None:
        """Take the next push to a session of this worker; None without one. Raises QueueUnavailable."""

    def close_session(self, session: str, received: int | None) -> bool:
        """Close a session, unless more was pushed than `received` (None: in any case). Raises QueueUnavailable."""


@dataclass(slots=True, eq=False)
class SessionRun:
    """A session and the task that it belongs to. `begin` starts deliveries that were pushed to it."""

    session: DeliverySession
    run: TaskRun
    begin: Callable[["SessionRun", Sequence[DeliveryRef]], None]


class WorkerSessions:
    """Thread-safe. `idle_s` is how long a session stays open; with 0 none is opened.

    None is opened while `most()` or more are open.
    """

    def __init__(
        self, pushes: Pushes, worker: str, *, idle_s: float, most: Callable[[], int], monotonic: Monotonic
    ) -> None:
        self._pushes = pushes
        self._names = SessionNames(worker)
        self._idle_s = idle_s
        self._most = most
        self._monotonic = monotonic
        self._changed = Condition()
        self._open: dict[str, SessionRun] = {}
        self._stopping = False
        self._thread = Thread(target=self._read, name="pushed-deliveries", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """Close all sessions, and open none any more. Blocks until they are closed, for at most `budget_s`.

        Those that are still open then are forgotten: what is pushed to them is not claimed, and ingest publishes it.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self.close_all()
        with self._changed:
            self._changed.wait_for(lambda: not self._open, budget_s)
            self._open.clear()

    def close_all(self) -> None:
        """Close all sessions as soon as possible; returns at once."""
        with self._changed:
            found = list(self._open.values())
            for one in found:
                one.session.stop()
        for one in found:
            one.run.wake()

    def add(self, run: TaskRun, begin: Callable[[SessionRun, Sequence[DeliveryRef]], None]) -> SessionRun | None:
        """Return a new session, which the next claim opens; None if there may be no further one."""
        with self._changed:
            if self._stopping or not self._idle_s or len(self._open) >= self._most():
                return None
            session = DeliverySession(self._names.new(), self._idle_s, self._monotonic())
            added = self._open[session.id] = SessionRun(session, run, begin)
            self._changed.notify_all()
            return added

    def remove(self, one: SessionRun) -> None:
        """Forget a session that is closed: what is pushed to it from now on is dropped, and ingest publishes it."""
        with self._changed:
            self._open.pop(one.session.id, None)
            self._changed.notify_all()

    def close_when_due(self, one: SessionRun) -> float | None:
        """Close the session if it is due; returns in how many seconds to try again, None if it is closed.

        While Redis is down it counts as closed: the store forgets it soon.
        """
        with self._changed:
            session = one.session
            now = self._monotonic()
            left_s = session.closes_at - now
            received = None if session.overdue(now) else session.received
        if left_s > 0:
            return left_s
        return None if self._close(session.id, received) else 0.01

    def close_at_once(self, one: SessionRun) -> None:
        """Close the session although pushes may not have been received: its task has failed."""
        self._close(one.session.id, None)

    def _close(self, session: str, received: int | None) -> bool:
        try:
            return self._pushes.close_session(session, received)
        except QueueUnavailable as error:
            _log.warning("session_not_closed", code=error.code, detail=error.detail)
            return True

    def _read(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._open or self._stopping)
                if self._stopping and not self._open:
                    return
            try:
                push = self._pushes.take_pushed(self._names.worker, WAIT_S)
                if push is not None:
                    self._receive(push)
            except QueueUnavailable as error:
                _log.warning("pushes_unreadable", code=error.code, detail=error.detail)
                with self._changed:
                    self._changed.wait(BACK_OFF_S)
            except Exception:  # noqa: BLE001 - the top of the thread: without it no push is read
                _log.exception("push_failed")

    def _receive(self, push: Push) -> None:
        with self._changed:
            one = self._open.get(push.session)
            if one is None:
                _log.debug("push_dropped", session=push.session, deliveries=len(push.refs))
                return
            one.run.expect()  # the task must not end before these deliveries have begun
            one.session.pushed(self._monotonic())
        try:
            one.begin(one, push.refs)
        finally:
            one.run.cancel()


def most_sessions(threads: int) -> int:
    """How many sessions a worker with so many threads may have open."""
    return threads // THREADS_PER_SESSION


def session_opened(one: SessionRun) -> None:
    """Count a session that has opened."""
    SESSIONS_OPENED.inc()
    _log.debug("session_opened", session=one.session.id)
