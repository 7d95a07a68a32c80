"""Runs the writes of the database writer, so that rows which the database rejects delay no other rows."""

from collections.abc import Callable

from webhookd import logs
from webhookd.errors import RowsRefused, StoreUnavailable

TryWrite = Callable[..., bool]
"""Runs a write and returns whether the database accepted it; keywords name the rows in the log. Raises
StoreUnavailable."""

_log = logs.get(__name__)


class WriteAttempts:
    """Used by one thread; any thread may call `check`."""

    def __init__(self) -> None:
        self._refused = ""

    def run(self, write: Callable[[], None], *, rows: str, **facts: object) -> bool:
        """Run a write; return False and log it when the database rejects its rows. Raises StoreUnavailable."""
        try:
            write()
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - an error of these rows must not stop the others
            # Only the first line: the others may contain the row.
            detail = f"{type(error).__name__}: {error}".partition("\n")[0]
            self._refused = f"{rows}: {detail}"
            _log.error("rows_refused", code=RowsRefused.code, rows=rows, detail=detail, **facts)
            return False
        return True

    def all_accepted(self) -> None:
        """End the fault: the database has accepted everything that must be written."""
        self._refused = ""

    def check(self) -> None:
        """Raises RowsRefused while the database rejects rows that must be written and are tried again."""
        if self._refused:
            raise RowsRefused(self._refused)
