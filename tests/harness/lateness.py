"""How late a busy machine runs threads. Requests that are late arrive together with the ones behind them."""

import threading
import time
from typing import Self

TICK_S = 0.02


class Lateness:
    """A context; `most_s` is the longest time by which a thread ran too late in it."""

    def __init__(self) -> None:
        self.most_s = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="lateness")

    def __enter__(self) -> Self:
        """Begin to measure."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._ended.set()
        self._thread.join()

    def _measure(self) -> None:
        due = time.monotonic() + TICK_S
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            self.most_s = max(self.most_s, time.monotonic() - due)
            due = time.monotonic() + TICK_S
