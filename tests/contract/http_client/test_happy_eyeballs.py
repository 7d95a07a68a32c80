"""Attempts to several addresses at once, on a clock that the test moves, and over the whole loop."""

import socket
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.harness.black_hole import BlackHole
from tests.harness.hostile_server import OK, HostileServer, answering
from tests.harness.http_testbed import LOOPBACK, QUICK, Authority, HttpTestbed, code, response
from webhookd.edges.http_client.connection import Connection
from webhookd.edges.http_client.dialing import Dial, DialContext
from webhookd.edges.http_client.dns_resolver import DnsResolver
from webhookd.edges.http_client.egress_guard import EgressGuard
from webhookd.edges.http_client.limits import Limits
from webhookd.edges.http_client.poller import Poller
from webhookd.edges.http_client.tls import TlsContext
from webhookd.flow.attempt.egress_policy import EgressPolicy, parse_networks
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.attempt.target import Target

BOTH = (*LOOPBACK, "::1/128")
HOST = "endpoint.test"


class Dials:
    """Runs dials on the test's thread; it is also the listener of all of them."""

    def __init__(self, authority: Authority, limits: Limits, *addresses: str) -> None:
        self.now = 100.0
        self.opened: list[Connection] = []
        self.failed: list[FailureCode] = []
        self.poller = Poller()
        self._soon: deque[Callable[[], None]] = deque()
        self.context = DialContext(
            poller=self.poller,
            dns=DnsResolver(lambda host, port: addresses, self._wake, 1),  # noqa: ARG005  # as Resolver is called
            call_soon=self._soon.append,
            clock=lambda: self.now,
            limits=limits,
            tls=TlsContext(authority.client_context),
            guard=EgressGuard(policy=EgressPolicy(allowed=parse_networks(BOTH))),
            proxy=None,
            proxy_judges=True,
        )

    def connected(self, connection: Connection) -> None:
        self.opened.append(connection)

    def dial_failed(self, code: FailureCode, detail: str) -> None:  # noqa: ARG002  # as DialListener declares it
        self.failed.append(code)

    def begin(self, target: Target) -> Dial:
        """Begin a dial, and let the look-up end."""
        dial = Dial(self.context, target, self)
        dial.begin()
        self.run_until(lambda: self.poller.registered or self.failed)
        return dial

    def run_until(self, condition: Callable[[], object]) -> None:
        """Handle events until this holds."""
        for _ in range(1000):
            while self._soon:
                self._soon.popleft()()
            if condition():
                return
            for fd, events in self.poller.poll(0.02):
                if (connection := self.poller.registered.get(fd)) is None:
                    self.poller.clear_wake_up(fd)
                else:
                    connection.handle_events(events)
        pytest.fail("the condition does not hold")

    def advance(self, dial: Dial, seconds: float) -> int:
        """Move the clock, let the dial check its times; returns the number of open attempts and connections."""
        self.now += seconds
        dial.check(self.now)
        return len(self.poller.registered)

    def close(self) -> None:
        for connection in list(self.poller.registered.values()):
            assert isinstance(connection, Connection)
            connection.close()
        self.context.dns.close()
        self.poller.close()

    def _wake(self, call: Callable[[], None]) -> None:
        self._soon.append(call)
        self.poller.wake()


MakeDials = Callable[..., Dials]


@pytest.fixture
def make_dials(authority: Authority) -> Iterator[MakeDials]:
    """Make dials to the addresses of one host."""
    made: list[Dials] = []

    def make(*addresses: str, limits: Limits = Limits()) -> Dials:  # noqa: B008  # a frozen value
        made.append(Dials(authority, limits, *addresses))
        return made[-1]

    yield make
    for dials in made:
        dials.close()


def target_of(server: HostileServer, scheme: str = "http") -> Target:
    return Target.parse(f"{scheme}://{HOST}:{server.port}/")


def test_dead_family_costs_the_delay_once(plain_testbed: HttpTestbed, make_dials: MakeDials) -> None:
    server = plain_testbed.serve(answering(OK))
    dials, target = make_dials("::1", "127.0.0.1"), target_of(server)
    with BlackHole("::1", server.port):
        dial = dials.begin(target)
        assert [dials.advance(dial, 0.24), dials.advance(dial, 0.01)] == [1, 2]
        dials.run_until(lambda: dials.opened)
        assert len(dials.poller.registered) == 1, "the attempt that has lost is closed"
        dials.begin(target)
        dials.run_until(lambda: len(dials.opened) == 2)  # and the clock has not moved
    assert dials.now == 100.25


def test_every_address_gets_its_turn_beside_silent_ones(plain_testbed: HttpTestbed, make_dials: MakeDials) -> None:
    server = plain_testbed.serve(answering(OK))
    silent = [f"127.0.1.{number}" for number in range(1, 4)]
    dials = make_dials(*silent, "127.0.0.1")
    holes = [BlackHole(address, server.port) for address in silent]
    with holes[0], holes[1], holes[2]:
        dial = dials.begin(target_of(server))
        assert [dials.advance(dial, 0.25) for _ in range(3)] == [2, 3, 4]
        dials.run_until(lambda: dials.opened)


def test_silent_addresses_end_one_by_one_and_then_fail(make_dials: MakeDials, plain_testbed: HttpTestbed) -> None:
    server = plain_testbed.serve(answering(OK))
    dials = make_dials("127.0.1.1", "127.0.1.2")
    with BlackHole("127.0.1.1", server.port), BlackHole("127.0.1.2", server.port):
        dial = dials.begin(target_of(server))
        assert [dials.advance(dial, seconds) for seconds in (0.25, 4.74, 0.01, 0.24, 0.01)] == [2, 2, 1, 1, 0]
        dials.run_until(lambda: dials.failed)
    assert dials.failed == [FailureCode.CONNECT_TIMEOUT]


def test_cancelled_dial_closes_all_its_attempts(make_dials: MakeDials, plain_testbed: HttpTestbed) -> None:
    server = plain_testbed.serve(answering(OK))
    dials = make_dials("127.0.1.1", "127.0.1.2")
    with BlackHole("127.0.1.1", server.port), BlackHole("127.0.1.2", server.port):
        dial = dials.begin(target_of(server))
        assert dials.advance(dial, 0.25) == 2
        dial.cancel()
    assert not dials.poller.registered
    assert not dials.failed


def test_hanging_handshake_is_left_for_the_next_address(tls_testbed: HttpTestbed, make_dials: MakeDials) -> None:
    server = tls_testbed.serve(answering(OK), tls_testbed.authority.context(HOST))
    dials = make_dials("127.0.1.1", "127.0.0.1")
    with socket.create_server(("127.0.1.1", server.port)):  # the kernel connects, and nobody answers
        dial = dials.begin(target_of(server, "https"))
        waited = iter(range(3))
        dials.run_until(lambda: next(waited, None) is None or dials.opened)  # TCP connects, the handshake begins
        assert dials.advance(dial, 0.25) == 1, "the first TCP connection has won"
        dials.advance(dial, 4.75)
        dials.run_until(lambda: dials.opened)


def test_dead_family_delays_a_request_only(testbed: HttpTestbed) -> None:
    server = testbed.serve(answering(OK), testbed.authority.context(HOST) if testbed.tls else None)
    loop = testbed.loop(
        replace(QUICK, attempt_delay_s=0.02),
        resolver=lambda host, port: ["::1", "127.0.0.1"],  # noqa: ARG005  # as Resolver is called
        allow=BOTH,
    )
    with BlackHole("::1", server.port):
        assert response(testbed.submit(loop, testbed.target(server, HOST)).wait()[0]).status == 200


def test_refused_family_among_silent_ones_is_a_timeout(plain_testbed: HttpTestbed) -> None:
    server = plain_testbed.serve(answering(OK))
    loop = plain_testbed.loop(
        replace(QUICK, attempt_delay_s=0.02),
        resolver=lambda host, port: ["127.0.1.1", "127.0.1.2"],  # noqa: ARG005  # as Resolver is called
    )
    with BlackHole("127.0.1.1", server.port):
        failure = plain_testbed.submit(loop, plain_testbed.target(server, HOST)).wait()[0]
    assert code(failure) is FailureCode.CONNECT_TIMEOUT
    assert server.accepted == 0


def test_refusal_after_a_silent_proxy_is_the_proxys(plain_testbed: HttpTestbed) -> None:
    with socket.create_server(("127.0.1.1", 0)) as silent:  # the kernel connects, and nobody answers
        loop = plain_testbed.loop(
            resolver=lambda host, port: ["127.0.1.1", "127.0.1.2"],  # noqa: ARG005  # as Resolver is called
            proxy=f"http://proxy.test:{silent.getsockname()[1]}",
        )
        failure = plain_testbed.submit(loop, Target.parse("http://endpoint.test/")).wait()[0]
    assert code(failure) is FailureCode.PROXY_FAILED
