"""The limit of open files of a process."""

import resource
from collections.abc import Callable

from webhookd import logs

MAX_OPEN_FILES = 1 << 20
"""The highest limit to request: the hard limit may be infinite, which is not valid as a soft limit."""

_log = logs.get(__name__)


def raise_open_file_limit(set_limit: Callable[[int, tuple[int, int]], None] = resource.setrlimit) -> None:
    """Raise the limit of open files as far as allowed: the consumer of each subscription needs about 20 of them.

    macOS allows less than its hard limit says, and tells it only by refusing; then half is tried.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    while soft != resource.RLIM_INFINITY and soft < most:
        try:
            set_limit(resource.RLIMIT_NOFILE, (most, hard))
        except (ValueError, OSError):
            most //= 2
        else:
            _log.info("open_files_raised", limit=most, before=soft)
            return
