"""What is asked of Kafka about the lanes of one subscription: all of them in one question, in the background."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum

from confluent_kafka import KafkaException

from webhookd import logs
from webhookd.flow.dispatch.delivery import Lane
from webhookd.flow.offsets.commit_metadata import NO_METADATA
from webhookd.flow.offsets.position import OffsetAndMetadata, OffsetRange, Partition
from webhookd.flow.offsets.start_position import same_topic
from webhookd.flow.subscription import consumer_group
from workers.ingest.ports import Services

_log = logs.get(__name__)


class LookupNeed(IntEnum):
    """What a lane lacks; where two are wanted the higher one counts."""

    PAST = 1
    """What was committed for it, and, if nothing usable was, where it begins."""
    PLACE = 2
    """Where it begins: its consumer has no position."""
    TOPIC = 3
    """Whether its topic was deleted and made again, and where that one begins."""


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """A lane, what it lacks, and how far it had read when Kafka was asked."""

    lane: Lane
    need: LookupNeed
    seen: int


@dataclass(frozen=True, slots=True)
class LookupResult:
    """What Kafka says of a lane's partition; `bounds` are None where nobody wants them, or where they were not told."""

    mark: OffsetAndMetadata | None
    topic_id: str
    bounds: OffsetRange | None = None


def ask(
    services: Services, subscription_id: str, wishes: Mapping[Partition, LookupRequest], timeout_s: float
) -> dict[Partition, LookupResult]:
    """Ask for all that these lanes lack; what is not answered is left out. Blocks."""
    try:
        found = _pasts(services, subscription_id, wishes, timeout_s)
    except (KafkaException, RuntimeError) as error:  # RuntimeError: this process stops
        _log.warning("position_unknown", subscription=subscription_id, lanes=len(wishes), detail=str(error))
        return {}
    unplaced = {partition for partition in found if _wants_bounds(wishes[partition].need, found[partition])}
    return found | _placed(services, found, unplaced, timeout_s)


def _pasts(
    services: Services, subscription_id: str, wishes: Mapping[Partition, LookupRequest], timeout_s: float
) -> dict[Partition, LookupResult]:
    wanted = [partition for partition, wish in wishes.items() if wish.need is not LookupNeed.TOPIC]
    marks = services.offsets.committed(consumer_group(subscription_id), wanted, timeout_s)
    ids = services.topics({partition.topic for partition in wishes}).ids
    return {
        partition: LookupResult(mark=marks.get(partition), topic_id=ids.get(partition.topic, ""))
        for partition, wish in wishes.items()
        if partition in marks or wish.need is LookupNeed.TOPIC
    }


def _placed(
    services: Services, found: Mapping[Partition, LookupResult], partitions: Collection[Partition], timeout_s: float
) -> dict[Partition, LookupResult]:
    if not partitions:
        return {}
    bounds = services.offsets.bounds(partitions, timeout_s)
    return {
        partition: LookupResult(
            mark=found[partition].mark, topic_id=found[partition].topic_id, bounds=bounds.get(partition)
        )
        for partition in partitions
    }


def _wants_bounds(need: LookupNeed, found: LookupResult) -> bool:
    return need is not LookupNeed.PAST or found.mark is None or not same_topic(_metadata_topic(found), found.topic_id)


def _metadata_topic(found: LookupResult) -> str:
    return (found.mark.metadata if found.mark else NO_METADATA).topic_id
