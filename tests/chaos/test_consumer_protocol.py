"""The consumer protocol (KIP-848) instead of the classic one: a killed and a frozen ingest process, a killed broker."""

import pytest

from tests.chaos import faults
from tests.chaos.environment import Site
from tests.chaos.faults import Fault
from tests.chaos.report import Report
from tests.chaos.scenario import Scenario


@pytest.mark.chaos
@pytest.mark.parametrize(
    "fault", [faults.INGEST_KILLED, faults.INGEST_FROZEN, faults.BROKER_KILLED], ids=lambda fault: fault.name
)
def test_nothing_is_lost_under_the_consumer_protocol(fault: Fault, site: Site, report: Report) -> None:
    site.ensure_running(WEBHOOKD_KAFKA_GROUP_PROTOCOL="consumer")
    with Scenario(f"consumer protocol: {fault.name}", site, report) as scenario:
        scenario.subscribe_three()
        scenario.load()
        scenario.inject(fault)
