"""webhookd's processes of one kind, ingest or worker: as many as wanted, one of them killed now and then."""

import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from stack.child import Child
from stack.errors import ChangeRefused, NotChanged
from webhookd_load_test import service_commands
from webhookd_load_test.service_commands import STOP_TIMEOUT_S


class ServiceProcesses:
    """A context: `webhookd ingest` or `webhookd worker` processes, all of them stopped at its end.

    Each writes to a log of its own in the folder `logs`, named for the command and the process' number from 0; a
    process that is started again goes on with the log. Any thread can call it; calls wait for each other.
    """

    def __init__(
        self,
        name: Literal["ingest", "worker"],
        *,
        environment: Mapping[str, str],
        logs: Path,
        arguments: Sequence[str] = (),
    ) -> None:
        self._name = name
        self._environment = environment
        self._logs = logs
        self._arguments = arguments
        self._wanted = 0
        self._running: dict[int, Child] = {}
        self._changing = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.scale(0)

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the running ones, by the names of their logs; any thread, does not block."""
        return {self._called(number): child.pid for number, child in list(self._running.items())}

    def scale(self, count: int) -> None:
        """Start or stop processes until there are so many. Also starts those that were killed and are missing.

        Those that it stops get SIGTERM, and it waits for their end. Raises NotChanged, when all have ended, for those
        that did not end within STOP_TIMEOUT_S and were killed.
        """
        with self._changing:
            self._wanted = count
            self._start_missing()
            self._stop([number for number in self._running if number >= count])

    def kill_one(self) -> Callable[[], None]:
        """Kill the running one with the lowest number, with SIGKILL. The callback starts the missing ones again."""
        with self._changing:
            if not self._running:
                raise ChangeRefused(f"no {self._name} process runs")
            self._running.pop(min(self._running)).kill()
        return self._restart

    def check_running(self) -> None:
        """Raise NotChanged with its last lines when a process has ended by itself; any thread, does not block."""
        for number, child in list(self._running.items()):
            if (code := child.exit_code) is not None and self._running.get(number) is child:
                raise NotChanged(f"{self._called(number)} has ended with exit code {code}:\n{child.tail()}")

    def _restart(self) -> None:
        with self._changing:
            self._start_missing()

    def _start_missing(self) -> None:
        for number in range(self._wanted):
            if number not in self._running:
                self._running[number] = self._start(number)

    def _start(self, number: int) -> Child:
        self._logs.mkdir(parents=True, exist_ok=True)
        arguments = [self._name, *self._arguments]
        log_file = self._logs / f"{self._called(number)}.log"
        return service_commands.start(arguments, log_file=log_file, environment=self._environment)

    def _stop(self, numbers: Sequence[int]) -> None:
        """Ask all at once, and each only once: a second signal would end it before its requests have ended."""
        stopping = {number: self._running.pop(number) for number in numbers}
        for child in stopping.values():
            child.send(signal.SIGTERM)
        ended = {number: child.wait_or_kill(STOP_TIMEOUT_S) for number, child in stopping.items()}
        if late := [self._called(number) for number, itself in ended.items() if not itself]:
            raise NotChanged(f"{', '.join(late)} did not end within {STOP_TIMEOUT_S:.0f} s and was killed")

    def _called(self, number: int) -> str:
        return f"{self._name}-{number}"
