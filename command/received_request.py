"""A received request as text: in full, or in one line."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec

from command.arrival_check import Position, positions_in

RECORDS_SHOWN = 20
"""A body of 1,000 records would fill the terminal; the others are counted."""

LINE_CHARACTERS = 100
"""What a line shows of a record."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_elements = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class ShownRequest:
    """One request."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def records(self) -> list[Position] | None:
        """The positions of its records; None when it is not a delivery."""
        return positions_in(self.body)

    def in_full(self) -> str:
        """Return the request line, the headers and the body."""
        lines = "".join(f"{name}: {value}\n" for name, value in self.headers)
        return f"\n{self.method} {self.path}\n{lines}\n{readable(self.body)}".rstrip()

    def in_one_line(self, status: int) -> str:
        """Return what arrived and how it is answered: the value of a single record, or the offsets of several."""
        return _cut(f"{self.method} {self.path} → {status}  {self._content()}", LINE_CHARACTERS)

    def _content(self) -> str:
        records = self.records
        if not records:
            return f"{len(self.body):,} bytes"
        if len(records) == 1:
            return f"{_span(records)}  {_value(self.body)}"
        spans = [_span(list(lane)) for _, lane in groupby(records, key=lambda one: (one.topic, one.partition))]
        return f"{len(records):,} records: {', '.join(spans)}"


def readable(body: bytes) -> str:
    """Return the body in a form for people, with numbers and strings as they were sent.

    A delivery has one line for each record, of which the first RECORDS_SHOWN are shown. Other JSON is indented.
    Anything else is text, with escapes for bytes that are not UTF-8.
    """
    try:
        records = _records(body)
        if records is not None:
            return _messages(records)
        return msgspec.json.format(body, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode("utf-8", "backslashreplace")


def _messages(records: Sequence[str]) -> str:
    shown = ",\n  ".join(records[:RECORDS_SHOWN])
    more = len(records) - RECORDS_SHOWN
    return '{"messages":[\n  ' + shown + (f",\n  … {more:,} more records" if more > 0 else "") + "\n]}"


def _records(body: bytes) -> list[str] | None:
    """Return the records of a delivery; None for JSON that is not a delivery."""
    try:
        fields = _members.decode(body)
        records = _elements.decode(fields.pop("messages"))
    except (msgspec.ValidationError, KeyError):
        return None
    return None if fields else [bytes(record).decode() for record in records]


def _span(records: Sequence[Position]) -> str:
    first, last = records[0], records[-1]
    offsets = f"{first.offset}" if len(records) == 1 else f"{first.offset} to {last.offset}"
    return f"{first.topic}[{first.partition}] {offsets}"


class _Valued(msgspec.Struct):
    value: msgspec.Raw


class _Values(msgspec.Struct):
    messages: list[_Valued]


_values = msgspec.json.Decoder(_Values)


def _value(body: bytes) -> str:
    """The value of the only record, in one line."""
    try:
        value = _values.decode(body).messages[0].value
        return msgspec.json.format(bytes(value), indent=0).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _cut(line: str, characters: int) -> str:
    return line if len(line) <= characters else line[: characters - 1] + "…"
