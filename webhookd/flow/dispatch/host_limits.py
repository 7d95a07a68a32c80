"""The limits that operators set for hosts: what all subscriptions may send to one host together.

A limit is written as `pattern=number`. A pattern is a host (`partner.example`), all hosts below a domain
(`*.example.org`, which is not the domain itself), or `*` for every host. Each host has a quota of its own. Of several
patterns that fit, the longest one counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from webhookd.flow.destination import RateLimit
from webhookd.flow.dispatch.request_quota import HOST, Quota

BURST_PART = 0.25
"""The burst, as a part of what a second allows; at least one request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLimits:
    """Requests per second, and requests that may be open at once, by the pattern of their hosts."""

    rates: Mapping[str, float] = field(default_factory=dict)
    concurrency: Mapping[str, float] = field(default_factory=dict)

    def quota(self, host: str) -> Quota | None:
        """The quota of a host; None without one."""
        name = host.lower().rstrip(".")
        per_second, concurrent = _best(self.rates, name), _best(self.concurrency, name)
        if per_second is None and concurrent is None:
            return None
        rate = per_second and RateLimit(per_second=per_second, burst=max(1, int(per_second * BURST_PART)))
        return Quota(
            subject=f"{HOST}{name}", rate=rate or None, max_concurrent=None if concurrent is None else int(concurrent)
        )


def host_limits(rates: Sequence[str], concurrency: Sequence[str]) -> HostLimits:
    """Return the limits of these texts, which the settings have checked."""
    return HostLimits(rates=_parsed(rates), concurrency=_parsed(concurrency))


def _parsed(texts: Sequence[str]) -> dict[str, float]:
    pairs = (text.partition("=") for text in texts)
    return {pattern.strip().lower().rstrip("."): float(number) for pattern, _, number in pairs}


def _best(limits: Mapping[str, float], host: str) -> float | None:
    fitting = [pattern for pattern in limits if pattern == host or (pattern[:1] == "*" and host.endswith(pattern[1:]))]
    return limits[max(fitting, key=lambda pattern: (pattern == host, len(pattern)))] if fitting else None
