"""Samples a run about once a second, on a thread of its own."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from webhookd_load_test.run_folder import samples
from webhookd_load_test.run_folder.samples import ProcessSample, Sample

INTERVAL_S = 1.0


class Sampler:
    """A context: takes samples from its begin to its end, adds each to the file, and passes it to `seen`.

    An error of one of the functions ends it; `failed` is called then, and the end of the context raises the error.
    """

    def __init__(
        self,
        file: Path,
        *,
        processes: Callable[[], dict[str, ProcessSample]],
        published: Callable[[], int],
        received: Callable[[], int],
        lag: Callable[[], int | None],
        seen: Callable[[Sample], None],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self._file = file
        self._processes = processes
        self._published = published
        self._received = received
        self._lag = lag
        self._seen = seen
        self._failed = failed
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, with a last sample. Raises the error that ended it early, unless another one is on its way."""
        self._stopping.set()
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self._take()):
                pass
            self._take()
        except Exception as failure:  # noqa: BLE001 - whatever it is, the thread of the context raises it
            self._failure = failure
            self._failed()

    def _take(self) -> float:
        """Take a sample; returns how long to wait for the next one."""
        sample = self._sample()
        samples.append(self._file, sample)
        self._seen(sample)
        return INTERVAL_S

    def _sample(self) -> Sample:
        return Sample(
            at_ns=time.time_ns(),
            processes=self._processes(),
            published=self._published(),
            received=self._received(),
            lag=self._lag(),
        )
