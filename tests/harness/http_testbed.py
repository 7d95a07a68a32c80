"""A test bed for the HTTP client: event loops, and hostile servers with or without TLS."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import trustme

from tests.harness.hostile_server import HostileServer, Script
from webhookd.edges.http_client.dns_resolver import Resolver
from webhookd.edges.http_client.event_loop import ExchangeLoop
from webhookd.edges.http_client.limits import Limits
from webhookd.edges.http_client.poller import EventQueue, Poller, event_queue
from webhookd.edges.http_client.tls import client_context
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome, Response
from webhookd.flow.attempt.target import Target, request_head
from webhookd.settings import Settings

_PATIENCE_S = 4.0  # shorter than a hostile server's patience, so that its timeout makes no test pass

QUICK = Limits(sweep_interval_s=0.01, connect_timeout_s=0.3, lookup_timeout_s=0.2)
LOOPBACK = ("127.0.0.0/8",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The files of a client's certificate."""

    cert: Path
    key: Path
    both: Path


class Authority:
    """A certificate authority for this run, and its certificate file."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.file = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(self.file)
        self.client_context = client_context(
            self.file
        )  # shared by all loops of a run: reading the system's authorities is slow

    def context(self, *names: str) -> ssl.SSLContext:
        """A server's context with a certificate for these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(*names).configure_cert(context)
        return context

    def mtls_context(self, *names: str) -> ssl.SSLContext:
        """The same for a server that requires a client certificate of this authority."""
        context = self.context(*names)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.file)
        return context

    def identity(self, folder: Path, name: str) -> Identity:
        """A client's certificate and key, in files of their own and in one."""
        issued = self._authority.issue_cert(name)
        made = Identity(cert=folder / f"{name}.crt", key=folder / f"{name}.key", both=folder / f"{name}.pem")
        issued.cert_chain_pems[0].write_to_path(made.cert)
        issued.private_key_pem.write_to_path(made.key)
        issued.private_key_and_cert_chain_pem.write_to_path(made.both)
        return made


class RecordingSequence:
    """A request sequence that sends the given requests one after another and keeps their outcomes."""

    def __init__(self, target: Target, requests: Sequence[bytes], deadline_s: float) -> None:
        self.target = target
        self.deadline_s = deadline_s
        self.outcomes: list[Outcome] = []
        self._requests = list(requests)
        self._finished = threading.Event()

    def advance(self, outcome: Outcome | None) -> bytes | None:
        if outcome is not None:
            self.outcomes.append(outcome)
        if self._requests:
            return self._requests.pop(0)
        self._finished.set()
        return None

    def wait(self) -> list[Outcome]:
        """Wait until all requests have an outcome; returns the outcomes."""
        assert self._finished.wait(_PATIENCE_S), "the request sequence did not finish"
        return self.outcomes


def post(target: Target, body: bytes = b"{}") -> bytes:
    """A whole request."""
    head = request_head(target, [], "application/json")
    return head + b"webhook-id: m1\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def response(outcome: Outcome) -> Response:
    """The outcome, which must be a response."""
    assert isinstance(outcome, Response), outcome
    return outcome


def code(outcome: Outcome) -> FailureCode:
    """The outcome's failure code; it must be a failure."""
    assert isinstance(outcome, Failure), outcome
    return outcome.code


class HttpTestbed:
    """Starts servers and loops, and stops all of them on exit."""

    def __init__(self, *, tls: bool, authority: Authority, queue: Callable[[], EventQueue] = event_queue) -> None:
        self.tls = tls
        self._queue = queue
        self.authority = authority
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def serve(self, script: Script, context: ssl.SSLContext | None = None) -> HostileServer:
        """Start a server, with TLS if the test bed has TLS or a context is given."""
        if self.tls and context is None:
            context = self.authority.context("127.0.0.1")
        return self._exits.enter_context(HostileServer(script, context))

    def proxy(self, script: Script) -> HostileServer:
        """Start a proxy, always without TLS."""
        return self._exits.enter_context(HostileServer(script))

    def target(self, server: HostileServer, host: str = "127.0.0.1") -> Target:
        """The target of that server."""
        return Target.parse(f"{'https' if self.tls else 'http'}://{host}:{server.port}/hook")

    def loop(
        self,
        limits: Limits = QUICK,
        *,
        resolver: Resolver | None = None,
        allow: tuple[str, ...] = LOOPBACK,
        proxy: str | None = None,
        context: ssl.SSLContext | None = None,
        **rules: Any,  # noqa: ANN401  # whatever a setting takes
    ) -> ExchangeLoop:
        """Start a loop, which trusts the test bed's authority unless a context is given; `rules` are more settings."""
        known = {"egress_allow": allow, "response_bytes": 1024, "egress_proxy": proxy}
        settings = Settings.model_validate(known | rules)
        context = context or self.authority.client_context
        loop = ExchangeLoop(
            settings, limits=limits, resolver=resolver or _no_resolver, context=context, poller=Poller(self._queue())
        )
        loop.start()
        self._exits.callback(loop.stop, 0.0)
        return loop

    def submit(
        self, loop: ExchangeLoop, target: Target, *requests: bytes, deadline_s: float = 5.0
    ) -> RecordingSequence:
        """Submit a sequence of these requests, or of a single small one."""
        sender = RecordingSequence(target, requests or [post(target)], deadline_s)
        loop.submit(sender)
        return sender

    def exchange(self, script: Script, *requests: bytes, deadline_s: float = 5.0, times: int = 1) -> "Exchanged":
        """Run these requests (or `times` small ones) in one sequence against a scripted server."""
        server = self.serve(script)
        target = self.target(server)
        sender = self.submit(self.loop(), target, *(requests or [post(target)] * times), deadline_s=deadline_s)
        return Exchanged(sender.wait(), server)


class Exchanged:
    """The outcomes of a request sequence, and its server."""

    def __init__(self, outcomes: list[Outcome], server: HostileServer) -> None:
        self.outcomes = outcomes
        self.server = server


def holds_on_loop(loop: ExchangeLoop, condition: Callable[[], bool]) -> bool:
    """Whether a condition becomes true on the loop's thread in time."""
    reached = threading.Event()
    loop.every(0.005, lambda: reached.set() if condition() else None)
    return reached.wait(_PATIENCE_S)


def _no_resolver(host: str, port: int) -> list[str]:
    raise OSError(f"no test resolver for {host}:{port}")
