"""`webhookd receive`: an HTTP endpoint on loopback that prints and checks the requests that it gets, to try it out."""

import json
import os
import threading
import time

import click

from command.arrival_check import ArrivalCheck
from command.help_text import HelpCommand
from command.received_request import ShownRequest
from command.receiver_answer import CONTROL_PATH, LONGEST_S, STATUSES, ReceiverAnswer, changed
from command.receiver_consent import consent_to
from command.shutdown_signals import ShutdownSignals
from webhookd.testing.http_endpoint import Answer, HttpEndpoint, ReceivedRequest

IDLE_S = 60.0
"""A connection without a request for this long is closed."""

METHODS = {"DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"}

EXAMPLES = (
    ("Change the answer", "curl -X PUT 'http://127.0.0.1:9000/receiver?status=503&delay=2&retry_after=10'"),
    ("Show answer and counts", "curl http://127.0.0.1:9000/receiver"),
)
"""What can be asked while it runs."""


@click.command(cls=HelpCommand, examples=EXAMPLES)
@click.option("--port", type=click.IntRange(0, 65535), default=9000, show_default=True, help="0 takes a free one.")
@click.option(
    "--status",
    type=click.IntRange(STATUSES.start, STATUSES.stop - 1),
    default=200,
    show_default=True,
    help="What to answer every request.",
)
@click.option(
    "--delay", type=click.FloatRange(0, LONGEST_S), default=0.0, help="How many seconds to wait before each answer."
)
@click.option("--retry-after", type=click.IntRange(0, LONGEST_S), help="The seconds in a Retry-After header.")
@click.option(
    "--full",
    type=click.IntRange(0, 1_000_000),
    metavar="COUNT",
    help="Print this many requests in full, and the others in one line each; all in full if not given.",
)
@click.option(
    "--no-consent",
    is_flag=True,
    help="Do not consent when webhookd asks whether this endpoint wants the requests (verification).",
)
@click.option("--quiet", is_flag=True, help="Print no requests: only what is wrong, and the counts at the end.")
@click.option(
    "--gaps", is_flag=True, help="Also report offsets that do not arrive; for a subscription without filters."
)
def receive(
    port: int,
    status: int,
    delay: float,
    retry_after: int | None,
    full: int | None,
    *,
    no_consent: bool,
    quiet: bool,
    gaps: bool,
) -> None:
    """Print each HTTP request to 127.0.0.1, answer it, and check that no record comes twice or out of order.

    Records are checked by path, topic and partition, once they are acknowledged with 2xx. Give each subscription a
    path of its own. The counts are printed at the end.

    It consents when webhookd asks whether it wants the requests of a subscription.

    It listens on loopback only: webhookd sends there when WEBHOOKD_EGRESS_ALLOW allows 127.0.0.0/8. Ctrl-C or SIGTERM
    ends it.
    """
    signals = ShutdownSignals()
    screen = Screen(full=full, quiet=quiet)
    check = ArrivalCheck(report_gaps=gaps)
    try:
        answer = ReceiverAnswer(status=status, delay_s=delay, retry_after_s=retry_after, consents=not no_consent)
        receiver = Receiver(port, answer, check, screen)
    except OSError as error:  # its own text has the address a second time
        raise click.ClickException(f"cannot listen on 127.0.0.1:{port}: {os.strerror(error.errno or 0)}") from None
    with receiver.endpoint:
        screen.show(f"listening on {receiver.endpoint.url}, answering {receiver.answer}; Ctrl-C ends it")
        signals.wait()
    screen.show(f"received {check.summary()}")
    signals.exit_process(0)


class Screen:
    """Prints one text at a time, even if other requests arrive at the same moment."""

    def __init__(self, *, full: int | None, quiet: bool) -> None:
        self._left = full
        self._quiet = quiet
        self._printing = threading.Lock()

    def show(self, text: str) -> None:
        """Print the text in one piece."""
        with self._printing:
            click.echo(text)

    def show_request(self, request: ShownRequest, status: int) -> None:
        """Print a request in full or in one line, as the options say."""
        if self._quiet:
            return
        with self._printing:
            if self._left == 0:
                click.echo(request.in_one_line(status))
            else:
                click.echo(request.in_full())
                self._left = self._left and self._left - 1


class Receiver:
    """Answers and checks requests. Creation raises OSError when the port is taken."""

    def __init__(self, port: int, answer: ReceiverAnswer, check: ArrivalCheck, screen: Screen) -> None:
        self.endpoint = HttpEndpoint(self._handle, port=port, blocking=True, idle_s=IDLE_S, on_error=_report)
        self.answer = answer
        self._check = check
        self._screen = screen
        self._counting = threading.Lock()

    def _handle(self, received: ReceivedRequest) -> Answer:
        """Answer one request; it blocks for the delay and for printing."""
        if received.method not in METHODS:
            return Answer(status=501)
        if received.method in {"GET", "PUT"} and received.path.partition("?")[0] == CONTROL_PATH:
            return self._control(received)
        return self._receive(ShownRequest(received.method, received.path, received.header_lines, received.body))

    def _receive(self, request: ShownRequest) -> Answer:
        answer = self.answer
        self._screen.show_request(request, answer.status)
        if answer.delay_s:
            time.sleep(answer.delay_s)  # not the endpoint's delay: a request is counted when it is answered
        consent = consent_to(request) if answer.consents and answer.acknowledges else None
        if consent is not None:
            return Answer(headers=consent.headers, body=consent.body)
        for fault in self._count(request, answer):
            self._screen.show(fault)
        headers = {} if answer.retry_after_s is None else {"Retry-After": str(answer.retry_after_s)}
        return Answer(status=answer.status, headers=headers)

    def _count(self, request: ShownRequest, answer: ReceiverAnswer) -> list[str]:
        """Count a request that is about to be answered; returns a line for each thing that is wrong with it."""
        with self._counting:
            return self._check.add(request.path, request.records or (), acknowledged=answer.acknowledges)

    def _control(self, received: ReceivedRequest) -> Answer:
        """Change or show the answer."""
        _, _, query = received.path.partition("?")
        try:
            status, text = 200, self._change(query) if received.method == "PUT" else self._state()
        except ValueError as error:
            status, text = 400, f"{CONTROL_PATH}: {error}"
        return Answer(status=status, body=f"{text}\n".encode())

    def _change(self, query: str) -> str:
        """Change the answer to all requests that arrive from now on. Raises ValueError with one line."""
        self.answer = changed(self.answer, query)
        self._screen.show(f"answering {self.answer} from now on")
        return self._state()

    def _state(self) -> str:
        """The answer and the counts, as JSON."""
        with self._counting:
            counts = {
                name: getattr(self._check, name)
                for name in ("requests", "acknowledged", "records", "duplicates", "out_of_order")
            }
        return json.dumps({"answer": str(self.answer), **counts})


def _report(error: Exception) -> None:
    """Print in one line the error that ended a connection; that nobody reads what is printed is not one."""
    if not isinstance(error, ConnectionError):
        click.echo(f"webhookd receive: a connection failed: {error!r}", err=True)
