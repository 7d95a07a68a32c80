"""The offset at which a lane begins to read.

    committed   in start_offsets   start      begins at
    yes         any                any        the committed offset
    no          yes                latest     the end offset stored before the API answered 201
    no          no, or             earliest   the first offset: the partition appeared after the subscription
    no          of another topic   any        the first offset: the topic was deleted and recreated since

An offset that Kafka no longer holds is replaced by the first one that it holds; the records between are lost.
"""

from dataclasses import dataclass

from webhookd.flow.subscription import Source, Start


@dataclass(frozen=True, slots=True)
class StartPosition:
    """Read from `offset`; Kafka has removed the `lost` records between the wanted offset and this one."""

    offset: int
    lost: int


def start_position(
    source: Source, partition: int, committed: int | None, first: int, end: int, topic_id: str = ""
) -> StartPosition:
    """Return where to begin in a partition that holds the offsets from `first` up to, not including, `end`.

    `topic_id` is the UUID of the topic as it is now, "" if the brokers do not return it.
    """
    wanted = committed
    if wanted is None and source.start is Start.LATEST and same_topic(source.topic_id, topic_id):
        wanted = source.start_offsets.get(partition)
    if wanted is None or wanted > end:  # past the end: the topic was deleted and recreated
        return StartPosition(first, 0)
    return StartPosition(max(wanted, first), max(0, first - wanted))


def same_topic(one: str, other: str) -> bool:
    """Whether two UUIDs may be those of one topic; "" (not known) may be that of any."""
    return not one or not other or one == other
