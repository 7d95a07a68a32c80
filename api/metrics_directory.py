"""The directory in which the worker processes of the API write their metrics.

It is locked while one of its processes lives. The kernel ends the lock with the last of them, so that the next API
finds what a killed one has left, and removes it. A process id would not do: two containers that share the place may
both have the process 1.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

PREFIX: Final = "webhookd-api-metrics-"


class MetricsDirectory:
    """A new directory in `parent`; create it in the master, before gunicorn forks. Raises OSError."""

    def __init__(self, parent: str) -> None:
        for other in Path(parent).glob(f"{PREFIX}*"):
            _remove_unless_locked(other)
        self._master = os.getpid()
        self.path, self._lock = _new(parent)

    def remove(self) -> None:
        """Remove it, if this is the master: a worker process ends in the same function."""
        if os.getpid() == self._master:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)


def _new(parent: str) -> tuple[Path, int]:
    """A new directory and the descriptor of its lock. Another API may remove it before it is locked: then once more."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return path, lock
        os.close(lock)


def _remove_unless_locked(path: Path) -> None:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # another user's, or removed meanwhile
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_uid == os.geteuid():
            shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(lock)
