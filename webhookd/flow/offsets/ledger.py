"""Which records of one lane are open and which are settled, and so which offset may be committed.

Rules
    1. Offsets are read in ascending order. Offsets without a record (compaction, transactions) count as read: those
       before a record when it is read, those at the end of the partition when the end is reached.
    2. A record is *accepted* (it will be delivered), it becomes a *dead letter* (which is being stored), or it is
       *dropped* (a filter rejected it), which settles it at once.
    3. Accepted records settle in the order in which they were accepted; dead letters settle in any order.
    4. The watermark is the lowest offset that is not settled, or the position when all are. It is what is committed,
       and it never moves backwards.

    call                     open            dead letters    position        watermark
    read(o)                  -               -               next_offset(o)  moves if nothing is open or a dead letter
    accept(o)                append o        -               -               stays
    add_dead_letter(o)       -               add o           -               stays
    settle(n)                drop first n    -               -               moves
    settle_dead_letter(o)    -               drop o          -               moves
    rewind()                 clear           clear           to watermark    stays
"""

from collections import deque

from webhookd.flow.offsets.position import next_offset

UNREAD = -1
"""The position and the watermark before the first record: there is nothing to commit or to seek to."""


class Ledger:
    """The offsets of one lane; not thread-safe, owned by the ingest loop. `position` is the next offset to read."""

    __slots__ = ("_dead_letters", "_open", "_watermark", "position")

    def __init__(self) -> None:
        self.position = UNREAD
        self._watermark = UNREAD
        self._open: deque[int] = deque()
        self._dead_letters: set[int] = set()

    def read(self, offset: int) -> None:
        """Note that everything up to `offset` was read; what is neither accepted nor a dead letter is settled."""
        self.position = next_offset(offset)

    def accept(self, offset: int) -> None:
        """Add the record at `offset` to those that wait for their delivery."""
        self._open.append(offset)

    def add_dead_letter(self, offset: int) -> None:
        """Add the record at `offset` to those that wait until their dead letter is stored."""
        self._dead_letters.add(offset)

    def settle(self, count: int) -> None:
        """Settle the first `count` accepted records. Raises IndexError if there are fewer."""
        drop = self._open.popleft
        for _ in range(count):
            drop()

    def settle_dead_letter(self, offset: int) -> bool:
        """Settle the record at `offset`, whose dead letter is stored; returns whether the record waited for that.

        It did not wait if the lane was rewound and has not read the record again since.
        """
        waited = offset in self._dead_letters
        self._dead_letters.discard(offset)
        return waited

    def rewind(self) -> int:
        """Forget everything from the watermark on; returns the watermark, which is the offset to read from."""
        self.position = self.watermark
        self._open.clear()
        self._dead_letters.clear()
        return self.position

    def open_range(self, count: int) -> tuple[int, int]:
        """Return the offsets of the first and the last of the first `count` open records. Raises IndexError."""
        return self._open[0], self._open[count - 1]

    @property
    def open_count(self) -> int:
        """How many records are accepted and not settled."""
        return len(self._open)

    @property
    def dead_letter_count(self) -> int:
        """How many records wait until their dead letter is stored."""
        return len(self._dead_letters)

    @property
    def watermark(self) -> int:
        """The offset that may be committed: every record below it is settled."""
        lowest = self.position
        if self._open:
            lowest = min(lowest, self._open[0])
        if self._dead_letters:
            lowest = min(lowest, *self._dead_letters)
        self._watermark = max(self._watermark, lowest)
        return self._watermark
