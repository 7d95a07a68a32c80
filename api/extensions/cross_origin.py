"""Cross-origin requests (CORS): scripts of the origins that WEBHOOKD_API_CORS_ORIGINS lists may call the API.

A preflight request is answered before anything else: browsers send it without the API key. Cookies are never allowed;
the API has none. An origin that is not listed gets no header of CORS, so its browser keeps the answer from the script.
"""

from collections.abc import Collection
from typing import Final

from flask import Flask, Response, request

METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
REQUEST_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match"
EXPOSED_HEADERS: Final = "ETag, Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After"
"""What a script may read besides the body; browsers hide other headers."""
PREFLIGHT_S: Final = 600
"""How long a browser may remember the answer to a preflight request."""


def register(app: Flask, origins: Collection[str]) -> None:
    """Answer preflight requests and mark responses for these origins; without origins, do nothing.

    Register it before everything that refuses requests.
    """
    if not origins:
        return
    allowed = frozenset(origins)

    def preflight() -> Response | None:
        asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        return Response(status=204) if asks and request.headers.get("Origin") in allowed else None

    def mark(response: Response) -> Response:
        response.vary.add("Origin")
        origin = request.headers.get("Origin", "")
        if origin not in allowed:
            return response
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = METHODS
            response.headers["Access-Control-Allow-Headers"] = REQUEST_HEADERS
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_S)
        return response

    app.before_request(preflight)
    app.after_request(mark)
