"""A stage for each test, over plain TCP and over TLS."""

from collections.abc import Iterator

import pytest

from tests.harness.running_service import Authority, Stage


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the stages' loops trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def stage(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Stage]:
    """A stage whose servers speak plainly, then one where they speak TLS."""
    with Stage(tls=request.param, authority=authority) as stage:
        yield stage


@pytest.fixture
def plain_stage(authority: Authority) -> Iterator[Stage]:
    """For what happens before or besides the conversation."""
    with Stage(tls=False, authority=authority) as stage:
        yield stage


@pytest.fixture
def tls_stage(authority: Authority) -> Iterator[Stage]:
    """For what only TLS can get wrong."""
    with Stage(tls=True, authority=authority) as stage:
        yield stage
