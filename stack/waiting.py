"""Waits until a service answers."""

import time
from collections.abc import Callable, Iterable

from stack.child import Child
from stack.errors import NotStarted

POLL_INTERVAL_S = 0.05


def until_ready(name: str, answers: Callable[[], bool], children: Iterable[Child], timeout_s: float) -> None:
    """Wait until the service answers. Raises NotStarted with its last lines when it ends or the time is up."""
    watched = list(children)
    deadline = time.monotonic() + timeout_s
    while not answers():
        ended = next((child for child in watched if child.exit_code is not None), None)
        if ended is not None:
            raise NotStarted(f"{name} ended with exit code {ended.exit_code}:\n{ended.tail()}")
        if time.monotonic() > deadline:
            raise NotStarted(f"{name} did not answer within {timeout_s:.0f} s:\n{watched[0].tail()}")
        time.sleep(POLL_INTERVAL_S)
