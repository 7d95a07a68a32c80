"""What of one lane is in flight and what is settled; answers what may be committed.

Rules
    1. Offsets are read in ascending order; gaps (compaction, transactions) are no gaps. A partition's end counts as
       read up to there, since what lies before it without a record is never seen.
    2. A record is *accepted* (will be delivered), *set aside* (its dead-letter row is on its way) or *dropped*
       (nothing in it is ours): dropped is settled at once.
    3. Accepted records settle in the order they were accepted; records set aside in any order.
    4. The watermark is the lowest offset that is not settled, or where reading goes on when all are; it is what
       Kafka is told, and it never moves backwards.

    call               open            aside          seen            watermark
    read(o)            -               -              next_offset(o)  moves when nothing is open or aside
    accept(o)          append o        -              -               stays
    add_dead_letter(o)       -               add o          -               stays
    settle(n)          drop first n    -              -               moves
    settle_dead_letter(o)    -               drop o         -               moves
    rewind()           clear           clear          to watermark    stays
"""

from collections import deque

from webhookd.flow.offsets.position import next_offset

UNREAD = -1
"""What `seen` and `watermark` are before the first record: there is nothing to commit or to go back to."""


class Ledger:
    """The positions of one lane; not thread-safe, owned by the ingest loop."""

    __slots__ = ("_dead_letters", "_open", "_watermark", "position")

    def __init__(self) -> None:
        self.position = UNREAD
        self._watermark = UNREAD
        self._open: deque[int] = deque()
        self._dead_letters: set[int] = set()

    def read(self, offset: int) -> None:
        """Everything up to `offset` has been looked at; what was not accepted or set aside is settled."""
        self.position = next_offset(offset)

    def accept(self, offset: int) -> None:
        """The record at `offset` waits for its delivery."""
        self._open.append(offset)

    def add_dead_letter(self, offset: int) -> None:
        """The record at `offset` waits for its dead-letter row."""
        self._dead_letters.add(offset)

    def settle(self, count: int) -> None:
        """The first `count` accepted records were acknowledged. Raises IndexError when there are fewer."""
        drop = self._open.popleft
        for _ in range(count):
            drop()

    def settle_dead_letter(self, offset: int) -> bool:
        """The dead-letter row of `offset` is committed; answers whether it was waited for (not read again since)."""
        known = offset in self._dead_letters
        self._dead_letters.discard(offset)
        return known

    def rewind(self) -> int:
        """Forget everything above the watermark; reading goes on from the offset this answers."""
        self.position = self.watermark
        self._open.clear()
        self._dead_letters.clear()
        return self.position

    @property
    def open_count(self) -> int:
        """How many records are accepted and not settled."""
        return len(self._open)

    @property
    def dead_letter_count(self) -> int:
        """How many records wait for their dead-letter row."""
        return len(self._dead_letters)

    @property
    def watermark(self) -> int:
        """What may be committed: every record below this offset is settled."""
        lowest = self.position
        if self._open:
            lowest = min(lowest, self._open[0])
        if self._dead_letters:
            lowest = min(lowest, *self._dead_letters)
        self._watermark = max(self._watermark, lowest)
        return self._watermark
