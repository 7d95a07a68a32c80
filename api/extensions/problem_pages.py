"""A page for people about each error code, at the path that the member `type` of a problem has.

The pages need no API key, and are not part of the OpenAPI document.
"""

import re
from html import escape
from typing import Final

from flask import Flask, Response

from api.extensions.authorization import EVERYBODY, requires
from api.extensions.problem import PAGES
from api.extensions.problem_types import PROBLEM_TYPES, ProblemType
from webhookd.errors import NotFound

ENDPOINT: Final = "problem_page"

_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{code}: {name}</title></head>
<body>
<h1>{title}</h1>
<p>Code <code>{code}</code>, HTTP status {status}.</p>
<h2>What it means</h2>
<p>{meaning}</p>
<h2>What to do</h2>
<p>{to_do}</p>
</body>
</html>
"""
_CODE_MARKS: Final = re.compile(r"`([^`]*)`")


def register(app: Flask) -> None:
    """Serve the pages."""
    app.add_url_rule(f"{PAGES}<code>", ENDPOINT, _serve)


@requires(EVERYBODY)
def _serve(code: str) -> Response:
    found = PROBLEM_TYPES.get(code)
    if found is None:
        raise NotFound("There is no such error code.")
    return Response(_page(found), content_type="text/html; charset=utf-8")


def _page(found: ProblemType) -> str:
    return _PAGE.format(
        code=escape(found.code),
        status=escape(found.status),
        name=escape(found.title).replace("`", ""),
        title=_html(found.title),
        meaning=_html(found.meaning),
        to_do=_html(found.to_do),
    )


def _html(text: str) -> str:
    return _CODE_MARKS.sub(r"<code>\1</code>", escape(text))
