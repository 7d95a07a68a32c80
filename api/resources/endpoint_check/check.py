"""Judges a URL as it is judged when requests are sent to it. Its host may be looked up; nothing is dialled.

A client learns what the warnings of a registration tell as well: whether the host has an address now, and by which
rules all its addresses are refused. The addresses of a name are for operators, and for whoever wrote them in the URL:
webhookd's resolver may know names of an internal network.
"""

import threading
from typing import Any, Final

from api.extensions.bounded_calls import BoundedCalls
from api.resources.subscription.egress import NO_ADDRESS, reason_of
from webhookd import logs
from webhookd.clock import Monotonic, monotonic
from webhookd.edges.http_client.dns_resolver import Resolver
from webhookd.edges.http_client.egress_guard import egress_policy, proxy_judges_names
from webhookd.flow.access.caller import Caller, Role
from webhookd.flow.attempt.host_address import address_of
from webhookd.flow.attempt.target import Target
from webhookd.flow.attempt.url_verdict import UrlVerdict, before_look_up, of_addresses
from webhookd.repeated_lines import RepeatedLines
from webhookd.settings import Settings

DEADLINE_S: Final = 2.0
"""How long a request waits for a look-up."""

CALLS: Final = 8
"""How many look-ups are in progress at most, one for each thread of the API. They are not those of registrations, so
that checks of hosts whose look-up hangs leave room for these."""

_log = logs.get(__name__)


class EndpointCheck:
    """The checks of one API process; any thread."""

    def __init__(
        self, settings: Settings, resolver: Resolver, *, deadline_s: float = DEADLINE_S, clock: Monotonic = monotonic
    ) -> None:
        self._policy = egress_policy(settings)
        self._proxy_judges = proxy_judges_names(settings)
        self._resolver = resolver
        self._deadline_s = deadline_s
        self._calls = BoundedCalls(CALLS)
        self._clock = clock
        self._lines = RepeatedLines()
        self._lines_lock = threading.Lock()

    def result(self, url: str, caller: Caller) -> dict[str, Any]:
        """The verdict about a URL as the response shows it to this caller; blocks for a look-up up to the deadline."""
        target = Target.parse(url)
        verdict, is_name = self.verdict(target), address_of(target.host) is None
        if is_name and verdict.addresses and not verdict.accepted:
            self._log_refused(caller.tenant, target.host, verdict)
        shows = bool(verdict.addresses) and (caller.role is Role.ADMIN or not is_name)
        return {
            "accepted": verdict.accepted,
            "rules": list(verdict.rules),
            "reason": _reason(verdict, is_name=is_name),
            "judged_by": "proxy" if verdict.judged_by_proxy else "webhookd",
            "addresses": _addresses(verdict) if shows else None,
        }

    def verdict(self, target: Target) -> UrlVerdict:
        """The verdict about a URL; blocks for a look-up up to the deadline."""
        return before_look_up(self._policy, target, proxy_judges=self._proxy_judges) or self._looked_up(target)

    def _log_refused(self, tenant: str | None, host: str, verdict: UrlVerdict) -> None:
        """Log the addresses; lines about the same host that the same tenant has asked about are few."""
        with self._lines_lock:
            left_out = self._lines.left_out((tenant, host), self._clock())
        if left_out is not None:
            refused = {one.address: one.rule for one in verdict.addresses}
            _log.warning("checked_host_refused", tenant=tenant, host=host, addresses=refused, left_out=left_out)

    def _looked_up(self, target: Target) -> UrlVerdict:
        call = self._calls.start(lambda: list(self._resolver(target.host, target.port)))
        try:
            return of_addresses(self._policy, call.result(self._deadline_s))
        except TimeoutError as error:
            return UrlVerdict(unresolved=str(error) or f"there was no answer within {self._deadline_s:g} s")
        except (OSError, UnicodeError) as error:
            return UrlVerdict(unresolved=getattr(error, "strerror", None) or str(error))


def _addresses(verdict: UrlVerdict) -> list[dict[str, Any]]:
    return [{"address": one.address, "allowed": one.rule is None, "rule": one.rule} for one in verdict.addresses]


def _reason(verdict: UrlVerdict, *, is_name: bool) -> str:
    if verdict.judged_by_proxy:
        return "has a host that the egress proxy of this installation resolves and judges when a request is sent"
    if verdict.unresolved:
        return f"has a host that cannot be resolved now: {verdict.unresolved}"
    if verdict.accepted:
        return ""
    if is_name and verdict.addresses:
        return NO_ADDRESS.format(rules=", ".join(verdict.rules))
    return reason_of(verdict.rules[0])
