"""A reader's terminal: one bash for as long as it is open, blocks typed into it, Ctrl-C."""

import os
import signal
import subprocess
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE_S = 120.0
"""Above the slowest start of a service's processes on a busy machine."""

SETUP = """
set -o pipefail -o errtrace
trap 'failed=1' ERR
trap : INT
"""
"""A pipe fails with any of its commands, a block with any of its lines, and Ctrl-C ends a block and not the bash."""


class Terminal:
    """A context; at its end the bash and everything that it started have ended, or AssertionError."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._text = ""
        self._closed = False
        self._changed = threading.Condition()
        self._running = ""
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],  # noqa: S607 - whichever bash the reader has
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        self._type(SETUP)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.interrupt()
        left = self.left_behind()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self._bash.communicate(timeout=PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert kind is not None or left == [], f"left behind: {left}\n{self.output}"

    @property
    def output(self) -> str:
        """Everything that is on the screen."""
        with self._changed:
            return self._text

    def run(self, block: str) -> tuple[int, str]:
        """Type a block that ends by itself; returns 0 or 1 when one of its commands failed, and its output."""
        self.interrupt()
        before = len(self.output)
        self._source(block)
        code = self._ended()
        return code, self.output[before:].rpartition(f"\n{self._running}")[0]

    def start(self, block: str, said: str) -> None:
        """Type a block that runs until Ctrl-C, and wait until it has said something."""
        self.interrupt()
        before = len(self.output)
        self._source(block)
        self.wait_for(said, before)

    def wait_for(self, text: str, start: int = 0) -> None:
        """Wait until a text is on the screen."""
        with self._changed:
            self._changed.wait_for(lambda: self._over(start) or text in self._text[start:], PATIENCE_S)
            assert text in self._text[start:], f"never said {text!r}:\n{self._text[start:]}"

    def interrupt(self) -> None:
        """Press Ctrl-C if a block runs, and wait for its end."""
        if self._running and not self._over():
            os.killpg(self._bash.pid, signal.SIGINT)
            self._ended()

    def left_behind(self) -> list[int]:
        """The processes of this terminal besides the bash."""
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [pid for pid in pids if pid != self._bash.pid and _session_of(pid) == self._bash.pid]

    def _source(self, block: str) -> None:
        self._running = uuid.uuid4().hex
        file = self._folder / f"block-{self._running}.sh"
        file.write_text(block, encoding="utf-8")
        self._type(f"failed=0; . ./{file.name} < /dev/null; echo; echo {self._running} $failed")

    def _ended(self) -> int:
        """Wait for the end of the block; returns 0, or 1 when one of its commands failed."""
        with self._changed:
            self._changed.wait_for(self._over, PATIENCE_S)
            _, found, rest = self._text.partition(f"\n{self._running} ")
            assert found, f"has not ended:\n{self._text}"
            return int(rest.split(maxsplit=1)[0])

    def _over(self, _start: int = 0) -> bool:
        return self._closed or f"\n{self._running} " in self._text

    def _type(self, line: str) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write(line + "\n")
        self._bash.stdin.flush()

    def _read(self) -> None:
        assert self._bash.stdout is not None
        for line in self._bash.stdout:
            with self._changed:
                self._text += line
                self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0
