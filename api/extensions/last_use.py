"""When each API key was last used. It is written on a thread, so that no request waits for it or fails with it."""

import threading
from concurrent.futures import Future

from api.extensions.bounded_calls import BoundedCalls
from webhookd import logs
from webhookd.clock import Monotonic, WallClock
from webhookd.errors import StoreUnavailable
from webhookd.store import api_keys
from webhookd.store.database import Database

INTERVAL_S = 60.0
"""A key's last use is written at most this often by each process."""

_log = logs.get(__name__)


class LastUse:
    """Writes last uses; any thread."""

    def __init__(self, database: Database, monotonic: Monotonic, wall_clock: WallClock) -> None:
        self._database = database
        self._monotonic = monotonic
        self._wall_clock = wall_clock
        self._calls = BoundedCalls(1)
        self._lock = threading.Lock()
        self._due_at: dict[str, float] = {}
        self._writing: Future[None] | None = None

    def note(self, key_id: str) -> None:
        """Note that a valid key was used now. Does not block; a use is not written while another one is written."""
        now = self._monotonic()
        with self._lock:
            if now < self._due_at.get(key_id, now) or (self._writing is not None and not self._writing.done()):
                return
            self._due_at[key_id] = now + INTERVAL_S
            self._writing = self._calls.start(lambda: self._write(key_id))

    def settle(self, timeout_s: float) -> None:
        """Wait until nothing is being written; for tests, and for the end of a process."""
        writing = self._writing
        if writing is not None:
            writing.exception(timeout_s)

    def _write(self, key_id: str) -> None:
        try:
            with self._database.transaction() as session:
                api_keys.store_last_use(session, key_id, self._wall_clock())
        except StoreUnavailable as error:
            _log.debug("last_use_not_stored", code=error.code, error=str(error))
