"""Where a lane begins to read when Kafka has no usable position for it.

    committed   in start_offsets   start      begins at
    yes         any                any        the committed offset
    no          yes                latest     the end offset stored before the 201 was answered
    no          no, or             earliest   the first offset: the partition appeared after the subscription
    no          of another topic   any        the first offset: the topic was deleted and made again since

A position that Kafka no longer holds becomes the first offset that it does hold, and says how many are lost.
"""

from dataclasses import dataclass

from webhookd.flow.subscription import Source, Start


@dataclass(frozen=True, slots=True)
class StartPosition:
    """Read from `offset`; `lost` records between the wanted position and there are gone from Kafka."""

    offset: int
    lost: int


def start_position(
    source: Source, partition: int, committed: int | None, first: int, end: int, topic_id: str = ""
) -> StartPosition:
    """Where to read a partition that holds the offsets from `first` up to, not including, `end`.

    `topic_id` is the UUID of the topic as it is now, "" where the brokers do not say.
    """
    wanted = committed
    if wanted is None and source.start is Start.LATEST and same_topic(source.topic_id, topic_id):
        wanted = source.start_offsets.get(partition)
    if wanted is None or wanted > end:  # past the end: the topic was deleted and made again
        return StartPosition(first, 0)
    return StartPosition(max(wanted, first), max(0, first - wanted))


def same_topic(one: str, other: str) -> bool:
    """Whether two UUIDs may be those of one topic: one that is not known speaks against nothing."""
    return not one or not other or one == other
