"""The page at /docs: Swagger UI, from the files of a package, which shows the document and can send requests.

The page needs no other host, and its Content-Security-Policy allows none: scripts are files of this API, and requests
go to this API only. A key that is typed in stays in the page until it is closed.
"""

from collections.abc import Mapping
from typing import Final

from flask import Blueprint, Response, abort, send_from_directory
from swagger_ui_bundle import swagger_ui_path

from api.extensions.authorization import EVERYBODY, requires

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Images are in the style sheet of Swagger UI, as `data:`."""

HTML: Final = """\
<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>webhookd API</title>
    <link rel="stylesheet" href="docs/swagger-ui.css">
    <link rel="icon" type="image/png" href="docs/favicon-32x32.png">
  </head>
  <body>
    <div id="page"></div>
    <noscript>This page needs JavaScript. The document itself is at <a href="openapi.json">openapi.json</a>.</noscript>
    <script src="docs/swagger-ui-bundle.js"></script>
    <script src="docs/start.js"></script>
  </body>
</html>
"""

START: Final = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  docExpansion: "list",
  filter: true,
  persistAuthorization: false,
  queryConfigEnabled: false,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"""
"""No badge of an online validator, and no document of another address by a parameter of the page."""

OWN: Final[Mapping[str, tuple[str, str]]] = {"start.js": (START, "text/javascript")}
PACKAGED: Final = frozenset({"swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"})

blueprint = Blueprint("page", __name__, url_prefix="/docs")


@blueprint.get("")
@requires(EVERYBODY)
def page() -> Response:
    """Return the page."""
    return _protected(Response(HTML, mimetype="text/html"))


@blueprint.get("/<name>")
@requires(EVERYBODY)
def asset(name: str) -> Response:
    """Return a file of the page."""
    if name in OWN:
        text, kind = OWN[name]
        return _protected(Response(text, mimetype=kind))
    if name not in PACKAGED:
        abort(404)
    return _protected(send_from_directory(str(swagger_ui_path), name))


def _protected(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
