"""Events of a subscription consumer besides records: partition ends, errors, and time that passes."""

from tests.harness.lanes import TOPIC
from tests.harness.subscription_consumers import Scene
from webhookd.flow.offsets.position import Partition
from webhookd.flow.offsets.topic_metadata import Topics
from webhookd.flow.status.subscription_status import SubscriptionStatus

WELL = Topics(partitions={TOPIC: 2})


def ended(scene: Scene, partition: Partition, offset: int, *values: bytes, at: int = 0) -> None:
    """The Kafka consumer reads these values and then reaches the partition's end."""
    scene.kafka_consumer.listener.end_reached(partition, offset)
    scene.reads(partition, *values, at=at)


def passes(scene: Scene, seconds: float, seen: Topics | None = WELL) -> SubscriptionStatus:
    """Let seconds pass, with what the topic watch and the loop do in each; returns the status.

    The end offsets of unfetched partitions are updated, unless the test holds background requests back.
    """
    for _ in range(round(seconds)):
        scene.services.now += 1.0
        if seen is not None:
            scene.consumer.update_topics(seen)
        if scene.services.held is None:
            scene.consumer.update_end_offsets(
                scene.services.offsets.end_offsets(scene.consumer.unfetched_partitions(), 1.0)
            )
        scene.consumer.check()
    return scene.consumer.status()


def reasons(status: SubscriptionStatus) -> list[str]:
    return [problem.code for problem in status.problems]


def seeks(scene: Scene) -> list[tuple[Partition, int]]:
    return [(partition, offset) for call, partition, offset in scene.kafka_consumer.asked if call == "seek"]
