"""Topics that grow, and topics that are deleted and recreated under load."""

from enum import Enum

import pytest

from tests.chaos.environment import Site
from tests.chaos.report import Report
from tests.chaos.scenario import PARTITIONS, Scenario
from tests.chaos.topic_changes import GROWS, RECREATED, grow, recreate
from tests.harness.checking_receiver import Behaviour

pytestmark = pytest.mark.chaos


def test_grown_topic_is_read_from_its_new_partitions_beginning(site: Site, report: Report) -> None:
    site.ensure_running()
    with Scenario("topic given more partitions", site, report) as scenario:
        scenario.subscribe_three()
        load = scenario.load()
        with scenario.fault_window(GROWS):
            more = PARTITIONS + scenario.chance.randint(1, 4)
            grow(scenario, load, more)
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
            recreate(scenario, scenario.topic, at_once=how is not Recreation.SHORTER)
            load = scenario.load(50.0 if how is Recreation.SHORTER else 1000.0, incarnation=2, wait=False)
            behind.receivers[0].behave(Behaviour.ANSWER)
            if how is Recreation.UNSEEN:
                assert site.wait_until(lambda: len(load.sent) > 2 * len(before), 30.0)
                site.start_process("ingest")
            site.run_for(3.0)
