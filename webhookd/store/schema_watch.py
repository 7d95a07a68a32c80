"""Checks once in the life of a process that the database has the schema that it needs, as soon as the database answers.

at the start      the database has the schema       nothing more is done
                  it has another one                SchemaMismatch: the process must not start
                  it does not answer                a thread asks about once a second until it answers
later             it has the schema                 the thread ends
                  it has another one                `mismatched` is called, and the thread ends: the process must end

When the schema changes after that, the process goes on. Its transactions then raise SchemaMismatch, which is treated as
an outage of the database.
"""

from collections.abc import Callable
from threading import Event, Thread

from webhookd import logs
from webhookd.errors import SchemaMismatch, StoreUnavailable
from webhookd.store import schema
from webhookd.store.database import Database

INTERVAL_S = 1.0

_log = logs.get(__name__)


class SchemaWatch:
    """At most one thread; `mismatched` is called on it."""

    def __init__(
        self,
        database: Database,
        mismatched: Callable[[SchemaMismatch], None],
        *,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._database = database
        self._mismatched = mismatched
        self._interval_s = interval_s
        self._stop = Event()
        self._thread = Thread(target=self._run, name="schema-watch", daemon=True)

    def start(self) -> None:
        """Check now; start the thread if the database does not answer. Raises SchemaMismatch. Blocks for seconds."""
        if not self._confirmed():
            self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; does not wait for it."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of a thread that was started; return whether it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _confirmed(self) -> bool:
        try:
            schema.confirm(self._database)
        except SchemaMismatch:
            raise
        except StoreUnavailable:  # those that use the database log it
            return False
        return True

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                if self._confirmed():
                    return
            except SchemaMismatch as error:
                self._mismatched(error)
                return
            except Exception:  # noqa: BLE001 - the top of the thread: the next check may succeed
                _log.exception("schema_watch_failed")
