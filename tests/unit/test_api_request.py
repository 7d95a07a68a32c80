"""How tests ask the API: what a failed request shows, and which are repeated. Doubled: the API, by scripted answers."""

import threading
import urllib.error
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.harness import api_request

PATIENCE_S = 60.0
UNAVAILABLE = (503, b'{"code":"kafka_unavailable"}')
INVALID = (422, b'{"code":"invalid_input"}')
CREATED = (201, b'{"id":"1"}')


class Api:
    """An API that gives its answers one after another."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            """Answers POST."""

            def do_POST(self) -> None:
                """Give the next answer; the last one again when there is none."""
                self.rfile.read(int(self.headers["Content-Length"]))
                status, body = api.answers.pop(0) if len(api.answers) > 1 else api.answers[0]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
                """Print nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/1/Subscription"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(api_request, "PAUSE_S", 0.0)
    made = Api()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join(PATIENCE_S)
    made.server.server_close()


def test_error_shows_its_body_which_can_still_be_read(api: Api) -> None:
    api.answers = [INVALID]
    with pytest.raises(urllib.error.HTTPError) as raised:
        api_request.ask(api.url, "POST", {}, timeout_s=PATIENCE_S)
    assert (raised.value.code, raised.value.read()) == INVALID
    assert "422" in raised.exconly()
    assert INVALID[1].decode() in raised.exconly()


def test_unavailable_request_is_repeated(api: Api) -> None:
    api.answers = [UNAVAILABLE, UNAVAILABLE, CREATED]
    assert api_request.ask_until_available(api.url, "POST", {}, timeout_s=PATIENCE_S) == {"id": "1"}


@pytest.mark.parametrize(("answers", "timeout_s"), [([UNAVAILABLE], 0.1), ([UNAVAILABLE, INVALID, CREATED], 60.0)])
def test_last_error_is_raised_when_time_is_up_and_other_errors_at_once(
    api: Api, answers: list[tuple[int, bytes]], timeout_s: float
) -> None:
    status, body = answers[-2] if len(answers) > 1 else answers[0]
    api.answers = answers
    with pytest.raises(urllib.error.HTTPError) as raised:
        api_request.ask_until_available(api.url, "POST", {}, timeout_s=timeout_s)
    assert (raised.value.code, raised.value.read()) == (status, body)
