"""A temporary directory for the data of one run; directories that killed runs left behind are removed too."""

import contextlib
import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "webhookd-stack-"
OWNER = "owner"
YOUNG_S = 60.0
"""A younger directory may not have been locked by its owner yet."""


@contextmanager
def scratch_directory(parent: Path | None = None) -> Iterator[Path]:
    """A new directory outside the checkout: Postgres may run as a user who cannot read the checkout."""
    place = parent or Path(tempfile.gettempdir())
    _sweep(place)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    directory.chmod(0o711)
    with (directory / OWNER).open("w") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def _sweep(parent: Path) -> None:
    for directory in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or just removed
            if time.time() - directory.stat().st_mtime > YOUNG_S and not is_locked(directory / OWNER):
                shutil.rmtree(directory, ignore_errors=True)


def is_locked(path: Path) -> bool:
    """Whether a running process holds the lock on this file; the lock ends with the process."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
