"""A file that one process at a time owns; it holds the process' id. The ownership ends with the process."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack.errors import NotStarted


@contextmanager
def owned(file: Path, message: str) -> Iterator[None]:
    """Own the file. Raises NotStarted with the message, in which `{pid}` is the owner's, when another process does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as owner:
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            raise NotStarted(message.format(pid=file.read_text().strip() or "unknown")) from taken
        owner.truncate(0)
        owner.write(str(os.getpid()))
        owner.flush()
        yield
