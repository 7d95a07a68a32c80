"""Shows the progress of `webhookd run`: one line whenever the subscription's status has changed."""

import click

from command.api_client import ManagementClient
from webhookd.errors import Unavailable


class Progress:
    """Reads the status from the API; prints a line only when it has changed."""

    def __init__(self, api: ManagementClient, id_: str, *, shown: bool) -> None:
        self._api = api
        self._id = id_
        self._shown = shown
        self._before = ""

    def show(self) -> None:
        """Print a line if the status has changed."""
        if not self._shown:
            return
        try:
            status = self._api.status(self._id)
        except Unavailable:
            return  # the next call tries again
        counters = status["counters"]
        counts = ", ".join(f"{counters[name]:,} {name.replace('_', '-')}" for name in ("delivered", "filtered"))
        dead = f", {counters['dead_lettered']:,} dead-lettered" if counters["dead_lettered"] else ""
        reason = f" ({status['reason']})" if status["reason"] else ""
        line = f"{status['status']}{reason}: {counts}{dead}"
        if line != self._before:
            self._before = line
            click.echo(f"{status['timestamp'][11:19]}  {line}")
