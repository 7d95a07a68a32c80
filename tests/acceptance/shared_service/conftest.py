"""A running service, which starts for the first test of this folder and stops after the last one."""

from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import Starts
from tests.harness.pipeline import Pipeline


@pytest.fixture(scope="package")
def pipeline(start_pipeline: Starts) -> Iterator[Pipeline]:
    """One service for this folder, whose files run after each other in one process of pytest."""
    with start_pipeline() as running:
        yield running
