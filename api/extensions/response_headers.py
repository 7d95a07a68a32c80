"""Headers of every answer that keep browsers from misusing it. A route that needs other values sets them itself."""

from collections.abc import Mapping
from typing import Final

from flask import Response

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""An answer is for one caller, so nothing may store it; and it is data, so a browser must run and load nothing.

`Strict-Transport-Security` is missing on purpose: it holds for every port of a host, so only the TLS proxy that owns
the host's name can promise it.
"""


def add_security_headers(response: Response) -> Response:
    """Add each header that the route has not set."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response
