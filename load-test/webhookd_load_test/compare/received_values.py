"""Compares keys and values as JSON where their bytes are not the same."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from webhookd_load_test.json_text import parsed
from webhookd_load_test.records.csv_file import read


def canonical(text: bytes) -> str | None:
    """One text for all that are the same JSON, whatever the order of members and the space; None: it is not JSON."""
    try:
        return json.dumps(parsed(text), sort_keys=True)
    except (ValueError, RecursionError):
        return None


def same_key(published: bytes | None, received: bytes | None) -> bool:
    """Whether the JSON of the received key is the published text. No key is null."""
    if received is None or received == b"null":
        return published is None
    if published is None:
        return False
    if received[1:-1] == published and published.isalnum():
        return received[:1] == b'"' == received[-1:]
    try:
        return bool(parsed(received) == published.decode())
    except ValueError:
        return False


class DifferingValues:
    """Values whose bytes differ from the published ones. Each takes some hundred bytes until it is judged."""

    def __init__(self) -> None:
        self._found: dict[int, list[tuple[str | None, Callable[[], None]]]] = {}

    def add(self, number: int, value: bytes, differs: Callable[[], None]) -> None:
        """Take a received value; `differs` is called by `judge` if it is not the same JSON."""
        self._found.setdefault(number, []).append((canonical(value), differs))

    def judge(self, csv: Path) -> None:
        """Read the file again, if there is anything to judge. Blocks."""
        if not self._found:
            return
        for number, record in enumerate(read(csv)):
            for differs in self._differing(number, record.payload):
                differs()

    def _differing(self, number: int, payload: bytes) -> Iterator[Callable[[], None]]:
        if (found := self._found.get(number)) is None:
            return
        published = canonical(payload)
        for received, differs in found:
            if received != published:
                yield differs
