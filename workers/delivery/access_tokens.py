"""Access tokens for the requests of a worker process: kept in its memory, and asked for one at a time for each client.

the token                          a delivery
is fresh                           gets it
is in its last quarter or minute   gets it, and a new one is asked for meanwhile
is missing, or has expired         waits until the token endpoint has answered, at most for the deadline
cannot be had                      fails with the code of the reason; the next one asks again, after a rest
was refused with 401               gets another one, once (delivery_sender.py)

The token endpoint is asked by the same exchange loop that sends the deliveries: the same egress policy, deadline and
bounds apply, and a token endpoint that hangs holds no thread of its own. Tokens never leave the process.
"""

from collections.abc import Callable
from threading import Lock
from typing import Protocol
from weakref import WeakValueDictionary

from webhookd import logs
from webhookd.clock import Monotonic, WallClock
from webhookd.edges.http_client.exchange import RequestSequence
from webhookd.flow.attempt.access_token import RESPONSE_BYTES, AccessToken, read_token, token_request
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome
from webhookd.flow.attempt.target import Target
from webhookd.flow.destination import ClientCredentials
from webhookd.metrics.catalogue.worker import TOKEN_REQUESTS

REST_S = 1.0
"""How long a token endpoint is not asked again after it has failed, so that many deliveries do not ask one by one."""

LONGEST_REST_S = 60.0
"""The most that a `Retry-After` of the token endpoint makes of that."""

REPLACED_S = 10.0
"""The shortest time between two tokens that are replaced because of a 401: an endpoint that refuses every token must
not turn each delivery into a request to the token endpoint."""

_log = logs.get(__name__)


class Loop(Protocol):
    """The exchange loop."""

    def submit(self, sequence: RequestSequence, *, body_bytes: int = 0) -> None:
        """Run a request sequence, and keep at least so much of each response's body; returns at once."""


class TokenSource:
    """The token of one client at one token endpoint, and the request sequence that asks for it.

    Used on the exchange loop's thread only. A delivery that has to wait ends its sequence with `wait`, and is submitted
    again when there is a token or a failure.
    """

    def __init__(
        self, credentials: ClientCredentials, loop: Loop, *, monotonic: Monotonic, wall: WallClock, deadline_s: float
    ) -> None:
        self.target = Target.parse(credentials.token_url)
        self.deadline_s = deadline_s
        self._request = token_request(credentials, self.target)
        self._loop = loop
        self._monotonic = monotonic
        self._wall = wall
        self._token: AccessToken | None = None
        self._failure: Failure | None = None
        self._asking = False
        self._rests_until = self._replaces_from = -float("inf")
        self._waiting: list[tuple[RequestSequence, int]] = []

    def line(self, now: float) -> bytes | Failure | None:
        """The header line with the token, the failure for which there is none, or None: call `wait`."""
        token = self._token
        usable = token is not None and now < token.expires_at
        wanted = token is None or now >= token.renew_at
        if wanted and not self._asking and now >= self._rests_until:
            self._asking = True
            self._loop.submit(self, body_bytes=RESPONSE_BYTES)
        if token is not None and usable:
            return token.line
        return None if self._asking else self._failure

    def wait(self, sequence: RequestSequence, *, body_bytes: int = 0) -> None:
        """Submit this sequence again, with its `body_bytes`, when the token endpoint has answered, or failed."""
        self._waiting.append((sequence, body_bytes))

    def refused(self, line: bytes, now: float) -> bool:
        """The endpoint refused this token; returns whether there is or will be another one to try."""
        if self._token is None or self._token.line != line:
            return True
        if now < self._replaces_from:
            return False
        self._token, self._replaces_from = None, now + REPLACED_S
        return True

    def advance(self, outcome: Outcome | None) -> bytes | None:
        """Ask for a token, and keep what the token endpoint answered; see RequestSequence."""
        if outcome is None:
            return self._request
        now = self._monotonic()
        self._asking = False
        try:
            self._keep(read_token(outcome, now, self._wall()), now)
        finally:  # whatever happens, nobody may wait without end
            waiting, self._waiting = self._waiting, []
            for sequence, body_bytes in waiting:
                self._loop.submit(sequence, body_bytes=body_bytes)
        return None

    def _keep(self, found: AccessToken | Failure, now: float) -> None:
        if isinstance(found, AccessToken):
            TOKEN_REQUESTS.inc("granted")
            self._token, self._failure = found, None
            return
        self._failure = found
        self._rests_until = now + min(max(REST_S, found.retry_after_s), LONGEST_REST_S)
        if found.code is not FailureCode.SHUTDOWN:
            TOKEN_REQUESTS.inc(found.code)
            _log.warning("token_request_failed", code=str(found.code), host=self.target.host, detail=found.detail)


class TokenSources:
    """The token sources of a process: subscriptions with the same credentials share one. Any thread.

    A source, and its token, is dropped with the last request template that has it.
    """

    def __init__(self, loop: Loop, *, monotonic: Monotonic, wall: WallClock, deadline_s: float) -> None:
        self._make: Callable[[ClientCredentials], TokenSource] = lambda credentials: TokenSource(
            credentials, loop, monotonic=monotonic, wall=wall, deadline_s=deadline_s
        )
        self._lock = Lock()
        self._sources: WeakValueDictionary[ClientCredentials, TokenSource] = WeakValueDictionary()

    def source(self, credentials: ClientCredentials) -> TokenSource:
        """The token source for these credentials; raises InvalidInput if they cannot be sent."""
        with self._lock:
            found = self._sources.get(credentials)
            if found is None:
                found = self._sources[credentials] = self._make(credentials)
            return found
