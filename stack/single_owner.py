"""A file that one process at a time owns; it holds the process' id. The ownership ends with the process.

The owner removes the file at its end. A process that had opened it before then gets the lock of a file without a name,
so it opens the file again: otherwise a third process could make a new file and own that.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stack.errors import NotStarted


@contextmanager
def owned(file: Path, message: str) -> Iterator[None]:
    """Own the file. Raises NotStarted with the message, in which `{pid}` is the owner's, when another process does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    while not _is_named(owner := _locked(file, message), file):
        owner.close()
    with owner:
        owner.truncate(0)
        owner.write(str(os.getpid()))
        owner.flush()
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def _locked(file: Path, message: str) -> IO[str]:
    owner = file.open("a+")
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as taken:
        owner.seek(0)
        pid = owner.read().strip()
        owner.close()
        raise NotStarted(message.format(pid=pid or "unknown")) from taken
    return owner


def _is_named(owner: IO[str], file: Path) -> bool:
    """Whether the file of that name is still this one."""
    try:
        return os.path.samestat(os.fstat(owner.fileno()), file.stat())
    except FileNotFoundError:
        return False
