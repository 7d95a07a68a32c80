"""One process of the receiver, as the process sees it that has started it."""

import contextlib
import http.client
import signal
import sys
from pathlib import Path

import msgspec

from stack.child import Child, spawn
from webhookd_load_test.receiver.counts import Counts
from webhookd_load_test.receiver.process_settings import ProcessSettings, ProcessState, read_state

MODULE = "webhookd_load_test.receiver.receiver_process"
ANSWER_S = 10.0
STOP_S = 60.0
"""It has at most a queue to write, but the disk may be slow."""


class ReceiverFailedError(Exception):
    """The receiver cannot start, or a process of it has ended. The message is one line."""


class ReceiverChild:
    """Starts the process. Create it on the main thread. It ends in order when this process dies."""

    def __init__(self, settings: ProcessSettings, log_file: Path) -> None:
        self._state_file = Path(settings.state_file)
        self._state_file.unlink(missing_ok=True)
        self.child: Child = spawn(
            [sys.executable, "-m", MODULE, msgspec.json.encode(settings).decode()],
            log_file=log_file,
            parent_death_signal=signal.SIGTERM,
        )

    @property
    def listens(self) -> bool:
        """Whether it has said so."""
        return self._state is not None

    def ask(self, method: str, path: str, body: str = "") -> bytes:
        """Ask this process; returns the body of its answer. Raises ReceiverFailedError when it has ended."""
        state = self._state
        if self.child.exit_code is not None or state is None:
            raise self.failure()
        connection = http.client.HTTPConnection("127.0.0.1", state.control_port, timeout=ANSWER_S)
        with contextlib.closing(connection):
            try:
                connection.request(method, path, body)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise self.failure(f"it does not answer: {error!r}") from None
        if answer.status >= 300:
            raise self.failure(f"it answered {answer.status} to {method} {path}")
        return content

    def ask_to_stop(self) -> None:
        """Let it write everything and end; does not wait."""
        self.child.send(signal.SIGTERM)
        self.child.thaw()

    def ended(self) -> Counts:
        """Wait for its end; returns its last counts. Raises ReceiverFailedError if it could not keep everything."""
        if not self.child.wait_or_kill(STOP_S):
            raise self.failure(f"it had not ended after {STOP_S:.0f} s")
        state = self._state
        self._state_file.unlink(missing_ok=True)
        if self.child.exit_code or state is None or state.ended is None:
            raise self.failure()
        return state.ended

    def kill(self) -> None:
        """Kill it, and remove what only a running process needs."""
        self.child.kill()
        self._state_file.unlink(missing_ok=True)

    def failure(self, reason: str = "") -> ReceiverFailedError:
        """What is wrong with it: the last line that it wrote, if it has ended."""
        code = self.child.exit_code
        if code is None:
            return ReceiverFailedError(f"the receiver's process {self.child.pid}: {reason}")
        if code == 1 and (last := self.child.tail(1)):
            return ReceiverFailedError(last)
        return ReceiverFailedError(f"the receiver's process {self.child.pid} ended with exit code {code}")

    @property
    def _state(self) -> ProcessState | None:
        try:
            return read_state(self._state_file)
        except FileNotFoundError:
            return None
