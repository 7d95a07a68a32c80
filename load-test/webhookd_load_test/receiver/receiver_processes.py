"""Starts and stops the processes of the receiver, which share a port, and asks them for their counts."""

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from stack.errors import NotStarted
from stack.waiting import until_ready
from webhookd_load_test.receiver import secrets_file
from webhookd_load_test.receiver.counts import Counts, total
from webhookd_load_test.receiver.faults import Fault
from webhookd_load_test.receiver.process_settings import ProcessSettings
from webhookd_load_test.receiver.receiver_child import ReceiverChild, ReceiverFailedError
from webhookd_load_test.receiver.receiver_process import BEGIN_PATH, COUNTS_PATH
from webhookd_load_test.receiver.secrets_file import Secrets
from webhookd_load_test.run_folder.paths import RunFolder

__all__ = ["ReceiverFailedError", "ReceiverProcesses"]

START_S = 30.0

_counts: Callable[[bytes], Counts] = msgspec.json.Decoder(Counts).decode


class ReceiverProcesses:
    """A context in which several processes receive on one port of 127.0.0.1, and write to files in the folder.

    Enter it on the main thread; it blocks until all listen. `port` 0 takes a free one. Raises ReceiverFailedError when
    the port is taken, on creation, or when a process does not start.

    `secrets` are the signing secrets by path, which are given to the processes in a file for its owner alone that is
    deleted at the end; or they are a file of that form (secrets_file.py), which may change.
    """

    def __init__(
        self,
        *,
        folder: RunFolder,
        processes: int,
        faults: Sequence[Fault],
        seed: int,
        secrets: Secrets | Path,
        keep_values: bool,
        port: int = 0,
    ) -> None:
        self._folder = RunFolder(folder.path.resolve())
        self._processes = processes
        self._faults = list(faults)
        self._seed = seed
        self._keep_values = keep_values
        self._own_secrets = None if isinstance(secrets, Path) else secrets
        self._secrets_file = secrets.resolve() if isinstance(secrets, Path) else self._folder.path / "secrets.json"
        self._children: list[ReceiverChild] = []
        self._ended: Counts | None = None
        self._reservation = _reserved(port)
        self.port: int = self._reservation.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Start the processes."""
        try:
            self._start()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the processes. That one has failed is raised unless another error is on its way."""
        try:
            self.stop()
        except ReceiverFailedError:
            if error is None:
                raise

    def begin(self, at_ns: int) -> None:
        """Let the times of the faults count from this moment on, in ns since the epoch. Raises ReceiverFailedError."""
        for child in self._children:
            child.ask("PUT", BEGIN_PATH, str(at_ns))

    def counts(self) -> Counts:
        """What all processes have got so far. Raises ReceiverFailedError when one has ended before `stop`."""
        if self._ended is not None:
            return self._ended
        return total(_counts(child.ask("GET", COUNTS_PATH)) for child in self._children)

    def stop(self) -> None:
        """End when all processes have written everything. Raises ReceiverFailedError when one could not."""
        if self._ended is not None:
            return
        self._ended = Counts()
        for child in self._children:
            child.ask_to_stop()
        try:
            self._ended = total([child.ended() for child in self._children])
        finally:
            self._kill()

    def _start(self) -> None:
        self._folder.logs.mkdir(parents=True, exist_ok=True)
        if self._own_secrets is not None:
            secrets_file.write(self._secrets_file, self._own_secrets)
        for number in range(self._processes):
            log_file = self._folder.logs / f"receiver-{number}.log"
            self._children.append(ReceiverChild(self._settings(number), log_file))
        for child in self._children:
            _wait_for(child)

    def _settings(self, number: int) -> ProcessSettings:
        file = self._folder.received(number)
        return ProcessSettings(
            port=self.port,
            received_file=os.fspath(file),
            state_file=os.fspath(file.with_suffix(".state")),
            seed=self._seed,
            faults=self._faults,
            keep_values=self._keep_values,
            secrets_file=os.fspath(self._secrets_file),
        )

    def _kill(self) -> None:
        """Kill what still runs, and leave nothing but what was received."""
        for child in self._children:
            child.kill()
        self._reservation.close()
        if self._own_secrets is not None:
            self._secrets_file.unlink(missing_ok=True)


def _wait_for(child: ReceiverChild) -> None:
    try:
        until_ready("the receiver", lambda: child.listens, [child.child], START_S)
    except NotStarted:
        raise child.failure(f"it did not listen within {START_S:.0f} s") from None


def _reserved(port: int) -> socket.socket:
    """A socket that keeps the port for the processes, and gets no connections, as it does not listen.

    Raises ReceiverFailedError when somebody listens there, also if they would share the port.
    """
    try:
        with socket.socket() as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(("127.0.0.1", port))
        shared = socket.socket()
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(("127.0.0.1", port))
    except OSError as error:
        raise ReceiverFailedError(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from None
    return shared
