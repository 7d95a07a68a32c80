"""Topics that grow, or are deleted and recreated, in the middle of a scenario."""

import time

from confluent_kafka import KafkaException

from tests.chaos.environment import SESSION_S
from tests.chaos.findings import Cost
from tests.chaos.scenario import PARTITIONS, Scenario
from tests.harness.load import Load
from tests.harness.pipeline import until
from webhookd.edges.kafka_topics import describe_topics

PATIENCE_S = 30.0
REFRESH_S = 10.0
"""How often a consumer refreshes its metadata of topics and partitions."""

GROWS = Cost(
    recovery_s=REFRESH_S + SESSION_S, why="topic refresh + a rebalance", later_resends=1, aftershock_s=REFRESH_S
)
RECREATED = Cost(
    recovery_s=2 * REFRESH_S + SESSION_S,
    why="topic refresh, for the end of the old and the beginning of the new, + a rebalance",
)


def grow(scenario: Scenario, load: Load, partitions: int) -> None:
    """Give the load's topic more partitions, and produce to them as well."""
    scenario.site.pipeline.grow(load.topic, partitions)
    for watch in scenario.watches:
        if load.topic in watch.partitions:
            watch.partitions[load.topic] = partitions
    load.grow(partitions)


def recreate(scenario: Scenario, topic: str, *, at_once: bool) -> None:
    """Delete a topic and create it again: at once, or when Kafka has deleted the committed offsets too."""
    admin = scenario.site.pipeline.admin
    watches = [watch for watch in scenario.watches if topic in watch.partitions]
    topic_id = describe_topics(admin, [topic], PATIENCE_S).ids[topic]
    admin.delete_topics([topic])[topic].result(PATIENCE_S)
    if not at_once:
        until(lambda: not any(watch.ask()[topic] for watch in watches), "Kafka deletes the groups' offsets", PATIENCE_S)
    for watch in watches:
        watch.history.topic_deleted(topic, topic_id)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            scenario.site.pipeline.topic(PARTITIONS, topic)
        except KafkaException:  # the brokers are still deleting the old one
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return
