"""Measures a floor in steady state: requests, time and processor time of this process from the end of a warm-up on."""

import os
import time
from dataclasses import dataclass

from webhookd_load_test.process_usage import usage

WARM_UP_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The result of one run: in steady state, of this process alone."""

    requests: int
    elapsed_s: float
    cpu_s: float
    resident_bytes: int


class Stopwatch:
    """Counts requests from the end of the warm-up on, until the time is up."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = time.monotonic()
        self._start = self._end = (0.0, 0.0)
        self._requests = 0

    def count(self, requests: int) -> bool:
        """Count finished requests; returns whether to continue."""
        now = time.monotonic()
        if self._start[0]:
            self._requests += requests
            self._end = (now, time.process_time())
        elif now - self._began >= WARM_UP_S:
            self._start = (now, time.process_time())
        return now - self._began < WARM_UP_S + self._seconds

    def floor(self) -> Floor:
        """The result up to the last count."""
        if not self._requests:
            raise RuntimeError("the input ended before the warm-up")
        return Floor(
            requests=self._requests,
            elapsed_s=self._end[0] - self._start[0],
            cpu_s=self._end[1] - self._start[1],
            resident_bytes=usage({"itself": [os.getpid()]}).resident_bytes["itself"],
        )
