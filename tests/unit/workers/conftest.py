"""What the workers' tests share."""

import pytest

from tests.harness import lanes
from webhookd.flow.settlement.in_flight import InFlightDeliveries


@pytest.fixture
def in_flight() -> InFlightDeliveries:
    """Nothing in flight yet."""
    return lanes.in_flight_deliveries()
