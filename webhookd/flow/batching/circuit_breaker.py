"""The circuit breaker of a lane: it stops requests to an endpoint when all attempts have failed, and probes it.

state      the lane reads   and dispatches            until
CLOSED     yes              all that is ready         a delivery is exhausted → OPEN (if `on_exhausted` is "pause")
OPEN       no               nothing                   its probe is due → HALF_OPEN
HALF_OPEN  yes              one batch, one attempt    the attempt succeeds → CLOSED, or fails → OPEN for longer
"""

from enum import Enum


class CircuitState(Enum):
    """Whether a lane reads and dispatches; see the table above."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """The state of one lane's circuit; not thread-safe.

    `failed_probes` counts the openings since the circuit was last closed. `probe_at` is when the next probe is due, in
    monotonic seconds. `failing_since` is when the endpoint began to fail, in seconds since the epoch, 0 while it
    succeeds; it is also set while the circuit is still closed and retries are left.
    """

    __slots__ = ("failed_probes", "failing_since", "probe_at", "state")

    def __init__(self) -> None:
        self.state = CircuitState.CLOSED
        self.failed_probes = 0
        self.probe_at = 0.0
        self.failing_since = 0.0

    def begin_failing(self, at: float) -> None:
        """Note that an attempt failed at `at`, in seconds since the epoch. Of several in a row the first one counts."""
        self.failing_since = self.failing_since or at

    def end_failing(self) -> None:
        """Note that an attempt succeeded."""
        self.failing_since = 0.0

    def open(self, probe_at: float) -> None:
        """Open the circuit: nothing is dispatched until `probe_at`, and never again if that is infinity."""
        self.state = CircuitState.OPEN
        self.probe_at = probe_at
        self.failed_probes += 1

    def close(self) -> None:
        """Close the circuit: a probe succeeded, or the records of the failed batch become dead letters."""
        self.state = CircuitState.CLOSED
        self.failed_probes = 0

    def half_open_if_due(self, now: float) -> bool:
        """Let one probe through if it is due; returns whether it is."""
        due = self.state is CircuitState.OPEN and self.probe_at <= now
        if due:
            self.state = CircuitState.HALF_OPEN
        return due

    def probe_at_once(self) -> None:
        """Make the next probe due; a closed circuit stays as it is."""
        self.probe_at = 0.0

    def restore(self, failed_probes: int, now: float) -> None:
        """Open the circuit that another process left open, with a probe due at `now`; 0 failed probes: do nothing."""
        if failed_probes:
            self.state, self.failed_probes, self.probe_at = CircuitState.OPEN, failed_probes, now
