"""`webhookd receive`: an HTTP endpoint on loopback that prints the requests that it gets, to try deliveries out."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any

import click
import msgspec

from command.shutdown_signals import ShutdownSignals

IDLE_S = 60.0
"""A connection without a request for this long is closed."""

WITHOUT_BODY = {204, 304}


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=9000, show_default=True, help="0 takes a free one.")
@click.option(
    "--status", type=click.IntRange(200, 599), default=200, show_default=True, help="What to answer every request."
)
def receive(port: int, status: int) -> None:
    """Print the headers and the body of each HTTP request to 127.0.0.1, and answer it.

    It listens on loopback only: webhookd sends there when WEBHOOKD_EGRESS_ALLOW='["127.0.0.0/8"]' allows it. Ctrl-C
    or SIGTERM ends it.
    """
    signals = ShutdownSignals()
    try:
        server = Receiver(port, status)
    except OSError as error:
        raise click.ClickException(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from None
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    click.echo(f"listening on http://127.0.0.1:{server.server_port}, answering {status}; Ctrl-C ends it")
    signals.wait()
    server.shutdown()
    server.server_close()
    signals.exit_process(0)


class Receiver(ThreadingHTTPServer):
    """Prints one request at a time. Binding raises OSError when the port is taken."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, status: int) -> None:
        self.status = status
        self._printing = threading.Lock()
        super().__init__(("127.0.0.1", port), _Request)

    def show(self, text: str) -> None:
        """Print the text in one piece, even if other requests arrive at the same moment."""
        with self._printing:
            click.echo(text)

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
        length = self.headers.get("Content-Length", "0")
        body = self.rfile.read(int(length)) if length.isdecimal() else b""
        headers = "".join(f"{name}: {value}\n" for name, value in self.headers.items())
        self.server.show(f"\n{self.command} {self.path}\n{headers}\n{readable(body)}".rstrip())
        self.send_response_only(self.server.status)
        if self.server.status not in WITHOUT_BODY:
            self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _receive  # noqa: N815 - http.server's own names


def readable(body: bytes) -> str:
    """Return the body in a form for people, with numbers and strings as they were sent.

    A delivery has one line for each record. Other JSON is indented. Anything else is text, with escapes for bytes that
    are not UTF-8.
    """
    try:
        records = _records(body)
        if records is not None:
            return '{"messages":[\n  ' + ",\n  ".join(records) + "\n]}"
        return msgspec.json.format(body, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode("utf-8", "backslashreplace")


def _records(body: bytes) -> list[str] | None:
    """Return the records of a delivery; None for JSON that is not a delivery."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        records = msgspec.json.decode(fields.pop("messages"), type=list[msgspec.Raw])
    except (msgspec.ValidationError, KeyError):
        return None
    return None if fields else [bytes(record).decode() for record in records]
