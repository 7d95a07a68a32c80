"""Shows the progress of `webhookd run`: a line when the subscription's state has changed, and its counters at times."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from command.api_client import ManagementClient
from webhookd.errors import Unavailable

COUNTERS_S = 10.0
"""After a line, the next one that has only other counters is not printed before this time has passed."""

RETRYING = frozenset({"failing", "circuit_open"})
"""The states of the deliveries that are shown in place of `healthy`."""


class ProgressLines:
    """Decides which statuses are shown, and how."""

    def __init__(self) -> None:
        self._state = ""
        self._details = ""
        self._printed_at = float("-inf")

    def line(self, status: Mapping[str, Any], now: float) -> str:
        """Return the line to print at the monotonic time `now`; empty if nothing is to be printed."""
        state, details = _state(status), f"{_counts(status)}{_next_attempt(status)}"
        if state == self._state and (details == self._details or now < self._printed_at + COUNTERS_S):
            return ""
        self._state, self._details, self._printed_at = state, details, now
        return f"{status['timestamp'][11:19]}  {state}: {details}"


class Progress:
    """Reads the status from the API; prints a line when there is something new to show."""

    def __init__(self, api: ManagementClient, id_: str, *, shown: bool) -> None:
        self._api = api
        self._id = id_
        self._shown = shown
        self._lines = ProgressLines()

    def show(self) -> None:
        """Print a line if there is something new."""
        if not self._shown:
            return
        try:
            status = self._api.status(self._id)
        except Unavailable:
            return  # the next call tries again
        if line := self._lines.line(status, time.monotonic()):
            click.echo(line)


def _state(status: Mapping[str, Any]) -> str:
    name, reason = status["status"], status["reason"]
    delivery = status["delivery"]
    if name == "healthy" and delivery["state"] in RETRYING:
        name = delivery["state"].replace("_", " ")
        reason = delivery["last_failure"]["code"] if delivery["last_failure"] else ""
    return f"{name} ({reason})" if reason else name


def _counts(status: Mapping[str, Any]) -> str:
    counters = status["counters"]
    names = ["delivered", "filtered", *(["dead_lettered"] if counters["dead_lettered"] else [])]
    return ", ".join(f"{counters[name]:,} {name.replace('_', '-')}" for name in names)


def _next_attempt(status: Mapping[str, Any]) -> str:
    """Return when the next attempt is due; empty when none waits."""
    due = status["delivery"]["next_attempt_at"]
    if not due:
        return ""
    wait_s = (datetime.fromisoformat(due) - datetime.fromisoformat(status["timestamp"])).total_seconds()
    return f"; next attempt in {wait_s:.0f} s" if wait_s >= 1 else "; next attempt now"
