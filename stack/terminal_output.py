"""A terminal that several processes share: whole lines, each under the name of its process."""

import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import IO

from stack.child import Child, spawn

COLOURS = (36, 32, 33, 35, 34, 31, 96, 92, 95)
"""Of ANSI terminals, one after another."""

LAST_LINES_S = 2.0


class Output:
    """Writes lines under names, in colours on a terminal unless NO_COLOR is set."""

    def __init__(self, names: Sequence[str]) -> None:
        coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._width = max(map(len, names))
        self._colours = dict(zip(names, cycle(COLOURS), strict=False)) if coloured else {}
        self._writing = threading.Lock()
        self._readers: list[threading.Thread] = []

    def attach(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], *, blank_lines: bool = False
    ) -> Child:
        """Start a process whose lines appear here; those that are blank only if asked for."""
        read_end, write_end = os.pipe()
        with os.fdopen(write_end, "wb") as writer:
            child = spawn(command, output=writer, environment=environment, parent_death_signal=signal.SIGTERM)
        lines = os.fdopen(read_end, "rb")
        reader = threading.Thread(target=self._copy, args=(name, lines, blank_lines), daemon=True)
        reader.start()
        self._readers.append(reader)
        return child

    def say(self, name: str, text: str) -> None:
        """Write the lines of a text, with no other process' lines between them."""
        colour = self._colours.get(name)
        label = f"{name:<{self._width}} |"
        label = f"\x1b[{colour}m{label}\x1b[0m" if colour else label
        with self._writing:
            print("\n".join(f"{label} {line}".rstrip() for line in text.splitlines() or [""]), flush=True)

    def finish(self) -> None:
        """Wait for the last lines of processes that have ended."""
        for reader in self._readers:
            reader.join(LAST_LINES_S)

    def _copy(self, name: str, lines: IO[bytes], blank_lines: bool) -> None:  # noqa: FBT001 - a thread's argument
        with lines:
            for line in lines:
                text = line.decode("utf-8", "replace").rstrip()
                if text or blank_lines:
                    self.say(name, text)
