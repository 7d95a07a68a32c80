"""The demo's fault: an endpoint that answers 500 for some seconds, and what its subscription does meanwhile.

The subscription keeps its records and tries again; the others go on. Orders are produced all the time. The latencies
of this phase are not measured: they are those of the fault.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from command.demo_display import DemoDisplay
from command.demo_environment import EVERYTHING, RETRY_TIME_SCALE, DemoEnvironment, DemoSubscription
from webhookd import clock

LONGEST_S = 3.0
LINE_S = 1.0
ORDERS_A_SECOND = 100


class DemoFault:
    """Breaks and mends the endpoint of one subscription.

    `produce_until(done, rate)` produces orders until `done()` is true; it returns whether that happened in time.
    """

    def __init__(
        self,
        environment: DemoEnvironment,
        display: DemoDisplay,
        produce_until: Callable[[Callable[[], bool], int], bool],
    ) -> None:
        self._environment = environment
        self._display = display
        self._produce_until = produce_until
        self._subscription = environment.subscription(EVERYTHING)
        self._most_waiting = 0

    def run(self, seconds: float) -> None:
        """Let the endpoint fail for that time, then wait until its subscription has received all that waited."""
        receiver, path = self._environment.receiver, self._subscription.path
        with _not_measured(self._environment.subscriptions), self._display.own_lines():
            self._display.print_line(
                f"\nNow the endpoint of “{EVERYTHING}” answers 500 for {seconds:.0f} s. {ORDERS_A_SECOND} orders a "
                f"second go on. Waits between attempts are shortened to {RETRY_TIME_SCALE:.0%}."
            )
            began = clock.monotonic()
            receiver.failing.add(path)
            interrupted = not self._watch(lambda: clock.monotonic() >= began + seconds, began)
            receiver.failing.discard(path)
            if interrupted:
                return
            self._display.print_line(f"  {clock.monotonic() - began:4.1f} s  the endpoint answers again")
            if self._watch(self._has_recovered, began):
                self._tell_end(began)

    def _has_recovered(self) -> bool:
        """Whether what had waited has arrived: only the newest orders, which are on their way, are missing."""
        return self._subscription.undelivered <= ORDERS_A_SECOND // 10

    def _watch(self, done: Callable[[], bool], began: float) -> bool:
        """Produce orders until `done()`, with a line about the subscription's status each second.

        Returns whether it became true before the demo was interrupted or stalled.
        """
        due = [clock.monotonic() + LINE_S / 2]

        def watched() -> bool:
            self._most_waiting = max(self._most_waiting, self._subscription.undelivered)
            if clock.monotonic() >= due[0]:
                due[0] += LINE_S
                self._tell_status(clock.monotonic() - began)
            return done()

        return self._produce_until(watched, ORDERS_A_SECOND)

    def _tell_status(self, elapsed_s: float) -> None:
        delivery = self._environment.status(self._subscription)["delivery"]
        self._display.print_line(
            f"  {elapsed_s:4.1f} s  {self._delivery_text(delivery)}; {self._subscription.undelivered:,} orders wait; "
            + ", ".join(f"{other.name}: {other.undelivered:,}" for other in self._others())
        )

    def _delivery_text(self, delivery: Mapping[str, Any]) -> str:
        """The state of the deliveries, and with a failing one its attempt. An attempt is reported when it has ended."""
        if delivery["state"] == "failing":
            answer = (delivery["last_failure"] or {}).get("response_code")
            return f"failing, attempt {delivery['attempt']} of {delivery['max_attempts']} got {answer}"
        breaks = self._subscription.path in self._environment.receiver.failing
        return "no failed attempt is reported yet" if breaks else str(delivery["state"])

    def _tell_end(self, began: float) -> None:
        refused = self._environment.receiver.failed_requests[self._subscription.path]
        self._display.print_line(
            f"  {clock.monotonic() - began:4.1f} s  recovered: the {self._most_waiting:,} orders that waited have "
            f"arrived, each partition in its order, after {refused} failed requests\n"
        )

    def _others(self) -> Iterator[DemoSubscription]:
        return (one for one in self._environment.subscriptions if one is not self._subscription)


@contextmanager
def _not_measured(subscriptions: list[DemoSubscription]) -> Iterator[None]:
    for subscription in subscriptions:
        subscription.tally.measuring = False
    yield
    for subscription in subscriptions:
        subscription.tally.measuring = True
