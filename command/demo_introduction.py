"""What the demo shows first: one order, the filter that keeps it, and the request that arrives."""

from command.demo_display import DemoDisplay
from command.demo_environment import FILTERED, DemoEnvironment
from command.demo_orders import FILTER, TOPIC
from command.received_request import readable

NEXT_STEPS = """
Next steps:
  webhookd run …       deliver a topic of your own Kafka to your URL     docs/get-started/your-kafka.md
  make play            run the whole service, make an endpoint fail      docs/get-started/play.md
  docs/index.md        how to filter, batch, retry and deploy
"""


class DemoIntroduction:
    """Shows the way of one order."""

    def __init__(self, environment: DemoEnvironment, display: DemoDisplay) -> None:
        self._environment = environment
        self._display = display

    def show_order(self, order: bytes) -> None:
        """Show the order and the filter."""
        self._display.print_line(f"An order in the topic “{TOPIC}”:\n  {order.decode()}")
        self._display.print_line(f"The filter of the subscription “{FILTERED}” keeps it:\n  {FILTER}")

    def show_request(self, elapsed_s: float) -> None:
        """Show the first request that the subscription's endpoint has received, in full."""
        request = self._environment.receiver.first_requests[self._environment.subscription(FILTERED).path]
        head, _, body = request.partition(b"\r\n\r\n")
        self._display.print_line(f"Its endpoint has received, {elapsed_s:.1f} s after the start:")
        for line in [*head.decode("latin-1").split("\r\n"), "", *readable(body).splitlines()]:
            self._display.print_line(f"  {line}".rstrip())

    def show_status_command(self) -> None:
        """Show how to ask the API while the demo runs."""
        url = self._environment.status_url(self._environment.subscription(FILTERED))
        self._display.print_line(f"Its status, while the demo runs, in another terminal:\n  curl -sS {url}")
