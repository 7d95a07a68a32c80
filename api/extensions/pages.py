"""The header that leads from one page of a list to the next (RFC 8288)."""

from typing import Final

LINK: Final = {
    "Link": {"description": 'The next page, as `<…>; rel="next"`, when there is one.', "schema": {"type": "string"}}
}
"""The header, for the OpenAPI document."""


def next_page(url: str) -> dict[str, str]:
    """Return the header with the URL of the next page."""
    return {"Link": f'<{url}>; rel="next"'}
