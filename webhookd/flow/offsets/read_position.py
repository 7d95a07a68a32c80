"""How far one partition was read, for all lanes that follow the same reader.

The reader moves the position once for all of them. So a record that a lane does not want costs this lane nothing: its
ledger takes the position from here when it is asked.
"""

from webhookd.flow.offsets.position import UNREAD


class ReadPosition:
    """The next `offset` to read, and the `end` of the partition if it was reached there (UNREAD before)."""

    __slots__ = ("end", "offset")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.end = UNREAD

    def reach_end(self, offset: int) -> None:
        """Note that all below `offset` was read and no more can be read now: the last offsets may have no record."""
        self.offset = max(self.offset, offset)
        self.end = offset
