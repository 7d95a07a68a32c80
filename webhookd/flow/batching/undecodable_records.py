"""When a lane stops putting aside records that cannot be read, and what is said about them.

    in a row without a readable one   the lane
    up to 50                          puts each aside, as a dead letter
    more                              stops before the next one, and looks ahead: it reads on, keeps nothing, and puts
                                      nothing aside
    a readable one lies ahead         goes back to where it stopped, puts aside what lies before that one, and goes on

So a topic of which nothing can be read costs 50 rows a partition, whatever is produced to it; and unreadable records
between readable ones become dead letters, however many they are.
"""

from dataclasses import dataclass

from webhookd.errors import UndecodableRecord
from webhookd.flow.offsets.ledger import UNREAD

IN_A_ROW = 50
"""Enough that it is the topic and not a few records; few enough that all of them can be looked at."""

_CONFLUENT_BYTES = 5
_GLUE_BYTES = 18


@dataclass(slots=True)
class UndecodableRun:
    """The unreadable records of one lane since its last readable one.

    `ahead` is the last offset looked at while it looks ahead, None otherwise; `readable_at` is where a readable record
    was found like that. `detail` says what is wrong with them, for people.
    """

    count: int = 0
    ahead: int | None = None
    readable_at: int = UNREAD
    detail: str = ""
    _readable: int = 0
    _ended: bool = False

    @property
    def too_long(self) -> bool:
        """Whether the subscription has a problem: so many in a row are the topic's fault."""
        return self.count >= IN_A_ROW

    def begin(self, readable: int) -> None:
        """Records are taken; `readable` counts those that were readable, and grows."""
        self._readable = readable

    def passed(self, readable: int) -> None:
        """So many were readable by now: a new one ends the run."""
        if readable != self._readable:
            self._readable = readable
            self.end()

    def end(self) -> None:
        """A record could be read."""
        self.count, self.detail, self._ended = 0, "", True

    def recall(self, count: int) -> None:
        """So many were counted before the lane was opened; void once a record could be read since."""
        if not self._ended:
            self.count = max(self.count, count)

    def stops_before(self, offset: int) -> bool:
        """Whether the unreadable record at `offset` stays where it is."""
        return self.too_long and offset >= self.readable_at

    def put_aside(self, error: Exception, value: bytes | None) -> None:
        """One more of them is a dead letter."""
        self.count += 1
        if self.count == IN_A_ROW:
            self.detail = description(error, value)

    def restart(self) -> None:
        """The lane reads again from its watermark: what lies there is counted again."""
        self.count, self.ahead, self.readable_at = 0, None, UNREAD


def description(error: Exception, value: bytes | None) -> str:
    """What is wrong with a record that cannot be read."""
    cause = error.cause if isinstance(error, UndecodableRecord) else "unreadable"
    detail = getattr(error, "detail", "")
    return ": ".join(part for part in (cause, detail) if part) + frame_of(value or b"")


def frame_of(value: bytes) -> str:
    """A sentence on the frame or format that the value begins with; empty when none is recognised."""
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
