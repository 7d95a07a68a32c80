"""`webhookd demo`: a topic of orders delivered to three subscriptions in this one process, and checked.

start      cluster, receiver, API, three subscriptions, worker, ingest
opening    an order in each partition, until the first of them have arrived everywhere
flow       orders for the time asked for, never further ahead than the cluster keeps
closing    until everything has arrived and is committed
table      what came of it; the exit code says whether anything was lost
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from command.demo_display import DemoDisplay
from command.demo_environment import DemoEnvironment
from command.shutdown_signals import ShutdownSignals
from command.switch_interval import share_between_threads
from webhookd import clock, logs
from webhookd.errors import WebhookdError

ORDERS_A_SECOND = 1000
AHEAD = 8000
"""Orders that may be in Kafka and not delivered yet: some 2 MB, and the mock cluster keeps 5 MB of each partition."""

TICK_S = 0.02
OPENING_S = 30.0
STALLED_S = 20.0
"""Without a single delivery for so long the demo gives up and calls what is missing lost."""

LOG_LINES = 20


class Stalled(WebhookdError):
    """Nothing was delivered any more."""

    code = "stalled"


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(0.5, 86400),
    default=15.0,
    show_default=True,
    help="How long orders are produced.",
)
def demo(seconds: float) -> None:
    """Deliver a topic of orders to three subscriptions, all in this process, and check what arrives.

    It needs no services: Kafka is librdkafka's mock cluster, the queue is this process' memory, the database an SQLite
    file in a temporary directory. API, ingest and worker are the service's own. It leaves nothing behind, and exits
    with 1 when a record was lost or arrived out of order.
    """
    interruption = ShutdownSignals()
    share_between_threads()
    with TemporaryDirectory(prefix="webhookd-demo-") as place:
        log = Path(place) / "log.txt"
        with log.open("w", encoding="utf-8") as stream:
            logs.configure("text", "warning", stream)
            good = _play(Path(place), seconds, interruption)
        if not good and not interruption.came:
            _show_log(log)
    interruption.leave(interruption.exit_code or int(not good))


def _play(place: Path, seconds: float, interruption: ShutdownSignals) -> bool:
    """The whole demo; answers whether everything arrived, once and in order enough."""
    began = clock.monotonic()
    try:
        with DemoEnvironment(place) as stage, DemoDisplay(stage, clock.monotonic) as picture:
            filtered = DemoRun(stage, picture, interruption).whole(
                seconds, lambda: picture.say(f"first delivery {clock.monotonic() - began:.1f} s after the start")
            )
            if interruption.came:
                picture.say("interrupted")
                return False
            return picture.result(filtered)
    except WebhookdError as error:
        click.echo(f"webhookd demo: {error}", err=True)
        return False


class DemoRun:
    """The acts after the start; each returns early when the demo is interrupted."""

    def __init__(self, stage: DemoEnvironment, picture: DemoDisplay, interruption: ShutdownSignals) -> None:
        self._stage = stage
        self._picture = picture
        self._interruption = interruption

    def whole(self, seconds: float, first_delivered: Callable[[], None]) -> dict[str, int]:
        """All acts; answers how many records each subscription's filter dropped."""
        self.opening(first_delivered)
        self.flow(seconds)
        self.closing()
        return self.filtered()

    def opening(self, first_delivered: Callable[[], None]) -> None:
        """One order a partition, which every subscription wants; not measured: it also waits for the consumers."""
        plays = self._stage.plays
        for play in plays:
            play.tally.measuring = False
        for partition in range(self._stage.partitions):
            self._stage.orders.produce(partition, large_german=True)
        until = clock.monotonic() + OPENING_S
        if self._until(lambda: any(play.tally.requests for play in plays), lambda: until):
            first_delivered()
        self._until(lambda: len(self._stage.orders.all) > 0 and self._behind() == 0, lambda: until)
        for play in plays:
            play.tally.measuring = True

    def flow(self, seconds: float) -> None:
        """Orders at a steady rate; late ones follow as fast as deliveries allow."""
        began = clock.monotonic()
        produced = 0
        while (now := clock.monotonic()) < began + seconds and not self._interruption.wait(TICK_S):
            due = int((now - began) * ORDERS_A_SECOND) - produced
            for _ in range(max(0, min(due, AHEAD - self._behind()))):
                self._stage.orders.produce()
                produced += 1
            self._stage.orders.serve()
            self._picture.refresh()

    def closing(self) -> None:
        """Wait for all deliveries, and for their commits."""
        if self._interruption.came:
            return
        self._stage.orders.finish(STALLED_S)
        last = [clock.monotonic(), self._behind()]

        def give_up_at() -> float:
            behind = self._behind()
            if behind != last[1]:
                last[:] = [clock.monotonic(), behind]
            return last[0] + STALLED_S

        self._until(lambda: self._behind() == 0, give_up_at)
        committed_by = clock.monotonic() + STALLED_S
        self._until(lambda: all(map(self._stage.committed, self._stage.plays)), lambda: committed_by)

    def filtered(self) -> dict[str, int]:
        """How many records the filters dropped, as the status of each subscription has it."""
        until = clock.monotonic() + STALLED_S
        total = len(self._stage.orders.all)
        filtered: dict[str, int] = {}

        def all_counted() -> bool:
            counters = {play.name: self._stage.counters(play) for play in self._stage.plays}
            filtered.update((name, count["filtered"]) for name, count in counters.items())
            return all(count["delivered"] + count["filtered"] >= total for count in counters.values())

        self._until(all_counted, lambda: until)
        return filtered

    def _behind(self) -> int:
        return max(play.behind for play in self._stage.plays)

    def _until(self, done: Callable[[], bool], give_up_at: Callable[[], float]) -> bool:
        """Look every tick; answers whether it is done. A time that is up leaves the verdict to the table."""
        while not self._interruption.came:
            if done():
                return True
            if clock.monotonic() >= give_up_at():
                return False
            if not self._stage.service.alive:
                raise Stalled("the worker has ended")
            self._interruption.wait(TICK_S)
            self._stage.orders.serve()
            self._picture.refresh()
        return False


def _show_log(log: Path) -> None:
    lines = log.read_text(encoding="utf-8").splitlines()
    if lines:
        click.echo(f"The last of {len(lines)} lines in the log:", err=True)
    for line in lines[-LOG_LINES:]:
        click.echo(f"  {line}", err=True)
