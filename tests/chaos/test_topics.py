"""Topics that grow, and topics that are deleted and recreated under load."""

import time
from enum import Enum

import pytest
from confluent_kafka import KafkaException

from tests.chaos.environment import SESSION_S, Site
from tests.chaos.findings import Cost
from tests.chaos.report import Report
from tests.chaos.scenario import PARTITIONS, Scenario
from tests.harness.checking_receiver import Behaviour
from tests.harness.pipeline import until
from webhookd.edges.kafka_topics import describe_topics

REFRESH_S = 10.0
"""How often a consumer refreshes its metadata of topics and partitions."""

GROWS = Cost(
    recovery_s=REFRESH_S + SESSION_S, why="topic refresh + a rebalance", later_resends=1, aftershock_s=REFRESH_S
)
RECREATED = Cost(
    recovery_s=2 * REFRESH_S + SESSION_S,
    why="topic refresh, for the end of the old and the beginning of the new, + a rebalance",
)

pytestmark = pytest.mark.chaos


def test_grown_topic_is_read_from_its_new_partitions_beginning(site: Site, report: Report) -> None:
    site.ensure_running()
    with Scenario("topic given more partitions", site, report) as scenario:
        scenario.subscribe_three()
        load = scenario.load()
        with scenario.fault_window(GROWS):
            more = PARTITIONS + scenario.chance.randint(1, 4)
            site.pipeline.grow(scenario.topic, more)
            for watch in scenario.watches:
                watch.partitions = more
            load.grow(more)
            site.run_for(2.0)


class Recreation(Enum):
    """How a topic is recreated: consumers detect the deletion, or only that the records are different."""

    SHORTER = "shorter than before"
    LONGER = "longer than before, at once"
    UNSEEN = "longer than before, while no ingest ran"


@pytest.mark.parametrize("how", Recreation, ids=lambda how: how.value)
def test_remade_topic_is_read_from_its_beginning(how: Recreation, site: Site, report: Report) -> None:
    site.ensure_running()
    with Scenario(f"topic recreated, {how.value}", site, report) as scenario:
        scenario.subscribe("each")
        behind = scenario.subscribe("behind")
        load = scenario.load()
        behind.receivers[0].behave(Behaviour.ERROR)
        site.run_for(2.0)
        load.stop()
        before = set(load.sent.copy())
        assert site.wait_until(lambda: scenario.watched[0].missing_count(before) == 0, 20.0), (
            "the records of the first incarnation arrive"
        )
        behind.exempt |= before  # records that were not delivered were deleted with the topic
        with scenario.fault_window(RECREATED):
            if how is Recreation.UNSEEN:
                site.stop_process("ingest")
            recreate(scenario, at_once=how is not Recreation.SHORTER)
            load = scenario.load(50.0 if how is Recreation.SHORTER else 1000.0, incarnation=2, wait=False)
            behind.receivers[0].behave(Behaviour.ANSWER)
            if how is Recreation.UNSEEN:
                assert site.wait_until(lambda: len(load.sent) > 2 * len(before), 30.0)
                site.start_process("ingest")
            site.run_for(3.0)


def recreate(scenario: Scenario, *, at_once: bool) -> None:
    admin = scenario.site.pipeline.admin
    topic_id = describe_topics(admin, [scenario.topic], 30).ids[scenario.topic]
    admin.delete_topics([scenario.topic])[scenario.topic].result(30)
    if not at_once:
        until(lambda: not any(watch.ask() for watch in scenario.watches), "Kafka deletes the groups' offsets", 30)
    for watch in scenario.watches:
        watch.history.topic_deleted(topic_id)
    deadline = time.monotonic() + 30
    while True:
        try:
            scenario.site.pipeline.topic(PARTITIONS, scenario.topic)
        except KafkaException:  # the brokers are still deleting the old one
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return
