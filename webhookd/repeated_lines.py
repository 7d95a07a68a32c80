"""Which of the lines that repeat are logged: the first one, and then one now and then, with the number left out.

since the first    0 s   10 s   30 s   1 min   6 min   11 min …
"""

from collections.abc import Hashable
from typing import Final

FIRST_REMINDERS_S: Final = (10.0, 30.0, 60.0)
LATER_REMINDERS_S: Final = 300.0
QUIET_S: Final = 60.0
"""A line that did not come for so long is a new one. It is longer than the longest wait between two attempts."""

KINDS: Final = 200
"""How many kinds of lines are remembered; the oldest one is forgotten first."""


class Reminders:
    """The times at which something that began at `now` is mentioned again."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._number = 0

    def due(self, now: float) -> bool:
        """Whether to mention it now. At most once for each time in the table, also after a long pause."""
        due = False
        while now - self._began >= _reminder_s(self._number):
            self._number += 1
            due = True
        return due


def _reminder_s(number: int) -> float:
    later = number - len(FIRST_REMINDERS_S)
    return FIRST_REMINDERS_S[number] if later < 0 else FIRST_REMINDERS_S[-1] + (later + 1) * LATER_REMINDERS_S


class RepeatedLines:
    """Counts the lines of each kind that are left out."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, _Kind] = {}

    def left_out(self, kind: Hashable, now: float) -> int | None:
        """Return how many lines were left out since the last one that was logged; None to leave this one out too."""
        known = self._kinds.get(kind)
        if known is None or now - known.seen_at >= QUIET_S:
            self._kinds.pop(kind, None)
            self._kinds[kind] = _Kind(now)
            if len(self._kinds) > KINDS:
                del self._kinds[next(iter(self._kinds))]
            return 0
        known.seen_at = now
        if not known.reminders.due(now):
            known.skipped += 1
            return None
        skipped, known.skipped = known.skipped, 0
        return skipped

    def leave_out(self, kind: Hashable, now: float) -> None:
        """Count a line that is left out for another reason; it does not become the first of its kind."""
        known = self._kinds.get(kind)
        if known is not None:
            known.seen_at = now
            known.skipped += 1


class _Kind:
    def __init__(self, now: float) -> None:
        self.seen_at = now
        self.reminders = Reminders(now)
        self.skipped = 0
