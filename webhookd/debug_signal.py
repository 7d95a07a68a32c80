"""Switches the level of the log to debug and back while a process runs.

signal     what happens
SIGUSR2    debug is switched on, for `for_s`; when it is on, it is switched off
SIGALRM    the time is over: debug is switched off

The time is the process's real-time timer (setitimer), because a signal handler must not wait for a thread to start.
Nothing else in webhookd uses this timer.
"""

import signal
from types import FrameType

from webhookd import logs

_log = logs.get(__name__)


class DebugSignal:
    """The handlers of both signals."""

    def __init__(self, for_s: float) -> None:
        self._for_s = for_s

    def install(self) -> None:
        """Handle the signals from now on. Call it on the main thread; without it SIGUSR2 ends a process."""
        signal.signal(signal.SIGALRM, self._time_is_over)
        signal.signal(signal.SIGUSR2, self._switch)

    def _switch(self, _number: int, _frame: FrameType | None) -> None:
        if logs.levels.debug:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            self._switch_off("signal")
        else:
            logs.levels.switch_debug(on=True)
            signal.setitimer(signal.ITIMER_REAL, self._for_s)
            _log.warning("debug_switched_on", for_s=self._for_s)

    def _time_is_over(self, _number: int, _frame: FrameType | None) -> None:
        if logs.levels.debug:  # a second SIGUSR2 may have come at the same moment
            self._switch_off("time")

    def _switch_off(self, by: str) -> None:
        _log.warning("debug_switched_off", by=by)
        logs.levels.switch_debug(on=False)
