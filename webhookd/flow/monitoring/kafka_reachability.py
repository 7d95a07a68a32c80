"""Whether this process reaches Kafka: the results of its probes, about one a second.

The outage is counted from the end of the first failed probe. A process that was frozen (SIGSTOP, a paused virtual
machine) does not count its own pause as an outage of the brokers.
"""

from dataclasses import dataclass, replace

from webhookd.errors import KafkaAuthenticationFailed, KafkaUnavailable

REFUSAL_LASTS_S = 15.0
"""After a refused login, failures without a reason are those of a slow broker for this long: the refusal stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaReachability:
    """The state after the last probe; times are of the monotonic clock.

    `answered_since` is when the current series of answers began, `failing_since` when the current series of failures
    began; at most one of them is set. `ever_answered` is True if Kafka has answered this process at least once.
    `code` and `detail` are those of the last failure.
    """

    answered_since: float | None = None
    failing_since: float | None = None
    ever_answered: bool = False
    code: str = KafkaUnavailable.code
    detail: str = ""
    refused_at: float | None = None
    """When a login or a certificate was last refused in the current series of failures."""

    @property
    def known(self) -> bool:
        """Whether a probe has ended yet."""
        return self.answered_since is not None or self.failing_since is not None

    def answered(self, now: float) -> "KafkaReachability":
        """Return the state after an answer."""
        since = now if self.answered_since is None else self.answered_since
        return KafkaReachability(answered_since=since, ever_answered=True)

    def failed(self, now: float, detail: str, code: str = KafkaUnavailable.code) -> "KafkaReachability":
        """Return the state after a failure."""
        since = now if self.failing_since is None else self.failing_since
        state = replace(self, answered_since=None, failing_since=since)
        if code == KafkaAuthenticationFailed.code:
            return replace(state, code=code, detail=detail, refused_at=now)
        if self.refused_at is not None and now - self.refused_at < REFUSAL_LASTS_S:
            return state
        return replace(state, code=code, detail=detail, refused_at=None)

    def reachable_s(self, now: float) -> float:
        """Return for how long Kafka has answered without a gap; 0 while it does not."""
        return 0.0 if self.answered_since is None else max(0.0, now - self.answered_since)

    def unreachable_s(self, now: float) -> float:
        """Return for how long Kafka has not answered; 0 while it does, and before the first probe has ended."""
        return 0.0 if self.failing_since is None else max(0.0, now - self.failing_since)
