"""`webhookd demo`: delivers a topic of orders to three subscriptions in this one process, and checks the result.

phase      what happens
start      cluster, receiver, API, three subscriptions, worker, ingest
warm_up    one order in each partition, until every subscription has received them; one order is shown on its way
produce    orders for the given time, never more undelivered ones than the cluster keeps
fault      the endpoint of one subscription fails for some seconds
drain      wait until everything has arrived and is committed
table      the result; the exit code is 1 when a record was lost
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from command.demo_display import DemoDisplay
from command.demo_environment import FILTERED, DemoEnvironment
from command.demo_fault import LONGEST_S, DemoFault
from command.demo_introduction import NEXT_STEPS, DemoIntroduction
from command.shutdown_signals import ShutdownSignals
from command.switch_interval import set_switch_interval
from webhookd import clock, logs
from webhookd.errors import NoTemporaryDirectory, UnusableSetting, WebhookdError
from webhookd.settings_loader import load_settings

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
    load_settings()  # before anything starts: what cannot be used ends the command
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
    click.echo("webhookd demo: starting Kafka (librdkafka's mock cluster), an endpoint, API, ingest and worker\n")
    began = clock.monotonic()
    try:
        with DemoEnvironment(place) as environment, DemoDisplay(environment, clock.monotonic) as display:
            filtered = DemoRun(environment, display, shutdown, began).run(seconds)
            good = display.result(filtered, interrupted=shutdown.received)
            if good:
                display.print_line(NEXT_STEPS)
            return good
    except UnusableSetting:
        raise
    except WebhookdError as error:
        click.echo(f"webhookd demo: {error}", err=True)
        return False


class DemoRun:
    """The phases after the start. Each returns early when the demo is interrupted."""

    def __init__(
        self, environment: DemoEnvironment, display: DemoDisplay, shutdown: ShutdownSignals, began: float
    ) -> None:
        self._environment = environment
        self._display = display
        self._shutdown = shutdown
        self._began = began

    def run(self, seconds: float) -> dict[str, int]:
        """Run all phases; returns how many records each subscription's filter dropped."""
        self.warm_up()
        self.produce(seconds)
        self.fault(min(seconds, LONGEST_S))
        self.drain()
        return self.filtered()

    def warm_up(self) -> None:
        """Produce one order per partition that matches every filter, and wait for it. Latency is not measured."""
        introduction = DemoIntroduction(self._environment, self._display)
        subscriptions = self._environment.subscriptions
        for subscription in subscriptions:
            subscription.tally.measuring = False
        introduction.show_order(self._environment.orders.produce(0, large_german=True))
        until = clock.monotonic() + WARM_UP_S
        filtered = self._environment.subscription(FILTERED)
        if self._wait_until(lambda: bool(filtered.tally.requests), lambda: until):
            introduction.show_request(clock.monotonic() - self._began)
            introduction.show_status_command()
        for partition in range(1, self._environment.partitions):
            self._environment.orders.produce(partition, large_german=True)
        self._environment.orders.flush(WARM_UP_S)
        self._wait_until(lambda: self._environment.undelivered == 0, lambda: until)
        for subscription in subscriptions:
            subscription.tally.measuring = True

    def produce(self, seconds: float) -> None:
        """Produce orders at a steady rate; orders that were delayed follow as fast as deliveries allow."""
        if self._shutdown.received:
            return
        self._display.print_line(f"\nNow {ORDERS_A_SECOND:,} orders a second for {seconds:g} s:")
        until = clock.monotonic() + seconds
        self._produce_until(lambda: clock.monotonic() >= until, ORDERS_A_SECOND)
        self._wait_until(lambda: self._environment.undelivered == 0, lambda: until + STALLED_S)

    def fault(self, seconds: float) -> None:
        """Let an endpoint fail for that time."""
        if not self._shutdown.received:
            DemoFault(self._environment, self._display, self._produce_until).run(seconds)

    def _produce_until(self, done: Callable[[], bool], orders_a_second: int) -> bool:
        began = moved = clock.monotonic()
        produced = undelivered = 0
        while not done():
            if self._shutdown.wait(TICK_S) or clock.monotonic() >= moved + STALLED_S:
                return False
            due = int((clock.monotonic() - began) * orders_a_second) - produced
            for _ in range(max(0, min(due, MAX_UNDELIVERED - self._environment.undelivered))):
                self._environment.orders.produce()
                produced += 1
            self._environment.orders.poll()
            self._display.refresh()
            if self._environment.undelivered <= undelivered:
                moved = clock.monotonic()
            undelivered = self._environment.undelivered
        return True

    def drain(self) -> None:
        """Wait for all deliveries and for their commits."""
        if self._shutdown.received:
            return
        self._environment.orders.flush(STALLED_S)
        last = [clock.monotonic(), self._environment.undelivered]

        def give_up_at() -> float:
            undelivered = self._environment.undelivered
            if undelivered != last[1]:
                last[:] = [clock.monotonic(), undelivered]
            return last[0] + STALLED_S

        self._wait_until(lambda: self._environment.undelivered == 0, give_up_at)
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
                subscription.name: self._environment.status(subscription)["counters"]
                for subscription in self._environment.subscriptions
            }
            filtered.update((name, count["filtered"]) for name, count in counters.items())
            return all(count["delivered"] + count["filtered"] >= total for count in counters.values())

        self._wait_until(all_counted, lambda: until)
        return filtered

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
