"""What happens to an intake beside records: ends, errors, and time that goes by."""

from tests.harness.intakes import Scene
from tests.harness.lanes import TOPIC
from webhookd.flow.condition import Condition
from webhookd.flow.position import Partition
from webhookd.flow.topics import Topics

WELL = Topics(partitions={TOPIC: 2})


def ended(scene: Scene, partition: Partition, offset: int, *values: bytes, at: int = 0) -> None:
    """The consumer reads these values and then the partition's end."""
    scene.reader.listener.reached(partition, offset)
    scene.reads(partition, *values, at=at)


def passes(scene: Scene, seconds: float, seen: Topics | None = WELL) -> Condition:
    """Time goes by second for second, as the topic watch and the loop's clock tell it; answers the condition.

    The ends of partitions that nothing is fetched of are asked for, unless the test holds questions back.
    """
    for _ in range(round(seconds)):
        scene.services.now += 1.0
        if seen is not None:
            scene.intake.saw_topics(seen)
        if scene.services.held is None:
            scene.intake.saw_ends(scene.services.offsets.ends(scene.intake.unfetched(), 1.0))
        scene.intake.look_after()
    return scene.intake.condition()


def reasons(condition: Condition) -> list[str]:
    return [problem.code for problem in condition.problems]


def repositions(scene: Scene) -> list[tuple[Partition, int]]:
    return [(partition, offset) for call, partition, offset in scene.reader.asked if call == "reposition"]
