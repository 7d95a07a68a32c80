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

While a ledger *follows* a reader's position (read_position.py), its own position is the later one of both: the records
that the reader passes and nobody accepts here are dropped ones. It ends to follow at exactly the position it then has.
"""

from collections import deque

from webhookd.flow.offsets.position import UNREAD, next_offset
from webhookd.flow.offsets.read_position import ReadPosition


class Ledger:
    """The offsets of one lane; not thread-safe, owned by the ingest loop.

    `followed` is the reader's position that it follows, None while its own consumer reads.
    """

    __slots__ = ("_dead_letters", "_open", "_position", "_watermark", "followed")

    def __init__(self) -> None:
        self.followed: ReadPosition | None = None
        self._position = UNREAD
        self._watermark = UNREAD
        self._open: deque[int] = deque()
        self._dead_letters: set[int] = set()

    @property
    def position(self) -> int:
        """The next offset to read."""
        followed = self.followed
        return self._position if followed is None else max(self._position, followed.offset)

    @property
    def own_position(self) -> int:
        """The position without that of the reader: where it began to follow, or has read since by its own matcher."""
        return self._position

    def follow(self, position: ReadPosition) -> None:
        """Follow a reader's position. Raises ValueError if the reader is past this one: records would be missing."""
        if position.offset > self._position:
            raise ValueError("the reader is past this position")
        self.followed = position

    def unfollow(self) -> None:
        """End to follow, at the position that it has now."""
        self._position = self.position
        self.followed = None

    def read(self, offset: int) -> None:
        """Note that everything up to `offset` was read; what is neither accepted nor a dead letter is settled."""
        self._position = next_offset(offset)

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
        self._position = self.watermark
        self.followed = None
        self._open.clear()
        self._dead_letters.clear()
        return self._position

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
