"""An HTTP test bed for each test, without and with TLS, on this system's event queue and on portable ones."""

import selectors
from collections.abc import Callable, Iterator

import pytest

from tests.harness.http_testbed import Authority, HttpTestbed
from webhookd.edges.http_client.poller import EventQueue, SelectorQueue, event_queue


def poll_queue() -> EventQueue:
    """The queue of systems with neither epoll nor kqueue."""
    return SelectorQueue(selectors.PollSelector())


def select_queue() -> EventQueue:
    """The queue of systems that only have `select`."""
    return SelectorQueue(selectors.SelectSelector())


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The certificate authority that the loops trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=[event_queue, poll_queue, select_queue])
def make_queue(request: pytest.FixtureRequest) -> Callable[[], EventQueue]:
    """Every kind of event queue."""
    made: Callable[[], EventQueue] = request.param
    return made


TESTBEDS = {
    "plain": (False, event_queue),
    "tls": (True, event_queue),
    "plain on poll": (False, poll_queue),
    "tls on select": (True, select_queue),
}


@pytest.fixture(params=list(TESTBEDS.values()), ids=list(TESTBEDS))
def testbed(request: pytest.FixtureRequest, authority: Authority) -> Iterator[HttpTestbed]:
    """A test bed of each kind."""
    tls, queue = request.param
    with HttpTestbed(tls=tls, authority=authority, queue=queue) as testbed:
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
