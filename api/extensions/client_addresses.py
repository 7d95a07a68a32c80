"""Replaces the address of a trusted proxy by that of its client, before anything looks at it.

werkzeug's ProxyFix counts proxies, and so trusts the header of a client that reaches the API without them.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from webhookd.flow.access.client_address import client_address, networks_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class ClientAddresses:
    """A WSGI application that sets REMOTE_ADDR for the one in it; `trusted` are networks in CIDR."""

    def __init__(self, application: "WSGIApplication", trusted: Sequence[str]) -> None:
        self._application = application
        self._trusted = networks_of(trusted)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer the request."""
        peer = str(environ.get("REMOTE_ADDR", ""))
        environ["REMOTE_ADDR"] = client_address(peer, str(environ.get("HTTP_X_FORWARDED_FOR", "")), self._trusted)
        return self._application(environ, start_response)
