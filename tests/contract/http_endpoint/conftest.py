"""Endpoints whose handler is called on their own thread, and on others."""

from collections.abc import Iterator

import pytest

from tests.harness.endpoint_clients import echo
from webhookd.testing.http_endpoint import HttpEndpoint


@pytest.fixture(params=[False, True], ids=["here", "threads"])
def blocking(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def echoing(blocking: bool) -> Iterator[HttpEndpoint]:
    with HttpEndpoint(echo, blocking=blocking) as endpoint:
        yield endpoint
