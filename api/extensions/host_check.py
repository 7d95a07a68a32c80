"""Without API keys: refuses requests whose Host is not a loopback name or address.

The API then listens on loopback only. But a page in the operator's browser can have a name of its own that first
resolves to its server and then to 127.0.0.1 (DNS rebinding): for the browser its requests stay within one site, so no
rule about origins protects the API. They have the name of that page as their Host.
"""

from flask import Flask, request

from webhookd.errors import Misdirected
from webhookd.flow.access.loopback import names_loopback


def register(app: Flask) -> None:
    """Check every request, also of pages that are open to everybody. Register it before everything else."""
    app.before_request(_check_host)


def _check_host() -> None:
    # Browsers always send a Host. A request of HTTP/1.0 may have none.
    host = request.headers.get("Host")
    if host is not None and not names_loopback(host):
        raise Misdirected(
            "without API keys the API answers to localhost, 127.0.0.1 and [::1] only, and the Host of the request is "
            "another one"
        )
