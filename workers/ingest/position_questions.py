"""What is asked of Kafka about the lanes of one subscription: all of them in one question, in the background."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum

from confluent_kafka import KafkaException

from webhookd import logs
from webhookd.flow.lane import Lane
from webhookd.flow.memo import NOTHING
from webhookd.flow.position import Bounds, Mark, Partition
from webhookd.flow.start import same_topic
from webhookd.flow.subscription import consumer_group
from workers.ingest.ports import Services

_log = logs.get(__name__)


class Need(IntEnum):
    """What a lane lacks; where two are wanted the higher one counts."""

    PAST = 1
    """What was committed for it, and, if nothing usable was, where it begins."""
    PLACE = 2
    """Where it begins: its consumer has no position."""
    TOPIC = 3
    """Whether its topic was deleted and made again, and where that one begins."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A lane, what it lacks, and how far it had read when Kafka was asked."""

    lane: Lane
    need: Need
    seen: int


@dataclass(frozen=True, slots=True)
class Found:
    """What Kafka says of a lane's partition; `bounds` are None where nobody wants them, or where they were not told."""

    mark: Mark | None
    topic_id: str
    bounds: Bounds | None = None


def ask(
    services: Services, subscription_id: str, wishes: Mapping[Partition, Wish], timeout_s: float
) -> dict[Partition, Found]:
    """Ask for all that these lanes lack; what is not answered is left out. Blocks."""
    try:
        found = _pasts(services, subscription_id, wishes, timeout_s)
    except (KafkaException, RuntimeError) as error:  # RuntimeError: this process stops
        _log.warning("position_unknown", subscription=subscription_id, lanes=len(wishes), detail=str(error))
        return {}
    unplaced = {partition for partition in found if _wants_bounds(wishes[partition].need, found[partition])}
    return found | _placed(services, found, unplaced, timeout_s)


def _pasts(
    services: Services, subscription_id: str, wishes: Mapping[Partition, Wish], timeout_s: float
) -> dict[Partition, Found]:
    wanted = [partition for partition, wish in wishes.items() if wish.need is not Need.TOPIC]
    marks = services.offsets.committed(consumer_group(subscription_id), wanted, timeout_s)
    ids = services.topics({partition.topic for partition in wishes}).ids
    return {
        partition: Found(mark=marks.get(partition), topic_id=ids.get(partition.topic, ""))
        for partition, wish in wishes.items()
        if partition in marks or wish.need is Need.TOPIC
    }


def _placed(
    services: Services, found: Mapping[Partition, Found], partitions: Collection[Partition], timeout_s: float
) -> dict[Partition, Found]:
    if not partitions:
        return {}
    bounds = services.offsets.bounds(partitions, timeout_s)
    return {
        partition: Found(mark=found[partition].mark, topic_id=found[partition].topic_id, bounds=bounds.get(partition))
        for partition in partitions
    }


def _wants_bounds(need: Need, found: Found) -> bool:
    return need is not Need.PAST or found.mark is None or not same_topic(_memo_topic(found), found.topic_id)


def _memo_topic(found: Found) -> str:
    return (found.mark.memo if found.mark else NOTHING).topic_id
