"""`webhookd demo`: delivers a topic of orders to three subscriptions in this one process, and checks the result.

phase      what happens
start      cluster, receiver, API, three subscriptions, worker, ingest
warm_up    one order in each partition, until every subscription has received them
produce    orders for the given time, never more undelivered ones than the cluster keeps
drain      wait until everything has arrived and is committed
table      the result; the exit code is 1 when a record was lost
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from command.demo_display import DemoDisplay
from command.demo_environment import DemoEnvironment
from command.shutdown_signals import ShutdownSignals
from command.switch_interval import set_switch_interval
from webhookd import clock, logs
from webhookd.errors import NoTemporaryDirectory, WebhookdError

ORDERS_A_SECOND = 1000
MAX_UNDELIVERED = 8000
"""The most orders that may wait in Kafka: about 2 MB, while the mock cluster keeps 5 MB of each partition."""

TICK_S = 0.02
WARM_UP_S = 30.0
STALLED_S = 20.0
"""After this time without a delivery the demo ends and reports the missing records as lost."""

LOG_LINES = 20


class Stalled(WebhookdError):
    """No more records were delivered."""

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

    It needs no services: Kafka is librdkafka's mock cluster, the queue is in memory, the database is an SQLite
    file in a temporary directory. API, ingest and worker are the service's own. It leaves nothing behind, and exits
    with 1 when a record was lost or arrived out of order.
    """
    shutdown = ShutdownSignals()
    set_switch_interval()
    try:
        folder = TemporaryDirectory(prefix="webhookd-demo-")
    except FileNotFoundError:
        raise click.ClickException(str(NoTemporaryDirectory())) from None
    with folder as place:
        log = Path(place) / "log.txt"
        with log.open("w", encoding="utf-8") as stream:
            logs.configure("text", "warning", stream)
            good = _run_demo(Path(place), seconds, shutdown)
        if not good and not shutdown.received:
            _show_log(log)
    shutdown.exit_process(shutdown.exit_code or int(not good))


def _run_demo(place: Path, seconds: float, shutdown: ShutdownSignals) -> bool:
    """Run the demo; returns whether every record arrived, and in order."""
    began = clock.monotonic()
    try:
        with DemoEnvironment(place) as environment, DemoDisplay(environment, clock.monotonic) as display:
            filtered = DemoRun(environment, display, shutdown).run(
                seconds, lambda: display.print_line(f"first delivery {clock.monotonic() - began:.1f} s after the start")
            )
            if shutdown.received:
                display.print_line("interrupted")
                return False
            return display.result(filtered)
    except WebhookdError as error:
        click.echo(f"webhookd demo: {error}", err=True)
        return False


class DemoRun:
    """The phases after the start. Each returns early when the demo is interrupted."""

    def __init__(self, environment: DemoEnvironment, display: DemoDisplay, shutdown: ShutdownSignals) -> None:
        self._environment = environment
        self._display = display
        self._shutdown = shutdown

    def run(self, seconds: float, first_delivered: Callable[[], None]) -> dict[str, int]:
        """Run all phases; returns how many records each subscription's filter dropped."""
        self.warm_up(first_delivered)
        self.produce(seconds)
        self.drain()
        return self.filtered()

    def warm_up(self, first_delivered: Callable[[], None]) -> None:
        """Produce one order per partition that matches every filter, and wait for it. Latency is not measured."""
        subscriptions = self._environment.subscriptions
        for subscription in subscriptions:
            subscription.tally.measuring = False
        for partition in range(self._environment.partitions):
            self._environment.orders.produce(partition, large_german=True)
        until = clock.monotonic() + WARM_UP_S
        if self._wait_until(lambda: any(subscription.tally.requests for subscription in subscriptions), lambda: until):
            first_delivered()
        self._wait_until(lambda: len(self._environment.orders.all) > 0 and self._undelivered() == 0, lambda: until)
        for subscription in subscriptions:
            subscription.tally.measuring = True

    def produce(self, seconds: float) -> None:
        """Produce orders at a steady rate; orders that were delayed follow as fast as deliveries allow."""
        began = clock.monotonic()
        produced = 0
        while (now := clock.monotonic()) < began + seconds and not self._shutdown.wait(TICK_S):
            due = int((now - began) * ORDERS_A_SECOND) - produced
            for _ in range(max(0, min(due, MAX_UNDELIVERED - self._undelivered()))):
                self._environment.orders.produce()
                produced += 1
            self._environment.orders.poll()
            self._display.refresh()

    def drain(self) -> None:
        """Wait for all deliveries and for their commits."""
        if self._shutdown.received:
            return
        self._environment.orders.flush(STALLED_S)
        last = [clock.monotonic(), self._undelivered()]

        def give_up_at() -> float:
            undelivered = self._undelivered()
            if undelivered != last[1]:
                last[:] = [clock.monotonic(), undelivered]
            return last[0] + STALLED_S

        self._wait_until(lambda: self._undelivered() == 0, give_up_at)
        committed_by = clock.monotonic() + STALLED_S
        self._wait_until(
            lambda: all(map(self._environment.committed, self._environment.subscriptions)), lambda: committed_by
        )

    def filtered(self) -> dict[str, int]:
        """How many records the filters dropped, from the status of each subscription."""
        until = clock.monotonic() + STALLED_S
        total = len(self._environment.orders.all)
        filtered: dict[str, int] = {}

        def all_counted() -> bool:
            counters = {
                subscription.name: self._environment.counters(subscription)
                for subscription in self._environment.subscriptions
            }
            filtered.update((name, count["filtered"]) for name, count in counters.items())
            return all(count["delivered"] + count["filtered"] >= total for count in counters.values())

        self._wait_until(all_counted, lambda: until)
        return filtered

    def _undelivered(self) -> int:
        return max(subscription.undelivered for subscription in self._environment.subscriptions)

    def _wait_until(self, done: Callable[[], bool], give_up_at: Callable[[], float]) -> bool:
        """Check every tick until `done`; returns whether it became true in time."""
        while not self._shutdown.received:
            if done():
                return True
            if clock.monotonic() >= give_up_at():
                return False
            if not self._environment.service.alive:
                raise Stalled("the worker has ended")
            self._shutdown.wait(TICK_S)
            self._environment.orders.poll()
            self._display.refresh()
        return False


def _show_log(log: Path) -> None:
    lines = log.read_text(encoding="utf-8").splitlines()
    if lines:
        click.echo(f"The last of {len(lines)} lines in the log:", err=True)
    for line in lines[-LOG_LINES:]:
        click.echo(f"  {line}", err=True)
