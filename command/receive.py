"""`webhookd receive`: an HTTP endpoint on loopback that prints and checks the requests that it gets, to try it out."""

import json
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any

import click

from command.arrival_check import ArrivalCheck
from command.help_text import HelpCommand
from command.received_request import ReceivedRequest
from command.receiver_answer import CONTROL_PATH, LONGEST_S, STATUSES, Answer, changed
from command.receiver_consent import consent_to
from command.shutdown_signals import ShutdownSignals

IDLE_S = 60.0
"""A connection without a request for this long is closed."""

WITHOUT_BODY = {204, 304}


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
        answer = Answer(status=status, delay_s=delay, retry_after_s=retry_after, consents=not no_consent)
        server = Receiver(port, answer, check, screen)
    except OSError as error:
        raise click.ClickException(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from None
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    screen.show(f"listening on http://127.0.0.1:{server.server_port}, answering {server.answer}; Ctrl-C ends it")
    signals.wait()
    server.shutdown()
    server.server_close()
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

    def show_request(self, request: ReceivedRequest, status: int) -> None:
        """Print a request in full or in one line, as the options say."""
        if self._quiet:
            return
        with self._printing:
            if self._left == 0:
                click.echo(request.in_one_line(status))
            else:
                click.echo(request.in_full())
                self._left = self._left and self._left - 1


class Receiver(ThreadingHTTPServer):
    """Answers and checks requests. Binding raises OSError when the port is taken."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, answer: Answer, check: ArrivalCheck, screen: Screen) -> None:
        self.answer = answer
        self._check = check
        self.screen = screen
        self._counting = threading.Lock()
        super().__init__(("127.0.0.1", port), _Request)

    def count(self, request: ReceivedRequest, answer: Answer) -> list[str]:
        """Count a request that is about to be answered; returns a line for each thing that is wrong with it."""
        with self._counting:
            return self._check.add(request.path, request.records or (), acknowledged=answer.acknowledges)

    def change(self, query: str) -> str:
        """Change the answer to all requests that arrive from now on. Raises ValueError with one line."""
        self.answer = changed(self.answer, query)
        self.screen.show(f"answering {self.answer} from now on")
        return self.state()

    def state(self) -> str:
        """The answer and the counts, as JSON."""
        with self._counting:
            counts = {
                name: getattr(self._check, name)
                for name in ("requests", "acknowledged", "records", "duplicates", "out_of_order")
            }
        return json.dumps({"answer": str(self.answer), **counts})

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:  # noqa: ANN401 - socketserver's own signature
        """Print in one line the error that ended a connection; a client that has disconnected is not an error."""
        del request, client_address
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            click.echo(f"webhookd receive: a connection failed: {error!r}", err=True)


class _Request(BaseHTTPRequestHandler):
    """Handles the requests of one connection, one after another."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server: Receiver

    def _receive(self) -> None:
        answer = self.server.answer
        request = ReceivedRequest(self.command, self.path, tuple(self.headers.items()), self._body())
        self.server.screen.show_request(request, answer.status)
        if answer.delay_s:
            time.sleep(answer.delay_s)
        consent = consent_to(request) if answer.consents and answer.acknowledges else None
        if consent is not None:
            self._send(200, consent.headers, consent.body)
            return
        for fault in self.server.count(request, answer):
            self.server.screen.show(fault)
        headers = {} if answer.retry_after_s is None else {"Retry-After": str(answer.retry_after_s)}
        self._send(answer.status, headers)

    def _control(self) -> None:
        """Change or show the answer, if that is what this PUT or GET is for."""
        path, _, query = self.path.partition("?")
        if path != CONTROL_PATH:
            self._receive()
            return
        self._body()
        try:
            status, text = 200, self.server.change(query) if self.command == "PUT" else self.server.state()
        except ValueError as error:
            status, text = 400, f"{CONTROL_PATH}: {error}"
        self._send(status, {}, f"{text}\n".encode())

    def _send(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status not in WITHOUT_BODY:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        return self.rfile.read(int(length)) if length.isdecimal() else b""

    do_POST = do_PATCH = do_DELETE = do_OPTIONS = _receive  # noqa: N815 - http.server's own names
    do_GET = do_PUT = _control  # noqa: N815 - likewise
