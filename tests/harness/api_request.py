"""Requests to the API, as a client should make them."""

import io
import json
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any

from webhookd import clock

PAUSE_S = 0.5
"""Between two attempts; the API answers 503 when it has waited for its services, so there are few."""


def ask(url: str, method: str, body: object = None, *, timeout_s: float) -> dict[str, Any]:
    """One request; raises urllib.error.HTTPError for an error response, with its body in the message."""
    request = urllib.request.Request(  # noqa: S310 - the scheme is ours
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310 - likewise
            text = response.read()
    except urllib.error.HTTPError as error:
        raise _with_body(error) from None
    answer: dict[str, Any] = json.loads(text) if text else {}
    return answer


def ask_until_available(url: str, method: str, body: object, *, timeout_s: float) -> dict[str, Any]:
    """Repeat a request for this long while the answer is 503: nothing was stored. Raises as `ask`."""
    deadline = clock.monotonic() + timeout_s
    while True:
        try:
            return ask(url, method, body, timeout_s=timeout_s)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE or clock.monotonic() + PAUSE_S > deadline:
                raise
        time.sleep(PAUSE_S)


def _with_body(error: urllib.error.HTTPError) -> urllib.error.HTTPError:
    """The same error with its body as a note, which a failed test shows; the body can still be read."""
    with error:
        body = error.read()
    shown = urllib.error.HTTPError(error.url, error.code, error.msg, error.headers, io.BytesIO(body))
    shown.add_note(body.decode(errors="replace"))
    return shown
