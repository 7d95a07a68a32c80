"""Groups the messages that a consumer has returned by their lane."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from confluent_kafka import Message

Place = tuple[str | None, int | None]


def by_lane(messages: Sequence[Message], *, one_topic: bool) -> Iterable[tuple[Place, list[Message]]]:
    """Return the messages of each lane in their order; with `one_topic` the topic is read from the first one only."""
    by_number: defaultdict[int | None, list[Message]] = defaultdict(list)
    by_place: defaultdict[Place, list[Message]] = defaultdict(list)
    if one_topic:
        for message in messages:
            by_number[message.partition()].append(message)
        topic = messages[0].topic()
        return [((topic, number), taken) for number, taken in by_number.items()]
    for message in messages:
        by_place[message.topic(), message.partition()].append(message)
    return by_place.items()
