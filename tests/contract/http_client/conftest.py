"""A stage for each test, over plain TCP and over TLS."""

from collections.abc import Iterator

import pytest

from tests.harness.http_testbed import Authority, HttpTestbed


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the stages' loops trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def testbed(request: pytest.FixtureRequest, authority: Authority) -> Iterator[HttpTestbed]:
    """A stage whose servers speak plainly, then one where they speak TLS."""
    with HttpTestbed(tls=request.param, authority=authority) as testbed:
        yield testbed


@pytest.fixture
def plain_testbed(authority: Authority) -> Iterator[HttpTestbed]:
    """For what happens before or besides the conversation."""
    with HttpTestbed(tls=False, authority=authority) as testbed:
        yield testbed


@pytest.fixture
def tls_testbed(authority: Authority) -> Iterator[HttpTestbed]:
    """For what only TLS can get wrong."""
    with HttpTestbed(tls=True, authority=authority) as testbed:
        yield testbed
