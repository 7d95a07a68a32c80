"""An HTTP test bed for each test, without and with TLS."""

from collections.abc import Iterator

import pytest

from tests.harness.http_testbed import Authority, HttpTestbed


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The certificate authority that the loops trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def testbed(request: pytest.FixtureRequest, authority: Authority) -> Iterator[HttpTestbed]:
    """A test bed with servers without TLS, then one with TLS."""
    with HttpTestbed(tls=request.param, authority=authority) as testbed:
        yield testbed


@pytest.fixture
def plain_testbed(authority: Authority) -> Iterator[HttpTestbed]:
    """Without TLS, for tests in which TLS makes no difference."""
    with HttpTestbed(tls=False, authority=authority) as testbed:
        yield testbed


@pytest.fixture
def tls_testbed(authority: Authority) -> Iterator[HttpTestbed]:
    """With TLS, for tests of TLS itself."""
    with HttpTestbed(tls=True, authority=authority) as testbed:
        yield testbed
