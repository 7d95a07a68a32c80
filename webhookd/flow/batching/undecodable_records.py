"""When a lane stops dead-lettering records that cannot be decoded, and how the problem is described.

    undecodable in a row           the lane
    up to 50                       makes each a dead letter
    more                           stops before the next one and looks ahead: it still reads, but keeps no record and
                                   makes no dead letter
    a decodable one is found       goes back to where it stopped, makes dead letters of those before it, and continues

So a topic without a single decodable record causes at most 50 dead letters in each partition. Undecodable records
between decodable ones all become dead letters.
"""

from dataclasses import dataclass

from webhookd.errors import UndecodableRecord
from webhookd.flow.offsets.position import UNREAD

IN_A_ROW = 50
"""Enough to distinguish a fault of the topic from a few bad records; few enough for people to read all of them."""

_CONFLUENT_BYTES = 5
_GLUE_BYTES = 18


@dataclass(slots=True)
class UndecodableRun:
    """The undecodable records of one lane since its last decodable one.

    `lookahead_offset` is the last offset that was checked while the lane looks ahead, None otherwise;
    `decodable_offset` is where a decodable record was found then. `detail` describes the problem for people.
    """

    count: int = 0
    lookahead_offset: int | None = None
    decodable_offset: int = UNREAD
    detail: str = ""
    _decodable: int = 0
    _ended: bool = False

    @property
    def too_long(self) -> bool:
        """Whether the subscription has a problem: with so many in a row the topic is at fault."""
        return self.count >= IN_A_ROW

    def begin(self, decodable: int) -> None:
        """Begin to read messages; `decodable` is a count that grows with each decodable record."""
        self._decodable = decodable

    def count_decodable(self, decodable: int) -> None:
        """Update the count of `begin`; if it has grown, the run has ended."""
        if decodable != self._decodable:
            self._decodable = decodable
            self.end()

    def end(self) -> None:
        """End the run: a record could be decoded."""
        self.count, self.detail, self._ended = 0, "", True

    def restore(self, count: int) -> None:
        """Continue the count of another process, unless a record could be decoded since."""
        if not self._ended:
            self.count = max(self.count, count)

    def stops_before(self, offset: int) -> bool:
        """Whether the lane stops before the undecodable record at `offset`."""
        return self.too_long and offset >= self.decodable_offset

    def add(self, error: Exception, value: bytes | None) -> None:
        """Count one more undecodable record, which becomes a dead letter."""
        self.count += 1
        if self.count == IN_A_ROW:
            self.detail = description(error, value)

    def reset(self) -> None:
        """Start again: the lane reads from its watermark and counts again the records after it."""
        self.count, self.lookahead_offset, self.decodable_offset = 0, None, UNREAD


def description(error: Exception, value: bytes | None) -> str:
    """Why a record cannot be decoded, for people."""
    cause = error.cause if isinstance(error, UndecodableRecord) else "unreadable"
    detail = getattr(error, "detail", "")
    return ": ".join(part for part in (cause, detail) if part) + frame_of(value or b"")


def frame_of(value: bytes) -> str:
    """A clause about the frame or format that the value begins with; empty when none is recognised."""
    if len(value) > _CONFLUENT_BYTES and value[0] == 0:
        schema = int.from_bytes(value[1:_CONFLUENT_BYTES], "big")
        looks_like_json = value[_CONFLUENT_BYTES : _CONFLUENT_BYTES + 1] in {b"{", b"["}
        content = "JSON behind it" if looks_like_json else "Avro or Protobuf behind it"
        return f"; it looks like the frame of a Confluent schema registry, schema id {schema}, with {content}"
    if len(value) > _GLUE_BYTES and value[0] == 3 and value[1] in {0, 5}:
        return "; it looks like the frame of an AWS Glue schema registry"
    if value.startswith(b"\x1f\x8b"):
        return "; it looks like gzip"
    if value.startswith(b"Obj\x01"):
        return "; it looks like an Avro container file"
    return ""
