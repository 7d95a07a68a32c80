"""The end of a process that does not end by itself."""

import os
from collections.abc import Callable
from threading import Timer

from command.shutdown_signals import ShutdownSignals
from webhookd import logs

AFTER_BUDGET_S = 12.0
"""How long ingest or a worker may take to end after its stop budget. Each of its threads may wait for a service that
does not answer. Supervisors are told to wait 15 s before they kill it."""

UNLOGGED_S = 1.0
"""How much later the process ends without a line in the log, which may be a pipe that nobody reads any more."""

_log = logs.get(__name__)


def exit_after(wait_s: float, process: str, exit_code: int = 0) -> None:
    """End the process after this time if it still runs. No record is lost; what is in flight is sent again."""

    def end() -> None:
        _log.warning("stop_cut_short", process=process, after_s=wait_s)
        ShutdownSignals.exit_process(exit_code)

    _start_timer(wait_s, end)
    _start_timer(wait_s + UNLOGGED_S, lambda: os._exit(exit_code))


def _start_timer(wait_s: float, act: Callable[[], None]) -> None:
    timer = Timer(wait_s, act)
    timer.daemon = True
    timer.start()
