"""Checks a timeline before the run starts: each step must be possible at its time, as if steps took no time."""

from collections.abc import Mapping, Sequence

from webhookd_load_test.cluster.expected_state import ExpectedState
from webhookd_load_test.cluster.timeline import Action, Step

FIELDS: Mapping[Action, frozenset[str]] = {
    "add_broker": frozenset({"broker"}),
    "remove_broker": frozenset({"broker"}),
    "kill_broker": frozenset({"broker", "for_s"}),
    "kill_ingest": frozenset({"for_s"}),
    "kill_worker": frozenset({"for_s"}),
    "scale_ingest": frozenset({"to"}),
    "scale_workers": frozenset({"to"}),
}
"""The fields of each action, besides its time; another one would have no effect."""


class UnusableTimelineError(Exception):
    """A timeline that cannot be run: the message names the step, the field and the reason."""


def check(steps: Sequence[Step], *, brokers: int, ingest: int | None = None, workers: int | None = None) -> None:
    """Raise UnusableTimelineError when a step is not possible.

    The run starts with so many brokers, and ingest and worker processes; None: it starts none, so none can be scaled.
    """
    for number, step in enumerate(steps, 1):
        _refuse(number, step, _wrong_field(step))
    state = ExpectedState(brokers=brokers, ingest=ingest, workers=workers)
    for number, step in sorted(enumerate(steps, 1), key=lambda numbered: numbered[1].at_s):
        _refuse(number, step, state.apply(step))


def _wrong_field(step: Step) -> str | None:
    allowed = FIELDS[step.do]
    for name in ("to", "broker", "for_s"):
        if getattr(step, name) is not None and name not in allowed:
            return f"`{name}` has no meaning for this action"
    if "to" in allowed and step.to is None:
        return "`to` is missing: how many processes there are to be"
    return None


def _refuse(number: int, step: Step, fault: str | None) -> None:
    if fault is not None:
        raise UnusableTimelineError(f"timeline, step {number} ({step.do} at {step.at_s:g} s): {fault}")
