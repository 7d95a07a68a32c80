"""Asks Kafka for the commits, topic ids and offset ranges of many lanes of one subscription at once."""

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
    """What is to be looked up for a lane. When a lane needs two of them, the higher one counts."""

    COMMITTED = 1
    """The committed offset and metadata; the offset range too if nothing usable was committed."""
    START_OFFSET = 2
    """Commit, topic id and offset range. The Kafka consumer has no valid position: the lane needs a start offset."""
    TOPIC_ID = 3
    """The topic id and the offset range: the topic may have been deleted and recreated."""


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """A lane, what to look up for it, and its read position when Kafka was asked."""

    lane: Lane
    need: LookupNeed
    position: int


@dataclass(frozen=True, slots=True)
class LookupResult:
    """What Kafka returned for a lane's partition; `bounds` are None when they are not needed, or not known."""

    committed: OffsetAndMetadata | None
    topic_id: str
    bounds: OffsetRange | None = None


def look_up(
    services: Services, subscription_id: str, requests: Mapping[Partition, LookupRequest], timeout_s: float
) -> dict[Partition, LookupResult]:
    """Look up what these lanes need; lanes that Kafka did not answer for are left out. Blocks."""
    try:
        found = _committed(services, subscription_id, requests, timeout_s)
    except (KafkaException, RuntimeError) as error:  # RuntimeError: this process is stopping
        _log.warning("position_unknown", subscription=subscription_id, lanes=len(requests), detail=str(error))
        return {}
    without_bounds = {partition for partition in found if _needs_bounds(requests[partition].need, found[partition])}
    return found | _with_bounds(services, found, without_bounds, timeout_s)


def _committed(
    services: Services, subscription_id: str, requests: Mapping[Partition, LookupRequest], timeout_s: float
) -> dict[Partition, LookupResult]:
    wanted = [partition for partition, request in requests.items() if request.need is not LookupNeed.TOPIC_ID]
    commits = services.offsets.committed(consumer_group(subscription_id), wanted, timeout_s)
    ids = services.topics({partition.topic for partition in requests}).ids
    return {
        partition: LookupResult(committed=commits.get(partition), topic_id=ids.get(partition.topic, ""))
        for partition, request in requests.items()
        if partition in commits or request.need is LookupNeed.TOPIC_ID
    }


def _with_bounds(
    services: Services, found: Mapping[Partition, LookupResult], partitions: Collection[Partition], timeout_s: float
) -> dict[Partition, LookupResult]:
    if not partitions:
        return {}
    bounds = services.offsets.offset_ranges(partitions, timeout_s)
    return {
        partition: LookupResult(
            committed=found[partition].committed, topic_id=found[partition].topic_id, bounds=bounds.get(partition)
        )
        for partition in partitions
    }


def _needs_bounds(need: LookupNeed, found: LookupResult) -> bool:
    return (
        need is not LookupNeed.COMMITTED
        or found.committed is None
        or not same_topic(_metadata_topic(found), found.topic_id)
    )


def _metadata_topic(found: LookupResult) -> str:
    return (found.committed.metadata if found.committed else NO_METADATA).topic_id
