"""The records of a lane that are rendered and wait for their batch."""

import msgspec


class RenderedRecord(msgspec.Struct, frozen=True, gc=False):
    """A rendered record that waits for its batch; `read_at` is monotonic seconds.

    The garbage collector does not track it, because each collection would otherwise visit every waiting record.
    """

    offset: int
    text: bytes
    read_at: float


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The first waiting `records` of a lane, which are sent in one batch with those of other lanes of the same `name`.

    They are a part of a mixed batch that was refused.
    """

    name: str
    records: int
