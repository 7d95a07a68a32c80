"""The egress policy of the settings, applied to what is about to be dialled; refusals are counted, and logged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TypeVar

from webhookd import logs
from webhookd.clock import Monotonic, monotonic
from webhookd.configuration.environment import variable
from webhookd.errors import UnusableSetting
from webhookd.flow.attempt.egress_policy import EgressPolicy, parse_networks, parse_ports
from webhookd.flow.attempt.exchange_result import FailureCode
from webhookd.flow.attempt.host_address import address_of
from webhookd.flow.attempt.host_pattern import HostPattern
from webhookd.flow.attempt.target import Target
from webhookd.metrics.catalogue.worker import EGRESS_REFUSALS
from webhookd.repeated_lines import RepeatedLines
from webhookd.settings import Settings

Parsed = TypeVar("Parsed")

Refused = tuple[FailureCode, str]
"""Why something is refused: the code, and a text that names the rule."""

_log = logs.get(__name__)

_BOTH_LISTS = (
    ("egress_allow", "egress_forbid"),
    ("egress_allow_hosts", "egress_forbid_hosts"),
    ("egress_allow_ports", "egress_forbid_ports"),
)


def egress_policy(settings: Settings) -> EgressPolicy:
    """Return the policy of the settings. Raises UnusableSetting for what cannot be read, and for contradictions."""
    policy = EgressPolicy(
        allowed=_parsed(settings, "egress_allow", parse_networks),
        forbidden=_parsed(settings, "egress_forbid", parse_networks),
        hosts=_parsed(settings, "egress_allow_hosts", _patterns),
        forbidden_hosts=_parsed(settings, "egress_forbid_hosts", _patterns),
        ports=_parsed(settings, "egress_allow_ports", parse_ports),
        forbidden_ports=_parsed(settings, "egress_forbid_ports", parse_ports),
        https_required=settings.egress_require_https,
    )
    for allowed, forbidden in _BOTH_LISTS:
        twice = [text for text in getattr(settings, forbidden) if text in getattr(settings, allowed)]
        if twice:
            raise UnusableSetting(f'"{twice[0]}" is in {variable(allowed)} too', setting=forbidden)
    if settings.egress_proxy is None and not settings.egress_proxy_judges:
        raise UnusableSetting(
            f"is false, but there is no proxy: set {variable('egress_proxy')}", setting="egress_proxy_judges"
        )
    return policy


def proxy_judges_names(settings: Settings) -> bool:
    """Whether an egress proxy resolves names and judges their addresses, in place of webhookd."""
    return settings.egress_proxy is not None and settings.egress_proxy_judges


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressGuard:
    """Judges targets and addresses for the dials of one loop, on its thread.

    The text of a refusal names the rule, and the address only if the URL itself has it: a tenant reads it, and must not
    learn the addresses behind internal names. The log has them.
    """

    policy: EgressPolicy
    clock: Monotonic = monotonic
    _lines: RepeatedLines = field(default_factory=RepeatedLines)

    def url_refusal(self, target: Target) -> Refused | None:
        """Return why nothing may be sent to this URL, whatever its host's addresses are; None when they decide."""
        rule = self.policy.url_rule(target)
        if rule is None:
            return None
        EGRESS_REFUSALS.inc(FailureCode.URL_REFUSED, rule)
        left_out = self._left_out(target.host, target.port, rule)
        if left_out is not None:
            _log.warning("url_refused", host=target.host, port=target.port, rule=rule, left_out=left_out)
        return FailureCode.URL_REFUSED, f"the rule {rule} of this installation refuses the URL"

    def address_refusal(self, host: str, address: str) -> Refused | None:
        """Return why this address of the host must not be dialled; None when it may be dialled."""
        rule = self.policy.address_rule(ip_address(address))
        if rule is None:
            return None
        EGRESS_REFUSALS.inc(FailureCode.ADDRESS_REFUSED, rule)
        left_out = self._left_out(host, address, rule)
        if left_out is not None:
            _log.warning("address_refused", host=host, address=address, rule=rule, left_out=left_out)
        return FailureCode.ADDRESS_REFUSED, f"{address if address_of(host) else 'the address of the host'} is {rule}"

    def _left_out(self, *kind: object) -> int | None:
        return self._lines.left_out(kind, self.clock())


def _patterns(texts: Sequence[str]) -> tuple[HostPattern, ...]:
    return tuple(_pattern(text.strip()) for text in texts)


def _pattern(text: str) -> HostPattern:
    try:
        return HostPattern.parse(text)
    except ValueError as error:
        raise ValueError(f'"{text}" {error}') from error


def _parsed(settings: Settings, name: str, parse: Callable[[Sequence[str]], Parsed]) -> Parsed:
    try:
        return parse(getattr(settings, name))
    except ValueError as error:
        raise UnusableSetting(str(error), setting=name) from error
