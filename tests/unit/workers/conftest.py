"""What the workers' tests share."""

import pytest

from tests.harness import lanes
from webhookd.flow.settlement.in_flight import InFlightDeliveries


@pytest.fixture
def dispatches() -> InFlightDeliveries:
    """Nothing in flight yet."""
    return lanes.dispatches()
