"""What the workers' tests share."""

import pytest

from tests.harness import lanes
from webhookd.flow.dispatches import Dispatches


@pytest.fixture
def dispatches() -> Dispatches:
    """Nothing in flight yet."""
    return lanes.dispatches()
