"""The rate limit of the API: 429, and the headers that say what is left.

request                            counted for
with a valid API key               the key
without one, or an invalid one     the address (of IPv6 the /64), at its own lower rate
to /ready and /health              nothing: load balancers and supervisors ask often and from one address, and a 429
                                   would take the process out of service
OPTIONS                            nothing: a browser sends it before a request, without the key
with WEBHOOKD_API_AUTH=none        nothing: this is for development, on loopback only

A request that authentication refuses is counted there: an invalid key for the address, so that clients there with a
valid one are not concerned, and a key without the needed role for the key. Above its limit an address gets 429 for an
unknown key before the database is asked (used_up_addresses.py).
The headers are those of draft-ietf-httpapi-ratelimit-headers-10.
"""

import math
from dataclasses import dataclass
from typing import Final

from flask import Flask, Response, g, request

from api.extensions.authentication import token_sent
from api.extensions.callers import current_caller
from api.extensions.error_responses import from_webhookd_error, response
from api.extensions.used_up_addresses import UsedUpAddresses
from api.ports import RateLimits
from webhookd import clock
from webhookd.errors import Forbidden, TooManyRequests, Unauthenticated, WebhookdError
from webhookd.flow.access.caller import Caller
from webhookd.flow.access.client_address import counted_as
from webhookd.flow.access.rate_limit import Allowance, Rate, allowance
from webhookd.settings import Settings

NOT_LIMITED: Final = frozenset({"health"})
"""The blueprints of /ready and /health."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """What the response's headers say."""

    rate: Rate
    allowance: Allowance


class RateLimiting:
    """Counts the requests of an application; a rate of 0 is no limit."""

    def __init__(self, settings: Settings, limits: RateLimits) -> None:
        self._limits = limits
        self._keys_are_on = settings.api_auth == "keys"
        self._per_key = Rate(name="key", requests=settings.api_key_requests_per_minute)
        self._per_address = Rate(name="address", requests=settings.api_address_requests_per_minute)
        self._used_up = UsedUpAddresses(clock.monotonic)

    def register_before_authentication(self, app: Flask) -> None:
        """Refuse unknown keys from addresses above their limit. Call it before the hook that looks up the key."""
        app.before_request(self._refuse_unknown_key)

    def register(self, app: Flask) -> None:
        """Count every request. Call it after the hook that sets the caller, and before those that look at the rest."""
        app.before_request(self._count_request)
        for refusal in (Unauthenticated, Forbidden):
            app.register_error_handler(refusal, self._count_refused)
        app.after_request(_describe)

    def _refuse_unknown_key(self) -> None:
        """Raise TooManyRequests without a query if the address has no requests left for it."""
        token = token_sent() if self._is_limited() else None
        wait_s = self._used_up.wait_s(_address(), token.public) if token is not None else 0.0
        if wait_s:
            full_in_s = wait_s + self._per_address.window_s - self._per_address.interval_s
            self._refuse_above(self._per_address, allowance(self._per_address, full_in_s, allowed=False))

    def _count_request(self) -> None:
        """Raise TooManyRequests for a request above the limit."""
        if not self._is_limited():
            return
        caller = _caller()
        if caller is None:
            self._count_address()
        else:
            self._used_up.accept(str(caller.key_id))
            self._count(f"key:{caller.key_id}", self._per_key)

    def _is_limited(self) -> bool:
        return self._keys_are_on and request.method != "OPTIONS" and request.blueprint not in NOT_LIMITED

    def _count_refused(self, error: WebhookdError) -> Response:
        """Count a request that was refused before it could be counted; above the limit it is a 429."""
        try:
            if "rate_limit" not in g:
                self._count_request()
        except TooManyRequests as refusal:
            return response(from_webhookd_error(refusal))
        return response(from_webhookd_error(error))

    def _count_address(self) -> None:
        try:
            self._count(f"address:{_address()}", self._per_address)
        except TooManyRequests as refusal:
            self._used_up.use_up(_address(), refusal.retry_after_s)
            raise

    def _count(self, subject: str, rate: Rate) -> None:
        if not rate.requests:
            return
        self._refuse_above(rate, self._limits.take(subject, rate))

    def _refuse_above(self, rate: Rate, answer: Allowance) -> None:
        g.rate_limit = _Counted(rate, answer)
        if not answer.allowed:
            raise TooManyRequests(
                f"more than {rate.requests} requests a minute", retry_after_s=max(1.0, answer.retry_after_s)
            )


def _address() -> str:
    """Under which name the client's address is counted."""
    return counted_as(request.remote_addr or "")


def _caller() -> Caller | None:
    """Who makes the request; None with an invalid key, and on a path that is open to everybody."""
    try:
        return current_caller()
    except Unauthenticated:
        return None


def _describe(response: Response) -> Response:
    """Add the headers; they are structured fields (RFC 9651), with whole seconds."""
    counted: _Counted | None = g.get("rate_limit")
    if counted is None:
        return response
    rate, answer = counted.rate, counted.allowance
    response.headers["RateLimit-Policy"] = f'"{rate.name}";q={rate.requests};w={math.ceil(rate.window_s)}'
    response.headers["RateLimit"] = f'"{rate.name}";r={answer.remaining};t={math.ceil(answer.full_in_s)}'
    if not answer.allowed:
        response.headers["Retry-After"] = str(max(1, math.ceil(answer.retry_after_s)))
    return response
