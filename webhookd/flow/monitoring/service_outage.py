"""Whether a process says that it waits for a service: at once, then now and then; and when the service is back."""

from dataclasses import dataclass

from webhookd.repeated_lines import Reminders


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The service does not answer, for `since_s` now, because of `detail`."""

    since_s: float
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Available:
    """The service answers again, after `after_s`."""

    after_s: float


class ServiceOutage:
    """The state of one service for one process; times are of the monotonic clock."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._codes: set[str] = set()
        self._reminders = Reminders(0.0)

    def failed(self, now: float, detail: str, code: str = "") -> Waiting | None:
        """Return what to say after a check that failed; a code that is new in this outage is said at once."""
        if self._began is None:
            self._began = now
            self._codes.clear()
        if code not in self._codes:
            self._codes.add(code)
            self._reminders = Reminders(now)
            return Waiting(since_s=now - self._began, detail=detail)
        return Waiting(since_s=now - self._began, detail=detail) if self._reminders.due(now) else None

    def answered(self, now: float) -> Available | None:
        """Return what to say after a check that succeeded."""
        began, self._began = self._began, None
        return None if began is None else Available(after_s=now - began)
